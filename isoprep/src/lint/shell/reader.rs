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
    pub(super) command: Command,
    pub(super) commands: Vec<Command>,
    /// Texts of `$(…)` and `` `…` `` with their lines, and the number of the command that they are in.
    pub(super) nested: Vec<(String, usize, usize)>,
    /// Delimiters of here-documents that begin at the next line; whether tabs are cut.
    pub(super) documents: Vec<(String, bool)>,
    parens: usize,
    /// How many conditions are open, and whether `!` stands before the next command.
    conditions: usize,
    negated: bool,
    /// Where the groups, subshells, loops and conditions that are open began among the commands.
    groups: Vec<usize>,
    /// Where the pipeline began; whether its next command reads from it.
    pipeline: usize,
    piped: bool,
    /// The number before a redirection.
    pub(super) descriptor: String,
    /// How many `case` are open, and whether a pattern comes next.
    cases: usize,
    pattern: bool,
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
                    let empty = self.command.words.is_empty();
                    self.end(false);
                    // A line that ends with a pipe goes on.
                    if !(self.piped && empty) {
                        (self.pipeline, self.piped) = (self.commands.len(), false);
                    }
                    self.here_documents();
                }
                '&' if self.starts("&>") => self.redirection(),
                ';' | '&' | '|' => {
                    let tolerant = self.starts("||") || self.starts("&&");
                    let pipe = c == '|' && !self.starts("||");
                    self.pattern = self.cases > 0 && (self.starts(";;") || self.starts(";&"));
                    let double = self.peek(1) == Some(c) || self.starts(";&") || self.starts("|&");
                    self.skip(1 + usize::from(double) + usize::from(self.starts(";;&")));
                    self.end(tolerant);
                    self.piped = pipe;
                    if !pipe {
                        let whole = self.commands.iter_mut().skip(self.pipeline);
                        whole.for_each(|command| command.tolerant |= tolerant);
                        self.pipeline = self.commands.len();
                    }
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
                        self.leave();
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
        command.tolerant = tolerant || self.conditions > 0 || (self.negated && !command.words.is_empty());
        command.piped = self.piped;
        self.negated &= command.words.is_empty();
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
            self.groups.push(self.commands.len());
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
            self.leave();
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
        self.nested.push((inner, line, self.commands.len()));
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
            self.structure(&word);
            return;
        }
        if first && ["for", "select", "case"].iter().any(|it| word.is_plain(it)) {
            self.groups.push(self.commands.len());
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
            text.clone_into(&mut self.descriptor);
            return;
        }
        if first && self.command.line == 0 {
            self.command.line = line;
        }
        self.command.words.push(word);
    }

    /// What a reserved word begins or ends.
    fn structure(&mut self, word: &Word) {
        let is = |words: &[&str]| words.iter().any(|it| word.is_plain(it));
        if is(&["if", "while", "until", "{"]) {
            self.groups.push(self.commands.len());
        }
        self.conditions += usize::from(is(&["if", "elif", "while", "until"]));
        self.conditions = self.conditions.saturating_sub(usize::from(is(&["then", "do"])));
        self.negated = is(&["!"]);
        if is(&["fi", "done", "esac", "}"]) {
            self.leave();
        }
    }

    /// The end of a group: what follows it, as `|| true`, is about all of it.
    fn leave(&mut self) {
        self.pipeline = self.groups.pop().unwrap_or(self.commands.len());
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
}
