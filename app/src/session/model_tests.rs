//! Events folded: what front ends rely on.

use std::time::Duration;

use isoprep::lint::{LintFinding, RuleId, Severity};
use isoprep::mkarchiso::Way;
use isoprep::{EngineKind, StageName};

use super::*;
use crate::session::event::EVENT_VERSION;
use crate::session::examination::LintView;
use crate::session::state::Goal;

const ASSEMBLE: StageName = StageName("assemble");
const PACKAGES: StageName = StageName("packages");

fn tell(model: &mut Model, at_ms: u64, event: Event) {
    model.fold(&Told { v: EVENT_VERSION, at_ms, event });
}

fn progress(model: &mut Model, at_ms: u64, progress: Progress, left_ms: Option<u64>) {
    let pace = left_ms.map(|left_ms| Pace { per_second: None, left_ms: Some(left_ms) });
    tell(model, at_ms, Event::BuildProgressed { progress, pace });
}

fn phase(phase: Phase) -> Event {
    Event::StateChanged { state: State { phase, goal: Some(Goal::Build), inserted: true, ..State::default() } }
}

#[test]
fn time_left_goes_down_with_the_clock_and_a_stage_that_is_over_stays_over() {
    let mut model = Model::default();
    progress(&mut model, 0, Progress::Planned { stages: vec![ASSEMBLE, PACKAGES] }, None);
    progress(&mut model, 10, Progress::Started { stage: ASSEMBLE }, None);
    let over = Progress::Finished { stage: ASSEMBLE, reused: false, took: Duration::from_millis(5) };
    progress(&mut model, 15, over, None);
    progress(&mut model, 20, Progress::Started { stage: PACKAGES }, Some(9000));
    let late = Progress::Advanced { stage: ASSEMBLE, done: 1, total: None, unit: Unit::Files, what: None };
    progress(&mut model, 30, late, None);
    assert_eq!(model.running_stage().map(|stage| stage.name.as_str()), Some("packages"));
    assert_eq!((model.stage_left_ms(20), model.stage_left_ms(4020)), (Some(9000), Some(5000)));
    assert_eq!(model.stage_left_ms(9020), None, "it takes longer than was thought");
    let what = Some("installing linux".to_owned());
    let now = Progress::Advanced { stage: PACKAGES, done: 1, total: Some(4), unit: Unit::Packages, what };
    progress(&mut model, 9100, now, Some(3000));
    assert_eq!(model.stage_left_ms(9600), Some(2500));
}

fn lint(severity: Severity) -> Vec<LintView> {
    vec![LintView::new(LintFinding {
        rule: RuleId("rule"),
        severity,
        file: "a".into(),
        line: None,
        what: "x".to_owned(),
        consequence: String::new(),
        fix: None,
        also: Vec::new(),
    })]
}

fn examined(lint: Vec<LintView>) -> Event {
    Event::Examined { lint, tree: Vec::new(), warnings: Vec::new(), failure: None }
}

fn cartridge(file: &str) -> Event {
    Event::CartridgeChanged { cartridge: CartridgeView { file: file.into(), ..CartridgeView::default() } }
}

#[test]
fn what_stopped_a_build_is_known_until_it_is_mended_or_the_next_one() {
    let mut model = Model::default();
    tell(&mut model, 0, phase(Phase::Building));
    tell(&mut model, 1, Event::StoppedByLint { lint: lint(Severity::Error) });
    tell(&mut model, 2, phase(Phase::Ejecting));
    assert!(model.stopped_by_lint() && !model.mended());
    tell(&mut model, 3, examined(lint(Severity::Note)));
    assert!(model.mended() && !model.stopped_by_lint());
    tell(&mut model, 4, examined(lint(Severity::Error)));
    assert!(model.stopped_by_lint() && !model.mended(), "it is there again");
    tell(&mut model, 5, phase(Phase::Preparing));
    assert!(!model.stopped_by_lint() && !model.mended());
    tell(&mut model, 6, examined(lint(Severity::Error)));
    assert!(!model.stopped_by_lint(), "no build has stopped since");
}

#[test]
fn what_was_seen_goes_with_the_cartridge_that_it_was_seen_of() {
    let mut model = Model::default();
    tell(&mut model, 0, cartridge("/a/cartridge.toml"));
    tell(&mut model, 1, examined(lint(Severity::Error)));
    tell(&mut model, 2, Event::Examining);
    let why = Unexamined::NoProfile { engine: EngineKind::Micro };
    tell(&mut model, 3, Event::NotExamined { why });
    assert_eq!((&model.examination, model.examining, model.unexamined), (&None, false, Some(why)));
    tell(&mut model, 4, examined(Vec::new()));
    assert_eq!(model.unexamined, None);
    tell(&mut model, 5, cartridge("/b/cartridge.toml"));
    assert_eq!(model.examination, None);
}

#[test]
fn a_comparison_goes_with_its_image_and_an_error_is_no_summary() {
    let mut model = Model::default();
    tell(&mut model, 0, cartridge("/a/cartridge.toml"));
    tell(&mut model, 4, Event::Comparing);
    assert!(model.comparing);
    tell(&mut model, 5, Event::BuildCompared { summary: "1 file changed".into(), difference: None });
    assert!(!model.comparing && model.comparison.as_ref().is_some_and(|it| it.summary == "1 file changed"));
    tell(&mut model, 6, Event::NotCompared { error: Some("torn".into()) });
    assert_eq!((&model.comparison, model.comparison_error.as_deref()), (&None, Some("torn")));
    tell(&mut model, 7, phase(Phase::Preparing));
    assert_eq!(model.comparison_error, None);
    tell(&mut model, 8, Event::Comparing);
    tell(&mut model, 9, cartridge("/b/cartridge.toml"));
    assert!(!model.comparing, "nobody compares for another cartridge");
}

#[test]
fn what_fails_at_the_side_is_not_what_failed() {
    let mut model = Model::default();
    let failure = crate::session::failure::internal("The cache could not be emptied", &"in use");
    tell(&mut model, 0, Event::SideFailed { side: Side::Cache, failure: failure.clone() });
    assert_eq!((&model.failure, &model.cache_failure), (&None, &Some(failure)));
    let view = CacheView { rows: Vec::new(), bytes: 0, limit: 1 };
    tell(&mut model, 1, Event::CacheViewed { path: "/c".into(), view, freed: None });
    assert_eq!(model.cache_failure, None);
}

#[test]
fn the_way_of_mkarchiso_is_known_until_the_next_build() {
    let mut model = Model::default();
    let chosen = Chosen {
        way: Way::NamespaceOfOne,
        with: None,
        why_not: vec![(Way::Podman, "podman is not installed".to_owned())],
        but: Some("Every file belongs to root.".to_owned()),
    };
    let told =
        Event::BuildProgressed { progress: Progress::Way { stage: PACKAGES, chosen: chosen.clone() }, pace: None };
    assert!(told.sentence().unwrap().contains("Not in a podman container"), "{told:?}");
    tell(&mut model, 1, told);
    tell(&mut model, 2, phase(Phase::Ejecting));
    assert_eq!(model.way, Some(chosen), "the card of the finished build shows it too");
    tell(&mut model, 3, phase(Phase::Preparing));
    assert_eq!(model.way, None);
}
