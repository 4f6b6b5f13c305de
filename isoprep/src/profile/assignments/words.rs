//! Words of a bash file: quotes are taken away, expansions are passed over as they are.

use super::{Scanner, Word};
use crate::profile::quoting::{ansi_c, text};

/// Words nested deeper than this (`$(… $(…))`) are taken as they are.
const DEEPEST: usize = 40;

impl Scanner<'_> {
    /// Reads up to what ends a word; with `in_brackets` up to the closing bracket or the end of the line.
    pub(super) fn word(&mut self, depth: usize, in_brackets: bool) -> Word {
        let (mut value, mut expands) = (Vec::new(), false);
        while let Some(byte) = self.peek() {
            match byte {
                b']' | b'\n' if in_brackets => break,
                b' ' | b'\t' | b'\r' | b'\n' | b';' | b'&' | b'|' | b'(' | b')' | b'<' | b'>' if !in_brackets => break,
                b'\\' => {
                    if let Some(next) = self.ahead(1).filter(|next| *next != b'\n') {
                        value.push(next);
                    }
                    self.at = (self.at + 2).min(self.bytes.len());
                }
                b'\'' => {
                    let rest = &self.bytes[self.at + 1..];
                    let length = rest.iter().position(|byte| *byte == b'\'').unwrap_or(rest.len());
                    value.extend_from_slice(&rest[..length]);
                    self.at = (self.at + length + 2).min(self.bytes.len());
                }
                b'"' => expands |= self.double_quoted(depth, &mut value),
                b'$' if self.ahead(1) == Some(b'\'') => match ansi_c(self.bytes, self.at + 2) {
                    Some((decoded, next)) => {
                        value.extend_from_slice(&decoded);
                        self.at = next;
                    }
                    None => self.at = self.bytes.len(),
                },
                b'$' | b'`' => {
                    let start = self.at;
                    expands |= self.skip_expansion(depth);
                    value.extend_from_slice(&self.bytes[start..self.at]);
                }
                other => {
                    value.push(other);
                    self.at += 1;
                }
            }
        }
        Word { text: text(value), expands }
    }

    /// Reads `"…"` into `value`; whether something in it expands.
    fn double_quoted(&mut self, depth: usize, value: &mut Vec<u8>) -> bool {
        let mut expands = false;
        self.at += 1;
        while let Some(byte) = self.peek() {
            match byte {
                b'"' => {
                    self.at += 1;
                    break;
                }
                b'\\' => {
                    match self.ahead(1) {
                        Some(next @ (b'$' | b'`' | b'"' | b'\\')) => value.push(next),
                        Some(b'\n') | None => {}
                        Some(next) => value.extend_from_slice(&[b'\\', next]),
                    }
                    self.at = (self.at + 2).min(self.bytes.len());
                }
                b'$' | b'`' => {
                    let start = self.at;
                    expands |= self.skip_expansion(depth);
                    value.extend_from_slice(&self.bytes[start..self.at]);
                }
                other => {
                    value.push(other);
                    self.at += 1;
                }
            }
        }
        expands
    }

    /// Passes over `$name`, `${…}`, `$(…)` or `` `…` ``; whether it was one.
    fn skip_expansion(&mut self, depth: usize) -> bool {
        if self.peek() == Some(b'`') {
            self.at += 1;
            while let Some(byte) = self.peek() {
                self.at += if byte == b'\\' { 2 } else { 1 };
                if byte == b'`' {
                    break;
                }
            }
            self.at = self.at.min(self.bytes.len());
            return true;
        }
        self.at += 1;
        match self.peek() {
            Some(b'(' | b'{') => self.skip_substitution(depth + 1),
            Some(byte) if byte == b'_' || byte.is_ascii_alphabetic() => {
                while self.peek().is_some_and(|byte| byte == b'_' || byte.is_ascii_alphanumeric()) {
                    self.at += 1;
                }
            }
            Some(byte) if byte.is_ascii_digit() || b"@*#?-$!".contains(&byte) => self.at += 1,
            _ => return false,
        }
        true
    }

    /// Passes over `(…)` or `{…}` with what is quoted and nested in it.
    pub(super) fn skip_substitution(&mut self, depth: usize) {
        let (open, close) = if self.peek() == Some(b'(') { (b'(', b')') } else { (b'{', b'}') };
        let (mut nested, mut dropped) = (0_usize, Vec::new());
        while let Some(byte) = self.peek() {
            match byte {
                b'\\' => self.at = (self.at + 2).min(self.bytes.len()),
                b'\'' | b'"' | b'$' | b'`' if depth >= DEEPEST => self.at += 1,
                b'\'' => {
                    let rest = &self.bytes[self.at + 1..];
                    let length = rest.iter().position(|byte| *byte == b'\'').unwrap_or(rest.len());
                    self.at = (self.at + length + 2).min(self.bytes.len());
                }
                b'"' => {
                    self.double_quoted(depth + 1, &mut dropped);
                    dropped.clear();
                }
                b'$' | b'`' => {
                    self.skip_expansion(depth + 1);
                }
                _ => {
                    self.at += 1;
                    if byte == open {
                        nested += 1;
                    } else if byte == close {
                        nested = nested.saturating_sub(1);
                        if nested == 0 {
                            return;
                        }
                    }
                }
            }
        }
    }
}
