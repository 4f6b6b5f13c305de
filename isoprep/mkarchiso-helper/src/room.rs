//! The room that the helper works in: a mount namespace of its own, where the request's directories are seen at fixed
//! places that only root may reach; and a directory inside the work directory that only root may enter.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, ResolveFlags, fstat, mkdirat, openat2, unlinkat};
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
}

impl Room {
    /// Makes the room and shows the directories in it.
    pub(crate) fn furnish(pinned: &Pinned) -> Result<Self, HelperError> {
        let build = private_directory(&pinned.work)?;
        let room = Self { build };
        room.fill(pinned).inspect_err(|_| {
            // Why it could not be filled is what matters.
            let _ = room.clear(pinned);
        })?;
        Ok(room)
    }

    fn fill(&self, pinned: &Pinned) -> Result<(), HelperError> {
        let failed = |source| HelperError::Io { doing: "make", what: ROOM.to_owned(), source };
        match DirBuilder::new().mode(0o700).create(ROOM) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(failed(error)),
        }
        let plain = MountFlags::NOSUID | MountFlags::NODEV;
        mount("tmpfs", ROOM, "tmpfs", plain, c"mode=700").map_err(HelperError::io("mount", ROOM))?;
        for (name, fd) in [("profile", &pinned.profile), ("build", &self.build)] {
            let place = Self::place(name);
            DirBuilder::new().mode(0o700).create(&place).map_err(failed)?;
            let flags =
                OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
            let tree = open_tree(fd, "", flags).map_err(HelperError::io("take hold of", name))?;
            let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
            move_mount(&tree, "", CWD, &place, flags).map_err(HelperError::io("mount", name))?;
        }
        let build = Self::place("build");
        for (name, mode) in [("out", 0o755), ("cache", 0o755), ("tmp", 0o1777), ("bin", 0o755)] {
            let dir = build.join(name);
            DirBuilder::new().create(&dir).map_err(failed)?;
            fs::set_permissions(&dir, fs::Permissions::from_mode(mode)).map_err(failed)?;
        }
        for (name, text) in SHIMS {
            let file = build.join("bin").join(name);
            fs::write(&file, text).map_err(failed)?;
            fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).map_err(failed)?;
        }
        Ok(())
    }

    /// Where something is seen in the room.
    pub(crate) fn place(name: &str) -> PathBuf {
        Path::new(ROOM).join(name)
    }

    /// Removes everything that root made in the user's work directory.
    pub(crate) fn clear(&self, pinned: &Pinned) -> Result<(), HelperError> {
        let failed = |source| HelperError::Io { doing: "clear", what: BUILD.to_owned(), source };
        // Through the descriptor: whatever has the name now, this is the directory that was made.
        let inside = PathBuf::from(format!("/proc/self/fd/{}", self.build.as_raw_fd()));
        for entry in fs::read_dir(&inside).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let is_dir = fs::symlink_metadata(&path).is_ok_and(|meta| meta.is_dir());
            // Nothing is mounted in there: mkarchiso's mounts went with its namespace.
            if is_dir { fs::remove_dir_all(&path) } else { fs::remove_file(&path) }.map_err(failed)?;
        }
        unlinkat(&pinned.work, BUILD, AtFlags::REMOVEDIR).map_err(HelperError::io("remove", BUILD))
    }
}

/// Makes a directory that only root may enter. One that a killed helper left is cleared and used again.
fn private_directory(work: &OwnedFd) -> Result<OwnedFd, HelperError> {
    let made = mkdirat(work, BUILD, Mode::RWXU);
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let how = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_XDEV;
    let open = openat2(work, BUILD, flags, Mode::empty(), how).map_err(HelperError::io("open", BUILD))?;
    let stat = fstat(&open).map_err(HelperError::io("look at", BUILD))?;
    // The user can put a directory of that name there, but none that is root's and closed to everybody else.
    if stat.st_uid != 0 || stat.st_mode & 0o7777 != 0o700 {
        let source = io::Error::new(io::ErrorKind::PermissionDenied, "it is not root's own");
        return Err(HelperError::Io { doing: "use", what: BUILD.to_owned(), source });
    }
    if made.is_err() {
        let inside = PathBuf::from(format!("/proc/self/fd/{}", open.as_raw_fd()));
        let failed = |source| HelperError::Io { doing: "clear", what: BUILD.to_owned(), source };
        for entry in fs::read_dir(&inside).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let is_dir = fs::symlink_metadata(&path).is_ok_and(|meta| meta.is_dir());
            if is_dir { fs::remove_dir_all(&path) } else { fs::remove_file(&path) }.map_err(failed)?;
        }
    }
    Ok(open)
}
