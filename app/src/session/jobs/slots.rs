//! Slots compared with the present, restoring one, and packing the repository as a layer for a guest that runs.

use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use isoprep::{Cancel, Recipe, RepositoryLayer};
use tokio::sync::mpsc::Sender;
use vmtools::display::Screen;
use vmtools::slot::{self, Restoring, Slot, SlotError, SlotInputs};
use vmtools::{Boot, GuestEvent, GuestHandle, GuestPlan};

use super::Hardware;
use super::direct::{Wanted, make_ready};
use crate::paths::Paths;
use crate::session::event::{Failure, SlotView};
use crate::session::failure::{self, exit_code, internal};
use crate::session::kept_disks;
use crate::session::logs::Pane;

/// What slots are compared with.
pub(in crate::session) struct Present {
    pub(in crate::session) recipe: Recipe,
    pub(in crate::session) paths: Paths,
    /// The repository's tree in the last image: what counts where the repository itself cannot be read.
    pub(in crate::session) tree: Option<String>,
}

impl Present {
    /// The hash of the repository as it is. Blocking.
    fn tree_now(&self, cancel: &Cancel) -> Option<String> {
        // What is remembered of it lies in the cache, which is ours only with our marker.
        let marked = isoprep::ensure_marked(&self.paths.stages(), "stages").is_ok();
        let look = || super::look_at_source(&self.recipe, super::Base::Nothing, &self.paths, cancel).ok();
        let now = marked.then(look).flatten().map(|look| look.now.hash().to_owned());
        now.or_else(|| self.tree.clone())
    }
}

/// All slots in `store`, each compared with what a guest would be made of now, where that can be known without making
/// anything. Cancelled, it compares with the repository that it knows. Blocking.
pub(in crate::session) fn slots(store: &Path, present: Option<&Present>, cancel: &Cancel) -> Vec<SlotView> {
    let slots = slot::list(store);
    // Where there are none nobody asks what this host has.
    let present = present.filter(|_| slots.iter().any(|slot| slot.manifest.is_ok()));
    let machine = present.and_then(|present| machine_now(present, cancel));
    let tree = present.filter(|_| machine.is_some()).and_then(|present| present.tree_now(cancel));
    let view = |slot: &Slot| {
        let view = SlotView::from(slot);
        let (Some(now), Some((hardware, qemu))) = (present, &machine) else { return view };
        // What a direct boot adds to its machine is known when that is made ready.
        if matches!(slot.boot(), Boot::Direct { .. }) {
            return view;
        }
        let tree = tree.as_deref();
        let plan = GuestPlan {
            machine: hardware.machine.clone(),
            boot: slot.boot(),
            runtime: now.paths.runtime.clone(),
            qemu: hardware.qemu.clone(),
            firmware: hardware.firmware.clone(),
            sharing: super::sharing_of(&now.recipe),
        };
        let inputs = SlotInputs::of(&plan, qemu, &now.recipe.name, tree);
        match slot::check(slot, &inputs) {
            Ok(differs) => view.compared(slot, differs, tree),
            Err(_) => view,
        }
    };
    slots.iter().map(view).collect()
}

/// The machine that the recipe asks for and QEMU's version; `None` where a disk would have to be made first, or this host
/// lacks something: restoring says what.
fn machine_now(present: &Present, cancel: &Cancel) -> Option<(Hardware, String)> {
    let Present { recipe, paths, .. } = present;
    if !kept_disks::all_there(paths, recipe) {
        return None;
    }
    let (hardware, _) = super::hardware(recipe, paths, cancel, &mut Vec::new()).ok()?;
    let qemu = slot::qemu_version(&hardware.qemu).ok()?;
    Some((hardware, qemu))
}

/// What a guest that was booted directly was made of, and where what starts it in a terminal is told.
pub(in crate::session) type WasDirect = (Wanted, Arc<OnceLock<String>>);

/// Starts a guest from a slot.
pub(in crate::session) async fn restore(
    slot: Slot,
    (mut plan, direct): (GuestPlan, Option<WasDirect>),
    (mut how, present): (Restoring, Option<Present>),
    events: Sender<GuestEvent>,
    screen: Arc<Screen>,
) -> Result<Box<GuestHandle>, Failure> {
    let cancel = how.cancel.clone();
    // Who wants it whatever has changed does not wait to hear what has.
    if let Some(present) = present.filter(|_| !how.force) {
        let token = cancel.clone();
        let read = tokio::task::spawn_blocking(move || present.tree_now(&token)).await;
        how.tree = read.map_err(|e| internal("The slot could not be restored", &e))?;
    }
    if let Some((wanted, command)) = direct {
        let token = cancel.clone();
        let made = tokio::task::spawn_blocking(move || make_ready(&wanted, &token)).await;
        let ready = made.map_err(|e| internal("The slot could not be restored", &e))??;
        super::start::complete(&mut plan, ready, &command);
    }
    tokio::select! {
        started = vmtools::slot::restore(&slot, plan, how, events, screen) => {
            started.map(Box::new).map_err(|e| of_slot("The slot could not be restored", &e))
        }
        () = super::start::cancelled(&cancel) => Err(internal("Cancelled", &"the slot was not restored")),
    }
}

/// What is said when something with a slot has failed. Its last sentence says what to do.
pub(in crate::session) fn of_slot(title: &str, error: &SlotError) -> Failure {
    if let SlotError::Guest(error) = error {
        return Failure { title: title.into(), ..failure::of_guest(error) };
    }
    let text = error.to_string();
    let (detail, advice) = match text.rsplit_once('\n').filter(|(_, last)| !last.starts_with(' ')) {
        Some((detail, advice)) => (detail.to_owned(), Some(advice.to_owned())),
        None => (text, None),
    };
    Failure {
        title: title.into(),
        detail,
        advice,
        command: None,
        pane: Some(Pane::Session),
        exit_code: match error {
            // It was named wrongly.
            SlotError::Absent { .. } | SlotError::Name(_) => exit_code::USAGE,
            _ => exit_code::GUEST,
        },
    }
}

/// A layer that was packed, and how long that took.
pub(in crate::session) struct Layered {
    pub(in crate::session) layer: RepositoryLayer,
    pub(in crate::session) took: Duration,
}

/// Packs the repository as it is now. Blocking.
pub(in crate::session) fn layer(
    cartridge: (Recipe, String),
    paths: &Paths,
    cancel: &Cancel,
) -> Result<Layered, Failure> {
    let began = Instant::now();
    // A layer is made in the cache alone.
    let request = super::look::request((cartridge, &[]), paths.work(), paths)?;
    match isoprep::repository_layer(&request, cancel, &|_| ()) {
        Ok(layer) => Ok(Layered { layer, took: began.elapsed() }),
        Err(error) => Err(failure::of_build(&error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_to_do_is_said_apart() {
        let full = SlotError::Io {
            action: "write",
            path: "/absent/memory".into(),
            source: std::io::Error::from(std::io::ErrorKind::StorageFull),
        };
        let failure = of_slot("The slot could not be saved", &full);
        assert!(failure.advice.unwrap().starts_with("A slot needs about as much room"));
        assert!(failure.detail.contains("/absent/memory"));
        assert_eq!(of_slot("x", &SlotError::Busy).advice, None);
        let absent = SlotError::Absent { name: "a".into(), store: "/s".into(), others: vec!["b".into()] };
        let failure = of_slot("x", &absent);
        assert_eq!((failure.advice.as_deref(), failure.exit_code), (Some("There is \"b\""), exit_code::USAGE));
    }
}
