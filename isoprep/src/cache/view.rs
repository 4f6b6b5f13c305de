//! What the cache holds, how much of it is kept, and cleaning it.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use super::packages::{self, PackageCache};
use crate::engine;
use crate::progress::StageName;

/// The most that results take together, bytes: the least recently used go first. A large distribution's root is 1 GiB packed.
const LIMIT: u64 = 24 << 30;
/// How many results of a stage are kept: enough to go back and forth between a few cartridges.
const KEPT: usize = 4;

/// What the cache holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheView {
    /// One row a stage, and one for fetched packages; none without content.
    pub rows: Vec<CacheRow>,
    /// All together, bytes.
    pub bytes: u64,
    /// The most that results of stages may take before the oldest go, bytes.
    pub limit: u64,
}

/// A kind of content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheRow {
    /// A stage, or "fetched packages".
    pub what: String,
    /// How many results, or files.
    pub results: usize,
    /// Bytes.
    pub bytes: u64,
}

/// Looks at the cache `stages`. A cache that is not there is empty.
///
/// # Errors
/// It cannot be read.
pub fn view_cache(stages: &Path) -> io::Result<CacheView> {
    let mut view = CacheView { limit: LIMIT, ..CacheView::default() };
    if !stages.exists() {
        return Ok(view);
    }
    for stage in engine::ALL {
        let results = results(stages, stage)?;
        let bytes = results.iter().map(|it| it.bytes).sum();
        if !results.is_empty() {
            view.rows.push(CacheRow { what: stage.to_string(), results: results.len(), bytes });
        }
    }
    let fetched = stages.join(super::packages::ROOM);
    let (files, bytes) = if fetched.is_dir() { packages::size(&fetched)? } else { (0, 0) };
    if files > 0 {
        view.rows.push(CacheRow { what: "fetched packages".to_owned(), results: files, bytes });
    }
    view.bytes = view.rows.iter().map(|row| row.bytes).sum();
    Ok(view)
}

/// Empties the cache: results of stages and fetched packages. Nothing is removed while a build uses it, and nothing that a guest
/// has. Returns the bytes freed.
///
/// # Errors
/// [`io::ErrorKind::ResourceBusy`] while a build uses it; what the system said otherwise.
pub fn clean_cache(stages: &Path) -> io::Result<u64> {
    if !stages.exists() {
        return Ok(0);
    }
    let lock = File::options().create(true).truncate(false).write(true).open(stages.join("lock"))?;
    if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
        return Err(io::Error::new(io::ErrorKind::ResourceBusy, "a build is using it"));
    }
    let mut freed = 0;
    for stage in engine::ALL {
        for result in results(stages, stage)? {
            if is_held(&result.dir) {
                continue;
            }
            fs::remove_dir_all(&result.dir)?;
            freed += result.bytes;
        }
    }
    freed += PackageCache::open(stages)?.clear()?;
    Ok(freed)
}

/// A result of a stage.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stored {
    used: SystemTime,
    dir: PathBuf,
    bytes: u64,
}

fn results(stages: &Path, stage: StageName) -> io::Result<Vec<Stored>> {
    let dir = stages.join(stage.0);
    if !dir.is_dir() {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(&dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            let bytes = tree_size(&entry.path()).unwrap_or(0);
            found.push(Stored { used: entry.metadata()?.modified()?, dir: entry.path(), bytes });
        }
    }
    found.sort_by_key(|it| std::cmp::Reverse(it.used));
    Ok(found)
}

fn tree_size(dir: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let meta = entry.metadata()?;
        bytes += if meta.is_dir() { tree_size(&entry.path())? } else { meta.len() };
    }
    Ok(bytes)
}

/// Removes what is over the limits, least recently used first. The caller holds the cache alone.
pub(super) fn prune(root: &Path, stages: &[StageName]) {
    let found = stages.iter().filter_map(|stage| results(root, *stage).ok()).collect();
    for dir in over(found, LIMIT).into_iter().filter(|dir| !is_held(dir)) {
        let _ = fs::remove_dir_all(dir);
    }
}

