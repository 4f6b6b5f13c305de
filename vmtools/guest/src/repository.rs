//! The repository as it arrived: hashed in a thread while the modules load.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use cartridge_treehash::{TreeSummary, hash_tree};

/// After how long the wait is explained.
const SOON: Duration = Duration::from_millis(1500);

/// What was found at the repository's place, or why nothing was.
pub(crate) type Found = Result<TreeSummary, String>;

/// A hash that is being computed.
pub(crate) struct Hashing {
    answer: Receiver<Found>,
    path: PathBuf,
}

/// Starts hashing everything below `path`.
pub(crate) fn start(path: &Path) -> Hashing {
    let (sender, answer) = sync_channel(1);
    let path = path.to_path_buf();
    let root = path.clone();
    let work = move || {
        let _ = sender.send(hash_tree(&root).map_err(|e| e.to_string()));
    };
    // Without a thread the sender is dropped, and the wait does the work itself.
    let _ = std::thread::Builder::new().name("hash".into()).spawn(work);
    Hashing { answer, path }
}

/// Prints what a folder holds: the number of its files, and the hash of its tree.
pub(crate) fn print(folder: &Path) -> ExitCode {
    let (text, code) = match hash_tree(folder) {
        Ok(summary) => (format!("{} {}\n", summary.files, summary.hash), ExitCode::SUCCESS),
        Err(e) => (format!("{e}\n"), ExitCode::FAILURE),
    };
    // Nobody is there to be told that nobody listens.
    let _ = std::io::stdout().write_all(text.as_bytes());
    code
}

impl Hashing {
    /// Waits for the answer; calls `explain` once if it takes long.
    pub(crate) fn wait(self, explain: impl FnOnce()) -> Found {
        if let Ok(found) = self.answer.recv_timeout(SOON) {
            return found;
        }
        explain();
        self.answer.recv().unwrap_or_else(|_| hash_tree(&self.path).map_err(|e| e.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_what_is_there_and_says_what_is_not() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a"), "x").unwrap();
        assert_eq!(start(dir.path()).wait(|| ()).unwrap().files, 1);
        assert!(start(&dir.path().join("none")).wait(|| ()).unwrap_err().contains("none"));
    }
}
