//! Texts that are kept or shown to others, without the secrets in them: logs, failures, commands to be copied. Pure. What hides is
//! said by the text itself: `***` stands where a secret was.

mod value_end;

use std::borrow::Cow;
use std::ops::Range;

use crate::lint::{Named, named_secret, tokens};

/// What stands in place of a secret.
pub const HIDDEN: &str = "***";

/// A text without passwords in addresses (`https://me:password@host`), values of what is named a secret (`API_TOKEN=…`, `--password …`,
/// `"password": "…"`), and tokens that are known by their form.
#[must_use]
pub fn redacted(text: &str) -> Cow<'_, str> {
    let mut hidden: Vec<Range<usize>> = tokens(text).collect();
    hidden.extend(addresses(text));
    hidden.extend(values(text));
    hidden.retain(|it| !it.is_empty() && text.get(it.clone()).is_some_and(|value| value != HIDDEN));
    if hidden.is_empty() {
        return Cow::Borrowed(text);
    }
    hidden.sort_by_key(|it| (it.start, it.end));
    let (mut out, mut at) = (String::with_capacity(text.len()), 0);
    for range in hidden {
        if range.start >= at {
            out.push_str(&text[at..range.start]);
            out.push_str(HIDDEN);
        }
        at = at.max(range.end);
    }
    out.push_str(&text[at..]);
    Cow::Owned(out)
}

/// Whether what has this name is a secret: a field, a variable, an option.
#[must_use]
pub fn names_a_secret(name: &str) -> bool {
    named_secret(name).is_some()
}

/// What stands between `://` and `@`, from its colon on; all of it where that or its first half is long, as a token is.
fn addresses(text: &str) -> impl Iterator<Item = Range<usize>> {
    const LONG: usize = 20;
    // The end of the word that was looked at last, and its last `@`: a word may be a megabyte, and have one at every place.
    let mut known = (0, None);
    text.match_indices("://").filter_map(move |(at, _)| {
        let begin = at + 3;
        let ends = |c: char| c.is_whitespace() || "\"'`<>".contains(c);
        if begin > known.0 {
            let word = text[begin..].find(ends).map_or(text.len(), |end| begin + end);
            known = (word, text[begin..word].rfind('@').map(|end| begin + end));
        }
        let (word, last) = known;
        let host = text[begin..word].find(['/', '?', '#']).map_or(word, |end| begin + end);
        let login = match text[begin..host].rfind('@') {
            Some(end) => begin..begin + end,
            // A port has digits alone: what has others is a password, with what should have been written in another way.
            None => {
                let host = &text[begin..host];
                let (_, port) = host
                    .strip_prefix('[')
                    .and_then(|it| Some(it.split_once(']')?.1))
                    .unwrap_or(host)
                    .split_once(':')?;
                let odd = port.contains(|c: char| !c.is_ascii_digit());
                begin..last.filter(|last| odd && *last >= begin)?
            }
        };
        match text[login.clone()].split_once(':') {
            Some((name, _)) if name.len() < LONG => Some(login.start + name.len() + 1..login.end),
            Some(_) => Some(login),
            None => (login.len() >= LONG).then_some(login),
        }
    })
}

/// The values of what is named a secret.
fn values(text: &str) -> impl Iterator<Item = Range<usize>> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    let mut from = 0;
    std::iter::from_fn(move || {
        loop {
            let begin = from + text[from..].find(is_name)?;
            from = text[begin..].find(|c| !is_name(c)).map_or(text.len(), |end| begin + end);
            if let Some(value) = value(text, begin..from) {
                // What is inside is hidden with it; and a text may begin one at every place.
                from = from.max(value.end);
                return Some(value);
            }
        }
    })
}

/// How a login in a header is called (RFC 9110, 11.6.2, and what GitHub, Gitea and others made of it).
const SCHEMES: [&str; 6] = ["bearer", "basic", "token", "apikey", "negotiate", "digest"];

