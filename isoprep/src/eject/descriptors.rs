//! Unmounts by open folders instead of by paths, and gives up on what does not answer.
//!
//! A path is not enough: whoever may rename a folder on the way could lead root to somebody else's mount. So the folder with the
//! mount point is opened below the work directory, where no link is followed, and the mount is named by that open folder and its
//! last name. The folder cannot be exchanged any more, and the name cannot as long as something is mounted on it. The mount itself
//! is not named by an open descriptor of its own: having it open would keep it busy.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use cartridge_supervise::Cancel;
use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use rustix::mount::{MountPropagationFlags, UnmountFlags};

use super::attempts::{self, Attempt, Hangs, Turn};
use super::mountinfo::Mount;
use super::stat::{mount_id, mount_of_entry};

/// How long the kernel may take with one mount. A file system that waits for a disk or a server takes as long as that does.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often it is looked whether all was cancelled.
const BEAT: Duration = Duration::from_millis(50);
/// How much of a path is opened at once, bytes: the kernel takes 4096, and a mount may lie deeper.
const STRIDE: usize = 2048;

/// How a folder below ours is opened: mounts are entered, links are not followed.
const BELOW: ResolveFlags = ResolveFlags::NO_SYMLINKS.union(ResolveFlags::NO_MAGICLINKS).union(ResolveFlags::BENEATH);

/// What came of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tried {
    Done,
    /// Its path leads to a mount that covers it, or nowhere.
    Covered,
    Failed(Errno),
    /// There was no answer in time. Nothing is done when it comes.
    Late,
    /// The same, and the kernel had been asked already: it goes on with it.
    LateInside,
    /// It was not begun.
    NotBegun(Hangs),
}

/// Works on mounts inside one directory.
pub(super) struct Hands<'a> {
    root: Arc<OwnedFd>,
    dir: &'a Path,
    cancel: &'a Cancel,
    /// Mounts that did not answer once are not asked again.
    late: RefCell<HashMap<u64, Tried>>,
}

impl<'a> Hands<'a> {
    /// `root` is the directory, which is called `dir` in mount tables.
    pub(super) fn new(root: &OwnedFd, dir: &'a Path, cancel: &'a Cancel) -> io::Result<Self> {
        Ok(Self { root: Arc::new(root.try_clone()?), dir, cancel, late: RefCell::default() })
    }

    /// Makes a mount private, so that what is unmounted in it is unmounted nowhere else.
    pub(super) fn cut_ties(&self, mount: &Mount) -> Tried {
        self.within(mount, |spot, id, turn| {
            // Open for as long as it takes: this is the very mount, whatever the name is by then.
            let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let open = rustix::fs::openat2(&spot.folder, &spot.name, flags, Mode::empty(), BELOW)?;
            if mount_id(&open) != Some(id) {
                return Ok(Tried::Covered);
            }
            if !turn.take() {
                return Ok(Tried::Late);
            }
            let path = format!("/proc/self/fd/{}", open.as_raw_fd());
            rustix::mount::mount_change(path, MountPropagationFlags::PRIVATE)?;
            Ok(Tried::Done)
        })
    }

    pub(super) fn unmount(&self, mount: &Mount) -> Tried {
        self.within(mount, |spot, id, turn| {
            if !spot.shows(id) {
                return Ok(Tried::Covered);
            }
            if !turn.take() {
                return Ok(Tried::Late);
            }
            rustix::mount::unmount(spot.path(), UnmountFlags::NOFOLLOW)?;
            Ok(Tried::Done)
        })
    }

    /// Whether its path leads to it, not to a mount that covers it.
    pub(super) fn is_on_top(&self, mount: &Mount) -> bool {
        let look = |spot: &Spot, id, _: &Turn| Ok(if spot.shows(id) { Tried::Done } else { Tried::Covered });
        self.within(mount, look) == Tried::Done
    }

    /// Works on a mount in a thread that is left behind if the kernel does not come back: nothing that waits for a disk or for
    /// the server of a FUSE can be called off. What it would do then it does not do any more.
    fn within(
        &self,
        mount: &Mount,
        work: impl FnOnce(&Spot, u64, &Turn) -> Result<Tried, Errno> + Send + 'static,
    ) -> Tried {
        if let Some(late) = self.late.borrow().get(&mount.id) {
            return *late;
        }
        let Ok(below) = mount.point.strip_prefix(self.dir).map(PathBuf::from) else { return Tried::Covered };
        let attempt = match Attempt::begin(mount) {
            Ok(attempt) => attempt,
            Err(hangs) => return Tried::NotBegun(hangs),
        };
        let (root, id, turn) = (Arc::clone(&self.root), mount.id, attempt.turn());
        let (tell, told) = channel();
        let begun = std::thread::Builder::new().name("unmount".into()).spawn(move || {
            let tried = match Spot::find(&root, &below) {
                Ok(spot) => work(&spot, id, &attempt.0).unwrap_or_else(Tried::Failed),
                // What is above it is covered, or was moved.
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Tried::Covered,
                Err(error) => Tried::Failed(error),
            };
            // Its descriptors are closed by now, and it is over when that is told.
            drop(attempt);
            let _ = tell.send(tried);
        });
        if begun.is_err() {
            return Tried::Failed(Errno::AGAIN);
        }
        let until = Instant::now() + PATIENCE;
        loop {
            match told.recv_timeout(BEAT) {
                Ok(tried) => return tried,
                Err(RecvTimeoutError::Disconnected) => return Tried::Failed(Errno::IO),
                Err(RecvTimeoutError::Timeout) if Instant::now() >= until || self.cancel.is_cancelled() => {
                    let late = if attempts::leave(&turn) { Tried::Late } else { Tried::LateInside };
                    self.late.borrow_mut().insert(id, late);
                    return late;
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }
}

/// Where something is mounted: a folder that is open, and the name in it.
struct Spot {
    folder: OwnedFd,
    name: OsString,
}

impl Spot {
    fn find(root: &OwnedFd, below: &Path) -> Result<Self, Errno> {
        let (Some(above), Some(name)) = (below.parent(), below.file_name()) else { return Err(Errno::NOENT) };
        Ok(Self { folder: open_below(root, above)?, name: name.to_owned() })
    }

    fn shows(&self, id: u64) -> bool {
        mount_of_entry(&self.folder, &self.name) == Some(id)
    }

    /// The way to it through this process's own descriptor: no name of it but the last one can be another by now.
    fn path(&self) -> PathBuf {
        Path::new(&format!("/proc/self/fd/{}", self.folder.as_raw_fd())).join(&self.name)
    }
}

/// Opens the folder `below` the one that is open, however long its path is.
pub(super) fn open_below(root: &OwnedFd, below: &Path) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let open = |at: &OwnedFd, path: &OsStr| rustix::fs::openat2(at, path, flags, Mode::empty(), BELOW);
    let mut at = open(root, OsStr::new("."))?;
    let mut part = OsString::new();
    for name in below {
        if part.len() + name.len() >= STRIDE {
            at = open(&at, &part)?;
            part.clear();
        }
        if !part.is_empty() {
            part.push("/");
        }
        part.push(name);
    }
    if part.as_bytes().is_empty() { Ok(at) } else { open(&at, &part) }
}
