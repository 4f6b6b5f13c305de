//! Writes a `cartridge.toml` so that after any interruption either the old or the new one is there, whole.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsRawFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, fchown};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::fs::{AtFlags, CWD, FlockOperation, Mode, OFlags, flock, linkat};
use rustix::io::Errno;

static COUNT: AtomicU32 = AtomicU32::new(0);
/// The ends of the names that files have before they take the place of another one: `.NAME.cartridge-PROCESS-NUMBER.new`.
const ENDS: (&str, &str) = (".cartridge-", ".new");

/// Writes `content` to `file` in one step: a new file, synced, renamed over it, the folder synced. Keeps the permission bits of the
/// file, its owner and group where that is allowed, and a link stays a link. A full disk leaves the old file as it was. The new one has no name until it is whole, so that
/// who is killed in the middle leaves nothing; where a file system knows no such files, it goes with the next save.
///
/// # Errors
/// Whatever making, writing, syncing or renaming fails with, or that there is something else than a file; the old file is untouched then
/// and nothing is left behind. That the folder could not be synced is no error: the new file has taken the place by then.
pub fn save_atomically(file: &Path, content: impl AsRef<[u8]>) -> io::Result<()> {
    let target = match fs::canonicalize(file) {
        Ok(real) => real,
        Err(error) if error.kind() == io::ErrorKind::NotFound && fs::symlink_metadata(file).is_err() => file.to_owned(),
        Err(error) => return Err(error),
    };
    let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = target.file_name().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
    let old = fs::metadata(&target).ok();
    if old.as_ref().is_some_and(|old| !old.is_file()) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is there, and is no file"));
    }
    sweep(name, folder);
    let fill = |new: &mut File| -> io::Result<()> {
        if let Some(old) = &old {
            // Root edits files of others; who is not root has no other way than to own the new one.
            let _ = fchown(&*new, Some(old.uid()), Some(old.gid()));
            new.set_permissions(old.permissions())?;
        }
        new.write_all(content.as_ref())?;
        new.sync_all()
    };
    let mut nameless = nameless(folder);
    nameless.as_mut().map_or(Ok(()), fill)?;
    // Not every file system that knows them gives them a name later.
    let given = nameless.as_ref().and_then(|new| give_name(new, name, folder).ok());
    // Held until it has taken the place.
    let (_held, at) = if let Some(at) = given {
        (nameless, at)
    } else {
        let (mut new, at) = named(name, folder)?;
        fill(&mut new).inspect_err(|_| {
            let _ = fs::remove_file(&at);
        })?;
        (Some(new), at)
    };
    fs::rename(&at, &target).inspect_err(|_| {
        let _ = fs::remove_file(&at);
    })?;
    let _ = File::open(folder).and_then(|folder| folder.sync_all());
    Ok(())
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

