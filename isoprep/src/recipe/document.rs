//! Reads and changes single fields of a `cartridge.toml` as a form shows them, keeping the user's comments and layout.

use toml_edit::{Array, Document, DocumentMut, InlineTable, Item, TableLike, Value};

use super::fields::{FIELDS, FieldDoc, FieldKind, field, nearest};
use super::finding::Finding;
use super::reader;
use super::splice::{self, SpliceError};

/// Above this width, characters, a list is written with one item a line.
const WIDTH: usize = 100;

/// A field could not be set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// There is no such field.
    #[error("{key} is not a field of cartridge.toml{}", nearest.map(|near| format!("; did you mean {near}?")).unwrap_or_default())]
    UnknownField {
        /// What was asked for.
        key: String,
        /// What was probably meant.
        nearest: Option<&'static str>,
    },
    /// The text is not TOML: correct it by hand first.
    #[error("{0}; correct this line first")]
    Syntax(Finding),
    /// The field takes a whole number.
    #[error("{key}: {value:?} is not a whole number; use {range}")]
    NotAnInteger {
        /// The field.
        key: &'static str,
        /// What was given.
        value: String,
        /// What is allowed.
        range: &'static str,
    },
    /// The field takes true or false.
    #[error("{key}: {value:?} is not true or false")]
    NotASwitch {
        /// The field.
        key: &'static str,
        /// What was given.
        value: String,
    },
    /// The field takes a list of strings.
    #[error("{key}: {value:?} is not a list; write a, b or [\"a\", \"b\"]")]
    NotAList {
        /// The field.
        key: &'static str,
        /// What was given.
        value: String,
    },
    /// The field takes names and values.
    #[error("{key}: {value:?} is not a table; write {range}")]
    NotAMap {
        /// The field.
        key: &'static str,
        /// What was given.
        value: String,
        /// What is allowed.
        range: &'static str,
    },
    /// Something else stands where the field's section belongs: `guest = 3`.
    #[error("{section} is not a section here; write [{section}] on a line of its own, then set {key} again")]
    NotASection {
        /// The field.
        key: &'static str,
        /// Its section.
        section: String,
    },
    /// The field is written in a way that we cannot change without losing something.
    #[error("{key} is written in a way that cannot be changed here; change it in the text")]
    Tangled {
        /// The field.
        key: &'static str,
    },
}

/// Sets a field to a value as a form shows it: `4`, `4G`, `a, b` or `["a", "b"]` for lists, `{ A = "1" }` (or without
/// the braces) for tables. An empty value removes the field: its default holds again. Comments, order, blank lines and
/// line ends stay. The value's range is not judged: [`parse`](super::parse()) does that, with the line.
///
/// # Errors
/// [`EditError`]; the text is unchanged then.
pub fn set_field(text: &str, key: &str, value: &str) -> Result<String, EditError> {
    let Some(field) = field(key) else {
        return Err(EditError::UnknownField {
            key: key.to_owned(),
            nearest: nearest(key, FIELDS.iter().map(|field| field.key)),
        });
    };
    let (mark, body) = text.split_at(text.len() - text.trim_start_matches('\u{feff}').len());
    if let Some(finding) = reader::entries(body).1.into_iter().find(|finding| finding.key.is_empty()) {
        return Err(EditError::Syntax(finding));
    }
    let path: Vec<_> = field.key.split('.').collect();
    let wanted = if value.trim().is_empty() { None } else { Some(written(field, value)?) };
    let wanted = wanted.filter(|value| value.as_inline_table().is_none_or(|table| !table.is_empty()));
    if wanted.is_some() && current(body, &path) == wanted.as_ref().map(canonical) {
        return Ok(text.to_owned());
    }
    let edited = match (&wanted, table_at(body, &path)) {
        (Some(Value::InlineTable(new)), Some(old)) => merge(body, &path, &old, new),
        (None, Some(old)) => merge(body, &path, &old, &InlineTable::new()),
        (Some(new), None) => splice::set(body, &path, &layout(field, new)),
        (None, None) => splice::remove(body, &path),
        (Some(_), Some(_)) => Err(SpliceError::Tangled),
    };
    let edited = edited.map_err(|error| explain(field, error, body))?;
    // The edit is proven, not believed: it must parse and say what was asked for.
    if !parses(&edited) || current(&edited, &path) != wanted.as_ref().map(canonical) {
        return Err(EditError::Tangled { key: field.key });
    }
    Ok(format!("{mark}{edited}"))
}

