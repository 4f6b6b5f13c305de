//! After a build, at the side: the record of what is in the new image, and what that changes.

use std::time::Duration;

use isoprep::contents::{BuildFacts, StageTime};
use isoprep::{Cancel, Image, Progress, Recipe};

use super::{Driver, millis};
use crate::session::event::Event;
use crate::session::jobs::{self, Compared};

/// A comparison under way.
pub(super) struct Comparing {
    pub(super) cancel: Cancel,
    pub(super) answer: tokio::task::JoinHandle<Compared>,
}

impl Driver {
    /// Begins it; a build that has changed nothing is told at once.
    pub(super) async fn start_comparing(&mut self, image: &Image, recipe: &Recipe) {
        if image.reused {
            return self.compared(Compared::same(image)).await;
        }
        self.forget_comparison().await;
        let facts = BuildFacts {
            cartridge: env!("CARGO_PKG_VERSION").to_owned(),
            name: recipe.name.clone(),
            engine: recipe.image.engine.word().to_owned(),
            stages: std::mem::take(&mut self.stage_times),
            source_date_epoch: jobs::epoch().and_then(|epoch| i64::try_from(epoch).ok()),
            tree_hash: Some(image.tree_hash.clone()),
            ..BuildFacts::default()
        };
        let (cancel, image) = (Cancel::new(), image.clone());
        let token = cancel.clone();
        let answer = tokio::task::spawn_blocking(move || jobs::compare(&image, facts, &token));
        self.comparing = Some(Comparing { cancel, answer });
        self.tell(Event::Comparing).await;
    }

    /// Ends one that is under way: its image is about to go, or the session is.
    pub(super) fn stop_comparing(&mut self) -> Option<Comparing> {
        let comparing = self.comparing.take()?;
        comparing.cancel.cancel();
        Some(comparing)
    }

    /// Another image is what counts now: nobody waits for the one under way.
    pub(super) async fn forget_comparison(&mut self) {
        if self.stop_comparing().is_some() {
            self.tell(Event::NotCompared { error: None }).await;
        }
    }

    /// It has answered.
    pub(super) async fn compared(&mut self, compared: Compared) {
        let event = match compared {
            Compared::Done { summary, difference } => Event::BuildCompared { summary, difference },
            Compared::Failed(error) => Event::NotCompared { error: Some(error) },
            Compared::Stopped => Event::NotCompared { error: None },
        };
        self.tell(event).await;
    }

    /// Remembers how long a stage took, for the record.
    pub(super) fn note_stage(&mut self, progress: &Progress) {
        match progress {
            Progress::Planned { .. } => self.stage_times.clear(),
            Progress::Finished { stage, reused, took } => self.stage_times.push(stage_time(stage.0, *reused, *took)),
            _ => {}
        }
    }
}

fn stage_time(stage: &str, reused: bool, took: Duration) -> StageTime {
    StageTime { stage: stage.to_owned(), reused, ms: millis(took) }
}

/// The answer of the comparison under way.
pub(super) async fn comparison_of(comparing: &mut Option<Comparing>) -> Compared {
    let Some(under_way) = comparing else { return std::future::pending().await };
    let answer = (&mut under_way.answer).await;
    *comparing = None;
    answer.unwrap_or_else(|error| Compared::Failed(error.to_string()))
}
