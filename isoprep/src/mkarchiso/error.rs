//! Everything that can go wrong with mkarchiso, in words that say what to do next.

use std::io;
use std::path::{Path, PathBuf};

use cartridge_supervise::{RunError, SpawnError};

use super::product::Shortfall;
use super::ways::Way;
use crate::eject::EjectError;
use crate::pacman_log::LogFinding;

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MkarchisoError {
    /// Somebody asked to stop; nothing is left running or mounted.
    #[error("mkarchiso was cancelled")]
    Cancelled,
    /// It could not be started.
    #[error("mkarchiso could not be started {way}: {source}")]
    Start {
        /// The way that was tried.
        way: Way,
        /// What the system said.
        source: SpawnError,
    },
    /// The log has a failure, whatever the exit code says.
    #[error("{finding}{}", after(*exit))]
    Found {
        /// The first real error.
        finding: Box<LogFinding>,
        /// The exit code; `None` for a signal.
        exit: Option<i32>,
    },
    /// It failed, and no line of the log says why.
    #[error("mkarchiso failed ({how}) without saying why. The log ends with:\n  {}", tail.join("\n  "))]
    Unexplained {
        /// "exit code 1", "killed by signal 9".
        how: String,
        /// The last lines of the log.
        tail: Vec<String>,
    },
    /// polkit did not let the helper run.
    #[error(
        "the helper was not allowed to run: {said}\n  Give an administrator's password when you are asked, or lend ids to this user so that no password is needed: sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 $USER"
    )]
    NotAuthorized {
        /// What pkexec said.
        said: String,
    },
    /// It says that it succeeded, but there is not exactly one image.
    #[error(
        "mkarchiso says that it succeeded, but left {} images in {}\n  buildmodes in profiledef.sh must have \"iso\".",
        found.len(),
        dir.display()
    )]
    NoImage {
        /// Where it should be.
        dir: PathBuf,
        /// The images that are there.
        found: Vec<PathBuf>,
    },
    /// The image is not whole.
    #[error("mkarchiso says that it succeeded, but {} is not whole: {why}", iso.display())]
    NotWhole {
        /// The image.
        iso: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// What a boot entry names is not on the image.
    #[error(
        "mkarchiso says that it succeeded, but the image will not boot:{}\n  List the package of that kernel, or correct \
         the boot entry.",
        listed(.0)
    )]
    Unbootable(
        /// What is missing.
        Vec<Shortfall>,
    ),
    /// The list of the image's files could not be read.
    #[error("the image's files could not be listed: {0}")]
    List(
        /// What xorriso said.
        RunError,
    ),
    /// podman cannot be told of a path.
    #[error(
        "podman cannot be given {}: the path has a comma, a quote or a line's end\n  Choose another directory, or another \
         way to run mkarchiso.",
        .0.display()
    )]
    Path(
        /// The path.
        PathBuf,
    ),
    /// The scratch directory could not be made.
    #[error(transparent)]
    Scratch(#[from] EjectError),
    /// A file operation failed.
    #[error("could not {doing} {}: {source}", path.display())]
    Io {
        /// A verb: "make", "move".
        doing: &'static str,
        /// What it was about.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// What the build left could not be removed.
    #[error("the build's scratch directory {} could not be removed: {why}", dir.display())]
    Leftover {
        /// The directory.
        dir: PathBuf,
        /// What the system said.
        why: String,
    },
}

fn listed(shortfalls: &[Shortfall]) -> String {
    shortfalls.iter().map(|it| format!("\n  {it}")).collect()
}

fn after(exit: Option<i32>) -> String {
    match exit {
        Some(0) => "\n  mkarchiso itself says that it succeeded.".to_owned(),
        _ => String::new(),
    }
}

impl MkarchisoError {
    pub(super) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { doing, path: path.to_path_buf(), source }
    }
}
