//! Stage results, found by the hash of what they were made of.
//!
//! A result is a directory `<stage>/<key>/`, made under `drafts/` and renamed when complete, so that a killed build or a
//! second builder never leaves half a result. Builders hold a shared lock; whoever gets it alone may clean up.

pub(crate) mod atomic;
pub(crate) mod stat_index;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use crate::plan::Key;
use crate::progress::StageName;

/// The list of a result's files with their sizes: what `find` checks.
const RECORD: &str = "entry.json";
/// How many results of a stage are kept: enough to go back and forth between a few cartridges.
const KEPT: usize = 4;

/// An open cache directory.
pub(crate) struct Cache {
    root: PathBuf,
    lock: File,
}

/// A result in the cache.
#[derive(Clone, Debug)]
pub(crate) struct Entry(PathBuf);

/// A result that is being made; dropped without a commit, it is gone.
pub(crate) struct Draft {
    dir: tempfile::TempDir,
    target: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct Record {
    files: Vec<(String, u64)>,
}

impl Cache {
    /// Opens or creates the cache, and removes what killed builds left if nobody else is building.
    pub(crate) fn open(root: &Path) -> io::Result<Self> {
        fs::create_dir_all(root.join("drafts"))?;
        let lock = File::options().create(true).truncate(false).write(true).open(root.join("lock"))?;
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok() {
            for draft in fs::read_dir(root.join("drafts"))?.flatten() {
                let _ = fs::remove_dir_all(draft.path());
            }
        }
        flock(&lock, FlockOperation::LockShared)?;
        Ok(Self { root: root.to_path_buf(), lock })
    }

    /// Where indexes and records of this kind lie; created when missing.
    pub(crate) fn room(&self, name: &str) -> io::Result<PathBuf> {
        let room = self.root.join(name);
        fs::create_dir_all(&room)?;
        Ok(room)
    }

    /// The complete result of `stage` for `key`, if there is one.
    pub(crate) fn find(&self, stage: StageName, key: Key) -> Option<Entry> {
        let dir = self.place(stage, key);
        let record: Record = serde_json::from_slice(&fs::read(dir.join(RECORD)).ok()?).ok()?;
        let whole = |(name, size): &(String, u64)| fs::metadata(dir.join(name)).is_ok_and(|meta| meta.len() == *size);
        if !record.files.iter().all(whole) {
            return None;
        }
        // Marks it as used: the oldest go first.
        let _ = File::open(&dir).and_then(|dir| dir.set_modified(SystemTime::now()));
        Some(Entry(dir))
    }

    /// Begins a result.
    pub(crate) fn draft(&self, stage: StageName, key: Key) -> io::Result<Draft> {
        let prefix = format!("{stage}-");
        let dir = tempfile::Builder::new().prefix(&prefix).tempdir_in(self.root.join("drafts"))?;
        Ok(Draft { dir, target: self.place(stage, key) })
    }

    /// Removes the least recently used results of each stage, unless somebody else is building.
    pub(crate) fn prune(&self, stages: &[StageName]) {
        if flock(&self.lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            return;
        }
        for stage in stages {
            let Ok(entries) = fs::read_dir(self.root.join(stage.0)) else { continue };
            let mut dirs: Vec<(SystemTime, PathBuf)> = entries
                .flatten()
                .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
                .collect();
            dirs.sort();
            let over = dirs.len().saturating_sub(KEPT);
            for (_, dir) in dirs.into_iter().take(over) {
                let _ = fs::remove_dir_all(dir);
            }
        }
        let _ = flock(&self.lock, FlockOperation::LockShared);
    }

    fn place(&self, stage: StageName, key: Key) -> PathBuf {
        self.root.join(stage.0).join(key.0.to_string())
    }
}

impl Entry {
    /// The path of one of its files.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Draft {
    /// Where a file of the result is to be written.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Makes it a result. If another builder was faster, theirs is taken: it is the same, bit by bit.
    pub(crate) fn commit(self) -> io::Result<Entry> {
        let mut files = Vec::new();
        for entry in fs::read_dir(self.dir.path())? {
            let entry = entry?;
            File::open(entry.path())?.sync_all()?;
            files.push((entry.file_name().to_string_lossy().into_owned(), entry.metadata()?.len()));
        }
        let record = serde_json::to_vec(&Record { files }).map_err(io::Error::other)?;
        fs::write(self.dir.path().join(RECORD), record)?;
        if let Some(parent) = self.target.parent() {
            fs::create_dir_all(parent)?;
        }
        if fs::rename(self.dir.path(), &self.target).is_err() {
            // Something is in the way: a whole result of another builder, or a damaged one.
            let damaged = self.dir.path().with_extension("old");
            let _ = fs::rename(&self.target, &damaged);
            let renamed = fs::rename(self.dir.path(), &self.target);
            let _ = fs::remove_dir_all(&damaged);
            renamed?;
        }
        // The directory is where it belongs now; nothing is left to remove.
        let _ = self.dir.keep();
        Ok(Entry(self.target))
    }
}
