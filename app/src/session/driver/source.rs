//! The repository while a person edits it: what changed since the guest saw it, and bringing that to the guest.

use std::path::PathBuf;
use std::time::Duration;

use isoprep::{BootWay, BuildError, Cancel, Recipe, SourceTree};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::testing::SlotNow;
use super::{Driver, millis};
use crate::session::event::{Event, Level, Since};
use crate::session::inserted::Inserted;
use crate::session::jobs::{self, Base, SourceLook};
use crate::session::source_watch::SourceWatch;
use crate::session::state::{Goal, Input, Phase, step};
use crate::session::way::{Facts, Way};

/// How long nothing must have changed before the repository is read: editors write a file in several steps, and git many.
const AT_REST: Duration = Duration::from_millis(200);
/// How long a guest may take to tell that it has a layer; after that another press takes another way.
const UNTOLD: Duration = Duration::from_secs(60);
/// How many changes are told one by one.
const NAMED: usize = 200;

/// What the driver remembers of the repository.
#[derive(Default)]
pub(super) struct Watched {
    pub(super) watch: Option<SourceWatch>,
    /// Why it is not watched, as it was told.
    unwatched: Option<String>,
    /// When it is looked at.
    pub(super) due: Option<Instant>,
    pub(super) running: Option<Looking>,
    /// The hash of the repository when it was looked at last.
    pub(super) tree: Option<String>,
    /// The text of the cartridge's file that was told of and could not be taken over.
    pub(super) settings: Option<String>,
    /// What was told last.
    told: Option<Event>,
    /// What was plugged into the guest since it started.
    layer: Option<SourceTree>,
    /// The guest has told that it sees the repository itself.
    live: bool,
    /// What is being brought to the guest, and since when.
    bringing: Option<(Way, std::time::Instant)>,
}

/// A look under way.
pub(super) struct Looking {
    cancel: Cancel,
    /// It looks at another cartridge, or for another image.
    stale: bool,
    answer: JoinHandle<Result<SourceLook, BuildError>>,
}

impl Driver {
    /// The cartridge, the image or the guest is another one.
    pub(super) fn look_at_source_again(&mut self) {
        if !self.watches {
            return;
        }
        if let Some(looking) = &mut self.watched.running {
            looking.stale = true;
            looking.cancel.cancel();
        }
        self.watched.due = Some(Instant::now() + AT_REST);
    }

    /// Something in it may have changed.
    pub(super) fn source_stirred(&mut self) {
        self.watched.due = Some(Instant::now() + AT_REST);
    }

    /// Whether it may be looked at: not beside a build, which reads it as well.
    pub(super) fn may_look_at_source(&self) -> bool {
        self.watched.running.is_none() && matches!(self.state.phase, Phase::Idle | Phase::Booting | Phase::Running)
    }

    pub(super) fn recipe_now(&self) -> Option<&Recipe> {
        self.inserted.as_ref()?.recipe.as_ref().ok()
    }

    /// It is due.
    pub(super) async fn start_source_look(&mut self) {
        self.watched.due = None;
        let Some(beside) = self.inserted.as_ref().map(Inserted::root) else { return };
        let root = self.recipe_now().map_or_else(|| beside.clone(), |recipe| recipe.source.path.clone());
        self.watch_source(root, beside).await;
        if self.take_settings_from_disk().await {
            // They may say another repository: it is looked at with them.
            return;
        }
        let Some(recipe) = self.recipe_now().cloned() else { return };
        // What is remembered of it lies in the cache, which is ours only with our marker.
        if isoprep::ensure_marked(&self.paths.stages(), "stages").is_err() {
            return;
        }
        let base = match &self.image {
            Some(built) => {
                let of_guest = || self.slots.tree.as_ref().or(self.booted_tree.as_ref());
                let tree = if self.guest.is_some() { of_guest() } else { Some(&built.image.tree_hash) };
                tree.map_or(Base::Nothing, |tree| Base::Image(built.image.iso.clone(), tree.clone()))
            }
            None => Base::Nothing,
        };
        let (cancel, paths) = (Cancel::new(), self.paths.clone());
        let token = cancel.clone();
        let answer = tokio::task::spawn_blocking(move || jobs::look_at_source(&recipe, base, &paths, &token));
        self.watched.running = Some(Looking { cancel, stale: false, answer });
    }

