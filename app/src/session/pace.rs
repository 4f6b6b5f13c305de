//! How quickly a stage of a build goes on, and how long it still takes. Pure: the clock is handed in.
//!
//! A stage counts one thing after the other: bytes fetched, packages installed, nothing at all while it packs. Each is a
//! *stretch*. What is left of the stretch under way is told by its own rate, once that is known, else by how long it took
//! the last time; what is left of the stretches after it, by how long they took the last time. A telling does not leap:
//! it goes down with the clock, and is led towards what is known now by a bounded step a second.

use std::collections::BTreeMap;

use isoprep::{Progress, Unit};
use serde::{Deserialize, Serialize};

/// How long a stretch must have run before its own rate counts, milliseconds.
const WARM: u64 = 1500;
/// A rate follows what was measured with this time constant, milliseconds.
const RATE: f64 = 5000.0;
/// The least time between two measurements of a rate, milliseconds.
const MEASURE: u64 = 200;
/// A telling follows what is known with this time constant, milliseconds.
const FOLLOW: f64 = 3000.0;
/// A telling is led by at most this share of itself a second…
const SHARE: f64 = 0.5;
/// … and this much, milliseconds a second.
const LEAST: f64 = 2000.0;
/// Longer than this nothing is foretold, milliseconds: a day.
const LONGEST: f64 = 86_400_000.0;
/// How many stretches of a stage are remembered. A stage has some ten.
const STRETCHES: usize = 32;

/// A stage's pace at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Pace {
    /// How much is done in a second, in the unit of its progress, where that is known.
    pub per_second: Option<f64>,
    /// How long the stage still takes, milliseconds, where that can be said.
    pub left_ms: Option<u64>,
}

/// What a stretch counts: nothing, or one unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Counts {
    Nothing,
    Files,
    Bytes,
    Percent,
    Packages,
}

/// A stretch that is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Stretch {
    counts: Counts,
    ms: u64,
}

/// How long the stages of a cartridge took when they were last done. Kept from build to build.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StageTimes(BTreeMap<String, Vec<Stretch>>);

/// Follows the stages of one build.
#[derive(Debug, Default)]
pub struct PaceMaker {
    times: StageTimes,
    now: Option<Stage>,
}

#[derive(Debug)]
struct Stage {
    name: String,
    /// Its stretches so far; the last is under way.
    over: Vec<Stretch>,
    current: Count,
    /// What was told last, and when: milliseconds left, moment.
    told: Option<(f64, u64)>,
}

/// The stretch under way.
#[derive(Debug)]
struct Count {
    counts: Counts,
    began_ms: u64,
    total: Option<u64>,
    /// What was done when it began.
    from: u64,
    done: u64,
    /// Last measurement: moment and what was done then.
    measured: (u64, u64),
    /// In a millisecond.
    rate: Option<f64>,
}

impl PaceMaker {
    /// For a build of a cartridge whose stages took `times`.
    #[must_use]
    pub fn new(times: StageTimes) -> Self {
        Self { times, now: None }
    }

    /// How long stages took, this build's included.
    #[must_use]
    pub fn times(&self) -> &StageTimes {
        &self.times
    }

    /// Takes what a build tells at `at_ms`, from a clock that never goes back, and says the pace of the stage under way.
    pub fn take(&mut self, progress: &Progress, at_ms: u64) -> Option<Pace> {
        match progress {
            Progress::Started { stage } => {
                let current = Count::new(Counts::Nothing, None, 0, at_ms);
                self.now = Some(Stage { name: stage.0.to_owned(), over: Vec::new(), current, told: None });
            }
            Progress::Advanced { stage, done, total, unit, .. } => {
                let now = self.now.as_mut().filter(|now| now.name == stage.0)?;
                now.advance(counts(*unit), *done, *total, at_ms);
            }
            Progress::Finished { stage, reused, .. } => {
                if let Some(now) = self.now.take_if(|now| now.name == stage.0)
                    && !reused
                {
                    self.times.0.insert(now.name.clone(), now.ended(at_ms));
                }
                return None;
            }
            Progress::Planned { .. } | Progress::Way { .. } | Progress::Line { .. } | Progress::Warned { .. } => {
                return None;
            }
        }
        let now = self.now.as_mut()?;
        let pace = now.pace(self.times.0.get(&now.name).map_or(&[], Vec::as_slice), at_ms);
        (pace != Pace::default()).then_some(pace)
    }
}

fn counts(unit: Unit) -> Counts {
    match unit {
        Unit::Files => Counts::Files,
        Unit::Bytes => Counts::Bytes,
        Unit::Percent => Counts::Percent,
        Unit::Packages => Counts::Packages,
    }
}