fn give_name(file: &File, name: &OsStr, folder: &Path) -> io::Result<PathBuf> {
    loop {
        let path = beside(name, folder);
        match linkat(CWD, handle(file), CWD, &path, AtFlags::SYMLINK_FOLLOW) {
            Ok(()) => return Ok(path),
            Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn named(name: &OsStr, folder: &Path) -> io::Result<(File, PathBuf)> {
    loop {
        let path = beside(name, folder);
        match OpenOptions::new().write(true).create_new(true).mode(0o666).open(&path) {
            Ok(file) => {
                // Somebody else's sweep may have come in between, or hold it and be about to.
                let swept = matches!(flock(&file, FlockOperation::NonBlockingLockExclusive), Err(Errno::WOULDBLOCK));
                if !swept && is_at(&file, &path) {
                    return Ok((file, path));
                }
            }
            // Left by a process that was killed and had our id.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
}

/// A name that no file of this process has had.
fn beside(name: &OsStr, folder: &Path) -> PathBuf {
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let mut whole = OsString::from(".");
    whole.push(name);
    whole.push(format!("{}{}-{number}{}", ENDS.0, std::process::id(), ENDS.1));
    folder.join(whole)
}

/// Says that somebody alive writes it, until it is closed. Where a file system has no locks nobody can prove the contrary either.
fn hold(file: &File) -> bool {
    flock(file, FlockOperation::NonBlockingLockExclusive).is_ok()
}

fn is_at(file: &File, path: &Path) -> bool {
    let (Ok(own), Ok(there)) = (file.metadata(), fs::symlink_metadata(path)) else { return false };
    (own.dev(), own.ino()) == (there.dev(), there.ino())
}

/// Removes what was being written for a file of that name by somebody who is dead: of the form that [`beside`] gives, a regular file
/// of this user's with no second name, and held by nobody.
fn sweep(name: &OsStr, folder: &Path) {
    let begins = [b".", name.as_bytes(), ENDS.0.as_bytes()].concat();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let found = entry.file_name();
        let numbers = found.as_bytes().strip_prefix(begins.as_slice());
        let numbers = numbers.and_then(|it| std::str::from_utf8(it).ok()?.strip_suffix(ENDS.1)?.split_once('-'));
        if numbers.is_some_and(|(process, number)| process.parse::<u32>().is_ok() && number.parse::<u32>().is_ok()) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn only_what_somebody_dead_was_writing_is_swept() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let dead = beside(OsStr::new("a.toml"), dir.path());
        fs::write(&dead, "half").unwrap();
        let (alive, living) = named(OsStr::new("a.toml"), dir.path()).unwrap();
        for name in [
            ".a.toml.7-1.new",
            ".a.toml.cartridge-7.new",
            ".a.toml.cartridge-x-1.new",
            ".a.toml.cartridge-7-1.new.mine",
            ".b.toml.cartridge-7-1.new",
            "precious",
        ] {
            fs::write(at(name), "precious").unwrap();
        }
        fs::hard_link(at("precious"), at(".a.toml.cartridge-7-2.new")).unwrap();
        symlink(at("precious"), at(".a.toml.cartridge-7-3.new")).unwrap();
        fs::create_dir(at(".a.toml.cartridge-7-4.new")).unwrap();
        let count = || fs::read_dir(dir.path()).unwrap().count();
        let before = count();
        save_atomically(&at("a.toml"), "new").unwrap();
        assert!(!dead.exists() && living.exists());
        assert_eq!(count(), before, "one went, one came");
        drop(alive);
        save_atomically(&at("a.toml"), "newer").unwrap();
        assert!(!living.exists());
        assert_eq!((count(), fs::read(at("a.toml")).unwrap()), (before - 1, b"newer".to_vec()));
    }

    #[test]
    fn it_stays_whose_it_was_and_what_is_no_file_stays_what_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let (file, other) = (at("a.toml"), 65_534);
        fs::write(&file, "old").unwrap();
        // Who is not root can give nothing away.
        let given = std::os::unix::fs::chown(&file, Some(other), Some(other)).is_ok();
        save_atomically(&file, "new").unwrap();
        let now = fs::metadata(&file).unwrap();
        assert!(!given || (now.uid(), now.gid()) == (other, other), "{} {}", now.uid(), now.gid());
        let listener = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
        let before = fs::metadata(at("socket")).unwrap();
        assert_eq!(save_atomically(&at("socket"), "new").unwrap_err().kind(), io::ErrorKind::InvalidInput);
        let after = fs::metadata(at("socket")).unwrap();
        assert_eq!((before.dev(), before.ino()), (after.dev(), after.ino()));
        drop(listener);
    }

    #[test]
    fn a_new_file_has_no_name_until_it_is_whole() {
        let dir = tempfile::tempdir().unwrap();
        let file = nameless(dir.path()).expect("a file system of today");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        let path = give_name(&file, OsStr::new("a"), dir.path()).unwrap();
        assert!(is_at(&file, &path));
    }
}
