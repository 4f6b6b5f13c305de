//! A test of the repository as it is: where it is, which step comes next, and how it ends. Pure; the driver does what it says.

use std::time::{Duration, Instant};

use isoprep::{TestSettings, TestStep};
use vmtools::display::{keys_for_text, scancode};
use vmtools::slot::SlotName;

use super::ear::Ear;

/// What is to be done where a cartridge has no steps.
pub(crate) const WRITE_STEPS: &str =
    "write steps below [test] in cartridge.toml, like steps = [\"serial ./check.sh\", \"expect all good\"]";

/// How far a test is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TestStage {
    /// The guest is being started.
    Starting,
    /// It is up, and whoever reads what is typed may not be there yet.
    Waking,
    /// The repository is on its way into it.
    Bringing,
    /// The steps are done.
    Stepping,
}

/// What is to be done next.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Next {
    /// A step.
    Do(TestStep),
    /// The guest is to be saved as the slot.
    Save(String),
    /// Nothing: all is done.
    Over,
}

/// A test under way.
#[derive(Debug)]
pub(super) struct TestRun {
    /// It starts from a slot.
    pub(super) warm: bool,
    pub(super) stage: TestStage,
    /// The slot that it starts from, or that it saves between the steps before and those of the test itself.
    pub(super) slot: Option<String>,
    pub(super) ear: Ear,
    /// How long a step may wait for the guest.
    pub(super) within: Duration,
    steps: Vec<TestStep>,
    /// How many of them come before the moment of the slot.
    before: usize,
    /// How many were begun.
    begun: usize,
    saved: bool,
    /// It waits until the guest is saved.
    pub(super) saving: bool,
    began: Instant,
    ready: Option<Duration>,
}

impl TestRun {
    /// A test that starts from the slot.
    pub(super) fn warm(settings: &TestSettings, slot: String, now: Instant) -> Self {
        Self::new(settings, true, Some(slot), now)
    }

    /// A test that begins with a build and a cold boot; `save`: the slot that is saved on the way.
    pub(super) fn cold(settings: &TestSettings, save: Option<String>, now: Instant) -> Self {
        Self::new(settings, false, save, now)
    }

    fn new(settings: &TestSettings, warm: bool, slot: Option<String>, now: Instant) -> Self {
        let before = if warm { &[][..] } else { &settings.before };
        Self {
            warm,
            stage: TestStage::Starting,
            saved: warm || slot.is_none(),
            slot,
            saving: false,
            ear: Ear::default(),
            within: settings.within,
            steps: before.iter().chain(&settings.steps).cloned().collect(),
            before: before.len(),
            begun: 0,
            began: now,
            ready: None,
        }
    }

    /// What comes next. A slot is saved once all that comes before its moment was done.
    pub(super) fn next(&mut self, now: Instant) -> Next {
        if self.begun == self.before {
            if let Some(slot) = self.slot.clone().filter(|_| !self.saved) {
                self.saved = true;
                return Next::Save(slot);
            }
            self.ready.get_or_insert(now.duration_since(self.began));
        }
        match self.steps.get(self.begun) {
            Some(step) => {
                self.begun += 1;
                Next::Do(step.clone())
            }
            None => Next::Over,
        }
    }

    /// Whether what comes first needs somebody in the guest who reads: something is sent, or its moment is kept for tests that
    /// begin there.
    pub(super) fn needs_a_reader(&self) -> bool {
        let saves = self.before == 0 && self.slot.is_some() && !self.saved;
        saves || self.steps.first().is_some_and(sends)
    }

    /// The step that was begun last, from 1, and how many there are.
    pub(super) fn count(&self) -> (usize, usize) {
        (self.begun, self.steps.len())
    }

    /// The step that was begun last.
    pub(super) fn step(&self) -> Option<&TestStep> {
        self.steps.get(self.begun.checked_sub(1)?)
    }

    /// How long it took until the repository was there and the first step of the test itself began.
    pub(super) fn ready(&self) -> Option<Duration> {
        self.ready
    }

    /// How long it has taken.
    pub(super) fn took(&self, now: Instant) -> Duration {
        now.duration_since(self.began)
    }
}

/// Whether a step sends something to the guest.
fn sends(step: &TestStep) -> bool {
    match step {
        TestStep::Type(_) | TestStep::Run(_) | TestStep::Key(_) | TestStep::Serial(_) => true,
        TestStep::Expect(_) | TestStep::Still(_) | TestStep::Wait(_) => false,
    }
}

/// The scan codes of a step's keys.
///
/// # Errors
/// The name of which there is no key.
pub(super) fn scancodes(keys: &[String]) -> Result<Vec<u16>, String> {
    keys.iter().map(|key| scancode(key).ok_or_else(|| key.clone())).collect()
}

