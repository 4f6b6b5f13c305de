//! What becomes of a guest: facts in, states out. Pure; the tasks that hear the facts share it behind a lock.
//!
//! ```text
//! Starting ──RESUME──▶ Running ◀──STOP/RESUME──▶ Paused
//!                        │  ▲
//!           RESET ───────┘  └── settled ── Rebooting
//!    GUEST_PANICKED or the kernel's words on the serial line ──▶ Panicked ──RESET──▶ Rebooting
//!    QEMU ends: after SHUTDOWN by the guest PoweredOff, by us Ended, after a panic Panicked, else Crashed
//! ```
//!
//! A QEMU that does not answer hides all that behind Unresponsive until it answers again.

use serde::{Deserialize, Serialize};

use crate::qmp::message::QmpEvent;

/// What a guest is doing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GuestStatus {
    /// QEMU is up, the guest has not run yet.
    Starting,
    /// It runs.
    Running,
    /// Its CPUs were stopped from outside.
    Paused,
    /// It was reset and starts again from its firmware.
    Rebooting,
    /// QEMU itself does not answer: it hangs or was stopped.
    Unresponsive,
    /// It switched itself off.
    PoweredOff,
    /// We ended it, because we were asked to.
    Ended,
    /// Its kernel gave up.
    Panicked,
    /// QEMU ended, and nobody had asked it to.
    Crashed {
        /// "killed by signal 9", "exit code 1".
        how: String,
    },
}

/// How a guest ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GuestEnd {
    /// Its last state: powered off, ended, panicked or crashed.
    pub status: GuestStatus,
    /// The same in words, for people.
    pub how: String,
    /// The end of what QEMU printed.
    pub qemu_words: String,
    /// The command that ran it, to be copied.
    pub command: String,
}

/// Something that was heard about a guest.
#[derive(Clone, Debug)]
pub(crate) enum Fact {
    Qmp(QmpEvent),
    /// The kernel's last words on the serial line.
    SerialPanic(String),
    /// Our init has told what it found: the guest is well.
    Reported,
    /// QEMU has answered, or it has not in time.
    Answering(bool),
    /// Enough time has passed since a reset.
    Settled,
    /// We have begun to end it.
    Ending,
}

#[derive(Debug)]
struct Panic {
    words: String,
    /// The guest's own device has told it, not only its serial line.
    certain: bool,
}

/// A guest's state and what explains its end.
#[derive(Debug)]
pub(crate) struct Life {
    status: GuestStatus,
    shutdown: Option<(bool, String)>,
    panic: Option<Panic>,
    ending: bool,
    silent: bool,
}

impl Default for Life {
    fn default() -> Self {
        Self { status: GuestStatus::Starting, shutdown: None, panic: None, ending: false, silent: false }
    }
}

impl Life {
    /// The state to be told.
    pub(crate) fn status(&self) -> &GuestStatus {
        // A QEMU that is ending has better things to do than to answer.
        let over = self.ending || self.status == GuestStatus::PoweredOff;
        if self.silent && !over { &GuestStatus::Unresponsive } else { &self.status }
    }

    /// Whether its CPUs have been stopped and need `cont` to run again.
    pub(crate) fn stands_still(&self) -> bool {
        matches!(self.status, GuestStatus::Panicked | GuestStatus::Paused)
    }

    /// Takes a fact; returns the new state if there is one.
    pub(crate) fn hear(&mut self, fact: Fact) -> Option<GuestStatus> {
        let before = self.status().clone();
        if let Some(next) = self.next(fact) {
            self.status = next;
        }
        // A kernel prints its panic twice, and pvpanic may tell it a third time.
        let after = self.status();
        (*after != before).then(|| after.clone())
    }

