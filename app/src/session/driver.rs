//! The only task that owns a session's state. It takes commands, answers of jobs and events of the guest, asks the
//! state machine what they mean, performs its effects, and tells everybody else by events.

mod attach;
mod begin;
mod beside;
mod blank;
mod build;
mod cache;
mod check;
mod compare;
mod deploy;
mod diagnose;
mod direct;
mod eject;
mod examine;
mod guest;
mod layer;
mod reading;
mod recording;
mod restoring;
mod settings;
mod slots;
mod source;
mod templates;
mod test_steps;
mod testing;
mod watching;

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use isoprep::contents::StageTime;
use isoprep::{Cancel, Progress};
use tokio::sync::mpsc::{Receiver, Sender};
use tokio::task::JoinHandle;
use vmtools::attach::{AttachEvent, Attached, Place};
use vmtools::display::{InputEvent, Screen};
use vmtools::{GuestEvent, GuestHandle, GuestStatus};

use super::attach_recent::AttachRecent;
use super::attachment::AttachWish;
use super::built::Built;
use super::command::Command;
use super::direct::DirectWish;
use super::event::{EVENT_VERSION, Event, Failure, Level, Told};
use super::handle::Waker;
use super::inserted::Inserted;
use super::jobs::{self, NotPrepared, Outcome, Prepared};
use super::logs::{LogHub, Pane};
use super::onlooker::Gallery;
use super::pace::PaceMaker;
use super::recent::Recent;
use super::record::Record;
use super::redact;
use super::state::{Effect, EjectScope, Goal, Input, Phase, State, step};
use crate::paths::Paths;

pub use begin::{BeginError, SessionConfig, begin};
pub use recording::recording_name;

/// Between two key strokes of typed text: QEMU's PS/2 queue holds 16 bytes, and a guest under TCG empties it slowly.
const STROKE: Duration = Duration::from_millis(18);
/// So often it is told how long typing still takes.
const TOLD: Duration = Duration::from_secs(1);
/// For how long a picture of now is waited for.
const FRESH: Duration = Duration::from_secs(2);

/// An event of work with the guest of that number.
type OfGuest = (u32, Event);

