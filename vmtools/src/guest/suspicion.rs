//! A panic that was read on the serial line and is not yet believed: a guest that lives may show the words of one, and
//! whoever is believed to have panicked is stopped.

use std::time::Duration;

use tokio::time::Instant;

/// A dead kernel prints nothing more for so long; a shell that has shown an old log prompts sooner.
const SILENCE: Duration = Duration::from_secs(2);
/// A kernel that goes on printing for so long after its panic, and nothing else does, is believed all the same.
const LONGEST: Duration = Duration::from_secs(20);

#[derive(Debug)]
pub(crate) struct Suspicion {
    pub(crate) words: String,
    since: Instant,
    last: Instant,
}

impl Suspicion {
    pub(crate) fn new(words: String, now: Instant) -> Self {
        Self { words, since: now, last: now }
    }

    /// The kernel has printed more.
    pub(crate) fn wrote(&mut self, now: Instant) {
        self.last = now;
    }

    /// When it is to be believed, unless it is dropped before.
    pub(crate) fn due(&self) -> Instant {
        (self.last + SILENCE).min(self.since + LONGEST)
    }
}
