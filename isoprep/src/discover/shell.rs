//! Splits a shell script into words without running or expanding anything (bash(1), "Definitions", "Quoting"). Pure, linear.

/// A piece of a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    Word(Word),
    /// A control or redirection operator.
    Operator(&'static str),
    /// The body of a here-document; it comes after the line that begins it.
    Document(Word),
    /// The end of a line.
    Break,
}

/// A word with its quotes taken off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Word {
    pub text: String,
    /// Whether it means what it says: no expansion and no pattern.
    pub plain: bool,
    /// From 1.
    pub line: usize,
}

/// Longer ones first: the first that fits is taken.
const OPERATORS: [&str; 20] = [
    "<<<", "<<-", "&>>", ";;&", "&&", "||", ">>", "<<", ";;", "&>", ">&", "<&", ">|", "<>", "|", "&", ";", "<", ">",
    "(",
];

/// The pieces of a script, in order. Anything is a script: what is not closed ends with the text.
pub(super) fn tokens(text: &str) -> Vec<Token> {
    let mut lexer = Lexer { text, at: 0, line: 1, tokens: Vec::new(), waiting: Vec::new() };
    while lexer.step() {}
    lexer.tokens
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    line: usize,
    tokens: Vec<Token>,
    /// Here-documents that begin after this line: the word that ends each, whether tabs are cut, whether it is plain.
    waiting: Vec<(String, bool, bool)>,
}

