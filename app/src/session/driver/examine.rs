//! A look at the inserted cartridge before it is built, at the side of everything else: a moment after it was inserted,
//! edited or saved, or at once when it is asked for. And the edits that mend what was found.

use std::path::PathBuf;
use std::time::Duration;

use isoprep::Cancel;
use isoprep::lint::{Edit, Fix};
use tokio::time::Instant;

use super::Driver;
use crate::session::event::{Event, Level};
use crate::session::examination::{LintView, Unexamined};
use crate::session::failure;
use crate::session::jobs::{self, Look};
use crate::session::state::{Denied, Phase};

/// How long a cartridge must have been left alone before it is looked at by itself: nobody wants that for every letter.
const AT_REST: Duration = Duration::from_millis(400);

/// What of examinations the driver remembers.
#[derive(Default)]
pub(super) struct Examining {
    /// When the next one begins.
    pub(super) due: Option<Instant>,
    /// The one under way.
    pub(super) running: Option<Running>,
    /// What the last one found.
    findings: Vec<LintView>,
    /// What front ends were told last.
    told: Told,
}

/// What front ends were told last of what is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Told {
    /// Nothing.
    #[default]
    Nothing,
    /// What was found, or that it is being looked for.
    Seen,
    /// That nothing is known.
    Unseen(Unexamined),
}

/// An examination under way.
pub(super) struct Running {
    pub(super) cancel: Cancel,
    /// It looks at what was there before: its answer no longer counts.
    stale: bool,
    pub(super) answer: tokio::task::JoinHandle<Look>,
}

impl Driver {
    /// The cartridge has changed: it is looked at once it is at rest.
    pub(super) async fn examine_soon(&mut self) {
        self.examining.due = None;
        match self.why_not() {
            None if self.examines => self.examine_at(Instant::now() + AT_REST),
            None => self.cancel_examination(),
            Some(why) => self.unexamined(why).await,
        }
    }

    /// Another cartridge is inserted: what was found belongs to the one before.
    pub(super) async fn forget_examination(&mut self) {
        self.examining.due = None;
        self.unexamined(Unexamined::Changed).await;
    }

    /// What was found, or is being looked for, is not of the cartridge as it is now.
    async fn unexamined(&mut self, why: Unexamined) {
        self.cancel_examination();
        self.examining.findings.clear();
        if !matches!(self.examining.told, Told::Nothing) && self.examining.told != Told::Unseen(why) {
            self.tell_unexamined(why).await;
        }
    }

    async fn tell_unexamined(&mut self, why: Unexamined) {
        self.examining.told = Told::Unseen(why);
        self.tell(Event::NotExamined { why }).await;
    }

    /// Takes the one under way out of the driver, to be ended elsewhere; it is begun again when there is time.
    pub(super) async fn take_examination(&mut self) -> Option<Running> {
        let running = self.examining.running.take()?;
        if self.examines {
            self.examining.due = Some(Instant::now());
        } else {
            self.unexamined(Unexamined::Changed).await;
        }
        Some(running)
    }

    /// It was asked for.
    pub(super) async fn examine(&mut self) {
        self.refresh().await;
        self.examine_at(Instant::now());
    }

    /// Others may have edited what it is made of. Nothing is owed to anybody who did not ask.
    pub(super) async fn look_again(&mut self) {
        self.refresh().await;
        if self.examines && self.why_not().is_none() && self.examining.due.is_none() {
            self.examine_at(Instant::now());
        }
    }

    fn examine_at(&mut self, due: Instant) {
        self.examining.due = Some(due);
        self.cancel_examination();
    }

    fn cancel_examination(&mut self) {
        if let Some(running) = &mut self.examining.running {
            running.stale = true;
            running.cancel.cancel();
        }
    }

    /// Why it cannot be looked at; `None` if it can.
    fn why_not(&self) -> Option<Unexamined> {
        let good = matches!(self.inserted.as_ref().map(|it| &it.recipe), Some(Ok(_)));
        (!good).then_some(Unexamined::Invalid)
    }

    /// Why no more than secrets was looked for, if that is so.
    fn no_profile(&self) -> Option<Unexamined> {
        let recipe = self.inserted.as_ref()?.recipe.as_ref().ok()?;
        let engine = recipe.image.engine;
        (!engine.takes_a_profile()).then_some(Unexamined::NoProfile { engine })
    }

    /// What is under way gives way, to be begun again when there is time.
    pub(super) fn leave_examination(&mut self) {
        if self.examining.running.is_some() {
            self.examine_at(Instant::now());
        }
    }

    /// Whether one may begin: one at a time, and none beside a build, which looks for itself.
    pub(super) fn may_examine(&self) -> bool {
        self.examining.running.is_none() && matches!(self.state.phase, Phase::Idle | Phase::Booting | Phase::Running)
    }