impl Stage {
    fn advance(&mut self, counts: Counts, done: u64, total: Option<u64>, at: u64) {
        let now = &self.current;
        let goes_on = now.counts == counts && now.total == total && done >= now.done;
        if !goes_on {
            self.next(Count::new(counts, total, done, at), at);
        }
        self.current.advance(done, at);
        if total.is_some_and(|total| done >= total) {
            // What comes now is not counted.
            self.next(Count::new(Counts::Nothing, None, 0, at), at);
        }
    }

    fn next(&mut self, count: Count, at: u64) {
        let old = std::mem::replace(&mut self.current, count);
        if self.over.len() < STRETCHES {
            self.over.push(Stretch { counts: old.counts, ms: at.saturating_sub(old.began_ms) });
        }
    }

    /// Its stretches, as they are remembered.
    fn ended(mut self, at: u64) -> Vec<Stretch> {
        self.next(Count::new(Counts::Nothing, None, 0, at), at);
        self.over
    }

    fn pace(&mut self, before: &[Stretch], at: u64) -> Pace {
        let known = self.left(before, at).map(|left| left.min(LONGEST));
        let told = match (known, self.told) {
            (None, _) => None,
            (Some(known), None) => Some(known),
            (Some(known), Some((last, when))) => Some(led(last, known, elapsed(when, at))),
        };
        self.told = told.map(|told| (told, at));
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to a day")]
        let left_ms = told.map(|told| told.round() as u64);
        Pace { per_second: self.current.rate.map(|rate| rate * 1000.0), left_ms }
    }

    /// How long the stage still takes by all that is known, milliseconds.
    fn left(&self, before: &[Stretch], at: u64) -> Option<f64> {
        // The same stretch of the last time, if that went the same way.
        let same = before.get(self.over.len()).filter(|it| it.counts == self.current.counts);
        let ran = elapsed(self.current.began_ms, at);
        let own = self.current.left();
        let remembered = same.map(|it| millis(it.ms) - ran).filter(|left| *left > 0.0);
        // With nothing to go by of the last time, what is counted now is all that can be told of.
        let after: f64 = match same {
            Some(_) => before.iter().skip(self.over.len() + 1).map(|it| millis(it.ms)).sum(),
            None => 0.0,
        };
        match (own, remembered) {
            (Some(left), _) | (None, Some(left)) => Some(left + after),
            // It takes longer than the last time: what comes after it is still known.
            (None, None) => (after > 0.0).then_some(after),
        }
    }
}

impl Count {
    fn new(counts: Counts, total: Option<u64>, done: u64, at: u64) -> Self {
        Self { counts, began_ms: at, total, from: done, done, measured: (at, done), rate: None }
    }

    fn advance(&mut self, done: u64, at: u64) {
        self.done = done;
        let (when, before) = self.measured;
        let passed = at.saturating_sub(when);
        if passed < MEASURE {
            return;
        }
        self.measured = (at, done);
        let measured = millis(done - before) / millis(passed);
        let ran = at.saturating_sub(self.began_ms);
        self.rate = match self.rate {
            // At first the mean is steadier than anything else.
            Some(rate) if ran > WARM => Some(rate + (measured - rate) * (1.0 - (-millis(passed) / RATE).exp())),
            _ if ran >= WARM => Some(millis(done - self.from) / millis(ran)),
            _ => None,
        };
    }

    /// How long it still takes at its own rate.
    fn left(&self) -> Option<f64> {
        let rate = self.rate.filter(|rate| *rate > 0.0)?;
        Some(millis(self.total?.saturating_sub(self.done)) / rate)
    }
}

/// What is told after `last` once `passed` is over, if `known` is what is known.
fn led(last: f64, known: f64, passed: f64) -> f64 {
    let expected = (last - passed).max(0.0);
    let step = (known - expected) * (1.0 - (-passed / FOLLOW).exp());
    let most = bound(expected) * passed / 1000.0;
    (expected + step.clamp(-most, most)).max(0.0)
}

/// By how much a telling may be led in a second, milliseconds.
fn bound(told: f64) -> f64 {
    told * SHARE + LEAST
}

fn elapsed(from: u64, to: u64) -> f64 {
    millis(to.saturating_sub(from))
}

#[allow(clippy::cast_precision_loss, reason = "times and counts of a build are below 2^53")]
fn millis(ms: u64) -> f64 {
    ms as f64
}

#[cfg(test)]
#[path = "pace_tests.rs"]
mod tests;