    /// Ends the look under way, without an answer.
    pub(super) fn stop_source_look(&mut self) {
        if let Some(looking) = self.watched.running.take() {
            looking.cancel.cancel();
            self.beside.leave(looking.answer);
        }
    }

    /// Has the root watched before anything is read, so that nothing that changes meanwhile is missed.
    async fn watch_source(&mut self, root: PathBuf, beside: PathBuf) {
        if self.watched.watch.as_ref().is_some_and(|watch| watch.is_of(&root, &beside)) {
            return;
        }
        self.watched.watch = None;
        match SourceWatch::new(root, beside) {
            Ok(watch) => {
                self.watched.watch = Some(watch);
                self.watched.unwatched = None;
            }
            Err(why) => self.unwatched(why).await,
        }
    }

    async fn unwatched(&mut self, why: String) {
        if self.watched.unwatched.as_ref() != Some(&why) {
            let text = format!("Not all changes of the repository are noticed by themselves: {why}");
            self.watched.unwatched = Some(why);
            self.notice(Level::Warning, text).await;
        }
    }

    /// It was looked at; `None` if that no longer counts.
    pub(super) async fn source_looked(&mut self, look: Option<Result<SourceLook, BuildError>>) {
        // What cannot be read is told by the build; here it would be told again with each key that is pressed.
        let Some(Ok(SourceLook { now, base })) = look else { return };
        if let Some(watch) = &mut self.watched.watch
            && let Err(why) = watch.follow(now.folders())
        {
            self.unwatched(why).await;
        }
        let before = self.watched.tree.replace(now.hash().to_owned());
        if before.is_some_and(|before| before != now.hash()) && !self.slots.known.is_empty() {
            // How they fit is another matter now.
            self.list_slots();
        }
        let layer = self.watched.layer.clone().filter(|_| self.guest.is_some());
        let Some(base) = layer.or(base) else {
            self.tell_source(None).await;
            return self.saved_file(now.hash()).await;
        };
        let mut changes = base.changes(&now);
        let tree = now.hash().to_owned();
        let total = changes.len();
        changes.truncate(NAMED);
        let way = Way::quickest(self.way_facts());
        // A guest that sees the repository itself has seen everything.
        let since = if self.guest.is_some() && way != Way::Live { Since::Guest } else { Since::Build };
        self.tell_source(Some(Event::SourceChanged { since, changes, total, way })).await;
        self.saved_file(&tree).await;
    }

    async fn tell_source(&mut self, event: Option<Event>) {
        let none = |event: &Event| matches!(event, Event::SourceChanged { total: 0, .. });
        let event = event.unwrap_or(Event::SourceUnknown);
        let quiet = match &self.watched.told {
            None => none(&event) || matches!(event, Event::SourceUnknown),
            Some(told) => same(told, &event) || (none(told) && none(&event)),
        };
        if !quiet {
            self.watched.told = Some(event.clone());
            self.tell(event).await;
        }
    }

    /// Another cartridge: what was told is of the one before, and front ends know that.
    pub(super) fn forget_source(&mut self) {
        self.watched.told = None;
        self.watched.tree = None;
        self.look_at_source_again();
    }

    fn way_facts(&self) -> Facts {
        let running = self.guest.is_some() && matches!(self.state.phase, Phase::Booting | Phase::Running);
        let recipe = self.recipe_now();
        let slot = recipe.and_then(|it| it.test.slot.as_deref());
        Facts {
            running,
            live: self.watched.live,
            // One from a slot has reported before it was saved.
            reports: self.slots.report.is_some(),
            slot: !running && slot.is_some_and(|name| self.slot_now(name) == SlotNow::Usable),
            direct: recipe.is_some_and(|it| it.boot.way != BootWay::Image),
        }
    }

