//! Wishes to a running guest: input, reset, power button, and its certain end.

use std::sync::Arc;
use std::time::Duration;

use cartridge_supervise::{Exit, ProcessHandle};
use serde::Serialize;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout};

use crate::display::{InputEvent, InputQueue, SHIFT, keys_for_text};
use crate::guest::buttons;
use crate::guest::monitor::Monitor;
use crate::guest::shared::Shared;
use crate::guest::watch::LAST_EVENT;
use crate::guest::{GuestEnd, GuestStatus};
use crate::qmp::Qmp;
use crate::share::ShareHandle;

/// How long QEMU may take to quit when asked.
const QUIT: Duration = Duration::from_secs(3);
/// How long it may take to end on SIGTERM.
const TERM: Duration = Duration::from_secs(2);
/// How long a process may take to be gone when it was killed: one that waits for a disk takes its time.
const DEAD: Duration = Duration::from_secs(2);
/// How long the TPM may take to end after QEMU, and then on SIGTERM.
const TPM: Duration = Duration::from_secs(2);
/// When the control line is closed QEMU is about to end by itself, or is stuck.
const CLOSING: Duration = Duration::from_millis(300);
/// How long the screen may take to become dark.
const DARK: Duration = Duration::from_millis(500);

/// A step towards a guest's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum EndStep {
    /// It had ended before.
    Already,
    /// QEMU was asked to quit over its control line.
    Quit,
    /// SIGTERM.
    Term,
    /// SIGKILL to its whole process group.
    Kill,
}

impl EndStep {
    fn words(self) -> &'static str {
        match self {
            Self::Already => "it had ended before",
            Self::Quit => "asked over its control line",
            Self::Term => "SIGTERM",
            Self::Kill => "SIGKILL, after it had ignored all else",
        }
    }
}

/// Owns a running guest. Dropping it kills QEMU at once.
#[derive(Debug)]
pub struct GuestHandle {
    pub(crate) process: Arc<ProcessHandle>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) exit: watch::Receiver<Option<Exit>>,
    pub(crate) qmp: Qmp,
    pub(crate) qmp_closed: watch::Receiver<bool>,
    pub(crate) dark: watch::Receiver<bool>,
    pub(crate) serial: mpsc::Sender<Vec<u8>>,
    pub(crate) inputs: InputQueue,
    /// Takes what changed of those that VNC cannot tell QEMU: before and after.
    pub(crate) more_buttons: mpsc::Sender<(u16, u16)>,
    /// Serves its folders until it is dropped.
    pub(crate) _shares: ShareHandle,
    pub(crate) runtime: Handle,
    pub(crate) monitor: Monitor,
    /// The guest's TPM, if it has one: it ends with QEMU, or with this.
    pub(crate) tpm: Option<ProcessHandle>,
}

impl GuestHandle {
    /// The command that runs it, to be copied. Started by hand, it waits for QMP's `cont`.
    #[must_use]
    pub fn command(&self) -> &str {
        self.shared.command()
    }

    /// QEMU's process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// What the guest is doing now.
    #[must_use]
    pub fn status(&self) -> GuestStatus {
        self.shared.status()
    }

    /// Writes `bytes` to the guest's first serial line. Never waits: what a guest does not read is lost.
    pub fn send_serial(&self, bytes: Vec<u8>) {
        let _ = self.serial.try_send(bytes);
    }

    /// Passes input to the guest. Never waits: when more than some thousands wait, presses and movements get lost, but
    /// releases do not.
    pub fn input(&self, event: InputEvent) {
        if let Some((before, after)) = self.inputs.push(event) {
            buttons::tell(&self.more_buttons, before, after);
        }
    }

