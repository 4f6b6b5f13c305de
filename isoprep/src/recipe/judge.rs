//! Takes single fields out of a text by their kind, and keeps what is wrong with each. What the fields mean is for `parse`.

use std::path::Path;

use super::fields::{FieldKind, field, nearest};
use super::finding::{Finding, position};
use super::reader::{Entry, Pair, Raw};
use super::values::{self, Problem};

/// A text being judged. A bad value counts as not set, so that the others are judged too.
pub(super) struct Judge<'a> {
    pub text: &'a str,
    pub root: &'a Path,
    pub entries: Vec<Entry>,
    pub findings: Vec<Finding>,
}

impl Judge<'_> {
    pub(super) fn find(&mut self, at: usize, key: impl Into<String>, (message, advice): Problem) {
        let (line, column) = position(self.text, at);
        self.findings.push(Finding { line: Some(line), column: Some(column), key: key.into(), message, advice });
    }

    pub(super) fn wrong_type(&mut self, at: usize, key: &str, wanted: &str, got: &Raw, advice: String) {
        self.find(at, key, (format!("must be {wanted}, not {}", got.kind()), advice));
    }

    pub(super) fn take(&mut self, key: &'static str) -> Option<(usize, Raw)> {
        let entry = self.entries.iter().find(|entry| entry.key == key)?;
        Some((entry.value_at, entry.value.clone()))
    }

    pub(super) fn judged<T>(&mut self, at: usize, key: &str, result: Result<T, Problem>) -> Option<T> {
        result.map_err(|problem| self.find(at, key, problem)).ok()
    }

    pub(super) fn text<T>(&mut self, key: &'static str, judge: impl FnOnce(&str) -> Result<T, Problem>) -> Option<T> {
        match self.take(key)? {
            (at, Raw::Text(text)) => self.judged(at, key, judge(&text)),
            (at, other) => {
                self.wrong_type(at, key, "a string", &other, quoted(key, &other));
                None
            }
        }
    }

    pub(super) fn integer(&mut self, key: &'static str, (min, max): (i64, i64)) -> Option<i64> {
        let default = field(key).map_or("", |field| field.default);
        let example = || format!("write {} = {default}", leaf(key));
        match self.take(key)? {
            (_, Raw::Integer(_, Some(number))) if (min..=max).contains(&number) => Some(number),
            (at, Raw::Integer(written, _)) => {
                let advice = format!("use {min} to {max}");
                self.find(at, key, (format!("{written} is out of range"), advice));
                None
            }
            (at, Raw::Text(text)) => {
                let bare = text.trim().parse::<i64>().is_ok();
                let advice =
                    if bare { format!("remove the quotes: {} = {}", leaf(key), text.trim()) } else { example() };
                self.wrong_type(at, key, "a whole number", &Raw::Text(text), advice);
                None
            }
            (at, other) => {
                self.wrong_type(at, key, "a whole number", &other, example());
                None
            }
        }
    }

    pub(super) fn size(&mut self, key: &'static str, range: (u64, u64)) -> Option<u64> {
        match self.take(key)? {
            (at, Raw::Text(text)) => self.judged(at, key, values::size(&text, range)),
            (at, Raw::Integer(written, number)) => {
                let advice = format!("add a unit, in quotes: {} = \"{written}G\" or \"{written}M\"", leaf(key));
                self.wrong_type(at, key, "a size like \"4G\"", &Raw::Integer(written, number), advice);
                None
            }
            (at, other) => {
                self.wrong_type(at, key, "a size like \"4G\"", &other, format!("write {} = \"4G\"", leaf(key)));
                None
            }
        }
    }

    /// `false` when not set.
    pub(super) fn switch(&mut self, key: &'static str) -> bool {
        match self.take(key) {
            None => false,
            Some((_, Raw::Other(_, written))) if written == "true" => true,
            Some((_, Raw::Other(_, written))) if written == "false" => false,
            Some((at, other)) => {
                let advice = match &other {
                    Raw::Text(text) if text == "true" || text == "false" => {
                        format!("remove the quotes: {} = {text}", leaf(key))
                    }
                    _ => format!("write {} = true or {} = false", leaf(key), leaf(key)),
                };
                self.wrong_type(at, key, "true or false", &other, advice);
                false
            }
        }
    }

    /// `default` for the first word in the field's own list, and the `others` for the words after it.
    pub(super) fn choice<T: Copy>(&mut self, key: &'static str, default: T, others: &[T]) -> T {
        let words = match field(key).map(|field| field.kind) {
            Some(FieldKind::Choice(words)) => words,
            _ => &[],
        };
        let chosen = self.text(key, |text| match words.iter().position(|word| *word == text) {
            Some(index) => Ok(index),
            None => Err(not_a_choice(text, words)),
        });
        chosen.and_then(|index| others.get(index.checked_sub(1)?)).copied().unwrap_or(default)
    }

    pub(super) fn list<T>(&mut self, key: &'static str, mut judge: impl FnMut(&str) -> Result<T, Problem>) -> Vec<T> {
        match self.take(key) {
            None => Vec::new(),
            Some((_, Raw::List(items))) => {
                let mut good = Vec::new();
                for (at, item) in items {
                    match item {
                        Raw::Text(text) => good.extend(self.judged(at, key, judge(&text))),
                        other => self.wrong_type(at, key, "a list of strings", &other, quoted("", &other)),
                    }
                }
                good
            }
            Some((at, other)) => {
                let advice = match &other {
                    Raw::Text(text) => format!("put it in brackets: {} = [{text:?}]", leaf(key)),
                    _ => format!("write {} = [\"…\"]", leaf(key)),
                };
                self.wrong_type(at, key, "a list of strings", &other, advice);
                Vec::new()
            }
        }
    }

    pub(super) fn map(&mut self, key: &'static str) -> Vec<Pair> {
        match self.take(key) {
            None => Vec::new(),
            Some((_, Raw::Map(pairs))) => pairs,
            Some((at, other)) => {
                let range = field(key).map_or("", |field| field.range);
                self.wrong_type(at, key, "a table", &other, format!("write {} = {{ … }} with {range}", leaf(key)));
                Vec::new()
            }
        }
    }
}

/// The name of a field without its section, as it is written in the file.
pub(super) fn leaf(key: &str) -> &str {
    key.rsplit('.').next().unwrap_or(key)
}

pub(super) fn shown(raw: &Raw) -> String {
    match raw {
        Raw::Text(text) => format!("{text:?}"),
        other => other.kind().to_owned(),
    }
}

/// Advice for a value that lacks its quotes.
pub(super) fn quoted(key: &str, raw: &Raw) -> String {
    let written = match raw {
        Raw::Integer(written, _) | Raw::Other(_, written) => written,
        _ => return "write one string in quotes".to_owned(),
    };
    if key.is_empty() { format!("write \"{written}\"") } else { format!("write {} = \"{written}\"", leaf(key)) }
}

fn not_a_choice(text: &str, words: &[&str]) -> Problem {
    let advice = match nearest(text, words.iter().copied()) {
        Some(word) => format!("did you mean {word:?}?"),
        None if words.len() == 1 => format!("use {:?}", words.join("")),
        None => format!("use one of {}", words.join(", ")),
    };
    (format!("{text:?} is not a choice"), advice)
}
