//! What a front end knows: the fold of all events. Pure, so that the window and the terminal show the same thing, and
//! so that tests need no clock but the one in the events.

mod attach;
mod deploy;
mod eject;
mod views;
mod watched;

use std::path::PathBuf;

use isoprep::mkarchiso::Chosen;
use isoprep::{CacheView, EjectReport, Image, Progress, Survey, Unit};
use serde::{Deserialize, Serialize};
use vmtools::GuestStatus;

use super::attachment::AttachWant;
use super::direct::{DirectView, MenuView};
use super::event::{CartridgeView, Event, Failure, Level, RecentView, Side, SlotView, Told};
use super::examination::{Examination, Unexamined};
use super::holder::Holder;
use super::onlooker::WatchedView;
use super::pace::Pace;
use super::state::{Input, Phase, State, step};
use crate::doctor::Check;

pub use attach::AttachView;
pub use deploy::{DeployFailure, DeployRun, DeployView};
pub(crate) use eject::endable;
pub use eject::{Removing, Unfinished};
pub use views::{Comparison, GuestView, Notice, SlotInTheMaking, SourceView, StageStatus, StageView, TestView};

/// How many notices are kept.
const NOTICES: usize = 200;

/// Everything that was told, folded.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Model {
    /// The state machine's state.
    pub state: State,
    /// When the phase began, milliseconds since the session began.
    pub phase_since_ms: u64,
    /// The moment of the newest event.
    pub now_ms: u64,
    /// Directory of this session's logs.
    pub logs: PathBuf,
    /// The inserted cartridge.
    pub cartridge: Option<CartridgeView>,
    /// What was seen when the cartridge was last looked at; `None` until then.
    pub examination: Option<Examination>,
    /// Why there is none, where that was said.
    pub unexamined: Option<Unexamined>,
    /// Whether it is being looked at.
    pub examining: bool,
    /// Cartridges inserted before, newest first.
    pub recent: Vec<RecentView>,
    /// The stages of the build under way, or of the last one.
    pub stages: Vec<StageView>,
    /// The way that mkarchiso was run in, where it was.
    pub way: Option<Chosen>,
    /// The image of the last build.
    pub image: Option<Image>,
    /// Milliseconds that the last build took.
    pub build_took_ms: Option<u64>,
    /// In what the last image differs from the one before it.
    pub comparison: Option<Comparison>,
    /// Why it could not be compared.
    pub comparison_error: Option<String>,
    /// Whether it is being compared.
    pub comparing: bool,
    /// Whether the last build stopped because of errors of the lint alone, which may be mended since: see
    /// [`stopped_by_lint`](Self::stopped_by_lint).
    pub lint_stopped: bool,
    /// In what the repository differs from the guest's or the image's; `None` where that is not known.
    pub source: Option<SourceView>,
    /// What the cache holds; `None` until asked.
    pub cache: Option<CacheView>,
    /// Why it could not be looked at or emptied, until it is looked at again.
    pub cache_failure: Option<Failure>,
    /// Bytes that cleaning it freed the last time.
    pub cache_freed: Option<u64>,
    /// Accelerator and why.
    pub accelerator: Option<(String, String)>,
    /// What the ISO that was looked at last offers to boot.
    #[serde(skip)]
    pub menu: Option<MenuView>,
    /// How the guest is booted without a boot loader, if it is.
    pub direct: Option<DirectView>,
    /// Since when what was asked for is looked at before the guest that runs is ended for it, ms of the session.
    pub checking_since_ms: Option<u64>,
    /// The guest that runs, or the last one.
    pub guest: Option<GuestView>,
    /// The VNC server of somebody else's that is attached in place of a guest, or was last.
    pub attach: Option<AttachView>,
    /// Addresses of those that were attached to before, newest first.
    pub attach_recent: Vec<String>,
    /// What such a server wants that the user could give, until the next attempt.
    pub attach_want: Option<AttachWant>,
    /// What is being ejected right now.
    pub eject_step: Option<String>,
    /// How far the removal of an eject is, while that takes a while.
    pub removing: Option<Removing>,
    /// The last eject.
    pub ejected: Option<EjectReport>,
    /// What the last eject left because it was stopped, or because others use it.
    pub unfinished: Option<Unfinished>,
    /// What ejecting everything would remove; `None` until asked.
    pub survey: Option<Vec<Survey>>,
    /// The last failure, until the next goal is asked for.
    pub failure: Option<Failure>,
    /// Notices, oldest first, each with the moment.
    pub notices: Vec<Notice>,
    /// The checks of `doctor`.
    pub checks: Option<Vec<Check>>,
    /// Since when the guest's screen is recorded, milliseconds of the session, and to which file.
    pub recording: Option<(u64, PathBuf)>,
    /// Text is being typed into the guest.
    pub typing: bool,
    /// How long that still takes, milliseconds, once it is known.
    pub typing_left_ms: Option<u64>,
    /// The last screenshot.
    pub screenshot: Option<PathBuf>,
    /// The cartridge's slots, the newest first; `None` until asked.
    pub slots: Option<Vec<SlotView>>,
    /// The slot that the guest is being saved as, and how far that is.
    pub saving_slot: Option<SlotInTheMaking>,
    /// Why a slot could not be saved or removed, until the next is tried.
    pub slot_failure: Option<Failure>,
    /// The test under way, or the last one.
    pub test: Option<TestView>,
    /// Whether the warm test runs on every save.
    pub live: bool,
    /// Disks that an image can be written to, and what is being written.
    #[serde(skip)]
    pub deploy: DeployView,
    /// Who holds the cartridge that was to be worked on, until that is tried again.
    #[serde(skip)]
    pub in_use: Option<Holder>,
    /// The other session that all this is of, where it is only watched.
    #[serde(skip)]
    pub watched: Option<WatchedView>,
    /// Whether the session is over: this one, not one that is watched.
    #[serde(skip)]
    pub closed: bool,
}

