//! A slot brought back: a goal like any other, so that it goes through the same phases.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::mpsc::channel;
use vmtools::slot::{Restoring, Slot, SlotError, SlotName};
use vmtools::{Boot, GuestPlan};

use super::{Driver, millis};
use crate::session::direct::{DirectSource, DirectWish};
use crate::session::event::{Event, Failure, Side};
use crate::session::failure::internal;
use crate::session::jobs::direct::Wanted;
use crate::session::jobs::{self, Hardware, Outcome};
use crate::session::state::{Goal, Input, step};

/// What is said first where a slot is not restored.
const NOT_RESTORED: &str = "The slot could not be restored";

/// The slot of that name in `store`.
fn find(store: &Path, name: &str) -> Result<Slot, SlotError> {
    Slot::find(store, &SlotName::new(name)?)
}

impl Driver {
    pub(super) async fn restore_slot(&mut self, name: String, anyway: bool) {
        self.refresh().await;
        // No guest is ended for a slot that is not there.
        if let Some(Err(error)) = self.slot_store().map(|store| find(&store, &name)) {
            let failure = jobs::of_slot(NOT_RESTORED, &error);
            self.list_slots();
            return self.tell(Event::SideFailed { side: Side::Restore, failure }).await;
        }
        if step(&self.state, Input::Ask(Goal::Restore)).is_ok() {
            self.slots.wanted = Some((name, anyway));
        }
        self.ask(Goal::Restore, false, None).await;
    }

    /// What a guest is started from, when a slot is to be restored.
    pub(super) async fn start_restore(&mut self) {
        match self.restore_now() {
            Ok(()) => {}
            Err(failure) => self.fail(failure).await,
        }
    }

    fn restore_now(&mut self) -> Result<(), Failure> {
        let wanted = self.slots.wanted.take();
        let hardware = self.prepared.as_ref().and_then(|p| p.machine.clone());
        let (Some((name, force)), Some(hardware), Some(store)) = (wanted, hardware, self.slot_store()) else {
            return Err(internal(NOT_RESTORED, &"no slot, or no machine"));
        };
        let slot = find(&store, &name).map_err(|e| jobs::of_slot(NOT_RESTORED, &e))?;
        self.boots += 1;
        self.guest_status = None;
        self.slots.begin();
        self.clear_screen();
        if self.image.is_none() {
            self.reload_image();
        }
        let runtime = self.paths.runtime.join(format!("{}-{}", self.id, self.boots));
        self.make_runtime(&runtime)?;
        let disks = self.make_work()?;
        let boot = slot.boot();
        let direct = matches!(boot, Boot::Direct { .. }).then(|| self.direct_of_cartridge()).flatten();
        // Run by itself it boots: a moment cannot be had from a command line.
        self.standalone = if direct.is_none() { hardware.standalone(&boot) } else { String::new() };
        self.direct_command = Arc::default();
        let direct = direct.map(|wanted| (wanted, Arc::clone(&self.direct_command)));
        self.logs.terminal.clear();
        let sharing = self.prepared.as_ref().map(|it| jobs::sharing_of(&it.recipe)).unwrap_or_default();
        // The slot's disks take the places of those that the machine has.
        let Hardware { machine, firmware, qemu } = hardware;
        let plan = GuestPlan { machine, boot, runtime, qemu, firmware, sharing };
        let (events, queue) = channel(256);
        self.hear_guest(Some(queue));
        self.booted_tree = self.image.as_ref().map(|built| built.image.tree_hash.clone());
        self.watch_guest(None, false);
        let how = Restoring {
            cartridge: self.cartridge_name(),
            tree: self.image.as_ref().map(|built| built.image.tree_hash.clone()),
            force,
            disks,
            cancel: self.cancel.clone(),
        };
        let (screen, present) = (Arc::clone(&self.screen), self.present());
        self.slots.restoring = Some((slot.clone(), Instant::now()));
        self.job = Some(tokio::spawn(async move {
            Outcome::Started(jobs::restore(slot, (plan, direct), (how, present), events, screen).await)
        }));
        Ok(())
    }

    /// What the cartridge is booted from directly: as it says, or its image's own kernel.
    fn direct_of_cartridge(&self) -> Option<Wanted> {
        let prepared = self.prepared.as_ref()?;
        let wish = DirectWish::of_recipe(&prepared.recipe.boot).unwrap_or_else(|| DirectWish::of(DirectSource::Image));
        let image = self.image.as_ref().map(|it| it.image.clone());
        let wish = (wish, DirectWish::named_for_run(None, &self.run_fields()));
        Some(Wanted::new(wish, image, &prepared.recipe, prepared.machine.as_ref(), self.paths.clone()))
    }

    /// A guest has started: one from a slot is up at once.
    pub(super) async fn tell_restored(&mut self) {
        let Some((slot, began)) = self.slots.restoring.take() else { return };
        if let Ok(manifest) = &slot.manifest {
            self.slots.tree.clone_from(&manifest.inputs.tree);
            self.slots.report.clone_from(&manifest.report);
        }
        let took_ms = millis(began.elapsed());
        self.tell(Event::SlotRestored { name: slot.name.to_string(), took_ms }).await;
        self.booted().await;
        self.plug_what_is_brought().await;
        self.test_restored().await;
    }
}