/// The value that the name in `word` has, if it is a secret.
fn value(text: &str, word: Range<usize>) -> Option<Range<usize>> {
    let (name, after) = (&text[word.clone()], &text[word.end..]);
    let at = |rest: &str| text.len() - rest.len();
    if SCHEMES.iter().any(|it| name.eq_ignore_ascii_case(it)) && follows_a_header(text, word.start) {
        return Some(value_end::separate(text, at(after.strip_prefix(' ')?)));
    }
    // QEMU's own form: -object secret,id=a,data=…
    if name == "data" && text[..word.start].ends_with(',') {
        let before = near(text, word.start, 256);
        let begin = before.rfind([' ', '\'', '"']).map_or(0, |at| at + 1);
        let rest = after.strip_prefix('=').filter(|_| before[begin..].starts_with("secret,"))?;
        return Some(value_end::of_qemu(text, word.start - before.len() + begin, at(rest)));
    }
    let named = named_secret(name)?;
    // JSON: the name ends with a quotation mark, which may be escaped.
    let bare = after.trim_start_matches('\\').strip_prefix(['"', '\'']);
    let (quoted, after) = bare.map_or((false, after), |rest| (true, rest));
    let rest = after.trim_start_matches(' ');
    if let Some(rest) = rest.strip_prefix('=').or_else(|| rest.strip_prefix(':').filter(|_| quoted)) {
        let begin = at(rest.trim_start_matches(' '));
        return Some(if quoted { value_end::separate(text, begin) } else { value_end::value(text, word.start, begin) });
    }
    if name.starts_with('-') {
        // An element of a list of words, or the next word; of what is told of an option itself, neither.
        let words = rest.strip_prefix(',').map_or(rest, |rest| rest.trim_start_matches(' '));
        if quoted {
            return value_end::quoted(text, at(words));
        }
        // What podman calls so is where a secret is.
        let option = rest.len() < after.len() && !rest.starts_with('-') && !rest.starts_with("id=");
        if option {
            return Some(value_end::value(text, word.start, at(rest.trim_start_matches([':', ' ']))));
        }
    }
    let rest = rest.strip_prefix(':')?;
    // A header of HTTP has a name of several words: where one is told, or given in a word of its own.
    if name.contains('-') && !name.starts_with('-') {
        let before = text[..word.start].trim_end_matches([' ', '>', '<']);
        if before.is_empty() || before.ends_with(['\n', '"', '\'']) {
            return Some(value_end::value(text, word.start, at(rest.trim_start_matches(' '))));
        }
    }
    // Programs say in this form what went wrong, as passwd(1): a line of a configuration has this one word and nothing else.
    if named != Named::Password && !name.contains('_') {
        return None;
    }
    let begin = at(rest.strip_prefix(' ')?.trim_start_matches(' '));
    let value = value_end::separate(text, begin);
    let begins = text[..word.start].trim_end_matches([' ', '\t']);
    let ends = text[value.end..].trim_start_matches(['"', '\'', ' ', '\t', '\r']);
    let alone = (begins.is_empty() || begins.ends_with('\n')) && (ends.is_empty() || ends.starts_with('\n'));
    // As Rust shows a field.
    let field = value.start > begin && !name.eq_ignore_ascii_case("passwd");
    (alone || field).then_some(value)
}

/// Whether a header with a login in it is about to be told: `Authorization: `, `"Authorization": "`.
fn follows_a_header(text: &str, at: usize) -> bool {
    const HEADER: &[u8] = b"authorization";
    let marks = [' ', '"', '\'', '\\'];
    let before = near(text, at, 64).trim_end_matches(marks);
    let Some(name) = before.strip_suffix([':', '=']).map(|it| it.trim_end_matches(marks).as_bytes()) else {
        return false;
    };
    name[name.len().saturating_sub(HEADER.len())..].eq_ignore_ascii_case(HEADER)
}

/// What is before `at`, no more than `most` bytes: a text may have many places of which that is asked.
fn near(text: &str, at: usize, most: usize) -> &str {
    let from = (at.saturating_sub(most)..=at).find(|it| text.is_char_boundary(*it)).unwrap_or(at);
    &text[from..at]
}

#[cfg(test)]
mod tests {
    use super::*;
    use cartridge_supervise::CommandLine;

