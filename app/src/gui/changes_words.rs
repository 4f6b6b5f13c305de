//! The rows of a difference in words: what it is about, and what happened to it. Pure.

use isoprep::contents::{
    BootChange, Change, Difference, Direction, FileChange, FileLine, PackageLine, Sum, TreeName, VersionChange,
};

use super::changes_rows::{Mark, Part, Row};
use super::words;

/// How many folders are summed.
pub(super) const FOLDERS: usize = 12;

/// A line in words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line {
    /// What it is about.
    pub name: String,
    /// What happened to it.
    pub detail: String,
    /// Whether that deserves a look: a package that became older.
    pub odd: bool,
}

/// A row in words. A row that is not of this difference is empty.
#[must_use]
pub fn line(it: &Difference, row: Row) -> Line {
    made(it, row).unwrap_or_default()
}

fn made(it: &Difference, row: Row) -> Option<Line> {
    let line = |name: String, detail: String| Some(Line { name, detail, odd: false });
    match row {
        Row::Title(part) => Some(title(it, part)),
        Row::Label => {
            let label = it.label.as_ref()?;
            line("Volume label".to_owned(), format!("{} → {}", label.from, label.to))
        }
        Row::Packing => {
            let change = it.root_image.as_ref()?;
            let how = |root: &Option<isoprep::contents::RootImage>| {
                root.as_ref().map_or("none".to_owned(), |root| format!("{}, {}", root.format.word(), root.compression))
            };
            line("Root image".to_owned(), format!("{} → {}", how(&change.from), how(&change.to)))
        }
        Row::Unread(at) => {
            let (which, what) = match at.checked_sub(it.unread.from.len()) {
                None => ("before", it.unread.from.get(at)?),
                Some(at) => ("now", it.unread.to.get(at)?),
            };
            line(what.clone(), format!("not looked into, {which}"))
        }
        Row::Package(Mark::Changed, at) => Some(version(it.packages.changed.items.get(at)?)),
        Row::Package(Mark::Added, at) => Some(package(it.packages.added.items.get(at)?)),
        Row::Package(_, at) => Some(package(it.packages.removed.items.get(at)?)),
        Row::Boot(Mark::Changed, at) => Some(boot_change(it.boot.changed.get(at)?)),
        Row::Boot(mark, at) => {
            let list = if mark == Mark::Added { &it.boot.added } else { &it.boot.removed };
            let entry = list.get(at)?;
            line(entry.title.clone(), format!("{}, {}", entry.loader.word(), entry.file))
        }
        Row::BootWord(entry, mark, word) => {
            let words = &it.boot.changed.get(entry)?.words;
            let words = if mark == Mark::Added { &words.to } else { &words.from };
            line(format!("    {}", words.get(word)?), String::new())
        }
        Row::File(tree, mark, at) => file(it, tree, mark, at),
        Row::Folder(at) => {
            let (folder, sum) = folders(it).into_iter().nth(at)?;
            line(format!("/{folder}"), sum_words(sum))
        }
        Row::More(mark, count) => {
            let what = match mark {
                Mark::Added => "added",
                Mark::Removed => "removed",
                Mark::Changed => "changed",
                Mark::Unknown | Mark::Fact => "not compared",
            };
            line(format!("… and {} more {what}", words::count(count)), String::new())
        }
    }
}

fn title(it: &Difference, part: Part) -> Line {
    let (name, detail) = match part {
        Part::Image => ("Image", words::change(it.bytes)),
        Part::Packages => ("Packages", packages(it)),
        Part::Boot => ("Boot entries", String::new()),
        Part::Files(TreeName::Root) => {
            ("Files", format!("{} · {} unpacked", files(it), words::growth_of(it.root.bytes)))
        }
        Part::Files(TreeName::Iso) => ("Files beside the root image", words::growth_of(it.iso.bytes)),
        Part::Files(TreeName::Efi) => ("EFI partition", words::growth_of(it.efi.bytes)),
        Part::Folders => ("By folder", String::new()),
    };
    Line { name: name.to_owned(), detail, odd: false }
}

fn counted(parts: &[(u64, &str)]) -> String {
    let parts: Vec<String> = parts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!("{} {word}", words::count(*count)))
        .collect();
    if parts.is_empty() { "as before".to_owned() } else { parts.join(", ") }
}

