//! A difference for people and for machines: text like git's, versioned JSON, and one sentence.

use std::fmt::{self, Display, Write};

use serde::Serialize;

use super::difference::{BootChange, Change, Difference, Direction, FileChange, Listed, Sum, TreeDifference};
use super::image::TreeName;
use super::model::{BootEntry, RootImage};
use super::tree_path::OneLine;

/// The version of [`json`].
pub const DIFFERENCE_VERSION: u32 = 1;
/// How many folders and packages are summed in text.
const MOST_SUMS: usize = 12;

/// How text is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// With the escape sequences of a terminal.
    pub colour: bool,
    /// How many lines of each list; the rest is counted.
    pub most: usize,
}

/// The whole difference as text, between images called `names`.
#[must_use]
pub fn text(difference: &Difference, names: &Change<&str>, style: Style) -> String {
    let mut page = Page { text: String::new(), style };
    page.heading(difference, names);
    page.packages(difference);
    page.boot(difference);
    for name in TreeName::ALL {
        page.tree(name, difference.tree(name));
    }
    page.text
}

/// The difference as one JSON object with its version.
///
/// # Errors
/// None that happens: everything in it can be written as JSON.
pub fn json(difference: &Difference, names: &Change<&str>) -> serde_json::Result<serde_json::Value> {
    #[derive(Serialize)]
    struct Whole<'a> {
        version: u32,
        images: &'a Change<&'a str>,
        same: bool,
        summary: String,
        #[serde(flatten)]
        difference: &'a Difference,
    }
    serde_json::to_value(Whole {
        version: DIFFERENCE_VERSION,
        images: names,
        same: difference.is_empty(),
        summary: sentence(difference),
        difference,
    })
}

/// The difference in one sentence: "2 packages newer, 14 files changed, image +3.1 MiB".
#[must_use]
pub fn sentence(difference: &Difference) -> String {
    let packages = &difference.packages;
    let other = packages.changed.total.saturating_sub(packages.newer + packages.older);
    let boot = &difference.boot;
    let beside = |which: fn(&TreeDifference) -> u64| which(&difference.iso) + which(&difference.efi);
    let parts = [
        counted(packages.newer, "package", "newer"),
        counted(packages.older, "package", "older"),
        counted(other, "package", "of another version"),
        counted(packages.added.total, "package", "added"),
        counted(packages.removed.total, "package", "removed"),
        counted(difference.root.changed.total, "file", "changed"),
        counted(difference.root.added.total, "file", "added"),
        counted(difference.root.removed.total, "file", "removed"),
        counted(beside(|it| it.changed.total + it.added.total + it.removed.total), "boot file", "changed"),
        counted(boot.changed.len() as u64, "boot entry", "changed"),
        counted(boot.added.len() as u64, "boot entry", "added"),
        counted(boot.removed.len() as u64, "boot entry", "removed"),
        difference.root_image.as_ref().map(|_| "root image packed otherwise".to_owned()),
        difference.label.as_ref().map(|_| "another label".to_owned()),
        counted(difference.undecided(), "file", "not compared"),
    ];
    let mut parts: Vec<String> = parts.into_iter().flatten().collect();
    if parts.is_empty() {
        parts.push("nothing changed".to_owned());
    }
    if difference.bytes.from != difference.bytes.to {
        parts.push(format!("image {}", growth(difference.bytes)));
    }
    parts.join(", ")
}

/// "14 files changed", if there are any.
fn counted(count: u64, noun: &str, what: &str) -> Option<String> {
    let noun = match (count, noun.strip_suffix('y')) {
        (0, _) => return None,
        (1, _) => noun.to_owned(),
        (_, Some(stem)) => format!("{stem}ies"),
        (_, None) => format!("{noun}s"),
    };
    Some(format!("{count} {noun} {what}"))
}

/// A size in the unit that suits it.
#[must_use]
pub fn size(bytes: u64) -> String {
    #[allow(clippy::cast_precision_loss, reason = "for people")]
    let scaled = |shift: u32| bytes as f64 / f64::from(1_u32 << shift);
    match bytes {
        0..0x400 => format!("{bytes} B"),
        0x400..0x10_0000 => format!("{:.1} KiB", scaled(10)),
        0x10_0000..0x4000_0000 => format!("{:.1} MiB", scaled(20)),
        _ => format!("{:.2} GiB", scaled(30)),
    }
}

fn growth(bytes: Change<u64>) -> String {
    let sign = if bytes.to < bytes.from { '-' } else { '+' };
    format!("{sign}{}", size(bytes.to.abs_diff(bytes.from)))
}

