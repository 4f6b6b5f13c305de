//! A photograph is taken when the screen stands still, or has not for long.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use vmtools::display::Screen;

/// A screen counts as still when it has not changed for this long.
const STILL: Duration = Duration::from_millis(600);
/// How long we wait for it to become still before it is photographed anyway.
const PATIENCE: Duration = Duration::from_secs(10);

/// A screen that is about to be photographed.
pub(super) struct Settling {
    path: PathBuf,
    seen: u64,
    since: Instant,
    began: Instant,
}

impl Settling {
    /// From now on, for a picture at `path`.
    pub(super) fn begin(path: PathBuf, screen: &Screen) -> Self {
        let now = Instant::now();
        Self { path, seen: screen.generation(), since: now, began: now }
    }

    /// Where the picture goes, once it is time to take it.
    pub(super) fn due(&mut self, screen: &Screen) -> Option<PathBuf> {
        let generation = screen.generation();
        if generation != self.seen {
            (self.seen, self.since) = (generation, Instant::now());
        }
        let still = generation > 0 && self.since.elapsed() >= STILL;
        (still || self.began.elapsed() >= PATIENCE).then(|| self.path.clone())
    }
}
