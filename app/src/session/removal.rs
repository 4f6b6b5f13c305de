//! Removing a directory of ours. A build makes files of users that only exist in its user namespace; outside of it nobody
//! but root could remove them, so they are taken back first.

use std::path::Path;

use isoprep::{Cancel, EjectReport};

/// Removes `dir`, which has our marker, and everything in it. `progress` is told how many entries are gone.
///
/// # Errors
/// What could not be done, in a sentence; for a part that was left see [`EjectReport::untouched`].
pub(super) fn remove(dir: &Path, cancel: &Cancel, progress: &dyn Fn(u64)) -> Result<EjectReport, String> {
    // What has no marker is not ours to touch; the eject says so.
    let taken_back = if isoprep::is_marked(dir) { isoprep::reclaim(dir, cancel) } else { Ok(()) };
    let because = |text: String| match &taken_back {
        Ok(()) => text,
        Err(error) => format!("{text}\n  files of lent users could not be taken back: {error}"),
    };
    let mut report = isoprep::eject(dir, cancel, progress).map_err(|error| because(error.to_string()))?;
    for left in &mut report.untouched {
        left.reason = because(std::mem::take(&mut left.reason));
    }
    Ok(report)
}
