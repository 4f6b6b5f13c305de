//! Texts that are kept or shown to others, without the secrets in them: logs, failures, commands to be copied. Pure. What hides is
//! said by the text itself: `***` stands where a secret was.

mod address;
mod header;
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
    hidden.extend(address::logins(text));
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

/// The value that the name in `word` has, if it is a secret.
fn value(text: &str, word: Range<usize>) -> Option<Range<usize>> {
    let (name, after) = (&text[word.clone()], &text[word.end..]);
    let at = |rest: &str| text.len() - rest.len();
    if header::is_scheme(text, name, word.start) {
        return Some(value_end::separate(text, at(after.strip_prefix(' ')?)));
    }
    if header::is_authorization(name) {
        return header::bare(text, word.end);
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
            ("https://me:12/34@git.net/x", "https://me:***@git.net/x"),
            ("https://me:p'x@git.net/x", "https://me:***@git.net/x"),
            ("https://me:p@s\"s'x@git.net/x", "https://me:***@git.net/x"),
            ("git clone 'https://me:p'\\''x@git.net/x' y", "git clone 'https://me:***@git.net/x' y"),
            (
                "{\"url\":\"https://me:p'x@git.net\",\"mail\":\"me@x\"}",
                "{\"url\":\"https://me:***@git.net\",\"mail\":\"me@x\"}",
            ),
            // Logins in a header without a scheme, or with one that nobody knows.
            ("Authorization: 00abcd\nHost: h", "Authorization: ***\nHost: h"),
            ("> authorization: abcdefghijklmnopqrst", "> authorization: ***"),
            ("curl -H 'Authorization: ab12cd' x", "curl -H 'Authorization: ***' x"),
            ("curl -H \"Proxy-Authorization: SSWS ab12cd\" x", "curl -H \"Proxy-Authorization: SSWS ***\" x"),
            ("{\"Authorization\": \"ab12cd\", \"x\": 1}", "{\"Authorization\": \"***\", \"x\": 1}"),
            ("{\"Authorization\":\"OAuth ab12cd\"}", "{\"Authorization\":\"OAuth ***\"}"),
            ("HTTP_AUTHORIZATION=ab12cd", "HTTP_AUTHORIZATION=***"),
            // WireGuard's.
            (
                "[Interface]\nPrivateKey = aB3/+=\nAddress = 10.0.0.2",
                "[Interface]\nPrivateKey = ***\nAddress = 10.0.0.2",
            ),
            ("PresharedKey=aB3/+= x", "PresharedKey=*** x"),
        ] {
            assert_eq!(redacted(text), expected);
            assert_eq!(redacted(expected), expected, "twice is once");
        }
        let token = format!("key ghp_{} end", "A7bK9dQ2xW5mZ8pL4tR6vY3cN1sJ0fHgE123");
        assert_eq!(redacted(&token), "key *** end");
        let hook = |last: &str| format!("POST https://hooks.slack.com/services/T0A1B2C3D/B0E5F6G7H/{last} failed");
        let hidden = redacted(&hook("A7bK9dQ2xW5mZ8pL4tR6vY3c")).into_owned();
        assert_eq!(hidden, "POST https://hooks.slack.com/services/*** failed");
        assert_eq!(redacted(&hook(&"X".repeat(24))), hook(&"X".repeat(24)), "as its documentation has it");
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
            "http://box:8080/x@y http://box.net:82/x@y http://localhost:4/x@y http://[::1]:82/x@y http://h:/x@y",
            "'http://h:80','me@x' [\"http://h:80/x\",\"me@x\"] {'http://h:80':'me@x'} url='http://h:80';mail=me@x",
            "'http://h'x@y see http://h:80' and me@x",
            "Authorization: required\nAuthorization: Bearer\nAuthorization: none of 200000 servers wants one",
            "the header Authorization: it is missing; authorization=$TOKEN_0001; 'Authorization: https://x.net/about-this'",
            "{\"Authorization\": \"header\"} Authorization: <token-0123456789012345>",
            "PublicKey = aB3/+=\nPrivateKeyFile = /etc/wg.key\nprivate_key_path=/x",
            "https://hooks.slack.com/services/ and hooks.slack.com/services/T0A1B2C3D/B0E5F6G7H/",
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
            "://b:'x",
            "://b:'@",
            "://b:12/@",
            "authorization=a ",
            "authorization=\"a ",
            "authorization='a",
            "authorization=",
            "authorization=\\\"",
            "hooks.slack.com/services/T",
            "hooks.slack.com/services/T0A1B2C3D/B0E5F6G7H/a",
        ] {
            let _ = redacted(&part.repeat((1 << 18) / part.len()));
        }
    }
}