    fn next(&mut self, fact: Fact) -> Option<GuestStatus> {
        Some(match fact {
            Fact::Qmp(QmpEvent::Resume) => {
                self.panic = None;
                GuestStatus::Running
            }
            Fact::Qmp(QmpEvent::Stop) if self.ending => return None,
            Fact::Qmp(QmpEvent::Stop) => match self.status {
                // The CPUs are stopped at a panic, by QEMU or by us, and at the end: that is no pause.
                GuestStatus::Panicked | GuestStatus::PoweredOff | GuestStatus::Starting => return None,
                _ => GuestStatus::Paused,
            },
            Fact::Qmp(QmpEvent::Reset { .. }) if self.status != GuestStatus::Starting => {
                self.panic = None;
                GuestStatus::Rebooting
            }
            Fact::Qmp(QmpEvent::Shutdown { guest, reason }) => {
                let by_guest = reason == "guest-shutdown";
                self.shutdown = Some((guest, reason));
                if !by_guest {
                    return None;
                }
                // A kernel that has panicked switches nothing off.
                self.panic = None;
                GuestStatus::PoweredOff
            }
            Fact::Qmp(QmpEvent::GuestPanicked) => {
                let words = match self.panic.take() {
                    Some(panic) => panic.words,
                    None => "the guest's kernel panicked".into(),
                };
                self.panic = Some(Panic { words, certain: true });
                GuestStatus::Panicked
            }
            Fact::SerialPanic(_) if self.status == GuestStatus::PoweredOff => return None,
            Fact::SerialPanic(words) => {
                // The words say more than pvpanic's bare event does.
                let certain = self.panic.as_ref().is_some_and(|panic| panic.certain);
                self.panic = Some(Panic { words, certain });
                GuestStatus::Panicked
            }
            Fact::Reported if self.panic.as_ref().is_some_and(|panic| !panic.certain) => {
                self.panic = None;
                if self.status != GuestStatus::Panicked {
                    return None;
                }
                GuestStatus::Running
            }
            Fact::Settled if self.status == GuestStatus::Rebooting => GuestStatus::Running,
            Fact::Ending => {
                self.ending = true;
                return None;
            }
            Fact::Answering(answers) => {
                self.silent = !answers;
                return None;
            }
            Fact::Settled | Fact::Reported | Fact::Qmp(_) => return None,
        })
    }

