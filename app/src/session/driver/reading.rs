//! Reads text off the guest's screen: at the side, one reading at a time.

use std::path::Path;
use std::sync::Arc;

use isoprep::Cancel;
use vmtools::display::Rect;
use vmtools::ocr::{OcrError, read_text};

use super::Driver;
use crate::session::event::{Event, Failure, Level, Side};
use crate::session::failure::{exit_code, internal};

impl Driver {
    /// Reads within `area` of the screen, or all of it, in place of what is being read.
    pub(super) async fn read_text(&mut self, area: Option<Rect>) {
        if !self.screen.has_picture() {
            return self.notice(Level::Warning, "There is no picture of a guest to read".into()).await;
        }
        let cancel = Cancel::new();
        if let Some(before) = self.reading.replace(cancel.clone()) {
            before.cancel();
        }
        // Another guest may begin meanwhile, whose screen shows nothing yet.
        let shown = self.screen.snapshot();
        let (side, screen) = (self.side.0.clone(), Arc::clone(&self.screen));
        self.with_fresh(move || {
            let Some(frame) = screen.snapshot().or(shown) else { return };
            let event = match read_text(Path::new("tesseract"), &frame, area, &cancel) {
                Ok(text) => Event::TextRead { text },
                Err(_) if cancel.is_cancelled() => return,
                Err(error) => Event::SideFailed { side: Side::Text, failure: failure(&error) },
            };
            // The session may have ended meanwhile.
            let _ = side.blocking_send(event);
        });
    }

    /// Nobody waits for what is being read any more.
    pub(super) fn stop_reading(&mut self) {
        if let Some(cancel) = self.reading.take() {
            cancel.cancel();
        }
    }
}

fn failure(error: &OcrError) -> Failure {
    let told = internal("The text on the guest's screen could not be read", error);
    match error {
        OcrError::Absent => Failure { exit_code: exit_code::HOST, ..told },
        _ => told,
    }
}
