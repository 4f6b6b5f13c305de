//! Drafts: files beside the place that they are for, until they are whole. Who is at one holds its lock, which the kernel drops with the
//! process: so what somebody dead has left is known from what somebody alive writes, whatever numbers their processes have.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::fs::{CWD, FlockOperation, Mode, OFlags, RenameFlags, flock, renameat_with};
use rustix::io::Errno;

/// How often another name is tried.
const TRIES: u32 = 64;

static COUNT: AtomicU32 = AtomicU32::new(0);

/// How drafts of one kind are called: `BEGINS PROCESS-NUMBER ENDS`, without the blanks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DraftName {
    begins: OsString,
    ends: &'static str,
}

impl DraftName {
    /// Names that begin and end so.
    #[must_use]
    pub fn new(begins: impl Into<OsString>, ends: &'static str) -> Self {
        Self { begins: begins.into(), ends }
    }

    /// One that no file of this process has had.
    pub(crate) fn fresh(&self, folder: &Path) -> PathBuf {
        let mut name = self.begins.clone();
        name.push(format!("{}-{}{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed), self.ends));
        folder.join(name)
    }

    fn is_of(&self, name: &OsStr) -> bool {
        let numbers = name.as_bytes().strip_prefix(self.begins.as_bytes());
        numbers.is_some_and(|it| ends_with_numbers(it, self.ends) == Some(0))
    }
}

/// Where `PROCESS-NUMBER` begins in a name that ends with that and `ends`.
pub(crate) fn ends_with_numbers(name: &[u8], ends: &str) -> Option<usize> {
    let name = name.strip_suffix(ends.as_bytes())?;
    let digits = |name: &[u8]| name.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    let number = digits(name);
    let rest = name[..name.len() - number].strip_suffix(b"-")?;
    let process = digits(rest);
    let fits = |count: usize| (1..=10).contains(&count);
    (fits(number) && fits(process)).then(|| rest.len() - process)
}

/// A file that is being written. Dropping it removes it, unless it was put where it belongs.
#[derive(Debug)]
pub struct Draft {
    file: File,
    path: Option<PathBuf>,
}

impl Drop for Draft {
    fn drop(&mut self) {
        // What cannot be removed is swept later.
        let _ = self.path.as_ref().map(fs::remove_file);
    }
}

impl Draft {
    /// An empty one in `folder`, held, with the mode that files have which are made.
    ///
    /// # Errors
    /// Whatever making a file fails with.
    pub fn begin(folder: &Path, name: &DraftName) -> io::Result<Self> {
        for _ in 0..TRIES {
            let path = name.fresh(folder);
            match OpenOptions::new().write(true).create_new(true).mode(0o666).open(&path) {
                Ok(file) => {
                    // Somebody else's sweep may have come in between, or hold it and be about to.
                    let swept =
                        matches!(flock(&file, FlockOperation::NonBlockingLockExclusive), Err(Errno::WOULDBLOCK));
                    let made = Self { file, path: Some(path) };
                    if !swept && is_at(&made.file, made.path()) {
                        return Ok(made);
                    }
                    // Where a file system tells two numbers of one file it is this one still.
                    drop(made);
                }
                // Left by a process that was killed and had our id.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::Error::other("files that were just made there are not the same when they are looked at again"))
    }

    /// An open and held file that has got this name.
    pub(crate) fn named(file: File, path: PathBuf) -> Self {
        Self { file, path: Some(path) }
    }

    /// The file.
    pub fn file(&mut self) -> &mut File {
        &mut self.file
    }

    /// Where it is until it is put where it belongs.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.path.as_deref().unwrap_or(Path::new(""))
    }

    /// Puts it, whole, in the place of whatever is at `target`.
    ///
    /// # Errors
    /// Whatever renaming fails with.
    pub fn replace(mut self, target: &Path) -> io::Result<()> {
        fs::rename(self.path(), target)?;
        self.path = None;
        sync_folder_of(target);
        Ok(())
    }

    /// Puts it, whole, at `target`, where nothing is yet.
    ///
    /// # Errors
    /// Whatever renaming fails with; [`io::ErrorKind::AlreadyExists`] if something is there. It is still there then, to be put elsewhere.
    pub fn place_new(&mut self, target: &Path) -> io::Result<()> {
        match renameat_with(CWD, self.path(), CWD, target, RenameFlags::NOREPLACE) {
            Ok(()) => self.path = None,
            // A file system that cannot tell makes a second name, which never replaces one.
            Err(Errno::INVAL | Errno::NOSYS) => {
                fs::hard_link(self.path(), target)?;
                let _ = self.path.take().map(fs::remove_file);
            }
            Err(error) => return Err(error.into()),
        }
        sync_folder_of(target);
        Ok(())
    }
}

/// Makes what was put into a folder survive a power cut, where the file system can.
pub(crate) fn sync_folder_of(file: &Path) {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let _ = File::open(folder).and_then(|folder| folder.sync_all());
}

/// Removes drafts of that kind in `folder` that somebody dead has left: regular files of this user's with no second name, held by nobody.
pub fn sweep_drafts(folder: &Path, name: &DraftName) {
    sweep(folder, |found| name.is_of(found));
}

/// As [`sweep_drafts`], of those whose name is `ours`.
pub(crate) fn sweep(folder: &Path, ours: impl Fn(&OsStr) -> bool) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if ours(&entry.file_name()) {
            sweep_one(&entry.path());
        }
    }
}

fn sweep_one(path: &Path) -> Option<()> {
    // Whatever is there by now, a pipe too, is opened without waiting for anybody.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty()).ok()?);
    let meta = file.metadata().ok()?;
    let ours = meta.is_file() && meta.nlink() == 1 && meta.uid() == rustix::process::geteuid().as_raw();
    (ours && hold(&file) && is_at(&file, path)).then(|| fs::remove_file(path))?.ok()
}

/// Says that somebody alive writes it, until it is closed. Where a file system has no locks nobody can prove the contrary either.
pub(crate) fn hold(file: &File) -> bool {
    flock(file, FlockOperation::NonBlockingLockExclusive).is_ok()
}

pub(crate) fn is_at(file: &File, path: &Path) -> bool {
    let (Ok(own), Ok(there)) = (file.metadata(), fs::symlink_metadata(path)) else { return false };
    (own.dev(), own.ino()) == (there.dev(), there.ino())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_somebody_dead_was_writing_is_swept() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let name = DraftName::new(".a-", ".new");
        let dead = name.fresh(dir.path());
        fs::write(&dead, "half").unwrap();
        let alive = Draft::begin(dir.path(), &name).unwrap();
        for name in [".a-7.new", ".a-x-1.new", ".a-7-1.new.mine", ".a-b-7-1.new", ".a-7-12345678901.new", "precious"] {
            fs::write(at(name), "precious").unwrap();
        }
        fs::hard_link(at("precious"), at(".a-7-2.new")).unwrap();
        std::os::unix::fs::symlink(at("precious"), at(".a-7-3.new")).unwrap();
        fs::create_dir(at(".a-7-4.new")).unwrap();
        rustix::fs::mkfifoat(CWD, at(".a-7-5.new"), Mode::RUSR).unwrap();
        let count = || fs::read_dir(dir.path()).unwrap().count();
        let before = count();
        sweep_drafts(dir.path(), &name);
        assert!(!dead.exists() && alive.path().exists());
        assert_eq!(count(), before - 1);
        drop(alive);
        assert_eq!(count(), before - 2, "what was given up goes");
    }

    #[test]
    fn what_is_there_is_replaced_only_where_that_is_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        let (taken, free) = (dir.path().join("taken"), dir.path().join("free"));
        fs::write(&taken, "his").unwrap();
        let name = DraftName::new(".d-", "");
        let mut draft = Draft::begin(dir.path(), &name).unwrap();
        assert_eq!(draft.place_new(&taken).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        draft.place_new(&free).unwrap();
        drop(draft);
        assert_eq!((fs::read(&taken).unwrap(), free.exists()), (b"his".to_vec(), true));
        Draft::begin(dir.path(), &name).unwrap().replace(&taken).unwrap();
        assert_eq!(fs::read(&taken).unwrap(), b"");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    }
}
