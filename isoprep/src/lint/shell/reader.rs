//! Reads a script into simple commands: operators, redirections, here-documents, and what looks like a command and is
//! none.

use super::{Command, Part, Word};

/// Words after which a command begins.
const OPENERS: [&str; 11] = ["if", "then", "elif", "else", "while", "until", "do", "time", "!", "{", "coproc"];
/// Words that end something and may be followed by an operator.
const CLOSERS: [&str; 5] = ["fi", "done", "esac", "}", "function"];

#[derive(Default)]
pub(super) struct Reader {
    pub(super) rest: Vec<char>,
    pub(super) at: usize,
    pub(super) line: usize,
    command: Command,
    pub(super) commands: Vec<Command>,
    /// Texts of `$(…)` and `` `…` `` with their lines.
    pub(super) nested: Vec<(String, usize)>,
    /// Delimiters of here-documents that begin at the next line; whether tabs are cut.
    documents: Vec<(String, bool)>,
    parens: usize,
    /// How many `case` are open, and whether a pattern comes next.
    cases: usize,
    pattern: bool,
}

/// Where a redirection's word goes.
#[derive(Clone, Copy, PartialEq)]
enum Goes {
    Write,
    Read,
    Nowhere,
}

impl Reader {
    pub(super) fn new(text: &str, line: usize) -> Self {
        Self { rest: text.chars().collect(), line, ..Self::default() }
    }

    pub(super) fn peek(&self, ahead: usize) -> Option<char> {
        self.rest.get(self.at + ahead).copied()
    }

    pub(super) fn next(&mut self) -> Option<char> {
        let c = self.peek(0)?;
        self.at += 1;
        self.line += usize::from(c == '\n');
        Some(c)
    }

    pub(super) fn starts(&self, text: &str) -> bool {
        text.chars().enumerate().all(|(ahead, c)| self.peek(ahead) == Some(c))
    }

    pub(super) fn skip(&mut self, count: usize) {
        for _ in 0..count {
            self.next();
        }
    }

    pub(super) fn read(&mut self) {
        while let Some(c) = self.peek(0) {
            match c {
                ' ' | '\t' | '\r' => self.skip(1),
                '\\' if self.peek(1) == Some('\n') => self.skip(2),
                '#' => self.comment(),
                '\n' if self.pattern => self.skip(1),
                _ if self.pattern => self.case_pattern(),
                '\n' => {
                    self.skip(1);
                    self.end(false);
                    self.here_documents();
                }
                '&' if self.starts("&>") => self.redirection(),
                ';' | '&' | '|' => {
                    let tolerant = self.starts("||");
                    self.pattern = self.cases > 0 && (self.starts(";;") || self.starts(";&"));
                    let double = self.peek(1) == Some(c) || self.starts(";&") || self.starts("|&");
                    self.skip(1 + usize::from(double) + usize::from(self.starts(";;&")));
                    self.end(tolerant);
                }
                '(' => self.open(),
                ')' => self.close(),
                '<' | '>' if self.peek(1) == Some('(') => {
                    self.skip(1);
                    self.substitution();
                    self.command.words.push(Word { parts: vec![Part::Opaque] });
                }
                '<' | '>' => self.redirection(),
                _ => self.take_word(),
            }
        }
        self.end(false);
    }

    /// A pattern of `case` up to its parenthesis, or the end of the `case`.
    fn case_pattern(&mut self) {
        self.pattern = false;
        self.skip(usize::from(self.starts("(")));
        let mut first = true;
        while let Some(c) = self.peek(0) {
            match c {
                ')' => return self.skip(1),
                ' ' | '\t' | '\r' | '\n' | '|' => self.skip(1),
                _ => {
                    let before = self.at;
                    if self.word().is_plain("esac") && first {
                        self.cases -= 1;
                        return;
                    }
                    first = false;
                    self.skip(usize::from(self.at == before));
                }
            }
        }
    }

    fn comment(&mut self) {
        while self.peek(0).is_some_and(|c| c != '\n') {
            self.next();
        }
    }

    fn end(&mut self, tolerant: bool) {
        let mut command = std::mem::take(&mut self.command);
        command.tolerant = tolerant;
        if !command.words.is_empty() || !command.writes.is_empty() || !command.reads.is_empty() {
            self.commands.push(command);
        }
    }

    /// `(`: a subshell, a function's `()`, an arithmetic command, or a pattern of `case`.
    fn open(&mut self) {
        if self.starts("((") && self.command.words.is_empty() {
            self.balanced();
            self.end(false);
        } else if self.peek(1) == Some(')') {
            // A function's name is no command.
            self.skip(2);
            self.command = Command::default();
        } else {
            self.skip(1);
            self.end(false);
            self.parens += 1;
        }
    }

    /// `)`: the end of a subshell, or of a pattern of `case`, whose words are no command.
    fn close(&mut self) {
        self.skip(1);
        if self.parens == 0 {
            self.command = Command::default();
        } else {
            self.parens -= 1;
            self.end(false);
        }
    }

