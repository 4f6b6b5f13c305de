//! Files added, removed and changed, summed by folder and by package.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Serialize, Serializer};

use super::{Change, Listed};
use crate::contents::model::{DeviceNumbers, Entry, Kind, Tree};
use crate::contents::tree_path::TreePath;

/// In what two file systems differ.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TreeDifference {
    /// Entries that only the second has.
    pub added: Listed<FileLine>,
    /// Entries that only the first has.
    pub removed: Listed<FileLine>,
    /// Entries that differ.
    pub changed: Listed<FileChange>,
    /// Files of one size whose contents are not both known.
    pub undecided: Listed<TreePath>,
    /// Sums by top folder; of `usr` by the folders in it.
    pub folders: BTreeMap<TreePath, Sum>,
    /// Sums by package, of the entries that belong to one.
    #[serde(serialize_with = "by_name")]
    pub packages: BTreeMap<Arc<str>, Sum>,
    /// The content of all files, bytes.
    pub bytes: Change<u64>,
}

fn by_name<S: Serializer>(sums: &BTreeMap<Arc<str>, Sum>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(sums.iter().map(|(name, sum)| (&**name, sum)))
}

/// What changed in a folder or in a package.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Sum {
    /// Entries.
    pub added: u64,
    /// Entries.
    pub removed: u64,
    /// Entries.
    pub changed: u64,
    /// By how much its files grew, bytes.
    pub growth: i64,
}

/// An entry that is in one image only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FileLine {
    /// Where it is.
    pub path: TreePath,
    /// What it is: "file", "directory", "link", ….
    pub kind: &'static str,
    /// The size of its content, bytes.
    pub size: u64,
    /// The package that it belongs to.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "name")]
    pub package: Option<Arc<str>>,
}

/// An entry that differs, with everything that does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FileChange {
    /// Where it is.
    pub path: TreePath,
    /// What it is, if that differs: "file", "directory", "link", ….
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<Change<&'static str>>,
    /// Whether its content differs.
    pub content: bool,
    /// The sizes of its content, bytes, if they differ.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<Change<u64>>,
    /// Its permission bits, if they differ.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<Change<u32>>,
    /// Owner and group, if they differ.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<Change<(u32, u32)>>,
    /// Where the link points, if that differs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<Change<TreePath>>,
    /// The device's numbers, if they differ.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<Change<DeviceNumbers>>,
    /// Extended attributes that differ.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub attributes: Vec<AttributeChange>,
    /// The package that it belongs to.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "name")]
    pub package: Option<Arc<str>>,
}

/// An extended attribute that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AttributeChange {
    /// Its full name: `security.capability`.
    pub name: String,
    /// Its values as [`Entry::attributes`] has them; `None` where it is not there.
    #[serde(flatten)]
    pub value: Change<Option<String>>,
}

fn name<S: Serializer>(name: &Option<Arc<str>>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_some(&name.as_deref())
}

impl FileChange {
    fn is_empty(&self) -> bool {
        let Self { path: _, kind, content, size, mode, owner, target, device, attributes, package: _ } = self;
        let fields = [kind.is_some(), *content, size.is_some(), mode.is_some(), owner.is_some(), target.is_some()];
        !fields.contains(&true) && device.is_none() && attributes.is_empty()
    }

    fn reversed(self) -> Self {
        let turn = |it: AttributeChange| AttributeChange { value: it.value.reversed(), ..it };
        Self {
            kind: self.kind.map(Change::reversed),
            size: self.size.map(Change::reversed),
            mode: self.mode.map(Change::reversed),
            owner: self.owner.map(Change::reversed),
            target: self.target.map(Change::reversed),
            device: self.device.map(Change::reversed),
            attributes: self.attributes.into_iter().map(turn).collect(),
            ..self
        }
    }
}

impl TreeDifference {
    /// Whether the file systems hold the same, as far as that is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.added.total + self.removed.total + self.changed.total == 0
    }

    pub(super) fn reversed(self) -> Self {
        let turn = |sum: Sum| Sum {
            added: sum.removed,
            removed: sum.added,
            changed: sum.changed,
            growth: sum.growth.saturating_neg(),
        };
        Self {
            added: self.removed,
            removed: self.added,
            changed: self.changed.map(FileChange::reversed),
            undecided: self.undecided,
            folders: self.folders.into_iter().map(|(folder, sum)| (folder, turn(sum))).collect(),
            packages: self.packages.into_iter().map(|(package, sum)| (package, turn(sum))).collect(),
            bytes: self.bytes.reversed(),
        }
    }

    fn count(&mut self, path: &TreePath, package: Option<&Arc<str>>, growth: i64, which: fn(&mut Sum) -> &mut u64) {
        let add = |sum: &mut Sum| {
            *which(sum) += 1;
            sum.growth = sum.growth.saturating_add(growth);
        };
        add(self.folders.entry(folder(path)).or_default());
        if let Some(package) = package {
            add(self.packages.entry(Arc::clone(package)).or_default());
        }
    }
}

/// The folder that an entry is summed under.
fn folder(path: &TreePath) -> TreePath {
    let deep = if path.parts().next() == Some(b"usr") { 2 } else { 1 };
    let parts: Vec<&[u8]> = path.parts().collect();
    // What lies right there is summed under the folder that it lies in.
    let kept = parts.len().saturating_sub(1).min(deep);
    TreePath::new(parts[..kept].join(&b'/'))
}

