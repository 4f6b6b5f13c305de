//! What a helper that was killed left: a directory of root's in a scratch directory of the user's, which nobody but root can
//! remove. The next request to the helper names it.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;

use super::command::HELPER;

/// The directory of root's in a scratch directory.
const ROOT_S: &str = "mkarchiso-root";
/// More are not asked for at once: the request has a bound.
const MOST: usize = 32;

/// Whether a helper left something in a scratch directory, or is still at work in it.
pub(super) fn has_left(scratch: &Path) -> bool {
    fs::symlink_metadata(scratch.join(ROOT_S)).is_ok_and(|meta| meta.is_dir())
}

/// The scratch directories of dead builds in which a helper left something: those in `work`, and those in the work
/// directories beside it, which belong to other sessions.
pub(super) fn by_dead_ones(work: &Path) -> Vec<PathBuf> {
    let inside = |dir: &Path| fs::read_dir(dir).into_iter().flatten().flatten().map(|it| it.path()).collect::<Vec<_>>();
    let sessions = work.parent().map(inside).unwrap_or_default();
    let mut found: Vec<PathBuf> = (sessions.iter().flat_map(|session| inside(session)))
        .filter(|scratch| has_left(scratch) && is_root_s(scratch) && is_dead(scratch))
        .collect();
    found.sort();
    found.truncate(MOST);
    found
}

fn is_root_s(scratch: &Path) -> bool {
    fs::symlink_metadata(scratch.join(ROOT_S)).is_ok_and(|meta| meta.uid() == 0)
}

/// Whoever builds holds the lock; the kernel drops it with the process.
fn is_dead(scratch: &Path) -> bool {
    let Ok(lock) = File::open(scratch.join("lock")) else { return true };
    rustix::fs::flock(&lock, FlockOperation::NonBlockingLockShared).is_ok()
}

/// How the user removes it.
pub(super) fn advice(scratch: &Path) -> String {
    format!(
        "A helper that runs as root is still removing it, or was killed. The next build by the helper removes what is left; \
         so does: echo '{{\"clear\":[\"{}\"]}}' | pkexec {HELPER}",
        scratch.display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_dead_ones_left_is_found_and_the_living_are_not_disturbed() {
        let top = tempfile::tempdir().unwrap();
        let made = |name: &str| {
            let dir = top.path().join(name);
            fs::create_dir_all(dir.join(ROOT_S)).unwrap();
            fs::write(dir.join("lock"), "").unwrap();
            dir
        };
        let (dead, other, living) = (made("1/mkarchiso-a"), made("2/mkarchiso-b"), made("1/mkarchiso-c"));
        fs::create_dir_all(top.path().join("1/mkarchiso-d/work")).unwrap();
        let lock = File::open(living.join("lock")).unwrap();
        rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive).unwrap();
        let found = by_dead_ones(&top.path().join("1"));
        // As an ordinary user the test cannot make what is root's.
        let wanted = if rustix::process::geteuid().is_root() { vec![dead, other] } else { Vec::new() };
        assert_eq!(found, wanted);
        assert!(has_left(&living) && advice(&living).contains("pkexec"));
    }
}
