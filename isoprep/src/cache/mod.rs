//! Stage results, found by the hash of what they were made of.
//!
//! A result is a directory `<stage>/<key>/` of files and folders, made under `drafts/` and renamed when complete, so that a killed build or a
//! second builder never leaves half a result. Builders hold a shared lock; whoever gets it alone may remove old results.

pub(crate) mod atomic;
pub(crate) mod drafts;
pub(crate) mod packages;
pub(crate) mod stat_index;
pub(crate) mod steady;
pub(crate) mod view;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use crate::plan::Key;
use crate::progress::StageName;

/// The list of a result's files with their sizes: what `find` checks.
const RECORD: &str = "entry.json";
/// Directories of indexes and records, whose files are written whole.
const ROOMS: [&str; 2] = ["index", "images"];

/// How many files are synced at once.
const SYNCED: usize = 16;

/// An open cache directory.
pub(crate) struct Cache {
    root: PathBuf,
    lock: File,
}

/// A result in the cache.
#[derive(Clone, Debug)]
pub(crate) struct Entry(PathBuf);

/// Keeps a result where it is for as long as it lives: it is in use beyond the build that made it.
#[derive(Clone, Debug)]
pub struct Held {
    _dir: Arc<File>,
}

/// A result that is being made; dropped without a commit, it is gone.
pub(crate) struct Draft {
    dir: tempfile::TempDir,
    /// Keeps sweeps away.
    _lock: File,
    target: PathBuf,
    /// Whoever holds this file's lock may put a result in place.
    committing: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct Record {
    files: Vec<(String, u64)>,
}

impl Cache {
    /// Opens the cache, or creates it with our marker, and removes what killed builds left if nobody else is building.
    pub(crate) fn open(root: &Path) -> io::Result<Self> {
        let existed = root.exists();
        match crate::ensure_marked(root, "stages") {
            // A folder that somebody chose for it and that cannot be marked is taken as it is.
            Err(error) if !existed => return Err(io::Error::other(error)),
            _ => {}
        }
        make_one(&root.join(drafts::ROOM))?;
        let lock = File::options().create(true).truncate(false).write(true).open(root.join("lock"))?;
        drafts::sweep_cache(root);
        flock(&lock, FlockOperation::LockShared)?;
        Ok(Self { root: root.to_path_buf(), lock })
    }

    /// Where indexes and records of this kind lie; created when missing.
    pub(crate) fn room(&self, name: &str) -> io::Result<PathBuf> {
        let room = self.root.join(name);
        make_one(&room)?;
        Ok(room)
    }

    /// The complete result of `stage` for `key`, if there is one.
    pub(crate) fn find(&self, stage: StageName, key: Key) -> Option<Entry> {
        let dir = self.place(stage, key);
        if !is_whole(&dir) {
            return None;
        }
        // Marks it as used: the oldest go first.
        let _ = File::open(&dir).and_then(|dir| dir.set_modified(SystemTime::now()));
        Some(Entry(dir))
    }

    /// Where fetched packages are kept.
    pub(crate) fn packages(&self) -> io::Result<packages::PackageCache> {
        packages::PackageCache::open(&self.root)
    }

    /// Begins a result.
    pub(crate) fn draft(&self, stage: StageName, key: Key) -> io::Result<Draft> {
        let (dir, lock) = drafts::dir(&self.root.join(drafts::ROOM), &format!("{stage}-"))?;
        Ok(Draft { dir, _lock: lock, target: self.place(stage, key), committing: self.root.join("committing") })
    }

