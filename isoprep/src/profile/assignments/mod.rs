//! Finds the assignments in a bash file without running it: which line sets what, and to which words.
//!
//! This is for lines to point at, and for files that hold nothing but assignments (`mkinitcpio.conf`, presets). What a
//! variable really is after a profile has run is bash's to say: see `evaluate`.

mod words;

use super::quoting::text;

/// One assignment that stands as a command of its own, or is an argument of `export`, `declare` and their like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Assignment {
    /// The variable, or for `name[key]=value` the whole of it.
    pub(crate) name: String,
    /// Whether it is `+=`.
    pub(crate) appends: bool,
    /// Where it begins, from 1.
    pub(crate) line: usize,
    /// What is assigned.
    pub(crate) value: Assigned,
}

/// What is assigned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Assigned {
    /// A string.
    Scalar(Word),
    /// `( … )`.
    Array(Vec<Element>),
}

/// An element of an array.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Element {
    /// What is between the brackets of `[key]=value`.
    pub(crate) key: Option<String>,
    /// The value.
    pub(crate) word: Word,
    /// From 1.
    pub(crate) line: usize,
}

/// A word without its quotes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Word {
    /// Expansions such as `$x` and `$(date)` are left as written.
    pub(crate) text: String,
    /// Whether there is an expansion, so that the text is not the value.
    pub(crate) expands: bool,
}

/// What a bash file says, read and not run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Script {
    /// In the order of the file, whatever conditions they are under.
    pub(crate) assignments: Vec<Assignment>,
    /// The first line of each command that is no assignment, with the command's first word.
    pub(crate) commands: Vec<(usize, String)>,
}

/// Reads a bash file.
pub(crate) fn scan(source: &str) -> Script {
    let bytes = source.as_bytes();
    let newlines = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at).collect();
    let mut scanner = Scanner { bytes, at: 0, newlines, heredocs: Vec::new(), script: Script::default() };
    scanner.commands();
    scanner.script
}

struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
    newlines: Vec<usize>,
    /// What ends the here-documents that begin after this line, and whether their lines may be indented with tabs.
    heredocs: Vec<(Vec<u8>, bool)>,
    script: Script,
}

/// Words after which another command may begin.
const OPENERS: [&str; 13] = ["{", "}", "!", "if", "then", "else", "elif", "fi", "while", "until", "do", "done", "time"];
/// Builtins whose arguments are assignments.
const DECLARERS: [&str; 5] = ["declare", "typeset", "export", "readonly", "local"];

