//! What goes over the socket: everything that is told comes back, and no bytes do harm.

use std::time::Duration;

use isoprep::lint::{LintFinding, RuleId, Severity};
use isoprep::{Progress, StageName, Unit};
use proptest::prelude::*;
use vmtools::GuestStatus;

use super::*;
use crate::session::event::{EVENT_VERSION, Failure, Side};
use crate::session::examination::LintView;
use crate::session::logs::Pane;
use crate::session::pace::Pace;
use crate::session::state::{Goal, Phase, State};

const SQUASH: StageName = StageName("squash");

/// One of each kind that is shaped in a way of its own.
fn told() -> Vec<Event> {
    let failure = Failure {
        title: "The build stopped".into(),
        detail: "it has\ntwo lines".into(),
        advice: Some("try again".into()),
        command: None,
        pane: Some(Pane::Build),
        exit_code: 5,
    };
    let finding = LintFinding {
        rule: RuleId("package-twice"),
        severity: Severity::Note,
        file: "packages.x86_64".into(),
        line: Some(3),
        what: "It is there twice".into(),
        consequence: "Nothing".into(),
        fix: None,
        also: Vec::new(),
    };
    let node = isoprep::assembly::Node {
        name: "etc".into(),
        path: "airootfs/etc".into(),
        depth: 1,
        below: 0,
        kind: "folder",
        mode: 0o755,
        live_mode: None,
        size: 0,
        target: None,
        origin: isoprep::assembly::Origin::Overlay(1),
        from: Some("/x".into()),
        replaced: Vec::new(),
        removed: false,
    };
    let state = State { phase: Phase::Building, goal: Some(Goal::Up), inserted: true, ..State::default() };
    let pace = Some(Pace { per_second: Some(2.5), left_ms: Some(100) });
    let advanced = Progress::Advanced { stage: SQUASH, done: 1, total: Some(9), unit: Unit::Bytes, what: None };
    vec![
        Event::Opened { logs: "/logs".into() },
        Event::StateChanged { state },
        Event::Examining,
        Event::Examined {
            lint: vec![LintView::new(finding)],
            tree: vec![node],
            warnings: vec!["w".into()],
            failure: Some(failure.clone()),
        },
        Event::BuildProgressed { progress: Progress::Planned { stages: vec![SQUASH] }, pace: None },
        Event::BuildProgressed { progress: Progress::Started { stage: SQUASH }, pace },
        Event::BuildProgressed { progress: advanced, pace },
        Event::BuildProgressed {
            progress: Progress::Finished { stage: SQUASH, reused: true, took: Duration::from_millis(1500) },
            pace: None,
        },
        Event::GuestStarted { pid: 7, command: "qemu".into(), mute: None },
        Event::GuestChanged { status: GuestStatus::Crashed { how: "signal 9".into() } },
        Event::PortForwarded { name: "ssh".into(), guest_port: 22, host_port: 2222 },
        Event::ScreenBlank { seconds: 60, cure: crate::session::blank::BlankCure::No3d("none".into()) },
        Event::BuildCompared { summary: "12 files".into(), difference: None },
        Event::SideFailed { side: Side::Slot, failure: failure.clone() },
        Event::Failed { failure },
    ]
}

fn line(event: Event, at_ms: u64) -> Line {
    Line::Told(Box::new(Told { v: EVENT_VERSION, at_ms, event }))
}