/// Whether somebody [holds](super::Held) it.
fn is_held(dir: &Path) -> bool {
    File::open(dir).is_ok_and(|dir| flock(&dir, FlockOperation::NonBlockingLockExclusive).is_err())
}

/// Which results go, out of those of each stage, newest first. The newest of each stage stays whatever its size: the build that
/// has just ended made or used it.
fn over(stages: Vec<Vec<Stored>>, limit: u64) -> Vec<PathBuf> {
    let (mut gone, mut left, mut total) = (Vec::new(), Vec::new(), 0);
    for stage in stages {
        for (index, result) in stage.into_iter().enumerate() {
            if index >= KEPT {
                gone.push(result.dir);
            } else {
                total += result.bytes;
                if index > 0 {
                    left.push(result);
                }
            }
        }
    }
    left.sort_by_key(|it| it.used);
    for result in left {
        if total <= limit {
            break;
        }
        total -= result.bytes;
        gone.push(result.dir);
    }
    gone
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn stored(age: u64, bytes: u64) -> Stored {
        let used = SystemTime::UNIX_EPOCH + Duration::from_secs(1000 - age);
        Stored { used, dir: format!("{age}").into(), bytes }
    }

    #[test]
    fn the_oldest_go_and_the_newest_of_each_stage_stays() {
        let gone = over(vec![vec![stored(1, 60), stored(3, 10)], vec![stored(2, 60), stored(4, 10)]], 125);
        assert_eq!(gone, [PathBuf::from("4"), PathBuf::from("3")]);
        assert_eq!(over(vec![vec![stored(1, 999)]], 10), [] as [PathBuf; 0]);
        let many = (0..9).map(|age| stored(age, 1)).collect();
        assert_eq!(over(vec![many], 100), ["4", "5", "6", "7", "8"].map(PathBuf::from));
    }

    #[test]
    fn a_cache_is_seen_and_emptied_but_not_under_a_build() {
        let top = tempfile::tempdir().unwrap();
        let dir = top.path().join("cache");
        assert_eq!(view_cache(&top.path().join("none")).unwrap().bytes, 0);
        let cache = super::super::Cache::open(&dir).unwrap();
        let result = dir.join("inject/key");
        fs::create_dir_all(result.join("deep")).unwrap();
        fs::write(result.join("deep/file"), "12345").unwrap();
        fs::write(cache.packages().unwrap().path().join("a.pkg"), "123").unwrap();
        let view = view_cache(&dir).unwrap();
        let rows: Vec<_> = view.rows.iter().map(|row| (row.what.as_str(), row.results, row.bytes)).collect();
        assert_eq!((rows, view.bytes), (vec![("inject", 1, 5), ("fetched packages", 1, 3)], 8));
        assert_eq!(clean_cache(&dir).unwrap_err().kind(), io::ErrorKind::ResourceBusy);
        let held = super::super::Entry(result.clone()).hold().unwrap();
        drop(cache);
        assert_eq!(clean_cache(&dir).unwrap(), 3, "a guest has the other one");
        fs::write(PackageCache::open(&dir).unwrap().path().join("a.pkg"), "123").unwrap();
        (0..KEPT).for_each(|number| fs::create_dir_all(dir.join(format!("inject/{number}"))).unwrap());
        File::open(&result).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
        prune(&dir, &[engine::INJECT]);
        assert!(result.is_dir(), "the oldest is kept");
        drop(held.clone());
        prune(&dir, &[engine::INJECT]);
        assert!(result.is_dir(), "for as long as anybody holds it");
        drop(held);
        assert_eq!(clean_cache(&dir).unwrap(), 8);
        assert_eq!(view_cache(&dir).unwrap().bytes, 0);
    }
}
