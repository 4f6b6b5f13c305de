//! A short tool run to its end: output collected, cancel obeyed, failure told with the command to run again.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::{Cancel, Channel, CommandLine, Exit, Observer, SpawnError, spawn};

/// How often a running tool looks whether it was cancelled.
const BEAT: Duration = Duration::from_millis(20);
/// How long a cancelled tool may take to end by itself before its group is killed.
const GRACE: Duration = Duration::from_millis(500);
/// How much standard output [`Output`] keeps, bytes; the rest is counted, not kept.
const OUTPUT_LIMIT: usize = 16 * 1024 * 1024;

/// What a tool that succeeded left.
#[derive(Clone, Debug)]
pub struct Output {
    /// Its standard output, at most 16 MiB.
    pub stdout: Vec<u8>,
    /// How it ended: always code 0 here.
    pub exit: Exit,
}

/// A tool did not do what it was run for.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// It could not be started.
    #[error(transparent)]
    Spawn(#[from] SpawnError),
    /// It ended with a code other than 0, or by a signal.
    #[error("{program} failed ({how})\n{evidence}\n  command: {command}")]
    Failed {
        /// The program.
        program: String,
        /// "exit code 1", "killed by signal 9".
        how: String,
        /// The end of what it printed.
        evidence: String,
        /// The whole command, to be copied.
        command: String,
    },
    /// The token was cancelled; the tool and its group are gone.
    #[error("cancelled while {program} was running")]
    Cancelled {
        /// The program.
        program: String,
    },
}

struct Collector<F> {
    on_output: F,
    stdout: Arc<Mutex<Vec<u8>>>,
}

impl<F: FnMut(Channel, &[u8]) + Send + 'static> Observer for Collector<F> {
    fn output(&mut self, channel: Channel, bytes: &[u8]) {
        if channel == Channel::Stdout {
            let mut kept = self.stdout.lock().unwrap_or_else(PoisonError::into_inner);
            let room = OUTPUT_LIMIT.saturating_sub(kept.len()).min(bytes.len());
            kept.extend_from_slice(&bytes[..room]);
        }
        (self.on_output)(channel, bytes);
    }

    fn exited(&mut self, _exit: &Exit) {}
}

/// Runs `line` to its end. `on_output` sees the raw bytes of both pipes as they arrive.
///
/// # Errors
/// [`RunError::Spawn`] if it cannot start, [`RunError::Failed`] with the end of its output if it fails,
/// [`RunError::Cancelled`] within a second of `cancel`, with nothing of it left running.
pub fn run(
    line: &CommandLine,
    cancel: &Cancel,
    on_output: impl FnMut(Channel, &[u8]) + Send + 'static,
) -> Result<Output, RunError> {
    let program = || line.program().to_string_lossy().into_owned();
    if cancel.is_cancelled() {
        return Err(RunError::Cancelled { program: program() });
    }
    let stdout = Arc::<Mutex<Vec<u8>>>::default();
    let child = spawn(line, Collector { on_output, stdout: Arc::clone(&stdout) })?;
    let exit = loop {
        if let Some(exit) = child.wait(BEAT) {
            break exit;
        }
        if cancel.is_cancelled() {
            let _ = child.end(GRACE);
            return Err(RunError::Cancelled { program: program() });
        }
    };
    if !exit.status.success() {
        return Err(RunError::Failed {
            program: program(),
            how: exit.describe(),
            evidence: exit.evidence_text().trim_end().to_owned(),
            command: line.to_string(),
        });
    }
    let stdout = std::mem::take(&mut *stdout.lock().unwrap_or_else(PoisonError::into_inner));
    Ok(Output { stdout, exit })
}