/// What happened to packages: "2 newer, 1 added".
#[must_use]
pub fn packages(it: &Difference) -> String {
    let it = &it.packages;
    let other = it.changed.total.saturating_sub(it.newer + it.older);
    let changed = [(it.newer, "newer"), (it.older, "older"), (other, "changed")];
    counted(&[changed.as_slice(), &[(it.added.total, "added"), (it.removed.total, "removed")]].concat())
}

/// What happened to files of the root file system: "14 changed, 3 added".
#[must_use]
pub fn files(it: &Difference) -> String {
    let it = &it.root;
    counted(&[(it.changed.total, "changed"), (it.added.total, "added"), (it.removed.total, "removed")])
}

fn version(it: &VersionChange) -> Line {
    let Change { from, to } = &it.version;
    let older = it.direction == Direction::Older;
    let word = if older { "  older" } else { "" };
    Line { name: it.name.clone(), detail: format!("{from} → {to}{word}"), odd: older }
}

fn package(it: &PackageLine) -> Line {
    let size = it.size.map_or_else(String::new, |size| format!("  {}", words::bytes(size)));
    Line { name: it.name.clone(), detail: format!("{}{size}", it.version), odd: false }
}

fn boot_change(it: &BootChange) -> Line {
    let mut parts = vec![format!("{}, {}", it.loader.word(), it.file)];
    if it.title.from != it.title.to {
        parts.push(format!("was {:?}", it.title.from));
    }
    if let Some(kernel) = &it.kernel {
        let name = |path: &Option<String>| path.clone().unwrap_or_else(|| "none".to_owned());
        parts.push(format!("kernel {} → {}", name(&kernel.from), name(&kernel.to)));
    }
    if let Some(initrds) = &it.initrds {
        parts.push(format!("initramfs {} → {}", initrds.from.join(" "), initrds.to.join(" ")));
    }
    if it.reordered {
        parts.push("the same words in another order".to_owned());
    }
    Line { name: it.title.to.clone(), detail: parts.join("; "), odd: false }
}

fn file(it: &Difference, tree: TreeName, mark: Mark, at: usize) -> Option<Line> {
    let it = it.tree(tree);
    let one = |it: &FileLine| Line {
        name: format!("/{}", it.path),
        detail: if it.kind == "file" { words::bytes(it.size) } else { it.kind.to_owned() },
        odd: false,
    };
    match mark {
        Mark::Added => it.added.items.get(at).map(one),
        Mark::Removed => it.removed.items.get(at).map(one),
        Mark::Changed => it.changed.items.get(at).map(changed),
        Mark::Unknown | Mark::Fact => {
            let path = it.undecided.items.get(at)?;
            Some(Line { name: format!("/{path}"), detail: "not compared".to_owned(), odd: false })
        }
    }
}

fn changed(it: &FileChange) -> Line {
    let mut parts = Vec::new();
    if let Some(Change { from, to }) = it.kind {
        parts.push(format!("{from} → {to}"));
    }
    match it.size {
        Some(Change { from, to }) => parts.push(format!("{} → {}", words::bytes(from), words::bytes(to))),
        None if it.content => parts.push("content".to_owned()),
        None => {}
    }
    if let Some(Change { from, to }) = it.mode {
        parts.push(format!("mode {from:04o} → {to:04o}"));
    }
    if let Some(Change { from, to }) = it.owner {
        parts.push(format!("owner {}:{} → {}:{}", from.0, from.1, to.0, to.1));
    }
    if let Some(Change { from, to }) = &it.target {
        parts.push(format!("{from} → {to}"));
    }
    if it.device.is_some() {
        parts.push("device numbers".to_owned());
    }
    parts.extend(it.attributes.iter().map(|attribute| attribute.name.clone()));
    Line { name: format!("/{}", it.path), detail: parts.join(", "), odd: false }
}

/// The folders of the root file system, those first that grew or shrank most.
fn folders(it: &Difference) -> Vec<(String, Sum)> {
    let mut folders: Vec<_> = it.root.folders.iter().collect();
    folders.sort_by_key(|(_, sum)| std::cmp::Reverse((sum.growth.unsigned_abs(), sum.changed + sum.added)));
    folders.into_iter().take(FOLDERS).map(|(folder, sum)| (folder.to_string(), *sum)).collect()
}

fn sum_words(sum: Sum) -> String {
    let counts = counted(&[(sum.changed, "changed"), (sum.added, "added"), (sum.removed, "removed")]);
    format!("{counts} · {}", words::growth(sum.growth))
}
