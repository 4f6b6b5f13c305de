//! Changes one entry of a TOML text by cutting and pasting at the parser's spans, so that every byte that is not part
//! of the entry stays: comments, blank lines, order, line ends. A comment inside what goes away becomes a line above it.

use std::ops::Range;

use toml_edit::{Document, Item, Key, TableLike, Value};

/// Why a text could not be changed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum SpliceError {
    /// It does not parse.
    Syntax,
    /// Something on the way to the entry is not a table; the path to it.
    NotATable(String),
    /// It is written in a way that we do not change.
    Tangled,
}

/// Where new entries of a table are written.
enum Home<'a> {
    /// The top of the file.
    Root,
    /// Below a `[header]`; the byte offset of the header.
    Header(usize),
    /// Between the braces of an inline table.
    Inline(Range<usize>, &'a dyn TableLike),
}

struct Found<'a> {
    home: Home<'a>,
    /// The keys between the home and the entry, the entry's own included.
    dotted: Vec<&'a str>,
    /// The table that holds the entry.
    table: &'a dyn TableLike,
}

/// Sets `path` to `value` (TOML), replacing what is there.
pub(super) fn set(text: &str, path: &[&str], value: &str) -> Result<String, SpliceError> {
    let document = Document::parse(text).map_err(|_| SpliceError::Syntax)?;
    let Some(found) = find(&document, path)? else { return with_section(text, path, value) };
    let (Some(leaf), true) = (path.last(), !found.dotted.is_empty()) else { return Err(SpliceError::Tangled) };
    match found.table.get_key_value(leaf) {
        Some((key, Item::Value(old))) => {
            let span = old.span().ok_or(SpliceError::Tangled)?;
            let key_at = key.span().ok_or(SpliceError::Tangled)?.start;
            Ok(replaced(text, key_at, span, value))
        }
        Some((_, Item::None)) | None => insert(text, &found, value),
        Some(_) => Err(SpliceError::Tangled),
    }
}

/// Removes `path`. What is not there is removed already.
pub(super) fn remove(text: &str, path: &[&str]) -> Result<String, SpliceError> {
    let document = Document::parse(text).map_err(|_| SpliceError::Syntax)?;
    let Some(found) = find(&document, path)? else { return Ok(text.to_owned()) };
    let Some((key, item)) = path.last().and_then(|leaf| found.table.get_key_value(leaf)) else {
        return Ok(text.to_owned());
    };
    let (Some(key), Some(value)) = (key.span(), item.as_value().and_then(Value::span)) else {
        return Err(SpliceError::Tangled);
    };
    if let Home::Inline(..) = found.home {
        return Ok(cut_inline(text, key.start, value.end));
    }
    let lines = line_start(text, key.start)..line_end(text, value.end);
    let indent = indentation(text, key.start);
    let kept = comments(&text[key.start..lines.end], indent, newline(text));
    Ok(paste(text, lines, &kept))
}

