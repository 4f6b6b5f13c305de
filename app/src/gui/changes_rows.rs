//! In what two images differ, as rows: a title for each part, then its lines. A line's words are made when it is seen.
//! Pure.

use isoprep::contents::{
    BootChange, Change, Difference, Direction, FileChange, FileLine, Listed, PackageLine, Sum, TreeName, VersionChange,
};

use super::words;

/// How many folders are summed.
const FOLDERS: usize = 12;

/// A part of a difference, with a title of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The image as a whole.
    Image,
    /// Packages.
    Packages,
    /// Boot entries.
    Boot,
    /// Files of a tree.
    Files(TreeName),
    /// What the folders of the root file system grew by.
    Folders,
}

/// What happened to something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// It is new.
    Added,
    /// It is gone.
    Removed,
    /// It is another.
    Changed,
    /// Nobody knows: it could not be read on both sides.
    Unknown,
    /// No change, a fact.
    Fact,
}

/// A row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Row {
    /// A title.
    Title(Part),
    /// The volume label.
    Label,
    /// How the root file system is packed.
    Packing,
    /// A part that could not be looked into.
    Unread(usize),
    /// A package, by its place in its list.
    Package(Mark, usize),
    /// A boot entry, by its place in its list.
    Boot(Mark, usize),
    /// A word of a changed boot entry: the entry's place, and the word's.
    BootWord(usize, Mark, usize),
    /// A file, by its place in its list.
    File(TreeName, Mark, usize),
    /// A folder of the root file system, by its place among those that grew or shrank most.
    Folder(usize),
    /// So many lines of a kind are not listed.
    More(Mark, u64),
}

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

/// All rows of a difference that hold `filter`, in any case, with the titles of their parts.
#[must_use]
pub fn rows(it: &Difference, filter: &str) -> Vec<Row> {
    let mut rows = Vec::new();
    let needle = filter.trim().to_lowercase();
    let fits = |row: &Row| needle.is_empty() || line(it, *row).name.to_lowercase().contains(&needle);
    let mut part = |part: Part, lines: Vec<Row>| {
        let lines: Vec<Row> = lines.into_iter().filter(fits).collect();
        if !lines.is_empty() {
            rows.push(Row::Title(part));
            rows.extend(lines);
        }
    };
    let mut image = Vec::new();
    image.extend(it.label.is_some().then_some(Row::Label));
    image.extend(it.root_image.is_some().then_some(Row::Packing));
    image.extend((0..it.unread.from.len() + it.unread.to.len()).map(Row::Unread));
    part(Part::Image, image);
    let packages = &it.packages;
    let mut lines = listed(&packages.changed, Mark::Changed, Row::Package);
    lines.extend(listed(&packages.added, Mark::Added, Row::Package));
    lines.extend(listed(&packages.removed, Mark::Removed, Row::Package));
    part(Part::Packages, lines);
    part(Part::Boot, boot(it));
    for name in TreeName::ALL {
        let tree = it.tree(name);
        let file = |mark, at| Row::File(name, mark, at);
        let mut lines = listed(&tree.changed, Mark::Changed, file);
        lines.extend(listed(&tree.added, Mark::Added, file));
        lines.extend(listed(&tree.removed, Mark::Removed, file));
        lines.extend(listed(&tree.undecided, Mark::Unknown, file));
        part(Part::Files(name), lines);
        if name == TreeName::Root && tree.folders.len() > 1 {
            part(Part::Folders, (0..tree.folders.len().min(FOLDERS)).map(Row::Folder).collect());
        }
    }
    rows
}

fn listed<T>(list: &Listed<T>, mark: Mark, row: impl Fn(Mark, usize) -> Row) -> Vec<Row> {
    let mut rows: Vec<Row> = (0..list.items.len()).map(|at| row(mark, at)).collect();
    rows.extend((list.unlisted() > 0).then(|| Row::More(mark, list.unlisted())));
    rows
}

fn boot(it: &Difference) -> Vec<Row> {
    let mut rows = Vec::new();
    for (at, change) in it.boot.changed.iter().enumerate() {
        rows.push(Row::Boot(Mark::Changed, at));
        rows.extend((0..change.words.from.len()).map(|word| Row::BootWord(at, Mark::Removed, word)));
        rows.extend((0..change.words.to.len()).map(|word| Row::BootWord(at, Mark::Added, word)));
    }
    rows.extend((0..it.boot.added.len()).map(|at| Row::Boot(Mark::Added, at)));
    rows.extend((0..it.boot.removed.len()).map(|at| Row::Boot(Mark::Removed, at)));
    rows
}

/// The mark of a row.
#[must_use]
pub fn mark(row: Row) -> Mark {
    match row {
        Row::Package(mark, _) | Row::Boot(mark, _) | Row::BootWord(_, mark, _) | Row::File(_, mark, _) => mark,
        Row::Label | Row::Packing => Mark::Changed,
        Row::Unread(_) => Mark::Unknown,
        Row::Title(_) | Row::Folder(_) | Row::More(..) => Mark::Fact,
    }
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
        Part::Files(TreeName::Root) => ("Files", format!("{} · {}", files(it), words::growth_of(it.root.bytes))),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn difference() -> Difference {
        let mut it = Difference { bytes: Change { from: 800_000_000, to: 803_100_000 }, ..Difference::default() };
        let version = |name: &str, direction| VersionChange {
            name: name.to_owned(),
            version: Change { from: "2".to_owned(), to: "3".to_owned() },
            direction,
            size: Change { from: None, to: None },
        };
        it.packages.changed =
            Listed { items: vec![version("linux", Direction::Newer), version("glibc", Direction::Older)], total: 2 };
        (it.packages.newer, it.packages.older) = (1, 1);
        let path = |text: &str| isoprep::contents::TreePath::new(text.as_bytes());
        let line = |text: &str| FileLine { path: path(text), kind: "file", size: 1200, package: None };
        it.root.added = Listed { items: vec![line("usr/bin/new")], total: 9 };
        it
    }

    #[test]
    fn each_part_has_its_title_and_what_is_not_listed_is_counted() {
        let it = difference();
        let rows = rows(&it, "");
        assert_eq!(
            rows,
            [
                Row::Title(Part::Packages),
                Row::Package(Mark::Changed, 0),
                Row::Package(Mark::Changed, 1),
                Row::Title(Part::Files(TreeName::Root)),
                Row::File(TreeName::Root, Mark::Added, 0),
                Row::More(Mark::Added, 8),
            ]
        );
        let lines: Vec<Line> = rows.iter().map(|row| line(&it, *row)).collect();
        assert_eq!((lines[1].detail.as_str(), lines[1].odd), ("2 → 3", false));
        assert_eq!((lines[2].detail.as_str(), lines[2].odd), ("2 → 3  older", true));
        assert_eq!((lines[4].name.as_str(), lines[4].detail.as_str()), ("/usr/bin/new", "1.2 kB"));
        assert_eq!(lines[5].name, "… and 8 more added");
        assert_eq!((packages(&it), files(&it)), ("1 newer, 1 older".to_owned(), "9 added".to_owned()));
    }

    #[test]
    fn a_filter_leaves_what_holds_it_with_its_title() {
        let it = difference();
        assert_eq!(rows(&it, "GLIBC"), [Row::Title(Part::Packages), Row::Package(Mark::Changed, 1)]);
        assert_eq!(rows(&it, "nothing"), []);
        assert_eq!(line(&it, Row::Package(Mark::Added, 99)), Line::default());
    }
}