impl Scanner<'_> {
    fn peek(&self) -> Option<u8> {
        self.ahead(0)
    }

    fn ahead(&self, by: usize) -> Option<u8> {
        self.bytes.get(self.at + by).copied()
    }

    fn line(&self, at: usize) -> usize {
        self.newlines.partition_point(|newline| *newline < at) + 1
    }

    fn commands(&mut self) {
        // Assignments before a command's name are that command's alone: held until its end is seen.
        let mut held: Vec<Assignment> = Vec::new();
        let (mut at_command, mut declares) = (true, false);
        while let Some(byte) = self.peek() {
            match byte {
                b' ' | b'\t' | b'\r' => self.at += 1,
                b'\\' if self.ahead(1) == Some(b'\n') => self.at += 2,
                b'#' => self.skip_line(),
                b'\n' | b';' | b'&' | b'|' | b'(' | b')' => {
                    self.at += 1;
                    self.script.assignments.append(&mut held);
                    (at_command, declares) = (true, false);
                    if byte == b'\n' {
                        self.skip_heredocs();
                    }
                }
                b'<' | b'>' => self.redirection(),
                _ if at_command || declares => {
                    let (start, line) = (self.at, self.line(self.at));
                    if let Some((name, appends)) = self.target() {
                        let value = self.assigned();
                        held.push(Assignment { name, appends, line, value });
                        continue;
                    }
                    self.at = start;
                    let word = self.word(0, false).text;
                    if at_command && !OPENERS.contains(&word.as_str()) {
                        declares = DECLARERS.contains(&word.as_str());
                        held.clear();
                        if !declares {
                            self.script.commands.push((line, word));
                        }
                        at_command = false;
                    }
                }
                _ => {
                    self.word(0, false);
                }
            }
        }
        self.script.assignments.append(&mut held);
    }

    fn skip_line(&mut self) {
        let rest = &self.bytes[self.at..];
        self.at += rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
    }

    fn skip_heredocs(&mut self) {
        for (end, indented) in std::mem::take(&mut self.heredocs) {
            while self.at < self.bytes.len() {
                let start = self.at;
                self.skip_line();
                let mut line = &self.bytes[start..self.at];
                self.at = (self.at + 1).min(self.bytes.len());
                while let (true, [b'\t', rest @ ..]) = (indented, line) {
                    line = rest;
                }
                if line == end {
                    break;
                }
            }
        }
    }

    fn redirection(&mut self) {
        let heredoc = self.bytes[self.at..].starts_with(b"<<") && self.ahead(2) != Some(b'<');
        while matches!(self.peek(), Some(b'<' | b'>' | b'&')) {
            self.at += 1;
        }
        let indented = heredoc && self.peek() == Some(b'-');
        self.at += usize::from(indented);
        while matches!(self.peek(), Some(b' ' | b'\t')) {
            self.at += 1;
        }
        let process = self.peek() == Some(b'(');
        if process {
            self.skip_substitution(0);
            return;
        }
        let target = self.word(0, false);
        if heredoc {
            self.heredocs.push((target.text.into_bytes(), indented));
        }
    }

    /// `name=`, `name+=` or `name[key]=`, and whether it appends; otherwise nothing is promised about the place.
    fn target(&mut self) -> Option<(String, bool)> {
        let start = self.at;
        while let Some(byte) = self.peek()
            && (byte == b'_' || byte.is_ascii_alphabetic() || (self.at > start && byte.is_ascii_digit()))
        {
            self.at += 1;
        }
        if self.at == start {
            return None;
        }
        let mut name = text(self.bytes[start..self.at].to_vec());
        if self.peek() == Some(b'[') {
            name = format!("{name}[{}]", self.key()?);
        }
        let appends = self.peek() == Some(b'+');
        self.at += usize::from(appends);
        if self.peek() != Some(b'=') {
            return None;
        }
        self.at += 1;
        Some((name, appends))
    }

    /// `[key]`, without quotes; `None` if it is not closed on its line.
    fn key(&mut self) -> Option<String> {
        self.at += 1;
        let key = self.word(0, true);
        if self.peek() != Some(b']') {
            return None;
        }
        self.at += 1;
        Some(key.text)
    }

    fn assigned(&mut self) -> Assigned {
        if self.peek() != Some(b'(') {
            return Assigned::Scalar(self.word(0, false));
        }
        self.at += 1;
        let mut elements = Vec::new();
        loop {
            match self.peek() {
                None => break,
                Some(b')') => {
                    self.at += 1;
                    break;
                }
                Some(b' ' | b'\t' | b'\n' | b'\r') => self.at += 1,
                Some(b'\\') if self.ahead(1) == Some(b'\n') => self.at += 2,
                Some(b'#') => self.skip_line(),
                Some(_) => elements.push(self.element()),
            }
        }
        Assigned::Array(elements)
    }

    fn element(&mut self) -> Element {
        let (start, line) = (self.at, self.line(self.at));
        if self.peek() == Some(b'[')
            && let Some(key) = self.key()
            && self.peek() == Some(b'=')
        {
            self.at += 1;
            return Element { key: Some(key), word: self.word(0, false), line };
        }
        self.at = start;
        let word = self.word(0, false);
        // A character that begins no word would hold us here for ever.
        if self.at == start {
            self.at += 1;
        }
        Element { key: None, word, line }
    }
}

#[cfg(test)]
mod tests;
