//! Fetched packages, shared by all cartridges. pacman and apt write them; one build fetches at a time, because two
//! would write into the same unfinished files.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};

use crate::build::BuildError;
use crate::progress::{Reporter, Unit};
use crate::stage::packages::pacman::Wanted;

/// The folder's name in the cache.
pub(crate) const ROOM: &str = "packages-fetched";
/// apt's folder of unfinished files (apt.conf(5), `Dir::Cache::archives`).
const PARTIAL: &str = "partial";
/// Begins the names of folders that pacman 7 downloads into (its `lib/libalpm/util.c`, `_alpm_temporary_download_dir_setup`).
const DOWNLOAD: &[u8] = b"download-";
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
        super::make_one(&dir)?;
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

    /// Tells how much of the `wanted` packages that must be fetched is there: the tools say nothing of it where they do
    /// not write to a terminal.
    pub(crate) fn tell_arrived(&self, wanted: &[Wanted], reporter: &Reporter<'_>) {
        let bytes: u64 = wanted.iter().map(|it| it.bytes).sum();
        if bytes > 0 {
            let arrived = self.arrived(wanted);
            reporter.advanced_on(arrived, Some(bytes), Unit::Bytes, Some("fetching packages"));
        }
    }

    /// How many bytes of the `wanted` packages are there, unfinished ones included.
    pub(crate) fn arrived(&self, wanted: &[Wanted]) -> u64 {
        let rooms: Vec<PathBuf> = [self.dir.clone()].into_iter().chain(unfinished_rooms(&self.dir)).collect();
        let size = |it: &Wanted| {
            let names = [it.file.clone(), format!("{}.part", it.file)];
            let places = rooms.iter().flat_map(|room| names.iter().map(|name| room.join(name)));
            let bytes = places.filter_map(|path| fs::metadata(path).ok()).map(|meta| meta.len()).max().unwrap_or(0);
            bytes.min(it.bytes)
        };
        wanted.iter().map(size).sum()
    }

    /// Removes what killed fetches left unfinished and cannot be gone on with. Nobody else fetches while the caller holds
    /// `_alone`. A file of which nothing is left to fetch, but its name, pacman neither fetches nor finds (its
    /// `lib/libalpm/sync.c`, `find_dl_candidates`).
    pub(crate) fn sweep(&self, _alone: &File, wanted: &[Wanted]) {
        for one in wanted.iter().filter(|it| it.bytes == 0 && !self.dir.join(&it.file).exists()) {
            let _ = fs::remove_file(self.dir.join(format!("{}.part", one.file)));
        }
        for room in unfinished_rooms(&self.dir).filter(|room| !room.ends_with(PARTIAL)) {
            // What is left costs room and nothing else.
            let _ = fs::remove_dir_all(room);
        }
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
        for room in unfinished_rooms(&self.dir) {
            freed += flat_size(&room)?.1;
            fs::remove_dir_all(room)?;
        }
        Ok(freed)
    }
}

/// How many files there are, and of how many bytes: fetched packages, finished or not.
pub(crate) fn size(dir: &Path) -> io::Result<(usize, u64)> {
    let (mut files, mut bytes) = flat_size(dir)?;
    for room in unfinished_rooms(dir) {
        let (more, size) = flat_size(&room)?;
        (files, bytes) = (files + more, bytes + size);
    }
    Ok((files, bytes))
}

/// The folders of what is being fetched: apt's, and those that pacman makes from version 7 on.
fn unfinished_rooms(dir: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let is_room = |name: &std::ffi::OsStr| name == PARTIAL || name.as_encoded_bytes().starts_with(DOWNLOAD);
    let rooms = entries.filter(move |it| is_room(&it.file_name()) && it.file_type().is_ok_and(|kind| kind.is_dir()));
    rooms.map(|it| it.path())
}

fn flat_size(dir: &Path) -> io::Result<(usize, u64)> {
    let (mut files, mut bytes) = (0, 0);
    for entry in fs::read_dir(dir)? {
        let meta = entry?.metadata()?;
        if meta.is_file() {
            files += 1;
            bytes += meta.len();
        }
    }
    Ok((files, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_half_fetched_counts_and_goes() {
        let dir = tempfile::tempdir().unwrap();
        let cache = PackageCache::open(dir.path()).unwrap();
        let write = |path: &str, bytes: usize| {
            let file = cache.path().join(path);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, vec![0; bytes]).unwrap();
        };
        let wanted = |file: &str, bytes: u64| Wanted { file: file.to_owned(), bytes, ..Wanted::default() };
        write("whole.pkg", 10);
        write("part.pkg.part", 3);
        write("download-a1B2c3/seven.pkg.part", 4);
        write("partial/apt.deb", 5);
        let all = [wanted("whole.pkg", 10), wanted("part.pkg", 10), wanted("seven.pkg", 10), wanted("apt.deb", 10)];
        assert_eq!(cache.arrived(&all), 22);
        assert_eq!(size(cache.path()).unwrap(), (4, 22));
        write("fetched.pkg", 1);
        write("fetched.pkg.part", 1);
        write("unnamed.pkg.part", 10);
        let fetched = [wanted("fetched.pkg", 0), wanted("unnamed.pkg", 0)];
        cache.sweep(&File::open(dir.path()).unwrap(), &[&all[..], &fetched].concat());
        assert!(cache.path().join("fetched.pkg").exists() && !cache.path().join("unnamed.pkg.part").exists());
        for left in ["fetched.pkg", "fetched.pkg.part"] {
            fs::remove_file(cache.path().join(left)).unwrap();
        }
        assert_eq!(cache.arrived(&all), 18, "what pacman left unfinished in a folder of its own is begun again");
        assert_eq!(cache.clear().unwrap(), 18);
        assert_eq!(size(cache.path()).unwrap(), (0, 0));
    }
}
