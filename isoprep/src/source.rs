//! The repository as it is now, and in what it differs from what an image was made of: what a person is told who edits it
//! while a guest runs. A build leaves beside its image what it was made of.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fmt::Write as _;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use cartridge_treehash::TreeHash;
use serde::{Deserialize, Serialize};

use crate::Cancel;
use crate::build::BuildError;
use crate::cache::{Cache, atomic};
use crate::engine;
use crate::progress::Reporter;
use crate::recipe::Recipe;
use crate::stage::assemble;
use crate::stage::manifest::{Entry, Manifest};

/// The first line of a file that keeps a tree.
const HEAD: &str = "cartridge source 1";
/// The end of its name, after the image's.
const END: &str = "source";

/// What of a repository is injected: every entry with what decides whether the guest's is the same.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceTree {
    entries: BTreeMap<Vec<u8>, Print>,
    hash: String,
}

/// What an entry is known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Print {
    /// `d`, `f` or `l`, as find(1) has it.
    kind: u8,
    /// Permission bits; 0 for a link.
    mode: u32,
    /// The hash of a file's content or of a link's target; zeros for a folder.
    content: TreeHash,
}

/// In what an entry differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// It is new.
    Added,
    /// It is gone.
    Removed,
    /// Its content, its mode or its kind is another.
    Changed,
}

/// An entry of a repository that is not as it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceChange {
    /// Its path in the repository.
    pub path: PathBuf,
    /// In what it differs.
    pub kind: ChangeKind,
}

impl SourceTree {
    /// Reads the repository of `recipe` as a build would: what git ignores and the recipe excludes is left out, and `ours`,
    /// folders of ours that may lie in it. Files that look as at the last time are not read; `cache` remembers that.
    /// Blocks.
    ///
    /// # Errors
    /// [`BuildError`] where a build would refuse the repository; [`BuildError::Cancelled`] after `cancel`.
    pub fn look(recipe: &Recipe, cache: &Path, ours: &[PathBuf], cancel: &Cancel) -> Result<Self, BuildError> {
        let stage = engine::ASSEMBLE;
        let opened = Cache::open(cache).map_err(BuildError::write(stage, cache, 0))?;
        let ours: Vec<PathBuf> = ours.iter().filter_map(|dir| dir.canonicalize().ok()).collect();
        let reporter = Reporter::new(stage, cancel, &|_| ());
        let looked = assemble::look(recipe, &ours, &reporter)?;
        let (manifest, _) = assemble::read(looked, &opened, &reporter)?;
        Ok(Self::of(&manifest))
    }

    pub(crate) fn of(manifest: &Manifest) -> Self {
        let print = |entry: &Entry| match entry {
            Entry::Dir { mode } => Print { kind: b'd', mode: *mode, content: TreeHash([0; 32]) },
            Entry::File { mode, content, .. } => Print { kind: b'f', mode: *mode, content: *content },
            Entry::Symlink { target } => {
                Print { kind: b'l', mode: 0, content: TreeHash(*blake3::hash(target.as_bytes()).as_bytes()) }
            }
        };
        let entries = manifest.iter().map(|(path, entry)| (path.into_os_string().into_vec(), print(entry))).collect();
        Self { entries, hash: manifest.summary().1.to_string() }
    }

    /// The hash of the tree, 64 hex digits: what a guest reports that has exactly this.
    #[must_use]
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// The folders, relative to the repository; the first is the repository itself, with an empty path. What is ignored is
    /// not among them.
    #[must_use]
    pub fn folders(&self) -> BTreeSet<PathBuf> {
        let folders = self.entries.iter().filter(|(_, print)| print.kind == b'd').map(|(path, _)| path_of(path));
        folders.chain([PathBuf::new()]).collect()
    }

    /// In what `now` differs from this, by path. A folder that is there or gone only together with what lies in it is not
    /// told apart from that.
    #[must_use]
    pub fn changes(&self, now: &Self) -> Vec<SourceChange> {
        let paths: BTreeSet<&Vec<u8>> = self.entries.keys().chain(now.entries.keys()).collect();
        let told = |path: &Vec<u8>| {
            let kind = match (self.entries.get(path), now.entries.get(path)) {
                (Some(before), Some(after)) if before == after => return None,
                (Some(_), Some(_)) => ChangeKind::Changed,
                (None, Some(print)) if print.kind == b'd' && now.has_below(path) => return None,
                (Some(print), None) if print.kind == b'd' && self.has_below(path) => return None,
                (None, _) => ChangeKind::Added,
                (_, None) => ChangeKind::Removed,
            };
            Some(SourceChange { path: path_of(path), kind })
        };
        paths.into_iter().filter_map(told).collect()
    }

