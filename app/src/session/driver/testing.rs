//! Tests: a guest is brought to a moment (warm, from a slot; or cold, by a build and a boot), and the repository as it is is
//! brought into it. `test_steps` does the steps of `[test]` then.

use std::time::Duration;

use tokio::time::Instant;
use vmtools::slot::{Slot, SlotError, SlotName, existing};

use super::{Driver, millis};
use crate::session::ear::Ear;
use crate::session::event::{Event, Failure, Level, Side, SlotView};
use crate::session::failure::{exit_code, internal};
use crate::session::sign::Sign;
use crate::session::state::{Goal, Input, Outcome, Phase, step};
use crate::session::test_run::{TestRun, TestStage, doable};

/// How long a guest may take to tell that it has the repository.
pub(super) const UNTOLD: Duration = Duration::from_secs(180);

/// How long a guest that is up may take at most until it shows a prompt: not all have one on their serial line.
const PROMPT: Duration = Duration::from_secs(20);
/// How long nothing must follow a prompt for somebody to be there who reads.
const STANDS: Duration = Duration::from_millis(400);

/// What the driver knows of tests.
#[derive(Default)]
pub(super) struct Testing {
    pub(super) run: Option<TestRun>,
    /// When something is looked at again.
    pub(super) due: Option<Instant>,
    /// Until when the step may wait.
    pub(super) limit: Option<Instant>,
    /// The picture that `still` has seen.
    pub(super) picture: u64,
    /// It looks, also where nobody else does.
    pub(super) look: Option<vmtools::display::Look>,
    /// Whether a test runs on every save.
    live: bool,
    /// The hash of the repository that was tested last, where that is known.
    pub(super) tried: Option<String>,
}

/// What there is of a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum SlotNow {
    /// There is none of that name, but these.
    Absent(Vec<String>),
    Usable,
    /// It cannot be restored as things are, for this reason.
    Unfit(String),
}

impl Testing {
    /// Whether a test is under way: what it tries must not be exchanged.
    pub(super) fn runs(&self) -> bool {
        self.run.is_some()
    }

    /// Whether a test waits for its guest to start.
    pub(super) fn begins(&self) -> bool {
        self.run.as_ref().is_some_and(|run| run.stage == TestStage::Starting)
    }

    /// Whether a test is under way that brings the repository to a guest.
    fn brings(&self) -> bool {
        self.run.as_ref().is_some_and(|run| run.stage != TestStage::Stepping)
    }
}

impl Driver {
    pub(super) async fn run_test(&mut self, warm: bool) {
        self.refresh().await;
        if self.testing.brings() {
            return self.notice(Level::Info, "A test is beginning already".to_owned()).await;
        }
        let Some(recipe) = self.recipe_now() else { return self.ask(Goal::Up, false, None).await };
        let settings = recipe.test.clone();
        if let Err(why) = doable(&settings, warm) {
            return self.no_test(why).await;
        }
        let now = std::time::Instant::now();
        let found = settings.slot.clone().map(|name| (self.slot_now(&name), name));
        let run = match (warm, found) {
            (true, Some((SlotNow::Usable, slot))) => TestRun::warm(&settings, slot, now),
            (true, Some((SlotNow::Unfit(why), slot))) => {
                let advice =
                    "change the settings back, remove the slot so that the next test saves it anew, or run it cold";
                return self
                    .no_test(format!("the slot {slot:?} cannot be restored now, because {why}: {advice}"))
                    .await;
            }
            (true, Some((SlotNow::Absent(others), slot))) => {
                let others = if others.is_empty() { String::new() } else { format!(". {}", existing(&others)) };
                let text = format!(
                    "There is no slot {slot:?} yet: the guest is booted cold, and saved as that on the way{others}"
                );
                self.notice(Level::Info, text).await;
                TestRun::cold(&settings, Some(slot), now)
            }
            // One that is there stays as it is, whatever it is. A warm test has a slot.
            (_, found) => {
                let absent = found.filter(|(slot, _)| matches!(slot, SlotNow::Absent(_)));
                TestRun::cold(&settings, absent.map(|(_, name)| name), now)
            }
        };
        let goal = if run.warm { Goal::Restore } else { Goal::Up };
        if let Err(denied) = step(&self.state, Input::Ask(goal)) {
            return self.tell(Event::Refused { denied, reason: denied.to_string() }).await;
        }
        self.end_test(Some("another one was begun".to_owned())).await;
        // What was asked for before this test is none of its own.
        self.stop_checking(false).await;
        self.not_brought_in();
        let slot = run.slot.clone();
        self.tell(Event::TestBegan { warm: run.warm, slot: slot.clone() }).await;
        let warm = run.warm;
        self.testing.run = Some(run);
        // What it really finds is known when its steps begin.
        self.testing.tried.clone_from(&self.watched.tree);
        match slot.filter(|_| warm) {
            Some(slot) => self.restore_slot(slot, true).await,
            None => self.ask(Goal::Up, false, None).await,
        }
        let waits = matches!(self.state.phase, Phase::Idle | Phase::Running) && self.checking.is_none();
        if waits && self.testing.begins() {
            self.fail_test("it could not begin".to_owned()).await;
        }
    }

