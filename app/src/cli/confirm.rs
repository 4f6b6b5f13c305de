//! Asking before something is removed for good: at a terminal. Elsewhere `--yes` has to say it, and nothing is removed without.

use std::io::{BufRead as _, IsTerminal as _, Write as _};

use super::print;
use crate::session::failure::exit_code;

/// What came of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Yes,
    No,
    /// There is no terminal to ask at.
    Nobody,
}

/// Asks, unless `--yes` has answered before.
pub(super) fn ask(yes: bool, question: &str) -> Answer {
    if yes {
        return Answer::Yes;
    }
    if !std::io::stdin().is_terminal() {
        return Answer::Nobody;
    }
    let _ = write!(std::io::stderr(), "{question} [y/N] ");
    let _ = std::io::stderr().flush();
    let mut answer = String::new();
    let _ = std::io::stdin().lock().read_line(&mut answer);
    if matches!(answer.trim(), "y" | "Y" | "yes") { Answer::Yes } else { Answer::No }
}

impl Answer {
    /// Says that nothing was removed, and returns the exit code; `None` where it may be.
    pub(super) fn refused(self, json: bool) -> Option<u8> {
        let (title, why, code) = match self {
            Self::Yes => return None,
            Self::No => ("Cancelled", "nothing was removed", exit_code::CANCELLED),
            Self::Nobody => {
                let why = "nothing was removed: there is no terminal to ask at; say --yes to remove without a question";
                ("Nobody can be asked", why, exit_code::USAGE)
            }
        };
        print::wrong(json, title, why, code);
        Some(code)
    }
}
