//! `[test]`: what is done with a guest to try what was changed: the slot that a warm test starts from, and its steps. Reads the
//! section; the steps are done by who runs the guest.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::field_table::ALL;
use super::fields::{FieldDoc, FieldKind};
use super::judge::Judge;
use super::values::Problem;

/// Shortest and longest time that a guest may take for what a step waits for, seconds.
const WITHIN: (i64, i64) = (1, 86_400);
/// The default of it, seconds.
const WITHIN_DEFAULT: u64 = 60;
/// Longest pause, seconds.
const LONGEST_WAIT: f64 = 3600.0;
/// Shortest time that a screen must not change: shorter ones say nothing.
const STILL: Duration = Duration::from_millis(100);
/// Longest text of a step, bytes.
const STEP_LIMIT: usize = 1000;

/// What a test does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TestSettings {
    /// The slot that a warm test starts from.
    pub slot: Option<String>,
    /// What brings a guest that was just booted to the moment of the slot.
    pub before: Vec<TestStep>,
    /// What is tried then.
    pub steps: Vec<TestStep>,
    /// How long a step may wait for the guest.
    pub within: Duration,
}

/// One thing that is done with the guest.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TestStep {
    /// `type TEXT`: typed at the guest's screen.
    Type(String),
    /// `run TEXT`: typed at the guest's screen, then Enter.
    Run(String),
    /// `key ctrl-alt-f2`: keys that are pressed together, by QEMU's names for them.
    Key(Vec<String>),
    /// `serial TEXT`: a line for the guest's serial line.
    Serial(String),
    /// `expect TEXT`: waits until the guest's serial line has shown this; if it does not, the test has failed.
    Expect(String),
    /// `still SECONDS`: waits until the guest's screen has not changed for this long.
    Still(Duration),
    /// `wait SECONDS`: a pause.
    Wait(Duration),
}

impl Eq for TestStep {}

impl fmt::Display for TestStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Type(text) => write!(f, "type {text}"),
            Self::Run(text) => write!(f, "run {text}"),
            Self::Key(keys) => write!(f, "key {}", keys.join("-")),
            Self::Serial(text) => write!(f, "serial {text}"),
            Self::Expect(text) => write!(f, "expect {text}"),
            Self::Still(time) => write!(f, "still {}", time.as_secs_f64()),
            Self::Wait(time) => write!(f, "wait {}", time.as_secs_f64()),
        }
    }
}

/// A field of the section: every engine's guest can be tested.
const fn test(key: &'static str, label: &'static str, kind: FieldKind, default: &'static str) -> FieldDoc {
    FieldDoc { key, label, kind, default, unit: "", range: STEPS, doc: "", engines: ALL }
}

const STEPS: &str =
    "steps: \"type TEXT\", \"run TEXT\", \"key ctrl-c\", \"serial TEXT\", \"expect TEXT\", \"still 1\", \"wait 0.5\"";

const SLOT: FieldDoc = FieldDoc {
    range: "the name of a slot",
    doc: "The saved guest that a warm test starts from; the repository as it is now is brought into it.",
    ..test("test.slot", "Slot", FieldKind::Text, "")
};
const BEFORE: FieldDoc = FieldDoc {
    doc: "What brings a guest that was just booted to the moment of the slot; for a cold test, and for a slot not yet saved.",
    ..test("test.before", "Before", FieldKind::List, "")
};
const STEPS_FIELD: FieldDoc = FieldDoc {
    doc: "What is tried, in this order: keys and text for the screen, lines for the serial line, what it must answer.",
    ..test("test.steps", "Steps", FieldKind::List, "")
};
const WITHIN_FIELD: FieldDoc = FieldDoc {
    unit: "seconds",
    range: "1 to 86400",
    doc: "How long a step waits for what it expects of the guest, before the test has failed.",
    ..test("test.within", "Patience", FieldKind::Integer { min: WITHIN.0, max: WITHIN.1 }, "60")
};

/// What `[test]` may say.
pub(super) const TEST: &[FieldDoc] = &[SLOT, BEFORE, STEPS_FIELD, WITHIN_FIELD];

impl Judge<'_> {
    pub(super) fn test(&mut self) -> TestSettings {
        let within = self.integer(WITHIN_FIELD.key, WITHIN).and_then(|it| u64::try_from(it).ok());
        TestSettings {
            slot: self.text(SLOT.key, slot).flatten(),
            before: self.list(BEFORE.key, step),
            steps: self.list(STEPS_FIELD.key, step),
            within: Duration::from_secs(within.unwrap_or(WITHIN_DEFAULT)),
        }
    }
}