    /// Skips from an opening parenthesis behind its closing one.
    pub(super) fn balanced(&mut self) {
        let (mut depth, mut quote) = (0_usize, None);
        while let Some(c) = self.next() {
            match (quote, c) {
                (_, '\\') if quote != Some('\'') => self.skip(1),
                (None, '\'' | '"') => quote = Some(c),
                (Some(open), _) if open == c => quote = None,
                (None, '(') => depth += 1,
                (None, ')') => {
                    depth = depth.saturating_sub(1);
                    if depth == 0 {
                        return;
                    }
                }
                _ => {}
            }
        }
    }

    /// `(…)` of `$(…)` or `<(…)`: its text is read later.
    pub(super) fn substitution(&mut self) {
        let (start, line) = (self.at + 1, self.line);
        self.balanced();
        let end = self.at.saturating_sub(1).max(start);
        let inner: String = self.rest.get(start..end).unwrap_or_default().iter().collect();
        self.nested.push((inner, line));
    }

    fn redirection(&mut self) {
        let here = self.starts("<<") && !self.starts("<<<");
        if here {
            let tabs = self.starts("<<-");
            self.skip(2 + usize::from(tabs));
            self.blanks();
            let word = self.word();
            let delimiter = word.parts.iter().map(|part| match part {
                Part::Text(text) => text.clone(),
                Part::Variable(name, _) | Part::Derived(name) => format!("${name}"),
                Part::Opaque => String::new(),
            });
            self.documents.push((delimiter.collect(), tabs));
            return;
        }
        let goes = match self.peek(0) {
            Some('<') if self.starts("<<<") || self.starts("<&") => Goes::Nowhere,
            Some('<') if self.starts("<>") => Goes::Write,
            Some('<') => Goes::Read,
            _ if self.starts(">&") => Goes::Nowhere,
            _ => Goes::Write,
        };
        while self.peek(0).is_some_and(|c| matches!(c, '<' | '>' | '&' | '|')) {
            self.skip(1);
        }
        self.blanks();
        self.word_to(goes);
    }

    fn blanks(&mut self) {
        while self.peek(0).is_some_and(|c| matches!(c, ' ' | '\t')) {
            self.skip(1);
        }
    }

    fn word_to(&mut self, goes: Goes) {
        let line = self.line;
        let word = self.word();
        if self.command.words.is_empty() && self.command.line == 0 {
            self.command.line = line;
        }
        match goes {
            Goes::Write => self.command.writes.push(word),
            Goes::Read => self.command.reads.push(word),
            Goes::Nowhere => {}
        }
    }

    fn take_word(&mut self) {
        let before = self.at;
        let line = self.line;
        let word = self.word();
        if self.at == before {
            // Whatever it is, it must not be met for ever.
            self.skip(1);
            return;
        }
        let first = self.command.words.is_empty();
        if first && OPENERS.iter().chain(&CLOSERS).any(|it| word.is_plain(it)) {
            if word.is_plain("function") {
                self.blanks();
                self.word();
            }
            self.cases = self.cases.saturating_sub(usize::from(word.is_plain("esac")));
            return;
        }
        if word.is_plain("in") && self.command.words.first().is_some_and(|first| first.is_plain("case")) {
            self.command = Command::default();
            (self.cases, self.pattern) = (self.cases + 1, true);
            return;
        }
        if first && word.is_plain("[[") {
            return self.test(line);
        }
        let text = if let [Part::Text(text)] = word.parts.as_slice() { text.as_str() } else { "" };
        if text.ends_with('=') && self.peek(0) == Some('(') {
            // An array: its words are data.
            return self.balanced();
        }
        let number = !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
        if number && matches!(self.peek(0), Some('<' | '>')) {
            return;
        }
        if first && self.command.line == 0 {
            self.command.line = line;
        }
        self.command.words.push(word);
    }

    /// `[[ … ]]`: operators in it are no operators of the shell.
    fn test(&mut self, line: usize) {
        self.command.line = line;
        self.command.words.push(Word { parts: vec![Part::Text("[[".to_owned())] });
        while let Some(c) = self.peek(0) {
            match c {
                ' ' | '\t' | '\n' | '\r' | '(' | ')' | '<' | '>' | '&' | '|' | ';' => self.skip(1),
                '\\' if self.peek(1) == Some('\n') => self.skip(2),
                _ => {
                    let before = self.at;
                    let word = self.word();
                    if word.is_plain("]]") {
                        return;
                    }
                    self.command.words.push(word);
                    if self.at == before {
                        self.skip(1);
                    }
                }
            }
        }
    }

    fn here_documents(&mut self) {
        for (delimiter, tabs) in std::mem::take(&mut self.documents) {
            while self.at < self.rest.len() {
                let start = self.at;
                while self.peek(0).is_some_and(|c| c != '\n') {
                    self.at += 1;
                }
                let line: String = self.rest[start..self.at].iter().collect();
                self.skip(1);
                if (if tabs { line.trim_start_matches('\t') } else { &line }).trim_end_matches('\r') == delimiter {
                    break;
                }
            }
        }
    }
}
