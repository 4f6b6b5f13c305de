//! Content hashes of many files, on all processors; files that look as they did at the last build are not read.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::num::NonZero;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use cartridge_treehash::{TreeHash, hash_content};
use rustix::fs::OFlags;

use crate::build::BuildError;
use crate::cache::Cache;
use crate::cache::stat_index::{Look, StatIndex};
use crate::progress::{Meter, Reporter};

/// More threads than this only make a disk seek.
const THREADS: usize = 8;

/// A regular file whose content hash is wanted.
pub(crate) struct Todo {
    pub(crate) full: PathBuf,
    pub(crate) look: Look,
    pub(crate) size: u64,
    pub(crate) mode: u32,
}

/// The hashes, in the order of the files.
pub(crate) struct Hashed {
    pub(crate) hashes: Vec<TreeHash>,
    /// How many files were read.
    pub(crate) read: usize,
    pub(crate) unreadable: Vec<(PathBuf, String)>,
}

pub(crate) fn hash_all(files: &[Todo], index: &StatIndex, reporter: &Reporter<'_>) -> Result<Hashed, BuildError> {
    let known: Vec<Option<TreeHash>> = files.iter().map(|file| index.get(&file.full, &file.look)).collect();
    let unknown: Vec<usize> = (0..files.len()).filter(|i| known[*i].is_none()).collect();
    let meter = Meter::new(reporter, unknown.iter().map(|i| files[*i].size).sum());
    let next = AtomicUsize::new(0);
    let found = Mutex::new((Vec::with_capacity(unknown.len()), Vec::new()));
    let work = || {
        while let Some(at) = unknown.get(next.fetch_add(1, Ordering::Relaxed)) {
            if reporter.cancel.is_cancelled() {
                return;
            }
            let path = &files[*at].full;
            let hash = open(path).and_then(|file| hash_content(meter.watch(file)));
            let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
            match hash {
                Ok((hash, _)) => found.0.push((*at, hash)),
                Err(e) => found.1.push((path.clone(), e.to_string())),
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get).min(THREADS).min(unknown.len().max(1));
    std::thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(work);
        }
        work();
    });
    reporter.go_on()?;
    let (fresh, unreadable) = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    let mut hashes: Vec<TreeHash> = known.into_iter().map(|hash| hash.unwrap_or(TreeHash([0; 32]))).collect();
    for (at, hash) in fresh {
        hashes[at] = hash;
    }
    Ok(Hashed { hashes, read: unknown.len(), unreadable })
}

/// Opens a regular file, and nothing that a link or a pipe has put in its place since.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    regular(path, OFlags::NOFOLLOW)
}

/// Opens a regular file of the host, where links are usual.
pub(crate) fn open_part(path: &Path) -> io::Result<File> {
    regular(path, OFlags::empty())
}

/// Without waiting for whoever would write into a pipe.
fn regular(path: &Path, flags: OFlags) -> io::Result<File> {
    let flags = (flags | OFlags::NONBLOCK).bits().cast_signed();
    let file = File::options().read(true).custom_flags(flags).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("not a regular file")) }
}

/// Content hashes of files of the host, one at a time, remembered between builds.
pub(crate) struct Fingerprinter {
    index: StatIndex,
    file: PathBuf,
    began: SystemTime,
    seen: BTreeMap<PathBuf, (Look, TreeHash)>,
    read: usize,
}

impl Fingerprinter {
    /// Starts with what the last build of this `name` knew.
    pub(crate) fn open(cache: &Cache, name: &str) -> io::Result<Self> {
        let file = cache.room("index")?.join(name);
        Ok(Self { index: StatIndex::load(&file), file, began: SystemTime::now(), seen: BTreeMap::new(), read: 0 })
    }

    /// The content hash of a file and its metadata; links are followed. Reads through `meter`, and stops with it.
    pub(crate) fn of(&mut self, path: &Path, meter: &Meter<'_>) -> io::Result<(TreeHash, std::fs::Metadata)> {
        let file = open_part(path)?;
        let meta = file.metadata()?;
        let look = Look::of(&meta);
        let hash = match self.index.get(path, &look) {
            Some(hash) => hash,
            None => {
                self.read += 1;
                hash_content(meter.watch(file))?.0
            }
        };
        self.seen.insert(path.to_path_buf(), (look, hash));
        Ok((hash, meta))
    }

    /// Fails if one of `paths` no longer looks as it did when it was hashed: what was read of it since may be other bytes.
    pub(crate) fn still<'p>(
        &self,
        paths: impl IntoIterator<Item = &'p Path>,
        reporter: &Reporter<'_>,
    ) -> Result<(), BuildError> {
        let same = |path: &Path| {
            let known = self.seen.get(path).map(|(look, _)| *look);
            known.is_some() && known == std::fs::metadata(path).ok().map(|meta| Look::of(&meta))
        };
        match paths.into_iter().find(|path| !same(path)) {
            Some(path) => Err(BuildError::Changed { stage: reporter.stage, path: path.to_path_buf() }),
            None => Ok(()),
        }
    }

    /// Remembers what was seen for the next build.
    pub(crate) fn save(&self) -> io::Result<()> {
        if self.read == 0 {
            return Ok(());
        }
        let entries = self.seen.iter().map(|(path, (look, hash))| (path.as_path(), *look, *hash));
        StatIndex::save(&self.file, self.began, entries)
    }
}
