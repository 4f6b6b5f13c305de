//! How bash quotes: the two quoting styles of its output and its input (bash(1), "QUOTING").

/// The longest universal character name that is decoded: `\U0010FFFF`.
const LAST_CHARACTER: u32 = 0x0010_FFFF;

/// Decodes what follows `$'`, from the byte at `at`. Gives the bytes and the place after the closing quote; `None` if there is
/// none. As in bash, a NUL ends the value, although not the quote.
pub(super) fn ansi_c(bytes: &[u8], mut at: usize) -> Option<(Vec<u8>, usize)> {
    let mut value = Vec::new();
    let mut ended = false;
    loop {
        let mut decoded = [0; 4];
        let piece: &[u8] = match *bytes.get(at)? {
            b'\'' => return Some((value, at + 1)),
            b'\\' => {
                let (length, next) = escape(bytes, at + 1, &mut decoded)?;
                at = next;
                &decoded[..length]
            }
            other => {
                at += 1;
                decoded[0] = other;
                &decoded[..1]
            }
        };
        ended |= piece == [0];
        if !ended {
            value.extend_from_slice(piece);
        }
    }
}

/// Decodes the escape whose letter is at `at`. Gives the length of what it means and the place after it.
fn escape(bytes: &[u8], at: usize, out: &mut [u8; 4]) -> Option<(usize, usize)> {
    let letter = *bytes.get(at)?;
    let single = |byte: u8| Some((byte, at + 1));
    let simple = match letter {
        b'a' => single(7),
        b'b' => single(8),
        b'e' | b'E' => single(27),
        b'f' => single(12),
        b'n' => single(b'\n'),
        b'r' => single(b'\r'),
        b't' => single(b'\t'),
        b'v' => single(11),
        b'\\' | b'\'' | b'"' | b'?' => single(letter),
        b'0'..=b'7' => number(bytes, at, 8, 3).map(|(value, next)| (low_byte(value), next)),
        b'x' => number(bytes, at + 1, 16, 2).map(|(value, next)| (low_byte(value), next)),
        b'c' => bytes.get(at + 1).map(|key| (key.to_ascii_uppercase() & 0x1f, at + 2)),
        _ => None,
    };
    if let Some((byte, next)) = simple {
        out[0] = byte;
        return Some((1, next));
    }
    let digits = match letter {
        b'u' => 4,
        b'U' => 8,
        _ => 0,
    };
    match number(bytes, at + 1, 16, digits) {
        Some((value, next)) => {
            let character = char::from_u32(value.min(LAST_CHARACTER)).unwrap_or(char::REPLACEMENT_CHARACTER);
            Some((character.encode_utf8(out).len(), next))
        }
        // No escape at all: the backslash stands for itself.
        None => {
            out[0] = b'\\';
            Some((1, at))
        }
    }
}

fn low_byte(value: u32) -> u8 {
    value.to_le_bytes()[0]
}

/// Up to `most` digits from `at`; `None` if there is not one.
fn number(bytes: &[u8], at: usize, base: u32, most: usize) -> Option<(u32, usize)> {
    let (mut value, mut next) = (0_u32, at);
    while next < at + most
        && let Some(digit) = bytes.get(next).and_then(|byte| char::from(*byte).to_digit(base))
    {
        value = value.wrapping_mul(base).wrapping_add(digit);
        next += 1;
    }
    (next > at).then_some((value, next))
}

/// Decodes what follows `"`, from the byte at `at`, where nothing is expanded. Gives the bytes and the place after the closing
/// quote; `None` if there is none.
pub(super) fn double(bytes: &[u8], mut at: usize) -> Option<(Vec<u8>, usize)> {
    let mut value = Vec::new();
    loop {
        match *bytes.get(at)? {
            b'"' => return Some((value, at + 1)),
            b'\\' => {
                let next = *bytes.get(at + 1)?;
                match next {
                    b'$' | b'`' | b'"' | b'\\' => value.push(next),
                    b'\n' => {}
                    _ => value.extend_from_slice(&[b'\\', next]),
                }
                at += 2;
            }
            other => {
                value.push(other);
                at += 1;
            }
        }
    }
}

/// Bytes as text; what is not UTF-8 becomes U+FFFD.
pub(super) fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(quoted: &str) -> Option<String> {
        ansi_c(quoted.as_bytes(), 0).map(|(bytes, next)| format!("{}|{}", text(bytes).escape_debug(), &quoted[next..]))
    }

    #[test]
    fn every_escape_of_the_manual_is_decoded() {
        assert_eq!(decoded(r"a\n\t\\\'\E[0m' rest").unwrap(), r"a\n\t\\\'\u{1b}[0m| rest");
        assert_eq!(decoded(r"\101\x41\u0041\U00000041\cA\ca'").unwrap(), r"AAAA\u{1}\u{1}|");
        assert_eq!(decoded(r"\303\274\u00fc'").unwrap(), "üü|");
        assert_eq!(decoded(r"\q\xg\u'").unwrap(), r"\\q\\xg\\u|", "what is no escape stands for itself");
        assert_eq!(decoded(r"a\0bc' rest").unwrap(), "a| rest", "a NUL ends the value");
        assert_eq!(decoded(r"\Uffffffff\ud800'").unwrap(), "\\u{10ffff}\u{fffd}|");
        assert_eq!(decoded("open"), None);
        assert_eq!(decoded("open\\'"), None);
        assert_eq!(decoded("\\"), None);
    }

    #[test]
    fn double_quotes_keep_backslashes_that_escape_nothing() {
        let (bytes, next) = double(br#"a\$\`\"\\\n"x"#, 0).unwrap();
        assert_eq!((text(bytes).as_str(), next), (r#"a$`"\\n"#, 12));
        assert_eq!(double(b"a\\\nb\"", 0).unwrap().0, b"ab");
        assert_eq!(double(b"open\\", 0), None);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_taken_and_nothing_grows(bytes: Vec<u8>) {
            for found in [ansi_c(&bytes, 0), double(&bytes, 0)].into_iter().flatten() {
                proptest::prop_assert!(found.0.len() <= bytes.len() && found.1 <= bytes.len());
            }
        }
    }
}
