//! What a field of `cartridge.toml` is, and how one is found. The table itself is in `field_table`.

use serde::Serialize;

pub use super::field_table::FIELDS;
use super::model::EngineKind;

/// What one field is for, for people and for forms.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct FieldDoc {
    /// Section and name: `"guest.cpus"`; `"name"` stands alone.
    pub key: &'static str,
    /// A short label.
    pub label: &'static str,
    /// What kind of value it takes.
    pub kind: FieldKind,
    /// What holds when the field is not set, as shown in a form; empty when that is nothing.
    pub default: &'static str,
    /// The unit, or empty.
    pub unit: &'static str,
    /// What is allowed, in words.
    pub range: &'static str,
    /// What it does: one sentence.
    pub doc: &'static str,
    /// The engines that it means something to. Setting it with another one is a finding.
    pub engines: &'static [EngineKind],
}

/// What kind of value a field takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FieldKind {
    /// A string.
    Text,
    /// A whole number.
    Integer {
        /// The smallest that is allowed.
        min: i64,
        /// The largest that is allowed.
        max: i64,
    },
    /// `true` or `false`.
    Switch,
    /// A size as a string: `"4G"`, `"512M"`, `"4GiB"`.
    Size,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A folder, relative to the file.
    Folder,
    /// A file, relative to the file.
    File,
    /// A list of strings.
    List,
    /// A table of names and values.
    Map,
}

/// The field called `key`, if there is one.
#[must_use]
pub fn field(key: &str) -> Option<&'static FieldDoc> {
    FIELDS.iter().find(|field| field.key == key)
}

/// The field that `key` was probably meant to be: `image.engine` for `image.engin`.
#[must_use]
pub fn nearest_field(key: &str) -> Option<&'static str> {
    nearest(key, FIELDS.iter().map(|field| field.key))
}

/// The names of the sections.
pub(super) fn sections() -> Vec<&'static str> {
    let mut sections: Vec<_> = FIELDS.iter().filter_map(|field| Some(field.key.split_once('.')?.0)).collect();
    sections.dedup();
    sections
}

/// The known name that `word` was probably meant to be.
pub(super) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let score = |name: &str| strsim::normalized_damerau_levenshtein(&word.to_lowercase(), name);
    let best = known.into_iter().map(|name| (score(name), name)).max_by(|a, b| a.0.total_cmp(&b.0))?;
    (best.0 >= 0.5).then_some(best.1)
}

/// The fields of one section without the section's name; of the top level, names of fields and sections.
pub(super) fn names_in(section: &str) -> Vec<&'static str> {
    if section.is_empty() {
        let alone = FIELDS.iter().map(|field| field.key).filter(|key| !key.contains('.'));
        return alone.chain(sections()).collect();
    }
    FIELDS
        .iter()
        .filter_map(|field| field.key.split_once('.'))
        .filter(|key| key.0 == section)
        .map(|key| key.1)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_found_and_nonsense_has_none() {
        assert_eq!(nearest("cpuz", names_in("guest")), Some("cpus"));
        assert_eq!(nearest("Memroy", names_in("guest")), Some("memory"));
        assert_eq!(nearest("gest", names_in("")), Some("guest"));
        assert_eq!(nearest("xyzzy", names_in("guest")), None);
    }

    #[test]
    fn keys_are_unique_and_documented() {
        for (index, field) in FIELDS.iter().enumerate() {
            assert!(FIELDS.iter().skip(index + 1).all(|other| other.key != field.key), "{}", field.key);
            assert!(!field.label.is_empty() && !field.doc.is_empty() && !field.range.is_empty(), "{}", field.key);
        }
    }
}
