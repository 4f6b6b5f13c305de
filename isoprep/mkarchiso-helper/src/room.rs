//! The room that the helper works in: a mount namespace of its own, where the request's directories are seen at fixed
//! places; and a directory inside the work directory that only root may enter, where everything that a build makes lies.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FlockOperation, Mode, OFlags, ResolveFlags, flock, fstat, mkdirat, openat2, unlinkat};
use rustix::io::Errno;
use rustix::mount::{
    MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, mount, mount_change, move_mount, open_tree,
};
use rustix::thread::{UnshareFlags, unshare_unsafe};

use crate::error::HelperError;
use crate::pinned::Pinned;

/// Where the room is. Other processes see an empty directory there, if any.
const ROOM: &str = "/run/cartridge-mkarchiso";
/// The directory in the user's work directory that only root may enter.
const BUILD: &str = "mkarchiso-root";
/// What mkarchiso's `mount` and `umount` do in a user namespace: the same as without the helper.
const SHIMS: [(&str, &str); 2] = [
    ("mount", include_str!("../../src/mkarchiso/mount.sh")),
    ("umount", include_str!("../../src/mkarchiso/umount.sh")),
];

/// Enters a mount namespace of our own, in which nothing that is mounted reaches the host. Must come before any thread.
pub(crate) fn leave_the_host() -> Result<(), HelperError> {
    // SAFETY: no other thread exists yet, and descriptors stay shared.
    #[allow(unsafe_code)]
    unsafe { unshare_unsafe(UnshareFlags::NEWNS) }.map_err(HelperError::io("make", "a mount namespace"))?;
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    mount_change("/", private).map_err(HelperError::io("make private", "the mounts"))
}

/// The furnished room.
#[derive(Debug)]
pub(crate) struct Room {
    /// The directory that only root may enter, on the user's file system.
    pub(crate) build: OwnedFd,
    /// Who root inside is on the host.
    pub(crate) root: u32,
    /// The places of what pacman reads: where it lies in the room, and the path that it is known by.
    pub(crate) readable: Vec<(PathBuf, PathBuf)>,
}

impl Room {
    /// Makes the room and shows the directories in it. What is written there will belong to `root`.
    pub(crate) fn furnish(pinned: &Pinned, root: u32) -> Result<Self, HelperError> {
        let build = private_directory(&pinned.work)?;
        let mut room = Self { build, root, readable: Vec::new() };
        room.fill(pinned).inspect_err(|_| {
            // Why it could not be filled is what matters.
            let _ = clear(&room.build, &pinned.work);
        })?;
        Ok(room)
    }

    fn fill(&mut self, pinned: &Pinned) -> Result<(), HelperError> {
        let failed = |source| HelperError::Io { doing: "make", what: ROOM.to_owned(), source };
        match DirBuilder::new().mode(0o700).create(ROOM) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(failed(error)),
        }
        let plain = MountFlags::NOSUID | MountFlags::NODEV;
        mount("tmpfs", ROOM, "tmpfs", plain, c"mode=700").map_err(HelperError::io("mount", ROOM))?;
        show("profile", &pinned.profile)?;
        show("build", &self.build)?;
        for (index, (path, fd)) in pinned.readable.iter().enumerate() {
            self.readable.push((show(&format!("readable-{index}"), fd)?, path.clone()));
        }
        for (name, mode) in
            [("build", 0o755), ("build/out", 0o755), ("cache", 0o755), ("tmp", 0o1777), ("profile", 0o755)]
        {
            let dir = Self::place("build").join(name);
            DirBuilder::new().create(&dir).map_err(failed)?;
            fs::set_permissions(&dir, fs::Permissions::from_mode(mode)).map_err(failed)?;
            chown(&dir, Some(self.root), Some(self.root)).map_err(failed)?;
        }
        let bin = Self::place("build").join("bin");
        DirBuilder::new().create(&bin).map_err(failed)?;
        fs::set_permissions(&bin, fs::Permissions::from_mode(0o755)).map_err(failed)?;
        for (name, text) in SHIMS {
            let file = bin.join(name);
            fs::write(&file, text).map_err(failed)?;
            fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).map_err(failed)?;
        }
        Ok(())
    }

    /// Where something is seen in the room.
    pub(crate) fn place(name: &str) -> PathBuf {
        Path::new(ROOM).join(name)
    }

    /// Removes everything that was made in the user's work directory.
    pub(crate) fn clear(&self, pinned: &Pinned) -> Result<(), HelperError> {
        clear(&self.build, &pinned.work)
    }
}

