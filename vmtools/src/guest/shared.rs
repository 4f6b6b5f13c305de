//! What the tasks of one guest share: its life, the states not yet told, and the verdict on its end.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use cartridge_supervise::{Channel, Exit, Observer};
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::Instant;

use crate::guest::status::{Fact, GuestEnd, GuestStatus, Life};
use crate::guest::suspicion::Suspicion;
use crate::qmp::message::QmpEvent;

/// The most states that wait to be told; older ones give way, the newest counts.
const UNTOLD: usize = 64;
/// The most pieces of QEMU's output that wait to be told; more are dropped and counted.
pub(crate) const OUTPUT_QUEUE: usize = 64;

/// Hearing a fact never waits for anybody, so that control goes on while nobody reads the events.
#[derive(Debug)]
pub(crate) struct Shared {
    state: Mutex<State>,
    bell: Notify,
    suspected: Notify,
    end: OnceLock<GuestEnd>,
    command: String,
}

#[derive(Debug, Default)]
struct State {
    life: Life,
    untold: VecDeque<GuestStatus>,
    /// What we are doing to end it.
    step: Option<String>,
    /// A panic that was read and is not yet believed.
    suspicion: Option<Suspicion>,
    /// When the guest was last reset.
    reset: Option<Instant>,
    /// The highest generation that our program in the guest has reported since the last start.
    reported: Option<u32>,
}

impl State {
    fn hear(&mut self, fact: Fact) -> bool {
        let Some(status) = self.life.hear(fact) else { return false };
        if self.untold.len() >= UNTOLD {
            self.untold.pop_front();
        }
        self.untold.push_back(status);
        true
    }

    /// Takes what was suspected for a fact.
    fn believe(&mut self) -> bool {
        self.suspicion.take().is_some_and(|it| self.hear(Fact::SerialPanic(it.words)))
    }
}

impl Shared {
    pub(crate) fn new(command: String) -> Self {
        let state = State { untold: VecDeque::from([GuestStatus::Starting]), ..State::default() };
        Self { state: Mutex::new(state), bell: Notify::new(), suspected: Notify::new(), end: OnceLock::new(), command }
    }

    pub(crate) fn command(&self) -> &str {
        &self.command
    }

    pub(crate) fn status(&self) -> GuestStatus {
        self.state().life.status().clone()
    }

    /// Whether its CPUs need `cont` to run again.
    pub(crate) fn stands_still(&self) -> bool {
        self.state().life.stands_still()
    }

    pub(crate) fn hear(&self, fact: Fact) {
        let mut state = self.state();
        let mut news = false;
        match &fact {
            Fact::Qmp(QmpEvent::GuestPanicked) => news |= state.believe(),
            Fact::Qmp(QmpEvent::Reset { .. }) => {
                // Told to start anew when it panics, a kernel resets the machine at once.
                news |= state.believe();
                state.reset = Some(Instant::now());
                state.reported = None;
            }
            Fact::Qmp(QmpEvent::Shutdown { reason, .. }) if reason == "guest-shutdown" => state.suspicion = None,
            _ => {}
        }
        news |= state.hear(fact);
        self.ring(state, news);
    }

    /// The kernel's last words were read on the serial line; its clock showed `at`.
    pub(crate) fn suspect(&self, words: String, at: Duration, now: Instant) {
        let mut state = self.state();
        if state.reset.is_some_and(|reset| now.saturating_duration_since(reset) < at) {
            // A kernel that has run for so long started before the reset.
            return;
        }
        if state.suspicion.is_none() {
            state.suspicion = Some(Suspicion::new(words, now));
        }
        // What has stopped already for the same reason need not be proven dead.
        let news = *state.life.status() == GuestStatus::Panicked && state.believe();
        self.ring(state, news);
        self.suspected.notify_one();
    }

    /// The guest has written more, which is nothing (`lives` is false) or something that a dead kernel does not write.
    pub(crate) fn wrote(&self, lives: bool, now: Instant) {
        let mut state = self.state();
        if lives {
            state.suspicion = None;
        } else if let Some(suspicion) = &mut state.suspicion {
            suspicion.wrote(now);
        }
    }

    /// When a suspected panic is to be believed, waiting for one.
    pub(crate) async fn suspicion_due(&self) -> Instant {
        loop {
            let due = self.state().suspicion.as_ref().map(Suspicion::due);
            match due {
                Some(due) => return due,
                None => self.suspected.notified().await,
            }
        }
    }

    /// Takes a suspected panic for a fact if it is due; says whether it is one.
    pub(crate) fn believe_if_due(&self, now: Instant) -> bool {
        let mut state = self.state();
        if state.suspicion.as_ref().is_none_or(|it| it.due() > now) {
            return false;
        }
        let news = state.believe();
        self.ring(state, news);
        news
    }

