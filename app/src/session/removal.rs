//! Removing directories of ours. A build makes files of users that only exist in its user namespace; outside of it nobody
//! but root could remove them, so what an eject had to leave is taken back, and ejected once more.

use std::path::{Path, PathBuf};

use isoprep::{Advance, Cancel, EjectError, EjectReport, Holder, Remaining, Removed};

/// On what terms directories are removed.
pub(super) struct Terms<'a> {
    /// Processes that hold what is removed, and that the user has agreed to end.
    pub(super) agreed: &'a [Holder],
    /// Stops it; what is left can be removed another time.
    pub(super) cancel: &'a Cancel,
    /// Is told how far the removal of a directory is.
    pub(super) progress: &'a dyn Fn(&Path, Advance),
}

/// What became of directories that were to be removed.
#[derive(Debug, Default)]
pub(super) struct Removal {
    pub(super) report: EjectReport,
    /// What could not be done, in sentences.
    pub(super) problems: Vec<String>,
    /// What others hold, and who.
    pub(super) held: Vec<Remaining>,
    /// What is left because it was stopped.
    pub(super) left: Vec<PathBuf>,
}

impl Removal {
    /// Removes one more directory, which has our marker, and everything in it. Whether all of it is gone.
    pub(super) fn remove(&mut self, dir: &Path, terms: &Terms<'_>) -> bool {
        if terms.cancel.is_cancelled() {
            self.left.push(dir.to_owned());
            return false;
        }
        let mut done = eject(dir, terms, Removed::default());
        let mut taken_back = Ok(());
        // Only where something was left: to look for what is another's is a walk of its own, and what is mounted inside is gone now.
        if let Ok(report) = &done
            && !report.untouched.is_empty()
        {
            let before = Removed { files: report.removed, bytes: report.bytes };
            match isoprep::reclaim(dir, terms.cancel) {
                Ok(true) => done = eject(dir, terms, before),
                Ok(false) => {}
                Err(error) => taken_back = Err(error),
            }
        }
        let because = |text: String| match &taken_back {
            Ok(()) => text,
            Err(error) => format!("{text}\n  files of lent users could not be taken back: {error}"),
        };
        match done {
            Ok(report) => {
                let whole = report.untouched.is_empty();
                self.report.removed += report.removed;
                self.report.bytes = self.report.bytes.saturating_add(report.bytes);
                self.report.untouched.extend(report.untouched.into_iter().map(|mut left| {
                    left.reason = because(left.reason);
                    left
                }));
                whole
            }
            Err(EjectError::Cancelled { path, removed }) => {
                self.report.removed += removed.files;
                self.report.bytes = self.report.bytes.saturating_add(removed.bytes);
                self.left.push(path);
                false
            }
            Err(error) => {
                self.problems.push(because(error.to_string()));
                if let EjectError::StillMounted { mounts, .. } = error {
                    self.held.extend(mounts);
                }
                false
            }
        }
    }

    /// Adds what became of others.
    pub(super) fn add(&mut self, other: Self) {
        self.report.removed += other.report.removed;
        self.report.bytes = self.report.bytes.saturating_add(other.report.bytes);
        self.report.untouched.extend(other.report.untouched);
        self.problems.extend(other.problems);
        self.held.extend(other.held);
        self.left.extend(other.left);
    }

    /// Whether everything is gone that was to go.
    pub(super) fn is_whole(&self) -> bool {
        self.problems.is_empty() && self.report.untouched.is_empty() && self.left.is_empty()
    }
}

/// Ejects a directory of which so much is gone already.
fn eject(dir: &Path, terms: &Terms<'_>, before: Removed) -> Result<EjectReport, EjectError> {
    let sum = |it: Removed| Removed { files: before.files + it.files, bytes: before.bytes.saturating_add(it.bytes) };
    let progress = |advance: Advance| {
        let total = advance.total.map(|total| total + before.files);
        (terms.progress)(dir, Advance { removed: sum(advance.removed), total });
    };
    match isoprep::eject_ending(dir, terms.agreed, terms.cancel, &progress) {
        Ok(mut report) => {
            let Removed { files, bytes } = sum(Removed { files: report.removed, bytes: report.bytes });
            (report.removed, report.bytes) = (files, bytes);
            Ok(report)
        }
        Err(EjectError::Cancelled { path, removed }) => Err(EjectError::Cancelled { path, removed: sum(removed) }),
        Err(error) => Err(error),
    }
}
