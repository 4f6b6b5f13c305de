//! The checks of this host, at the side: when they are asked for, and again when the cartridge needs something else of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Driver, accelerator_event};
use crate::doctor::Purpose;
use crate::session::event::Event;

/// What of the checks the driver remembers.
#[derive(Default)]
pub(super) struct Diagnosing {
    /// What they were run for last; `None` until somebody asks for them.
    purpose: Option<Purpose>,
    /// How often they were run: only the newest answer counts.
    runs: Arc<AtomicU64>,
    /// The last run that has told what it found.
    told: Arc<AtomicU64>,
}

impl Driver {
    /// They were asked for.
    pub(super) fn diagnose(&mut self) {
        let recipe = self.inserted.as_ref().and_then(|it| it.recipe.as_ref().ok());
        let purpose = recipe.map(Purpose::of).unwrap_or_default();
        let runs_already = self.diagnosing.told.load(Ordering::Relaxed) < self.diagnosing.runs.load(Ordering::Relaxed);
        if runs_already && self.diagnosing.purpose.as_ref() == Some(&purpose) {
            return;
        }
        self.diagnosing.purpose = Some(purpose.clone());
        let run = self.diagnosing.runs.fetch_add(1, Ordering::Relaxed) + 1;
        let (paths, side) = (self.paths.clone(), self.side.0.clone());
        let (runs, told) = (Arc::clone(&self.diagnosing.runs), Arc::clone(&self.diagnosing.told));
        tokio::task::spawn_blocking(move || {
            let checks = crate::doctor::run(&paths, &purpose);
            if runs.load(Ordering::Relaxed) != run {
                return;
            }
            let _ = side.blocking_send(Event::Diagnosed { checks });
            told.store(run, Ordering::Relaxed);
            // The checks have just probed it, so this only reads the answer.
            let choice = vmtools::choose_accelerator(vmtools::AcceleratorWish::Auto, &paths.accelerator());
            let _ = side.blocking_send(accelerator_event(&choice));
        });
    }

    /// The cartridge has changed: its engine or its guest may need something else.
    pub(super) fn diagnose_if_needed(&mut self) {
        let recipe = self.inserted.as_ref().and_then(|it| it.recipe.as_ref().ok());
        let Some(purpose) = recipe.map(Purpose::of) else { return };
        if self.diagnosing.purpose.as_ref().is_some_and(|before| *before != purpose) {
            self.diagnose();
        }
    }
}
