//! The removal of an eject: this session's directories, caches and images where they go too, what dead sessions left.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use isoprep::{Advance, Cancel, Holder, Removed};

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
    /// How many entries are, or were, in the one that is being removed.
    total: Option<u64>,
    /// Those that follow, each with how many entries are in it, where that is known.
    to_come: BTreeMap<PathBuf, Option<u64>>,
}

impl Tally {
    /// What is being removed, how much of everything is gone, and how many entries everything is, where that is known.
    pub(in crate::session) fn read(&self) -> (PathBuf, Removed, Option<u64>) {
        let counts = self.counts();
        let known = counts.to_come.values().copied().sum::<Option<u64>>().zip(counts.total);
        let total = known.map(|(to_come, now)| counts.before.files + now.max(counts.now.files) + to_come);
        (counts.path.clone(), sum(counts.before, counts.now), total)
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, path: &Path, advance: Advance) {
        let mut counts = self.counts();
        if counts.path != path {
            counts.before = sum(counts.before, counts.now);
            counts.total = counts.to_come.remove(path).flatten();
            path.clone_into(&mut counts.path);
        }
        counts.now = advance.removed;
        counts.total = advance.total.or(counts.total);
    }

    /// What follows is known: it is counted on a thread, while what comes first is removed.
    fn expect(tally: &Arc<Self>, dirs: Vec<PathBuf>, cancel: &Cancel) {
        let dirs: Vec<PathBuf> = dirs.into_iter().filter(|dir| isoprep::is_marked(dir)).collect();
        tally.counts().to_come = dirs.iter().map(|dir| (dir.clone(), None)).collect();
        if dirs.is_empty() {
            return;
        }
        let (tally, cancel) = (Arc::clone(tally), cancel.clone());
        // Without it the total is not told.
        let _ = std::thread::Builder::new().name("count".into()).spawn(move || {
            for dir in dirs {
                let count = isoprep::count_entries(&dir, &cancel);
                if let Some(known) = tally.counts().to_come.get_mut(&dir) {
                    *known = count;
                }
            }
        });
    }
}

fn sum(one: Removed, other: Removed) -> Removed {
    Removed { files: one.files + other.files, bytes: one.bytes.saturating_add(other.bytes) }
}

/// Removes all of it. What dead sessions were cleaned of is returned in sentences. `in_use` says why caches and images stay.
pub(in crate::session) fn remove(
    what: What,
    tally: &Arc<Tally>,
    mut in_use: Vec<&'static str>,
) -> (Removal, Vec<String>) {
    let What { mut dirs, runtime, everything, paths, agreed, cancel } = what;
    let progress = |path: &Path, advance| tally.note(path, advance);
    let terms = Terms { agreed: &agreed, cancel: &cancel, progress: &progress };
    if everything && in_use.is_empty() && isoprep::cache_in_use(&paths.stages()) {
        in_use.push("another session is building");
    }
    if everything && in_use.is_empty() {
        dirs.extend([paths.stages(), paths.images(), paths.direct()]);
    }
    dirs.retain(|dir| dir.symlink_metadata().is_ok());
    let counting = Cancel::new();
    let follow = dirs.iter().cloned().chain(record::left_behind(&paths)).skip(1);
    Tally::expect(tally, follow.collect(), &counting);
    let mut removal = Removal::default();
    for dir in &dirs {
        tally.note(dir, Advance::default());
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
    counting.cancel();
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
        let note = |path: &str, files, bytes, total| {
            tally.note(Path::new(path), Advance { removed: removed(files, bytes), total });
            tally.read()
        };
        tally.counts().to_come = ["/b", "/c"].map(|path| (PathBuf::from(path), None)).into();
        note("/a", 0, 0, None);
        // What follows is not known yet.
        assert_eq!(note("/a", 5, 50, Some(9)), (PathBuf::from("/a"), removed(5, 50), None));
        tally.counts().to_come.insert("/b".into(), Some(3));
        assert_eq!(note("/a", 7, 70, Some(9)).2, None);
        tally.counts().to_come.insert("/c".into(), Some(100));
        assert_eq!(note("/a", 7, 70, Some(9)).2, Some(112));
        // Two of the first were left. It is known of the second before it is counted anew.
        assert_eq!(note("/b", 0, 0, None), (PathBuf::from("/b"), removed(7, 70), Some(110)));
        assert_eq!(note("/b", 1, 2, Some(4)), (PathBuf::from("/b"), removed(8, 72), Some(111)));
        assert_eq!(note("/c", 0, 0, None).2, Some(108));
        assert_eq!(note("/d", 1, 0, None).2, None);
    }
}
