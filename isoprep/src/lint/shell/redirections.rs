//! Redirections and here-documents of a script.

use super::reader::Reader;
use super::{Part, Word};

/// Where a redirection's word goes.
#[derive(Clone, Copy, PartialEq)]
enum Goes {
    Write,
    Read,
    Nowhere,
}

impl Reader {
    pub(super) fn redirection(&mut self) {
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
        let (both, joined) = (self.starts("&>"), self.starts(">&"));
        let errors = both || std::mem::take(&mut self.descriptor) == "2";
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
        let thrown_away = |words: &[Word]| words.last().is_some_and(|word| word.is_plain("/dev/null"));
        self.command.quiet |= errors && (goes == Goes::Write || joined) && thrown_away(&self.command.writes);
    }

    pub(super) fn blanks(&mut self) {
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

    pub(super) fn here_documents(&mut self) {
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
