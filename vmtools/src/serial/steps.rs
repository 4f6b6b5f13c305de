//! The steps of a direct boot, as our init tells them on the serial line. `vmtools/guest/src/boot/steps.rs` writes them.

use serde::{Deserialize, Serialize};

/// What our init prints before each step.
pub(super) const MARK: &[u8] = b"CARTRIDGE-BOOT ";
/// The version that we understand.
const VERSION: u32 = 1;
/// The most lines of what there is, and the longest words, characters: a guest may print anything.
const MOST: usize = 64;
const LONGEST: usize = 1024;

/// A step of a direct boot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "lowercase")]
pub enum BootStep {
    /// Everything is loaded and nothing is mounted, in a guest that is to be a template.
    Ready,
    /// User space has begun: our init runs.
    Init,
    /// The root is there, and its own init takes over.
    Exec {
        /// The init's path.
        what: String,
    },
    /// A shell of ours is there.
    Shell,
    /// There is no root.
    Failed {
        /// What was looked for or tried, and what happened.
        what: String,
        /// What there is instead, for example the disks.
        there: Vec<String>,
    },
}

#[derive(Deserialize)]
struct Versioned {
    v: u32,
    #[serde(flatten)]
    step: BootStep,
}

/// Reads what follows the mark in a line.
pub(super) fn parse(text: &[u8]) -> Option<BootStep> {
    // Only the first value: another writer may have got into the same line behind it.
    let found = serde_json::Deserializer::from_slice(text).into_iter::<Versioned>().next()?.ok()?;
    (found.v == VERSION).then(|| bounded(found.step))
}

fn bounded(step: BootStep) -> BootStep {
    let short =
        |text: String| -> String { text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST).collect() };
    match step {
        BootStep::Ready | BootStep::Init | BootStep::Shell => step,
        BootStep::Exec { what } => BootStep::Exec { what: short(what) },
        BootStep::Failed { what, there } => {
            BootStep::Failed { what: short(what), there: there.into_iter().take(MOST).map(short).collect() }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_read_and_bounded() {
        assert_eq!(parse(br#"{"v":1,"step":"init"} [  1.0] usb"#), Some(BootStep::Init));
        let exec = BootStep::Exec { what: "/sbin/init".into() };
        assert_eq!(parse(br#"{"v":1,"step":"exec","what":"/sbin/init","new":1}"#), Some(exec));
        let line = format!(r#"{{"v":1,"step":"failed","what":"a\u001bb","there":["{}"]}}"#, "x".repeat(5000));
        let Some(BootStep::Failed { what, there }) = parse(line.as_bytes()) else { panic!("{line}") };
        assert_eq!((what.as_str(), there[0].len()), ("a b", LONGEST));
        for other in [r#"{"v":2,"step":"init"}"#, r#"{"v":1,"step":"moon"}"#, r#"{"v":1}"#, "", "[]"] {
            assert_eq!(parse(other.as_bytes()), None, "{other}");
        }
    }
}
