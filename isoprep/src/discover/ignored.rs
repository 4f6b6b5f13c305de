//! Which folders git ignores (gitignore(5)), as far as a look at a repository or at a layer needs it: a folder in which
//! git tracks something counts.

use std::cell::{OnceCell, RefCell};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder};

use crate::recipe::git_top;
use crate::stage::tracked::tracked;

/// A larger file of patterns is not read, bytes.
const LARGEST: u64 = 1 << 20;

/// The patterns that count for the folders of a root.
pub(crate) struct Ignored {
    root: PathBuf,
    /// The top of the checkout; of what is none, the root.
    top: PathBuf,
    files: RefCell<BTreeMap<PathBuf, Gitignore>>,
    tracked: OnceCell<Vec<PathBuf>>,
}

impl Ignored {
    /// What git ignores below `root`, which itself was named and counts.
    pub(crate) fn of(root: &Path) -> Self {
        let root = root.canonicalize().unwrap_or_else(|_| root.to_path_buf());
        let top = git_top(&root).unwrap_or_else(|| root.clone());
        Self { root, top, files: RefCell::default(), tracked: OnceCell::new() }
    }

    /// Whether git ignores a folder, relative to the root, for what it is called. Those above it were asked about before.
    pub(crate) fn folder(&self, path: &Path) -> bool {
        let place = self.root.join(path);
        let mut verdicts = place.ancestors().skip(1).take_while(|dir| dir.starts_with(&self.top)).map(|dir| {
            let mut files = self.files.borrow_mut();
            let patterns = files.entry(dir.to_path_buf()).or_insert_with(|| self.patterns(dir));
            match patterns.matched(&place, true) {
                Match::Ignore(_) => Some(true),
                Match::Whitelist(_) => Some(false),
                Match::None => None,
            }
        });
        let ignored = verdicts.find_map(|verdict| verdict).unwrap_or(false);
        drop(verdicts);
        ignored && !self.tracked.get_or_init(|| tracked(&self.root).paths).iter().any(|file| file.starts_with(path))
    }

    fn patterns(&self, dir: &Path) -> Gitignore {
        let mut builder = GitignoreBuilder::new(dir);
        // The file nearest to a folder has the last word, and `.git/info/exclude` the first.
        let own = (dir == self.top).then(|| dir.join(".git/info/exclude"));
        for file in own.into_iter().chain([dir.join(".gitignore")]) {
            // A pipe of this name would block.
            if file.symlink_metadata().is_ok_and(|meta| meta.is_file() && meta.len() <= LARGEST) {
                // A pattern that cannot be read ignores nothing.
                let _ = builder.add(file);
            }
        }
        builder.build().unwrap_or_else(|_| Gitignore::empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_file_decides_and_the_root_itself_counts() {
        let dir = tempfile::tempdir().unwrap();
        let at = |path: &str| dir.path().join(path);
        for folder in [".git/info", "iso/work", "iso/keep", "iso/out"] {
            std::fs::create_dir_all(at(folder)).unwrap();
        }
        std::fs::write(at(".gitignore"), "/iso/work\nkeep/\niso\n").unwrap();
        std::fs::write(at("iso/.gitignore"), "!keep\n").unwrap();
        std::fs::write(at(".git/info/exclude"), "out\n").unwrap();
        let ignored = Ignored::of(&at("iso"));
        let said = ["work", "keep", "out", "airootfs"].map(|name| ignored.folder(Path::new(name)));
        assert_eq!(said, [true, false, true, false]);
        assert!(Ignored::of(dir.path()).folder(Path::new("iso")));
    }
}