fn slot(text: &str) -> Result<Option<String>, Problem> {
    if text.chars().any(char::is_control) {
        return Err(("has a control character in it".to_owned(), "write the slot's name as it is listed".to_owned()));
    }
    Ok(Some(text.trim().to_owned()).filter(|name| !name.is_empty()))
}

/// Reads a step. The text of `type`, `run` and `serial` is taken as it is after one space.
fn step(text: &str) -> Result<TestStep, Problem> {
    let advice = || format!("write one of the {STEPS}");
    let (verb, rest) = text.split_once(' ').unwrap_or((text, ""));
    if text.len() > STEP_LIMIT {
        return Err((format!("has {} bytes, {STEP_LIMIT} are allowed", text.len()), "put it into a script".to_owned()));
    }
    if let Some(bad) = text.chars().find(|c| c.is_control()) {
        return Err((
            format!("{bad:?} is not allowed in a step"),
            "write another step, for example \"key ret\"".to_owned(),
        ));
    }
    let something = |rest: &str| match rest.trim() {
        "" => Err((format!("{verb:?} needs something after it"), advice())),
        _ => Ok(rest.to_owned()),
    };
    Ok(match verb {
        "type" => TestStep::Type(something(rest)?),
        "run" => TestStep::Run(something(rest)?),
        "serial" => TestStep::Serial(rest.to_owned()),
        "expect" => TestStep::Expect(something(rest)?.trim().to_owned()),
        "key" => TestStep::Key(keys(&something(rest)?)?),
        "still" => TestStep::Still(seconds(rest)?.max(STILL)),
        "wait" => TestStep::Wait(seconds(rest)?),
        other => return Err((format!("{other:?} is no step"), advice())),
    })
}

/// Keys as QEMU's monitor command sendkey takes them: joined by `-`.
fn keys(text: &str) -> Result<Vec<String>, Problem> {
    let keys: Vec<_> = text.trim().split('-').map(str::to_ascii_lowercase).collect();
    let good = |key: &String| !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if keys.iter().all(good) {
        return Ok(keys);
    }
    Err((
        format!("{:?} names no keys", text.trim()),
        "write keys joined by -, like \"key ctrl-alt-f2\" or \"key ret\"".to_owned(),
    ))
}

fn seconds(text: &str) -> Result<Duration, Problem> {
    let number = text.trim().parse::<f64>().ok().filter(|it| (0.0..=LONGEST_WAIT).contains(it));
    number.map(Duration::from_secs_f64).ok_or_else(|| {
        (
            format!("{:?} is not a number of seconds", text.trim()),
            format!("write 0 to {LONGEST_WAIT}, like \"wait 0.5\""),
        )
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::recipe::parse;

    #[test]
    fn every_step_is_read_and_written_alike() {
        let text = "[test]\nslot = \"before Submit\"\nwithin = 5\nbefore = [\"expect login:\"]\n\
            steps = [\"key ctrl-alt-f2\", \"type  a b\", \"run ls\", \"serial\", \"serial x -y\", \"still 1\", \"wait 0.5\"]";
        let test = parse(text, Path::new("/home/u/p")).unwrap().test;
        assert_eq!((test.slot.as_deref(), test.within.as_secs()), (Some("before Submit"), 5));
        let written: Vec<_> = test.steps.iter().map(ToString::to_string).collect();
        assert_eq!(
            written,
            ["key ctrl-alt-f2", "type  a b", "run ls", "serial ", "serial x -y", "still 1", "wait 0.5"]
        );
        for (text, again) in written.iter().zip(&test.steps) {
            assert_eq!(step(text).as_ref(), Ok(again));
        }
        let none = parse("", Path::new("/home/u/p")).unwrap().test;
        assert!(none.slot.is_none() && none.steps.is_empty() && none.within.as_secs() == WITHIN_DEFAULT);
    }

    #[test]
    fn what_is_no_step_is_said_with_its_line() {
        for (bad, says) in [
            ("press enter", "\"press\" is no step"),
            ("type", "needs something after it"),
            ("key ctrl--", "names no keys"),
            ("wait long", "is not a number of seconds"),
            ("still -1", "is not a number of seconds"),
            ("wait nan", "is not a number of seconds"),
            ("run a\\nb", "is not allowed in a step"),
        ] {
            let error = parse(&format!("[test]\nsteps = [\"{bad}\"]"), Path::new("/p")).unwrap_err();
            let found = &error.findings[0];
            assert!(found.line == Some(2) && found.message.contains(says), "{bad}: {found:?}");
        }
    }
}
