//! Slots: a running guest kept by name. Saving is work at the side; `restoring` brings one back, `layer` plugs the repository into
//! one.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use isoprep::{Cancel, Held, SourceTree};
use vmtools::GuestReport;
use vmtools::slot::{self, Saving, Slot, SlotName};

use super::{Driver, FRESH, layer, millis};
use crate::session::event::{Event, Level, Side, SlotView};
use crate::session::failure::internal;
use crate::session::inserted::Inserted;
use crate::session::jobs;
use crate::session::slot_stores;
use crate::session::state::Phase;

/// How often it is told at most how far saving is.
const ADVANCES: Duration = Duration::from_millis(100);

/// What the driver knows of slots and layers.
#[derive(Default)]
pub(super) struct Slots {
    /// What is to be restored, until it is.
    pub(super) wanted: Option<(String, bool)>,
    /// What is being restored, and since when.
    pub(super) restoring: Option<(Slot, Instant)>,
    /// As they were listed last.
    pub(super) known: Vec<SlotView>,
    /// Stops the saving under way, which has begun then.
    saving: Option<(Cancel, Instant)>,
    /// The tree that the image of the guest has, where it came from a slot.
    pub(super) tree: Option<String>,
    /// The last report of the guest.
    pub(super) report: Option<GuestReport>,
    /// What was plugged in last, once it is known.
    pub(super) layer: Arc<OnceLock<SourceTree>>,
    /// Keeps the layers that the guest may have.
    pub(super) held: Arc<Mutex<VecDeque<Held>>>,
    /// Since when a layer is on its way.
    pub(super) plugging: Option<Instant>,
    /// Another one is to follow it.
    pub(super) again: bool,
    /// What the guest told instead of that layer, and until when it may tell better.
    pub(super) doubt: Option<(GuestReport, tokio::time::Instant)>,
}

impl Slots {
    /// Whether the guest is being saved.
    pub(super) fn saves(&self) -> bool {
        self.saving.is_some()
    }

    /// Stops what is under way.
    pub(super) fn cancel(&mut self) {
        if let Some((saving, _)) = self.saving.take() {
            saving.cancel();
        }
    }

    /// Until when the guest may tell of the layer on its way, where it has told of something else.
    pub(super) fn doubtful(&self) -> Option<tokio::time::Instant> {
        self.doubt.as_ref().map(|(_, until)| *until)
    }

    /// Until when the guest may tell of the layer on its way, where another one waits for that.
    pub(super) fn untold(&self) -> Option<tokio::time::Instant> {
        let since = self.plugging.filter(|_| self.again)?;
        Some(tokio::time::Instant::from_std(since) + layer::UNTOLD)
    }

    /// The hash of what was plugged in last, once it is known.
    pub(super) fn layer_tree(&self) -> Option<String> {
        self.layer.get().map(|tree| tree.hash().to_owned())
    }

    /// Another guest begins.
    pub(super) fn begin(&mut self) {
        self.cancel();
        *self = Self { wanted: self.wanted.take(), known: std::mem::take(&mut self.known), ..Self::default() };
    }
}

impl Driver {
    pub(super) fn slot_store(&self) -> Option<PathBuf> {
        let recipe = self.inserted.as_ref()?.recipe.as_ref().ok()?;
        Some(slot_stores::of(&self.paths, &recipe.name, &recipe.root))
    }

    pub(super) fn list_slots(&mut self) {
        let (Some(store), side) = (self.slot_store(), self.side.0.clone()) else { return };
        let present = self.present();
        let root = self.inserted.as_ref().map(Inserted::root);
        self.beside.run(move |cancel| {
            root.iter().for_each(|root| slot_stores::mark(&store, root));
            let slots = jobs::slots(&store, present.as_ref(), cancel);
            let _ = side.blocking_send(Event::SlotsChanged { slots });
        });
    }

    /// What slots are compared with.
    pub(super) fn present(&self) -> Option<jobs::Present> {
        // What is remembered of the repository lies in what is being removed.
        if self.state.phase == Phase::Ejecting {
            return None;
        }
        let recipe = self.inserted.as_ref()?.recipe.clone().ok()?;
        let tree = self.image.as_ref().map(|built| built.image.tree_hash.clone());
        Some(jobs::Present { recipe, paths: self.paths.clone(), tree })
    }

