//! The session's time between events: events carry milliseconds since the session began, the window needs "now".

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Milliseconds since the session began.
#[derive(Clone, Copy, Debug)]
pub enum Clock {
    /// Anchored to the newest event.
    Running {
        /// The moment an event was taken.
        anchor: Instant,
        /// What that event said.
        at_ms: u64,
    },
    /// Stands still: for pictures that must not change.
    Fixed(u64),
}

impl Default for Clock {
    fn default() -> Self {
        Self::Running { anchor: Instant::now(), at_ms: 0 }
    }
}

impl Clock {
    /// An event of this moment was just taken. Events wait in a queue, so the clock only ever moves forward.
    pub fn hear(&mut self, told_ms: u64) {
        let now = self.now_ms();
        match self {
            Self::Running { anchor, at_ms } if told_ms > now => (*anchor, *at_ms) = (Instant::now(), told_ms),
            Self::Running { .. } => {}
            Self::Fixed(at_ms) => *at_ms = told_ms.max(*at_ms),
        }
    }

    /// Milliseconds since the session began.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        match self {
            Self::Running { anchor, at_ms } => {
                at_ms.saturating_add(u64::try_from(anchor.elapsed().as_millis()).unwrap_or(u64::MAX))
            }
            Self::Fixed(at_ms) => *at_ms,
        }
    }

    /// Seconds since 1970.
    #[must_use]
    pub fn unix_s(&self) -> u64 {
        match self {
            Self::Running { .. } => SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
            // A session that stands still began then.
            Self::Fixed(at_ms) => at_ms / 1000,
        }
    }

    /// When something that shows elapsed time should be painted again: never, when the clock stands still.
    #[must_use]
    pub fn tick(&self, every: Duration) -> Option<Duration> {
        matches!(self, Self::Running { .. }).then_some(every)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_event_does_not_turn_the_clock_back() {
        let mut clock = Clock::Fixed(0);
        clock.hear(5_000);
        clock.hear(3_000);
        assert_eq!(clock.now_ms(), 5_000);
        let mut clock = Clock::default();
        clock.hear(60_000);
        clock.hear(10);
        assert!(clock.now_ms() >= 60_000);
    }
}
