//! The steps of a test, one after the other: what is typed, sent and waited for, and until when.

use std::time::Duration;

use isoprep::TestStep;
use tokio::time::Instant;

use super::testing::UNTOLD;
use super::{Driver, together};
use crate::session::event::Event;
use crate::session::state::Phase;
use crate::session::test_run::{Next, TestRun, TestStage, scancodes};

impl Driver {
    pub(super) async fn begin_steps(&mut self) {
        if let Some(run) = &mut self.testing.run {
            run.stage = TestStage::Stepping;
            let layer = self.slots.layer_tree().filter(|_| run.warm);
            let found = layer.or_else(|| self.booted_tree.clone());
            self.testing.tried = found.or_else(|| self.testing.tried.take());
        }
        self.next_step().await;
    }

    /// Does the next step, and those after it that need no waiting.
    pub(super) async fn next_step(&mut self) {
        (self.testing.due, self.testing.limit, self.testing.look) = (None, None, None);
        loop {
            let Some(run) = &mut self.testing.run else { return };
            let next = run.next(std::time::Instant::now());
            let within = run.within;
            let todo = match next {
                Next::Over => return self.end_test(None).await,
                Next::Save(_) if self.slots.saves() => {
                    return self.fail_test("the guest is being saved already, as another slot".to_owned()).await;
                }
                Next::Save(name) => {
                    run.saving = true;
                    return Box::pin(self.save_slot(&name)).await;
                }
                Next::Do(todo) => todo,
            };
            let (number, total) = run.count();
            self.tell(Event::TestStepped { number, total, step: todo.to_string() }).await;
            let now = Instant::now();
            match todo {
                TestStep::Type(text) => return self.test_types(&text).await,
                TestStep::Run(text) => return self.test_types(&format!("{text}\n")).await,
                TestStep::Key(keys) => {
                    self.typing.extend(together(&scancodes(&keys).unwrap_or_default()));
                    return;
                }
                TestStep::Serial(line) => {
                    if let (Some(guest), Some(run)) = (&self.guest, &mut self.testing.run) {
                        run.ear.sent(&line);
                        guest.send_serial(format!("{line}\r").into_bytes());
                    }
                }
                TestStep::Expect(_) => {
                    self.testing.limit = Some(now + within);
                    self.testing.due = self.testing.limit;
                    if !self.heard_it() {
                        return;
                    }
                    (self.testing.due, self.testing.limit) = (None, None);
                }
                TestStep::Still(time) => {
                    self.testing.look = Some(self.screen.look());
                    self.testing.picture = self.screen.generation();
                    self.testing.limit = Some(now + within.max(time));
                    self.testing.due = Some(now + time);
                    return;
                }
                TestStep::Wait(time) => {
                    self.testing.due = Some(now + time);
                    return;
                }
            }
        }
    }

    async fn test_types(&mut self, text: &str) {
        self.type_text(text, &vmtools::display::Layout::Us.into()).await;
        if self.typing.is_empty() {
            Box::pin(self.next_step()).await;
        }
    }

    /// All that was to be typed was typed.
    pub(super) async fn typed(&mut self) {
        let typing =
            |run: &TestRun| matches!(run.step(), Some(TestStep::Type(_) | TestStep::Run(_) | TestStep::Key(_)));
        if self.testing.run.as_ref().is_some_and(|run| run.stage == TestStage::Stepping && !run.saving && typing(run)) {
            self.next_step().await;
        }
    }

    /// The guest wrote to its serial line.
    pub(super) async fn test_hears(&mut self, bytes: &[u8]) {
        // The guest before has its last words.
        let ending = self.state.phase == Phase::Ejecting;
        let Some(run) = self.testing.run.as_mut().filter(|_| !ending) else { return };
        run.ear.push(bytes);
        if run.stage == TestStage::Waking {
            return self.look_for_a_prompt();
        }
        if run.stage == TestStage::Stepping && self.testing.limit.is_some() && self.heard_it() {
            self.next_step().await;
        }
    }

    /// Whether the step waits for the serial line, and has heard it.
    fn heard_it(&mut self) -> bool {
        let Some(run) = &mut self.testing.run else { return false };
        let Some(TestStep::Expect(text)) = run.step().cloned() else { return false };
        run.ear.takes(&text)
    }

    /// The time of something is over.
    pub(super) async fn test_due(&mut self) {
        self.testing.due = None;
        let Some(run) = &self.testing.run else { return };
        let within = run.within.as_secs();
        match run.step() {
            _ if run.stage == TestStage::Waking => self.begin_steps().await,
            _ if run.stage == TestStage::Bringing => {
                let text = format!("the guest has not told for {} s that it has the repository", UNTOLD.as_secs());
                self.fail_test(text).await;
            }
            Some(TestStep::Wait(_)) => self.next_step().await,
            Some(TestStep::Still(time)) => {
                let (time, seen, now) = (*time, self.screen.generation(), Instant::now());
                if seen == self.testing.picture && self.screen.has_picture() {
                    return self.next_step().await;
                }
                if self.testing.limit.is_some_and(|limit| now >= limit) {
                    return self.fail_test(format!("the screen was not still for {} s", time.as_secs_f64())).await;
                }
                self.testing.picture = seen;
                self.testing.due = Some(now + time);
            }
            Some(TestStep::Expect(text)) => {
                let last = run.ear.last_line();
                let text = format!("the serial line has not shown {text:?} for {within} s; its last line is {last:?}");
                self.fail_test(text).await;
            }
            _ => {}
        }
    }

    /// The guest was saved, or could not be: on the way of a test, if that waits for it. Else the guest was `paused` for so
    /// long, which is no time that a step has.
    pub(super) async fn test_saved(&mut self, trouble: Option<String>, paused: Option<Duration>) {
        let Some(run) = self.testing.run.as_mut().filter(|run| run.saving) else {
            let later = |at: Option<Instant>| at.map(|at| at + paused.unwrap_or_default());
            (self.testing.due, self.testing.limit) = (later(self.testing.due), later(self.testing.limit));
            return;
        };
        run.saving = false;
        match trouble {
            None => self.next_step().await,
            Some(why) => self.fail_test(format!("the guest could not be saved as the slot: {why}")).await,
        }
    }
}