    /// What there is of the slot of that name, as far as is known.
    pub(super) fn slot_now(&self, name: &str) -> SlotNow {
        let Some((store, slot)) = self.slot_store().zip(SlotName::new(name).ok()) else {
            return SlotNow::Absent(Vec::new());
        };
        match Slot::find(&store, &slot).map(|slot| slot.manifest) {
            Err(SlotError::Absent { others, .. }) => SlotNow::Absent(others),
            Err(error) => SlotNow::Unfit(error.to_string()),
            Ok(Err(why)) => SlotNow::Unfit(why),
            Ok(Ok(_)) => {
                let known = self.slots.known.iter().find(|slot| slot.name == name);
                known.and_then(SlotView::obstacle).map_or(SlotNow::Usable, SlotNow::Unfit)
            }
        }
    }

    async fn no_test(&mut self, why: String) {
        let failure = Failure { exit_code: exit_code::CARTRIDGE, ..internal("The test could not begin", &why) };
        self.tell(Event::SideFailed { side: Side::Test, failure }).await;
    }

    pub(super) async fn set_live(&mut self, live: bool) {
        if self.testing.live == live {
            return;
        }
        self.testing.live = live;
        self.testing.tried = None;
        self.tell(Event::LiveChanged { live }).await;
        if live {
            self.watches = true;
            self.look_at_source_again();
            self.run_test(true).await;
        }
    }

    /// The repository was read: on a new save, where that is wished, the test runs.
    pub(super) async fn saved_file(&mut self, tree: &str) {
        if !self.testing.live || self.testing.brings() || self.testing.tried.as_deref() == Some(tree) {
            return;
        }
        if self.testing.tried.is_none() {
            // What a test has begun with before anything was looked at.
            self.testing.tried = Some(tree.to_owned());
        } else if step(&self.state, Input::Ask(Goal::Restore)).is_ok() {
            self.run_test(true).await;
        }
    }

    /// Another guest starts: what the one before has said is nothing that it answers.
    pub(super) fn test_guest_started(&mut self) {
        if let Some(run) = &mut self.testing.run {
            run.ear = Ear::default();
        }
    }

    /// The guest of a slot runs: it gets the repository.
    pub(super) async fn test_restored(&mut self) {
        let Some(run) = self.testing.run.as_mut().filter(|run| run.warm && run.stage == TestStage::Starting) else {
            return;
        };
        run.stage = TestStage::Bringing;
        self.testing.due = Some(Instant::now() + UNTOLD);
        if self.slots.report.is_none() {
            let text = "the guest of the slot has no program of ours, which would take the repository: save the slot \
                        from a dev build (image.build)";
            return self.fail_test(text.to_owned()).await;
        }
        if !self.plug_layer().await {
            self.fail_test("the repository could not be packed".to_owned()).await;
        }
    }

    /// The guest has told what it has of the layer.
    pub(super) async fn test_layered(&mut self, matches: bool, trouble: Option<String>) {
        if self.testing.run.as_ref().is_none_or(|run| run.stage != TestStage::Bringing) {
            return;
        }
        if matches {
            return self.begin_steps().await;
        }
        let why = trouble.unwrap_or_else(|| "it sees another tree than the one plugged in".to_owned());
        self.fail_test(format!("the guest does not have the repository: {why}")).await;
    }

