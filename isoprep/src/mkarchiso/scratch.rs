//! The directory that one build takes place in: made, furnished, and removed whatever is in it.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use cartridge_supervise::{Cancel, CommandLine, Isolation, run as tool};
use rustix::fs::FlockOperation;

use super::command::{HelperRequest, SHIMS};
use super::error::MkarchisoError;
use super::left;
use super::run::MkarchisoJob;
use super::ways::Way;
use crate::eject::{WorkDir, eject};

/// A directory for one build.
pub(super) struct Scratch {
    pub(super) dir: PathBuf,
    /// Held for as long as the build is wanted; a container ends itself when it is free.
    pub(super) lock: File,
}

impl Scratch {
    pub(super) fn create(job: &MkarchisoJob) -> Result<Self, MkarchisoError> {
        let dir = WorkDir::create(&job.work, "mkarchiso")?.path().to_path_buf();
        let filled = || -> io::Result<File> {
            for name in ["out", "bin"] {
                DirBuilder::new().mode(0o755).create(dir.join(name))?;
            }
            for (name, text) in SHIMS {
                let path = dir.join("bin").join(name);
                fs::write(&path, text)?;
                fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
            }
            let lock = File::create_new(dir.join("lock"))?;
            rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
            Ok(lock)
        };
        match filled() {
            Ok(lock) => Ok(Self { dir, lock }),
            Err(error) => {
                // Why it could not be filled is what matters.
                let _ = eject(&dir, &Cancel::new(), &|_| ());
                Err(MkarchisoError::io("fill", &dir)(error))
            }
        }
    }
}

/// Removes the scratch directory of a build, also of one that was killed. What was made in it may belong to ids that
/// only a namespace may touch, or to root, whose helper is then asked, and with it the user; the rest is an ordinary work
/// directory.
///
/// # Errors
/// [`MkarchisoError::Leftover`] with the reason.
pub fn remove_scratch(way: Way, dir: &Path) -> Result<(), MkarchisoError> {
    let mut why = String::new();
    if way == Way::Helper && left::has_left(dir) {
        let request = HelperRequest { clear: vec![dir.to_path_buf()], build: None };
        if let Err(error) = tool(&request.command(), &Cancel::new(), |_, _| ()) {
            why = format!("{error}\n  ");
        }
    }
    remove(way, dir, why)
}

/// As [`remove_scratch`], and nobody is asked. `why` is what is known already of what cannot be removed.
pub(super) fn remove(way: Way, dir: &Path, mut why: String) -> Result<(), MkarchisoError> {
    let inner = dir.join("work");
    if inner.exists() {
        let words = [OsString::from("-rf"), "--one-file-system".into(), "--".into(), inner.into_os_string()];
        let isolated = CommandLine::new("rm").args(words.clone()).isolated(Isolation::new().writable(dir));
        let mut removed = tool(&isolated, &Cancel::new(), |_, _| ());
        if removed.is_err() && way == Way::Podman {
            let line = CommandLine::new("podman").args(["unshare", "rm"]).args(words);
            removed = tool(&line, &Cancel::new(), |_, _| ());
        }
        if let Err(error) = removed {
            why = format!("{why}{error}\n  ");
        }
    }
    if left::has_left(dir) {
        why = format!("{why}{}\n  ", left::advice(dir));
    }
    let leftover = |said: String| MkarchisoError::Leftover { dir: dir.to_path_buf(), why: format!("{why}{said}") };
    let report = eject(dir, &Cancel::new(), &|_| ()).map_err(|error| leftover(error.to_string()))?;
    match report.untouched.first() {
        Some(left) => Err(leftover(format!("{}: {}", left.path.display(), left.reason))),
        None => Ok(()),
    }
}
