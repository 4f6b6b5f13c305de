//! Paces of made-up builds.

use std::time::Duration;

use isoprep::StageName;
use proptest::prelude::*;

use super::*;

const PACKAGES: StageName = StageName("packages");

fn advanced(done: u64, total: u64, unit: Unit) -> Progress {
    Progress::Advanced { stage: PACKAGES, done, total: Some(total), unit, what: None }
}

fn finished(reused: bool) -> Progress {
    Progress::Finished { stage: PACKAGES, reused, took: Duration::ZERO }
}

/// One packages stage: 2 s nothing, 10 s fetching, `install` s installing, 8 s packing. What was told, each with the truth.
fn stage(maker: &mut PaceMaker, install: u64) -> Vec<(u64, Option<u64>, u64)> {
    let end = 20_000 + install * 1000;
    let mut told = Vec::new();
    let mut tell = |maker: &mut PaceMaker, progress: &Progress, at: u64| {
        let pace = maker.take(progress, at).unwrap_or_default();
        told.push((at, pace.left_ms, end - at));
    };
    tell(maker, &Progress::Started { stage: PACKAGES }, 0);
    for step in 0..=100 {
        tell(maker, &advanced(step * 1_000_000, 100_000_000, Unit::Bytes), 2000 + step * 100);
    }
    for step in 1..=200 {
        tell(maker, &advanced(step, 200, Unit::Packages), 12_000 + step * install * 5);
    }
    assert_eq!(maker.take(&finished(false), end), None);
    told
}

#[test]
fn a_first_build_goes_by_its_own_rate() {
    let mut maker = PaceMaker::default();
    let told = stage(&mut maker, 30);
    assert_eq!(told[0].1, None, "nothing is known yet");
    // Half of what is fetched: five seconds of it are left, and nobody knows of the rest.
    let (at, left, _) = told[51];
    assert_eq!(at, 7000);
    assert!(left.unwrap().abs_diff(5000) < 500, "{left:?}");
    let (_, left, _) = *told.iter().find(|(at, ..)| *at >= 27_000).unwrap();
    assert!(left.unwrap().abs_diff(15_000) < 2500, "{left:?}");
}

#[test]
fn a_later_build_knows_what_is_still_to_come() {
    let mut maker = PaceMaker::default();
    stage(&mut maker, 30);
    let times: StageTimes = serde_json::from_str(&serde_json::to_string(maker.times()).unwrap()).unwrap();
    let mut maker = PaceMaker::new(times);
    for (at, left, truth) in stage(&mut maker, 30) {
        let left = left.unwrap_or_else(|| panic!("nothing is told at {at}"));
        assert!(left.abs_diff(truth) <= 1500 + truth / 10, "at {at}: {left} for {truth}");
    }
}

#[test]
fn a_slower_machine_than_last_time_is_noticed() {
    let mut maker = PaceMaker::default();
    stage(&mut maker, 10);
    let told = stage(&mut maker, 60);
    let (_, left, truth) = *told.iter().find(|(at, ..)| *at >= 30_000).unwrap();
    assert!(left.unwrap().abs_diff(truth) <= truth / 4, "{left:?} for {truth}");
}

#[test]
fn a_reused_stage_is_not_remembered_and_another_stages_words_are_passed_over() {
    let mut maker = PaceMaker::default();
    maker.take(&Progress::Started { stage: PACKAGES }, 0);
    let other = Progress::Advanced { stage: StageName("iso"), done: 1, total: None, unit: Unit::Files, what: None };
    assert_eq!(maker.take(&other, 10), None);
    maker.take(&finished(true), 20);
    assert_eq!(maker.times(), &StageTimes::default());
    assert_eq!(maker.take(&advanced(1, 2, Unit::Files), 30), None, "it is over");
}

proptest! {
    #[test]
    fn whatever_is_told_never_leaps(
        steps in proptest::collection::vec((0_u64..4000, 0_u64..1000, 0_u8..30), 1..200),
        remembered in 0_u64..100_000,
    ) {
        let units = [Unit::Files, Unit::Bytes, Unit::Percent, Unit::Packages];
        let times = vec![Stretch { counts: Counts::Nothing, ms: remembered }, Stretch { counts: Counts::Bytes, ms: remembered }];
        let mut maker = PaceMaker::new(StageTimes(BTreeMap::from([("packages".to_owned(), times)])));
        let mut at = 0;
        let mut last: Option<(u64, u64)> = None;
        maker.take(&Progress::Started { stage: PACKAGES }, at);
        let mut done = 0;
        for (passed, more, turn) in steps {
            at += passed;
            done = if turn == 0 { 0 } else { (done + more).min(1000) };
            let pace = maker.take(&advanced(done, 1000, units[usize::from(turn / 10)]), at).unwrap_or_default();
            prop_assert!(pace.per_second.is_none_or(|rate| rate.is_finite() && rate >= 0.0));
            if let (Some((before, when)), Some(left)) = (last, pace.left_ms) {
                let expected = before.saturating_sub(at - when);
                let most = bound(millis(expected) + 1.0) * elapsed(when, at) / 1000.0 + 2.0;
                prop_assert!(millis(left.abs_diff(expected)) <= most, "{before} at {when}, {left} at {at}");
            }
            last = pace.left_ms.map(|left| (left, at));
        }
    }
}