#[test]
fn all_that_is_told_comes_back_and_folds_to_the_same() {
    let (mut here, mut there) = (Model::default(), Model::default());
    let mut lines = Lines::default();
    for (at_ms, event) in told().into_iter().enumerate() {
        let one = Told { v: EVENT_VERSION, at_ms: at_ms as u64, event };
        here.fold(&one);
        let sent = Line::Told(Box::new(shown(&one).unwrap())).encode().unwrap();
        let mut got = lines.push(sent.as_bytes());
        let Some(Ok(Line::Told(back))) = got.pop() else { panic!("{sent}: {got:?}") };
        assert_eq!(format!("{back:?}"), format!("{one:?}"));
        there.fold(&back);
    }
    assert_eq!(format!("{here:?}"), format!("{there:?}"));
    // And so does all of it at once.
    let start = Line::Start { at_ms: 9, missed: 2, said: vec!["x".into()], model: Box::new(here.clone()) };
    let got = lines.push(start.encode().unwrap().as_bytes()).pop();
    let Some(Ok(Line::Start { at_ms: 9, missed: 2, said, model })) = got else { panic!("{got:?}") };
    assert_eq!((said, format!("{model:?}")), (vec!["x".to_owned()], format!("{here:?}")));
}

#[test]
fn no_secret_goes_over_the_socket_and_nothing_that_is_somebody_s_own() {
    let command = "tool --password hunter2planted".to_owned();
    let sent = line(Event::GuestStarted { pid: 1, command, mute: None }, 0).encode().unwrap();
    assert!(sent.contains("***") && !sent.contains("hunter2planted"), "{sent}");
    let read = Told { v: 1, at_ms: 0, event: Event::TextRead { text: "what the screen shows".into() } };
    assert!(shown(&read).is_none());
    let end = Event::WatchEnded { end: super::super::WatchEnd::LetGo };
    assert!(shown(&Told { v: 1, at_ms: 0, event: end }).is_none());
    // Nor is its end ours.
    let mut model = Model::default();
    model.fold(&Told { v: 1, at_ms: 0, event: Event::Closed });
    assert!(model.closed);
    let start = Line::Start { at_ms: 0, missed: 0, said: Vec::new(), model: Box::new(model) };
    let sent = start.encode().unwrap().replacen("\"model\":{", "\"model\":{\"closed\":true,", 1);
    let got = Lines::default().push(sent.as_bytes()).pop();
    let Some(Ok(Line::Start { model, .. })) = got else { panic!("{got:?}") };
    assert!(!model.closed);
}

#[test]
fn a_line_that_is_too_long_is_passed_over_and_the_next_one_counts() {
    let mut lines = Lines { limit: 4000, ..Lines::default() };
    let chunk = vec![b'x'; 1000];
    let mut got = Vec::new();
    for _ in 0..9 {
        got.extend(lines.push(&chunk).into_iter().map(|it| it.unwrap_err()));
    }
    assert_eq!(got, [BadLine::TooLong]);
    assert!(lines.open.capacity() <= 8000);
    let next = format!("\n{}", Line::LetGo.encode().unwrap());
    assert!(matches!(&lines.push(next.as_bytes())[..], [Ok(Line::LetGo)]));
}

proptest! {
    #[test]
    fn any_bytes_are_lines_or_none_however_they_are_cut(
        parts in proptest::collection::vec(
            prop_oneof![
                proptest::collection::vec(any::<u8>(), 0..40),
                Just(b"\n".to_vec()),
                Just(b"\"let_go\"\n".to_vec()),
                Just(b"{\"told\":{\"v\":1,\"at_ms\":18446744073709551615,\"event\":\"slot_advanced\",\"done\":1,\"total\":0}}\n".to_vec()),
                Just(b"{\"start\":{\"at_ms\":0,\"missed\":0,\"said\":[],\"model\":{}}}\n".to_vec()),
                Just(vec![b'['; 300]),
            ],
            0..12,
        ),
        cut in 1_usize..17,
    ) {
        let bytes = parts.concat();
        let whole: Vec<_> = Lines::default().push(&bytes).iter().map(|it| format!("{it:?}")).collect();
        let mut lines = Lines::default();
        let cut: Vec<_> = bytes.chunks(cut).flat_map(|chunk| lines.push(chunk)).collect();
        prop_assert_eq!(whole, cut.iter().map(|it| format!("{it:?}")).collect::<Vec<_>>());
        let mut model = Model::default();
        for line in cut.into_iter().flatten() {
            if let Line::Told(told) = line {
                model.fold(&told);
            }
        }
    }
}
