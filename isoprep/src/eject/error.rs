//! Why a directory was not deleted.

use std::fmt;
use std::io;
use std::path::PathBuf;

use super::Removed;
use super::marker::MARKER;
use super::unmount::Remaining;

/// An eject that did not happen, or stopped.
#[derive(Debug, thiserror::Error)]
pub enum EjectError {
    /// It must not be deleted, or cannot be proven to be ours. Nothing was touched.
    #[error("{} was not touched: {reason}", path.display())]
    Refused {
        /// What was asked for.
        path: PathBuf,
        /// Why not.
        reason: Refusal,
    },
    /// Mounts inside it could not be unmounted, or loop devices not be detached. Nothing was deleted.
    #[error("nothing in {} was deleted: something is still mounted inside, or shown as a disk{}", path.display(), list(mounts))]
    StillMounted {
        /// The directory.
        path: PathBuf,
        /// What is left, and who holds it.
        mounts: Vec<Remaining>,
    },
    /// It was cancelled. Ejecting again goes on where it stopped.
    #[error("ejecting {} was cancelled after {} entries; eject it again to go on", path.display(), removed.files)]
    Cancelled {
        /// The directory.
        path: PathBuf,
        /// What was deleted.
        removed: Removed,
    },
    /// The system refused something.
    #[error("could not {action} {}: {source}", path.display())]
    System {
        /// What was tried, as a verb: "open", "read".
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl EjectError {
    pub(super) fn system(action: &'static str, path: impl Into<PathBuf>, source: impl Into<io::Error>) -> Self {
        Self::System { action, path: path.into(), source: source.into() }
    }

    pub(super) fn refused(path: impl Into<PathBuf>, reason: Refusal) -> Self {
        Self::Refused { path: path.into(), reason }
    }
}

fn list(mounts: &[Remaining]) -> String {
    mounts.iter().map(|mount| format!("\n  {mount}")).collect()
}

/// Why a directory is not ours to delete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// Fewer than three components: `/home/me`.
    Shallow,
    /// The home directory, or a directory that holds it.
    Home(PathBuf),
    /// It ends in `..` or is `/`.
    NoName,
    /// It is a symbolic link.
    Link,
    /// It is not a directory.
    NotADirectory,
    /// It does not exist.
    Missing,
    /// Something is mounted on it.
    MountPoint,
    /// It belongs to another user; the user id.
    ForeignOwner(u32),
    /// It has no marker file.
    NoMarker,
    /// Its marker file is not one of ours: what is wrong with it.
    BadMarker(&'static str),
    /// It should become a directory of ours, but has something in it.
    NotEmpty,
    /// Somebody else is ejecting it.
    Busy,
    /// The kernel is too old to do it safely: what it lacks.
    Unsafe(&'static str),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shallow => f.write_str("it is too close to / to be a work directory; delete it by hand if you must"),
            Self::Home(home) => write!(f, "it is or holds the home directory {}", home.display()),
            Self::NoName => f.write_str("it has no name of its own; give the path of the directory itself"),
            Self::Link => f.write_str("it is a symbolic link; give the directory that it points to"),
            Self::NotADirectory => f.write_str("it is not a directory"),
            Self::Missing => f.write_str("it does not exist"),
            Self::MountPoint => f.write_str("something is mounted on it; unmount that first"),
            Self::ForeignOwner(uid) => write!(f, "it belongs to user {uid}; eject it as that user"),
            Self::NoMarker => write!(f, "it has no {MARKER} file, so it is not a work directory of ours"),
            Self::BadMarker(wrong) => write!(f, "its {MARKER} file is not ours: {wrong}"),
            Self::NotEmpty => write!(f, "it is not empty and has no {MARKER} file; choose an empty or new directory"),
            Self::Busy => f.write_str("it is being ejected already"),
            Self::Unsafe(lacks) => write!(f, "this kernel lacks {lacks}, without which deleting is not safe"),
        }
    }
}