    pub(super) async fn save_slot(&mut self, name: &str) {
        let (Some(guest), Some(store)) = (&self.guest, self.slot_store()) else {
            return self.slot_failed("The guest could not be saved", self.no_guest().into()).await;
        };
        let monitor = guest.monitor();
        let name = match SlotName::new(name) {
            Ok(name) => name,
            Err(error) => return self.slot_failed("The guest could not be saved", error.to_string()).await,
        };
        if self.slots.saving.is_some() {
            return self.notice(Level::Warning, "The guest is being saved already".into()).await;
        }
        let tree = self.slots.tree.clone().or_else(|| self.booted_tree.clone());
        let mut what =
            Saving { cartridge: self.cartridge_name(), tree, report: self.slots.report.clone(), picture: None };
        let screen = Arc::clone(&self.screen);
        let (cancel, side, began) = (Cancel::new(), self.guest_side.0.clone(), Instant::now());
        let guest = self.boots;
        let root = self.inserted.as_ref().map(Inserted::root);
        self.slots.saving = Some((cancel.clone(), began));
        self.tell(Event::SlotSaving { name: name.to_string() }).await;
        tokio::spawn(async move {
            let (telling, mut last) = (side.clone(), began);
            let mut progress = move |done, total| {
                if last.elapsed() >= ADVANCES {
                    last = Instant::now();
                    // A full channel means that the front end is behind: it will see the next one.
                    let _ = telling.try_send((guest, Event::SlotAdvanced { done, total }));
                }
            };
            screen.fresh(FRESH).await;
            what.picture = screen.snapshot();
            let event = match slot::save(&monitor, &name, what, &store, &cancel, &mut progress).await {
                Ok(slot) => {
                    root.iter().for_each(|root| slot_stores::mark(&store, root));
                    let took_ms = millis(began.elapsed());
                    Event::SlotSaved { name: name.to_string(), bytes: slot.bytes, took_ms }
                }
                Err(error) => {
                    let failure = jobs::of_slot("The guest could not be saved", &error);
                    Event::SideFailed { side: Side::Slot, failure }
                }
            };
            // The session may have ended meanwhile.
            let _ = side.send((guest, event)).await;
        });
    }

    pub(super) fn remove_slot(&mut self, name: String) {
        let (Some(store), side) = (self.slot_store(), self.side.0.clone()) else { return };
        let present = self.present();
        self.beside.run(move |cancel| {
            let name = SlotName::new(&name).map_err(|error| slot_stores::not_removed(&error.into()));
            let event = match name.and_then(|name| slot_stores::remove(&store, &name)) {
                Ok(()) => Event::SlotsChanged { slots: jobs::slots(&store, present.as_ref(), cancel) },
                Err(failure) => Event::SideFailed { side: Side::Removal, failure },
            };
            let _ = side.blocking_send(event);
        });
    }

    /// Something at the side was done; what it means for us comes before others hear of it.
    pub(super) async fn side_event(&mut self, event: Event) {
        if let Event::SlotsChanged { slots } = &event {
            self.slots.known.clone_from(slots);
        }
        if matches!(event, Event::RecordingEnded { .. } | Event::SideFailed { side: Side::Recording, .. }) {
            self.recording = None;
        }
        if matches!(event, Event::EjectAdvanced { .. }) {
            self.removal_advanced();
        }
        self.tell(event).await;
    }

    /// The same with a guest: of one that is gone others hear, and for us it means nothing.
    pub(super) async fn guest_side_event(&mut self, guest: u32, event: Event) {
        let shown = guest == self.boots && self.state.phase == Phase::Running && self.blank.says();
        if matches!(event, Event::ScreenBlank { .. }) && !shown {
            return;
        }
        if matches!(event, Event::SlotSaved { .. }) {
            self.list_slots();
        }
        if guest != self.boots {
            return self.tell(event).await;
        }
        let mut paused = None;
        match &event {
            Event::SlotSaved { .. } | Event::SideFailed { side: Side::Slot, .. } => {
                paused = self.slots.saving.take().map(|(_, began)| began.elapsed());
            }
            Event::SideFailed { side: Side::Layer, .. } => {
                (self.slots.plugging, self.slots.doubt) = (None, None);
                self.not_brought_in();
            }
            _ => {}
        }
        self.tell(event.clone()).await;
        match event {
            Event::SlotSaved { .. } => self.test_saved(None, paused).await,
            Event::SideFailed { side: Side::Slot, failure } => self.test_saved(Some(failure.detail), paused).await,
            Event::SideFailed { side: Side::Layer, failure } => {
                self.test_layered(false, Some(failure.detail)).await;
                self.plug_again().await;
            }
            _ => {}
        }
    }

    pub(super) fn cartridge_name(&self) -> String {
        let recipe = self.inserted.as_ref().and_then(|i| i.recipe.as_ref().ok());
        recipe.map(|recipe| recipe.name.clone()).unwrap_or_default()
    }

    async fn slot_failed(&mut self, title: &str, error: String) {
        let failure = internal(title, &error);
        self.tell(Event::SideFailed { side: Side::Slot, failure }).await;
        self.test_saved(Some(error), None).await;
    }
}
