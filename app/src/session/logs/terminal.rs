//! The serial line as a terminal shows it: `vt100` does the work, we keep it from taking us down.

use std::num::NonZeroU16;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError, TryLockError};

/// Columns of the terminal.
pub const COLUMNS: NonZeroU16 = match NonZeroU16::new(100) {
    Some(n) => n,
    None => NonZeroU16::MIN,
};
/// Rows of the terminal.
pub const ROWS: NonZeroU16 = match NonZeroU16::new(30) {
    Some(n) => n,
    None => NonZeroU16::MIN,
};
/// Rows that can be scrolled back.
const SCROLLBACK: usize = 5000;

/// A terminal that a guest writes to. It is never trusted: an escape sequence that trips the emulator resets it.
pub struct Terminal {
    parser: Mutex<vt100::Parser>,
    version: AtomicU64,
}

impl std::fmt::Debug for Terminal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Terminal").field("version", &self.version).finish_non_exhaustive()
    }
}

impl Terminal {
    pub(super) fn new() -> Self {
        Self { parser: Mutex::new(fresh()), version: AtomicU64::new(0) }
    }

    /// Feeds what the guest sent.
    pub fn feed(&self, bytes: &[u8]) {
        let mut parser = self.parser.lock().unwrap_or_else(PoisonError::into_inner);
        if catch_unwind(AssertUnwindSafe(|| parser.process(bytes))).is_err() {
            *parser = fresh();
        }
        drop(parser);
        self.version.fetch_add(1, Ordering::Release);
    }

    /// Forgets everything: a new guest begins.
    pub fn clear(&self) {
        *self.parser.lock().unwrap_or_else(PoisonError::into_inner) = fresh();
        self.version.fetch_add(1, Ordering::Release);
    }

    /// Grows with everything that is fed.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Reads the screen `scrollback` rows above its end, unless it is being written right now. The second argument is
    /// how many rows it could really be scrolled back.
    pub fn try_read<R>(&self, scrollback: usize, read: impl FnOnce(&vt100::Screen, usize) -> R) -> Option<R> {
        let mut parser = match self.parser.try_lock() {
            Ok(parser) => parser,
            Err(TryLockError::Poisoned(parser)) => parser.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        let screen = parser.screen_mut();
        screen.set_scrollback(scrollback);
        let reached = screen.scrollback();
        let result = read(screen, reached);
        screen.set_scrollback(0);
        Some(result)
    }
}

fn fresh() -> vt100::Parser {
    vt100::Parser::new(ROWS, COLUMNS, SCROLLBACK)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn shows_text_and_scrolls_back() {
        let terminal = Terminal::new();
        for n in 0..100 {
            terminal.feed(format!("line {n}\r\n").as_bytes());
        }
        let first = |back| terminal.try_read(back, |s, _| s.rows(0, 10).next().unwrap()).unwrap();
        assert_eq!(first(0), "line 71");
        assert_eq!(first(10), "line 61");
    }

    proptest! {
        #[test]
        fn nothing_that_a_guest_sends_takes_us_down(
            bytes in proptest::collection::vec(prop_oneof![Just(0x1b), Just(b'['), Just(b';'), any::<u8>()], 0..400)
        ) {
            let terminal = Terminal::new();
            terminal.feed(&bytes);
            prop_assert!(terminal.try_read(0, |_, _| ()).is_some());
        }
    }
}