struct Driver {
    paths: Paths,
    who: String,
    /// Where others watch from what is done with a cartridge.
    gallery: Gallery,
    fresh: bool,
    lint: bool,
    examines: bool,
    watches: bool,
    patience: Option<Duration>,
    /// The goal that is worked towards was asked for in spite of errors of the lint.
    anyway: bool,
    /// What was asked for while a guest runs, and is looked at before that is ended.
    checking: Option<check::Checking>,
    /// How the goal that is worked towards is booted, where a front end has said it; else the cartridge says it.
    wish: Option<DirectWish>,
    /// The tree that the guest should find, where it was booted from an image that is known.
    booted_tree: Option<String>,
    id: String,
    record: Record,
    recent: Recent,
    /// Servers that were attached to.
    attach_recent: AttachRecent,
    started: Instant,
    state: State,
    inserted: Option<Inserted>,
    image: Option<Built>,
    prepared: Option<Box<Prepared>>,
    /// What was to be known of the preparation before.
    prepared_notices: Vec<(Level, String)>,
    cancel: Cancel,
    /// The one job under way. Its answer moves the state machine.
    job: Option<JoinHandle<Outcome>>,
    guest: Option<Box<GuestHandle>>,
    guest_events: Option<Receiver<GuestEvent>>,
    /// The server that is to be attached to.
    attach_wish: Option<AttachWish>,
    /// Where the one is that is attached, or was.
    attached_to: Option<Place>,
    /// A VNC server of somebody else's on the screen, in place of a guest.
    attached: Option<Box<Attached>>,
    attached_events: Option<Receiver<AttachEvent>>,
    /// What was last told of it.
    guest_status: Option<GuestStatus>,
    progress: Option<Receiver<Progress>>,
    build_began: Option<Instant>,
    examining: examine::Examining,
    diagnosing: diagnose::Diagnosing,
    /// How quickly the build under way goes on.
    pace: PaceMaker,
    /// How long its stages took.
    stage_times: Vec<StageTime>,
    comparing: Option<compare::Comparing>,
    /// What the guest that boots has shown so far.
    watching: watching::Watching,
    /// What is known of the repository while it is edited.
    watched: source::Watched,
    boot_deadline: Option<tokio::time::Instant>,
    /// How long a guest's screen must show one colour until that is said, if it is not as usual.
    blank_after: Option<Duration>,
    blank: blank::Blank,
    /// What is known of slots and layers.
    slots: slots::Slots,
    /// Work beside everything else that uses the cache.
    beside: beside::Beside,
    /// Disks that are watched, and one that is written to.
    deploying: deploy::Deploying,
    /// The test under way.
    testing: testing::Testing,
    /// The template that is to be made, or is being made.
    templates: templates::Templates,
    /// Text is being read off the guest's screen.
    reading: Option<Cancel>,
    /// The guest's screen is being recorded.
    recording: Option<vmtools::record::Recording>,
    /// Keys still to be typed, one every [`STROKE`].
    typing: VecDeque<InputEvent>,
    /// It was told that there are some.
    typing_told: bool,
    /// When it was told last how long that still takes.
    typing_told_at: tokio::time::Instant,
    caps: guest::Caps,
    /// When the next of them is due.
    next_stroke: tokio::time::Instant,
    /// How many work directories this session has made.
    works: u32,
    /// How many guests it has started.
    boots: u32,
    /// What starts the guest by itself in a terminal.
    standalone: String,
    /// The same for a guest that is booted directly: known when that was made ready.
    direct_command: Arc<OnceLock<String>>,
    /// The eject under way, and what the last one left.
    ejecting: eject::Ejecting,
    quitting: bool,
    closed: bool,
    /// Events of work at the side that moves no state: screenshots, checks, surveys, steps of an eject.
    side: (Sender<Event>, Receiver<Event>),
    /// The same of work with a guest, which may be gone when it is told: with the guest's number.
    guest_side: (Sender<OfGuest>, Receiver<OfGuest>),
    events: Sender<Told>,
    logs: Arc<LogHub>,
    screen: Arc<Screen>,
    wake: Arc<Waker>,
}

/// What woke the driver.
enum Wake {
    Command(Option<Command>),
    Side(Event),
    GuestSide(u32, Event),
    Progress(Option<Progress>),
    Guest(Option<GuestEvent>),
    Attached(Option<AttachEvent>),
    Job(Outcome),
    Examine,
    Examined(Option<jobs::Look>),
    Compared(jobs::Compared),
    Stirred,
    LookAtSource,
    SourceLooked(Option<Result<jobs::SourceLook, isoprep::BuildError>>),
    Checked(check::Asked, Result<(), Failure>),
    Quiet,
    HandedOver,
    Stroke,
    TestDue,
    Doubt,
    LayerUntold,
    LookAtScreen,
    Deadline,
}

