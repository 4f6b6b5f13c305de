//! Finds the assignments in a bash file without running it: which line sets what, and to which words.
//!
//! This is for lines to point at, and for files that hold nothing but assignments (`mkinitcpio.conf`, presets). What a
//! variable really is after a profile has run is bash's to say: see `evaluate`.

use super::quoting::{ansi_c, text};

/// Words nested deeper than this (`$(… $(…))`) are taken as they are.
const DEEPEST: usize = 40;

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

    /// Reads up to what ends a word; with `in_brackets` up to the closing bracket or the end of the line.
    fn word(&mut self, depth: usize, in_brackets: bool) -> Word {
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
    fn skip_substitution(&mut self, depth: usize) {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn word(text: &str) -> Word {
        Word { text: text.to_owned(), expands: false }
    }

    fn scalars(source: &str) -> Vec<(usize, String, String)> {
        let shown = |it: Assignment| match it.value {
            Assigned::Scalar(word) => (it.line, it.name, word.text),
            Assigned::Array(elements) => {
                let words: Vec<String> = elements.into_iter().map(|element| element.word.text).collect();
                (it.line, it.name, format!("({})", words.join("|")))
            }
        };
        scan(source).assignments.into_iter().map(shown).collect()
    }

    fn found(source: &str) -> String {
        let lines: Vec<String> =
            scalars(source).into_iter().map(|(line, name, value)| format!("{line} {name}={value}")).collect();
        lines.join("\n")
    }

    #[test]
    fn quotes_and_expansions_are_told_apart() {
        let words = scan("a='x y'\nb=\"p \\\"q\\\" $v\"\nc=pre$'\\n'post\nd=a\\ b\ne=$(date \"+%Y) \\\")\" ')')x\nf=${a:-\"}\"}y\ng=`a;b`\nh=$((1+(2)))\ni=$\n")
            .assignments;
        let value = |index: usize| match &words[index].value {
            Assigned::Scalar(word) => (word.text.as_str(), word.expands),
            Assigned::Array(_) => panic!("no array"),
        };
        assert_eq!(value(0), ("x y", false));
        assert_eq!(value(1), ("p \"q\" $v", true));
        assert_eq!(value(2), ("pre\npost", false));
        assert_eq!(value(3), ("a b", false));
        assert_eq!(value(4), ("$(date \"+%Y) \\\")\" ')')x", true));
        assert_eq!(value(5), ("${a:-\"}\"}y", true));
        assert_eq!(value(6), ("`a;b`", true));
        assert_eq!(value(7), ("$((1+(2)))", true));
        assert_eq!(value(8), ("$", false));
        assert_eq!(words.len(), 9);
    }

    #[test]
    fn arrays_over_several_lines_have_the_line_of_each_element() {
        let script =
            scan("x=1\nm=(\n  [\"/etc/shadow\"]=\"0:0:400\" # secret)\n  [/root]=0:0:750\n)\nl=('a' # b\n   $c)\n");
        let element = |key: Option<&str>, word: Word, line| Element { key: key.map(str::to_owned), word, line };
        let expanding = Word { text: "$c".to_owned(), expands: true };
        assert_eq!(script.assignments.len(), 3);
        assert_eq!(
            script.assignments[1].value,
            Assigned::Array(vec![
                element(Some("/etc/shadow"), word("0:0:400"), 3),
                element(Some("/root"), word("0:0:750"), 4),
            ])
        );
        assert_eq!(
            script.assignments[2].value,
            Assigned::Array(vec![element(None, word("a"), 6), element(None, expanding, 7)])
        );
        assert_eq!(script.assignments[2].line, 6);
    }

    #[test]
    fn what_only_looks_like_an_assignment_is_none() {
        let source = "# a=1\necho b=2 \"\nc=3\n\"\ncat <<EOF >x; d=4\ne=5\nEOF\ncat <<-'END X'\n\tf=6\n\tEND X\nLC_ALL=C sort\ng=7; h=8 # i=9\n";
        assert_eq!(found(source), "5 d=4\n12 g=7\n12 h=8");
        let commands: Vec<String> = scan(source).commands.into_iter().map(|it| it.1).collect();
        assert_eq!(commands, ["echo", "cat", "cat", "sort"]);
    }

    #[test]
    fn declarations_conditions_and_functions_are_looked_into() {
        let source = "declare -A m=([a]=b) n\nexport x=1 y='2 3'\nif [[ $x == 1 ]]; then z=4; fi\nf() { local q=5; }\nm[c]+=6\n{ r=7; }\n\
                      for i in 1 2; do s=8; done\nread -r t < <(u=9 cmd)\nv+=(w)\n";
        assert_eq!(found(source), "1 m=(b)\n2 x=1\n2 y=2 3\n3 z=4\n4 q=5\n5 m[c]=6\n6 r=7\n7 s=8\n9 v=(w)");
        assert!(scan("v+=(w)").assignments[0].appends);
    }

    #[test]
    fn lines_with_carriage_returns_and_files_that_end_early_are_read() {
        assert_eq!(found("a=1\r\nb=2\r\n"), "1 a=1\n2 b=2");
        for source in [
            "a=(", "a=(b", "a=([", "a=([b]=", "a='", "a=\"", "a=$(", "a=${", "a=`", "a=\\", "a=$'", "<<", "a[", "x <<E",
        ] {
            let _ = scan(source);
        }
        assert_eq!(found(&format!("a={}x", "$(".repeat(5000))).lines().count(), 1);
        assert_eq!(found(&"a=(((".repeat(300)).lines().count(), 1);
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_scanned_and_every_line_exists(source in "[a-z=+()\\[\\]{}$'\"`\\\\#;&|<>\n \t-]{0,80}", any: String) {
            for source in [source, any] {
                let lines = source.matches('\n').count() + 1;
                for it in scan(&source).assignments {
                    proptest::prop_assert!((1..=lines).contains(&it.line), "{:?}", it);
                }
            }
        }

        #[test]
        fn a_quoted_word_is_the_word(value: String) {
            let quoted = shlex_quote(&value);
            let script = scan(&format!("a={quoted}\nb=({quoted} {quoted})\n"));
            let wanted = Word { text: value, expands: false };
            proptest::prop_assert_eq!(&script.assignments[0].value, &Assigned::Scalar(wanted.clone()));
            let Assigned::Array(elements) = &script.assignments[1].value else { panic!("no array") };
            proptest::prop_assert!(elements.len() == 2 && elements.iter().all(|it| it.word == wanted));
        }
    }

    /// The one quoting style that works for every text.
    fn shlex_quote(value: &str) -> String {
        format!("'{}'", value.replace('\'', "'\\''"))
    }
}
