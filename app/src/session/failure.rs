//! From the typed errors of the libraries to what a person is shown, and the exit code of the headless front end.
//! `build` has those of builds, `attach` those of VNC servers.

mod attach;
mod build;
mod deploy;
mod direct;
mod eject;

use std::io;
use std::path::Path;

use cartridge_supervise::IsolationError;
use isoprep::{EditError, Finding, MissingParts};
use vmtools::{CommandLine, GuestError};

pub(super) use attach::of_attach;
pub(super) use build::of_build;
pub(super) use deploy::{no_built_image, of_deploy, of_disks};
pub(super) use direct::{
    no_image, no_kernel, no_line, of_boot, of_choice, of_cmdline, of_empty_root, of_entry, of_folder, of_gone_part,
    of_named, of_no_layers,
};
pub(super) use eject::of_eject;

use super::cartridge_lock::LockError;
use super::event::Failure;
use super::holder::Holder;
use super::logs::Pane;
use super::run_field::{RunField, setter};

/// What is said first of a field that was set wrongly for one run.
const SET_WRONG: &str = "The cartridge cannot be used with what was set for this run";

/// Exit codes of the headless front end. They are part of its interface: `cartridge help` and the man page list them.
pub mod exit_code {
    /// All went well.
    pub const GOOD: u8 = 0;
    /// Something of ours went wrong.
    pub const INTERNAL: u8 = 1;
    /// The command line was wrong.
    pub const USAGE: u8 = 2;
    /// The cartridge has errors, or there is none.
    pub const CARTRIDGE: u8 = 3;
    /// This host lacks something: see `cartridge doctor`.
    pub const HOST: u8 = 4;
    /// The build failed.
    pub const BUILD: u8 = 5;
    /// The guest could not be started, or crashed.
    pub const GUEST: u8 = 6;
    /// The guest did not report in time, or found another tree than the one injected.
    pub const REPORT: u8 = 7;
    /// Another session holds the cartridge.
    pub const IN_USE: u8 = 8;
    /// Something could not be removed.
    pub const EJECT: u8 = 9;
    /// A test has failed.
    pub const TEST: u8 = 10;
    /// An image was not written to a disk, or not proven.
    pub const DEPLOY: u8 = 11;
    /// Cancelled, by the user or by a signal.
    pub const CANCELLED: u8 = 130;
}

pub(super) fn of_findings(findings: &[Finding]) -> Failure {
    of_run_findings(findings, &[])
}

/// The same where fields were set for this run: what is about one of them names its option.
pub(super) fn of_run_findings(findings: &[Finding], fields: &[RunField]) -> Failure {
    let told = |finding: &Finding| match setter(finding, fields) {
        None => finding.to_string(),
        Some(field) => {
            let entry = finding.key.strip_prefix(&field.key).filter(|rest| !rest.is_empty());
            let entry = entry.map_or_else(String::new, |_| format!("{}: ", finding.key));
            let advice = if finding.advice.is_empty() { String::new() } else { format!("; {}", finding.advice) };
            format!("{}: {entry}{}{advice}", field.by, finding.message)
        }
    };
    // What to do is said once: apart where there is one thing to do, with each finding where there are several.
    let (detail, advice) = match findings {
        [one] => {
            let detail = told(&Finding { advice: String::new(), ..one.clone() });
            (detail, Some(one.advice.clone()).filter(|advice| !advice.is_empty()))
        }
        several => (several.iter().map(told).collect::<Vec<_>>().join("\n"), None),
    };
    let failure = Failure {
        title: "The cartridge cannot be built as it is".into(),
        detail,
        advice,
        command: None,
        pane: None,
        exit_code: exit_code::CARTRIDGE,
    };
    let set = !findings.is_empty() && findings.iter().all(|finding| setter(finding, fields).is_some());
    if set { of_wrong_run(failure) } else { failure }
}

/// The same failure where the cartridge is well without what was set for this run.
pub(super) fn of_wrong_run(failure: Failure) -> Failure {
    Failure { title: SET_WRONG.into(), exit_code: exit_code::USAGE, ..failure }
}

/// A field that cannot be set for this run.
pub(super) fn of_run_field(field: &RunField, error: &EditError) -> Failure {
    of_wrong_run(Failure { pane: None, ..internal(SET_WRONG, &format!("{}: {error}", field.by)) })
}

pub(super) fn of_missing_parts(missing: &MissingParts) -> Failure {
    Failure {
        title: "This host lacks something that a build needs".into(),
        detail: missing.to_string(),
        advice: Some("Run the checks, each with the command that mends it".into()),
        command: Some("cartridge doctor".into()),
        pane: None,
        exit_code: exit_code::HOST,
    }
}

