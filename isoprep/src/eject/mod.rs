//! Work directories, and how they are deleted without touching anything that is not ours.
//!
//! Build tools bind-mount precious directories into their work directories, and every ordinary way of deleting a tree
//! goes through such a mount when it is of the same file system. So [`eject`]:
//!
//! 1. refuses what cannot be a work directory: shallow paths, the home directory and what holds it, links, mount points,
//!    directories of other users, directories without our marker file;
//! 2. unmounts what is mounted inside, last mount first, never lazily, by open folders instead of by paths; reads the mount
//!    tables again, those of other mount namespaces too, detaches loop devices that show a file inside, and if anything is left
//!    deletes **nothing** and names who holds it;
//! 3. walks by file descriptor with `openat2(2)`, which refuses to cross a mount or follow a link, compares the mount of
//!    every entry with that of the directory, and deletes with `unlinkat(2)`, which refuses mount points;
//! 4. deletes the marker last, so that an eject that was cancelled or interrupted can be done again.
//!
//! Processes that descend from this one and hold a mount are ended, by a pidfd. Nobody else is signalled: others are named, and
//! [`eject_ending`] ends those that the user has agreed to.

mod ahead;
mod attempts;
mod descriptors;
mod error;
mod guard;
mod holders;
mod level;
mod loops;
mod marker;
mod mountinfo;
mod names;
mod namespaces;
mod processes;
mod reasons;
mod stat;
mod sweep;
mod unmount;
mod work_dir;

use std::path::{Path, PathBuf};

use cartridge_supervise::Cancel;
use serde::{Deserialize, Serialize};

pub use ahead::count_entries;
pub use attempts::hanging_unmounts;
pub use error::{EjectError, Refusal};
pub use holders::Holder;
pub use marker::{MARKER, Marker};
pub use unmount::Remaining;
pub use work_dir::{WorkDir, ensure_marked, remove_unmarked};

/// What an eject would delete.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct Survey {
    /// The directory, links in its parents resolved.
    pub path: PathBuf,
    /// How many entries there are: files, directories, links, all others; the marker and the directory itself included.
    pub files: u64,
    /// How much its regular files take on the disk, bytes; those with a second name elsewhere do not count.
    pub bytes: u64,
    /// What is mounted inside it; an eject unmounts these first.
    pub mounts: Vec<PathBuf>,
    /// What would stop an eject as things are now, and who holds it: mounts that somebody uses, loop devices.
    pub held: Vec<Remaining>,
}

/// How much is gone so far.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// How many entries.
    pub files: u64,
    /// How much space that freed, bytes.
    pub bytes: u64,
}

/// How far an eject is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Advance {
    /// What is gone.
    pub removed: Removed,
    /// How many entries there were, the directory itself included. `None` until they are counted, which is done beside the
    /// removal, and for good where that is quicker than counting, or not all can be seen before.
    pub total: Option<u64>,
}

/// What an eject did.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
pub struct EjectReport {
    /// How many entries were deleted: as many as [`Survey::files`] when the directory is gone.
    pub removed: u64,
    /// How much space that freed, bytes.
    pub bytes: u64,
    /// What was left, and why. Empty when the directory is gone.
    pub untouched: Vec<Untouched>,
}

/// Something that an eject left where it was.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct Untouched {
    /// What was left.
    pub path: PathBuf,
    /// Why.
    pub reason: String,
}

/// Whether `dir` is a directory, not a link to one, that carries our marker.
#[must_use]
pub fn is_marked(dir: &Path) -> bool {
    use rustix::fs::{Mode, OFlags};
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::open(dir, flags, Mode::empty()).is_ok_and(|open| marker::OpenMarker::open(open, dir).is_ok())
}

/// Looks what [`eject`] would delete, and whether it may. Changes nothing.
///
/// # Errors
/// [`EjectError::Refused`] for whatever an eject would refuse, [`EjectError::System`] when it cannot be looked at.
pub fn survey(dir: &Path) -> Result<Survey, EjectError> {
    let target = guard::admit(dir)?;
    let mounts = unmount::inside(&target)?;
    let mut held = unmount::held(&target)?;
    held.extend(loops::seen(&target));
    let counted = sweep::count(&target)?;
    Ok(Survey { path: target.path, files: counted.files, bytes: counted.bytes, mounts, held })
}

/// Deletes a work directory of ours, and what is mounted inside is unmounted, not deleted. `progress` is told how far
/// it is, after every 1024 entries or 50 ms, and once at the end.
///
/// # Errors
/// - [`EjectError::Refused`]: it is not a directory of ours, or must never be deleted. Nothing was touched.
/// - [`EjectError::StillMounted`]: a mount inside could not be unmounted, or a file inside is a loop device's; it says who
///   holds it. Nothing was deleted.
/// - [`EjectError::Cancelled`]: `cancel` was set; calling again goes on.
/// - [`EjectError::System`]: the system refused something that the rest depends on.
pub fn eject(dir: &Path, cancel: &Cancel, progress: &dyn Fn(Advance)) -> Result<EjectReport, EjectError> {
    eject_ending(dir, &[], cancel, progress)
}

/// As [`eject()`], and ends those holders of mounts that the user has `agreed` to, as [`EjectError::StillMounted`] named them:
/// SIGTERM, and SIGKILL after two seconds. Who is not the process that was named, but has its number, is left alone, and so are
/// those that are [`spared`](Holder::spared) whatever was agreed: other users' and those that this program was started from.
///
/// # Errors
/// As for [`eject()`].
pub fn eject_ending(
    dir: &Path,
    agreed: &[Holder],
    cancel: &Cancel,
    progress: &dyn Fn(Advance),
) -> Result<EjectReport, EjectError> {
    let target = guard::admit(dir)?;
    target.marker.lock(&target.path)?;
    let mut ending = processes::Ending::default();
    unmount::all(&target, agreed, &mut ending, cancel)?;
    for round in 0.. {
        let loops = loops::detach(&target, &ending.known, cancel);
        if loops.is_empty() {
            break;
        }
        unmount::end_holders(loops, round, (agreed, &mut ending), &target.path, cancel)?;
    }
    sweep::remove(&target, cancel, progress)
}
