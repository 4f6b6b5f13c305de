//! What the host is told of a direct boot: one line of JSON a step on the serial line, version 1. `vmtools/src/serial/steps.rs`
//! reads it.

use serde::Serialize;

use crate::console::Console;

/// How the host finds it in the stream.
const MARK: &str = "CARTRIDGE-BOOT";
/// The most lines of what there is, and the longest, characters: the host reads lines of 8 KiB.
const MOST: usize = 24;
const LONGEST: usize = 160;

/// A step of a direct boot.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "step", rename_all = "lowercase")]
pub(crate) enum Step {
    /// Everything is loaded and nothing is mounted: a template may be made of this guest.
    Ready,
    /// User space has begun.
    Init,
    /// The root's own init takes over.
    Exec {
        /// Its path.
        what: String,
    },
    /// A shell is there.
    Shell,
    /// There is no root.
    Failed {
        /// What was looked for, and what happened.
        what: String,
        /// What there is.
        there: Vec<String>,
    },
}

#[derive(Serialize)]
struct Versioned<'a> {
    v: u32,
    #[serde(flatten)]
    step: &'a Step,
}

/// Tells `step` on the serial line.
pub(super) fn tell(step: &Step) {
    Console::serial().write(&line(step));
}

fn line(step: &Step) -> String {
    let short = |text: &str| text.chars().take(LONGEST).collect::<String>();
    let step = match step {
        Step::Ready => Step::Ready,
        Step::Init => Step::Init,
        Step::Shell => Step::Shell,
        Step::Exec { what } => Step::Exec { what: short(what) },
        Step::Failed { what, there } => Step::Failed {
            what: what.chars().take(4 * LONGEST).collect(),
            there: there.iter().take(MOST).map(|it| short(it)).collect(),
        },
    };
    // Words and lists always serialise.
    format!("\r\n{MARK} {}\r\n", serde_json::to_string(&Versioned { v: 1, step: &step }).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_one_short_line() {
        assert_eq!(line(&Step::Init), "\r\nCARTRIDGE-BOOT {\"v\":1,\"step\":\"init\"}\r\n");
        let exec = line(&Step::Exec { what: "/sbin/init".into() });
        assert!(exec.contains(r#"{"v":1,"step":"exec","what":"/sbin/init"}"#), "{exec}");
        let failed = Step::Failed { what: "x\ny".repeat(999), there: vec!["z".repeat(999); 99] };
        assert!(line(&failed).len() < 8000 && line(&failed).trim().lines().count() == 1);
    }
}
