//! The guest's screen as a video, from a wish for it to the guest's end.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use vmtools::record::{self, RecordError};

use super::{Driver, millis};
use crate::session::event::{Event, Failure, Level, Side};
use crate::session::failure::internal;

/// How long the end of a recording is waited for: a picture is encoded, and a disk may be slow.
const WHOLE: Duration = Duration::from_secs(5);

/// What a recording that begins now is called, where nobody has called it otherwise.
#[must_use]
pub fn recording_name() -> String {
    jiff::Zoned::now().strftime("Cartridge %Y-%m-%d %H-%M-%S.mp4").to_string()
}

impl Driver {
    pub(super) async fn start_recording(&mut self, path: Option<PathBuf>) {
        if !self.has_screen() {
            return self.notice(Level::Warning, "No guest is running whose screen could be recorded".into()).await;
        }
        if self.recording.is_some() {
            return self.notice(Level::Warning, "The guest's screen is being recorded already".into()).await;
        }
        let path = path.unwrap_or_else(|| self.paths.videos.join(recording_name()));
        let side = self.side.0.clone();
        let on_end = move |end| {
            // The session may have ended meanwhile.
            let _ = side.blocking_send(ended(end));
        };
        match record::start(Arc::clone(&self.screen), path.clone(), on_end) {
            Ok(recording) => {
                self.recording = Some(recording);
                self.tell(Event::RecordingStarted { path }).await;
            }
            Err(error) => self.tell(ended(Err(error))).await,
        }
    }

    /// Ends it, if there is one, and waits until its file is whole: the guest may be about to go.
    pub(super) async fn stop_recording(&mut self) {
        let Some(recording) = self.recording.take() else { return };
        let finishing = tokio::task::spawn_blocking(move || recording.finish());
        let _ = tokio::time::timeout(WHOLE, finishing).await;
    }
}

fn ended(end: Result<record::Recorded, RecordError>) -> Event {
    match end {
        Ok(record::Recorded { files, frames, length }) => {
            Event::RecordingEnded { files, frames, length_ms: millis(length) }
        }
        Err(error) => {
            let advice = match &error {
                RecordError::Failed { .. } => {
                    Some("choose another file, or make room; what was written plays".to_owned())
                }
                _ => None,
            };
            let failure = Failure { advice, ..internal("The guest's screen could not be recorded", &error) };
            Event::SideFailed { side: Side::Recording, failure }
        }
    }
}