    fn has_below(&self, folder: &[u8]) -> bool {
        let inside = [folder, b"/"].concat();
        self.entries.range(inside.clone()..).next().is_some_and(|(path, _)| path.starts_with(&inside))
    }

    /// What the image at `iso` was made of, if its build has left that.
    ///
    /// # Errors
    /// What the system says; [`io::ErrorKind::InvalidData`] for a file that is not such a list.
    pub fn of_image(iso: &Path) -> io::Result<Self> {
        let text = std::fs::read(place(iso))?;
        parse(&text).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "not the list of a source"))
    }

    /// Keeps this beside the image at `iso`.
    pub(crate) fn keep(&self, iso: &Path) -> io::Result<()> {
        atomic::write(&place(iso), self.text().as_bytes())
    }

    fn text(&self) -> String {
        let mut text = format!("{HEAD}\n{}\n", self.hash);
        for (path, print) in &self.entries {
            let path: String = path.iter().map(|byte| format!("{byte:02x}")).collect();
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{} {:o} {} {path}", char::from(print.kind), print.mode, print.content);
        }
        text
    }
}

fn parse(text: &[u8]) -> Option<SourceTree> {
    let mut lines = std::str::from_utf8(text).ok()?.lines();
    if lines.next()? != HEAD {
        return None;
    }
    let hash = lines.next()?.to_owned();
    let entry = |line: &str| {
        let mut words = line.split(' ');
        let kind = *words.next()?.as_bytes().first()?;
        let mode = u32::from_str_radix(words.next()?, 8).ok()?;
        let content = TreeHash(bytes(words.next()?)?.try_into().ok()?);
        Some((bytes(words.next()?)?, Print { kind, mode, content }))
    };
    let entries = lines.map(entry).collect::<Option<BTreeMap<_, _>>>()?;
    Some(SourceTree { entries, hash })
}

fn bytes(hex: &str) -> Option<Vec<u8>> {
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    hex.len().is_multiple_of(2).then(|| hex.as_bytes().chunks(2).map(pair).collect())?
}

fn path_of(bytes: &[u8]) -> PathBuf {
    PathBuf::from(OsString::from_vec(bytes.to_vec()))
}

fn place(iso: &Path) -> PathBuf {
    iso.with_extension(END)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(entries: &[(&str, u8, u32, u8)]) -> SourceTree {
        let print = |(path, kind, mode, content): &(&str, u8, u32, u8)| {
            (path.as_bytes().to_vec(), Print { kind: *kind, mode: *mode, content: TreeHash([*content; 32]) })
        };
        SourceTree { entries: entries.iter().map(print).collect(), hash: "00".into() }
    }

    fn told(before: &SourceTree, after: &SourceTree) -> Vec<(String, ChangeKind)> {
        before.changes(after).into_iter().map(|it| (it.path.to_string_lossy().into_owned(), it.kind)).collect()
    }

    #[test]
    fn each_change_is_told_once() {
        let before = tree(&[("a", b'f', 0o644, 1), ("d", b'd', 0o755, 0), ("d/x", b'f', 0o644, 2), ("l", b'l', 0, 3)]);
        assert_eq!(told(&before, &before), []);
        let after =
            tree(&[("a", b'f', 0o755, 1), ("e", b'd', 0o755, 0), ("f", b'd', 0o755, 0), ("f/y", b'f', 0o600, 9)]);
        use ChangeKind::{Added, Changed, Removed};
        let want = [("a", Changed), ("d/x", Removed), ("e", Added), ("f/y", Added), ("l", Removed)];
        assert_eq!(told(&before, &after), want.map(|(path, kind)| (path.to_owned(), kind)));
    }

    #[test]
    fn what_is_kept_comes_back() {
        let dir = tempfile::tempdir().unwrap();
        let iso = dir.path().join("demo.iso");
        let one = tree(&[("a\nb \u{e9}", b'f', 0o4755, 7), ("d", b'd', 0o700, 0)]);
        one.keep(&iso).unwrap();
        assert_eq!(SourceTree::of_image(&iso).unwrap(), one);
        assert_eq!(one.folders(), ["", "d"].map(PathBuf::from).into());
        std::fs::write(place(&iso), "else").unwrap();
        assert_eq!(SourceTree::of_image(&iso).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_taken(text: Vec<u8>, tail: String) {
            let _ = parse(&text);
            let _ = parse(format!("{HEAD}\nx\n{tail}").as_bytes());
        }
    }
}