impl Driver {
    async fn run(mut self, mut commands: Receiver<Command>) {
        self.tell(Event::Opened { logs: self.record.dir().to_owned() }).await;
        if self.record.is_in_memory() {
            let (kept, dir) = (self.paths.sessions(), self.record.dir().display().to_string());
            let text = format!(
                "There is no room in {}: the logs of this session are in {dir}, and go with it",
                kept.display()
            );
            self.notice(Level::Warning, text).await;
        }
        self.tell_recent();
        self.tell_attach_recent().await;
        while !self.closed {
            match self.next(&mut commands).await {
                Wake::Command(Some(command)) => self.command(command).await,
                // The front end is gone: nobody will ask for anything again.
                Wake::Command(None) => self.quit(false).await,
                Wake::Side(event) => self.side_event(event).await,
                Wake::GuestSide(guest, event) => self.guest_side_event(guest, event).await,
                Wake::Progress(Some(progress)) => self.progressed(progress).await,
                Wake::Progress(None) => self.progress = None,
                Wake::Guest(Some(event)) => self.guest_event(event).await,
                Wake::Guest(None) => self.hear_guest(None),
                Wake::Attached(Some(event)) => self.attached_event(event).await,
                Wake::Attached(None) => self.attached_events = None,
                Wake::Job(outcome) => self.answer(outcome).await,
                Wake::Examine => self.start_examination().await,
                Wake::Examined(look) => self.examined(look).await,
                Wake::Compared(compared) => self.compared(compared).await,
                Wake::Stirred => self.source_stirred(),
                Wake::LookAtSource => self.start_source_look().await,
                Wake::SourceLooked(look) => self.source_looked(look).await,
                Wake::Checked(asked, answer) => self.checked(asked, answer).await,
                Wake::Quiet => self.quiet().await,
                Wake::HandedOver => self.handed_over().await,
                Wake::Stroke => self.stroke().await,
                Wake::TestDue => self.test_due().await,
                Wake::Doubt => self.doubt_is_over().await,
                Wake::LayerUntold => self.layer_untold().await,
                Wake::LookAtScreen => self.look_at_screen().await,
                Wake::Deadline => self.late().await,
            }
            self.tell_typing().await;
        }
    }

    async fn next(&mut self, commands: &mut Receiver<Command>) -> Wake {
        let quitting = self.quitting;
        let ejecting = self.state.phase == Phase::Ejecting;
        tokio::select! {
            command = commands.recv(), if !quitting => Wake::Command(command),
            Some(event) = self.side.1.recv() => Wake::Side(event),
            Some((guest, event)) = self.guest_side.1.recv() => Wake::GuestSide(guest, event),
            progress = next_of(&mut self.progress) => Wake::Progress(progress),
            // A guest's events wait until its start has been told; an eject ends it without anybody reading them.
            event = next_of(&mut self.guest_events), if self.job.is_none() || ejecting => Wake::Guest(event),
            event = next_of(&mut self.attached_events), if self.job.is_none() || ejecting => Wake::Attached(event),
            // Progress is told before the answer that follows it.
            outcome = answer_of(&mut self.job, ejecting), if self.progress.is_none() => Wake::Job(outcome),
            look = examine::look_of(&mut self.examining.running) => Wake::Examined(look),
            compared = compare::comparison_of(&mut self.comparing) => Wake::Compared(compared),
            () = source::stirred(&mut self.watched.watch) => Wake::Stirred,
            look = source::source_of(&mut self.watched.running) => Wake::SourceLooked(look),
            () = until(self.watched.due), if self.may_look_at_source() => Wake::LookAtSource,
            (asked, answer) = check::check_of(&mut self.checking) => Wake::Checked(asked, answer),
            () = until(self.watching.quiet) => Wake::Quiet,
            () = until(self.watching.handed) => Wake::HandedOver,
            () = until(self.examining.due), if self.may_examine() => Wake::Examine,
            () = tokio::time::sleep_until(self.next_stroke), if !self.typing.is_empty() => Wake::Stroke,
            () = until(self.testing.due) => Wake::TestDue,
            () = until(self.slots.doubtful()) => Wake::Doubt,
            () = until(self.slots.untold()) => Wake::LayerUntold,
            () = until(self.blank.due) => Wake::LookAtScreen,
            () = until(self.boot_deadline) => Wake::Deadline,
        }
    }