impl Model {
    /// Folds one event.
    pub fn fold(&mut self, told: &Told) {
        let at = told.at_ms;
        self.now_ms = self.now_ms.max(at);
        match &told.event {
            Event::Opened { logs } => self.logs.clone_from(logs),
            Event::StateChanged { state } => self.moved(*state, at),
            Event::Refused { reason, .. } => self.notice(at, Level::Warning, reason.clone()),
            Event::CartridgeChanged { cartridge } => {
                if self.cartridge.as_ref().is_none_or(|old| old.file != cartridge.file) {
                    self.stages.clear();
                    self.way = None;
                    self.image = None;
                    self.build_took_ms = None;
                    (self.failure, self.in_use) = (None, None);
                    self.lint_stopped = false;
                    self.source = None;
                    self.slots = None;
                    self.test = None;
                    self.slot_failure = None;
                    self.unexamine(None);
                    self.uncompare();
                }
                self.cartridge = Some(cartridge.clone());
            }
            Event::RecentChanged { recent } => self.recent.clone_from(recent),
            Event::AcceleratorChosen { accelerator, reason } => {
                self.accelerator = Some((accelerator.clone(), reason.clone()));
            }
            Event::Examining => self.examining = true,
            Event::Examined { lint, tree, warnings, failure } => {
                self.unexamine(None);
                self.examination = Some(Examination {
                    lint: lint.clone(),
                    tree: tree.clone(),
                    warnings: warnings.clone(),
                    failure: failure.clone(),
                });
            }
            Event::NotExamined { why } => self.unexamine(Some(*why)),
            Event::FixApplied { says, .. } => self.notice(at, Level::Success, format!("Done: {says}")),
            Event::StoppedByLint { lint } => {
                self.lint_stopped = true;
                let seen = self.examination.get_or_insert_default();
                seen.lint.clone_from(lint);
                seen.failure = None;
            }
            Event::SourceChanged { since, changes, total, way } => {
                let (since, changes, total, way) = (*since, changes.clone(), *total, *way);
                self.source = Some(SourceView { since, changes, total, way });
            }
            Event::SourceUnknown => self.source = None,
            Event::BroughtIn { .. } => self.notice(at, Level::Success, told.event.sentence().unwrap_or_default()),
            Event::BuildProgressed { progress, pace } => self.progress(progress, *pace, at),
            Event::Comparing => {
                self.uncompare();
                self.comparing = true;
            }
            Event::NotCompared { error } => {
                self.uncompare();
                self.comparison_error.clone_from(error);
            }
            Event::BuildCompared { summary, difference } => {
                self.uncompare();
                self.comparison = Some(Comparison { summary: summary.clone(), difference: difference.clone() });
            }
            Event::CacheViewed { view, freed, .. } => {
                self.cache = Some(view.clone());
                self.cache_failure = None;
                self.cache_freed = freed.or(self.cache_freed);
            }
            Event::ImageBuilt { image, took_ms } => {
                self.image = Some(image.clone());
                self.build_took_ms = Some(*took_ms);
            }
            Event::MenuRead { view } => self.menu = Some(view.clone()),
            Event::BootChecking => self.checking_since_ms = Some(at),
            Event::BootChecked { .. } => self.checking_since_ms = None,
            Event::DirectChosen { view } => self.direct = Some(view.clone()),
            Event::GuestStarted { pid, command, mute } => {
                // It was of the guest before.
                self.slot_failure = None;
                self.guest = Some(GuestView {
                    pid: *pid,
                    command: command.clone(),
                    since_ms: at,
                    status: GuestStatus::Starting,
                    mute: mute.clone(),
                    slot: None,
                    sign: None,
                    report: None,
                    matches: None,
                    reported_ms: None,
                    ports: Vec::new(),
                    blank: None,
                    reset: false,
                    ended: false,
                });
            }
            Event::AttachBegan { .. }
            | Event::Attached { .. }
            | Event::AttachAsks { .. }
            | Event::AttachLost { .. }
            | Event::AttachRecentChanged { .. }
            | Event::AttachBack => self.fold_attach(&told.event, at),
            Event::GuestChanged { status } => {
                if let Some(guest) = &mut self.guest {
                    guest.status = status.clone();
                    guest.reset |= *status == GuestStatus::Rebooting;
                }
            }
            Event::GuestShowed { sign } => {
                if let Some(guest) = &mut self.guest {
                    guest.sign = Some(*sign);
                    guest.reset = false;
                }
            }
            Event::ScreenBlank { seconds, cure } => {
                if let Some(guest) = &mut self.guest {
                    guest.blank = Some((*seconds, cure.clone()));
                }
            }
            Event::ScreenDrawn => {
                if let Some(guest) = &mut self.guest {
                    guest.blank = None;
                }
            }
            Event::GuestReported { report, matches } => {
                if let Some(guest) = &mut self.guest {
                    guest.report = Some(report.clone());
                    guest.matches = *matches;
                    guest.reported_ms = Some(at);
                    guest.reset = false;
                }
            }
            Event::PortForwarded { name, guest_port, host_port } => {
                if let Some(guest) = &mut self.guest {
                    guest.ports.push((name.clone(), *guest_port, *host_port));
                }
            }
            Event::ScreenshotTaken { path, .. } => {
                self.screenshot = Some(path.clone());
                self.notice(at, Level::Success, format!("Screenshot saved: {}", path.display()));
            }
            // Whoever asked for it has it.
            Event::TextRead { .. } => {}
            Event::TypingChanged { typing } => (self.typing, self.typing_left_ms) = (*typing, None),
            Event::TypingAdvanced { left_ms } => self.typing_left_ms = Some(*left_ms),
            Event::RecordingStarted { path } => self.recording = Some((at, path.clone())),
            Event::RecordingEnded { files, .. } => {
                self.recording = None;
                let files: Vec<_> = files.iter().map(|file| file.display().to_string()).collect();
                self.notice(at, Level::Success, format!("Recording saved: {}", files.join(", ")));
            }
            Event::SlotSaving { name } => {
                self.slot_failure = None;
                let slot = SlotInTheMaking { name: name.clone(), since_ms: at, done: 0, total: 0 };
                self.saving_slot = Some(slot);
            }
            Event::SlotAdvanced { done, total } => {
                if let Some(slot) = &mut self.saving_slot {
                    (slot.done, slot.total) = (*done, *total);
                }
            }
            Event::SlotSaved { name, .. } => {
                self.saving_slot = None;
                self.notice(at, Level::Success, format!("Saved as {name:?}"));
            }
            Event::SlotRestored { name, .. } => {
                if let Some(guest) = &mut self.guest {
                    guest.slot = Some(name.clone());
                }
            }
            Event::TestBegan { warm, slot } => {
                self.test = Some(TestView { warm: *warm, slot: slot.clone(), step: None, ended: None });
            }
            Event::TestStepped { number, total, step } => {
                if let Some(test) = &mut self.test {
                    test.step = Some((*number, *total, step.clone()));
                }
            }
            Event::TestEnded { passed, .. } => {
                let words = told.event.sentence().unwrap_or_default();
                if let Some(test) = &mut self.test {
                    test.ended = Some((*passed, words.clone()));
                }
                self.notice(at, if *passed { Level::Success } else { Level::Warning }, words);
            }
            Event::LiveChanged { live } => self.live = *live,
            Event::SlotsChanged { slots } => self.slots = Some(slots.clone()),
            Event::LayerPlugged { matches, trouble, .. } => {
                let (level, text) = match (matches, trouble) {
                    (true, _) => (Level::Success, "The guest has the repository as it is now".to_owned()),
                    (false, Some(why)) => (Level::Warning, format!("The guest does not show the new layer: {why}")),
                    (false, None) => (Level::Warning, "The guest sees another tree than the one plugged in".to_owned()),
                };
                self.notice(at, level, text);
            }
            Event::EjectProgressed { .. }
            | Event::EjectAdvanced { .. }
            | Event::Ejected { .. }
            | Event::EjectHeld { .. } => self.fold_eject(&told.event),
            Event::Surveyed { surveys } => self.survey = Some(surveys.clone()),
            Event::Recovered { what } => {
                for text in what {
                    self.notice(at, Level::Info, text.clone());
                }
            }
            Event::Diagnosed { checks } => self.checks = Some(checks.clone()),
            Event::Noticed { level, text } => self.notice(at, *level, text.clone()),
            Event::Failed { failure } => self.failure = Some(failure.clone()),
            Event::SideFailed { side: Side::Cache, failure } => self.cache_failure = Some(failure.clone()),
            Event::SideFailed { side: side @ (Side::Slot | Side::Removal | Side::Restore), failure } => {
                if *side == Side::Slot {
                    self.saving_slot = None;
                }
                self.slot_failure = Some(failure.clone());
            }
            Event::SideFailed { side: Side::Recording, .. } => self.recording = None,
            Event::SideFailed { .. } => {}
            Event::Deploy(event) => self.deploy.fold(event),
            Event::InUse { .. } | Event::Joined { .. } | Event::HolderStopped { .. } | Event::WatchEnded { .. } => {
                self.fold_watch(&told.event);
            }
            Event::Closed => self.closed = true,
        }
    }

