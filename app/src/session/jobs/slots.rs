//! Restoring a slot, and packing the repository as a layer for a guest that runs.

use std::sync::Arc;
use std::time::{Duration, Instant};

use isoprep::{Cancel, Recipe, RepositoryLayer};
use tokio::sync::mpsc::Sender;
use vmtools::display::Screen;
use vmtools::slot::{Restoring, Slot, SlotError};
use vmtools::{GuestEvent, GuestHandle, GuestPlan};

use crate::paths::Paths;
use crate::session::event::Failure;
use crate::session::failure::{self, exit_code, internal};
use crate::session::logs::Pane;

/// Starts a guest from a slot.
pub(in crate::session) async fn restore(
    slot: Slot,
    plan: GuestPlan,
    how: Restoring,
    events: Sender<GuestEvent>,
    screen: Arc<Screen>,
) -> Result<Box<GuestHandle>, Failure> {
    let cancel = how.cancel.clone();
    tokio::select! {
        started = vmtools::slot::restore(&slot, plan, how, events, screen) => {
            started.map(Box::new).map_err(|e| of_slot("The slot could not be restored", &e))
        }
        () = super::cancelled(&cancel) => Err(internal("Cancelled", &"the slot was not restored")),
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
        exit_code: exit_code::GUEST,
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
    let request = super::look::request(cartridge, paths.work(), paths)?;
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
    }
}
