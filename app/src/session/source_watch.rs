//! Wakes the session when something in the repository, or the cartridge's own file, may have changed. It says neither what nor whether: that is found out by
//! reading it, so that what git ignores, and what an editor writes and takes back, counts for nothing.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use rustix::io::Errno;
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// Watches the folders of one repository.
pub(super) struct SourceWatch {
    root: PathBuf,
    /// The folder of the cartridge's file, which may be another one.
    beside: PathBuf,
    watcher: RecommendedWatcher,
    /// Whole paths.
    watched: BTreeSet<PathBuf>,
    /// One message is enough to look again.
    stirred: Receiver<()>,
}

impl SourceWatch {
    /// Watches `root` itself, and the folder `beside` that the cartridge's file lies in; what lies below the root is added by
    /// [`follow`](Self::follow).
    ///
    /// # Errors
    /// What the system says, in words, with what helps.
    pub(super) fn new(root: PathBuf, beside: PathBuf) -> Result<Self, String> {
        let (sender, stirred) = channel(1);
        let watcher = notify::recommended_watcher(move |event| stir(&event, &sender)).map_err(|e| words(&e))?;
        let mut watch = Self { root, beside, watcher, watched: BTreeSet::new(), stirred };
        watch.follow([PathBuf::new()].into())?;
        Ok(watch)
    }

    /// Whether it watches that repository, with the cartridge's file in that folder.
    pub(super) fn is_of(&self, root: &Path, beside: &Path) -> bool {
        self.root == root && self.beside == beside
    }

    /// Watches exactly `folders`, relative to the repository: those of it that are injected, and no others. A folder that
    /// was removed meanwhile is passed over.
    ///
    /// # Errors
    /// What the system says of the first folder that could not be watched, in words; the others are.
    pub(super) fn follow(&mut self, folders: BTreeSet<PathBuf>) -> Result<(), String> {
        let folders = folders.iter().map(|it| self.root.join(it)).chain([self.beside.clone()]);
        let folders: BTreeSet<PathBuf> = folders.collect();
        for gone in self.watched.difference(&folders) {
            // It may be gone from the disk as well: then nothing watches it any more.
            let _ = self.watcher.unwatch(gone);
        }
        let mut failed = None;
        let mut watched: BTreeSet<PathBuf> = self.watched.intersection(&folders).cloned().collect();
        for new in folders {
            if watched.contains(&new) {
                continue;
            }
            match self.watcher.watch(&new, RecursiveMode::NonRecursive) {
                Ok(()) => drop(watched.insert(new)),
                Err(_) if !new.is_dir() => {}
                Err(e) => failed = failed.or(Some(words(&e))),
            }
        }
        self.watched = watched;
        failed.map_or(Ok(()), Err)
    }

    /// Waits until something may have changed.
    pub(super) async fn stirred(&mut self) {
        if self.stirred.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
    }
}

/// Hands an event on, unless nobody has looked since the last one. Reading a file is no change.
fn stir(event: &notify::Result<notify::Event>, sender: &Sender<()>) {
    if !matches!(event, Ok(notify::Event { kind: EventKind::Access(_), .. })) {
        // Full means that somebody is about to look anyway.
        let _ = sender.try_send(());
    }
}

/// What inotify(7) says of its limits is hard to guess from its error code.
fn words(error: &notify::Error) -> String {
    let full = match &error.kind {
        notify::ErrorKind::MaxFilesWatch => true,
        notify::ErrorKind::Io(e) => matches!(Errno::from_io_error(e), Some(Errno::NOSPC | Errno::MFILE)),
        _ => false,
    };
    let advice =
        if full { ": raise fs.inotify.max_user_watches and fs.inotify.max_user_instances (sysctl)" } else { "" };
    format!("{error}{advice}")
}
