//! A reader of shell scripts that finds simple commands: enough of the grammar (POSIX.1-2024 XCU 2, bash's `[[`, arrays,
//! here-documents) to see what is run, sourced and written where, and no more. Nothing is run or expanded. Whatever is not
//! understood becomes an opaque word, which no rule says anything about.

/// A simple command.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Command {
    /// The line of its first word, from 1.
    pub(super) line: usize,
    /// Its words, assignments included.
    pub(super) words: Vec<Word>,
    /// Where `>`, `>>`, `&>` write.
    pub(super) writes: Vec<Word>,
    /// What `<` reads.
    pub(super) reads: Vec<Word>,
    /// Whether `||` follows: its failure is taken care of.
    pub(super) tolerant: bool,
}

/// A word with its parts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Word {
    /// In order.
    pub(super) parts: Vec<Part>,
}

/// A part of a word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// As it is.
    Text(String),
    /// `$NAME`, `${NAME}`, `${NAME:-default}`.
    Variable(String, Option<String>),
    /// `${NAME…}` with anything else behind the name: its value is not known.
    Derived(String),
    /// Anything that only a shell can know.
    Opaque,
}

impl Word {
    /// The word if it has no variables.
    pub(super) fn literal(&self) -> Option<String> {
        self.parts.iter().map(|part| if let Part::Text(text) = part { Some(text.as_str()) } else { None }).collect()
    }

    /// The word with its variables replaced; `None` if one is not known or a part is opaque.
    pub(super) fn expand(&self, value: &dyn Fn(&str) -> Option<String>) -> Option<String> {
        let mut text = String::new();
        for part in &self.parts {
            match part {
                Part::Text(part) => text.push_str(part),
                Part::Variable(name, default) => text.push_str(&value(name).or_else(|| default.clone())?),
                Part::Derived(_) | Part::Opaque => return None,
            }
        }
        Some(text)
    }

    /// The variables that it names.
    pub(super) fn variables(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Variable(name, _) | Part::Derived(name) => Some(name.as_str()),
            Part::Text(_) | Part::Opaque => None,
        })
    }

    fn push(&mut self, c: char) {
        if let Some(Part::Text(text)) = self.parts.last_mut() {
            text.push(c);
        } else {
            self.parts.push(Part::Text(c.to_string()));
        }
    }

    fn is_plain(&self, text: &str) -> bool {
        matches!(self.parts.as_slice(), [Part::Text(own)] if own == text)
    }
}

/// How deep `$(…)` is followed.
const DEEPEST: usize = 4;
/// Words after which a command begins.
const OPENERS: [&str; 11] = ["if", "then", "elif", "else", "while", "until", "do", "time", "!", "{", "coproc"];
/// Words that end something and may be followed by an operator.
const CLOSERS: [&str; 5] = ["fi", "done", "esac", "}", "function"];

/// All simple commands of a script, those in `$(…)` too, in the order in which they are met.
pub(super) fn commands(script: &str) -> Vec<Command> {
    let mut found = Vec::new();
    let mut waiting = vec![(script.to_owned(), 1, 0)];
    while let Some((text, line, depth)) = waiting.pop() {
        let mut reader = Reader { rest: text.chars().collect(), line, ..Reader::default() };
        reader.read();
        found.append(&mut reader.commands);
        if depth < DEEPEST {
            waiting.extend(reader.nested.into_iter().rev().map(|(text, line)| (text, line, depth + 1)));
        }
    }
    found
}

#[derive(Default)]
struct Reader {
    rest: Vec<char>,
    at: usize,
    line: usize,
    command: Command,
    commands: Vec<Command>,
    /// Texts of `$(…)` and `` `…` `` with their lines.
    nested: Vec<(String, usize)>,
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
    fn peek(&self, ahead: usize) -> Option<char> {
        self.rest.get(self.at + ahead).copied()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek(0)?;
        self.at += 1;
        self.line += usize::from(c == '\n');
        Some(c)
    }

    fn starts(&self, text: &str) -> bool {
        text.chars().enumerate().all(|(ahead, c)| self.peek(ahead) == Some(c))
    }