    async fn command(&mut self, command: Command) {
        if matches!(command, Command::Input(_) | Command::SendCombo(_) | Command::TypeText { .. }) {
            self.blank.stir();
        }
        match command {
            Command::Insert(path) => self.insert(path, Vec::new()).await,
            Command::InsertBuiltin => self.insert_builtin(Vec::new()).await,
            Command::InsertFor { cartridge: Some(path), fields } => self.insert(path, fields).await,
            Command::InsertFor { cartridge: None, fields } => self.insert_builtin(fields).await,
            Command::SetField { key, value } => self.set_field(&key, &value).await,
            Command::Save => self.save().await,
            Command::Revert => self.revert().await,
            Command::ForgetRecent(path) => self.forget(path).await,
            Command::Examine => self.examine().await,
            Command::Refresh => self.look_again().await,
            Command::ApplyFix { id, asked } => self.apply_fix(&id, asked).await,
            Command::Ask(goal) => self.ask(goal, false, None).await,
            Command::AskAnyway(goal) => self.ask(goal, true, None).await,
            Command::BootDirect(wish) => self.boot_direct(*wish).await,
            Command::Attach(wish) => self.attach(*wish).await,
            Command::Deploy(command) => self.deploy(command).await,
            Command::ReadMenu(iso) => self.read_menu(iso),
            Command::ViewCache => self.view_cache(false),
            Command::CleanCache => self.view_cache(true),
            Command::Cancel => {
                if !self.cancel_check().await && !self.stop_test().await && !self.stop_removal().await {
                    self.input(Input::Cancel).await;
                }
            }
            Command::Eject(scope) => self.input(Input::Eject(scope)).await,
            Command::EjectEnding { agreed } => self.eject_ending(agreed).await,
            Command::SurveyEverything => self.survey_everything(),
            Command::BringIn => self.bring_in().await,
            Command::SendSerial(bytes) => self.with_guest(|guest| guest.send_serial(bytes)).await,
            // A key between two of a text would change what it says.
            Command::Input(InputEvent::Key { .. } | InputEvent::Locks(_) | InputEvent::ReleaseAll)
                if self.types_text() => {}
            Command::Input(event) => {
                let _ = self.pass(event);
            }
            Command::SendCombo(_) if !self.has_screen() => {
                self.notice(Level::Warning, self.no_guest().into()).await;
            }
            Command::SendCombo(keys) if self.types_text() => self.typing.extend(together(&keys)),
            Command::SendCombo(keys) => together(&keys).for_each(|event| {
                let _ = self.pass(event);
            }),
            Command::TypeText { text, layout } => self.type_text(&text, &layout).await,
            Command::StopTyping if self.testing.runs() => {}
            Command::StopTyping => self.hands_off(),
            Command::Screenshot(path) => self.screenshot(path).await,
            Command::ReadText(area) => self.read_text(area).await,
            Command::StartRecording(path) => self.start_recording(path).await,
            Command::StopRecording => self.stop_recording().await,
            Command::ListSlots => self.list_slots(),
            Command::SaveSlot { name } => self.save_slot(&name).await,
            Command::CancelSlot => self.slots.cancel(),
            Command::RestoreSlot { name, anyway } => self.restore_slot(name, anyway).await,
            Command::RemoveSlot { name } => self.remove_slot(name),
            Command::PlugLayer if self.testing.runs() => {
                self.notice(Level::Warning, "A test is running: nothing is plugged in beside it".into()).await;
            }
            Command::PlugLayer => drop(self.plug_layer().await),
            Command::RunTest { warm } => self.run_test(warm).await,
            Command::SetLive(live) => self.set_live(live).await,
            Command::ResetGuest => self.with_guest(GuestHandle::reset).await,
            Command::PressPower => self.with_guest(GuestHandle::power_button).await,
            Command::Diagnose => self.diagnose(),
            Command::Note(text) => self.note(&text),
            Command::Quit => self.quit(false).await,
            Command::QuitUnlessHeld => self.quit(true).await,
        }
    }

