//! The guest's TPM: a swtpm of its own, started before QEMU, ended with the guest. Its state is empty at every start, and
//! lies in the guest's private directory.
//!
//! Man page: swtpm(8). `--terminate` ends it when QEMU lets go of it; that failing, it dies with its handle.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt as _;
use std::time::Duration;

use cartridge_supervise::{Channel, CommandLine, Exit, Observer, ProcessHandle, spawn};
use tokio::time::{Instant, sleep};

use super::GuestError;
use crate::machine::RuntimePaths;

/// The program, looked up in `PATH`.
const SWTPM: &str = "swtpm";
/// How long it may take to open its socket, on a machine that is busy.
const OPENING: Duration = Duration::from_secs(20);
/// How often we look.
const RETRY: Duration = Duration::from_millis(10);

/// What it prints is read from its exit's evidence.
struct Silent;

impl Observer for Silent {
    fn output(&mut self, _: Channel, _: &[u8]) {}
    fn exited(&mut self, _: &Exit) {}
}

/// Starts a TPM at [`RuntimePaths::tpm`]. It ends when the handle is dropped.
///
/// # Errors
/// [`GuestError::Tpm`] when swtpm is not installed, ends, or does not open its socket.
pub(super) async fn start(runtime: &RuntimePaths) -> Result<ProcessHandle, GuestError> {
    let failed = |problem: String, command: String| GuestError::Tpm { problem, command };
    let line = command_line(runtime);
    let command = line.to_string();
    let state = &runtime.tpm_state;
    if let Err(source) = fs::remove_file(&runtime.tpm)
        && source.kind() != std::io::ErrorKind::NotFound
    {
        return Err(GuestError::Prepare { path: runtime.tpm.clone(), source });
    }
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(state)
        .map_err(|source| GuestError::Prepare { path: state.clone(), source })?;
    let process = spawn(&line, Silent).map_err(|error| failed(error.to_string(), command.clone()))?;
    let until = Instant::now() + OPENING;
    while !runtime.tpm.exists() {
        if let Some(exit) = process.exit() {
            let problem = format!("it ended at once ({}):\n{}", exit.describe(), exit.evidence_text().trim_end());
            return Err(failed(problem, command));
        }
        if Instant::now() >= until {
            return Err(failed(format!("it did not open its socket within {} s", OPENING.as_secs()), command));
        }
        sleep(RETRY).await;
    }
    Ok(process)
}

fn command_line(runtime: &RuntimePaths) -> CommandLine {
    let with = |before: &str, path: &std::path::Path| {
        let mut word = std::ffi::OsString::from(before);
        word.push(path);
        word
    };
    CommandLine::new(SWTPM)
        .args(["socket", "--tpm2", "--tpmstate"])
        .arg(with("dir=", &runtime.tpm_state))
        .arg("--ctrl")
        .arg(with("type=unixio,path=", &runtime.tpm))
        .arg("--terminate")
}
