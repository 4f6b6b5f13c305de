//! A password that is typed at the terminal, and not shown there.

use std::io::{BufRead as _, IsTerminal as _, Write as _};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use vmtools::attach::Password;

/// Whether there is a terminal to ask at.
pub(super) fn can_ask() -> bool {
    std::io::stdin().is_terminal()
}

/// The terminal as it was; dropping it puts it back.
pub(super) struct Shown(Termios);

impl Shown {
    /// Hides what is typed from now on. `None` where there is no terminal.
    pub(super) fn hide() -> Option<Self> {
        let before = tcgetattr(std::io::stdin()).ok()?;
        let mut hidden = before.clone();
        hidden.local_modes -= LocalModes::ECHO;
        tcsetattr(std::io::stdin(), OptionalActions::Flush, &hidden).ok()?;
        Some(Self(before))
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Flush, &self.0);
        // The line break was not shown either.
        let _ = writeln!(std::io::stderr());
    }
}

/// Reads a line; blocks until it is typed. `None` where nothing is.
pub(super) fn read(question: &str) -> Option<Password> {
    let _ = write!(std::io::stderr(), "{question}: ");
    let _ = std::io::stderr().flush();
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).ok()?;
    Password::first_line(&line)
}