/// Whether these settings are a test that can be done.
///
/// # Errors
/// Why not, and what to write. A slot alone tests nothing: restoring it says nothing of what was changed.
pub(super) fn doable(settings: &TestSettings, warm: bool) -> Result<(), String> {
    if settings.steps.is_empty() && (warm || settings.before.is_empty()) {
        return Err(format!("there is nothing to test: {WRITE_STEPS}"));
    }
    if let Some(Err(why)) = settings.slot.as_deref().map(SlotName::new) {
        return Err(format!("test.slot names no slot: {why}"));
    }
    if let Some(key) = unknown_key(settings) {
        let advice = "QEMU names them: ret, esc, tab, ctrl, alt, shift, meta_l, f1, up, pgdn, a, 1, minus";
        return Err(format!("there is no key {key:?} in [test]: {advice}"));
    }
    if let Some(letters) = untypable(settings) {
        return Err(format!("no US keyboard can type {letters:?} in [test]; a serial step can"));
    }
    if warm && settings.slot.is_none() {
        return Err("no slot is named to start from: set test.slot to one, or run the test from a cold boot (Prove, `cartridge test --prove`)".to_owned());
    }
    Ok(())
}

/// The first key of all steps that there is not.
fn unknown_key(settings: &TestSettings) -> Option<String> {
    let steps = settings.before.iter().chain(&settings.steps);
    let keys = steps.filter_map(|step| if let TestStep::Key(keys) = step { Some(keys) } else { None });
    keys.map(|keys| scancodes(keys)).find_map(Result::err)
}

/// The first characters of its texts that a US keyboard cannot type.
fn untypable(settings: &TestSettings) -> Option<String> {
    let steps = settings.before.iter().chain(&settings.steps);
    let texts = steps.filter_map(|step| match step {
        TestStep::Type(text) | TestStep::Run(text) => Some(text),
        _ => None,
    });
    let missing = |text: &String| keys_for_text(text).1.into_iter().collect::<String>();
    texts.map(missing).find(|missing| !missing.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> TestSettings {
        let step = |text: &str| TestStep::Type(text.into());
        TestSettings {
            slot: Some("s".into()),
            before: vec![step("before")],
            steps: vec![step("a"), TestStep::Key(vec!["ctrl".into(), "c".into()])],
            within: Duration::from_secs(1),
        }
    }

    fn all(mut run: TestRun) -> Vec<String> {
        let mut words = Vec::new();
        loop {
            match run.next(Instant::now()) {
                Next::Do(step) => words.push(step.to_string()),
                Next::Save(name) => words.push(format!("save {name}")),
                Next::Over => break,
            }
        }
        assert!(run.ready().is_some() && run.count() == (run.steps.len(), run.steps.len()));
        words
    }

    #[test]
    fn a_cold_test_passes_the_moment_of_the_slot() {
        let now = Instant::now();
        assert_eq!(all(TestRun::warm(&settings(), "s".into(), now)), ["type a", "key ctrl-c"]);
        assert_eq!(all(TestRun::cold(&settings(), None, now)), ["type before", "type a", "key ctrl-c"]);
        let saving = TestRun::cold(&settings(), Some("s".into()), now);
        assert_eq!(all(saving), ["type before", "save s", "type a", "key ctrl-c"]);
        let none = TestSettings { before: vec![], steps: vec![], ..settings() };
        assert_eq!(all(TestRun::cold(&none, Some("s".into()), now)), ["save s"]);
    }

    #[test]
    fn what_is_sent_first_needs_a_reader_and_what_waits_needs_none() {
        let now = Instant::now();
        let cold = |before: Vec<TestStep>, save: Option<&str>| {
            let settings = TestSettings { before, ..settings() };
            TestRun::cold(&settings, save.map(str::to_owned), now).needs_a_reader()
        };
        let expect = || vec![TestStep::Expect("x".into())];
        assert!(cold(vec![], None) && cold(vec![], Some("s")) && !cold(expect(), None) && !cold(expect(), Some("s")));
        let waits = TestSettings { before: vec![], steps: expect(), ..settings() };
        assert!(TestRun::cold(&waits, Some("s".into()), now).needs_a_reader());
        assert!(!TestRun::cold(&waits, None, now).needs_a_reader());
    }

    #[test]
    fn what_cannot_be_a_test_is_found_before_anything_starts() {
        let refused = |settings: &TestSettings, warm| doable(settings, warm).unwrap_err();
        assert_eq!((doable(&settings(), true), doable(&settings(), false)), (Ok(()), Ok(())));
        let slot_alone = TestSettings { before: vec![], steps: vec![], ..settings() };
        for warm in [true, false] {
            let why = refused(&slot_alone, warm);
            assert!(why.starts_with("there is nothing to test") && why.contains("steps = ["), "{why}");
        }
        // What comes before the slot's moment is tried by a cold test alone.
        let before_alone = TestSettings { steps: vec![], ..settings() };
        assert!(doable(&before_alone, true).is_err() && doable(&before_alone, false).is_ok());
        let nameless = TestSettings { slot: None, ..settings() };
        assert!(refused(&nameless, true).contains("no slot is named") && doable(&nameless, false).is_ok());
        let bad = TestSettings { slot: Some("x".repeat(81)), ..settings() };
        assert!(refused(&bad, true).contains("at most 80 bytes"));
        let mut wrong = settings();
        wrong.before.push(TestStep::Key(vec!["ctrl".into(), "submit".into()]));
        assert!(refused(&wrong, true).contains("no key \"submit\""));
        let mut wrong = settings();
        wrong.steps.push(TestStep::Run("echo ä".into()));
        assert!(refused(&wrong, false).contains("can type \"ä\""));
    }
}
