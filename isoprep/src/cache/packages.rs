//! Fetched packages, shared by all cartridges. pacman and apt write them; one build fetches at a time, because two
//! would write into the same unfinished files.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};

use crate::build::BuildError;
use crate::progress::Reporter;
use crate::stage::packages::pacman::Wanted;

/// The folder's name in the cache.
pub(crate) const ROOM: &str = "packages-fetched";
/// How often we look whether another build has fetched, and how far we are.
const BEAT: Duration = Duration::from_millis(200);

/// The folder of fetched packages.
pub(crate) struct PackageCache {
    dir: PathBuf,
}

impl PackageCache {
    /// Opens or creates it below the cache `root`.
    pub(crate) fn open(root: &Path) -> io::Result<Self> {
        let dir = root.join(ROOM);
        fs::create_dir_all(&dir)?;
        Ok(Self { dir })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.dir
    }

    /// Waits until no other build fetches. Nobody else begins to for as long as the answer lives.
    pub(crate) fn fetch_alone(&self, reporter: &Reporter<'_>) -> Result<File, BuildError> {
        let place = self.dir.with_extension("lock");
        let open = File::options().create(true).truncate(false).write(true).open(&place);
        let lock = open.map_err(BuildError::write(reporter.stage, &place, 0))?;
        let mut told = false;
        while flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            if !told {
                reporter.line("another build is fetching packages: waiting for it");
                told = true;
            }
            let _ = reporter.cancel.wait(BEAT);
            reporter.go_on()?;
        }
        Ok(lock)
    }

    /// How many bytes of the `wanted` packages that must be fetched are there: the tools say nothing of it where they
    /// do not write to a terminal.
    pub(crate) fn arrived(&self, wanted: &[Wanted]) -> u64 {
        let size = |it: &Wanted| {
            let whole = self.dir.join(&it.file);
            // pacman's way, and apt's.
            let part = self.dir.join(format!("{}.part", it.file));
            let partial = self.dir.join("partial").join(&it.file);
            let bytes =
                [whole, part, partial].iter().find_map(|path| fs::metadata(path).ok()).map_or(0, |meta| meta.len());
            bytes.min(it.bytes)
        };
        wanted.iter().map(size).sum()
    }

    /// Removes everything that was fetched, unless a build is fetching. Returns the bytes freed.
    pub(crate) fn clear(&self) -> io::Result<u64> {
        let lock = File::options().create(true).truncate(false).write(true).open(self.dir.with_extension("lock"))?;
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            return Ok(0);
        }
        let mut freed = 0;
        for entry in fs::read_dir(&self.dir)? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                freed += entry.metadata()?.len();
                fs::remove_file(entry.path())?;
            }
        }
        Ok(freed)
    }
}