/// Compares two file systems, but not what `pass` passes over.
pub(super) fn compare(from: &Tree, to: &Tree, pass: impl Fn(&TreePath) -> bool) -> TreeDifference {
    let mut found =
        TreeDifference { bytes: Change { from: from.bytes(), to: to.bytes() }, ..TreeDifference::default() };
    let line = |path: &TreePath, entry: &Entry| FileLine {
        path: path.clone(),
        kind: entry.kind.word(),
        size: entry.size(),
        package: entry.package.clone(),
    };
    for step in merged(from, to) {
        match step {
            Step::Removed(path, entry) => {
                found
                    .count(path, entry.package.as_ref(), signed(entry.size()).saturating_neg(), |sum| &mut sum.removed);
                found.removed.push(|| line(path, entry));
            }
            Step::Added(path, entry) => {
                found.count(path, entry.package.as_ref(), signed(entry.size()), |sum| &mut sum.added);
                found.added.push(|| line(path, entry));
            }
            Step::Both(path, ..) if pass(path) => {}
            Step::Both(path, one, two) => {
                let (change, decided) = change(path, one, two);
                if !decided {
                    found.undecided.push(|| path.clone());
                }
                if !change.is_empty() {
                    let growth = signed(two.size()).saturating_sub(signed(one.size()));
                    found.count(path, change.package.as_ref(), growth, |sum| &mut sum.changed);
                    found.changed.push(|| change);
                }
            }
        }
    }
    found
}

/// The files of both trees, of one size, whose contents are not yet known to be the same or not.
#[must_use]
pub fn undecided(from: &Tree, to: &Tree, pass: impl Fn(&TreePath) -> bool) -> Vec<TreePath> {
    let open = |step: Step<'_>| match step {
        Step::Both(path, one, two) if !pass(path) && !change(path, one, two).1 => Some(path.clone()),
        _ => None,
    };
    merged(from, to).filter_map(open).collect()
}

enum Step<'a> {
    Removed(&'a TreePath, &'a Entry),
    Added(&'a TreePath, &'a Entry),
    Both(&'a TreePath, &'a Entry, &'a Entry),
}

/// Walks two trees side by side.
fn merged<'a>(from: &'a Tree, to: &'a Tree) -> impl Iterator<Item = Step<'a>> {
    let (mut from, mut to) = (from.iter().peekable(), to.iter().peekable());
    std::iter::from_fn(move || {
        let order = match (from.peek(), to.peek()) {
            (None, None) => return None,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some((one, _)), Some((two, _))) => one.cmp(two),
        };
        Some(match order {
            Ordering::Less => from.next().map(|(path, entry)| Step::Removed(path, entry))?,
            Ordering::Greater => to.next().map(|(path, entry)| Step::Added(path, entry))?,
            Ordering::Equal => {
                let ((path, one), (_, two)) = (from.next()?, to.next()?);
                Step::Both(path, one, two)
            }
        })
    })
}

/// What differs in an entry, and whether its content could be compared.
fn change(path: &TreePath, one: &Entry, two: &Entry) -> (FileChange, bool) {
    let mut change = FileChange {
        path: path.clone(),
        kind: Change::of(one.kind.word(), two.kind.word()),
        content: false,
        size: None,
        mode: Change::of(one.mode, two.mode),
        owner: Change::of((one.uid, one.gid), (two.uid, two.gid)),
        target: None,
        device: None,
        attributes: attributes(one, two),
        // Of two the first by name, so that both sides see the same.
        package: match (&one.package, &two.package) {
            (Some(one), Some(two)) => Some(Arc::clone(one.min(two))),
            (one, two) => one.as_ref().or(two.as_ref()).cloned(),
        },
    };
    let mut decided = true;
    match (&one.kind, &two.kind) {
        (Kind::File { size: size1, content: content1 }, Kind::File { size: size2, content: content2 }) => {
            change.size = Change::of(*size1, *size2);
            match content1.same(content2).filter(|_| size1 == size2) {
                Some(same) => change.content = !same,
                None if size1 != size2 => change.content = true,
                None => decided = *size1 == 0,
            }
        }
        (Kind::Symlink { target: target1 }, Kind::Symlink { target: target2 }) => {
            change.target = (target1 != target2).then(|| Change { from: target1.clone(), to: target2.clone() });
            // A link's own bits are never used.
            change.mode = None;
        }
        (Kind::Character(one), Kind::Character(two)) | (Kind::Block(one), Kind::Block(two)) => {
            change.device = Change::of(*one, *two).filter(|it| it.from.is_some() && it.to.is_some());
        }
        _ => {}
    }
    (change, decided)
}

fn attributes(one: &Entry, two: &Entry) -> Vec<AttributeChange> {
    // What one side cannot tell is not compared.
    let (Some(one), Some(two)) = (&one.attributes, &two.attributes) else { return Vec::new() };
    if one == two {
        return Vec::new();
    }
    let names: std::collections::BTreeSet<&String> = one.keys().chain(two.keys()).collect();
    let change = |name: &String| {
        let value = Change::of(one.get(name).cloned(), two.get(name).cloned())?;
        Some(AttributeChange { name: name.clone(), value })
    };
    names.into_iter().filter_map(change).collect()
}

fn signed(size: u64) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}
