//! What can go wrong with a slot or a plugged layer, in words that say what to do next.

use std::io;
use std::path::{Path, PathBuf};

use crate::display::EvidenceError;
use crate::guest::{GuestError, GuestStatus};
use crate::qmp::QmpError;
use crate::slot::inputs::Mismatch;
use crate::slot::name::BadName;

/// A slot could not be saved, restored, removed or renamed. What was there before is still there, and a guest that was
/// to be saved goes on as it was.
#[derive(Debug, thiserror::Error)]
pub enum SlotError {
    /// No slot can be called that.
    #[error(transparent)]
    Name(#[from] BadName),
    /// There is no such slot.
    #[error("there is no slot {name:?} in {}\n{}", store.display(), existing(others))]
    Absent {
        /// The name.
        name: String,
        /// Where slots are kept.
        store: PathBuf,
        /// The names of those that there are, the newest first.
        others: Vec<String>,
    },
    /// Another slot has that name.
    #[error("there is a slot {name:?} already: choose another name, or remove that one first")]
    Taken {
        /// The name.
        name: String,
    },
    /// Its files are not as they were written.
    #[error("the slot {name:?} cannot be used: {problem}; remove it and save it again")]
    Damaged {
        /// The name.
        name: String,
        /// What is wrong.
        problem: String,
    },
    /// The guest does nothing that could be kept.
    #[error("a guest can be saved while it runs or is paused; this one is {status:?}")]
    NotRunning {
        /// What it is.
        status: GuestStatus,
    },
    /// Something in the guest cannot be saved while it is in use.
    #[error(
        "this guest cannot be saved as it is: {reasons}\nA folder of the host that is mounted in the guest binds it to \
         this host: unmount it in the guest, or start the guest without shared folders and bring the repository in as a layer. So does a \
         clipboard: set guest.clipboard to false"
    )]
    Blocked {
        /// QEMU's words.
        reasons: String,
    },
    /// QEMU gave up while it wrote the guest's memory.
    #[error("QEMU could not save the guest's memory: {words}")]
    NotSaved {
        /// QEMU's words.
        words: String,
    },
    /// Somebody else is saving this guest, or plugging something into it.
    #[error("this guest is being saved just now: wait until that is done")]
    Busy,
    /// What the guest reads is not what it was when it began.
    #[error(
        "the {what} {} was replaced or written to since this guest began: what the guest has in memory fits the old one, \
         which cannot be kept any more; boot again, then save",
        path.display()
    )]
    Replaced {
        /// "image", "kernel", "layer 1".
        what: String,
        /// The file.
        path: PathBuf,
    },
    /// It was cancelled.
    #[error("saving was cancelled; the guest goes on, and no slot was changed")]
    Cancelled,
    /// The system refused.
    #[error("could not {action} {}: {source}{}", path.display(), advice(source, path))]
    Io {
        /// "write", "copy", "remove".
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The picture could not be written.
    #[error(transparent)]
    Picture(#[from] EvidenceError),
    /// QEMU did not obey.
    #[error(transparent)]
    Control(#[from] QmpError),
    /// The present differs from what the slot depends on.
    #[error("the slot {name:?} does not fit: {}{}", sentences(mismatches), way_out(mismatches))]
    Mismatched {
        /// The slot's name.
        name: String,
        /// In what.
        mismatches: Vec<Mismatch>,
    },
    /// QEMU could not be asked its version.
    #[error("QEMU could not be asked for its version: {0}")]
    Version(#[from] cartridge_supervise::RunError),
    /// The guest did not start.
    #[error(transparent)]
    Guest(#[from] GuestError),
}

/// A layer could not be plugged in or pulled out.
#[derive(Debug, thiserror::Error)]
pub enum PlugError {
    /// Every port has a layer in it.
    #[error("all {0} ports of this guest have a layer in them: start the guest again, or restore a slot")]
    Full(u32),
    /// There is no such layer in the guest.
    #[error("no layer {0:?} is plugged into this guest")]
    Absent(String),
    /// The guest is being saved.
    #[error("this guest is being saved just now: wait until that is done")]
    Busy,
    /// The guest did not let go of it.
    #[error(
        "the guest did not let go of the layer {serial:?} within {seconds} s: it may have no driver for hot-plugging"
    )]
    NotReleased {
        /// The layer's serial number.
        serial: String,
        /// How long it was waited for.
        seconds: u64,
    },
    /// The file cannot be a layer.
    #[error("could not read the layer {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// QEMU did not obey.
    #[error(transparent)]
    Control(#[from] QmpError),
}

impl SlotError {
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }

    /// Whether it means that a disk is full.
    #[must_use]
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Io { source, .. } if is_full(source))
    }
}

/// Which slots there are, in a sentence: `There are "a" and "b"`.
#[must_use]
pub fn existing(names: &[String]) -> String {
    let quoted: Vec<_> = names.iter().map(|name| format!("{name:?}")).collect();
    match quoted.as_slice() {
        [] => "There are no slots yet: save one of a running guest first".to_owned(),
        [one] => format!("There is {one}"),
        [first @ .., last] => format!("There are {} and {last}", first.join(", ")),
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

fn advice(error: &io::Error, path: &Path) -> String {
    if !is_full(error) {
        return String::new();
    }
    let free = path.parent().and_then(|dir| rustix::fs::statvfs(dir).ok()).map(|it| it.f_bavail * it.f_frsize);
    let free = free.map_or_else(String::new, |free| format!(" ({} MiB are free)", free >> 20));
    format!("{free}\nA slot needs about as much room as the guest uses memory: remove other slots, or make room")
}

fn sentences(mismatches: &[Mismatch]) -> String {
    mismatches.iter().map(|it| format!("\n  {}", it.says)).collect()
}

fn way_out(mismatches: &[Mismatch]) -> &'static str {
    if mismatches.iter().any(|it| it.fatal) {
        "\nMemory fits only into the machine that it was taken from: change the settings back, or boot and save anew"
    } else {
        "\nIt can be restored all the same if you ask for that, in a terminal with --anyway: the guest is the old one then. With \
         --plug the guest gets the repository as it is now besides"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_that_there_are_are_named() {
        let said = |names: &[&str]| existing(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        assert!(said(&[]).starts_with("There are no slots yet"));
        assert_eq!(said(&["a"]), "There is \"a\"");
        assert_eq!(said(&["a", "b c", "d"]), "There are \"a\", \"b c\" and \"d\"");
    }
}
