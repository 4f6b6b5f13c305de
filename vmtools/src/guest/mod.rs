//! A running guest: QEMU started, connected, watched, and ended for certain.
//!
//! [`start`] spawns QEMU stopped, connects control, serial line and display, and lets it run. From then on one task
//! tells what happens as [`GuestEvent`]s, and [`GuestHandle`] takes wishes. [`GuestHandle::end`] does not need anybody to
//! read the events meanwhile. Dropping the handle kills QEMU.

mod beginning;
mod buttons;
mod forward;
mod handle;
mod launch;
mod monitor;
mod shared;
mod status;
mod suspicion;
mod tpm;
mod watch;

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use cartridge_supervise::SpawnError;

use crate::machine::{Boot, FirmwareFiles, Machine, RuntimeError};
use crate::qmp::QmpError;
use crate::serial::{BootStep, GuestReport};
use crate::share::{Chosen, ShareError, Sharing};

pub(crate) use beginning::Moment;
pub use handle::{EndStep, GuestHandle};
pub use launch::start;
pub(crate) use launch::{start_from, start_in_file, start_with_file};
pub use monitor::Monitor;
pub use status::{GuestEnd, GuestStatus};

/// Everything that is needed to start a guest.
#[derive(Clone, Debug)]
pub struct GuestPlan {
    /// The hardware.
    pub machine: Machine,
    /// What it boots.
    pub boot: Boot,
    /// Its own directory, as [`RuntimeDir`](crate::machine::RuntimeDir) makes it.
    pub runtime: PathBuf,
    /// The program: `qemu-system-x86_64`, looked up in `PATH` unless it has a slash.
    pub qemu: PathBuf,
    /// Needed for UEFI.
    pub firmware: Option<FirmwareFiles>,
    /// Folders of this host that it sees live; they are served for as long as it runs.
    pub sharing: Sharing,
}

/// What a guest does and says, in order for each kind; [`GuestEvent::Ended`] is the last.
#[derive(Clone, Debug, PartialEq)]
pub enum GuestEvent {
    /// What QEMU itself printed, raw, both pipes.
    Qemu(Vec<u8>),
    /// What the guest wrote to its first serial line, raw.
    Serial(Vec<u8>),
    /// It is in another state now. The state in which it ended is told by [`GuestEvent::Ended`] alone.
    Status(GuestStatus),
    /// Our program in the guest has told what it found: once for each start or reset, and once for each layer that was
    /// plugged in or pulled out since.
    Reported(GuestReport),
    /// A port of the guest can be reached at 127.0.0.1.
    Forwarded {
        /// The forward's name in the recipe.
        name: String,
        /// The guest's port.
        guest_port: u16,
        /// The port on this machine.
        host_port: u16,
    },
    /// A folder of this host is a device of the guest; whether the guest has mounted it is in its report.
    Shared(Chosen),
    /// Our init has come a step further in a direct boot.
    Boot(BootStep),
    /// QEMU has ended; nothing more will come.
    Ended(GuestEnd),
}

/// A guest could not be started. Nothing of it is left running.
#[derive(Debug, thiserror::Error)]
pub enum GuestError {
    /// Its directory cannot be used.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// UEFI was asked for without firmware.
    #[error("the guest is to start with UEFI, but no UEFI firmware was given")]
    NoFirmware,
    /// A folder cannot be shared with it.
    #[error(transparent)]
    Share(#[from] ShareError),
    /// Its TPM could not be started.
    #[error(
        "the guest's TPM could not be started: {problem}\n  install swtpm (all distributions: swtpm), or set tpm to false\n  command: {command}"
    )]
    Tpm {
        /// What happened.
        problem: String,
        /// The whole command, to be copied.
        command: String,
    },
    /// A port of this machine that the guest is to be reached at is taken or not for this user.
    #[error(
        "port {host_port} of this machine cannot lead to the guest's port {guest_port} ({name}): {source}; choose another one, or \"auto\""
    )]
    Port {
        /// The forward's name.
        name: String,
        /// The guest's port.
        guest_port: u16,
        /// The port on this machine.
        host_port: u16,
        /// What the system said.
        source: io::Error,
    },
    /// A file for it could not be made.
    #[error("could not prepare {} for the guest: {source}", path.display())]
    Prepare {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// QEMU is missing or may not be run.
    #[error("{0}\n  install QEMU (Debian, Ubuntu: qemu-system-x86; Arch: qemu-desktop; Fedora: qemu-kvm)")]
    Spawn(#[from] SpawnError),
    /// QEMU ended before the guest ran.
    #[error("QEMU ended at once ({how}):\n{words}\n  command: {command}")]
    Died {
        /// "exit code 1".
        how: String,
        /// The end of what it printed.
        words: String,
        /// The whole command, to be copied.
        command: String,
    },
    /// QEMU runs but does not let us in.
    #[error(
        "QEMU did not open its {what} within {} s ({problem}):\n{words}\n  command: {command}",
        limit.as_secs()
    )]
    Unreachable {
        /// "control line", "serial line".
        what: &'static str,
        /// How long we tried.
        limit: Duration,
        /// The last problem.
        problem: String,
        /// What it printed so far.
        words: String,
        /// The whole command, to be copied.
        command: String,
    },
    /// A control command failed.
    #[error("QEMU started, but did not obey: {source}\n  command: {command}")]
    Control {
        /// What was tried, and how it failed.
        source: QmpError,
        /// The whole command, to be copied.
        command: String,
    },
    /// The guest's memory was not taken over from a slot or a template.
    #[error("the saved memory could not be restored: {problem}\n  command: {command}")]
    NotResumed {
        /// What was tried, and how it failed.
        problem: String,
        /// The whole command, to be copied.
        command: String,
    },
    /// A guest that was kept without its folders did not get them. What was kept is as good as before.
    #[error("the guest that was kept did not get its folders: {problem}")]
    NotLent {
        /// What was tried, and how it failed.
        problem: String,
    },
    /// A port was not forwarded.
    #[error("QEMU did not forward port {guest_port} of the guest ({name}); it says:\n{words}\n  command: {command}")]
    NotForwarded {
        /// The forward's name.
        name: String,
        /// The guest's port.
        guest_port: u16,
        /// `info usernet`.
        words: String,
        /// The whole command, to be copied.
        command: String,
    },
}