/// Shows an open directory in the room.
fn show(name: &str, fd: &OwnedFd) -> Result<PathBuf, HelperError> {
    let failed = |source| HelperError::Io { doing: "make", what: ROOM.to_owned(), source };
    let place = Room::place(name);
    DirBuilder::new().mode(0o700).create(&place).map_err(failed)?;
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    let tree = open_tree(fd, "", flags).map_err(HelperError::io("take hold of", name))?;
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    move_mount(&tree, "", CWD, &place, flags).map_err(HelperError::io("mount", name))?;
    Ok(place)
}

/// Removes what a helper that was killed left in a work directory. Where nothing is, nothing is to do.
pub(crate) fn clear_left(work: &OwnedFd) -> Result<(), HelperError> {
    match open_private(work) {
        Ok(build) => clear(&build, work),
        Err(HelperError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

fn clear(build: &OwnedFd, work: &OwnedFd) -> Result<(), HelperError> {
    empty(build)?;
    unlinkat(work, BUILD, AtFlags::REMOVEDIR).map_err(HelperError::io("remove", BUILD))
}

fn empty(build: &OwnedFd) -> Result<(), HelperError> {
    let failed = |source| HelperError::Io { doing: "clear", what: BUILD.to_owned(), source };
    // Through the descriptor: whatever has the name now, this is the directory that was made. And through a mount of its own,
    // which shows nothing that is mounted inside: what somebody has bound there cannot be reached, and keeps its place busy.
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    let bare = open_tree(build, "", flags).map_err(HelperError::io("take hold of", BUILD))?;
    let inside = PathBuf::from(format!("/proc/self/fd/{}", bare.as_raw_fd()));
    for entry in fs::read_dir(&inside).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let is_dir = fs::symlink_metadata(&path).is_ok_and(|meta| meta.is_dir());
        if is_dir { fs::remove_dir_all(&path) } else { fs::remove_file(&path) }.map_err(failed)?;
    }
    Ok(())
}

/// Makes a directory that only root may enter. One that a killed helper left is cleared and used again.
fn private_directory(work: &OwnedFd) -> Result<OwnedFd, HelperError> {
    let made = mkdirat(work, BUILD, Mode::RWXU);
    let open = open_private(work)?;
    if made.is_err() {
        empty(&open)?;
    }
    Ok(open)
}

/// Opens the directory that only root may enter. The lock says that a helper lives: the kernel drops it with the process.
fn open_private(work: &OwnedFd) -> Result<OwnedFd, HelperError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let how = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_XDEV;
    let open = openat2(work, BUILD, flags, Mode::empty(), how).map_err(HelperError::io("open", BUILD))?;
    let stat = fstat(&open).map_err(HelperError::io("look at", BUILD))?;
    // The user can put a directory of that name there, but none that is root's and closed to everybody else.
    if stat.st_uid != 0 || stat.st_mode & 0o7777 != 0o700 {
        let source = io::Error::new(io::ErrorKind::PermissionDenied, "it is not root's own");
        return Err(HelperError::Io { doing: "use", what: BUILD.to_owned(), source });
    }
    match flock(&open, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(open),
        Err(Errno::WOULDBLOCK) => Err(HelperError::InUse),
        Err(errno) => Err(HelperError::io("lock", BUILD)(errno)),
    }
}