/// The value of a field as a form shows it; `None` when it is not set, unknown, or the text is not TOML.
#[must_use]
pub fn get_field(text: &str, key: &str) -> Option<String> {
    shown(text.trim_start_matches('\u{feff}'), field(key)?)
}

fn explain(field: &'static FieldDoc, error: SpliceError, text: &str) -> EditError {
    match error {
        SpliceError::NotATable(section) => EditError::NotASection { key: field.key, section },
        SpliceError::Tangled => EditError::Tangled { key: field.key },
        SpliceError::Syntax => match reader::entries(text).1.into_iter().next() {
            Some(finding) => EditError::Syntax(finding),
            None => EditError::Tangled { key: field.key },
        },
    }
}

fn parses(text: &str) -> bool {
    Document::parse(text).is_ok()
}

fn item<'a>(document: &'a Document<&str>, path: &[&str]) -> Option<&'a Item> {
    let mut item = document.as_item();
    for name in path {
        item = item.as_table_like()?.get(name)?;
    }
    Some(item)
}

/// What stands at `path` in one spelling, to be compared. An empty table says nothing.
fn current(text: &str, path: &[&str]) -> Option<String> {
    let document = Document::parse(text).ok()?;
    match item(&document, path)? {
        Item::Value(Value::InlineTable(table)) if table.is_empty() => None,
        Item::Value(value) => Some(canonical(value)),
        Item::Table(table) if !table.is_empty() => Some(canonical(&Value::InlineTable(inline(table)))),
        Item::Table(_) | Item::None | Item::ArrayOfTables(_) => None,
    }
}

fn canonical(value: &Value) -> String {
    let mut value = without_spans(value);
    if let Some(table) = value.as_inline_table_mut() {
        table.sort_values();
        table.fmt();
    }
    value.to_string().trim().to_owned()
}

fn shown(text: &str, field: &FieldDoc) -> Option<String> {
    let document = Document::parse(text).ok()?;
    let path: Vec<_> = field.key.split('.').collect();
    match item(&document, &path)? {
        Item::Value(value) => form(field, &without_spans(value)),
        Item::Table(table) => map_form(table),
        Item::None | Item::ArrayOfTables(_) => None,
    }
}

/// A value that prints without its document: the parsed one points into the text.
fn without_spans(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::from(text.value().as_str()),
        Value::Integer(number) => Value::from(*number.value()),
        Value::Float(number) => Value::from(*number.value()),
        Value::Boolean(value) => Value::from(*value.value()),
        Value::Datetime(date) => Value::from(*date.value()),
        Value::Array(items) => Value::Array(items.iter().map(without_spans).collect()),
        Value::InlineTable(table) => Value::InlineTable(inline(table)),
    }
}

fn inline(table: &dyn TableLike) -> InlineTable {
    let value = |item: &Item| match item {
        Item::Value(value) => Some(without_spans(value)),
        Item::Table(table) => Some(Value::InlineTable(inline(table))),
        _ => None,
    };
    table.iter().filter_map(|(name, item)| Some((name, value(item)?))).collect()
}

fn map_form(table: &dyn TableLike) -> Option<String> {
    if table.is_empty() { None } else { Some(inline(table).to_string().trim().to_owned()) }
}

/// The value as a form shows it.
fn form(field: &FieldDoc, value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.value().clone()),
        Value::Array(items) if field.kind == FieldKind::List => Some(list_form(items)),
        Value::InlineTable(table) if field.kind == FieldKind::Map => map_form(table),
        other => Some(without_spans(other).to_string().trim().to_owned()),
    }
}