    /// Brings what changed to the guest, by the quickest way.
    pub(super) async fn bring_in(&mut self) {
        if self.testing.runs() {
            return self.notice(Level::Info, "A test is running: stop it first, or run it again".to_owned()).await;
        }
        let mut way = Way::quickest(self.way_facts());
        match self.watched.bringing {
            // A guest that does not tell of a layer in all this time has nothing that mounts it any more.
            Some((Way::Layer | Way::Slot, since)) if since.elapsed() > UNTOLD => way = Way::Image,
            Some(_) => return self.notice(Level::Info, "The changes are on their way already".to_owned()).await,
            None => {}
        }
        // What was asked for before is not what is brought.
        self.stop_checking(false).await;
        self.watched.bringing = Some((way, std::time::Instant::now()));
        let begun = match way {
            Way::Live => {
                self.brought_in().await;
                true
            }
            Way::Layer => self.plug_layer().await,
            Way::Slot => {
                let slot = self.recipe_now().and_then(|it| it.test.slot.clone()).unwrap_or_default();
                let begins = step(&self.state, Input::Ask(Goal::Restore)).is_ok();
                self.restore_slot(slot, true).await;
                begins
            }
            Way::Direct | Way::Image => {
                self.refresh().await;
                let begins = self.recipe_now().is_some() && step(&self.state, Input::Ask(Goal::Up)).is_ok();
                self.ask(Goal::Up, false, None).await;
                begins
            }
        };
        if !begun {
            self.not_brought_in();
        }
    }

    /// The guest of a slot runs: it gets what is being brought to it.
    pub(super) async fn plug_what_is_brought(&mut self) {
        if matches!(self.watched.bringing, Some((Way::Slot, _))) && !self.plug_layer().await {
            self.not_brought_in();
        }
    }

    /// A layer was plugged in, and the guest has told that it has it.
    pub(super) async fn guest_has(&mut self, layer: SourceTree) {
        self.watched.layer = Some(layer);
        self.look_at_source_again();
        self.brought_in().await;
    }

    /// Another guest starts: what was plugged into the one before is gone with it.
    pub(super) fn guest_is_new(&mut self) {
        self.watched.layer = None;
        self.guest_sees(false);
        self.look_at_source_again();
    }

    /// The guest has reported: whether it sees the repository itself.
    pub(super) fn guest_sees(&mut self, live: bool) {
        if self.watched.live != live {
            self.watched.live = live;
            self.look_at_source_again();
        }
    }

    /// The guest has what was being brought to it.
    pub(super) async fn brought_in(&mut self) {
        if let Some((way, since)) = self.watched.bringing.take() {
            self.tell(Event::BroughtIn { way, took_ms: millis(since.elapsed()) }).await;
        }
    }

    /// It will not get it: something failed, or was cancelled.
    pub(super) fn not_brought_in(&mut self) {
        self.watched.bringing = None;
    }
}

/// Waits until something may have changed.
pub(super) async fn stirred(watch: &mut Option<SourceWatch>) {
    match watch {
        Some(watch) => watch.stirred().await,
        None => std::future::pending().await,
    }
}

/// Whether two events tell the same.
fn same(one: &Event, other: &Event) -> bool {
    match (one, other) {
        (
            Event::SourceChanged { since: a, changes: b, total: c, way: d },
            Event::SourceChanged { since: e, changes: f, total: g, way: h },
        ) => (a, b, c, d) == (e, f, g, h),
        (Event::SourceUnknown, Event::SourceUnknown) => true,
        _ => false,
    }
}

/// The answer of the look under way.
pub(super) async fn source_of(running: &mut Option<Looking>) -> Option<Result<SourceLook, BuildError>> {
    let Some(looking) = running else { return std::future::pending().await };
    let look = (&mut looking.answer).await;
    let stale = running.take().is_none_or(|it| it.stale);
    // A look that broke is no news of the repository; the next one tells.
    look.ok().filter(|_| !stale)
}
