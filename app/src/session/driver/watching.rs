//! How far a guest has come while it boots: its own report where its image has a program for it, else the signs on its
//! serial line, and a time after which nothing more is waited for.

use std::time::Duration;

use isoprep::EngineKind;
use tokio::time::Instant;

use super::Driver;
use crate::session::event::{Event, Failure, Level};
use crate::session::failure::exit_code;
use crate::session::handover::Handover;
use crate::session::logs::Pane;
use crate::session::panic_words::PanicWords;
use crate::session::sign::{Sign, SignScanner};
use crate::session::state::{Input, Phase};

/// How long nothing must follow a prompt for it to count: an emulated guest may pause within a line.
const QUIET: Duration = Duration::from_secs(2);
/// So many resets without coming up are a loop: firmware and installers need one or two.
const LOOP: u32 = 4;
/// How long a guest that has shown that it is up may still take to report: it reads the whole repository first.
const LAST_REPORT: Duration = Duration::from_secs(180);

/// What a guest that boots has shown so far.
#[derive(Default)]
pub(super) struct Watching {
    /// When its open line counts as a prompt.
    pub(super) quiet: Option<Instant>,
    scanner: SignScanner,
    /// When it counts as running although it shows nothing, because an init that nobody knows has taken over.
    pub(super) handed: Option<Instant>,
    /// How far that is.
    pub(super) handover: Handover,
    /// What was told last.
    pub(super) sign: Option<Sign>,
    /// Why its image has nothing in it that reports.
    pub(super) mute: Option<String>,
    /// What its kernel said when it panicked.
    pub(super) panic: PanicWords,
    /// How often it was reset, and has not come up since.
    resets: u32,
    /// How long it may take.
    patience: Duration,
}

/// How long a guest is waited for: emulated, a system with systemd takes minutes; one that cannot report is not waited
/// for in vain for as long.
fn patience(engine: EngineKind, emulated: bool, mute: bool) -> Duration {
    let seconds = match (engine, emulated, mute) {
        (EngineKind::Micro, ..) | (_, false, false) => 300,
        (_, true, false) => 1200,
        (_, false, true) => 180,
        (_, true, true) => 600,
    };
    Duration::from_secs(seconds)
}

impl Driver {
    /// A guest is about to start: from an image, or, if it is `strange`, from what no build has left.
    pub(super) fn watch_guest(&mut self, mute: Option<String>, strange: bool) {
        let prepared = self.prepared.as_ref();
        let engine = prepared.map_or(EngineKind::Micro, |it| it.recipe.image.engine);
        // What it is is not known: perhaps a whole distribution.
        let engine = if strange { EngineKind::Tree } else { engine };
        let accelerator = prepared.and_then(|it| it.accelerator.as_ref()).map(|it| it.accelerator);
        let emulated = accelerator != Some(vmtools::Accelerator::Kvm);
        let patience = self.patience.unwrap_or_else(|| patience(engine, emulated, mute.is_some()));
        self.watching = Watching { mute, patience, ..Watching::default() };
        self.boot_deadline = Some(Instant::now() + patience);
    }

    /// It was reset. One that does nothing else is ended.
    pub(super) async fn rebooted(&mut self) {
        self.watching.resets += 1;
        if self.watching.resets < LOOP || self.state.phase != Phase::Booting {
            return;
        }
        self.fail(Failure {
            title: "The guest reboots in a loop".into(),
            detail: format!("It was reset {LOOP} times and has not come up"),
            advice: Some(
                "The serial log says what came before each reset. With panic=0 on its command line a kernel that panics stops \
                 instead"
                    .into(),
            ),
            command: Some(self.standalone.clone()),
            pane: Some(Pane::Serial),
            exit_code: exit_code::GUEST,
        })
        .await;
    }

    /// It wrote to its serial line.
    pub(super) async fn look_for_signs(&mut self, bytes: &[u8]) {
        if self.state.phase != Phase::Booting && !self.shows_more() {
            return;
        }
        let sign = self.watching.scanner.push(bytes);
        self.watching.quiet = self.watching.scanner.standing().map(|_| Instant::now() + QUIET);
        if let Some(sign) = sign {
            self.showed(sign).await;
        }
    }

    /// Nothing has followed its open line.
    pub(super) async fn quiet(&mut self) {
        self.watching.quiet = None;
        if let Some(sign) = self.watching.scanner.standing() {
            self.showed(sign).await;
        }
    }