/// `a, b` where that reads back as the same list, else TOML.
fn list_form(items: &Array) -> String {
    let plain: Option<Vec<_>> = items.iter().map(Value::as_str).collect();
    let simple = |item: &&str| !item.is_empty() && item.trim() == *item && !item.contains([',', '\n', '\r']);
    match plain {
        Some(plain) if plain.iter().all(simple) && !plain.first().is_some_and(|first| first.starts_with('[')) => {
            plain.join(", ")
        }
        _ => without_spans(&Value::Array(items.clone())).to_string().trim().to_owned(),
    }
}

/// The value that a form's text means for this field.
fn written(field: &'static FieldDoc, value: &str) -> Result<Value, EditError> {
    match field.kind {
        FieldKind::Integer { .. } => value
            .trim()
            .parse::<i64>()
            .map(Value::from)
            .map_err(|_| EditError::NotAnInteger { key: field.key, value: value.to_owned(), range: field.range }),
        FieldKind::Switch => value
            .trim()
            .parse::<bool>()
            .map(Value::from)
            .map_err(|_| EditError::NotASwitch { key: field.key, value: value.to_owned() }),
        FieldKind::List => {
            list(value).map(Value::Array).ok_or_else(|| EditError::NotAList { key: field.key, value: value.to_owned() })
        }
        FieldKind::Map => map(value).map(Value::InlineTable).ok_or_else(|| EditError::NotAMap {
            key: field.key,
            value: value.to_owned(),
            range: field.range,
        }),
        FieldKind::Size | FieldKind::Choice(_) => Ok(Value::from(value.trim())),
        FieldKind::Text | FieldKind::Folder | FieldKind::File => Ok(Value::from(value)),
    }
}

fn list(value: &str) -> Option<Array> {
    if !value.trim_start().starts_with('[') {
        return Some(value.split(',').map(str::trim).filter(|item| !item.is_empty()).collect());
    }
    let parsed: Value = value.trim().parse().ok()?;
    parsed.as_array()?.iter().map(|item| item.as_str().map(str::to_owned)).collect::<Option<Array>>()
}

fn map(value: &str) -> Option<InlineTable> {
    let value = value.trim();
    if value.starts_with('{') {
        return value.parse::<Value>().ok()?.as_inline_table().map(|table| inline(table));
    }
    if let Ok(Value::InlineTable(table)) = format!("{{ {value} }}").parse() {
        return Some(inline(&table));
    }
    // One entry a line, as in the file.
    value.parse::<DocumentMut>().ok().map(|document| inline(document.as_table()))
}

/// The value as it is written into the file.
pub(super) fn layout(field: &FieldDoc, value: &Value) -> String {
    let line = value.to_string().trim().to_owned();
    match value {
        Value::Array(items) if line.len() + field.key.len() > WIDTH => {
            let items: String = items.iter().map(|item| format!("    {},\n", item.to_string().trim())).collect();
            format!("[\n{items}]")
        }
        _ => line,
    }
}

/// The table at `path` if it is written as `[section.map]` or with dotted keys, not inline.
fn table_at(text: &str, path: &[&str]) -> Option<InlineTable> {
    let document = Document::parse(text).ok()?;
    item(&document, path)?.as_table().map(|table| inline(table))
}

/// Changes a table that has lines of its own entry by entry, so that the other lines stay.
fn merge(text: &str, path: &[&str], old: &InlineTable, new: &InlineTable) -> Result<String, SpliceError> {
    let mut text = text.to_owned();
    for (name, value) in new {
        if old.get(name).is_none_or(|old| canonical(old) != canonical(value)) {
            text = splice::set(&text, &[path, &[name]].concat(), value.to_string().trim())?;
        }
    }
    for (name, _) in old.iter().filter(|(name, _)| !new.contains_key(name)) {
        text = splice::remove(&text, &[path, &[name]].concat())?;
    }
    Ok(text)
}
