//! A boot without a boot loader that is asked for while a guest runs: what it names is looked at first, so that the guest is
//! ended only for one that can be booted.

use isoprep::Cancel;
use tokio::task::JoinHandle;

use super::Driver;
use crate::session::direct::DirectWish;
use crate::session::event::{Event, Failure, Level, Side};
use crate::session::failure::internal;
use crate::session::jobs::direct::{Wanted, make_ready};
use crate::session::state::{Goal, Outcome, Phase};

/// What was asked for: the goal, whether in spite of the lint, and how it is booted where a front end has said it.
pub(super) type Asked = (Goal, bool, Option<DirectWish>);

/// A look under way.
pub(super) struct Checking {
    asked: Asked,
    cancel: Cancel,
    answer: JoinHandle<Result<(), Failure>>,
}

impl Driver {
    /// What is to be looked at before the guest that runs is ended for it; `None` where there is nothing.
    pub(super) fn to_be_checked(&self, goal: Goal, wish: Option<&DirectWish>) -> Option<Result<Wanted, Failure>> {
        if self.state.phase != Phase::Running || matches!(goal, Goal::Build | Goal::Restore) {
            return None;
        }
        let recipe = match self.recipe_for(goal, wish) {
            Ok((recipe, _)) => recipe,
            Err(failure) => return Some(Err(failure)),
        };
        let named = DirectWish::named_for_run(wish, &self.run_fields_with(wish));
        // What a build is going to leave cannot be looked at.
        let wish =
            DirectWish::chosen(wish.cloned(), &recipe.boot).filter(|it| goal != Goal::Up || !it.needs_image())?;
        let image = self.image.as_ref().filter(|_| goal != Goal::Direct).map(|built| built.image.clone());
        let hardware = self.prepared.as_ref().and_then(|it| it.machine.as_ref());
        Some(Ok(Wanted::new((wish, named), image, &recipe, hardware, self.paths.clone())))
    }

    /// Makes it ready once, off the driver: when the guest is to start, most of that is in the cache.
    pub(super) async fn check(&mut self, asked: Asked, wanted: Wanted) {
        let cancel = Cancel::new();
        let token = cancel.clone();
        let answer = tokio::task::spawn_blocking(move || make_ready(&wanted, &token).map(drop));
        self.checking = Some(Checking { asked, cancel, answer });
        self.tell(Event::BootChecking).await;
    }

    /// It was looked at: the guest that runs is ended for it, or stays.
    pub(super) async fn checked(&mut self, asked: Asked, answer: Result<(), Failure>) {
        self.tell(Event::BootChecked { dropped: false }).await;
        match answer {
            Ok(()) => self.work_towards(asked).await,
            Err(failure) => self.not_begun(failure).await,
        }
    }

    /// What was asked for cannot be done, and nothing was changed for it.
    pub(super) async fn not_begun(&mut self, failure: Failure) {
        let title = failure.title.clone();
        self.tell(Event::SideFailed { side: Side::Boot, failure }).await;
        self.nothing_comes(&title).await;
    }

    /// Stops the look under way: nothing follows it, or what is asked for instead. Says whether there was one.
    pub(super) async fn stop_checking(&mut self, dropped: bool) -> bool {
        let Some(checking) = self.checking.take() else { return false };
        checking.cancel.cancel();
        self.beside.leave(checking.answer);
        self.tell(Event::BootChecked { dropped }).await;
        true
    }

    /// Stops it because that was asked for.
    pub(super) async fn cancel_check(&mut self) -> bool {
        let stopped = self.stop_checking(true).await;
        if stopped {
            self.nothing_comes("it was cancelled").await;
            self.notice(Level::Info, "Cancelled: the guest that runs stays".to_owned()).await;
        }
        stopped
    }

    /// Stops it because something else is asked for.
    pub(super) async fn replace_check(&mut self) {
        if self.stop_checking(false).await {
            self.nothing_comes("something else was asked for").await;
        }
    }

    /// The guest goes, for whatever reason: what was asked for while it ran counts no longer.
    pub(super) async fn drop_check(&mut self) {
        if self.stop_checking(true).await && !matches!(self.state.outcome, Some(Outcome::Ejected)) {
            let text =
                "The guest went while the next boot was being made ready, so that one is not begun: ask for it again";
            self.notice(Level::Info, text.to_owned()).await;
        }
    }

    /// Nothing comes of what was looked at: who waited for it is told. A test that does its steps has not.
    async fn nothing_comes(&mut self, why: &str) {
        self.not_brought_in();
        if self.testing.begins() {
            self.fail_test(why.to_owned()).await;
        }
    }
}

/// The answer of the look under way.
pub(super) async fn check_of(checking: &mut Option<Checking>) -> (Asked, Result<(), Failure>) {
    let Some(running) = checking else { return std::future::pending().await };
    let answer = (&mut running.answer).await;
    let asked = checking.take().map_or((Goal::Direct, false, None), |it| it.asked);
    let broken = |error| Err(internal("A direct boot could not be made ready; this is a bug", &error));
    (asked, answer.unwrap_or_else(broken))
}
