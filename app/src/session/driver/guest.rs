//! The guest: start it, listen to it, type into it, photograph it.

use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use isoprep::Viewer;
use tokio::sync::mpsc::{Receiver, channel};
use vmtools::display::{Client, GuestLayout, InputEvent, keysyms_for_text};
use vmtools::share::mount_command;
use vmtools::{Boot, BootStep, Chosen, GuestEvent, GuestHandle, GuestPlan, GuestStatus};

use super::{Driver, FRESH, STROKE, TOLD};
use crate::session::direct::DirectWish;
use crate::session::event::{Event, Failure, Level, Side};
use crate::session::failure::{exit_code, internal, no_image};
use crate::session::handover::Handover;
use crate::session::jobs::direct::Wanted;
use crate::session::jobs::{self, Hardware, Outcome};
use crate::session::logs::Pane;
use crate::session::sign::Sign;
use crate::session::state::{Goal, Input, Phase};

/// For how long a guest may not have told yet that its Caps Lock is on again.
const LIGHT: std::time::Duration = std::time::Duration::from_secs(2);

/// What typed text has done to the guest's Caps Lock, which was on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Caps {
    #[default]
    Untouched,
    /// It will be put off.
    Queued,
    /// It is off until the text has ended.
    Off,
    /// It was put on again then.
    PutOn(tokio::time::Instant),
}

/// Caps Lock, pressed and let go.
const CAPS_LOCK: [InputEvent; 2] = [
    InputEvent::Key { scancode: 0x3a, keysym: None, down: true },
    InputEvent::Key { scancode: 0x3a, keysym: None, down: false },
];

impl Driver {
    pub(super) async fn start_guest(&mut self) {
        if self.state.goal == Some(Goal::Boot) {
            self.reload_image();
        }
        let Some(prepared) = self.prepared.as_ref() else {
            return self.fail(internal("There is nothing to boot", &"nothing was prepared")).await;
        };
        let own = &prepared.recipe.boot;
        let wish = DirectWish::chosen(self.wish.clone(), own);
        let hardware = prepared.machine.clone();
        let needed = wish.as_ref().is_none_or(DirectWish::needs_image);
        let built = self.image.clone().filter(|_| self.state.goal != Some(Goal::Direct));
        let image = built.as_ref().map(|it| it.image.clone());
        let named = DirectWish::named_for_run(self.wish.as_ref(), &self.run_fields());
        let recipe = &prepared.recipe;
        let wanted = wish.map(|wish| Wanted::new((wish, named), image, recipe, hardware.as_ref(), self.paths.clone()));
        let Some(mut hardware) = hardware else {
            return self.fail(internal("There is nothing to boot", &"no machine")).await;
        };
        if needed && built.is_none() {
            return self.fail(no_image()).await;
        }
        self.boots += 1;
        self.guest_status = None;
        self.slots.begin();
        self.clear_screen();
        let runtime = self.paths.runtime.join(format!("{}-{}", self.id, self.boots));
        if let Err(failure) = self.make_runtime(&runtime) {
            return self.fail(failure).await;
        }
        let boot = built.as_ref().map_or(Boot::Nothing, |it| Boot::Iso(it.image.iso.clone()));
        // What is booted directly is known only when it was made ready.
        self.standalone = if wanted.is_none() { hardware.standalone(&boot) } else { String::new() };
        if let Err(failure) = jobs::place_disks(&mut hardware.machine.disks, || self.make_work()) {
            return self.fail(failure).await;
        }
        self.logs.terminal.clear();
        self.booted_tree = built.as_ref().filter(|_| needed).map(|it| it.image.tree_hash.clone());
        let mute = built.and_then(|it| it.mute);
        // What no build has left knows nothing of the repository.
        let cartridge = self.prepared.as_ref().filter(|_| self.state.goal != Some(Goal::Direct));
        let sharing = cartridge.map(|it| jobs::sharing_of(&it.recipe)).unwrap_or_default();
        let Hardware { machine, firmware, qemu } = hardware;
        let plan = GuestPlan { machine, boot, runtime, qemu, firmware, sharing };
        let (events, queue) = channel(256);
        self.hear_guest(Some(queue));
        let (screen, cancel, command) = (Arc::clone(&self.screen), self.cancel.clone(), self.standalone.clone());
        let Some(wanted) = wanted else {
            self.watch_guest(mute, false);
            let start = async move { Outcome::Started(jobs::start(plan, command, events, screen, cancel).await) };
            self.job = Some(tokio::spawn(start));
            return;
        };
        self.watch_guest(wanted.wish.mute(mute.as_deref()), !needed);
        self.watching.handover = Handover::new(wanted.wish.brings_initramfs());
        let (side, lacking) = (self.side.0.clone(), self.templates.begin());
        self.direct_command = Arc::default();
        let command = Arc::clone(&self.direct_command);
        self.job = Some(tokio::spawn(async move {
            Outcome::Started(jobs::start_direct((wanted, lacking, command), plan, events, screen, cancel, side).await)
        }));
    }