/// This host does not let the steps of a build be shut in.
pub(super) fn of_isolation(error: &IsolationError) -> Failure {
    let sysctl = error.advice.as_deref().and_then(|advice| {
        let from = advice.find("sudo sysctl -w ")?;
        let command = advice[from..].split(" (").next()?;
        Some(command.to_owned())
    });
    Failure {
        title: "This host does not let a build make user namespaces".into(),
        detail: format!(
            "Images of distributions are built in user namespaces, so that nothing needs root and nothing outside of the \
             work folder can be written.\n{error}"
        ),
        advice: Some(match sysctl {
            Some(_) => "Change the setting that forbids them".into(),
            None => "Run the checks: they say what is known of this host".into(),
        }),
        command: Some(sysctl.unwrap_or_else(|| "cartridge doctor".into())),
        pane: None,
        exit_code: exit_code::HOST,
    }
}

pub(super) fn of_guest(error: &GuestError) -> Failure {
    let (detail, command) = split_command(&error.to_string());
    Failure {
        title: "The guest could not be started".into(),
        detail,
        advice: None,
        command,
        pane: Some(Pane::Qemu),
        exit_code: exit_code::GUEST,
    }
}

/// A disk of the guest's that cannot be had.
pub(super) fn of_disk(name: &str, error: &vmtools::DiskError) -> Failure {
    let told = internal(&format!("The guest's disk {name} cannot be used"), error);
    let host = matches!(error, vmtools::DiskError::Unreadable { .. } | vmtools::DiskError::Misnamed { .. });
    Failure { exit_code: if host { exit_code::CARTRIDGE } else { told.exit_code }, ..told }
}

pub(super) fn of_lock(error: &LockError, root: &Path) -> Failure {
    let LockError::Held { holder } = error else { return internal("The cartridge could not be locked", error) };
    let watch = holder.socket.as_ref().map(|_| CommandLine::new("cartridge").arg("watch").arg(root).to_string());
    let elsewhere = "Eject it there, or work on another copy of the repository";
    let advice = match watch {
        Some(_) => format!("Watch what is done there. {elsewhere}"),
        None => elsewhere.to_owned(),
    };
    Failure {
        title: "This cartridge is in use".into(),
        detail: error.to_string(),
        advice: Some(advice),
        command: watch,
        pane: None,
        exit_code: exit_code::IN_USE,
    }
}

/// Why another session cannot be watched. `stopped` says whether its process was stopped.
pub(super) fn of_watch(holder: &Holder, why: &str, stopped: bool) -> Failure {
    let advice = match stopped {
        true => format!("Let it go on, or end it: kill -CONT {0}, or kill -KILL {0}", holder.process),
        false => {
            "Look at what it does there; where nobody works on the cartridge any more, it can be used here".to_owned()
        }
    };
    Failure {
        title: "The other session cannot be watched".into(),
        detail: why.to_owned(),
        advice: Some(advice),
        command: None,
        pane: None,
        exit_code: exit_code::INTERNAL,
    }
}

pub(super) fn of_cache(stages: &Path, clean: bool, error: &io::Error) -> Failure {
    let busy = error.kind() == io::ErrorKind::ResourceBusy;
    Failure {
        title: format!("The cache could not be {}", if clean { "emptied" } else { "looked at" }),
        detail: format!("{}: {error}", stages.display()),
        advice: busy
            .then(|| "Wait for the build that uses it, or cancel that; nothing of the cache was removed".into()),
        command: None,
        pane: None,
        exit_code: if busy { exit_code::IN_USE } else { exit_code::INTERNAL },
    }
}

pub(super) fn internal(title: &str, error: &dyn std::fmt::Display) -> Failure {
    let (detail, command) = split_command(&error.to_string());
    Failure {
        title: title.into(),
        detail,
        advice: None,
        command,
        pane: Some(Pane::Session),
        exit_code: exit_code::INTERNAL,
    }
}

/// Our errors end in "\n  command: …" where a command failed; people get it apart, to be copied.
fn split_command(text: &str) -> (String, Option<String>) {
    match text.split_once("\n  command: ") {
        Some((before, command)) => (before.trim_end().to_owned(), Some(command.trim().to_owned())),
        None => (text.to_owned(), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_is_taken_out_of_the_text() {
        let failure = internal("x", &"xorriso failed (exit code 5)\nno space\n  command: xorriso -as mkisofs");
        assert_eq!(failure.detail, "xorriso failed (exit code 5)\nno space");
        assert_eq!(failure.command.as_deref(), Some("xorriso -as mkisofs"));
    }
}
