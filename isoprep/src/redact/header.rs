//! Logins in the header `Authorization` of HTTP, as programs log it: with the name of a scheme before them, or bare. Pure.

use std::ops::Range;

use super::value_end;

/// How a login is called (RFC 9110, 11.6.2, and what GitHub, Gitea and others made of it).
const SCHEMES: [&str; 6] = ["bearer", "basic", "token", "apikey", "negotiate", "digest"];
const HEADER: &[u8] = b"authorization";
/// So much before and behind is looked at, bytes: a text may have many places of which that is asked.
const NEAR: usize = 64;
const FAR: usize = 4096;

/// Whether this is the name of the header: `Proxy-Authorization`, `HTTP_AUTHORIZATION`.
pub(super) fn is_authorization(name: &str) -> bool {
    let Some((begins, ends)) = name.as_bytes().split_at_checked(name.len().saturating_sub(HEADER.len())) else {
        return false;
    };
    ends.eq_ignore_ascii_case(HEADER) && begins.last().is_none_or(|byte| b"-_".contains(byte))
}

/// Whether `name`, which begins at `at`, is the scheme of a login in the header.
pub(super) fn is_scheme(text: &str, name: &str, at: usize) -> bool {
    SCHEMES.iter().any(|it| name.eq_ignore_ascii_case(it)) && follows_the_header(text, at)
}

/// Whether a header with a login in it is about to be told: `Authorization: `, `"Authorization": "`.
fn follows_the_header(text: &str, at: usize) -> bool {
    let marks = [' ', '"', '\'', '\\'];
    let before = super::near(text, at, NEAR).trim_end_matches(marks);
    let Some(name) = before.strip_suffix([':', '=']).map(|it| it.trim_end_matches(marks).as_bytes()) else {
        return false;
    };
    name[name.len().saturating_sub(HEADER.len())..].eq_ignore_ascii_case(HEADER)
}

/// The login of a header whose name ends at `at`, where it has none of the [`SCHEMES`] before it: a token that stands alone, or behind
/// the name of another scheme. What people say of the header is none.
pub(super) fn bare(text: &str, at: usize) -> Option<Range<usize>> {
    let rest = text[at..].trim_start_matches('\\');
    let rest = rest.strip_prefix(['"', '\'']).unwrap_or(rest).trim_start_matches(' ');
    let rest = rest.strip_prefix([':', '='])?.trim_start_matches(' ');
    let begin = text.len() - rest.len();
    let end = (begin + FAR..text.len()).find(|it| text.is_char_boundary(*it)).unwrap_or(text.len());
    let (shown, value) = (&text[..end], |at| value_end::separate(&text[..end], at));
    let whole = value(begin);
    if whole.end == end && end < text.len() {
        return Some(value_end::separate(text, begin));
    }
    let words = &shown[whole.clone()];
    let found = match words.split_once(' ') {
        // In quotation marks: with its scheme.
        Some((scheme, login)) => (!is_known(scheme)).then(|| whole.end - login.len()..whole.end)?,
        None if is_known(words) => return None,
        None if closes(shown, whole.end) => whole,
        None => {
            let after = shown[whole.end..].strip_prefix(' ')?;
            let second = value(shown.len() - after.len());
            closes(shown, second.end).then_some(second)?
        }
    };
    is_drawn(&shown[found.clone()]).then_some(found)
}

fn is_known(scheme: &str) -> bool {
    SCHEMES.iter().any(|it| scheme.eq_ignore_ascii_case(it))
}

/// Whether nothing follows on the line or in the quotation marks.
fn closes(text: &str, at: usize) -> bool {
    let rest = text[at..].trim_start_matches('\\');
    rest.is_empty() || rest.starts_with(['"', '\'', '`', '\n', '\r'])
}

/// Whether it is no word of a language, no address and no place for a value.
fn is_drawn(word: &str) -> bool {
    let is_other =
        word.contains(char::is_whitespace) || word.contains("://") || word.starts_with(['/', '$', '<', '{', '%', '[']);
    !is_other && (word.len() >= 20 || (word.len() >= 6 && word.bytes().any(|byte| byte.is_ascii_digit())))
}