    /// Makes the guest's private directory, written down before it is made. `vmtools` checks that it is private.
    pub(super) fn make_runtime(&mut self, runtime: &Path) -> Result<(), Failure> {
        let advice = "a folder that is yours alone (mode 700) is needed there; XDG_RUNTIME_DIR chooses another place";
        let failed = |e: &dyn std::fmt::Display| Failure {
            advice: Some(advice.to_owned()),
            ..internal("No private directory could be made for the guest", e)
        };
        self.record.note(|made| made.runtime = Some(runtime.to_owned())).map_err(|e| failed(&e))?;
        let make = |dir: &Path| std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir);
        make(&self.paths.runtime).map_err(|e| failed(&format!("{}: {e}", self.paths.runtime.display())))?;
        vmtools::RuntimeDir::open(&self.paths.runtime).map_err(|e| failed(&e))?;
        let held = vmtools::RuntimeDir::create_at(runtime).map_err(|e| failed(&e))?;
        self.record.hold(held);
        Ok(())
    }

    /// Nothing of an earlier guest's picture stays, and the next one's is shown by the client that the cartridge names.
    pub(super) fn clear_screen(&self) {
        self.screen.forget();
        let vnc_rs = self.prepared.as_ref().is_some_and(|it| it.recipe.guest.viewer == Viewer::VncRs);
        self.screen.set_client(if vnc_rs { Client::VncRs } else { Client::Own });
    }

    pub(super) async fn guest_started(&mut self, guest: Box<GuestHandle>) {
        if self.standalone.is_empty() {
            let direct = self.direct_command.get().map(String::as_str);
            direct.unwrap_or_else(|| guest.command()).clone_into(&mut self.standalone);
        }
        let (pid, command) = (guest.pid(), self.standalone.clone());
        self.guest = Some(guest);
        if let Err(error) = self.record.note(|made| made.guest = Some(pid)) {
            self.notice(Level::Warning, format!("The session's record could not be written: {error}")).await;
        }
        self.guest_begins();
        self.guest_is_new();
        self.test_guest_started();
        self.tell(Event::GuestStarted { pid, command, mute: self.watching.mute.clone() }).await;
        self.tell_restored().await;
    }

    /// Listens to another guest from now on, or to none.
    pub(super) fn hear_guest(&mut self, events: Option<Receiver<GuestEvent>>) {
        self.logs.pane(Pane::Qemu).end_words();
        self.wake.wake();
        self.guest_events = events;
    }

    pub(super) async fn guest_event(&mut self, event: GuestEvent) {
        match event {
            GuestEvent::Qemu(bytes) => {
                self.logs.pane(Pane::Qemu).words(&bytes);
                self.wake.wake();
            }
            GuestEvent::Serial(bytes) => {
                self.logs.pane(Pane::Serial).append(&bytes);
                self.logs.terminal.feed(&bytes);
                self.watching.panic.push(&bytes);
                self.wake.wake();
                self.look_for_signs(&bytes).await;
                self.look_for_handover(&bytes);
                self.test_hears(&bytes).await;
            }
            GuestEvent::Status(status) => self.guest_changed(status).await,
            GuestEvent::Reported(report) => {
                // What is live is not what was injected, and nothing was hashed.
                let expected = self.expected_tree(&report).filter(|_| report.live().is_none());
                let matches = expected.map(|expected| expected == report.tree);
                self.slots.report = Some(report.clone());
                for share in report.shares.iter().filter(|share| share.problem.is_some()) {
                    self.notice(Level::Warning, share.words()).await;
                }
                self.guest_sees(report.live().is_some());
                self.tell(Event::GuestReported { report: report.clone(), matches }).await;
                self.layer_reported(&report).await;
                if self.state.phase == Phase::Booting {
                    self.booted().await;
                    // What is live is there as well.
                    match matches {
                        Some(false) => self.not_brought_in(),
                        _ => self.brought_in().await,
                    }
                    self.test_booted(matches).await;
                }
            }
            GuestEvent::Boot(BootStep::Shell) => self.showed(Sign::Shell).await,
            GuestEvent::Boot(BootStep::Failed { what, there }) => {
                let text = format!("The guest could not put its root together: {what}\n{}", there.join("\n"));
                self.notice(Level::Warning, text).await;
                self.showed(Sign::Emergency).await;
            }
            GuestEvent::Boot(BootStep::Exec { .. }) => self.init_takes_over(),
            GuestEvent::Boot(BootStep::Ready | BootStep::Init) => {}
            GuestEvent::Forwarded { name, guest_port, host_port } => {
                self.tell(Event::PortForwarded { name, guest_port, host_port }).await;
            }
            GuestEvent::Shared(chosen) => self.guest_shares(&chosen).await,
            GuestEvent::Ended(end) => {
                self.nothing_is_waited_for();
                // Another set: a layer on its way to this guest is not kept with those of the next.
                self.slots.held = Arc::default();
                self.guest_changed(end.status.clone()).await;
                let by_itself = matches!(self.state.phase, Phase::Booting | Phase::Running);
                if by_itself && let GuestStatus::Crashed { how } = &end.status {
                    let detail = format!("{how}\n{}", end.qemu_words.trim());
                    let failure = Failure {
                        title: "QEMU ended unexpectedly".into(),
                        detail: detail.trim().to_owned(),
                        advice: None,
                        command: Some(self.standalone.clone()),
                        pane: Some(Pane::Qemu),
                        exit_code: exit_code::GUEST,
                    };
                    return self.fail(failure).await;
                }
                self.input(Input::GuestEnded).await;
            }
        }
    }

    /// Says what the guest is lent, and what to type where nothing of ours mounts it.
    async fn guest_shares(&mut self, chosen: &Chosen) {
        self.notice(Level::Info, chosen.words()).await;
        // The root itself was mounted by the initramfs, or there is no guest.
        if self.watching.mute.is_some() && chosen.at != Path::new("/") {
            let command = mount_command(&chosen.folder(), chosen.kind);
            self.notice(
                Level::Warning,
                format!("Nothing in this image mounts it. Type in the guest, as root: {command}"),
            )
            .await;
        }
    }

    /// Tells a state that is new: a guest that had panicked ends as one, which is no news.
    async fn guest_changed(&mut self, status: GuestStatus) {
        if self.guest_status.as_ref() != Some(&status) {
            self.guest_status = Some(status.clone());
            let (rebooted, panicked) = (status == GuestStatus::Rebooting, status == GuestStatus::Panicked);
            if rebooted {
                self.guest_begins();
            } else if panicked {
                self.no_handover();
            }
            if status == GuestStatus::Panicked
                && let Some(words) = self.watching.panic.take()
            {
                self.notice(Level::Warning, format!("The guest's kernel has panicked: {words}")).await;
                self.fail_test(format!("the guest's kernel has panicked: {words}")).await;
            }
            self.tell(Event::GuestChanged { status }).await;
            if panicked {
                self.fail_test("the guest's kernel has panicked".to_owned()).await;
            }
            if rebooted {
                self.test_reset().await;
                self.rebooted().await;
            }
        }
    }

    pub(super) async fn with_guest(&mut self, act: impl FnOnce(&GuestHandle)) {
        match &self.guest {
            Some(guest) => act(guest),
            None => self.notice(Level::Warning, self.no_guest().into()).await,
        }
    }

    pub(super) async fn type_text(&mut self, text: &str, layout: &GuestLayout) {
        if !self.has_screen() {
            return self.notice(Level::Warning, self.no_guest().into()).await;
        }
        // What is down would change the first letters, and nothing of the keyboard is handed on until the last one.
        if self.typing.is_empty() {
            let _ = self.pass(InputEvent::ReleaseAll);
        }
        if self.screen.takes_keysyms() {
            return self.typing.extend(keysyms_for_text(text));
        }
        let (strokes, lost) = layout.strokes(text);
        // Letters are typed as on a keyboard without it; it is put back after the last one.
        let put_on = matches!(self.caps, Caps::PutOn(at) if at.elapsed() < LIGHT);
        let on = put_on || self.screen.locks().is_some_and(|locks| locks.caps);
        if on && !strokes.is_empty() && !matches!(self.caps, Caps::Queued | Caps::Off) {
            self.caps = Caps::Queued;
            self.typing.extend(CAPS_LOCK);
        }
        for stroke in strokes {
            self.typing.extend(stroke.events());
        }
        if !lost.is_empty() {
            let lost: String = lost.into_iter().collect();
            self.notice(Level::Warning, format!("Not typed, the layout {} has no keys for it: {lost}", layout.label()))
                .await;
        }
    }

    /// Whether text of the user's is being typed, not a test's.
    pub(super) fn types_text(&self) -> bool {
        !self.typing.is_empty() && !self.testing.runs()
    }

    /// Tells that text is being typed, or no longer is. What a test types it tells itself.
    pub(super) async fn tell_typing(&mut self) {
        let typing = self.types_text();
        if std::mem::replace(&mut self.typing_told, typing) != typing {
            self.tell(Event::TypingChanged { typing }).await;
            self.typing_told_at = tokio::time::Instant::now();
        }
        let left = STROKE * u32::try_from(self.typing.len()).unwrap_or(u32::MAX);
        if typing && left >= TOLD && self.typing_told_at.elapsed() >= TOLD {
            self.typing_told_at = tokio::time::Instant::now();
            self.tell(Event::TypingAdvanced { left_ms: u64::try_from(left.as_millis()).unwrap_or(u64::MAX) }).await;
        }
    }

    pub(super) async fn stroke(&mut self) {
        self.next_stroke = tokio::time::Instant::now() + STROKE;
        let event = self.typing.pop_front();
        let pressed = matches!(event, Some(InputEvent::Key { scancode: 0x3a, down: true, .. }));
        if event.is_some_and(|event| self.pass(event)) {
            if pressed && self.caps == Caps::Queued {
                self.caps = Caps::Off;
            }
        } else {
            self.typing.clear();
            self.caps = Caps::Untouched;
        }
        if self.typing.is_empty() && self.caps == Caps::Off {
            self.typing.extend(CAPS_LOCK);
            self.caps = Caps::PutOn(tokio::time::Instant::now());
        }
        if self.typing.is_empty() {
            self.typed().await;
        }
    }

    /// Calls `with` on a thread for what may block, once the screen shows what the guest does now; or what it showed last, if that
    /// does not come.
    pub(super) fn with_fresh(&self, with: impl FnOnce() + Send + 'static) {
        let screen = Arc::clone(&self.screen);
        tokio::spawn(async move {
            screen.fresh(FRESH).await;
            // Whoever is told of it may be gone.
            let _ = tokio::task::spawn_blocking(with).await;
        });
    }

    pub(super) async fn screenshot(&mut self, path: Option<PathBuf>) {
        if !self.screen.has_picture() {
            return self.notice(Level::Warning, "There is no picture of a guest to save".into()).await;
        }
        let name = jiff::Zoned::now().strftime("Cartridge %Y-%m-%d %H-%M-%S.png").to_string();
        let dir = self.paths.pictures.clone();
        // Another guest may begin meanwhile, whose screen shows nothing yet.
        let before = self.screen.snapshot();
        let (side, screen) = (self.side.0.clone(), Arc::clone(&self.screen));
        self.with_fresh(move || {
            let Some(frame) = screen.snapshot().or(before) else { return };
            // A name of ours is nobody else's; one that was asked for is replaced.
            let saved = match path {
                Some(path) => frame.save_png(&path).map(|()| path),
                None => frame.save_new_png(&dir.join(name)),
            };
            let event = match saved {
                Ok(path) => Event::ScreenshotTaken { path, uniform: frame.is_uniform() },
                Err(error) => {
                    let failure = internal("The screenshot could not be saved", &error);
                    Event::SideFailed { side: Side::Screenshot, failure }
                }
            };
            // The session may have ended meanwhile.
            let _ = side.blocking_send(event);
        });
    }

    /// Every key up, nothing more to type.
    pub(super) fn hands_off(&mut self) {
        self.typing.clear();
        let _ = self.pass(InputEvent::ReleaseAll);
        if std::mem::take(&mut self.caps) == Caps::Off {
            for event in CAPS_LOCK {
                let _ = self.pass(event);
            }
        }
    }
}
