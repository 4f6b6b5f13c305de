//! What the tasks of one guest share: its life, the states not yet told, and the verdict on its end.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use cartridge_supervise::{Channel, Exit, Observer};
use tokio::sync::{Notify, mpsc, watch};

use crate::guest::status::{Fact, GuestEnd, GuestStatus, Life};

/// The most states that wait to be told; older ones give way, the newest counts.
const UNTOLD: usize = 64;
/// The most pieces of QEMU's output that wait to be told; more are dropped and counted.
pub(crate) const OUTPUT_QUEUE: usize = 64;

/// Hearing a fact never waits for anybody, so that control goes on while nobody reads the events.
#[derive(Debug)]
pub(crate) struct Shared {
    state: Mutex<State>,
    bell: Notify,
    end: OnceLock<GuestEnd>,
    command: String,
}

#[derive(Debug, Default)]
struct State {
    life: Life,
    untold: VecDeque<GuestStatus>,
    /// What we are doing to end it.
    step: Option<String>,
}

impl Shared {
    pub(crate) fn new(command: String) -> Self {
        let state = State { untold: VecDeque::from([GuestStatus::Starting]), ..State::default() };
        Self { state: Mutex::new(state), bell: Notify::new(), end: OnceLock::new(), command }
    }

    pub(crate) fn command(&self) -> &str {
        &self.command
    }

    pub(crate) fn status(&self) -> GuestStatus {
        self.state().life.status().clone()
    }

    pub(crate) fn hear(&self, fact: Fact) {
        let mut state = self.state();
        if let Some(status) = state.life.hear(fact) {
            if state.untold.len() >= UNTOLD {
                state.untold.pop_front();
            }
            state.untold.push_back(status);
            drop(state);
            self.bell.notify_one();
        }
    }

    /// The next state to tell, waiting for it. Only one task may wait.
    pub(crate) async fn next_status(&self) -> GuestStatus {
        loop {
            if let Some(status) = self.untold() {
                return status;
            }
            self.bell.notified().await;
        }
    }

    /// The next state to tell, if there is one.
    pub(crate) fn untold(&self) -> Option<GuestStatus> {
        self.state().untold.pop_front()
    }

    /// Says what we are doing to end the guest.
    pub(crate) fn ending(&self, step: &str) {
        let mut state = self.state();
        state.life.hear(Fact::Ending);
        state.step = Some(step.to_owned());
    }

    /// The verdict on the guest's end; whoever asks first makes it. `None`: not even SIGKILL has ended QEMU.
    pub(crate) fn conclude(&self, exit: Option<&Exit>) -> GuestEnd {
        self.end
            .get_or_init(|| {
                let mut state = self.state();
                let step = state.step.clone();
                let (how, success, words) = match exit {
                    Some(exit) => (exit.describe(), exit.status.success(), exit.evidence_text()),
                    None => ("still there, stuck in the kernel".to_owned(), false, String::new()),
                };
                let before = state.life.status().clone();
                let (status, how) = state.life.conclude(&how, success, step.as_deref());
                if status != before {
                    state.untold.push_back(status.clone());
                }
                let qemu_words = words.trim_end().to_owned();
                GuestEnd { status, how, qemu_words, command: self.command.clone() }
            })
            .clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Hands QEMU's output and end from the threads that drain it to the tasks. It never waits: a thread that waited for a
/// reader that waits for QEMU's end would hang both.
#[derive(Debug)]
pub(crate) struct Relay {
    pub(crate) output: mpsc::Sender<Vec<u8>>,
    pub(crate) exit: watch::Sender<Option<Exit>>,
    pub(crate) dropped: u64,
}

impl Observer for Relay {
    fn output(&mut self, _channel: Channel, bytes: &[u8]) {
        let mut piece = Vec::new();
        if self.dropped > 0 {
            piece = format!("\n[{} bytes of QEMU's output were dropped here]\n", self.dropped).into_bytes();
        }
        piece.extend_from_slice(bytes);
        match self.output.try_send(piece) {
            Ok(()) => self.dropped = 0,
            Err(_) => self.dropped += bytes.len() as u64,
        }
    }

    fn exited(&mut self, exit: &Exit) {
        self.exit.send_replace(Some(exit.clone()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::qmp::message::QmpEvent;

    #[test]
    fn untold_states_are_bounded_and_the_newest_stays() {
        let shared = Shared::new("qemu".into());
        for _ in 0..1000 {
            shared.hear(Fact::Qmp(QmpEvent::Resume));
            shared.hear(Fact::Qmp(QmpEvent::Stop));
        }
        let told: Vec<_> = std::iter::from_fn(|| shared.untold()).collect();
        assert_eq!((told.len(), told.last()), (UNTOLD, Some(&GuestStatus::Paused)));
    }

    #[test]
    fn output_that_nobody_reads_is_dropped_and_counted() {
        let (output, mut pieces) = mpsc::channel(1);
        let mut relay = Relay { output, exit: watch::Sender::new(None), dropped: 0 };
        for piece in [b"first", b"lost!", b"lost!"] {
            relay.output(Channel::Stderr, piece);
        }
        assert_eq!(pieces.try_recv().unwrap(), b"first");
        relay.output(Channel::Stdout, b"last");
        assert_eq!(pieces.try_recv().unwrap(), b"\n[10 bytes of QEMU's output were dropped here]\nlast");
    }
}