impl<'a> Lexer<'a> {
    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        self.line += usize::from(c == '\n');
        Some(c)
    }

    fn step(&mut self) -> bool {
        let Some(c) = self.peek() else { return false };
        if c == '\n' {
            self.next();
            self.tokens.push(Token::Break);
            self.documents();
        } else if c.is_whitespace() {
            self.next();
        } else if self.rest().starts_with("\\\n") {
            self.next();
            self.next();
        } else if c == '#' {
            while self.peek().is_some_and(|c| c != '\n') {
                self.next();
            }
        } else if c == ')' {
            self.next();
            self.tokens.push(Token::Operator(")"));
        } else if let Some(operator) = OPERATORS.iter().find(|operator| self.rest().starts_with(**operator)) {
            self.at += operator.len();
            self.tokens.push(Token::Operator(operator));
        } else {
            let word = self.word();
            if let Some(Token::Operator(operator @ ("<<" | "<<-"))) = self.tokens.last() {
                let quoted = self.text.get(..self.at).is_some_and(|before| before.ends_with(['"', '\'']));
                self.waiting.push((word.text.clone(), *operator == "<<-", quoted));
            }
            self.tokens.push(Token::Word(word));
        }
        true
    }

    fn word(&mut self) -> Word {
        let mut word = Word { text: String::new(), plain: true, line: self.line };
        while let Some(c) = self.peek() {
            if c.is_whitespace() || ";&|<>()".contains(c) {
                break;
            }
            self.next();
            match c {
                '\\' => match self.next() {
                    Some('\n') | None => {}
                    Some(escaped) => word.text.push(escaped),
                },
                '\'' => self.quoted(&mut word, '\''),
                '"' => self.quoted(&mut word, '"'),
                '$' | '`' => self.expansion(&mut word, c),
                _ => {
                    let tilde = c == '~' && (word.text.is_empty() || word.text.ends_with(['=', ':']));
                    word.plain &= !tilde && !"*?[{".contains(c);
                    word.text.push(c);
                }
            }
        }
        word
    }

    fn quoted(&mut self, word: &mut Word, end: char) {
        while let Some(c) = self.next() {
            match c {
                _ if c == end => return,
                '\\' if end == '"' => match self.next() {
                    Some('\n') | None => {}
                    Some(escaped @ ('$' | '`' | '"' | '\\')) => word.text.push(escaped),
                    Some(other) => word.text.extend(['\\', other]),
                },
                '$' | '`' if end == '"' => self.expansion(word, c),
                _ => word.text.push(c),
            }
        }
    }

    /// Takes over `$name`, `${…}`, `$(…)` and `` `…` `` as they are written; `opening` has been read.
    fn expansion(&mut self, word: &mut Word, opening: char) {
        word.plain = false;
        word.text.push(opening);
        let pair = match self.peek() {
            _ if opening == '`' => ('`', '`'),
            Some('(') => ('(', ')'),
            Some('{') => ('{', '}'),
            _ => return,
        };
        if opening == '$' {
            self.take_into(word);
        }
        let mut depth = 1_usize;
        while let Some(c) = self.peek() {
            self.take_into(word);
            if c == '\\' {
                self.take_into(word);
            } else if c == '\'' && pair.0 == '(' {
                while self.take_into(word).is_some_and(|c| c != '\'') {}
            } else if c == pair.1 {
                depth -= 1;
            } else if c == pair.0 {
                depth += 1;
            }
            if depth == 0 {
                return;
            }
        }
    }

    fn take_into(&mut self, word: &mut Word) -> Option<char> {
        let c = self.next()?;
        word.text.push(c);
        Some(c)
    }

    /// Reads the here-documents that begin here.
    fn documents(&mut self) {
        for (end, cut, plain) in std::mem::take(&mut self.waiting) {
            let mut body = Word { text: String::new(), plain, line: self.line };
            while let Some(line) = self.rest().split_inclusive('\n').next() {
                self.at += line.len();
                self.line += usize::from(line.ends_with('\n'));
                let content = if cut { line.trim_start_matches('\t') } else { line };
                if content.trim_end_matches(['\n', '\r']) == end {
                    break;
                }
                body.plain &= plain || !content.contains(['$', '`', '\\']);
                body.text.push_str(content);
            }
            self.tokens.push(Token::Document(body));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn said(text: &str) -> String {
        let token = |token: Token| match token {
            Token::Word(word) => format!("{}{}", if word.plain { "" } else { "~" }, word.text),
            Token::Operator(operator) => format!("‹{operator}›"),
            Token::Document(body) => format!("«{}»", body.text.trim_end()),
            Token::Break => "/".to_owned(),
        };
        tokens(text).into_iter().map(token).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn words_are_what_a_shell_takes_them_for() {
        assert_eq!(said("a 'b c' \"d $e\" f\\ g # no\nh"), "a b c ~d $e f g / h");
        assert_eq!(said("p=(a \"b\"\n# x\n c)"), "p= ‹(› a b / / c ‹)›");
        assert_eq!(said("rm -rf \"$d/airootfs/x\"&&y>>z"), "rm -rf ~$d/airootfs/x ‹&&› y ‹>>› z");
        assert_eq!(said("A=${B:-\"/x y\"} $(f \"$(g ')')\") `h`"), "~A=${B:-\"/x y\"} ~$(f \"$(g ')')\") ~`h`");
        assert_eq!(said("cat >>f <<'E'\na $b\nE\nx"), "cat ‹>>› f ‹<<› E / «a $b» x");
        assert_eq!(said("cat <<-E\n\ta\n\tE\nx"), "cat ‹<<-› E / «a» x");
        assert_eq!(said("a\\\nb *.x ~/y A=~ {1,2} c~"), "ab ~*.x ~~/y ~A=~ ~{1,2} c~");
        assert_eq!(said("\"open $(\n"), "~open $(\n");
        let lines: Vec<_> = tokens("a\n'b\nc' d")
            .into_iter()
            .filter_map(|t| if let Token::Word(w) = t { Some(w.line) } else { None })
            .collect();
        assert_eq!(lines, [1, 2, 3]);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_text_ends(text in "(?s)[a-c$(){}`'\"\\\\<>E\n# é=~-]{0,80}") {
            let count = tokens(&text).len();
            prop_assert!(count <= text.len() + 8);
        }
    }
}
