//! Unmounts what is mounted inside a directory: last mount first, never lazily, nothing outside.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use cartridge_supervise::{Cancel, CommandLine};
use rustix::io::Errno;
use rustix::mount::{MountPropagationFlags, UnmountFlags};
use serde::Serialize;

use super::error::EjectError;
use super::holders::{self, Holder};
use super::mountinfo::{self, BadLine, Mount};

const TABLE: &str = "/proc/self/mountinfo";

/// A mount that could not be unmounted.
#[derive(Serialize, Clone, Debug, PartialEq, Eq)]
pub struct Remaining {
    /// Where it is mounted.
    pub path: PathBuf,
    /// What is mounted: `tmpfs (tmpfs)`, `ext4 (/dev/sda1[/home/me])`.
    pub what: String,
    /// What the system said.
    pub why: String,
    /// The processes that hold it. Empty when none was found that we may look at.
    pub holders: Vec<Holder>,
}

impl fmt::Display for Remaining {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}: {}", self.path.display(), self.what, self.why)?;
        for holder in &self.holders {
            write!(f, "\n    held by {holder}")?;
        }
        if self.holders.is_empty() {
            let look = CommandLine::new("fuser").arg("-vm").arg(&self.path);
            write!(f, "\n    no process that we may look at holds it; try: {look}")?;
        }
        Ok(())
    }
}

/// The mount table of this process.
pub(super) fn table() -> Result<Vec<Mount>, EjectError> {
    let table = fs::read(TABLE).map_err(|error| EjectError::system("read", TABLE, error))?;
    mountinfo::parse(&table).map_err(|BadLine(line)| {
        let error = io::Error::new(io::ErrorKind::InvalidData, format!("line {line} is not understood"));
        EjectError::system("read", TABLE, error)
    })
}

/// Where something is mounted strictly inside `dir`.
pub(super) fn inside(dir: &Path) -> Result<Vec<PathBuf>, EjectError> {
    Ok(mountinfo::inside(&table()?, dir).into_iter().map(|mount| mount.point.clone()).collect())
}

/// Unmounts everything inside `dir`, or says what is left.
pub(super) fn all(dir: &Path, cancel: &Cancel) -> Result<(), EjectError> {
    loop {
        let table = table()?;
        let mounts = mountinfo::inside(&table, dir);
        if mounts.is_empty() {
            return Ok(());
        }
        if cancel.is_cancelled() {
            return Err(EjectError::Cancelled { path: dir.to_owned(), removed: 0 });
        }
        let failed = pass(&mounts);
        // A mount that was moved stands before its parent in the table: another pass gets it, as long as one got any.
        if failed.len() == mounts.len() {
            return Err(EjectError::StillMounted { path: dir.to_owned(), mounts: remaining(failed) });
        }
    }
}

/// Tries to unmount each, last first; returns those that it could not, with the reason.
fn pass<'a>(mounts: &[&'a Mount]) -> Vec<(&'a Mount, String)> {
    // In a shared tree (`mount --rbind /sys work/sys`) unmounting `work/sys/fs/cgroup` would unmount `/sys/fs/cgroup`
    // too, because the unmount spreads from the parent to its peers: cut the ties of every mount inside first.
    for mount in mounts {
        if let Err(error) = rustix::mount::mount_change(&mount.point, MountPropagationFlags::PRIVATE) {
            let why = explain(mount, "cut from its peers", error);
            return mounts.iter().map(|mount| (*mount, why.clone())).collect();
        }
    }
    let unmount = |mount: &&'a Mount| {
        let result = rustix::mount::unmount(&mount.point, UnmountFlags::NOFOLLOW);
        result.err().map(|error| (*mount, explain(mount, "unmounted", error)))
    };
    mounts.iter().rev().filter_map(unmount).collect()
}

/// What the system said, and for those who may not unmount, the commands for those who may.
fn explain(mount: &Mount, what: &str, error: Errno) -> String {
    let said = format!("it could not be {what}: {}", io::Error::from(error));
    if error != Errno::PERM {
        return said;
    }
    // Private first, as in `pass`: else the unmount could spread to what the mount was made from.
    let private = CommandLine::new("sudo").args(["mount", "--make-rprivate"]).arg(&mount.point);
    let unmount = CommandLine::new("sudo").args(["umount", "-R"]).arg(&mount.point);
    format!("{said}; only root may do that: {private} && {unmount}")
}

fn remaining(failed: Vec<(&Mount, String)>) -> Vec<Remaining> {
    let mounts: Vec<_> = failed.iter().map(|(mount, _)| *mount).collect();
    let mut holders = holders::of(Path::new("/proc"), &mounts);
    let one = |(mount, why): (&Mount, String)| Remaining {
        path: mount.point.clone(),
        what: format!("{} ({})", mount.kind, mount.source),
        why,
        holders: holders.remove(&mount.id).unwrap_or_default(),
    };
    failed.into_iter().map(one).collect()
}
