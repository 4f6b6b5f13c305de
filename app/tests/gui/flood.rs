//! A million lines: what a frame does is bounded by the rows that are seen, not by the lines that there are.

use cartridge::gui::log_search::LINES_A_FRAME;
use cartridge::session::logs::Pane;
use egui::Key;
use egui_kittest::kittest::Queryable as _;

use crate::stage::Stage;
use crate::story;

/// Rows that fit into the log at 1100 × 700.
const ROWS: usize = 14;

fn flooded(lines: u64) -> Stage {
    let mut stage = Stage::new();
    story::inserted(&mut stage);
    let mut text = Vec::new();
    for n in 0..lines {
        text.extend_from_slice(format!("{n:07} something happened\n").as_bytes());
    }
    stage.logs.pane(Pane::Build).append(&text);
    stage.settle();
    stage.window.get_by_label("Build log").click();
    stage.settle();
    stage
}

#[test]
fn only_what_is_seen_is_laid_out() {
    let mut stage = flooded(1_000_000);
    let view = |stage: &Stage| stage.window.state().logs.view(Pane::Build).laid_out();
    assert!((5..=ROWS).contains(&view(&stage)), "{}", view(&stage));
    assert!(stage.window.query_by_label("0999999 something happened").is_some(), "it follows the end");
    stage.window.get_by_label("Build lines").click();
    stage.window.key_press(Key::Home);
    stage.settle();
    let first = stage.logs.pane(Pane::Build).read(|ring| ring.begin());
    assert!(stage.window.query_by_label(&format!("{first:07} something happened")).is_some());
    assert!(view(&stage) <= ROWS);
    stage.logs.pane(Pane::Build).line("one more");
    stage.settle();
    assert!(stage.window.query_by_label("one more").is_none(), "whoever has scrolled up is left alone");
    stage.window.key_press(Key::End);
    stage.settle();
    assert!(stage.window.query_by_label("one more").is_some());
}

#[test]
fn a_filter_is_found_over_many_frames_each_of_bounded_work() {
    let mut stage = flooded(1_000_000);
    let field = stage.window.get_by_label("Filter");
    field.click();
    field.type_text("99999 SOME");
    let mut frames = 0_u64;
    let rows = |stage: &Stage| stage.window.state().logs.view(Pane::Build).laid_out();
    while stage.window.query_by_label("0099999 something happened").is_none() || rows(&stage) < 10 {
        stage.window.step();
        frames += 1;
        assert!(frames < 200, "it is never found");
        assert!(rows(&stage) <= ROWS);
    }
    assert!(frames >= 1_000_000 / LINES_A_FRAME, "all in {frames} frames: the frames were not bounded");
    assert_eq!(stage.window.state().logs.view(Pane::Build).laid_out(), 10);
}

#[test]
fn a_search_counts_and_jumps() {
    let mut stage = flooded(50_000);
    stage.window.key_press_modifiers(egui::Modifiers::COMMAND, Key::F);
    stage.settle();
    stage.window.get_by_label("Search text").type_text("0004242 ");
    stage.window.run_steps(20);
    assert_eq!(stage.window.state().logs.view(Pane::Build).found(), (1, Some(1)));
    assert!(stage.window.query_by_label("0004242 something happened").is_some(), "it jumps there");
    stage.window.get_by_label("Close search").click();
    stage.settle();
    assert!(stage.window.query_by_label("Search text").is_none());
}

#[test]
fn next_and_previous_go_round() {
    let mut stage = flooded(30_000);
    stage.window.key_press_modifiers(egui::Modifiers::COMMAND, Key::F);
    stage.settle();
    stage.window.get_by_label("Search text").type_text("9999 some");
    stage.window.run_steps(20);
    let current = |stage: &Stage| stage.window.state().logs.view(Pane::Build).current;
    let start = current(&stage);
    let mut seen = Vec::new();
    for _ in 0..3 {
        stage.window.get_by_label("Next match").click();
        stage.settle();
        seen.push(current(&stage).unwrap());
    }
    seen.sort_unstable();
    assert_eq!(seen, [9_999, 19_999, 29_999]);
    assert_eq!(current(&stage), start);
    stage.window.get_by_label("Previous match").click();
    stage.settle();
    assert_ne!(current(&stage), start);
}

#[test]
fn the_first_error_is_one_click_away() {
    let mut stage = flooded(20_000);
    stage.logs.pane(Pane::Build).line("mkfs: error: no such device");
    for n in 0..5_000 {
        stage.logs.pane(Pane::Build).line(&format!("later {n}"));
    }
    stage.settle();
    assert!(stage.window.query_by_label("mkfs: error: no such device").is_none());
    stage.window.get_by_label("First error").click();
    stage.settle();
    assert!(stage.window.query_by_label("mkfs: error: no such device").is_some());
}

#[test]
fn lines_that_are_dropped_are_counted() {
    let stage = flooded(1_100_000);
    let dropped = stage.logs.pane(Pane::Build).read(|ring| ring.begin());
    assert!(dropped >= 100_000);
    let thousands = dropped / 1000;
    let label = format!("{thousands}\u{2009}{:03} older lines dropped", dropped % 1000);
    assert!(stage.window.query_by_label(&label).is_some(), "{label}");
}
