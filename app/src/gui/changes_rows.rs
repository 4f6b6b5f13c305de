//! In what two images differ, as rows: a title for each part, then its lines. Their words are made when they are seen:
//! see `changes_words`. Pure.

use isoprep::contents::{Difference, Listed, TreeName};

use super::changes_words::{FOLDERS, line};

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

#[cfg(test)]
mod tests {
    use isoprep::contents::{Change, Direction, FileLine, VersionChange};

    use super::super::changes_words::{Line, files, packages};
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
        assert_eq!((lines[4].name.as_str(), lines[4].detail.as_str()), ("/usr/bin/new", "1.2 KiB"));
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