    /// Removes the least recently used results beyond the limits, unless somebody else is building.
    pub(crate) fn prune(&self, stages: &[StageName]) {
        if flock(&self.lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            return;
        }
        view::prune(&self.root, stages);
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

impl Entry {
    /// Keeps it: neither a later build nor whoever empties the cache removes it meanwhile. To be called while the cache is open.
    pub(crate) fn hold(&self) -> io::Result<Held> {
        let dir = File::open(&self.0)?;
        flock(&dir, FlockOperation::LockShared)?;
        Ok(Held { _dir: Arc::new(dir) })
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
        list(self.dir.path(), Path::new(""), &mut files)?;
        sync(self.dir.path(), &files)?;
        let record = serde_json::to_vec(&Record { files }).map_err(io::Error::other)?;
        atomic::write_new(&self.dir.path().join(RECORD), &record)?;
        if let Some(parent) = self.target.parent() {
            make_one(parent)?;
        }
        // One at a time: a whole result must not be taken away from others who have it already.
        let lock = File::options().create(true).truncate(false).write(true).open(&self.committing)?;
        flock(&lock, FlockOperation::LockExclusive)?;
        if is_whole(&self.target) {
            return Ok(Entry(self.target));
        }
        let mut damaged = self.dir.path().as_os_str().to_owned();
        damaged.push(".old");
        let damaged = PathBuf::from(damaged);
        if fs::rename(&self.target, &damaged).is_ok() {
            // What stays of it, the next sweep takes.
            let _ = fs::remove_dir_all(&damaged);
        }
        // The directory is where it belongs then; nothing is left to remove.
        fs::rename(self.dir.path(), &self.target)?;
        let _ = self.dir.keep();
        Ok(Entry(self.target))
    }
}

/// Makes a directory where there is none, but none above it: a cache that was removed meanwhile must not come again without its
/// marker, or nobody could ever use or remove it.
fn make_one(dir: &Path) -> io::Result<()> {
    match fs::create_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}

/// Writes the files of a result to the disk for good: several at once, because a file system syncs many as quickly as one.
fn sync(root: &Path, files: &[(String, u64)]) -> io::Result<()> {
    let sync = |part: &[(String, u64)]| part.iter().try_for_each(|(name, _)| File::open(root.join(name))?.sync_all());
    std::thread::scope(|scope| {
        let parts = files.chunks(files.len().div_ceil(SYNCED).max(1));
        let threads: Vec<_> = parts.map(|part| scope.spawn(move || sync(part))).collect();
        let lost = |_| io::Error::other("a thread that syncs files is gone");
        threads.into_iter().try_for_each(|thread| thread.join().map_err(lost)?)
    })
}

/// Every file of a result by its path in it, with its size.
fn list(root: &Path, below: &Path, files: &mut Vec<(String, u64)>) -> io::Result<()> {
    for entry in fs::read_dir(root.join(below))? {
        let entry = entry?;
        let path = below.join(entry.file_name());
        let kind = entry.file_type()?;
        if kind.is_dir() {
            list(root, &path, files)?;
        } else if !kind.is_file() {
            // A link would bring a file of the user's into an image.
            return Err(io::Error::other(format!("{} of a result is no regular file", path.display())));
        } else {
            let name = path.to_str().ok_or_else(|| io::Error::other("a result has a name that is not text"))?;
            files.push((name.to_owned(), entry.metadata()?.len()));
        }
    }
    Ok(())
}

/// Whether a result is there with all its files in full size.
fn is_whole(dir: &Path) -> bool {
    let record = fs::read(dir.join(RECORD)).ok().and_then(|bytes| serde_json::from_slice::<Record>(&bytes).ok());
    let whole = |(name, size): &(String, u64)| fs::metadata(dir.join(name)).is_ok_and(|meta| meta.len() == *size);
    record.is_some_and(|record| record.files.iter().all(whole))
}

/// Whether a build is using the cache `stages` right now, in this process or in another one.
#[must_use]
pub fn cache_in_use(stages: &Path) -> bool {
    let Ok(lock) = File::options().write(true).open(stages.join("lock")) else { return false };
    flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err()
}

#[cfg(test)]
mod tests {
    use cartridge_treehash::TreeHash;

    use super::*;

    const STAGE: StageName = crate::engine::INJECT;
    const KEY: Key = Key(TreeHash([1; 32]));

    fn draft(cache: &Cache) -> Draft {
        let draft = cache.draft(STAGE, KEY).unwrap();
        fs::write(draft.file("a"), "whole").unwrap();
        draft
    }

    #[test]
    fn the_first_of_two_results_stays_and_a_damaged_one_goes() {
        use std::os::unix::fs::MetadataExt;
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(&dir.path().join("cache")).unwrap();
        let (one, two, three) = (draft(&cache), draft(&cache), draft(&cache));
        let inode = |entry: &Entry| fs::metadata(entry.file("a")).unwrap().ino();
        let first = inode(&one.commit().unwrap());
        // Its file may be open, or be opened by its path at any moment.
        let second = two.commit().unwrap();
        assert_eq!(inode(&second), first);
        fs::write(second.file("a"), "short").unwrap();
        fs::write(second.file("a"), "cut").unwrap();
        assert!(cache.find(STAGE, KEY).is_none());
        let third = three.commit().unwrap();
        assert_eq!(fs::read(third.file("a")).unwrap(), b"whole");
        assert_eq!(fs::read_dir(dir.path().join("cache").join(drafts::ROOM)).unwrap().count(), 0);
    }

    #[test]
    fn a_result_with_a_link_in_it_is_refused_and_a_planted_record_leads_nowhere() {
        let dir = tempfile::tempdir().unwrap();
        let (cache, victim) = (Cache::open(&dir.path().join("cache")).unwrap(), dir.path().join("victim"));
        fs::write(&victim, "precious").unwrap();
        let planted = draft(&cache);
        std::os::unix::fs::symlink(&victim, planted.file("kernel")).unwrap();
        assert!(planted.commit().is_err_and(|e| e.to_string().contains("kernel")));
        assert!(cache.find(STAGE, KEY).is_none());
        let planted = draft(&cache);
        std::os::unix::fs::symlink(&victim, planted.file(RECORD)).unwrap();
        let _ = planted.commit();
        assert_eq!(fs::read(&victim).unwrap(), b"precious");
    }

    #[test]
    fn many_at_once_over_a_damaged_result_all_get_a_whole_one() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(&dir.path().join("cache")).unwrap();
        for _ in 0..50 {
            let damaged = cache.place(STAGE, KEY);
            let _ = fs::remove_dir_all(&damaged);
            fs::create_dir_all(&damaged).unwrap();
            fs::write(damaged.join("a"), "damaged").unwrap();
            std::thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| {
                        let entry = draft(&cache).commit().unwrap();
                        for _ in 0..20 {
                            assert_eq!(fs::read(entry.file("a")).unwrap(), b"whole");
                        }
                    });
                }
            });
        }
        assert_eq!(fs::read_dir(dir.path().join("cache").join(drafts::ROOM)).unwrap().count(), 0);
    }
}
