//! What a build tells while it runs. Advances are throttled; everything else is told once.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Deserializer, Serialize};

use crate::Cancel;
use crate::build::BuildError;
use crate::known_name;
use crate::mkarchiso::Chosen;

/// The least time between two [`Progress::Advanced`] of a stage.
const BEAT: Duration = Duration::from_millis(50);

/// The name of a stage: `assemble`, `initramfs`, `inject`, `bootloader`, `iso`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct StageName(pub &'static str);

impl<'de> Deserialize<'de> for StageName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        known_name::read(deserializer).map(Self)
    }
}

impl std::fmt::Display for StageName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

/// What `done` and `total` of an advance count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Files.
    Files,
    /// Bytes.
    Bytes,
    /// Percent, 0 to 100.
    Percent,
    /// Packages, or steps of their installation.
    Packages,
}

/// One thing that a build tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Progress {
    /// The stages to come, in order. Told first, once.
    Planned {
        /// The stages.
        stages: Vec<StageName>,
    },
    /// A stage begins.
    Started {
        /// Which.
        stage: StageName,
    },
    /// A stage got further. At most 20 a second.
    Advanced {
        /// Which.
        stage: StageName,
        /// How far, in `unit`.
        done: u64,
        /// Out of how much, if that is known.
        total: Option<u64>,
        /// What is counted.
        unit: Unit,
        /// What is being done right now, where that has a name: "installing linux".
        what: Option<String>,
    },
    /// A stage is done.
    Finished {
        /// Which.
        stage: StageName,
        /// Whether its result was in the cache.
        reused: bool,
        /// How long it took.
        took: Duration,
    },
    /// How a tool is run that can be run in several ways.
    Way {
        /// Which stage runs it.
        stage: StageName,
        /// The way, what is worse about it, and why no better one.
        chosen: Chosen,
    },
    /// What somebody must know before the image is there.
    Warned {
        /// Which stage said it.
        stage: StageName,
        /// A sentence.
        text: String,
    },
    /// Something to read: a warning, or a line that a tool printed.
    Line {
        /// Which stage said it.
        stage: StageName,
        /// One line, without its end.
        text: String,
    },
}

/// A stage's way to tell how far it is, and to hear whether it should stop.
pub(crate) struct Reporter<'a> {
    pub(crate) stage: StageName,
    pub(crate) cancel: &'a Cancel,
    tell: &'a (dyn Fn(Progress) + Sync),
    last: Mutex<Option<Instant>>,
}

impl<'a> Reporter<'a> {
    pub(crate) fn new(stage: StageName, cancel: &'a Cancel, tell: &'a (dyn Fn(Progress) + Sync)) -> Self {
        Self { stage, cancel, tell, last: Mutex::new(None) }
    }

    /// Fails if somebody asked to stop.
    pub(crate) fn go_on(&self) -> Result<(), BuildError> {
        if self.cancel.is_cancelled() { Err(BuildError::Cancelled { stage: self.stage }) } else { Ok(()) }
    }

    pub(crate) fn line(&self, text: impl Into<String>) {
        (self.tell)(Progress::Line { stage: self.stage, text: text.into() });
    }

    pub(crate) fn warned(&self, text: impl Into<String>) {
        (self.tell)(Progress::Warned { stage: self.stage, text: text.into() });
    }

    pub(crate) fn way(&self, chosen: Chosen) {
        (self.tell)(Progress::Way { stage: self.stage, chosen });
    }

    pub(crate) fn advanced(&self, done: u64, total: Option<u64>, unit: Unit) {
        self.advanced_on(done, total, unit, None);
    }

    pub(crate) fn advanced_on(&self, done: u64, total: Option<u64>, unit: Unit, what: Option<&str>) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let whole = total == Some(done);
        if whole || last.is_none_or(|last| last.elapsed() >= BEAT) {
            *last = Some(Instant::now());
            drop(last);
            let what = what.map(str::to_owned);
            (self.tell)(Progress::Advanced { stage: self.stage, done, total, unit, what });
        }
    }
}

/// Does `work`, and `tick` every now and then meanwhile; ends as soon as the work does.
pub(crate) fn ticking<T>(every: Duration, tick: impl Fn() + Send, work: impl FnOnce() -> T) -> T {
    let (working, ended) = mpsc::channel::<()>();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            while ended.recv_timeout(every) == Err(mpsc::RecvTimeoutError::Timeout) {
                tick();
            }
        });
        let done = work();
        drop(working);
        done
    })
}

/// Counts bytes that several threads get through.
pub(crate) struct Meter<'a> {
    reporter: &'a Reporter<'a>,
    done: AtomicU64,
    total: u64,
}

impl<'a> Meter<'a> {
    pub(crate) fn new(reporter: &'a Reporter<'a>, total: u64) -> Self {
        Self { reporter, done: AtomicU64::new(0), total }
    }

    pub(crate) fn add(&self, bytes: u64) {
        let done = self.done.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        self.reporter.advanced(done.min(self.total), Some(self.total), Unit::Bytes);
    }

    /// Reads `inner` through this meter; fails with [`std::io::ErrorKind::Other`] once cancelled.
    pub(crate) fn watch<R>(&self, inner: R) -> Metered<'_, R> {
        Metered { inner, meter: self }
    }
}

/// A reader that counts and can be stopped.
pub(crate) struct Metered<'a, R> {
    inner: R,
    meter: &'a Meter<'a>,
}

impl<R: std::io::Read> std::io::Read for Metered<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.meter.reporter.cancel.is_cancelled() {
            return Err(std::io::Error::other("cancelled"));
        }
        let read = self.inner.read(buffer)?;
        self.meter.add(read as u64);
        Ok(read)
    }
}
