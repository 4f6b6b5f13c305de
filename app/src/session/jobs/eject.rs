//! The removal of an eject: this session's directories, caches and images where they go too, what dead sessions left.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use isoprep::{Cancel, Holder, Removed};

use crate::paths::Paths;
use crate::session::record;
use crate::session::removal::{Removal, Terms};

/// What an eject did.
pub(in crate::session) struct Ejected {
    pub(in crate::session) removal: Removal,
    pub(in crate::session) took: Duration,
}

impl Ejected {
    /// An eject that did not come to its end.
    pub(in crate::session) fn failed(problem: String) -> Self {
        Self { removal: Removal { problems: vec![problem], ..Removal::default() }, took: Duration::ZERO }
    }
}

/// What an eject removes, and on what terms.
pub(in crate::session) struct What {
    /// This session's work directories.
    pub(in crate::session) dirs: Vec<PathBuf>,
    /// Its guest's sockets.
    pub(in crate::session) runtime: Option<PathBuf>,
    /// Whether caches and images go too.
    pub(in crate::session) everything: bool,
    pub(in crate::session) paths: Paths,
    /// Processes that the user has agreed to end.
    pub(in crate::session) agreed: Vec<Holder>,
    /// Stops the removal, and nothing else of the eject.
    pub(in crate::session) cancel: Cancel,
}

/// How far a removal is: written by it, read by whoever tells.
#[derive(Debug, Default)]
pub(in crate::session) struct Tally(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    path: PathBuf,
    /// What is gone of those directories that are done.
    before: Removed,
    now: Removed,
}

impl Tally {
    /// What is being removed, and how much of everything is gone.
    pub(in crate::session) fn read(&self) -> (PathBuf, Removed) {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (counts.path.clone(), sum(counts.before, counts.now))
    }

    fn note(&self, path: &Path, removed: Removed) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.path != path {
            counts.before = sum(counts.before, counts.now);
            path.clone_into(&mut counts.path);
        }
        counts.now = removed;
    }
}

fn sum(one: Removed, other: Removed) -> Removed {
    Removed { files: one.files + other.files, bytes: one.bytes.saturating_add(other.bytes) }
}

/// Removes all of it. What dead sessions were cleaned of is returned in sentences. `in_use` says why caches and images stay.
pub(in crate::session) fn remove(what: What, tally: &Tally, mut in_use: Vec<&'static str>) -> (Removal, Vec<String>) {
    let What { mut dirs, runtime, everything, paths, agreed, cancel } = what;
    let progress = |path: &Path, removed| tally.note(path, removed);
    let terms = Terms { agreed: &agreed, cancel: &cancel, progress: &progress };
    if everything && in_use.is_empty() && isoprep::cache_in_use(&paths.stages()) {
        in_use.push("another session is building");
    }
    if everything && in_use.is_empty() {
        dirs.extend([paths.stages(), paths.images(), paths.direct()]);
    }
    let mut removal = Removal::default();
    for dir in dirs.iter().filter(|dir| dir.symlink_metadata().is_ok()) {
        tally.note(dir, Removed::default());
        removal.remove(dir, &terms);
    }
    if let Some(runtime) = runtime.filter(|dir| dir.symlink_metadata().is_ok()) {
        match vmtools::RuntimeDir::open(&runtime).and_then(vmtools::RuntimeDir::remove) {
            Ok(()) => removal.report.removed += 1,
            Err(error) => removal.problems.push(error.to_string()),
        }
    }
    let kept = |why| format!("{why}: the caches and images that it uses were not touched");
    removal.problems.extend(in_use.into_iter().map(kept));
    let recovered = record::recover(&paths, &terms);
    removal.add(recovered.removal);
    (removal, recovered.said)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tally_adds_up_what_is_removed_of_one_directory_after_the_other() {
        let tally = Tally::default();
        let removed = |files, bytes| Removed { files, bytes };
        tally.note(Path::new("/a"), removed(0, 0));
        tally.note(Path::new("/a"), removed(5, 50));
        tally.note(Path::new("/a"), removed(7, 70));
        tally.note(Path::new("/b"), removed(0, 0));
        assert_eq!(tally.read(), (PathBuf::from("/b"), removed(7, 70)));
        tally.note(Path::new("/b"), removed(1, 2));
        assert_eq!(tally.read(), (PathBuf::from("/b"), removed(8, 72)));
    }
}
