//! A proposal after its text was edited: what of it still holds, what was changed, dropped or added since. What is shown is
//! what would be written. Pure.

use super::fields::{FIELDS, FieldDoc, field};
use super::proposal::{Proposed, ProposedKind};

/// A value with its name; fields that are no tables have none.
type Named = (Option<String>, String);

/// What `text` says of what was `proposed`; `original` is the text that was proposed. A text that is not TOML leaves the
/// proposal as it was.
#[must_use]
pub fn proposal_now(proposed: &[Proposed], original: &str, text: &str) -> Vec<Proposed> {
    let (Ok(before), Ok(now)) = (toml::from_str(original), toml::from_str(text)) else { return proposed.to_vec() };
    let (before, now): (toml::Table, toml::Table) = (before, now);
    let mut shown = Vec::new();
    for (at, it) in proposed.iter().enumerate() {
        let Some(doc) = field(&it.key).filter(|_| it.kind != ProposedKind::Warning) else {
            shown.push(it.clone());
            continue;
        };
        let values = values(&now, doc);
        shown.push(held(it, doc, &values));
        let last = !proposed[at + 1..].iter().any(|next| next.key == it.key && next.kind != ProposedKind::Warning);
        if last && is_many(doc) {
            shown.extend(added(doc, &values, proposed));
        }
    }
    for doc in FIELDS.iter().filter(|doc| !proposed.iter().any(|it| it.key == doc.key)) {
        let (then, values) = (values(&before, doc), values(&now, doc));
        if then != values {
            shown.extend(values.iter().map(|value| edited(doc, value, ADDED)));
        }
    }
    shown
}

const ADDED: &str = "changed since it was proposed";

fn is_many(doc: &FieldDoc) -> bool {
    matches!(doc.kind, super::fields::FieldKind::List | super::fields::FieldKind::Map)
}

/// A proposed setting as it is now.
fn held(it: &Proposed, doc: &FieldDoc, values: &[Named]) -> Proposed {
    let fits = |(name, value): &&Named| match (&it.item, is_many(doc)) {
        (Some(item), _) => name.as_ref() == Some(item),
        (None, true) => *value == it.value,
        (None, false) => true,
    };
    match values.iter().find(fits) {
        Some((_, value)) if *value == it.value => it.clone(),
        Some((_, value)) => {
            let why = format!("changed; {:?} was proposed: {}", it.value, it.why);
            Proposed { value: value.clone(), why, kind: ProposedKind::Edited, ..it.clone() }
        }
        None => Proposed { kind: ProposedKind::Dropped, ..it.clone() },
    }
}

/// Items of a list or table that were not proposed.
fn added(doc: &FieldDoc, values: &[Named], proposed: &[Proposed]) -> Vec<Proposed> {
    let known = |(name, value): &Named| {
        let of_field = proposed.iter().filter(|it| it.key == doc.key && it.kind != ProposedKind::Warning);
        of_field.into_iter().any(|it| if name.is_some() { it.item == *name } else { it.value == *value })
    };
    values.iter().filter(|value| !known(value)).map(|value| edited(doc, value, ADDED)).collect()
}

fn edited(doc: &FieldDoc, (name, value): &Named, why: &str) -> Proposed {
    Proposed {
        key: doc.key.to_owned(),
        item: name.clone(),
        value: value.clone(),
        why: why.to_owned(),
        from: Vec::new(),
        command: None,
        kind: ProposedKind::Edited,
    }
}

/// What stands at a field, item by item.
fn values(table: &toml::Table, doc: &FieldDoc) -> Vec<Named> {
    let mut names = doc.key.split('.');
    let first = names.next().and_then(|name| table.get(name));
    let value = names.fold(first, |value, name| value?.get(name));
    match value {
        None => Vec::new(),
        Some(toml::Value::Array(items)) => items.iter().map(|it| (None, plain(it))).collect(),
        Some(toml::Value::Table(table)) => table.iter().map(|(name, it)| (Some(name.clone()), plain(it))).collect(),
        Some(value) => vec![(None, plain(value))],
    }
}

fn plain(value: &toml::Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(key: &str, item: Option<&str>, value: &str) -> Proposed {
        let doc = field(key).unwrap();
        let it = edited(doc, &(item.map(str::to_owned), value.to_owned()), "why");
        Proposed { kind: ProposedKind::Found, ..it }
    }

    fn words(shown: &[Proposed]) -> Vec<String> {
        let one =
            |it: &Proposed| format!("{:?} {}{:?}={}", it.kind, it.key, it.item.as_deref().unwrap_or(""), it.value);
        shown.iter().map(one).collect()
    }

    #[test]
    fn what_is_shown_is_what_would_be_written() {
        let original = "[image]\nengine = \"archiso\"\npackages = [\"git\", \"jq\"]\nenv = { A = \"1\", B = \"2\" }\n";
        let mut proposed = vec![
            found("image.engine", None, "archiso"),
            found("image.packages", None, "git"),
            found("image.packages", None, "jq"),
            found("image.env", Some("A"), "1"),
            found("image.env", Some("B"), "2"),
        ];
        proposed.insert(1, Proposed { kind: ProposedKind::Warning, ..found("image.engine", None, "") });
        assert_eq!(proposal_now(&proposed, original, original), proposed);
        let text =
            "[image]\nengine = \"mkarchiso\"\npackages = [\"jq\", \"vim\"]\nenv = { A = \"3\" }\n[guest]\ncpus = 2\n";
        assert_eq!(
            words(&proposal_now(&proposed, original, text)),
            [
                "Edited image.engine\"\"=mkarchiso",
                "Warning image.engine\"\"=",
                "Dropped image.packages\"\"=git",
                "Found image.packages\"\"=jq",
                "Edited image.packages\"\"=vim",
                "Edited image.env\"A\"=3",
                "Dropped image.env\"B\"=2",
                "Edited guest.cpus\"\"=2",
            ]
        );
        assert_eq!(proposal_now(&proposed, original, "not toml ["), proposed);
    }
}