    fn skip(&mut self, count: usize) {
        for _ in 0..count {
            self.next();
        }
    }

    fn read(&mut self) {
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
    fn balanced(&mut self) {
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
    fn substitution(&mut self) {
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

    /// One word, up to a blank or an operator.
    fn word(&mut self) -> Word {
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
        self.nested.push((inner, line));
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

#[cfg(test)]
mod tests {
    use super::*;

    fn said(script: &str) -> Vec<String> {
        let show = |word: &Word| {
            let part = |part: &Part| match part {
                Part::Text(text) => text.clone(),
                Part::Variable(name, None) => format!("${name}"),
                Part::Variable(name, Some(default)) => format!("${{{name}:-{default}}}"),
                Part::Derived(_) | Part::Opaque => "…".to_owned(),
            };
            word.parts.iter().map(part).collect::<String>()
        };
        let words = |words: &[Word]| words.iter().map(show).collect::<Vec<_>>().join(" ");
        let one = |command: Command| {
            let mut text = format!("{}: {}", command.line, words(&command.words));
            for (sign, list) in [('>', &command.writes), ('<', &command.reads)] {
                if !list.is_empty() {
                    text.push_str(&format!(" {sign} {}", words(list)));
                }
            }
            text + if command.tolerant { " ||" } else { "" }
        };
        commands(script).into_iter().map(one).collect()
    }

    #[test]
    fn simple_commands_are_found_with_their_lines() {
        assert_eq!(
            said("#!/bin/bash\nset -e # no\n\nsource \"/root/a b.sh\"; . '/root/c' || true\n/root/x \\\n  y & z | w"),
            ["2: set -e", "4: source /root/a b.sh", "4: . /root/c ||", "4: true", "5: /root/x y", "6: z", "6: w"]
        );
    }

    #[test]
    fn tests_arrays_patterns_functions_and_documents_are_no_commands() {
        assert_eq!(
            said("if [[ -f /root/x && ( -x /y || $a < b ) ]]; then source /root/x; fi\nA=(/root/a\n /root/b)\nB+=( /root/c )"),
            ["1: [[ -f /root/x -x /y $a b", "1: source /root/x"]
        );
        assert_eq!(
            said("case $1 in\n  /root/a|b) run ;;\n  (c) stop ;;\nesac\nf() { g; }\nfunction h { i; }\n( cd /x; ls )"),
            ["2: run", "3: stop", "5: g", "6: i", "7: cd /x", "7: ls"]
        );
        assert_eq!(
            said("cat > /root/x <<EOF\n/root/y\nsource /z\nEOF\nrun <<-'E' >>/log 2>&1\n\t/root/q\n\tE\nlast < /in"),
            ["1: cat > /root/x", "5: run > /log", "8: last < /in"]
        );
    }

    #[test]
    fn variables_defaults_and_substitutions_are_kept_apart() {
        assert_eq!(
            said("export A=/root B=${A:-/x/y} C=\"$A/${D}\" E=${F##*/}\nG=$(cat /root/mirror | head `ls /q`) \"$G/x\" $1 *.sh"),
            [
                "1: export A=/root B=${A:-/x/y} C=$A/$D E=…",
                "2: G=… $G/x … ….sh",
                "2: cat /root/mirror",
                "2: head …",
                "2: ls /q"
            ]
        );
        let word = &commands("x \"$A/b\"")[0].words[1];
        assert_eq!(word.expand(&|name| (name == "A").then(|| "/root".to_owned())).as_deref(), Some("/root/b"));
        assert_eq!((word.literal(), word.variables().collect::<Vec<_>>()), (None, vec!["A"]));
    }

    #[test]
    fn nothing_makes_it_panic_or_loop() {
        for script in ["\"", "'", "$(", "${", "`", "<<", "<<E", "((", "[[", "a=(", ")", "\\", "$", "<(", "&>", "{", "$'a"] {
            commands(script);
            commands(&script.repeat(50));
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read(text in "[\"'`$(){}\\[\\]<>|&;#=\\\\ \n\tab/E-]{0,80}") {
            commands(&text);
        }
    }
}
