//! What can go wrong with a template. None of it loses anything: the guest is booted as if there were none.

use std::io;
use std::path::{Path, PathBuf};

use cartridge_supervise::Cancel;

use crate::guest::GuestError;
use crate::machine::RuntimeError;
use crate::qmp::QmpError;
use crate::slot::SlotError;

/// A template was not made, or no guest was resumed from it. Nothing of it is left.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// The system refused.
    #[error("could not {action} {}: {source}", path.display())]
    Io {
        /// "write", "rename".
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// There is too little room for it.
    #[error("a template needs up to {} MiB in {}, and {} MiB are free; `cartridge cache --clean` makes room", needed >> 20, store.display(), free >> 20)]
    NoRoom {
        /// Where it would be kept.
        store: PathBuf,
        /// Bytes.
        needed: u64,
        /// Bytes.
        free: u64,
    },
    /// The guest did not come as far as that.
    #[error("the guest that was to be a template did not get ready: {how}")]
    NotReady {
        /// What it did instead.
        how: String,
    },
    /// The guest was resumed and did not go on.
    #[error("the guest was resumed from its template, and then did not go on: {how}")]
    NotAwake {
        /// What it did instead.
        how: String,
    },
    /// QEMU could not be started, or did not take what was kept.
    #[error(transparent)]
    Guest(#[from] GuestError),
    /// The guest's directory could not be made.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// What was to be kept was not written.
    #[error(transparent)]
    Saving(#[from] SlotError),
    /// QEMU did not obey.
    #[error(transparent)]
    Control(#[from] QmpError),
    /// It was cancelled.
    #[error("making a template was cancelled")]
    Cancelled,
}

impl TemplateError {
    /// Whether the template itself is of no use: what failed would fail again.
    #[must_use]
    pub const fn is_the_templates(&self) -> bool {
        matches!(self, Self::NotAwake { .. } | Self::Guest(GuestError::Died { .. } | GuestError::NotResumed { .. }))
    }

    pub(super) fn io(action: &'static str, path: &Path) -> impl Fn(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Io { action, path: path.clone(), source }
    }
}

/// Runs `work` where it may block.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, TemplateError> + Send + 'static,
) -> Result<T, TemplateError> {
    let failed = |e| TemplateError::io("finish", Path::new("the template"))(io::Error::other(e));
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|e| Err(failed(e)))
}

/// Ends when it is cancelled.
pub(super) async fn cancelled(cancel: &Cancel) {
    while !cancel.is_cancelled() {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}