    #[test]
    fn secrets_are_hidden_and_the_rest_stays() {
        for (text, expected) in [
            ("deb https://ann:hunter2@m.net/debian x main", "deb https://ann:***@m.net/debian x main"),
            ("GET http://:p@ss@h:1/x?y=a@b", "GET http://:***@h:1/x?y=a@b"),
            ("https://AbCdEf0123456789abcdefgh@git.net/x", "https://***@git.net/x"),
            ("ssh://git@git.net/x", "ssh://git@git.net/x"),
            ("API_TOKEN='v w' tool --password hunter2 -v", "API_TOKEN='***' tool --password *** -v"),
            ("tool --password=hunter2 --token-file /x", "tool --password=*** --token-file /x"),
            ("{\"password\": \"a\\\"b\", \"user\": \"me\"}", "{\"password\": \"***\", \"user\": \"me\"}"),
            ("API_TOKEN = \"abc\"\nNAME = \"x\"", "API_TOKEN = \"***\"\nNAME = \"x\""),
            ("Authorization: Bearer abc.def", "Authorization: Bearer ***"),
            ("curl -H 'Authorization: token abc' x", "curl -H 'Authorization: token ***' x"),
            ("curl -H 'X-Api-Key: a b' x", "curl -H 'X-Api-Key: ***' x"),
            ("> PRIVATE-TOKEN: abc\n> Host: h", "> PRIVATE-TOKEN: ***\n> Host: h"),
            ("  api_token: abc\n", "  api_token: ***\n"),
            ("DB_PASS=abc MYSQL_PWD=abc mysql", "DB_PASS=*** MYSQL_PWD=*** mysql"),
            ("-object secret,id=s,data=hunter2,format=raw", "-object secret,id=s,data=***,format=raw"),
            ("psk=hunter22", "psk=***"),
            ("password: hunter2", "password: ***"),
            ("https://me:***@h/", "https://me:***@h/"),
            // Whole words that a shell quotes, and several quotations one in the other.
            ("tool '--password=a b' -v", "tool '--password=***' -v"),
            ("env 'API_TOKEN=a b' tool", "env 'API_TOKEN=***' tool"),
            ("tool --password 'a b' -v", "tool --password '***' -v"),
            ("API_TOKEN='a'\"'\"'b c' tool", "API_TOKEN='***' tool"),
            ("API_TOKEN='a'\\''b c' tool", "API_TOKEN='***' tool"),
            ("[\"--password\", \"a b\", \"-v\"]", "[\"--password\", \"***\", \"-v\"]"),
            ("mount -o 'user=me,password=a b,vers=3' x", "mount -o 'user=me,password=***,vers=3' x"),
            (
                "{\"body\": \"{\\\"api_key\\\": \\\"a\\\\\\\"b c\\\"}\"}",
                "{\"body\": \"{\\\"api_key\\\": \\\"***\\\"}\"}",
            ),
            ("API_TOKEN=\\\"abc\\\" x", "API_TOKEN=\\\"***\\\" x"),
            ("Login { password: \"a b\", user: \"me\" }", "Login { password: \"***\", user: \"me\" }"),
            ("{\"Authorization\": \"Bearer abc.def\"}", "{\"Authorization\": \"Bearer ***\"}"),
            // What is between values ends one, and else is a part of it.
            ("--password=x&y -v", "--password=*** -v"),
            ("PASSWORD=ab,cd;e) x", "PASSWORD=***) x"),
            ("h?token=abc&user=me", "h?token=***&user=me"),
            ("(password=abc, user=me)", "(password=***, user=me)"),
            ("sh -c 'x API_TOKEN=abc', then", "sh -c 'x API_TOKEN=***', then"),
            ("-object secret,id=s,data=a,,b,format=raw", "-object secret,id=s,data=***,format=raw"),
            ("-object 'secret,id=s,data=a b,,c' -S", "-object 'secret,id=s,data=***' -S"),
            // A token as a name, and what an address should not have in it.
            ("https://AbCdEf0123456789abcdefgh:x-oauth-basic@git.net/x", "https://***@git.net/x"),
            ("https://me:a/b?c@git.net/x", "https://me:***@git.net/x"),
        ] {
            assert_eq!(redacted(text), expected);
            assert_eq!(redacted(expected), expected, "twice is once");
        }
        let token = format!("key ghp_{} end", "A7bK9dQ2xW5mZ8pL4tR6vY3cN1sJ0fHgE123");
        assert_eq!(redacted(&token), "key *** end");
    }

