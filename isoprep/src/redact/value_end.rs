//! Where a value ends, in texts that were quoted by a shell, by JSON, by Rust's `Debug`, or by several of them one in the other. What
//! may still belong to the value is taken for a part of it. Pure.

use std::ops::Range;

/// A quotation mark, and how many backslashes are before it: 1 for what is in a text that is quoted itself, 3 one deeper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Quote {
    mark: u8,
    depth: usize,
}

/// What ends a value but for a quotation mark and, without one, a blank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ends {
    Nothing,
    /// `&`, `,`, `;` and the like, if nothing but such comes.
    Close,
    /// Those also if another name with a value comes.
    Pair,
    /// One comma: QEMU doubles those of a value.
    Comma,
}

/// So much before a name is looked at to find what it is in, and so much behind a value.
const NEAR: usize = 64;

/// The value that begins at `begin`; `name` is where its name does. Without its quotation marks, if it is in some.
pub(super) fn value(text: &str, name: usize, begin: usize) -> Range<usize> {
    if let Some((around, true)) = around(text, name) {
        return begin..end(text, begin, Some(around), Ends::Nothing);
    }
    if let Some(inside) = quoted(text, begin) {
        return inside;
    }
    // Who begins a word may have anything in it; who is in a row of others is followed by another.
    let in_a_row = text[..name].ends_with(['&', ',', ';', '?', '(', '{', '[']);
    let around = around(text, name).map(|it| it.0);
    begin..end(text, begin, around, if in_a_row { Ends::Pair } else { Ends::Close })
}

/// The value of a field or an element of its own at `begin`, whatever its name is in.
pub(super) fn separate(text: &str, begin: usize) -> Range<usize> {
    quoted(text, begin).unwrap_or_else(|| begin..end(text, begin, None, Ends::Close))
}

/// What is inside of the quotation marks that begin there.
pub(super) fn quoted(text: &str, begin: usize) -> Option<Range<usize>> {
    let (quote, inside) = opening(text, begin)?;
    Some(inside..end(text, inside, Some(quote), Ends::Nothing))
}

/// A value of QEMU's, in a word that begins at `word`.
pub(super) fn of_qemu(text: &str, word: usize, begin: usize) -> Range<usize> {
    let around = around(text, word).filter(|it| it.1).map(|it| it.0);
    begin..end(text, begin, around, Ends::Comma)
}

fn opening(text: &str, at: usize) -> Option<(Quote, usize)> {
    let rest = &text.as_bytes()[at..];
    let depth = rest.iter().take(NEAR).take_while(|byte| **byte == b'\\').count();
    let mark = *rest.get(depth).filter(|byte| b"\"'".contains(byte))?;
    Some((Quote { mark, depth }, at + depth + 1))
}

/// The quotation mark that the word at `at` is in, and whether it begins with that.
fn around(text: &str, at: usize) -> Option<(Quote, bool)> {
    let before = &text.as_bytes()[at.saturating_sub(NEAR)..at];
    let word = before.iter().rposition(u8::is_ascii_whitespace).map_or(0, |blank| blank + 1);
    let word = &before[word..];
    let found = word.iter().rposition(|byte| b"\"'".contains(byte))?;
    let depth = word[..found].iter().rev().take_while(|byte| **byte == b'\\').count();
    // One that closes follows what it closes.
    let opens = word[..found - depth].last().is_none_or(|byte| b"[{(,:=".contains(byte));
    opens.then_some((Quote { mark: word[found], depth }, found + 1 == word.len()))
}

fn end(text: &str, from: usize, mut within: Option<Quote>, ends: Ends) -> usize {
    let bytes = text.as_bytes();
    let (mut at, mut backslashes, mut joined) = (from, 0, false);
    while let Some(&byte) = bytes.get(at) {
        let next = &bytes[at + 1..];
        match within {
            _ if byte == b'\\' => {
                backslashes += 1;
                at += 1;
                continue;
            }
            Some(quote) if byte == quote.mark && closes(quote, backslashes, next) => {
                // A shell's word may go on in other quotation marks, or with one that is meant as it is.
                joined = quote.depth == 0 && matches!(next, [b'"' | b'\'', ..] | [b'\\', b'"' | b'\'', ..]);
                if !joined {
                    return at - backslashes.min(quote.depth);
                }
                within = None;
            }
            Some(_) => {}
            None if byte == b' ' && backslashes % 2 == 1 => {}
            None if byte.is_ascii_whitespace() => return at,
            None if !joined && b"\"'`".contains(&byte) && is_end(next) => return at - backslashes,
            // A shell's word may be quoted from its middle on.
            None if b"\"'".contains(&byte) && backslashes % 2 == 0 && is_in_line(next, byte) => {
                within = Some(Quote { mark: byte, depth: 0 });
            }
            None => {}
        }
        match ends {
            Ends::Pair if b"&,;".contains(&byte) && begins_a_pair(next) => return at,
            Ends::Pair | Ends::Close if within.is_none() && b"&,;)]}".contains(&byte) && is_end(next) => return at,
            Ends::Comma if byte == b',' => {
                if next.first() != Some(&b',') {
                    return at;
                }
                at += 1;
            }
            _ => {}
        }
        backslashes = 0;
        at += 1;
    }
    // Never closed: it was no quotation, or the text was cut.
    let line = || text[from..].find('\n').map_or(text.len(), |line| from + line);
    if within.is_some() { line() } else { text.len() }
}

/// Whether a mark with so many backslashes before it closes that quotation.
fn closes(quote: Quote, backslashes: usize, next: &[u8]) -> bool {
    let Some(more) = backslashes.checked_sub(quote.depth) else { return true };
    let escaped = more % (2 * (quote.depth + 1)) != 0;
    // In a shell's single quotation marks a backslash is one.
    !escaped || quote == Quote { mark: b'\'', depth: 0 } && (is_end(next) || matches!(next, [b'"' | b'\'', ..]))
}

fn is_in_line(next: &[u8], mark: u8) -> bool {
    next.iter().take_while(|byte| **byte != b'\n').any(|byte| *byte == mark)
}

/// Whether nothing comes but what closes, until a blank.
fn is_end(next: &[u8]) -> bool {
    let mut few = next.iter().take(NEAR).skip_while(|byte| b"\"'`&,;:.)]}>|!?\\".contains(byte));
    few.next().is_none_or(u8::is_ascii_whitespace)
}

/// Whether what follows is a name with a value.
fn begins_a_pair(next: &[u8]) -> bool {
    let name = |byte: &&u8| byte.is_ascii_alphanumeric() || b"_-.".contains(byte);
    let length = next.iter().take(NEAR).take_while(name).count();
    length > 0 && next.get(length) == Some(&b'=')
}
