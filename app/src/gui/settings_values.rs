//! Items of a list or a table: read from what a form shows, changed, and written as the session takes them. Pure.

use isoprep::{FieldDoc, FieldKind};

use crate::session::event::FieldView;

/// One item: its name, empty for those of a list, and its value.
pub(super) type Item = (String, String);

/// What a button does with the items.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// Takes one away.
    Remove(usize),
    /// Changes places with the one before it.
    Up(usize),
    /// Appends some.
    Add(Vec<Item>),
}

/// Does it.
pub(super) fn done(items: &mut Vec<Item>, act: Act) {
    match act {
        Act::Remove(at) if at < items.len() => drop(items.remove(at)),
        Act::Up(at) if at > 0 && at < items.len() => items.swap(at - 1, at),
        Act::Remove(_) | Act::Up(_) => {}
        Act::Add(more) => items.extend(more),
    }
}

/// The items of a value as a form shows it; `None` for one that is no plain list or table.
pub(super) fn read(kind: FieldKind, value: &str) -> Option<Vec<Item>> {
    let value = value.trim();
    let toml = |text: &str| toml::from_str::<toml::Table>(&format!("v = {text}")).ok()?.remove("v");
    match kind {
        FieldKind::Map if value.is_empty() => Some(Vec::new()),
        FieldKind::Map => {
            let text = if value.starts_with('{') { value.to_owned() } else { format!("{{ {value} }}") };
            let table = toml(&text)?;
            let text = |value: &toml::Value| match value {
                toml::Value::String(text) => Some(text.clone()),
                toml::Value::Integer(number) => Some(number.to_string()),
                _ => None,
            };
            table.as_table()?.iter().map(|(name, value)| Some((name.clone(), text(value)?))).collect()
        }
        _ if value.starts_with('[') => {
            toml(value)?.as_array()?.iter().map(|it| Some((String::new(), it.as_str()?.to_owned()))).collect()
        }
        _ => {
            let items = value.split(',').map(str::trim).filter(|item| !item.is_empty());
            Some(items.map(|item| (String::new(), item.to_owned())).collect())
        }
    }
}

/// The items as the session takes them. Nothing is the default.
pub(super) fn written(doc: &FieldDoc, items: &[Item]) -> String {
    if doc.kind != FieldKind::Map {
        let items = items.iter().filter(|(_, value)| !value.trim().is_empty());
        let items: Vec<_> = items.map(|(_, value)| toml::Value::String(value.trim().to_owned())).collect();
        return if items.is_empty() { String::new() } else { toml::Value::Array(items).to_string() };
    }
    let mut table = toml::Table::new();
    for (name, value) in items.iter().filter(|(name, _)| !name.trim().is_empty()) {
        // Ports are numbers; variables and paths are text, also where they look like a number.
        let port = if doc.key == "guest.forward" { value.trim().parse().ok() } else { None };
        let value = port.map_or_else(|| toml::Value::String(value.clone()), toml::Value::Integer);
        table.insert(name.trim().to_owned(), value);
    }
    if table.is_empty() { String::new() } else { toml::Value::Table(table).to_string() }
}

/// A list with one more item, as the session takes it; `None` for a value that is no plain list.
#[must_use]
pub fn with(doc: &FieldDoc, view: &FieldView, item: String) -> Option<String> {
    let mut items = read(doc.kind, if view.is_default { "" } else { &view.value })?;
    items.push((String::new(), item));
    Some(written(doc, &items))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn doc(key: &str) -> &'static FieldDoc {
        isoprep::FIELDS.iter().find(|doc| doc.key == key).unwrap()
    }

    #[test]
    fn what_is_written_is_read_back_by_the_file_and_by_us() {
        let item = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        for (key, items) in [
            ("image.packages", vec![item("", "git"), item("", "a, b")]),
            ("image.overlays", vec![item("", "b/ä \"x\""), item("", "a")]),
            ("image.env", vec![item("A_B", "1"), item("X", "say \"hi\" \\ \u{1}")]),
            ("image.files", vec![item("/root/a b.sh", "x.sh")]),
            ("guest.forward", vec![item("ssh", "auto"), item("web", "8080")]),
        ] {
            let text = isoprep::set_field("", key, &written(doc(key), &items)).unwrap();
            let shown = isoprep::get_field(&text, key).unwrap();
            assert_eq!(read(doc(key).kind, &shown), Some(items), "{key}: {shown}");
        }
        assert_eq!(written(doc("image.env"), &[]), "");
        assert_eq!(read(FieldKind::Map, "{ a = [1] }"), None);
    }

    #[test]
    fn numbers_are_text_but_for_ports() {
        let items = [("N".to_owned(), "1".to_owned())];
        assert!(written(doc("image.env"), &items).contains("\"1\""));
        assert!(!written(doc("guest.forward"), &items).contains('"'));
    }

    #[test]
    fn items_are_moved_removed_and_added() {
        let item = |value: &str| (String::new(), value.to_owned());
        let mut items = vec![item("a"), item("b")];
        done(&mut items, Act::Up(1));
        done(&mut items, Act::Add(vec![item("c")]));
        done(&mut items, Act::Remove(1));
        done(&mut items, Act::Remove(9));
        done(&mut items, Act::Up(0));
        assert_eq!(items, [item("b"), item("c")]);
    }
}
