//! One directory on the way down, and the two ways of opening the next: below by name, above through `..`.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsRawFd, OwnedFd};

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::stat::{BELOW, DIRECTORY, Identity, look};

/// A directory on the way from the root to where we are.
pub(super) struct Level {
    /// `None` while too many are open.
    pub fd: Option<OwnedFd>,
    pub identity: Identity,
    pub name: OsString,
    /// Directories in it that were not entered yet.
    pub pending: Vec<OsString>,
    /// Entries that stay.
    pub kept: HashSet<OsString>,
    /// Whether this pass deleted anything.
    pub removed: bool,
    pub passes: u32,
}

impl Level {
    pub(super) fn new(fd: OwnedFd, identity: Identity, name: OsString) -> Self {
        let (pending, kept) = (Vec::new(), HashSet::new());
        Self { fd: Some(fd), identity, name, pending, kept, removed: false, passes: 0 }
    }
}

/// Opens the directory `name` in `above` if it is on `mount`. If we may `change` it and it is ours, it is made accessible.
pub(super) fn open_below(
    above: &OwnedFd,
    name: &OsStr,
    mount: u64,
    change: bool,
) -> Result<(OwnedFd, Identity), Errno> {
    let own = rustix::process::geteuid().as_raw();
    let fd = match rustix::fs::openat2(above, name, DIRECTORY, Mode::empty(), BELOW) {
        Err(Errno::ACCESS) if change => {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let handle = rustix::fs::openat2(above, name, flags, Mode::empty(), BELOW)?;
            let found = look(&handle, "")?;
            if found.owner != own || found.identity.mount != mount {
                return Err(Errno::ACCESS);
            }
            // A handle cannot be chmodded before Linux 6.6, but its own link in /proc leads to the same object.
            let link = format!("/proc/self/fd/{}", handle.as_raw_fd());
            rustix::fs::chmod(link, Mode::from_raw_mode(found.mode | 0o700))?;
            rustix::fs::openat2(above, name, DIRECTORY, Mode::empty(), BELOW)?
        }
        other => other?,
    };
    let found = look(&fd, "")?;
    if found.identity.mount != mount {
        return Err(Errno::XDEV);
    }
    if change && found.owner == own && found.mode & 0o700 != 0o700 {
        rustix::fs::fchmod(&fd, Mode::from_raw_mode(found.mode | 0o700))?;
    }
    Ok((fd, found.identity))
}

/// Opens the directory above `below`, which must be the one that it was on the way down.
pub(super) fn open_above(below: &OwnedFd, identity: Identity) -> Result<OwnedFd, Errno> {
    let safe = ResolveFlags::NO_XDEV | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let above = rustix::fs::openat2(below, "..", DIRECTORY, Mode::empty(), safe)?;
    if look(&above, "")?.identity == identity { Ok(above) } else { Err(Errno::STALE) }
}
