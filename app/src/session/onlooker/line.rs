//! What goes from a session to whoever watches it: one JSON object a line. Pure: any bytes can be read, and cost bounded memory.

use serde::{Deserialize, Serialize};

use crate::session::event::{Event, Told};
use crate::session::model::Model;
use crate::session::redact;

/// The version of these lines. It grows when one of them means something else.
pub(super) const VERSION: u32 = 1;
/// The longest line, bytes: a look at a large profile has some hundred thousand.
pub(super) const LONGEST: usize = 16 * 1024 * 1024;

/// One line.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Line {
    /// The first one.
    Hello {
        /// [`VERSION`].
        watch: u32,
        /// The version of the program.
        app: String,
        /// The session's id.
        session: String,
    },
    /// All that is so: what follows is to be folded on top of it. Comes again to whoever was not quick enough.
    Start {
        /// Milliseconds since the session began.
        at_ms: u64,
        /// How many events were not followed.
        missed: u64,
        /// The newest sentences of its log.
        said: Vec<String>,
        /// What a front end knows.
        model: Box<Model>,
    },
    /// Something was told.
    Told(Box<Told>),
    /// The cartridge was let go of. Nothing follows.
    LetGo,
    /// Nobody else can watch. Nothing follows.
    Refused {
        /// Why.
        why: String,
    },
}

impl Line {
    /// As it is sent, with its end, and without the secrets in it; `None` for what no JSON is, or is too long.
    pub(super) fn encode(&self) -> Option<String> {
        let mut text = redact::json(self).filter(|text| text.len() < LONGEST)?;
        text.push('\n');
        Some(text)
    }
}

/// What of an event is shown to those who watch; `None` for what is for one front end alone.
pub(super) fn shown(told: &Told) -> Option<Told> {
    let event = match &told.event {
        // What was read goes to the clipboard of whoever asked; disks are chosen where they are written to.
        Event::TextRead { .. } | Event::Deploy(_) | Event::MenuRead { .. } | Event::Closed => return None,
        // About watching itself: whoever watches tells that.
        Event::InUse { .. } | Event::Joined { .. } | Event::HolderStopped { .. } | Event::WatchEnded { .. } => {
            return None;
        }
        // Ten thousands of lines.
        Event::BuildCompared { summary, .. } => Event::BuildCompared { summary: summary.clone(), difference: None },
        event => event.clone(),
    };
    Some(Told { event, ..*told })
}

/// Why a line could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum BadLine {
    /// It has more bytes than are kept.
    TooLong,
    /// It is none that this version knows.
    NotUnderstood(String),
}

/// Takes bytes as they come, and makes lines of them.
#[derive(Debug)]
pub(super) struct Lines {
    /// The longest line, bytes.
    limit: usize,
    open: Vec<u8>,
    /// The rest of a line that was too long.
    skips: bool,
}

impl Default for Lines {
    fn default() -> Self {
        Self { limit: LONGEST, open: Vec::new(), skips: false }
    }
}

impl Lines {
    /// Takes the next bytes, and returns the lines that have ended.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Vec<Result<Line, BadLine>> {
        let mut lines = Vec::new();
        let mut rest = bytes;
        while !rest.is_empty() {
            let end = rest.iter().position(|byte| *byte == b'\n');
            let (part, after) = end.map_or((rest, &rest[rest.len()..]), |at| (&rest[..at], &rest[at + 1..]));
            rest = after;
            if !self.skips && self.open.len() + part.len() > self.limit {
                self.open = Vec::new();
                self.skips = true;
                lines.push(Err(BadLine::TooLong));
            }
            if !self.skips {
                self.open.extend_from_slice(part);
            }
            if end.is_some() && !std::mem::take(&mut self.skips) {
                lines.push(parse(&self.open));
                self.open.clear();
            }
        }
        lines
    }
}

fn parse(line: &[u8]) -> Result<Line, BadLine> {
    serde_json::from_slice(line).map_err(|error| BadLine::NotUnderstood(error.to_string()))
}

#[cfg(test)]
#[path = "line_tests.rs"]
mod tests;
