//! Saves files of the user's so that after any interruption either the old or the new one is there, whole.

use std::ffi::OsStr;
use std::fs::{self, File, Metadata};
use std::io::{self, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, fchown};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, linkat};
use rustix::io::Errno;

use crate::attributes::keep_attributes;
use crate::draft::{self, Draft, DraftName, ends_with_numbers, hold, sync_folder_of};

/// What the names of files have in them, before they take the place of another one: `.NAME.cartridge-PROCESS-NUMBER.new`.
const ENDS: (&str, &str) = (".cartridge-", ".new");

/// Writes `content` to `file` in one step: a new file, synced, renamed over it, the folder synced. Keeps the permission bits of the
/// file, its access control list and other attributes, its owner and group where that is allowed, and a link stays a link. A full disk
/// leaves the old file as it was. The new one has no name until it is whole, so that who is killed in the middle leaves nothing; where a
/// file system knows no such files, it goes with the next save.
///
/// # Errors
/// Whatever making, writing, syncing or renaming fails with, an attribute that cannot be kept, or that there is something else than a file; the
/// old file is untouched then and nothing is left behind. That the folder could not be synced is no error: the new file has taken the
/// place by then.
pub fn save_atomically(file: &Path, content: impl AsRef<[u8]>) -> io::Result<()> {
    save_by(file, content.as_ref(), nameless)
}

fn save_by(file: &Path, content: &[u8], nameless: impl Fn(&Path) -> Option<File>) -> io::Result<()> {
    let target = match fs::canonicalize(file) {
        Ok(real) => real,
        Err(error) if error.kind() == io::ErrorKind::NotFound && fs::symlink_metadata(file).is_err() => file.to_owned(),
        Err(error) => return Err(error),
    };
    let old = fs::metadata(&target).ok();
    if old.as_ref().is_some_and(|old| !old.is_file()) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is there, and is no file"));
    }
    let (folder, name) = parts(&target)?;
    draft::sweep_drafts(folder, &name);
    let fill = |new: &mut File| fill(new, content, old.as_ref().map(|old| (target.as_path(), old)));
    let draft = if let Some(mut new) = nameless(folder) {
        fill(&mut new)?;
        // Not every file system that knows them gives them a name later.
        give_name(&new, &name, folder).ok().map(|at| Draft::named(new, at))
    } else {
        None
    };
    let draft = match draft {
        Some(draft) => draft,
        None => {
            let mut draft = Draft::begin(folder, &name)?;
            fill(draft.file())?;
            draft
        }
    };
    draft.replace(&target)
}

/// Writes `content` to the first of `files`, all in one folder, that is not there yet, in one step as [`save_atomically`]. Returns which.
/// Where a file has to have a name before it is whole, what somebody dead has left in the folder goes first.
///
/// # Errors
/// Whatever making, writing or syncing fails with; [`io::ErrorKind::AlreadyExists`] if all of them are there.
pub fn save_new(files: impl IntoIterator<Item = PathBuf>, content: &[u8]) -> io::Result<PathBuf> {
    save_new_by(files, content, nameless)
}

fn save_new_by(
    files: impl IntoIterator<Item = PathBuf>,
    content: &[u8],
    nameless: impl Fn(&Path) -> Option<File>,
) -> io::Result<PathBuf> {
    let mut files = files.into_iter().peekable();
    let all_there = || io::Error::from(io::ErrorKind::AlreadyExists);
    let first = files.peek().ok_or_else(all_there)?.clone();
    let (folder, name) = parts(&first)?;
    if let Some(mut new) = nameless(folder) {
        fill(&mut new, content, None)?;
        while let Some(file) = files.peek() {
            match linkat(CWD, handle(&new), CWD, file, AtFlags::SYMLINK_FOLLOW) {
                Ok(()) => {
                    sync_folder_of(file);
                    return Ok(file.clone());
                }
                Err(Errno::EXIST) => drop(files.next()),
                // As above: it needs a name from the beginning.
                Err(_) => break,
            }
        }
    }
    sweep_saves(folder);
    let mut draft = Draft::begin(folder, &name)?;
    fill(draft.file(), content, None)?;
    for file in files {
        match draft.place_new(&file) {
            Ok(()) => return Ok(file),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(all_there())
}

/// Removes what was being saved in `folder` by somebody who is dead, whatever it is called.
fn sweep_saves(folder: &Path) {
    draft::sweep(folder, |name| {
        let name = name.as_bytes();
        let numbers = ends_with_numbers(name, ENDS.1);
        numbers.is_some_and(|at| name.starts_with(b".") && name[1..at.max(1)].ends_with(ENDS.0.as_bytes()))
    });
}

/// The folder of a file, and how what becomes that file is called.
fn parts(file: &Path) -> io::Result<(&Path, DraftName)> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = file.file_name().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
    let begins = [b".", name.as_bytes(), ENDS.0.as_bytes()].concat();
    Ok((folder, DraftName::new(OsStr::from_bytes(&begins), ENDS.1)))
}

/// Makes it what takes the place of `old`, on the disk.
fn fill(new: &mut File, content: &[u8], old: Option<(&Path, &Metadata)>) -> io::Result<()> {
    if let Some((path, old)) = old {
        // Root edits files of others; who is not root has no other way than to own the new one.
        if fchown(&*new, Some(old.uid()), Some(old.gid())).is_err() {
            let _ = fchown(&*new, None, Some(old.gid()));
        }
        new.set_permissions(old.permissions())?;
        // The list is last: it and the mode's bits of the group are one.
        keep_attributes(path, new)?;
    }
    new.write_all(content)?;
    new.sync_all()
}

/// A file without a name (open(2), `O_TMPFILE`), where there are such and they can be given one.
fn nameless(folder: &Path) -> Option<File> {
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(folder, flags, Mode::from_raw_mode(0o666)).ok()?);
    let shown = fs::metadata(handle(&file)).ok()?;
    let own = file.metadata().ok()?;
    hold(&file);
    ((shown.dev(), shown.ino()) == (own.dev(), own.ino())).then_some(file)
}

/// The way to an open file that has no other one.
fn handle(file: &File) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

fn give_name(file: &File, name: &DraftName, folder: &Path) -> io::Result<PathBuf> {
    loop {
        let path = name.fresh(folder);
        match linkat(CWD, handle(file), CWD, &path, AtFlags::SYMLINK_FOLLOW) {
            Ok(()) => return Ok(path),
            Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(test)]
#[path = "save_tests.rs"]
mod tests;
