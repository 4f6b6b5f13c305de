//! The template of a guest that was booted directly: made at the side once the guest is up, for the next one.

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use isoprep::Cancel;
use tokio::task::JoinHandle;

use super::Driver;
use crate::session::event::Event;
use crate::session::jobs::templates::{Lacking, make};

/// What is to be made, and what is being made.
#[derive(Default)]
pub(super) struct Templates {
    lacking: Lacking,
    making: Option<(Cancel, JoinHandle<()>)>,
}

impl Templates {
    /// Another guest begins, and says here if it lacks a template.
    pub(super) fn begin(&mut self) -> Lacking {
        self.lacking = Arc::new(OnceLock::new());
        Arc::clone(&self.lacking)
    }

    /// Stops the making; what is returned ends when nothing of it is left.
    pub(super) fn stop(&mut self) -> Option<JoinHandle<()>> {
        self.lacking = Lacking::default();
        let (cancel, task) = self.making.take()?;
        cancel.cancel();
        Some(task)
    }
}

impl Driver {
    /// Makes the template that the guest lacks, if it lacks one: it is up and leaves the machine to others.
    pub(super) fn make_template(&mut self) {
        let Some((plan, key)) = std::mem::take(&mut self.templates.lacking).get().cloned() else { return };
        let (cancel, paths, side) = (Cancel::new(), self.paths.clone(), self.side.0.clone());
        let token = cancel.clone();
        let task = tokio::spawn(async move {
            let began = Instant::now();
            if let Some((level, text)) = make(&plan, &key, &paths, &token, began).await {
                // The session may have ended meanwhile.
                let _ = side.send(Event::Noticed { level, text }).await;
            }
        });
        self.templates.making = Some((cancel, task));
    }
}
