//! Counts what a removal has before it, beside it: a thread goes the same way and is ahead, since it only reads names.

use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use cartridge_supervise::Cancel;

use super::guard::{self, Target};
use super::level::Level;
use super::names::{Visitor, walk};

/// How long a removal waits in all for a count that it has caught up with, before it goes on without one.
const PATIENCE: Duration = Duration::from_millis(40);
const BEAT: Duration = Duration::from_micros(200);

/// A count under way, or done.
pub(super) struct Ahead {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    /// How many folders the removal has begun with.
    begun: u64,
    patience: Duration,
}

#[derive(Default)]
struct Shared {
    /// How many folders were read to their end.
    read: AtomicU64,
    /// How many entries there are, once that is known.
    total: AtomicU64,
    stop: AtomicBool,
    over: AtomicBool,
}

impl Ahead {
    /// Begins to count what is in the directory, itself included.
    pub(super) fn begin(target: &Target) -> Self {
        let shared = Arc::new(Shared::default());
        let begun = target.root.try_clone().ok().and_then(|root| {
            let (identity, told) = (target.identity, Arc::clone(&shared));
            let count = move || {
                let wanted = || !told.stop.load(Ordering::Acquire);
                let read = || {
                    told.read.fetch_add(1, Ordering::Release);
                };
                let visitor = Visitor { wanted: &wanted, read: &read, see: &mut |_, _| () };
                if let Some(total) = walk(Level::new(root, identity, OsString::new()), visitor) {
                    told.total.store(total, Ordering::Release);
                }
                told.over.store(true, Ordering::Release);
            };
            std::thread::Builder::new().name("count".into()).spawn(count).ok()
        });
        if begun.is_none() {
            shared.over.store(true, Ordering::Release);
        }
        Self { shared, thread: begun, begun: 0, patience: PATIENCE }
    }

    /// How many entries there were, if that is known yet.
    pub(super) fn total(&self) -> Option<u64> {
        Some(self.shared.total.load(Ordering::Acquire)).filter(|total| *total > 0)
    }

    /// The removal begins with another folder. A folder that was not counted to its end by then would be counted wrongly, so the
    /// count is waited for, for a moment, and then given up.
    pub(super) fn enters(&mut self) {
        self.begun += 1;
        let shared = &self.shared;
        let behind = || !shared.over.load(Ordering::Acquire) && shared.read.load(Ordering::Acquire) < self.begun;
        if !behind() || shared.stop.load(Ordering::Acquire) {
            return;
        }
        let since = Instant::now();
        while behind() && since.elapsed() < self.patience {
            std::thread::sleep(BEAT);
        }
        self.patience = self.patience.saturating_sub(since.elapsed());
        if behind() {
            shared.stop.store(true, Ordering::Release);
        }
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            // It has folders open that whoever unmounts what they are on would find busy.
            let _ = thread.join();
        }
    }
}

/// How many entries an eject of `dir` would delete, itself included, as far as names tell. `None` where that cannot be known, or
/// after a cancel.
#[must_use]
pub fn count_entries(dir: &Path, cancel: &Cancel) -> Option<u64> {
    let target = guard::admit(dir).ok()?;
    let visitor = Visitor { wanted: &|| !cancel.is_cancelled(), read: &|| (), see: &mut |_, _| () };
    walk(Level::new(target.root, target.identity, OsString::new()), visitor)
}
