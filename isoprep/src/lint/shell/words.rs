//! Reads one word of a script: quotes, variables, substitutions.

use super::reader::Reader;
use super::{Part, Word};

impl Reader {
    /// One word, up to a blank or an operator.
    pub(super) fn word(&mut self) -> Word {
        let mut word = Word::default();
        while let Some(c) = self.peek(0) {
            match c {
                ' ' | '\t' | '\r' | '\n' | ';' | '&' | '|' | '<' | '>' | '(' | ')' => break,
                '\\' => {
                    self.skip(1);
                    if let Some(c) = self.next().filter(|c| *c != '\n') {
                        word.push(c);
                    }
                }
                '\'' => self.single_quoted(&mut word),
                '"' => self.double_quoted(&mut word),
                '`' => self.backquoted(&mut word),
                '$' => self.dollar(&mut word),
                '*' | '?' | '[' if c != '[' || !(word.parts.is_empty() || word.is_plain("[")) => {
                    self.skip(1);
                    word.parts.push(Part::Opaque);
                }
                '{' if self.peek(1).is_some_and(|c| !matches!(c, ' ' | '\t' | '\n')) => {
                    self.skip(1);
                    word.parts.push(Part::Opaque);
                }
                _ => {
                    self.skip(1);
                    word.push(c);
                }
            }
        }
        word
    }

    fn single_quoted(&mut self, word: &mut Word) {
        self.skip(1);
        word.parts.push(Part::Text(String::new()));
        while let Some(c) = self.next().filter(|c| *c != '\'') {
            word.push(c);
        }
    }

    fn double_quoted(&mut self, word: &mut Word) {
        self.skip(1);
        word.parts.push(Part::Text(String::new()));
        while let Some(c) = self.peek(0) {
            match c {
                '"' => return self.skip(1),
                '\\' => {
                    self.skip(1);
                    match self.next() {
                        Some('\n') | None => {}
                        Some(c) => word.push(c),
                    }
                }
                '`' => self.backquoted(word),
                '$' => self.dollar(word),
                _ => {
                    self.skip(1);
                    word.push(c);
                }
            }
        }
    }

    fn backquoted(&mut self, word: &mut Word) {
        self.skip(1);
        let (line, mut inner) = (self.line, String::new());
        while let Some(c) = self.next().filter(|c| *c != '`') {
            inner.push(c);
        }
        self.nested.push((inner, line, self.commands.len()));
        word.parts.push(Part::Opaque);
    }

    fn dollar(&mut self, word: &mut Word) {
        self.skip(1);
        let name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        match self.peek(0) {
            Some('(') if self.starts("((") => {
                self.balanced();
                word.parts.push(Part::Opaque);
            }
            Some('(') => {
                self.substitution();
                word.parts.push(Part::Opaque);
            }
            Some('{') => {
                let inner = self.braced();
                word.parts.push(parameter(&inner));
            }
            Some('\'' | '"') => {}
            Some(c) if c.is_ascii_alphabetic() || c == '_' => {
                let mut variable = String::new();
                while let Some(c) = self.peek(0).filter(|c| name(*c)) {
                    variable.push(c);
                    self.skip(1);
                }
                word.parts.push(Part::Variable(variable, None));
            }
            Some(c) if c.is_ascii_digit() || "@*#?-$!".contains(c) => {
                self.skip(1);
                word.parts.push(Part::Opaque);
            }
            _ => word.push('$'),
        }
    }

    /// The text between the braces of `${…}`.
    fn braced(&mut self) -> String {
        let (mut depth, mut inner) = (0_usize, String::new());
        while let Some(c) = self.next() {
            depth += usize::from(c == '{');
            if c == '}' {
                depth -= 1;
                if depth == 0 {
                    break;
                }
            }
            if c == '\\' {
                inner.extend(self.next());
            } else if depth > 1 || c != '{' || !inner.is_empty() {
                inner.push(c);
            }
        }
        inner
    }
}

/// What `${inner}` is: a name, or a name with a plain default.
fn parameter(inner: &str) -> Part {
    let end = inner.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(inner.len());
    let (name, rest) = inner.split_at(end);
    let default = rest.strip_prefix(":-").or_else(|| rest.strip_prefix('-'));
    match (name, rest, default) {
        ("", ..) => Part::Opaque,
        (_, "", _) => Part::Variable(name.to_owned(), None),
        (_, _, Some(default)) if !default.contains(['$', '`', '*', '?']) => {
            Part::Variable(name.to_owned(), Some(default.trim_matches(['"', '\'']).to_owned()))
        }
        _ => Part::Derived(name.to_owned()),
    }
}