    /// QEMU has ended with `exit` ("exit code 0"). `step` says what we did to end it, if we did.
    pub(crate) fn conclude(&mut self, exit: &str, success: bool, step: Option<&str>) -> (GuestStatus, String) {
        self.silent = false;
        let (status, how) = if let Some(panic) = &self.panic {
            (GuestStatus::Panicked, panic.words.clone())
        } else if self.shutdown.as_ref().is_some_and(|(_, reason)| reason == "guest-shutdown") {
            (GuestStatus::PoweredOff, "the guest powered itself off".to_owned())
        } else if self.ending {
            let step = step.unwrap_or("as we asked it to");
            (GuestStatus::Ended, format!("ended by us ({step}; QEMU: {exit})"))
        } else {
            match &self.shutdown {
                Some((_, reason)) if success && reason == "host-signal" => {
                    let how = "somebody else ended QEMU with a signal".to_owned();
                    (GuestStatus::Crashed { how: how.clone() }, how)
                }
                Some((_, reason)) if success => (GuestStatus::PoweredOff, format!("QEMU shut down: {reason}")),
                _ => (GuestStatus::Crashed { how: exit.to_owned() }, format!("QEMU ended unasked: {exit}")),
            }
        };
        self.status = status.clone();
        (status, how)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shutdown(reason: &str) -> Fact {
        Fact::Qmp(QmpEvent::Shutdown { guest: reason.starts_with("guest"), reason: reason.into() })
    }

    fn reset() -> Fact {
        Fact::Qmp(QmpEvent::Reset { guest: true, reason: "guest-reset".into() })
    }

    fn after(facts: Vec<Fact>) -> (Life, Vec<GuestStatus>) {
        let mut life = Life::default();
        let told = facts.into_iter().filter_map(|f| life.hear(f)).collect();
        (life, told)
    }

    #[test]
    fn a_life_from_start_to_poweroff() {
        use GuestStatus::{Paused, PoweredOff, Rebooting, Running};
        let resume = || Fact::Qmp(QmpEvent::Resume);
        let stop = || Fact::Qmp(QmpEvent::Stop);
        let (mut life, told) = after(vec![
            resume(),
            stop(),
            resume(),
            reset(),
            Fact::Settled,
            Fact::Settled,
            shutdown("guest-shutdown"),
            stop(),
        ]);
        assert_eq!(told, [Running, Paused, Running, Rebooting, Running, PoweredOff]);
        let end = life.conclude("exit code 0", true, None);
        assert_eq!(end, (PoweredOff, "the guest powered itself off".into()));
    }

    #[test]
    fn a_panic_is_told_once_and_outlives_the_end() {
        let words = "Kernel panic - not syncing: VFS";
        let (mut life, told) = after(vec![
            Fact::Qmp(QmpEvent::Resume),
            Fact::SerialPanic(words.into()),
            Fact::Qmp(QmpEvent::GuestPanicked),
            Fact::Qmp(QmpEvent::Stop),
            Fact::SerialPanic(words.into()),
            Fact::Ending,
            shutdown("host-qmp-quit"),
        ]);
        assert_eq!(told, [GuestStatus::Running, GuestStatus::Panicked]);
        assert_eq!(life.conclude("exit code 0", true, Some("quit")), (GuestStatus::Panicked, words.into()));
    }

    #[test]
    fn a_guest_that_goes_on_had_no_panic() {
        let panicked = || vec![Fact::Qmp(QmpEvent::Resume), Fact::SerialPanic("x".into())];
        let with = |fact| after(panicked().into_iter().chain([fact]).collect());
        let (mut life, _) = with(shutdown("guest-shutdown"));
        assert_eq!(life.hear(Fact::SerialPanic("read late".into())), None);
        assert_eq!(life.conclude("exit code 0", true, None).0, GuestStatus::PoweredOff);
        for fact in [Fact::Qmp(QmpEvent::Resume), Fact::Reported] {
            let (mut life, told) = with(fact);
            assert_eq!(told, [GuestStatus::Running, GuestStatus::Panicked, GuestStatus::Running]);
            life.hear(Fact::Ending);
            assert_eq!(life.conclude("exit code 0", true, None).0, GuestStatus::Ended);
        }
        // What pvpanic says is sure: a report that is read late came before it.
        let (mut life, _) = with(Fact::Qmp(QmpEvent::GuestPanicked));
        assert_eq!(life.hear(Fact::Reported), None);
        assert_eq!(life.conclude("exit code 0", true, None), (GuestStatus::Panicked, "x".into()));
    }

    #[test]
    fn silence_hides_the_state_and_an_answer_shows_it() {
        use GuestStatus::{Panicked, Running, Unresponsive};
        let silent = || Fact::Answering(false);
        let (mut life, told) = after(vec![
            Fact::Qmp(QmpEvent::Resume),
            silent(),
            silent(),
            Fact::Answering(true),
            silent(),
            Fact::SerialPanic("x".into()),
        ]);
        assert_eq!(told, [Running, Unresponsive, Running, Unresponsive]);
        assert!(life.stands_still());
        assert_eq!(life.hear(Fact::Answering(true)), Some(Panicked));
        life.hear(Fact::Ending);
        assert_eq!(life.hear(silent()), None, "it is ending");
    }

    #[test]
    fn a_reset_forgives_a_panic() {
        let (mut life, _) =
            after(vec![Fact::Qmp(QmpEvent::Resume), Fact::SerialPanic("x".into()), reset(), Fact::Ending]);
        assert_eq!(life.conclude("exit code 0", true, None).0, GuestStatus::Ended);
    }

    #[test]
    fn only_an_unasked_end_is_a_crash() {
        let crashed = |how: &str| GuestStatus::Crashed { how: how.into() };
        let (mut life, _) = after(vec![Fact::Qmp(QmpEvent::Resume)]);
        assert_eq!(life.conclude("killed by signal 9", false, None).0, crashed("killed by signal 9"));
        let (mut life, _) = after(vec![Fact::Qmp(QmpEvent::Resume), Fact::Ending]);
        let (status, how) = life.conclude("killed by signal 9", false, Some("SIGKILL after 5.0 s"));
        assert_eq!(status, GuestStatus::Ended);
        assert_eq!(how, "ended by us (SIGKILL after 5.0 s; QEMU: killed by signal 9)");
        let (mut life, _) = after(vec![Fact::Qmp(QmpEvent::Resume), shutdown("host-signal")]);
        assert!(matches!(life.conclude("exit code 0", true, None).0, GuestStatus::Crashed { .. }));
    }
}
