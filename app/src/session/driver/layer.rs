//! Layers: the repository as it is now, plugged into a running guest, and what the guest tells of it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use isoprep::{Held, SourceTree};
use vmtools::{GuestReport, slot};

use super::{Driver, millis};
use crate::session::event::{Event, Level, Side};
use crate::session::failure::internal;
use crate::session::jobs;
use crate::session::logs::Pane;

/// How long a guest that tells of another tree than that of the layer on its way may still come to tell of that one: it tells
/// also of a layer that is pulled out, and of the one before.
const DOUBT: Duration = Duration::from_secs(15);

/// How long a guest that tells nothing of a layer keeps the next one waiting: perhaps nothing in it tells.
pub(super) const UNTOLD: Duration = Duration::from_secs(60);

/// How many layers are kept: more than a guest has ports for.
const KEPT: usize = 8;

fn keep(held: &Mutex<VecDeque<Held>>, layer: Held) {
    let mut held = held.lock().unwrap_or_else(PoisonError::into_inner);
    held.push_back(layer);
    let old = held.len().saturating_sub(KEPT);
    held.drain(..old);
}

impl Driver {
    /// Begins to plug the repository in, or does it once the guest has told of the layer that is on its way: one of two at the
    /// same time could get lost. Says whether it will be done.
    pub(super) async fn plug_layer(&mut self) -> bool {
        let cartridge = self.inserted.as_ref().and_then(|i| Some((i.recipe.clone().ok()?, i.text.clone())));
        let (Some(guest), Some(cartridge)) = (&self.guest, cartridge) else {
            let why = if self.attached.is_some() {
                self.no_guest()
            } else {
                "No guest is running, or the cartridge has errors"
            };
            self.notice(Level::Warning, why.into()).await;
            return false;
        };
        if self.slots.plugging.is_some_and(|since| since.elapsed() < UNTOLD) {
            self.slots.again = true;
            return true;
        }
        let monitor = guest.monitor();
        let (paths, cancel, side) = (self.paths.clone(), self.cancel.clone(), self.guest_side.0.clone());
        let (logs, tree, guest) = (Arc::clone(&self.logs), Arc::default(), self.boots);
        let held = Arc::clone(&self.slots.held);
        self.slots.layer = Arc::clone(&tree);
        (self.slots.plugging, self.slots.doubt) = (Some(Instant::now()), None);
        let (packed, packing) = tokio::sync::oneshot::channel();
        self.beside.run(move |_| drop(packed.send(jobs::layer(cartridge, &paths, &cancel))));
        tokio::spawn(async move {
            let title = "The layer could not be plugged in";
            let failure = match packing.await {
                Ok(Ok(jobs::Layered { layer, took })) => {
                    let (file, took) = (layer.file.display(), took.as_secs_f64());
                    logs.pane(Pane::Session).line(&format!("The layer {file} was packed in {took:.2} s"));
                    keep(&held, layer.held);
                    // Known before the guest can tell what it sees.
                    let _ = tree.set(layer.source);
                    match slot::plug_layer(&monitor, &layer.file).await {
                        Ok(_) => return,
                        Err(error) => internal(title, &error),
                    }
                }
                Ok(Err(failure)) => failure,
                Err(error) => internal(title, &error),
            };
            let _ = side.send((guest, Event::SideFailed { side: Side::Layer, failure })).await;
        });
        true
    }

    /// The tree that the guest is to see: that of the layer that was plugged in last, or of its image.
    pub(super) fn expected_tree(&self, report: &GuestReport) -> Option<&str> {
        if report.generation > 0 {
            return self.slots.layer.get().map(SourceTree::hash).filter(|_| !self.of_another_layer(report));
        }
        self.slots.tree.as_deref().or(self.booted_tree.as_deref())
    }

    /// Whether a report cannot be that of the layer on its way: where all ports were taken an older one is pulled out first,
    /// and the guest tells of that as well.
    fn of_another_layer(&self, report: &GuestReport) -> bool {
        let coming = self.slots.plugging.and(self.slots.layer.get());
        report.trouble.is_none() && coming.is_some_and(|layer| layer.hash() != report.tree)
    }

    /// The guest has told what it sees: after a layer was plugged in, that.
    pub(super) async fn layer_reported(&mut self, report: &GuestReport) {
        if report.generation == 0 {
            return;
        }
        if self.of_another_layer(report) {
            self.slots.doubt.get_or_insert((report.clone(), tokio::time::Instant::now() + DOUBT)).0 = report.clone();
            return;
        }
        self.layer_told(report).await;
    }

    /// The guest has told of another tree than that of the layer, and of no better one since.
    pub(super) async fn doubt_is_over(&mut self) {
        if let Some((report, _)) = self.slots.doubt.take() {
            self.layer_told(&report).await;
        }
    }

    async fn layer_told(&mut self, report: &GuestReport) {
        self.slots.doubt = None;
        if let (Some(began), Some(layer)) = (self.slots.plugging, self.slots.layer.get().cloned()) {
            self.slots.plugging = None;
            let (tree, trouble) = (report.tree.clone(), report.trouble.clone());
            let matches = layer.hash() == tree;
            let told = trouble.clone();
            self.tell(Event::LayerPlugged { took_ms: millis(began.elapsed()), tree, matches, trouble }).await;
            if matches {
                self.guest_has(layer).await;
            } else {
                self.not_brought_in();
            }
            self.test_layered(matches, told).await;
            self.plug_again().await;
        }
    }

    /// The guest has told nothing of the layer on its way, and another one waits.
    pub(super) async fn layer_untold(&mut self) {
        self.slots.plugging = None;
        let text = format!(
            "The guest has told nothing of the layer for {} s: the next one is plugged in all the same",
            UNTOLD.as_secs()
        );
        self.notice(Level::Warning, text).await;
        self.plug_again().await;
    }

    /// What was to be plugged in meanwhile comes now.
    pub(super) async fn plug_again(&mut self) {
        if std::mem::take(&mut self.slots.again) {
            self.plug_layer().await;
        }
    }
}