    /// Whether a report of our program is news: the first since the guest's start or reset, or one of a higher generation
    /// than the last.
    pub(crate) fn is_news(&self, generation: u32) -> bool {
        let mut state = self.state();
        let first = state.reported.is_none_or(|last| generation > last);
        if first {
            state.reported = Some(generation);
            let news = state.hear(Fact::Reported);
            self.ring(state, news);
        }
        first
    }

    /// The guest continues from a moment at which it had reported so.
    pub(crate) fn had_reported(&self, generation: Option<u32>) {
        self.state().reported = generation;
    }

    fn ring(&self, state: MutexGuard<'_, State>, news: bool) {
        drop(state);
        if news {
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

    /// The verdict on the guest's end, which is told with it; whoever asks first makes it. `None`: not even SIGKILL has ended QEMU.
    pub(crate) fn conclude(&self, exit: Option<&Exit>) -> GuestEnd {
        self.end
            .get_or_init(|| {
                let mut state = self.state();
                let step = state.step.clone();
                let (how, success, words) = match exit {
                    Some(exit) => (exit.describe(), exit.status.success(), exit.evidence_text()),
                    None => ("still there, stuck in the kernel".to_owned(), false, String::new()),
                };
                // Ended before it was certain: nothing has spoken against it.
                state.believe();
                let (status, how) = state.life.conclude(&how, success, step.as_deref());
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

    fn running() -> Shared {
        let shared = Shared::new("qemu".into());
        shared.hear(Fact::Qmp(QmpEvent::Resume));
        shared
    }

    fn reset() -> Fact {
        Fact::Qmp(QmpEvent::Reset { guest: true, reason: "guest-reset".into() })
    }

    fn suspect(shared: &Shared, at_ms: u64, now: Instant) {
        shared.suspect("words".into(), Duration::from_millis(at_ms), now);
    }

    #[tokio::test]
    async fn a_panic_is_believed_when_silence_follows() {
        let (shared, now) = (running(), Instant::now());
        let ms = |ms| now + Duration::from_millis(ms);
        suspect(&shared, 100, now);
        shared.wrote(false, ms(1900));
        assert!(!shared.believe_if_due(ms(3800)));
        assert_eq!((shared.suspicion_due().await, shared.status()), (ms(3900), GuestStatus::Running));
        assert!(shared.believe_if_due(ms(3900)) && !shared.believe_if_due(ms(9000)));
        assert_eq!(shared.status(), GuestStatus::Panicked);
        shared.hear(reset());
        assert_eq!(shared.status(), GuestStatus::Rebooting);
    }

    #[test]
    fn a_guest_that_lives_is_not_believed_to_be_dead() {
        let (shared, now) = (running(), Instant::now());
        let later = now + Duration::from_secs(3600);
        suspect(&shared, 100, now);
        shared.wrote(true, now);
        assert!(!shared.believe_if_due(later));
        // Read after the reset that the same panic led to: its kernel ran longer than the machine has since.
        shared.hear(reset());
        suspect(&shared, 2100, Instant::now() + Duration::from_secs(2));
        assert!(!shared.believe_if_due(later));
        suspect(&shared, 2100, Instant::now() + Duration::from_secs(3));
        shared.hear(Fact::Qmp(QmpEvent::Shutdown { guest: true, reason: "guest-shutdown".into() }));
        assert_eq!(shared.conclude(None).status, GuestStatus::PoweredOff);
    }

    #[test]
    fn a_reset_and_the_end_confirm_a_panic() {
        use GuestStatus::{Panicked, Rebooting, Running, Starting};
        let shared = running();
        suspect(&shared, 100, Instant::now());
        shared.hear(reset());
        let told: Vec<_> = std::iter::from_fn(|| shared.untold()).collect();
        assert_eq!(told, [Starting, Running, Panicked, Rebooting]);
        let shared = running();
        suspect(&shared, 100, Instant::now());
        shared.ending("quit");
        let end = shared.conclude(None);
        assert_eq!((end.status, end.how.as_str()), (Panicked, "words"));
    }

    #[test]
    fn a_report_counts_once_for_each_start_and_each_layer() {
        let shared = running();
        assert!(shared.is_news(0) && !shared.is_news(0) && !shared.is_news(0));
        assert!(shared.is_news(2) && !shared.is_news(1) && !shared.is_news(2));
        shared.hear(reset());
        assert!(shared.is_news(0) && !shared.is_news(0));
        shared.had_reported(Some(5));
        assert!(!shared.is_news(5) && shared.is_news(6));
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
