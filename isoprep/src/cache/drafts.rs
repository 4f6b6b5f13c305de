//! Unfinished files and directories: locked for as long as somebody writes them, so that what a killed build left can be
//! told from what another build is making, without guessing by age.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::io::Errno;
use tempfile::{Builder, NamedTempFile, TempDir};

use crate::eject::is_marked;
use crate::engine;

/// Where a cache keeps the drafts of its results.
pub(crate) const ROOM: &str = "drafts";
/// Begins the name of a small file that is being written.
const SMALL: &str = ".draft-";
/// How many random characters a draft's name has.
const RANDOM: usize = 8;
/// How often another draft is begun because a sweep was faster than our lock.
const TRIES: usize = 16;

/// A directory that nobody sweeps for as long as the file, its lock, is open.
pub(crate) fn dir(parent: &Path, prefix: &str) -> io::Result<(TempDir, File)> {
    begin(|| {
        let dir = Builder::new().prefix(prefix).rand_bytes(RANDOM).tempdir_in(parent)?;
        let lock = File::open(dir.path())?;
        Ok(held(&lock, dir.path()).then_some((dir, lock)))
    })
}

/// A file that nobody sweeps for as long as it is open.
fn file(parent: &Path, prefix: &str, suffix: &str) -> io::Result<NamedTempFile> {
    begin(|| {
        let draft = Builder::new().prefix(prefix).suffix(suffix).rand_bytes(RANDOM).tempfile_in(parent)?;
        Ok(held(draft.as_file(), draft.path()).then_some(draft))
    })
}

/// A small file that will be renamed within its directory.
pub(crate) fn small(parent: &Path) -> io::Result<NamedTempFile> {
    file(parent, SMALL, "")
}

/// An image that will be renamed to `<stem>.iso` beside it.
pub(crate) fn image(parent: &Path, stem: &str) -> io::Result<NamedTempFile> {
    file(parent, &format!(".{stem}-"), ".tmp")
}

fn begin<T>(attempt: impl Fn() -> io::Result<Option<T>>) -> io::Result<T> {
    for _ in 0..TRIES {
        match attempt() {
            Ok(Some(draft)) => return Ok(draft),
            Ok(None) => {}
            // Swept between being made and being opened.
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(e),
        }
    }
    Err(io::Error::new(io::ErrorKind::NotFound, "the folder is gone, or everything in it is swept at once"))
}

/// Locks a new draft. A file system without locks leaves it unguarded: a sweep gets no lock there either.
fn held(draft: &File, path: &Path) -> bool {
    match flock(draft, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => same(draft, path),
        Err(Errno::WOULDBLOCK) => false,
        Err(_) => true,
    }
}

/// Whether `path` still leads to the open `draft`.
fn same(draft: &File, path: &Path) -> bool {
    let (Ok(open), Ok(named)) = (draft.metadata(), path.symlink_metadata()) else { return false };
    (open.dev(), open.ino()) == (named.dev(), named.ino())
}

/// Removes what killed builds left: unfinished results in the cache `stages`, and unfinished images in `images` and in
/// the directories right below it. Returns what was removed.
///
/// Only in directories with our marker, only files with the names of drafts, only such that nobody holds locked; links
/// are not followed. Safe while other builds run.
#[must_use]
pub fn sweep_drafts(stages: &Path, images: &Path) -> Vec<PathBuf> {
    let mut swept = Vec::new();
    if is_marked(stages) {
        swept.extend(sweep_cache(stages));
    }
    if is_marked(images) {
        swept.extend(sweep(images, is_image));
        for entry in fs::read_dir(images).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                swept.extend(sweep(&entry.path(), is_image));
            }
        }
    }
    swept
}

/// Removes the abandoned drafts of a cache.
pub(crate) fn sweep_cache(root: &Path) -> Vec<PathBuf> {
    let is_result = |name: &str| {
        let stage = name.split_once('-').map(|(stage, _)| stage);
        stage.is_some_and(|stage| engine::ALL.iter().any(|known| known.0 == stage))
    };
    let mut swept = sweep(&root.join(ROOM), is_result);
    for room in super::ROOMS {
        swept.extend(sweep(&root.join(room), |name| name.starts_with(SMALL)));
    }
    swept
}