    /// It is due.
    pub(super) async fn start_examination(&mut self) {
        self.examining.due = None;
        let Some(inserted) = &self.inserted else { return };
        let cartridge = match &inserted.recipe {
            Ok(recipe) => (recipe.clone(), inserted.text.clone()),
            Err(findings) => {
                let failure = inserted.failure().unwrap_or_else(|| failure::of_findings(findings));
                return self.tell_look(Look::failed(failure)).await;
            }
        };
        let work = match self.make_work() {
            Ok(work) => work,
            Err(failure) => return self.tell_look(Look::failed(failure)).await,
        };
        self.examining.told = Told::Seen;
        self.tell(Event::Examining).await;
        let (cancel, paths) = (Cancel::new(), self.paths.clone());
        let token = cancel.clone();
        let fields = self.run_fields();
        let answer = tokio::task::spawn_blocking(move || jobs::look((cartridge, &fields), work, &paths, &token));
        self.examining.running = Some(Running { cancel, stale: false, answer });
    }

    /// It has answered: with nothing, if its answer no longer counts.
    pub(super) async fn examined(&mut self, look: Option<Look>) {
        match look {
            Some(look) => match self.no_profile().filter(|_| look == Look::default()) {
                // Somebody may have asked: an answer is owed, also where nothing was told before.
                Some(why) => self.tell_unexamined(why).await,
                None => self.tell_look(look).await,
            },
            // Cancelled, and no other one is to come.
            None if self.examining.due.is_none() => {
                let why = self.why_not().unwrap_or(Unexamined::Changed);
                self.unexamined(why).await;
            }
            None => {}
        }
    }

    async fn tell_look(&mut self, look: Look) {
        let Look { lint, tree, warnings, failure } = look;
        self.examining.findings.clone_from(&lint);
        self.examining.told = Told::Seen;
        self.tell(Event::Examined { lint, tree, warnings, failure }).await;
    }

    /// Does what mends a finding: in the cartridge, where it can be reverted until it is saved, or in the repository.
    pub(super) async fn apply_fix(&mut self, id: &str, asked: bool) {
        let found = self.examining.findings.iter().find(|it| it.id == id);
        let Some((fix, asks)) = found.and_then(|it| Some((it.finding.fix.clone()?, it.asks))) else {
            return self.refuse(Denied::NoFix).await;
        };
        if asks && !asked {
            return self.refuse(Denied::NotAsked).await;
        }
        if asks && matches!(self.state.phase, Phase::Preparing | Phase::Building) {
            return self.refuse(Denied::BeingBuilt).await;
        }
        match self.do_edit(&fix).await {
            Ok(file) => {
                self.tell(Event::FixApplied { id: id.to_owned(), says: fix.says, file }).await;
                self.examine().await;
            }
            Err(text) => self.notice(Level::Warning, text).await,
        }
    }

    /// The file of the repository that was changed; `None` if it was the cartridge.
    async fn do_edit(&mut self, fix: &Fix) -> Result<Option<PathBuf>, String> {
        let Some(inserted) = &mut self.inserted else { return Err(Denied::NoCartridge.to_string()) };
        if !fix.edit.asks() {
            let text = isoprep::lint::edited(&inserted.text, &fix.edit).map_err(|e| e.to_string())?;
            inserted.edit(text);
            self.tell_cartridge().await;
            return Ok(None);
        }
        let (root, edit) = (inserted.root(), fix.edit.clone());
        let file = file_of(&edit).map(|file| root.join(file));
        let applied = tokio::task::spawn_blocking(move || isoprep::lint::apply(&root, &edit)).await;
        applied.map_err(|e| e.to_string())?.map_err(|e| e.to_string())?;
        Ok(file)
    }

    async fn refuse(&mut self, denied: Denied) {
        self.tell(Event::Refused { denied, reason: denied.to_string() }).await;
    }

    /// Findings of a build that stopped because of them can be mended just as well.
    pub(super) async fn stopped_by_lint(&mut self, lint: Vec<LintView>) {
        self.examining.findings.clone_from(&lint);
        self.examining.told = Told::Seen;
        self.tell(Event::StoppedByLint { lint }).await;
    }
}

/// The file of the repository that an edit changes.
fn file_of(edit: &Edit) -> Option<&PathBuf> {
    match edit {
        Edit::ReplaceLine { file, .. }
        | Edit::InsertLine { file, .. }
        | Edit::RemoveLine { file, .. }
        | Edit::UnixLineEnds { file }
        | Edit::Chmod { file, .. } => Some(file),
        Edit::SetCartridgeField { .. } | Edit::AddToCartridgeList { .. } | Edit::RemoveFromCartridgeList { .. } => None,
    }
}

/// The answer of the examination under way.
pub(super) async fn look_of(running: &mut Option<Running>) -> Option<Look> {
    let Some(under_way) = running else { return std::future::pending().await };
    let look = (&mut under_way.answer).await;
    let stale = running.take().is_none_or(|it| it.stale);
    let failed = |error| Look::failed(failure::internal("The cartridge could not be looked at", &error));
    (!stale).then(|| look.unwrap_or_else(failed))
}
