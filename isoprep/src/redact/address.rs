//! Logins in addresses: `https://me:password@host`, also with characters in the password that an address should not have in it. Pure.

use std::ops::Range;

/// A name that is so long is a token, bytes.
const LONG: usize = 20;
/// So much behind a quotation mark is looked at to find whether a login goes on, bytes.
const NEAR: usize = 256;
/// What ends a word that an address is in.
const MARKS: [char; 3] = ['"', '\'', '`'];
/// Ports below 1024 that somebody may name in an address (services(5)).
const PORTS: [u16; 22] =
    [20, 21, 22, 23, 25, 53, 69, 80, 81, 88, 110, 143, 389, 443, 445, 465, 514, 587, 631, 873, 990, 993];

/// What stands between `://` and `@`, from its colon on; all of it where that or its first half is long, as a token is.
pub(super) fn logins(text: &str) -> impl Iterator<Item = Range<usize>> {
    // The end of the word that was looked at last, and its last `@`: a word may be a megabyte, and have one at every place.
    let mut known = (0, None);
    text.match_indices("://").filter_map(move |(at, _)| {
        let begin = at + 3;
        let ends = |c: char| c.is_whitespace() || "<>".contains(c) || MARKS.contains(&c);
        if begin > known.0 {
            let word = text[begin..].find(ends).map_or(text.len(), |end| begin + end);
            known = (word, text[begin..word].rfind('@').map(|end| begin + end));
        }
        let (word, last) = known;
        let host = text[begin..word].find(['/', '?', '#']).map_or(word, |end| begin + end);
        let login = match beyond(text, begin, host).or_else(|| Some(begin + text[begin..host].rfind('@')?)) {
            Some(end) => begin..end,
            None => begin..last.filter(|last| *last >= begin && !has_a_port(&text[begin..host]))?,
        };
        match text[login.clone()].split_once(':') {
            Some((name, _)) if name.len() < LONG => Some(login.start + name.len() + 1..login.end),
            Some(_) => Some(login),
            None => (login.len() >= LONG).then_some(login),
        }
    })
}

/// The end of a login that has the quotation mark at `mark` in it: that closes nothing, since the word goes on behind it, to an `@`.
fn beyond(text: &str, begin: usize, mark: usize) -> Option<usize> {
    let rest = text[mark..].strip_prefix(MARKS)?;
    if rest.starts_with([',', ';', ':', ')', ']', '}', '=']) || !text[begin..mark].contains(':') {
        return None;
    }
    let ends = |(at, c): &(usize, char)| *at > NEAR || c.is_whitespace() || "<>/".contains(*c);
    let near = rest.char_indices().find(ends).map_or(rest, |(at, _)| &rest[..at]);
    // The last one before what closes.
    let closes =
        near.match_indices(MARKS).find(|(at, _)| near[at + 1..].starts_with([',', ';', ':', ')', ']', '}', '=']));
    let near = closes.map_or(near, |(at, _)| &near[..at]);
    Some(mark + 1 + near.rfind('@')?)
}

/// Whether `host`, which something follows that has an `@` in it, is a host: `box`, `box:8080`, `[::1]:80`. Else it is the beginning of
/// a login, with a password that has what should have been written in another way.
fn has_a_port(host: &str) -> bool {
    let inside = host.strip_prefix('[').and_then(|it| it.split_once(']'));
    let Some((name, port)) = inside.map_or(host, |(_, port)| port).split_once(':') else { return true };
    let is_usual = match port.parse::<u16>() {
        Ok(number) => !port.starts_with(['0', '+']) && (number >= 1024 || PORTS.contains(&number)),
        Err(_) => port.is_empty(),
    };
    let is_host = inside.is_some() || name.contains('.') || name == "localhost";
    is_usual || (is_host && port.bytes().all(|byte| byte.is_ascii_digit()))
}