/// Removes the abandoned drafts of one image.
pub(crate) fn sweep_image(dir: &Path, stem: &str) {
    let prefix = format!(".{stem}-");
    sweep(dir, |name| is_image(name) && name.starts_with(&prefix));
}

/// `.<name>-<random>.tmp`.
fn is_image(name: &str) -> bool {
    let middle = name.strip_prefix('.').and_then(|rest| rest.strip_suffix(".tmp"));
    let Some((stem, random)) = middle.and_then(|middle| middle.rsplit_once('-')) else { return false };
    !stem.is_empty() && random.len() == RANDOM && random.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

fn sweep(dir: &Path, is_ours: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let mut swept = Vec::new();
    if !dir.symlink_metadata().is_ok_and(|meta| meta.is_dir()) {
        return swept;
    }
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_name().to_str().is_some_and(&is_ours) && remove(&entry.path()).is_ok_and(|gone| gone) {
            swept.push(entry.path());
        }
    }
    swept
}

/// Removes a draft, unless somebody holds it. No link in it is followed.
fn remove(path: &Path) -> io::Result<bool> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let draft = File::options().read(true).custom_flags(flags.bits().cast_signed()).open(path)?;
    let meta = draft.metadata()?;
    let ours = meta.uid() == rustix::process::geteuid().as_raw() && (meta.is_file() || meta.is_dir());
    if !ours || flock(&draft, FlockOperation::NonBlockingLockExclusive).is_err() || !same(&draft, path) {
        return Ok(false);
    }
    if meta.is_dir() {
        fs::remove_dir_all(path)?
    } else {
        fs::remove_file(path)?
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drafts_are_swept_once_nobody_holds_them() {
        let top = tempfile::tempdir().unwrap();
        let (stages, images) = (top.path().join("cache/stages"), top.path().join("cache/images"));
        for dir in [&stages, &images] {
            crate::ensure_marked(dir, "x").unwrap();
        }
        let (drafts, index, demo) = (stages.join(ROOM), stages.join("index"), images.join("demo-12345678"));
        for dir in [&drafts, &index, &demo] {
            fs::create_dir(dir).unwrap();
        }
        let (result, lock) = dir(&drafts, "inject-").unwrap();
        fs::write(result.path().join("inject.cpio"), "half").unwrap();
        let made = [(image(&demo, "demo").unwrap(), true), (small(&index).unwrap(), false)];
        assert_eq!(sweep_drafts(&stages, &images), [] as [&Path; 0], "somebody is writing these");

        // A kill runs no destructor: the files stay, the locks go.
        let mut left: Vec<PathBuf> = made.into_iter().map(|(draft, _)| draft.keep().unwrap().1).collect();
        left.push(result.keep());
        drop(lock);
        // None of these is a draft of ours.
        let precious = top.path().join("precious");
        fs::create_dir(&precious).unwrap();
        let others = [demo.join("demo.iso"), demo.join(".demo-short.tmp"), demo.join(".demo.tmp"), precious.join("x")];
        for file in others.iter().chain([&precious.join(".demo-12345678.tmp")]) {
            fs::write(file, "x").unwrap();
        }
        let links = [images.join("link"), drafts.join("inject-link"), demo.join(".demo-abcdefgh.tmp")];
        std::os::unix::fs::symlink(&precious, &links[0]).unwrap();
        std::os::unix::fs::symlink(&precious, &links[1]).unwrap();
        std::os::unix::fs::symlink(precious.join("x"), &links[2]).unwrap();
        let mut swept = sweep_drafts(&stages, &images);
        swept.sort();
        left.sort();
        assert_eq!(swept, left);
        assert!(left.iter().all(|path| !path.exists()) && others.iter().all(|path| path.exists()));
        assert!(links.iter().all(|path| path.is_symlink()) && precious.join(".demo-12345678.tmp").exists());
    }

    #[test]
    fn without_a_marker_nothing_is_swept() {
        let top = tempfile::tempdir().unwrap();
        let draft = top.path().join(".demo-12345678.tmp");
        fs::write(&draft, "x").unwrap();
        fs::create_dir_all(top.path().join("drafts/inject-12345678")).unwrap();
        assert_eq!(sweep_drafts(top.path(), top.path()), [] as [&Path; 0]);
        assert!(draft.exists());
    }
}
