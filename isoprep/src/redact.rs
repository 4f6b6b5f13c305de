//! Texts that are kept or shown to others, without the secrets in them: logs, failures, commands to be copied. Pure. What hides is
//! said by the text itself: `***` stands where a secret was.

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

/// What stands between `://` and `@`, from its colon on; all of it where there is no colon and it is long, as a token is.
fn addresses(text: &str) -> impl Iterator<Item = Range<usize>> {
    const LONG: usize = 20;
    text.match_indices("://").filter_map(|(at, _)| {
        let begin = at + 3;
        let ends = |c: char| c.is_whitespace() || "/?#\"'`<>".contains(c);
        let end = text[begin..].find(ends).map_or(text.len(), |end| begin + end);
        let login = begin..begin + text[begin..end].rfind('@')?;
        match text[login.clone()].find(':') {
            Some(colon) => Some(begin + colon + 1..login.end),
            None => (login.len() >= LONG).then_some(login),
        }
    })
}

/// The values of what is named a secret.
fn values(text: &str) -> impl Iterator<Item = Range<usize>> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    let mut from = 0;
    let words = std::iter::from_fn(move || {
        let begin = from + text[from..].find(is_name)?;
        let end = text[begin..].find(|c| !is_name(c)).map_or(text.len(), |end| begin + end);
        from = end;
        Some(begin..end)
    });
    words.filter_map(|word| value(text, word))
}

/// The value that the name in `word` has, if it is a secret.
fn value(text: &str, word: Range<usize>) -> Option<Range<usize>> {
    let (name, after) = (&text[word.clone()], &text[word.end..]);
    let at = |rest: &str| text.len() - rest.len();
    if (name.eq_ignore_ascii_case("bearer") || name.eq_ignore_ascii_case("basic"))
        && ends_with_header(text[..word.start].trim_end())
    {
        let rest = after.strip_prefix(' ')?;
        return Some(quoted_or_word(text, at(rest)));
    }
    // QEMU's own form: -object secret,id=a,data=…
    if name == "data" && text[..word.start].ends_with(',') {
        // No further back than such a word is long: a text may have many of these.
        let from = (word.start.saturating_sub(256)..word.start).find(|at| text.is_char_boundary(*at))?;
        let before = text[from..word.start].rsplit([' ', '\'', '"']).next()?;
        let rest = after.strip_prefix('=').filter(|_| before.starts_with("secret,"))?;
        let end = rest.find([',', ' ', '\'', '"']).unwrap_or(rest.len());
        return Some(at(rest)..at(rest) + end);
    }
    let named = named_secret(name)?;
    // JSON: the name ends with a quotation mark.
    let (quoted, after) = after.strip_prefix(['"', '\'']).map_or((false, after), |rest| (true, rest));
    let rest = after.trim_start_matches(' ');
    if let Some(rest) = rest.strip_prefix('=').or_else(|| rest.strip_prefix(':').filter(|_| quoted)) {
        return Some(quoted_or_word(text, at(rest.trim_start_matches(' '))));
    }
    // An option, and a line of a configuration: `--password x`, `password: x`. Prose says much of tokens.
    let option = name.starts_with('-') && rest.len() < after.len() && !rest.starts_with('-');
    let value = quoted_or_word(text, at(rest.trim_start_matches([':', ' '])));
    if option {
        return Some(value);
    }
    // Programs say in this form what went wrong, as passwd(1): a line of a configuration has this one word and nothing else.
    let begins = text[..word.start].trim_end_matches([' ', '\t']);
    let ends = text[value.end..].trim_start_matches(['"', '\'', ' ', '\t', '\r']);
    let alone = (begins.is_empty() || begins.ends_with('\n')) && (ends.is_empty() || ends.starts_with('\n'));
    (named == Named::Password && rest.starts_with(": ") && alone).then_some(value)
}

/// Whether a header with a login in it is about to be told.
fn ends_with_header(before: &str) -> bool {
    const HEADER: &[u8] = b"authorization:";
    let from = before.len().saturating_sub(HEADER.len());
    before.as_bytes()[from..].eq_ignore_ascii_case(HEADER)
}

/// The word at `begin`; without its quotation marks, if it is in some.
fn quoted_or_word(text: &str, begin: usize) -> Range<usize> {
    let rest = &text[begin..];
    for quote in ['"', '\''] {
        if let Some(inside) = rest.strip_prefix(quote) {
            let mut escaped = false;
            let end = inside.find(|c| {
                let ends = c == quote && !escaped;
                escaped = c == '\\' && !escaped;
                ends
            });
            return begin + 1..begin + 1 + end.unwrap_or(inside.len());
        }
    }
    let end = rest.find(|c: char| c.is_whitespace() || "\"',;)&".contains(c)).unwrap_or(rest.len());
    begin..begin + end
}

#[cfg(test)]
mod tests {
    use super::*;

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
            ("-object secret,id=s,data=hunter2,format=raw", "-object secret,id=s,data=***,format=raw"),
            ("psk=hunter22", "psk=***"),
            ("password: hunter2", "password: ***"),
            ("https://me:***@h/", "https://me:***@h/"),
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
            "1 token, 3 secrets; passwords are asked for",
            "qemu-system-x86_64 -name guest=demo -vnc unix:/run/a/vnc.sock,display=video0",
            "http://[::1]:80/a:b@c",
            "://",
        ] {
            assert_eq!(redacted(text), text);
        }
    }

    proptest::proptest! {
        #[test]
        fn a_planted_password_is_gone(
            before in "[ -~ä]{0,20}", after in "[ -~\n]{0,20}", user in "[a-z]{1,6}", password in "Q[A-Za-z0-9]{9}Q",
        ) {
            for text in [
                format!("{before} https://{user}:{password}@host/{after}"),
                format!("{before} MY_PASSWORD={password} {after}"),
                format!("{before} --password {password} {after}"),
                format!("{before} {{\"api_key\": \"{password}\"}} {after}"),
            ] {
                let shown = redacted(&text);
                proptest::prop_assert!(!shown.contains(&password), "{text:?} -> {shown:?}");
            }
        }

        #[test]
        fn any_text_is_read(text in "([A-Za-z-]{0,9}[ =:\"'@/,]{0,3}){0,9}|.*") {
            let once = redacted(&text).into_owned();
            let _ = redacted(&once);
        }
    }
}
