//! Watching what another session does with a cartridge: a window, or `cartridge watch`, beside the one that holds it.
//!
//! ```text
//! the session that holds it                            the one that watches
//!   driver ──tell──▶ Gallery ──watch.sock──▶ lines ──▶ Watching ──Event──▶ the same front ends
//!   logs ──────────▶ its log files ──────────────────▶ LogTail ──▶ LogHub
//!   QEMU ──────────▶ vnc.sock ───────────────────────▶ RfbSource, view only ──▶ Screen
//! ```
//!
//! - `line`: what goes over the socket, a line of JSON each, with bounds (pure).
//! - `gallery`: the side of the one that is watched. It folds what is told, so that a late-comer begins with all that is so, and hands
//!   lines to whoever watches.
//! - `ring`: the newest lines, bounded by number and bytes: who tells never waits for who watches (pure).
//! - `watch`: the other side: a session like any other to a front end, which refuses what would change something.
//! - `tail`: the log files of the one that is watched, as they grow.
//!
//! Who watches can change nothing: the socket is written to by one side alone.

mod gallery;
mod line;
mod ring;
mod tail;
mod watch;

use serde::{Deserialize, Serialize};

pub(super) use gallery::Gallery;
pub use watch::Watcher;

use super::holder::Holder;

/// How a watching ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "how", rename_all = "snake_case")]
pub enum WatchEnd {
    /// The cartridge was let go of, and can be taken.
    LetGo,
    /// Nothing more can be seen.
    Gone {
        /// Why: a sentence without a full stop.
        why: String,
    },
}

/// What a front end knows of the session that it watches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchedView {
    /// Whose it is.
    pub holder: Holder,
    /// Whether its process was stopped, and may go on.
    pub stopped: bool,
    /// How the watching ended, once it has.
    pub ended: Option<WatchEnd>,
}

impl WatchedView {
    /// Why nothing can be changed here.
    #[must_use]
    pub fn why_not(&self) -> String {
        match &self.ended {
            None => format!("You are watching {}: this is changed there", self.holder.name()),
            Some(_) => "This is what was to be seen last: Use it here comes first".to_owned(),
        }
    }

    /// How it is, in a sentence without a full stop.
    #[must_use]
    pub fn words(&self) -> String {
        let name = self.holder.name();
        match (&self.ended, self.stopped) {
            (Some(end), _) => end.words(&self.holder),
            (None, true) => format!("{name} is stopped (SIGSTOP); this is what it told last"),
            (None, false) => format!("Watching {name}, which {}", self.holder.does()),
        }
    }
}

impl WatchEnd {
    /// In a sentence without a full stop.
    #[must_use]
    pub fn words(&self, holder: &Holder) -> String {
        match self {
            Self::LetGo => format!("{} has let the cartridge go: it can be taken now", holder.name()),
            Self::Gone { why } => why.clone(),
        }
    }
}