    /// Whether errors of the lint alone stopped the last build, and are still there, as far as is known: then
    /// [`Command::AskAnyway`](super::command::Command::AskAnyway) builds all the same.
    #[must_use]
    pub fn stopped_by_lint(&self) -> bool {
        self.lint_stopped && self.examination.as_ref().is_some_and(|seen| seen.failure.is_some() || seen.has_errors())
    }

    /// Whether what stopped the last build is not there any more: its failure says nothing of the cartridge as it is now.
    #[must_use]
    pub fn mended(&self) -> bool {
        self.lint_stopped && !self.stopped_by_lint()
    }

    fn unexamine(&mut self, why: Option<Unexamined>) {
        self.examination = None;
        self.examining = false;
        self.unexamined = why;
    }

    fn uncompare(&mut self) {
        self.comparison = None;
        self.comparison_error = None;
        self.comparing = false;
    }

    /// How long the phase has lasted at `now_ms`, milliseconds.
    #[must_use]
    pub fn phase_elapsed_ms(&self, now_ms: u64) -> u64 {
        now_ms.saturating_sub(self.phase_since_ms)
    }

    /// Why that cannot be asked for now, in words; `None` if it can.
    #[must_use]
    pub fn denied(&self, input: Input) -> Option<String> {
        match &self.watched {
            Some(watched) => Some(watched.why_not()),
            None => step(&self.state, input).err().map(|denied| denied.to_string()),
        }
    }

