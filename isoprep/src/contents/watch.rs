//! How far the reading of an image is, told to whoever wants to know, and whether it should stop.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use cartridge_supervise::Cancel;

use super::error::Fault;

/// The least time between two tellings.
const BEAT: Duration = Duration::from_millis(50);

/// How far the reading of an image is. Told at most 20 times a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadingProgress {
    /// What is being done.
    pub doing: Reading,
    /// How far: entries while listing, else bytes.
    pub done: u64,
    /// Out of how many, where that is known.
    pub total: Option<u64>,
}

/// A part of the work of reading an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// Its directories are read.
    Listing,
    /// Packed content is read.
    Comparing,
    /// Content is unpacked and hashed.
    Hashing,
    /// Files are taken out of it.
    Copying,
}

/// Who watches the reading of an image.
#[derive(Clone, Copy)]
pub struct Watch<'a> {
    /// Stops it.
    pub cancel: &'a Cancel,
    /// Is told how far it is. Called from several threads; must be quick.
    pub tell: &'a (dyn Fn(ReadingProgress) + Sync),
}

/// Counts towards a total; several threads may count at once.
pub(super) struct Counter<'a> {
    watch: Watch<'a>,
    doing: Reading,
    done: AtomicU64,
    total: Option<u64>,
    last: Mutex<Option<Instant>>,
}

impl<'a> Watch<'a> {
    /// Fails if somebody asked to stop.
    pub(super) fn go_on(&self) -> Result<(), Fault> {
        if self.cancel.is_cancelled() { Err(Fault::Cancelled) } else { Ok(()) }
    }

    pub(super) fn counter(&self, doing: Reading, total: Option<u64>) -> Counter<'a> {
        Counter { watch: *self, doing, done: AtomicU64::new(0), total, last: Mutex::new(None) }
    }
}

impl Counter<'_> {
    /// Adds what was done since, and fails if somebody asked to stop.
    pub(super) fn add(&self, more: u64) -> Result<(), Fault> {
        let done = self.done.fetch_add(more, Ordering::Relaxed).saturating_add(more);
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_none_or(|last| last.elapsed() >= BEAT) {
            *last = Some(Instant::now());
            drop(last);
            let done = self.total.map_or(done, |total| done.min(total));
            (self.watch.tell)(ReadingProgress { doing: self.doing, done, total: self.total });
        }
        self.watch.go_on()
    }
}