    /// Whether it was taken to run without having shown anything, and may yet do so.
    fn shows_more(&self) -> bool {
        self.state.phase == Phase::Running && self.watching.sign == Some(Sign::HandedOver)
    }

    /// Our init in it has told that the root's own takes over.
    pub(super) fn init_takes_over(&mut self) {
        self.watching.handover.told();
        self.wait_for_more();
    }

    /// It wrote to its serial line: an init may have taken over, or goes on talking.
    pub(super) fn look_for_handover(&mut self, bytes: &[u8]) {
        if self.watching.handover.push(bytes) {
            self.wait_for_more();
        }
    }

    fn wait_for_more(&mut self) {
        // What reports is waited for, and a test needs to know that its guest is up.
        let believed = self.watching.mute.is_some() && !self.testing.runs();
        let patience = self.watching.handover.patience().filter(|_| believed && self.state.phase == Phase::Booting);
        self.watching.handed = patience.map(|patience| Instant::now() + patience);
    }

    /// It has been silent for long enough since an init took over that reports nothing.
    pub(super) async fn handed_over(&mut self) {
        self.watching.handed = None;
        self.showed(Sign::HandedOver).await;
    }

    /// It begins: from now on it may be silent.
    pub(super) fn guest_begins(&mut self) {
        self.watching.handover.again();
        self.wait_for_more();
    }

    /// Its kernel has panicked: nobody takes over any more.
    pub(super) fn no_handover(&mut self) {
        self.watching.handed = None;
        self.watching.handover.panicked();
    }

    /// Nothing that it could show matters any more.
    pub(super) fn nothing_is_waited_for(&mut self) {
        self.boot_deadline = None;
        (self.watching.quiet, self.watching.handed) = (None, None);
    }

    pub(super) async fn showed(&mut self, sign: Sign) {
        if self.shows_more() && sign != Sign::HandedOver {
            self.watching.sign = Some(sign);
            return self.tell(Event::GuestShowed { sign }).await;
        }
        if self.state.phase != Phase::Booting || self.watching.sign == Some(sign) {
            return;
        }
        self.watching.sign = Some(sign);
        self.tell(Event::GuestShowed { sign }).await;
        match (sign, &self.watching.mute) {
            (Sign::Emergency, _) => {
                let text =
                    "The guest did not come up: it waits in an emergency shell; its serial line says why".to_owned();
                self.notice(Level::Warning, text).await;
                self.booted().await;
                self.test_booted(None).await;
            }
            (_, Some(_)) => {
                self.booted().await;
                self.brought_in().await;
                self.test_booted(None).await;
            }
            (_, None) => {
                let soon = Instant::now() + LAST_REPORT;
                self.boot_deadline = self.boot_deadline.map(|deadline| deadline.min(soon));
            }
        }
    }

    /// Nothing more is waited for.
    pub(super) async fn booted(&mut self) {
        self.nothing_is_waited_for();
        self.make_template();
        self.input(Input::BootDone).await;
    }

    /// The guest runs but has not reported.
    pub(super) async fn late(&mut self) {
        let text = match (&self.watching.mute, self.watching.sign) {
            (Some(why), _) => format!(
                "Whether the guest is up is not known: this image does not report, because {why}, and its serial line has \
                 shown no login and no prompt with the name of its host for {} s. Look at its screen and at the serial \
                 log; --wait says for how long to look",
                self.watching.patience.as_secs()
            ),
            (None, Some(_)) => {
                "The guest is up and has not reported: is its init systemd, and has cartridge-report.service failed?"
                    .to_owned()
            }
            (None, None) => format!(
                "The guest has not reported for {} s. It may still be booting: look at its screen and at the serial log; \
                 --wait says for how long to wait",
                self.watching.patience.as_secs()
            ),
        };
        self.notice(Level::Warning, text).await;
        self.booted().await;
        self.test_booted(None).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn emulated_systems_get_more_time_than_any_other() {
        let of = |engine, emulated, mute| patience(engine, emulated, mute).as_secs();
        assert_eq!(of(EngineKind::Micro, true, false), of(EngineKind::Micro, false, false));
        for engine in [EngineKind::Archiso, EngineKind::Debian] {
            assert!(
                of(engine, true, false) > of(engine, false, false) && of(engine, true, true) > of(engine, false, true)
            );
            assert!(of(engine, true, true) < of(engine, true, false));
        }
    }
}