    /// Whether there is something that [`Command::Cancel`](super::Command::Cancel) stops.
    #[must_use]
    pub fn can_cancel(&self) -> bool {
        if self.watched.is_some() {
            return false;
        }
        let tests = self.test.as_ref().is_some_and(|test| test.ended.is_none());
        tests || self.checking_since_ms.is_some() || self.removing.is_some() || step(&self.state, Input::Cancel).is_ok()
    }

    /// The stage that runs.
    #[must_use]
    pub fn running_stage(&self) -> Option<&StageView> {
        self.stages.iter().find(|stage| matches!(stage.status, StageStatus::Running { .. }))
    }

    /// How far the build is, from 0 to 1: stages done, and the running one's share where its total is known.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "a progress bar has less than 53 bits")]
    pub fn build_fraction(&self) -> f32 {
        if self.stages.is_empty() {
            return 0.0;
        }
        let done: f64 = self
            .stages
            .iter()
            .map(|stage| match stage.status {
                StageStatus::Done { .. } => 1.0,
                StageStatus::Running { done, total: Some(total), .. } if total > 0 => {
                    (done as f64 / total as f64).clamp(0.0, 1.0)
                }
                _ => 0.0,
            })
            .sum();
        (done / self.stages.len() as f64) as f32
    }

    /// How long the stage that runs still takes at `now_ms`, milliseconds, where that can be said.
    #[must_use]
    pub fn stage_left_ms(&self, now_ms: u64) -> Option<u64> {
        match &self.running_stage()?.status {
            StageStatus::Running { pace: Some(pace), told_ms, .. } => {
                // What should be over by now takes longer than was thought.
                pace.left_ms?.checked_sub(now_ms.saturating_sub(*told_ms)).filter(|left| *left > 0)
            }
            _ => None,
        }
    }