/// Walks to the table of `path`; `None` when a section on the way is not there or has no header of its own.
fn find<'a>(document: &'a Document<&str>, path: &[&'a str]) -> Result<Option<Found<'a>>, SpliceError> {
    let mut table: &dyn TableLike = document.as_table();
    let (mut home, mut dotted) = (Some(Home::Root), Vec::new());
    for (depth, name) in path.iter().enumerate() {
        dotted.push(*name);
        if depth + 1 == path.len() {
            break;
        }
        table = match table.get(name) {
            None | Some(Item::None) => return Ok(None),
            Some(Item::Table(inner)) => {
                if !inner.is_dotted() {
                    // An implicit table exists by its children only: `[image.env]` without `[image]`.
                    home = if inner.is_implicit() { None } else { inner.span().map(|span| Home::Header(span.start)) };
                    dotted.clear();
                }
                inner
            }
            Some(Item::Value(Value::InlineTable(inner))) => {
                if !inner.is_dotted() {
                    home = inner.span().map(|span| Home::Inline(span, inner));
                    dotted.clear();
                }
                inner
            }
            Some(_) => return Err(SpliceError::NotATable(path[..=depth].join("."))),
        };
    }
    Ok(home.map(|home| Found { home, dotted, table }))
}

fn insert(text: &str, found: &Found<'_>, value: &str) -> Result<String, SpliceError> {
    let keys: Vec<_> = found.dotted.iter().map(|name| Key::new(*name).display_repr().into_owned()).collect();
    let entry = format!("{} = {value}", keys.join("."));
    let last = last_value(found.table);
    match &found.home {
        Home::Inline(span, home) => match last.or_else(|| last_value(*home)) {
            Some(end) => Ok(paste(text, end..end, &format!(", {entry}"))),
            None if text[span.start + 1..span.end - 1].trim().is_empty() => {
                Ok(paste(text, span.clone(), &format!("{{ {entry} }}")))
            }
            None => Ok(paste(text, span.start + 1..span.start + 1, &format!(" {entry}"))),
        },
        Home::Header(header) => {
            let leaf = found.dotted.first().copied().unwrap_or_default();
            let example = example_line(text, *header, found.table, leaf);
            let at = example.unwrap_or_else(|| line_end(text, last.unwrap_or(*header)));
            let indent = last.map_or("", |last| indentation(text, last));
            Ok(add_line(text, at, &format!("{indent}{entry}")))
        }
        Home::Root => match last {
            Some(end) => Ok(add_line(text, line_end(text, end), &entry)),
            None => {
                let at = after_first_comment(text);
                let gap = if text[at..].trim().is_empty() { "" } else { newline(text) };
                Ok(add_line(text, at, &format!("{entry}{gap}")))
            }
        },
    }
}

/// Adds a section that is not there yet, at the end. Two levels deep (`image.env.A`) it is written inline.
fn with_section(text: &str, path: &[&str], value: &str) -> Result<String, SpliceError> {
    match path {
        [section, leaf] => {
            let newline = newline(text);
            let gap = if text.trim().is_empty() { "" } else { newline };
            let key = Key::new(*leaf);
            let lines = format!("{gap}[{section}]{newline}{} = {value}", key.display_repr());
            Ok(add_line(text, text.len(), &lines))
        }
        [section, map, leaf] => {
            let key = Key::new(*leaf);
            set(text, &[section, map], &format!("{{ {} = {value} }}", key.display_repr()))
        }
        _ => Err(SpliceError::Tangled),
    }
}

fn replaced(text: &str, key_at: usize, span: Range<usize>, value: &str) -> String {
    let kept = comments(&text[span.clone()], indentation(text, key_at), newline(text));
    let start = line_start(text, key_at);
    paste(&paste(text, span, value), start..start, &kept)
}

/// Cuts `key = value` out of an inline table together with one comma.
fn cut_inline(text: &str, key_at: usize, end: usize) -> String {
    // The key's span is that of its last part; a dotted key begins earlier.
    let start = text[..key_at].rfind(['{', ',', '\n']).map_or(0, |at| at + 1);
    let rest = text[end..].trim_start();
    if let Some(rest) = rest.strip_prefix(',') {
        let end = text.len() - rest.len();
        return paste(text, start..end, "");
    }
    let before = text[..start].trim_end();
    let start = if before.ends_with(',') { before.len() - 1 } else { start };
    paste(text, start..end, "")
}

/// The end of the last value that is written in `table` itself: not below a header of its own.
fn last_value(table: &dyn TableLike) -> Option<usize> {
    let mut values = Vec::new();
    spans(table, &mut values);
    values.iter().map(|span| span.end).max()
}

/// Where the values are that are written in `table` itself.
fn spans(table: &dyn TableLike, found: &mut Vec<Range<usize>>) {
    for (_, item) in table.iter() {
        match item {
            Item::Value(Value::InlineTable(inner)) if inner.is_dotted() => spans(inner, found),
            Item::Value(value) => found.extend(value.span()),
            Item::Table(inner) if inner.is_dotted() => spans(inner, found),
            _ => {}
        }
    }
}

/// The end of a commented example of `leaf` (`# gpu = "std"`) in the section whose header is at `header`.
fn example_line(text: &str, header: usize, table: &dyn TableLike, leaf: &str) -> Option<usize> {
    let mut values = Vec::new();
    spans(table, &mut values);
    let mut at = line_end(text, header);
    for line in text[at..].split_inclusive('\n') {
        let start = at;
        at += line.len();
        // A line of a value that has several looks like anything.
        if values.iter().any(|span| span.start < start && start < span.end) {
            continue;
        }
        if line.trim_start().starts_with('[') {
            return None;
        }
        let example = line.trim_start().strip_prefix('#').and_then(|comment| comment.split_once('='));
        if example.is_some_and(|(key, _)| key.trim() == leaf) {
            return Some(at);
        }
    }
    None
}

/// After the comment that opens the file, if a blank line parts it from what follows; else the beginning.
fn after_first_comment(text: &str) -> usize {
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        if line.trim().is_empty() && at > 0 {
            return at + line.len();
        }
        if !line.trim_start().starts_with('#') {
            return 0;
        }
        at += line.len();
    }
    at
}