    async fn ask(&mut self, goal: Goal, anyway: bool, wish: Option<DirectWish>) {
        self.refresh().await;
        if !matches!(goal, Goal::Direct | Goal::Attach)
            && let Some(failure) = self.inserted.as_ref().and_then(Inserted::failure)
        {
            return self.tell(Event::Failed { failure }).await;
        }
        if step(&self.state, Input::Ask(goal)).is_err() {
            return self.input(Input::Ask(goal)).await;
        }
        self.replace_check().await;
        match self.to_be_checked(goal, wish.as_ref()) {
            Some(Ok(wanted)) => self.check((goal, anyway, wish), wanted).await,
            Some(Err(failure)) => self.not_begun(failure).await,
            None => self.work_towards((goal, anyway, wish)).await,
        }
    }

    async fn work_towards(&mut self, (goal, anyway, wish): check::Asked) {
        if step(&self.state, Input::Ask(goal)).is_ok() {
            self.anyway = anyway;
            self.wish = wish;
        }
        self.input(Input::Ask(goal)).await;
    }

    /// Asks the state machine what an input means, tells the new state, performs the effect.
    async fn input(&mut self, input: Input) {
        // An effect that fails at once is an input too: the recursion ends with the state machine's path to Idle.
        Box::pin(self.take(input)).await;
    }

    async fn take(&mut self, input: Input) {
        match step(&self.state, input) {
            Err(denied) => {
                let stale = denied == super::state::Denied::Stale;
                if !stale {
                    self.tell(Event::Refused { denied, reason: denied.to_string() }).await;
                }
            }
            Ok((state, effect)) => {
                let (moved, before) = (state != self.state, self.state.phase);
                self.state = state;
                if moved {
                    self.tell(Event::StateChanged { state }).await;
                    if state.phase != before {
                        self.watch_screen();
                        self.drop_check().await;
                    }
                    self.test_moved(before).await;
                }
                if let Some(effect) = effect {
                    self.perform(effect).await;
                }
                if self.state.phase == Phase::Idle {
                    self.prepared = None;
                    self.attach_wish = None;
                    self.not_brought_in();
                    self.gallery.close();
                }
            }
        }
    }