    /// Types `text` on the guest's US keyboard, waiting for room as needed, and returns the characters that it cannot
    /// type.
    pub async fn type_text(&self, text: &str) -> Vec<char> {
        let (strokes, missing) = keys_for_text(text);
        for stroke in strokes {
            let key = InputEvent::key;
            let shift = |down| stroke.shift.then_some(key(SHIFT, down));
            let events =
                [shift(true), Some(key(stroke.scancode, true)), Some(key(stroke.scancode, false)), shift(false)];
            for event in events.into_iter().flatten() {
                if !self.inputs.send(event).await {
                    return missing;
                }
            }
        }
        missing
    }

    /// What slots and layers work with: it may be kept beside the handle, and is of no more use when the guest has ended.
    #[must_use]
    pub fn monitor(&self) -> Monitor {
        self.monitor.clone()
    }

    /// Presses the reset button. A guest that stands still after a panic or a pause runs again. One that
    /// is being saved is reset afterwards.
    pub fn reset(&self) {
        let (qmp, shared, monitor) = (self.qmp.clone(), Arc::clone(&self.shared), self.monitor.clone());
        self.runtime.spawn(async move {
            let _alone = monitor.wait_alone().await;
            let stopped = shared.stands_still();
            // If QEMU does not answer, the guest's state stays as it is told: there is nobody else to tell.
            if qmp.execute("system_reset", None).await.is_ok() && stopped {
                let _ = qmp.execute("cont", None).await;
            }
        });
    }

    /// Presses the power button: a guest that listens to ACPI shuts down by itself.
    pub fn power_button(&self) {
        let qmp = self.qmp.clone();
        self.runtime.spawn(async move {
            let _ = qmp.execute("system_powerdown", None).await;
        });
    }

    /// Ends the guest: QMP `quit` (3 s), SIGTERM (2 s), SIGKILL. `report` is told each step that was tried and how long
    /// it took. Nobody needs to read the events meanwhile.
    pub async fn end(self, mut report: impl FnMut(EndStep, Duration)) -> GuestEnd {
        if self.exit.borrow().is_some() {
            report(EndStep::Already, Duration::ZERO);
            return self.conclude().await;
        }
        if !self.quit(&mut report).await {
            self.kill(&mut report).await;
        }
        self.conclude().await
    }

    async fn quit(&self, report: &mut impl FnMut(EndStep, Duration)) -> bool {
        let started = Instant::now();
        self.shared.ending(EndStep::Quit.words());
        let asking = async {
            let patience = if self.qmp.execute("quit", None).await.is_ok() { QUIT } else { CLOSING };
            self.ended(patience).await
        };
        let ended = timeout(QUIT, asking).await.unwrap_or(false);
        report(EndStep::Quit, started.elapsed());
        ended
    }

    async fn kill(&self, report: &mut impl FnMut(EndStep, Duration)) {
        let started = Instant::now();
        self.shared.ending(EndStep::Term.words());
        self.process.terminate();
        let obeyed = self.ended(TERM).await;
        report(EndStep::Term, started.elapsed());
        if !obeyed {
            let killing = Instant::now();
            self.shared.ending(EndStep::Kill.words());
            self.process.kill();
            self.ended(DEAD).await;
            report(EndStep::Kill, killing.elapsed());
        }
    }

    async fn ended(&self, limit: Duration) -> bool {
        timeout(limit, self.exit.clone().wait_for(Option::is_some)).await.is_ok()
    }

    async fn conclude(mut self) -> GuestEnd {
        if let Some(tpm) = self.tpm.take() {
            // It writes its state as it ends, into a directory that is about to go.
            let _ = tokio::task::spawn_blocking(move || tpm.wait(TPM).is_none().then(|| tpm.end(TPM))).await;
        }
        let _ = timeout(LAST_EVENT, self.qmp_closed.clone().wait_for(|closed| *closed)).await;
        // The screen may be given to the next guest once we return.
        let _ = timeout(DARK, self.dark.clone().wait_for(|dark| *dark)).await;
        let exit = self.exit.borrow().clone();
        self.shared.conclude(exit.as_ref())
    }
}