fn add_line(text: &str, at: usize, line: &str) -> String {
    let newline = newline(text);
    let before = if at == 0 || text[..at].ends_with('\n') { "" } else { newline };
    paste(text, at..at, &format!("{before}{line}{newline}"))
}

/// The comments in a piece of TOML, each as a line. Strings are skipped: a `#` in them is none.
fn comments(piece: &str, indent: &str, newline: &str) -> String {
    let mut kept = String::new();
    let mut rest = piece;
    while let Some(at) = rest.find(['#', '"', '\'']) {
        rest = &rest[at..];
        if rest.starts_with('#') {
            let end = rest.find('\n').unwrap_or(rest.len());
            kept.push_str(&format!("{indent}{}{newline}", rest[..end].trim_end()));
            rest = &rest[end..];
        } else {
            rest = &rest[string_length(rest)..];
        }
    }
    kept
}

/// How long the TOML string is that `text` begins with (TOML 1.0, "String").
fn string_length(text: &str) -> usize {
    let quote = &text[..1];
    let delimiter = if text.starts_with(&quote.repeat(3)) { quote.repeat(3) } else { quote.to_owned() };
    let mut at = delimiter.len();
    while at < text.len() {
        if text[at..].starts_with(&delimiter) {
            // Up to two quotes may stand right before the closing three.
            let more = text[at + delimiter.len()..].chars().take_while(|c| c.to_string() == quote).count();
            return at + delimiter.len() + if delimiter.len() == 3 { more.min(2) } else { 0 };
        }
        let escaped = quote == "\"" && text[at..].starts_with('\\');
        let mut step = text[at..].chars();
        at += step.next().map_or(1, char::len_utf8);
        if escaped {
            at += step.next().map_or(0, char::len_utf8);
        }
    }
    text.len()
}

fn paste(text: &str, at: Range<usize>, new: &str) -> String {
    let mut out = String::with_capacity(text.len() + new.len());
    out.push_str(&text[..at.start]);
    out.push_str(new);
    out.push_str(&text[at.end..]);
    out
}

fn line_start(text: &str, at: usize) -> usize {
    text[..at].rfind('\n').map_or(0, |newline| newline + 1)
}

fn line_end(text: &str, at: usize) -> usize {
    text[at..].find('\n').map_or(text.len(), |newline| at + newline + 1)
}

fn indentation(text: &str, at: usize) -> &str {
    let line = &text[line_start(text, at)..at];
    &line[..line.len() - line.trim_start().len()]
}

fn newline(text: &str) -> &'static str {
    if text.contains("\r\n") { "\r\n" } else { "\n" }
}
