//! Makes directories that are ours from their first moment.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::error::{EjectError, Refusal};
use super::guard::{name_is_allowed, open_own, place};
use super::marker::{MARKER_DRAFT, Marker, OpenMarker};
use crate::recipe::safe_name;

/// A directory with our marker. Dropping it deletes nothing: [`eject`](super::eject()) does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkDir {
    path: PathBuf,
    marker: Marker,
}

impl WorkDir {
    /// Makes a new directory for the session `name` in `parent`, which is made too if need be. It is for this user only
    /// (0700), holds nothing but the marker, and is called `<name>-<8 digits of its token>`: sessions of the same name
    /// do not meet.
    ///
    /// # Errors
    /// [`EjectError::Refused`] where it could never be ejected (too shallow), [`EjectError::System`] when it cannot be
    /// made.
    pub fn create(parent: &Path, name: &str) -> Result<Self, EjectError> {
        let marker = Marker::new(name).map_err(|error| EjectError::system("read", "/dev/urandom", error))?;
        let short = marker.token.get(..8).unwrap_or(&marker.token);
        let dir = parent.join(format!("{}-{short}", safe_name(name)));
        make_parents(&dir)?;
        let (path, ..) = place(&dir)?;
        private().create(&path).map_err(|error| EjectError::system("make", &path, error))?;
        adopt(&path, marker).inspect_err(|_| {
            // It is empty, and without its marker nothing could ever remove it.
            let _ = fs::remove_dir(&path);
        })
    }

    /// Where it is: absolute, without links.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its marker.
    #[must_use]
    pub fn marker(&self) -> &Marker {
        &self.marker
    }
}

/// Makes `dir` a directory of ours that is called `what` ("cache"): makes it (0700) if it does not exist, marks it if it
/// is empty, leaves it as it is if it is marked already.
///
/// # Errors
/// [`EjectError::Refused`] when it has something in it but no marker, is a link, a mount point or another user's, or is
/// where nothing of ours may be; [`EjectError::System`] when it cannot be made or looked at.
pub fn ensure_marked(dir: &Path, what: &str) -> Result<WorkDir, EjectError> {
    make_parents(dir)?;
    let (path, parent, name) = place(dir)?;
    match private().create(&path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(EjectError::system("make", &path, error)),
    }
    let (root, _) = open_own(&path, &parent, &name)?;
    match OpenMarker::open(&root, &path) {
        Ok(open) => return Ok(WorkDir { path, marker: open.marker }),
        Err(EjectError::Refused { reason: Refusal::NoMarker, .. }) => {}
        Err(other) => return Err(other),
    }
    let entries = fs::read_dir(&path).map_err(|error| EjectError::system("read", &path, error))?;
    let foreign = |entry: io::Result<fs::DirEntry>| entry.is_ok_and(|entry| !is_draft(&entry));
    if entries.into_iter().any(foreign) {
        // What is in it may be the marker that somebody else wrote meanwhile, and what they put beside it.
        return match OpenMarker::open(&root, &path) {
            Ok(open) => Ok(WorkDir { path, marker: open.marker }),
            Err(EjectError::Refused { reason: Refusal::NoMarker, .. }) => {
                Err(EjectError::refused(path, Refusal::NotEmpty))
            }
            Err(other) => Err(other),
        };
    }
    let marker = Marker::new(what).map_err(|error| EjectError::system("read", "/dev/urandom", error))?;
    adopt(&path, marker)
}

/// Removes a directory that was killed between being made and being marked: nothing is in it but a marker's draft. Says
/// whether it is gone. Anything else in it keeps it.
#[must_use]
pub fn remove_unmarked(dir: &Path) -> bool {
    let is_own_dir = fs::symlink_metadata(dir).is_ok_and(|meta| meta.is_dir());
    let Ok(entries) = fs::read_dir(dir) else { return false };
    let entries: Vec<_> = entries.flatten().collect();
    if !is_own_dir || !entries.iter().all(is_draft) {
        return false;
    }
    entries.iter().all(|entry| fs::remove_file(entry.path()).is_ok()) && fs::remove_dir(dir).is_ok()
}

fn is_draft(entry: &fs::DirEntry) -> bool {
    entry.file_name().to_string_lossy().starts_with(MARKER_DRAFT) && entry.file_type().is_ok_and(|kind| kind.is_file())
}

fn adopt(path: &Path, marker: Marker) -> Result<WorkDir, EjectError> {
    let (path, parent, name) = place(path)?;
    let (root, _) = open_own(&path, &parent, &name)?;
    match marker.write(&root) {
        Ok(()) => Ok(WorkDir { path, marker }),
        // Somebody else marked it in the same moment: theirs is as good.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            OpenMarker::open(&root, &path).map(|open| WorkDir { path, marker: open.marker })
        }
        Err(error) => Err(EjectError::system("mark", &path, error)),
    }
}

fn make_parents(dir: &Path) -> Result<(), EjectError> {
    name_is_allowed(dir)?;
    let Some(parent) = dir.parent().filter(|parent| !parent.as_os_str().is_empty()) else { return Ok(()) };
    private().recursive(true).create(parent).map_err(|error| EjectError::system("make", parent, error))
}

fn private() -> DirBuilder {
    let mut builder = DirBuilder::new();
    builder.mode(0o700);
    builder
}
