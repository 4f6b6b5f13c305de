//! The parts of what a front end knows: a comparison, a notice, a stage, a guest.

use isoprep::contents::Difference;
use isoprep::{SourceChange, Unit};
use serde::{Deserialize, Serialize};
use vmtools::{GuestReport, GuestStatus};

use crate::session::blank::BlankCure;
use crate::session::event::{Level, Since};
use crate::session::pace::Pace;
use crate::session::sign::Sign;
use crate::session::way::Way;

/// In what two builds differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Comparison {
    /// In one sentence; for a first build, what is in it.
    pub summary: String,
    /// In all, where there was a build before.
    #[serde(skip)]
    pub difference: Option<Box<Difference>>,
}

/// In what the repository differs from what the guest, or the last image, has of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceView {
    /// Since when.
    pub since: Since,
    /// The first of what differs.
    pub changes: Vec<SourceChange>,
    /// How many entries differ in all.
    pub total: usize,
    /// How it would be brought to the guest.
    pub way: Way,
}

impl SourceView {
    /// What is said where nothing differs.
    #[must_use]
    pub fn unchanged(&self) -> &'static str {
        match self.since {
            Since::Guest => "The guest has the repository as it is now",
            Since::Build => "The repository is as it was built",
        }
    }

    /// "3 files changed since the guest saw them"; `None` if nothing has.
    #[must_use]
    pub fn words(&self) -> Option<String> {
        let files = match self.total {
            0 => return None,
            1 => "1 file".to_owned(),
            many => format!("{many} files"),
        };
        let since = match (self.since, self.total) {
            (Since::Guest, 1) => "the guest saw it",
            (Since::Guest, _) => "the guest saw them",
            (Since::Build, _) => "the last build",
        };
        Some(format!("{files} changed since {since}"))
    }
}

/// A slot that a guest is being saved as.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotInTheMaking {
    /// Its name.
    pub name: String,
    /// When that began, milliseconds since the session began.
    pub since_ms: u64,
    /// Bytes of memory written.
    pub done: u64,
    /// In all; 0 until that is known.
    pub total: u64,
}

/// A notice with its moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// Milliseconds since the session began.
    pub at_ms: u64,
    /// How loudly.
    pub level: Level,
    /// A sentence.
    pub text: String,
}

/// A stage of a build.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StageView {
    /// Its name.
    pub name: String,
    /// How far it is.
    pub status: StageStatus,
}

/// How far a stage is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum StageStatus {
    /// It has not begun.
    Waiting,
    /// It runs.
    Running {
        /// When it began, milliseconds since the session began.
        since_ms: u64,
        /// Done so far.
        done: u64,
        /// Of how much, where that is known.
        total: Option<u64>,
        /// In what.
        unit: Unit,
        /// What is being done right now, where that has a name.
        what: Option<String>,
        /// How quickly, and how long it still takes, as of `told_ms`.
        pace: Option<Pace>,
        /// When that was told, milliseconds since the session began.
        told_ms: u64,
    },
    /// It is done.
    Done {
        /// Nothing had changed: the cache had it.
        reused: bool,
        /// How long it took.
        took_ms: u64,
    },
    /// It was running when the build failed or was cancelled.
    Stopped,
}

/// A test.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestView {
    /// It starts from a slot; a cold one proves more.
    pub warm: bool,
    /// The slot that it starts from, or that it saves on the way.
    pub slot: Option<String>,
    /// The step that is being done, or was the last: its number from 1, how many there are, as it is written.
    pub step: Option<(usize, usize, String)>,
    /// Whether it has passed, and all of it in a sentence; `None` while it runs.
    pub ended: Option<(bool, String)>,
}

/// A guest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuestView {
    /// Its QEMU's process id.
    pub pid: u32,
    /// The command that started it.
    pub command: String,
    /// When it was started, milliseconds since the session began.
    pub since_ms: u64,
    /// What it does.
    pub status: GuestStatus,
    /// Why its image has nothing in it that reports, if that is so.
    pub mute: Option<String>,
    /// The slot that it was started from, if it was not booted.
    pub slot: Option<String>,
    /// What its serial line has shown, if anything.
    pub sign: Option<Sign>,
    /// What it said of itself.
    pub report: Option<GuestReport>,
    /// Whether it found the very tree that was injected.
    pub matches: Option<bool>,
    /// When it reported.
    pub reported_ms: Option<u64>,
    /// Ports: name, in the guest, on the host's loopback.
    pub ports: Vec<(String, u16, u16)>,
    /// For how many seconds its screen has shown one colour, and what can be done, while that is so for long.
    pub blank: Option<(u64, BlankCure)>,
    /// It was reset, and has not come up since: what it told was of before.
    pub reset: bool,
    /// Whether its process has ended.
    pub ended: bool,
}