    /// A guest that was booted cold is up, or is waited for no longer; `matches`: whether it has the tree of the image.
    pub(super) async fn test_booted(&mut self, matches: Option<bool>) {
        if self.testing.run.as_ref().is_none_or(|run| run.warm || run.stage != TestStage::Starting) {
            return;
        }
        let shows = matches!(self.watching.sign, Some(Sign::Login | Sign::Shell | Sign::Target));
        let up = self.slots.report.is_some() || (self.watching.mute.is_some() && shows);
        let why = match (matches, self.watching.sign) {
            (Some(false), _) => "the guest found another tree than the one that was injected",
            (_, Some(Sign::Emergency)) => "the guest did not come up: it waits in an emergency shell",
            _ if !up => "whether the guest is up is not known: it has neither reported nor shown a prompt",
            _ => return self.wait_for_a_reader().await,
        };
        self.fail_test(why.to_owned()).await;
    }

    /// It is up. What is sent before its shell is there would be lost.
    async fn wait_for_a_reader(&mut self) {
        let Some(run) = &mut self.testing.run else { return };
        if !run.needs_a_reader() {
            return self.begin_steps().await;
        }
        run.stage = TestStage::Waking;
        self.testing.limit = Some(Instant::now() + PROMPT.min(run.within));
        self.look_for_a_prompt();
    }

    /// It may have shown its prompt.
    pub(super) fn look_for_a_prompt(&mut self) {
        let Some(run) = self.testing.run.as_ref().filter(|run| run.stage == TestStage::Waking) else { return };
        let stands = run.ear.asks().then(|| Instant::now() + STANDS);
        self.testing.due = stands.into_iter().chain(self.testing.limit).min();
    }

    /// The guest was reset. Steps may be meant so; a layer on its way is gone.
    pub(super) async fn test_reset(&mut self) {
        if self.testing.run.as_ref().is_some_and(|run| matches!(run.stage, TestStage::Waking | TestStage::Bringing)) {
            self.fail_test("the guest was reset".to_owned()).await;
        }
    }

    /// The session has moved: a guest that goes takes its test with it, unless the test itself has sent it away.
    pub(super) async fn test_moved(&mut self, before: Phase) {
        if self.testing.live && before != self.state.phase && matches!(self.state.phase, Phase::Idle | Phase::Running) {
            // What was saved while no test could begin.
            self.look_at_source_again();
        }
        if before == Phase::Idle && self.state.phase == Phase::Idle {
            return;
        }
        let Some(run) = &self.testing.run else { return };
        let gone = match self.state.phase {
            Phase::Ejecting => run.stage != TestStage::Starting || self.state.next.is_none(),
            Phase::Idle => true,
            _ => false,
        };
        if gone {
            let why = match self.state.outcome {
                Some(Outcome::Cancelled) => "it was cancelled",
                Some(Outcome::GuestEnded) => "the guest has ended",
                Some(Outcome::Failed) => "something failed",
                _ if run.stage == TestStage::Starting => "it was cancelled",
                _ => "the guest was ended",
            };
            self.end_test(Some(why.to_owned())).await;
        }
    }

    /// Stops the steps of a test, if they are being done.
    pub(super) async fn stop_test(&mut self) -> bool {
        let stepping = self.testing.run.as_ref().is_some_and(|run| run.stage != TestStage::Starting)
            && self.state.phase == Phase::Running;
        if stepping {
            self.hands_off();
            self.end_test(Some("it was cancelled".to_owned())).await;
        }
        stepping
    }

    pub(super) async fn fail_test(&mut self, why: String) {
        self.end_test(Some(why)).await;
    }

    /// Ends the test that runs; the guest stays.
    pub(super) async fn end_test(&mut self, why: Option<String>) {
        (self.testing.due, self.testing.limit, self.testing.look) = (None, None, None);
        let Some(run) = self.testing.run.take() else { return };
        let now = std::time::Instant::now();
        let why = why.map(|why| match run.step().filter(|_| run.stage == TestStage::Stepping) {
            Some(step) => format!("{why} (step {} of {}: {step})", run.count().0, run.count().1),
            None => why,
        });
        let (took_ms, ready_ms) = (millis(run.took(now)), run.ready().map(millis));
        self.tell(Event::TestEnded { warm: run.warm, passed: why.is_none(), ready_ms, took_ms, why }).await;
        self.look_at_source_again();
    }
}