fn signed(growth: i64) -> String {
    format!("{}{}", if growth < 0 { '-' } else { '+' }, size(growth.unsigned_abs()))
}

/// Colours of a terminal.
#[derive(Clone, Copy)]
enum Paint {
    Plain,
    Bold,
    Added,
    Removed,
    Changed,
    Faint,
}

struct Page {
    text: String,
    style: Style,
}

impl Page {
    fn line(&mut self, paint: Paint, line: impl Display) {
        let code = match paint {
            Paint::Plain => "",
            Paint::Bold => "1",
            Paint::Added => "32",
            Paint::Removed => "31",
            Paint::Changed => "33",
            Paint::Faint => "2",
        };
        // Writing to a string does not fail.
        let _ = if code.is_empty() || !self.style.colour {
            writeln!(self.text, "{line}")
        } else {
            writeln!(self.text, "\x1b[{code}m{line}\x1b[0m")
        };
    }

    fn list<T>(&mut self, list: &Listed<T>, mut each: impl FnMut(&mut Self, &T)) {
        let shown = list.items.len().min(self.style.most);
        list.items.iter().take(shown).for_each(|item| each(self, item));
        let rest = list.total - shown as u64;
        if rest > 0 {
            self.line(Paint::Faint, format_args!("    … and {rest} more"));
        }
    }

    fn heading(&mut self, difference: &Difference, names: &Change<&str>) {
        let bytes = difference.bytes;
        self.line(Paint::Bold, format_args!("--- {}  {}", OneLine(names.from), size(bytes.from)));
        self.line(Paint::Bold, format_args!("+++ {}  {}", OneLine(names.to), size(bytes.to)));
        self.line(Paint::Plain, sentence(difference));
        for (name, unread) in [(names.from, &difference.unread.from), (names.to, &difference.unread.to)] {
            for part in unread {
                self.line(Paint::Faint, format_args!("not looked into: {}: {}", OneLine(name), OneLine(part)));
            }
        }
        if let Some(Change { from, to }) = &difference.label {
            self.line(Paint::Changed, format_args!("label: {} → {}", OneLine(from), OneLine(to)));
        }
        if let Some(Change { from, to }) = &difference.root_image {
            self.line(Paint::Changed, format_args!("root image: {} → {}", packing(from), packing(to)));
        }
    }

    fn packages(&mut self, difference: &Difference) {
        let packages = &difference.packages;
        if packages.is_empty() {
            return;
        }
        let Change { from, to } = packages.count;
        self.line(Paint::Bold, format_args!("\npackages: {from} → {to}"));
        self.list(&packages.changed, |page, it| {
            let word = match it.direction {
                Direction::Newer => "newer",
                Direction::Older => "OLDER",
                Direction::Other => "other",
            };
            let Change { from, to } = &it.version;
            let names = (OneLine(&it.name), OneLine(from), OneLine(to));
            page.line(Paint::Changed, format_args!("  M {} {} → {}  {word}", names.0, names.1, names.2));
        });
        for (list, mark, paint) in [(&packages.added, 'A', Paint::Added), (&packages.removed, 'D', Paint::Removed)] {
            self.list(list, |page, it| {
                let bytes = it.size.map(|bytes| format!("  {}", size(bytes))).unwrap_or_default();
                page.line(paint, format_args!("  {mark} {} {}{bytes}", OneLine(&it.name), OneLine(&it.version)));
            });
        }
    }

    fn boot(&mut self, difference: &Difference) {
        let boot = &difference.boot;
        if boot.is_empty() {
            return;
        }
        self.line(Paint::Bold, "\nboot entries:");
        boot.changed.iter().take(self.style.most).for_each(|it| self.boot_change(it));
        for (list, mark, paint) in [(&boot.added, 'A', Paint::Added), (&boot.removed, 'D', Paint::Removed)] {
            for it in list.iter().take(self.style.most) {
                let BootEntry { loader, file, title, .. } = it;
                self.line(paint, format_args!("  {mark} {}  {file}  \"{}\"", loader.word(), OneLine(title)));
            }
        }
    }

    fn boot_change(&mut self, it: &BootChange) {
        let loader = it.loader.word();
        self.line(Paint::Changed, format_args!("  M {loader}  {}  \"{}\"", it.file, OneLine(&it.title.to)));
        if it.title.from != it.title.to {
            self.pair("title", &it.title.from, &it.title.to);
        }
        if let Some(Change { from, to }) = &it.kernel {
            self.pair("kernel", from.as_deref().unwrap_or("none"), to.as_deref().unwrap_or("none"));
        }
        if let Some(Change { from, to }) = &it.initrds {
            self.pair("initramfs", &from.join(" "), &to.join(" "));
        }
        for word in &it.words.from {
            self.line(Paint::Removed, format_args!("      - {}", OneLine(word)));
        }
        for word in &it.words.to {
            self.line(Paint::Added, format_args!("      + {}", OneLine(word)));
        }
        if it.reordered {
            self.line(Paint::Plain, "      the same words in another order");
        }
    }

