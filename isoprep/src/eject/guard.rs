//! Decides whether a directory may be ejected, and opens it so that it stays the same one whatever happens to its name.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;

use super::error::{EjectError, Refusal};
use super::marker::OpenMarker;
use super::stat::{BELOW, DIRECTORY, Identity, look};
use super::unmount;

/// Fewest components of a path that may be deleted: `/home/me/work` has three.
const DEPTH: usize = 3;

/// A directory that passed every check, held open.
#[derive(Debug)]
pub(super) struct Target {
    /// Where it is, links in its parents resolved.
    pub path: PathBuf,
    /// Its parent, to delete it from.
    pub parent: OwnedFd,
    /// Its name in the parent.
    pub name: OsString,
    pub root: OwnedFd,
    pub identity: Identity,
    pub marker: OpenMarker,
}

/// Opens `dir` if it is a directory of ours that may be deleted. Changes nothing.
pub(super) fn admit(dir: &Path) -> Result<Target, EjectError> {
    let (path, parent, name) = place(dir)?;
    let (root, identity) = open_own(&path, &parent, &name)?;
    if unmount::table()?.iter().any(|mount| mount.point == path) {
        return Err(EjectError::refused(path, Refusal::MountPoint));
    }
    let marker = OpenMarker::open(&root, &path)?;
    Ok(Target { path, parent, name, root, identity, marker })
}

/// Refuses `dir` by its name alone, before anything is made on the way to it.
pub(super) fn name_is_allowed(dir: &Path) -> Result<(), EjectError> {
    let path = std::path::absolute(dir).map_err(|error| EjectError::system("resolve", dir, error))?;
    match protected(&path, &homes()) {
        Some(reason) => Err(EjectError::refused(path, reason)),
        None => Ok(()),
    }
}

/// Resolves the parent of `dir` and refuses places where nothing of ours may be. The directory need not exist.
pub(super) fn place(dir: &Path) -> Result<(PathBuf, OwnedFd, OsString), EjectError> {
    let absolute = std::path::absolute(dir).map_err(|error| EjectError::system("resolve", dir, error))?;
    let (Some(parent), Some(name)) = (absolute.parent(), absolute.file_name()) else {
        return Err(EjectError::refused(dir, Refusal::NoName));
    };
    let parent = match fs::canonicalize(parent) {
        Ok(parent) => parent,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(EjectError::refused(dir, Refusal::Missing));
        }
        Err(error) => return Err(EjectError::system("resolve", parent, error)),
    };
    let path = parent.join(name);
    if let Some(reason) = protected(&path, &homes()) {
        return Err(EjectError::refused(path, reason));
    }
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = rustix::fs::open(&parent, flags, Mode::empty());
    let opened = opened.map_err(|error| EjectError::system("open", &parent, error))?;
    Ok((path, opened, name.to_owned()))
}

/// Opens `name` in `parent` if it is a real directory of this user that nothing is mounted on.
pub(super) fn open_own(path: &Path, parent: &OwnedFd, name: &OsStr) -> Result<(OwnedFd, Identity), EjectError> {
    let refused = |reason| EjectError::refused(path, reason);
    let seen = look(parent, name).map_err(|error| match error {
        Errno::NOENT => refused(Refusal::Missing),
        Errno::NOTSUP | Errno::NOSYS => refused(Refusal::Unsafe("mount ids in statx (Linux 5.8)")),
        error => EjectError::system("look at", path, error),
    })?;
    match seen.kind {
        FileType::Directory => {}
        FileType::Symlink => return Err(refused(Refusal::Link)),
        _ => return Err(refused(Refusal::NotADirectory)),
    }
    if seen.mount_root {
        return Err(refused(Refusal::MountPoint));
    }
    if seen.owner != rustix::process::geteuid().as_raw() {
        return Err(refused(Refusal::ForeignOwner(seen.owner)));
    }
    let root = rustix::fs::openat2(parent, name, DIRECTORY, Mode::empty(), BELOW).map_err(|error| match error {
        Errno::XDEV => refused(Refusal::MountPoint),
        Errno::LOOP => refused(Refusal::Link),
        Errno::NOENT => refused(Refusal::Missing),
        Errno::NOSYS => refused(Refusal::Unsafe("openat2 (Linux 5.6)")),
        error => EjectError::system("open", path, error),
    })?;
    let opened = look(&root, "").map_err(|error| EjectError::system("look at", path, error))?;
    if opened.identity != seen.identity {
        return Err(EjectError::system("open", path, Errno::STALE));
    }
    Ok((root, opened.identity))
}

/// Why nothing of ours may be at `path`, which has no links and no `..`.
fn protected(path: &Path, homes: &[PathBuf]) -> Option<Refusal> {
    // Home first: it says more than that /root is shallow.
    if let Some(home) = homes.iter().find(|home| home.starts_with(path)) {
        return Some(Refusal::Home(home.clone()));
    }
    (path.components().count() <= DEPTH).then_some(Refusal::Shallow)
}

/// The home directories that this user may mean: `$HOME` and that of the user database, with and without links.
fn homes() -> Vec<PathBuf> {
    let users = fs::read(Path::new("/etc/passwd")).unwrap_or_default();
    let from_database = home_in(&users, rustix::process::geteuid().as_raw());
    let from_environment = std::env::var_os("HOME").map(PathBuf::from);
    let named = [from_environment, from_database].into_iter().flatten().filter(|home| home.is_absolute());
    let mut homes: Vec<_> = named.collect();
    let real: Vec<_> = homes.iter().filter_map(|home| fs::canonicalize(home).ok()).collect();
    homes.extend(real);
    homes
}

/// The home directory of `uid` in the text of a passwd(5) file.
fn home_in(users: &[u8], uid: u32) -> Option<PathBuf> {
    users.split(|&byte| byte == b'\n').find_map(|line| {
        let fields: Vec<&[u8]> = line.split(|&byte| byte == b':').collect();
        let id: u32 = std::str::from_utf8(fields.get(2)?).ok()?.parse().ok()?;
        (id == uid).then(|| PathBuf::from(OsStr::from_bytes(fields.get(5).copied().unwrap_or_default())))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn homes_what_holds_them_and_shallow_paths_are_protected() {
        let homes = [PathBuf::from("/home/me"), PathBuf::from("/srv/deep/down/homes/me")];
        let home = |index: usize| Some(Refusal::Home(homes[index].clone()));
        let want = [
            ("/home/me", home(0)),
            ("/home", home(0)),
            ("/srv/deep/down/homes/me", home(1)),
            ("/srv/deep/down", home(1)),
            ("/var/lib", Some(Refusal::Shallow)),
            ("/opt", Some(Refusal::Shallow)),
            ("/home/me/work", None),
            ("/srv/deep/down2", None),
            ("/srv/deep/down/homes/me/work", None),
        ];
        for (path, reason) in want {
            assert_eq!(protected(Path::new(path), &homes), reason, "{path}");
        }
    }

    #[test]
    fn the_home_of_a_user_is_found_by_number() {
        let users = b"root:x:0:0:root:/root:/bin/sh\n# x\nbroken\nme:x:1000:1000:,,,:/home/me:/bin/sh\n";
        assert_eq!(home_in(users, 1000), Some(PathBuf::from("/home/me")));
        assert_eq!(home_in(users, 0), Some(PathBuf::from("/root")));
        assert_eq!(home_in(users, 7), None);
    }
}