    #[test]
    fn what_is_no_secret_stays() {
        for text in [
            "",
            "error: unexpected token: foo",
            "warning secret-token deploy.sh:3 | Leave /deploy.sh out of the repository",
            "Password: ",
            "--password-file /home/me/pw",
            "--passphrase-fd 0",
            "passwd: unknown user bob",
            "by root after an administrator's password: the helper is not installed",
            "TOKEN_FILE=/run/x",
            "adduser --disabled-password bob; tool --no-password x",
            "max_tokens=512 password_required=false {\"max_tokens\": 512}",
            "error in access_token: it has expired",
            "see X-Api-Key: it is what the server wants",
            "1 token, 3 secrets; passwords are asked for",
            "qemu-system-x86_64 -name guest=demo -vnc unix:/run/a/vnc.sock,display=video0",
            "http://[::1]:80/a:b@c",
            "://",
            "error: unexpected argument '--password' found",
            "podman build --secret id=x,src=/home/me/x .",
            "-vnc :0,password-secret=sec0 -drive file=a,key-secret=sec1",
            "passwd: 'bob' is unknown",
            "the option '--password' needs a value, and \"API_TOKEN=\" has none",
            "http://[fe80::1]/a@b http://h:80/x@y http://h/me:x@y",
        ] {
            assert_eq!(redacted(text), text);
        }
    }

    /// Words as a shell is given them, and texts that are quoted once or more.
    fn planted(password: &str) -> Vec<String> {
        let line = |words: &[&str]| CommandLine::new("tool").args(words).arg("stays").to_string();
        let in_qemu = format!("secret,id=a,data={},format=raw", password.replace(',', ",,"));
        let json = serde_json::json!({"api_key": password, "user": "stays"}).to_string();
        let twice = serde_json::json!({"body": json, "user": "stays"}).to_string();
        let debug = format!("Login {{ password: {password:?}, user: \"stays\" }}");
        vec![
            line(&[&format!("--password={password}")]),
            line(&["--password", password]),
            line(&[&format!("API_TOKEN={password}")]),
            line(&["-object", &in_qemu]),
            CommandLine::new("stays").env("API_TOKEN", password).to_string(),
            serde_json::json!({"said": twice, "user": "stays"}).to_string(),
            format!("{:?}", ["--password", password, "stays"]),
            json,
            twice,
            format!("{debug:?}"),
            debug,
        ]
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(2000))]

        /// It is known by its two ends: what is hidden is one piece.
        #[test]
        fn a_planted_password_is_gone(inside in "[ -~]{0,12}") {
            for text in planted(&format!("QbeginsQ{inside}QendsQ")) {
                let shown = redacted(&text);
                let gone = !shown.contains("Qbegins") && !shown.contains("Qends");
                proptest::prop_assert!(gone && shown.contains("stays"), "{text:?} -> {shown:?}");
            }
        }

        /// Where nothing is quoted, what is between values can be either.
        #[test]
        fn one_that_is_not_quoted_is_gone(
            before in "[ -!#-&(-~ä]{0,20}", after in "[ -~\n]{0,20}", user in "[a-z]{1,6}",
            inside in "[!#-&(-\\[\\]^_a-~]{0,12}",
        ) {
            let password = format!("QbeginsQ{inside}QendsQ");
            for text in [
                format!("{before} MY_PASSWORD={password} {after}"),
                format!("{before} --password {password} {after}"),
                format!("{before} https://{user}:{}@host/{after}", password.replace(['<', '>', '@'], "")),
            ] {
                let shown = redacted(&text);
                proptest::prop_assert!(!shown.contains("Qbegins") && !shown.contains("Qends"), "{text:?} -> {shown:?}");
            }
        }

        #[test]
        fn any_text_is_read(text in "([A-Za-z-]{0,9}[ =:\"'@/,\\\\]{0,3}){0,9}|.*") {
            let once = redacted(&text).into_owned();
            let _ = redacted(&once);
        }
    }

    /// It would take hours if each name looked at all that follows it.
    #[test]
    fn a_long_line_of_names_is_read_all_the_same() {
        for part in [
            "://",
            "a://b:c",
            "://x@",
            "://x:y@z",
            "token=",
            "token='",
            "password=\\\"",
            "token=a,,",
            "basic ",
            "secret,data=,",
        ] {
            let _ = redacted(&part.repeat((1 << 18) / part.len()));
        }
    }
}