    /// Whether QEMU runs.
    #[must_use]
    pub fn guest_runs(&self) -> bool {
        matches!(self.state.phase, Phase::Booting | Phase::Running) && self.guest.as_ref().is_some_and(|g| !g.ended)
    }

    fn moved(&mut self, state: State, at: u64) {
        if state.phase == self.state.phase {
            self.state = state;
            return;
        }
        match state.phase {
            Phase::Preparing => {
                (self.failure, self.in_use) = (None, None);
                self.lint_stopped = false;
                self.uncompare();
                (self.ejected, self.unfinished) = (None, None);
                self.guest = None;
                (self.attach, self.attach_want) = (None, None);
                self.direct = None;
                self.stages.clear();
                self.way = None;
            }
            Phase::Ejecting => {
                self.unfinished = None;
                for stage in &mut self.stages {
                    if matches!(stage.status, StageStatus::Running { .. }) {
                        stage.status = StageStatus::Stopped;
                    }
                }
            }
            Phase::Idle | Phase::Building | Phase::Booting | Phase::Running => {}
        }
        self.phase_since_ms = at;
        self.state = state;
        self.removing = None;
        if !state.image {
            self.image = None;
        }
    }

    fn progress(&mut self, progress: &Progress, pace: Option<Pace>, at: u64) {
        match progress {
            Progress::Planned { stages } => {
                self.stages = stages
                    .iter()
                    .map(|name| StageView { name: name.0.to_owned(), status: StageStatus::Waiting })
                    .collect();
            }
            Progress::Started { stage } => {
                let status = StageStatus::Running {
                    since_ms: at,
                    done: 0,
                    total: None,
                    unit: Unit::Files,
                    what: None,
                    pace,
                    told_ms: at,
                };
                self.set_stage(stage.0, status);
            }
            Progress::Advanced { stage, done, total, unit, what } => {
                let since_ms = match self.stages.iter().find(|s| s.name == stage.0).map(|s| &s.status) {
                    Some(StageStatus::Running { since_ms, .. }) => *since_ms,
                    // Another stage looks at the same files again.
                    Some(StageStatus::Done { .. }) => return,
                    _ => at,
                };
                let status = StageStatus::Running {
                    since_ms,
                    done: *done,
                    total: *total,
                    unit: *unit,
                    what: what.clone(),
                    pace,
                    told_ms: at,
                };
                self.set_stage(stage.0, status);
            }
            Progress::Finished { stage, reused, took } => {
                let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
                self.set_stage(stage.0, StageStatus::Done { reused: *reused, took_ms });
            }
            Progress::Way { chosen, .. } => self.way = Some(chosen.clone()),
            Progress::Line { .. } | Progress::Warned { .. } => {}
        }
    }

    fn set_stage(&mut self, name: &str, status: StageStatus) {
        match self.stages.iter_mut().find(|stage| stage.name == name) {
            Some(stage) => stage.status = status,
            None => self.stages.push(StageView { name: name.to_owned(), status }),
        }
    }

    fn notice(&mut self, at_ms: u64, level: Level, text: String) {
        if self.notices.len() == NOTICES {
            self.notices.remove(0);
        }
        self.notices.push(Notice { at_ms, level, text });
    }
}

#[cfg(test)]
#[path = "model_tests.rs"]
mod tests;
