//! Cartridges inserted before, newest first, remembered in the state directory.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::event::RecentView;

/// How many are remembered.
const LIMIT: usize = 12;

/// The list, and the file it is kept in.
#[derive(Clone, Debug, Default)]
pub(super) struct Recent {
    file: PathBuf,
    entries: Vec<Entry>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    path: PathBuf,
    name: String,
}

impl Recent {
    /// Reads the list; a missing or broken file is an empty list.
    pub(super) fn load(file: &Path) -> Self {
        let entries =
            std::fs::read_to_string(file).ok().and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
        Self { file: file.to_owned(), entries }
    }

    /// Puts a cartridge first.
    ///
    /// # Errors
    /// When the file cannot be written; the list in memory has changed all the same.
    pub(super) fn insert(&mut self, path: &Path, name: &str) -> std::io::Result<()> {
        let entry = Entry { path: path.to_owned(), name: name.to_owned() };
        if self.entries.first() == Some(&entry) {
            return Ok(());
        }
        self.entries.retain(|e| e.path != entry.path);
        self.entries.insert(0, entry);
        self.entries.truncate(LIMIT);
        self.save()
    }

    /// Forgets a cartridge.
    ///
    /// # Errors
    /// As [`Recent::insert`].
    pub(super) fn forget(&mut self, path: &Path) -> std::io::Result<()> {
        self.entries.retain(|e| e.path != path);
        self.save()
    }

    pub(super) fn views(&self) -> Vec<RecentView> {
        self.entries
            .iter()
            .map(|e| RecentView { path: e.path.clone(), name: e.name.clone(), exists: e.path.exists() })
            .collect()
    }

    fn save(&self) -> std::io::Result<()> {
        if let Some(dir) = self.file.parent() {
            std::fs::create_dir_all(dir)?;
        }
        let text = serde_json::to_string_pretty(&self.entries).map_err(std::io::Error::other)?;
        isoprep::save_atomically(&self.file, &text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newest_first_without_doubles_and_a_broken_file_is_empty() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("deep/recent.json");
        let mut recent = Recent::load(&file);
        for name in ["a", "b", "a"] {
            recent.insert(&dir.path().join(name), name).unwrap();
        }
        let names = |recent: &Recent| recent.views().into_iter().map(|v| v.name).collect::<Vec<_>>();
        assert_eq!(names(&Recent::load(&file)), ["a", "b"]);
        recent.forget(&dir.path().join("a")).unwrap();
        assert_eq!(names(&Recent::load(&file)), ["b"]);
        std::fs::write(&file, "{ not json").unwrap();
        assert!(Recent::load(&file).views().is_empty());
    }
}