    fn pair(&mut self, what: &str, from: &str, to: &str) {
        self.line(Paint::Plain, format_args!("      {what}: {} → {}", OneLine(from), OneLine(to)));
    }

    fn tree(&mut self, name: TreeName, tree: &TreeDifference) {
        if tree.is_empty() && tree.undecided.total == 0 {
            return;
        }
        let title = match name {
            TreeName::Root => "root file system",
            TreeName::Iso => "ISO file system",
            TreeName::Efi => "EFI partition",
        };
        self.line(Paint::Bold, format_args!("\n{title}: {}", growth(tree.bytes)));
        self.list(&tree.changed, |page, it| page.line(Paint::Changed, format_args!("  M {}", Told(it))));
        for (list, mark, paint) in [(&tree.added, 'A', Paint::Added), (&tree.removed, 'D', Paint::Removed)] {
            self.list(list, |page, it| {
                let what = if it.kind == "file" { size(it.size) } else { it.kind.to_owned() };
                page.line(paint, format_args!("  {mark} {}  {what}", it.path));
            });
        }
        self.list(&tree.undecided, |page, it| page.line(Paint::Faint, format_args!("  ? {it}  not compared")));
        if name == TreeName::Root {
            self.sums("by folder", tree.folders.iter().map(|(folder, sum)| (format!("/{folder}"), *sum)).collect());
            self.sums(
                "by package",
                tree.packages.iter().map(|(name, sum)| (OneLine(name).to_string(), *sum)).collect(),
            );
        }
    }

    fn sums(&mut self, title: &str, mut sums: Vec<(String, Sum)>) {
        if sums.len() < 2 {
            return;
        }
        sums.sort_by_key(|(_, sum)| std::cmp::Reverse((sum.growth.unsigned_abs(), sum.changed + sum.added)));
        self.line(Paint::Plain, format_args!("  {title}:"));
        for (name, Sum { added, removed, changed, growth }) in sums.iter().take(MOST_SUMS) {
            self.line(
                Paint::Plain,
                format_args!("    {name}  M {changed}  A {added}  D {removed}  {}", signed(*growth)),
            );
        }
        if sums.len() > MOST_SUMS {
            self.line(Paint::Faint, format_args!("    … and {} more", sums.len() - MOST_SUMS));
        }
    }
}

fn packing(root: &Option<RootImage>) -> String {
    match root {
        Some(root) => {
            let layers = if root.parts.len() > 1 { format!(", {} layers", root.parts.len()) } else { String::new() };
            format!("{} ({}{layers})", root.format.word(), root.compression)
        }
        None => "none".to_owned(),
    }
}

/// A changed file with everything that changed in it.
struct Told<'a>(&'a FileChange);

impl Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let it = self.0;
        write!(f, "{}", it.path)?;
        let mut gap = "  ";
        let mut tell = |text: fmt::Arguments<'_>| {
            f.write_str(gap)?;
            gap = ", ";
            f.write_fmt(text)
        };
        if let Some(Change { from, to }) = it.kind {
            tell(format_args!("{from} → {to}"))?;
        }
        match it.size {
            Some(Change { from, to }) => tell(format_args!("{} → {}", size(from), size(to)))?,
            None if it.content => tell(format_args!("content"))?,
            None => {}
        }
        if let Some(Change { from, to }) = it.mode {
            tell(format_args!("mode {from:04o} → {to:04o}"))?;
        }
        if let Some(Change { from, to }) = it.owner {
            tell(format_args!("owner {}:{} → {}:{}", from.0, from.1, to.0, to.1))?;
        }
        if let Some(Change { from, to }) = &it.target {
            tell(format_args!("{from} → {to}"))?;
        }
        if let Some(Change { from: Some(from), to: Some(to) }) = it.device {
            tell(format_args!("device {}:{} → {}:{}", from.0, from.1, to.0, to.1))?;
        }
        for attribute in &it.attributes {
            let what = match (&attribute.value.from, &attribute.value.to) {
                (None, _) => "added",
                (_, None) => "removed",
                _ => "changed",
            };
            tell(format_args!("{} {what}", attribute.name))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
