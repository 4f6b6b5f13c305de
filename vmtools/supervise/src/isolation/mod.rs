//! What an isolated child sees of the host: a plan as plain data. It runs as root of a user namespace of its own, in mount,
//! process, IPC, host-name and usually network namespaces of its own (namespaces(7)), so that no build step needs root,
//! none can write outside the folders that it was given, and none outlives us.
//!
//! - `ids` decides which users and groups exist inside.
//! - `steps` turns the plan into prepared system calls; `enter` makes them between fork and exec, `mounts` those that mount.
//! - `mapper` is our side of the conversation with the child while it enters.
//! - `error` says which setting of the host forbids it.

mod caps;
mod enter;
mod error;
mod ids;
mod mapper;
mod mounts;
mod steps;

use std::path::PathBuf;

pub(crate) use enter::enter;
pub use error::{IsolationError, Step};
pub use ids::{IdMap, IdRange};
pub(crate) use mapper::Conversation;
pub(crate) use steps::Steps;

use crate::{Cancel, CommandLine, RunError, run};

/// Bounds on what a child may use (setrlimit(2)). `None` leaves the limit as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Address space of each process, bytes (`RLIMIT_AS`).
    pub memory_bytes: Option<u64>,
    /// Processor time of each process, seconds (`RLIMIT_CPU`).
    pub cpu_seconds: Option<u64>,
    /// Processes and threads at once (`RLIMIT_NPROC`).
    pub processes: Option<u64>,
    /// Size of each file written, bytes (`RLIMIT_FSIZE`).
    pub file_bytes: Option<u64>,
    /// Size of each private directory (`/tmp`, `/run`, `/dev`, `/dev/shm`, those that are hidden), bytes; they are memory.
    pub private_bytes: Option<u64>,
}

/// What a child sees and may do. Without additions: the whole file system read-only and without devices, an empty `/tmp` and
/// `/run`, a minimal `/dev`, its own `/proc`, no network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Isolation {
    pub(crate) network: bool,
    pub(crate) unprivileged: bool,
    pub(crate) writable: Vec<(PathBuf, PathBuf)>,
    pub(crate) hidden: Vec<PathBuf>,
    pub(crate) shown: Vec<(PathBuf, PathBuf)>,
    pub(crate) prepared: Vec<PathBuf>,
    pub(crate) root: Option<PathBuf>,
    pub(crate) ids: Option<IdMap>,
    pub(crate) limits: Limits,
}

impl Isolation {
    /// Everything closed.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Keeps the host's network.
    #[must_use]
    pub fn network(mut self) -> Self {
        self.network = true;
        self
    }

    /// Takes every capability from the child, for good: it cannot mount, change owners, or undo what is read-only.
    #[must_use]
    pub fn unprivileged(mut self) -> Self {
        self.unprivileged = true;
        self
    }

    /// An existing directory, absolute, that the child may write. Mounts inside it are not seen.
    #[must_use]
    pub fn writable(mut self, dir: impl Into<PathBuf>) -> Self {
        let dir = dir.into();
        self.writable.push((dir.clone(), dir));
        self
    }

    /// An existing directory, absolute, that the child may write, and sees at `to`; inside a private or hidden directory the
    /// place is made.
    #[must_use]
    pub fn writable_at(mut self, dir: impl Into<PathBuf>, to: impl Into<PathBuf>) -> Self {
        self.writable.push((dir.into(), to.into()));
        self
    }

    /// An existing directory, absolute, that the child sees empty.
    #[must_use]
    pub fn hidden(mut self, dir: impl Into<PathBuf>) -> Self {
        self.hidden.push(dir.into());
        self
    }

    /// Shows `from`, an existing file or directory, read-only at `to`; inside a hidden directory the place is made.
    #[must_use]
    pub fn shown(mut self, from: impl Into<PathBuf>, to: impl Into<PathBuf>) -> Self {
        self.shown.push((from.into(), to.into()));
        self
    }

    /// Mounts `proc`, `sys`, `dev`, `run` and `tmp` inside `dir`, a root file system in a writable directory, whose folders
    /// of these names must exist: for tools such as pacman that change the root themselves.
    #[must_use]
    pub fn prepared(mut self, dir: impl Into<PathBuf>) -> Self {
        self.prepared.push(dir.into());
        self
    }

    /// As [`prepared`](Self::prepared), and `dir` is all that the child sees, as its root. Its working directory is then `/`.
    #[must_use]
    pub fn root(mut self, dir: impl Into<PathBuf>) -> Self {
        let dir = dir.into();
        self.prepared.push(dir.clone());
        self.root = Some(dir);
        self
    }

    /// Which users exist inside, instead of those that [`IdMap::of_this_user`] finds. Only root may choose them freely.
    #[must_use]
    pub fn ids(mut self, map: IdMap) -> Self {
        self.ids = Some(map);
        self
    }

    /// Bounds what it may use.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }
}

/// Whether this host lets us isolate a child, found by doing it, and which users will exist inside.
///
/// # Errors
/// [`IsolationError`] with the setting that forbids it.
pub fn isolation_support() -> Result<IdMap, IsolationError> {
    let line = CommandLine::new("true").isolated(Isolation::new());
    match run(&line, &Cancel::new(), |_, _| ()) {
        Ok(_) => Ok(IdMap::of_this_user()),
        Err(RunError::Spawn(error)) => {
            let found = error.source.get_ref().and_then(|inner| inner.downcast_ref::<IsolationError>());
            Err(found.cloned().unwrap_or_else(|| IsolationError::other(error.source.to_string())))
        }
        Err(other) => Err(IsolationError::other(other.to_string())),
    }
}