    async fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Prepare(Goal::Attach) => self.prepare_attach().await,
            Effect::Prepare(goal) => self.start_prepare(goal).await,
            Effect::Build => self.start_build().await,
            Effect::Boot if self.state.goal == Some(Goal::Restore) => self.start_restore().await,
            Effect::Boot if self.state.goal == Some(Goal::Attach) => self.start_attach().await,
            Effect::Boot => self.start_guest().await,
            Effect::Eject(scope) => self.start_eject(scope).await,
        }
    }

    /// A job has answered; `self.job` is already empty.
    async fn answer(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Prepared(Ok(mut prepared)) => {
                let said = std::mem::take(&mut prepared.recovered.said);
                if !said.is_empty() {
                    self.tell(Event::Recovered { what: said }).await;
                }
                for text in std::mem::take(&mut prepared.recovered.removal.problems) {
                    self.tell(Event::Noticed { level: Level::Warning, text }).await;
                }
                let notices = std::mem::take(&mut prepared.notices);
                for (level, text) in news(&self.prepared_notices, &notices) {
                    self.tell(Event::Noticed { level, text }).await;
                }
                // A build has no machine, and nothing to say of it.
                if prepared.machine.is_some() {
                    self.prepared_notices = notices;
                }
                if let Some(choice) = &prepared.accelerator {
                    self.tell(accelerator_event(choice)).await;
                }
                self.prepared = Some(prepared);
                self.input(Input::Prepared).await;
            }
            Outcome::Built(answer) => self.built(answer).await,
            Outcome::Started(Ok(guest)) => self.guest_started(guest).await,
            Outcome::Attached(answer) => self.attached(answer).await,
            Outcome::Prepared(Err(NotPrepared { failure, holder })) => {
                if let Some(holder) = holder {
                    self.tell(Event::InUse { holder: *holder }).await;
                }
                self.fail(failure).await;
            }
            Outcome::Started(Err(failure)) => self.fail(failure).await,
            Outcome::Ejected(ejected) => self.ejected(*ejected).await,
        }
    }

    async fn fail(&mut self, failure: Failure) {
        let title = failure.title.clone();
        self.tell(Event::Failed { failure }).await;
        self.fail_test(title).await;
        self.input(Input::Failed).await;
    }

    async fn notice(&mut self, level: Level, text: String) {
        self.tell(Event::Noticed { level, text }).await;
    }

    fn note(&self, text: &str) {
        let at = self.started.elapsed().as_secs_f64();
        let pane = self.logs.pane(Pane::Session);
        text.lines().for_each(|line| pane.line(&format!("{at:9.3}  {line}")));
    }

    async fn tell(&mut self, mut event: Event) {
        redact::event(&mut event);
        let sentence = event.sentence();
        if let Some(sentence) = &sentence {
            self.note(sentence);
        }
        let told = Told { v: EVENT_VERSION, at_ms: millis(self.started.elapsed()), event };
        self.gallery.tell(&told, sentence.as_deref());
        // A front end that is gone is noticed by its closed command channel.
        let _ = self.events.send(told).await;
        self.wake.wake();
    }

    /// The front end hears that it is over once those who watch have heard it: it may end the program then.
    pub(super) async fn close(&mut self) {
        std::mem::replace(&mut self.gallery, Gallery::new("")).farewell().await;
        self.tell(Event::Closed).await;
        self.closed = true;
    }

    async fn quit(&mut self, unless_held: bool) {
        self.quitting = true;
        self.ejecting.unless_held = unless_held;
        self.stop_reading();
        self.end_deploy().await;
        let nothing = self.record.works().is_empty() && self.record.made().runtime.is_none();
        // Whoever was asked has answered.
        let nothing = nothing || (self.ejecting.asked && !unless_held);
        self.stop_comparing();
        if self.state.phase == Phase::Idle && nothing {
            self.close().await;
        } else if self.state.phase == Phase::Ejecting {
            if self.state.next.is_some() {
                self.input(Input::Cancel).await;
            }
        } else {
            self.input(Input::Eject(EjectScope::Session)).await;
        }
    }
}

/// What is to be told of a preparation: warnings always, the rest where the preparation before has not said the same.
fn news(before: &[(Level, String)], now: &[(Level, String)]) -> Vec<(Level, String)> {
    now.iter().filter(|notice| notice.0 == Level::Warning || !before.contains(notice)).cloned().collect()
}

/// Keys pressed in this order, and released in reverse.
fn together(keys: &[u16]) -> impl Iterator<Item = InputEvent> {
    let key = |down: bool| move |scancode: &u16| InputEvent::key(*scancode, down);
    keys.iter().map(key(true)).chain(keys.iter().rev().map(key(false)))
}

pub(super) fn accelerator_event(choice: &vmtools::AcceleratorChoice) -> Event {
    Event::AcceleratorChosen { accelerator: choice.accelerator.to_string(), reason: choice.reason.clone() }
}

pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

async fn next_of<T>(queue: &mut Option<Receiver<T>>) -> Option<T> {
    match queue {
        Some(queue) => queue.recv().await,
        None => std::future::pending().await,
    }
}

async fn answer_of(job: &mut Option<JoinHandle<Outcome>>, ejecting: bool) -> Outcome {
    let Some(running) = job else { return std::future::pending().await };
    let outcome = running.await;
    *job = None;
    outcome.unwrap_or_else(|error| {
        if ejecting {
            return Outcome::Ejected(Box::new(jobs::Ejected::failed(error.to_string())));
        }
        let failure = super::failure::internal("A part of Cartridge stopped unexpectedly; this is a bug", &error);
        Outcome::Prepared(Err(failure.into()))
    })
}

async fn until(deadline: Option<tokio::time::Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
