//! How a root is done away with. A root has hundreds of thousands of files, and a cancel must not wait for each of them.

use std::fs;
use std::path::Path;

use cartridge_supervise::{CommandLine, Isolation, RunError, run};

use crate::Cancel;

/// Removes `root`, which lies in `work`; after a cancel it is only put out of the way, as the work directory is ejected then.
pub(super) fn put(work: &Path, root: &Path, cancel: &Cancel) -> Result<(), RunError> {
    if cancel.is_cancelled() && set_aside(work, root) {
        return Ok(());
    }
    remove(work, root)
}

/// Gives it a name that no stage looks for. A folder of ours stays where it is, so its owners do not matter.
fn set_aside(work: &Path, root: &Path) -> bool {
    let names = (0..64).map(|number| work.join(format!("cancelled-{number}")));
    names.into_iter().find(|it| it.symlink_metadata().is_err()).is_some_and(|free| fs::rename(root, free).is_ok())
}

/// Removes it as the root that made it: its files may belong to users that only exist inside.
fn remove(work: &Path, root: &Path) -> Result<(), RunError> {
    let line = CommandLine::new("rm").args(["-rf", "--one-file-system", "--"]).arg(root);
    let isolation = Isolation::new().writable(work);
    // Asked for on the way out of a failed build too.
    run(&line.isolated(isolation), &Cancel::new(), |_, _| ()).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_cancel_no_file_is_waited_for() {
        // Not below /tmp, which a namespace sees empty.
        let work = tempfile::tempdir_in(std::env::current_exe().unwrap().parent().unwrap()).unwrap();
        let root = work.path().join("root");
        let made = || fs::create_dir_all(root.join("usr/lib")).and_then(|()| fs::write(root.join("usr/lib/file"), "x"));
        let names = || fs::read_dir(work.path()).unwrap().map(|it| it.unwrap().file_name()).collect::<Vec<_>>();
        let cancel = Cancel::new();
        made().unwrap();
        put(work.path(), &root, &cancel).unwrap();
        assert!(names().is_empty(), "{:?}", names());
        cancel.cancel();
        for number in 0..2 {
            made().unwrap();
            put(work.path(), &root, &cancel).unwrap();
            assert!(!root.exists() && work.path().join(format!("cancelled-{number}/usr/lib/file")).exists());
        }
    }
}
