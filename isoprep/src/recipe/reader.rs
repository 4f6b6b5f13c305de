//! Reads a `cartridge.toml` into a flat list of entries with their places, and finds what is wrong with its shape:
//! syntax, unknown sections and keys. Values are judged in `parse.rs`.

use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::fields::{field, names_in, nearest, sections};
use super::finding::{Finding, position};

/// A value without its syntax.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Raw {
    Text(String),
    /// As written, and its value if it fits.
    Integer(String, Option<i64>),
    /// A float, boolean or date, and how it is written.
    Other(&'static str, String),
    List(Vec<(usize, Raw)>),
    Map(Vec<Pair>),
}

/// One entry of a table inside a value.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Pair {
    pub name: String,
    pub key_at: usize,
    pub value_at: usize,
    pub value: Raw,
}

/// One field that is set: its full key, the byte offset of its value, and the value.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    pub key: &'static str,
    pub value_at: usize,
    pub value: Raw,
}

impl Raw {
    fn from(value: &DeValue<'_>) -> Self {
        match value {
            DeValue::String(text) => Self::Text(text.to_string()),
            DeValue::Integer(number) => {
                Self::Integer(number.to_string(), i64::from_str_radix(number.as_str(), number.radix()).ok())
            }
            DeValue::Float(number) => Self::Other("a number with a fraction", number.to_string()),
            DeValue::Boolean(value) => Self::Other("a boolean", value.to_string()),
            DeValue::Datetime(date) => Self::Other("a date", date.to_string()),
            DeValue::Array(items) => Self::List(list(items)),
            DeValue::Table(table) => Self::Map(pairs(table)),
        }
    }

    /// What kind of value it is, for people.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "a string",
            Self::Integer(..) => "a whole number",
            Self::Other(kind, _) => kind,
            Self::List(_) => "a list",
            Self::Map(_) => "a table",
        }
    }
}

fn list(items: &DeArray<'_>) -> Vec<(usize, Raw)> {
    items.iter().map(|item| (item.span().start, Raw::from(item.get_ref()))).collect()
}

fn pairs(table: &DeTable<'_>) -> Vec<Pair> {
    let mut pairs: Vec<_> = table
        .iter()
        .map(|(key, value): (&Spanned<_>, &Spanned<DeValue<'_>>)| Pair {
            name: key.get_ref().to_string(),
            key_at: key.span().start,
            value_at: value.span().start,
            value: Raw::from(value.get_ref()),
        })
        .collect();
    pairs.sort_by_key(|pair| pair.key_at);
    pairs
}

/// The fields that `text` sets, and what is wrong with its shape. After a syntax error that may spoil more
/// than its own line only what stands before it is read: what follows may not be what it seems.
pub(super) fn entries(text: &str) -> (Vec<Entry>, Vec<Finding>) {
    // The parser takes a byte order mark for part of the first key in some positions; editors write it anyway.
    let skipped = text.len() - text.trim_start_matches('\u{feff}').len();
    let (table, errors) = DeTable::parse_recoverable(&text[skipped..]);
    let (mut findings, mut bad_lines, mut broken) = (Vec::new(), Vec::new(), usize::MAX);
    for error in &errors {
        let (line, column) = position(text, error.span().map_or(0, |span| span.start) + skipped);
        let (message, advice, local) = syntax(error, text.lines().nth(line - 1).unwrap_or(""));
        if !local {
            broken = broken.min(line);
        }
        // One mistake often makes the parser stumble several times.
        if !bad_lines.contains(&line) {
            bad_lines.push(line);
            findings.push(Finding { line: Some(line), column: Some(column), key: String::new(), message, advice });
        }
    }
    let usable = |at: usize| {
        let line = position(text, at).0;
        line < broken && !bad_lines.contains(&line)
    };
    let mut top = pairs(table.get_ref());
    shift(&mut top, skipped);
    let mut entries = Vec::new();
    for pair in top.into_iter().filter(|pair| usable(pair.key_at)) {
        if let Some(known) = field(&pair.name).filter(|known| !known.key.contains('.')) {
            entries.push(Entry { key: known.key, value_at: pair.value_at, value: pair.value });
        } else if !sections().contains(&pair.name.as_str()) {
            findings.push(unknown(text, "", &pair));
        } else if let Raw::Map(inner) = pair.value {
            for pair_inside in inner.into_iter().filter(|inside| usable(inside.key_at)) {
                match field(&format!("{}.{}", pair.name, pair_inside.name)) {
                    Some(known) => {
                        entries.push(Entry {
                            key: known.key,
                            value_at: pair_inside.value_at,
                            value: pair_inside.value,
                        });
                    }
                    None => findings.push(unknown(text, &pair.name, &pair_inside)),
                }
            }
        } else {
            let (line, column) = position(text, pair.value_at);
            findings.push(Finding {
                line: Some(line),
                column: Some(column),
                message: format!("is a section, not {}", pair.value.kind()),
                advice: format!("write [{}] on a line of its own and the settings below it", pair.name),
                key: pair.name,
            });
        }
    }
    (entries, findings)
}

fn shift(pairs: &mut [Pair], by: usize) {
    for pair in pairs {
        pair.key_at += by;
        pair.value_at += by;
        match &mut pair.value {
            Raw::Map(inner) => shift(inner, by),
            Raw::List(items) => items.iter_mut().for_each(|item| item.0 += by),
            _ => {}
        }
    }
}

fn unknown(text: &str, section: &str, pair: &Pair) -> Finding {
    let (line, column) = position(text, pair.key_at);
    let here = names_in(section);
    let key = if section.is_empty() { pair.name.clone() } else { format!("{section}.{}", pair.name) };
    let elsewhere = super::FIELDS.iter().find(|f| f.key.rsplit_once('.').is_some_and(|(_, name)| name == pair.name));
    let advice = match (nearest(&pair.name, here.iter().copied()), elsewhere) {
        (_, Some(other)) => format!("did you mean {}?", other.key),
        (Some(name), None) => format!("did you mean {name}?"),
        (None, None) if section.is_empty() => format!("known here: {}", here.join(", ")),
        (None, None) => format!("known in [{section}]: {}", here.join(", ")),
    };
    Finding { line: Some(line), column: Some(column), key, message: "unknown key".to_owned(), advice }
}

/// The parser's words for people, what to do, and whether the mistake spoils no more than its line.
fn syntax(error: &toml::de::Error, line: &str) -> (String, String, bool) {
    let message = error.message().lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(", ");
    let (key, value) = line.split_once('=').unwrap_or((line, ""));
    if message.starts_with("string values must be quoted") {
        let value = value.split('#').next().unwrap_or("").trim();
        let advice = format!("write {} = {value:?}", key.trim());
        return ("text must be in quotes".to_owned(), advice, true);
    }
    if message.starts_with("duplicate key") {
        return (format!("{} is set twice", key.trim()), "keep one of them".to_owned(), true);
    }
    if message.contains("expected `\"`") || message.contains("expected `'`") {
        return (message, "close the quotes on the same line".to_owned(), false);
    }
    (message, String::new(), false)
}
