//! Text is copied off the guest's screen: a part is chosen by a drag, all of it by a click or Enter, and Esc gives it up.

use cartridge::gui::scaling::{Scaling, place};
use cartridge::session::event::{Failure, Side};
use cartridge::session::failure::exit_code;
use cartridge::session::{Command, Event};
use egui::{Key, Modifiers, Pos2, Rect, Vec2, pos2};
use egui_kittest::SnapshotResults;
use egui_kittest::kittest::Queryable as _;
use vmtools::display::InputEvent;

use crate::display::Display;
use crate::stage::Stage;
use crate::story;

fn choosing() -> (Stage, Display) {
    let mut stage = Stage::new();
    let display = story::running(&mut stage);
    stage.settle();
    stage.window.get_by_label("Copy text from the screen").click();
    stage.settle();
    stage.asked();
    (stage, display)
}

fn picture(stage: &Stage) -> Rect {
    let room = stage.window.get_by_label("Guest screen").rect().shrink(8.0);
    place(room, [1024, 768], 1.0, Scaling::Fit, Vec2::ZERO).rect
}

fn drag(stage: &mut Stage, from: Pos2, to: Pos2) {
    stage.window.drag_at(from);
    stage.settle();
    stage.window.hover_at(to);
    stage.settle();
    stage.window.drop_at(to);
    stage.settle();
}

/// What was asked to be read; nothing else may have been asked of the guest.
fn read(stage: &mut Stage) -> Vec<Option<vmtools::Rect>> {
    let asked = stage.asked();
    let read = asked.iter().filter_map(|command| match command {
        Command::ReadText(area) => Some(*area),
        Command::Input(InputEvent::ReleaseAll) => None,
        other => panic!("{other:?}"),
    });
    read.collect()
}

#[test]
fn a_part_is_chosen_by_a_drag() {
    let (mut stage, _display) = choosing();
    let picture = picture(&stage);
    let at = |x: f32, y: f32| picture.min + picture.size() * Vec2::new(x, y);
    stage.window.drag_at(at(0.25, 0.5));
    stage.settle();
    stage.window.hover_at(at(0.75, 0.75));
    stage.settle();
    let mut results = SnapshotResults::new();
    results.add(stage.window.try_snapshot("text_chosen_dark"));
    stage.window.drop_at(at(0.75, 0.75));
    stage.settle();
    let [Some(area)] = read(&mut stage)[..] else { panic!("one part") };
    let near = |is: usize, wanted: usize| is.abs_diff(wanted) <= 3;
    let right = near(area.x, 256) && near(area.y, 384) && near(area.width, 512) && near(area.height, 192);
    assert!(right, "{area:?}");
    // Backwards, and further than the picture goes, is the same to its edge.
    stage.window.get_by_label("Copy text from the screen").click();
    stage.settle();
    stage.asked();
    drag(&mut stage, at(0.5, 0.5), pos2(0.0, 0.0));
    let [Some(area)] = read(&mut stage)[..] else { panic!("one part") };
    assert!((area.x, area.y) == (0, 0) && near(area.width, 512) && near(area.height, 384), "{area:?}");
}

#[test]
fn a_click_or_enter_takes_all_of_it() {
    let (mut stage, _display) = choosing();
    let centre = picture(&stage).center();
    drag(&mut stage, centre, centre);
    assert_eq!(read(&mut stage), [None]);
    stage.window.key_press_modifiers(Modifiers::COMMAND | Modifiers::SHIFT, Key::T);
    stage.settle();
    stage.window.key_press(Key::Enter);
    stage.settle();
    assert_eq!(read(&mut stage), [None]);
}

#[test]
fn escape_gives_it_up_and_nothing_else() {
    let (mut stage, _display) = choosing();
    let has = |stage: &Stage| stage.window.query_by_label_contains("Drag over the text").is_some();
    assert!(has(&stage));
    stage.window.key_press(Key::Escape);
    stage.settle();
    assert!(!has(&stage));
    assert_eq!(read(&mut stage), []);
    // The guest gets the pointer again.
    drag(&mut stage, pos2(500.0, 300.0), pos2(500.0, 300.0));
    assert!(stage.asked().iter().any(|it| matches!(it, Command::Input(InputEvent::Pointer { .. }))));
}

#[test]
fn what_was_read_is_in_the_clipboard_and_what_failed_says_what_to_install() {
    let (mut stage, _display) = choosing();
    stage.tell(90_000, Event::TextRead { text: "Kernel panic\nnot syncing\n".to_owned() });
    stage.window.step();
    let copied = stage.window.output().platform_output.commands.iter().find_map(|it| match it {
        egui::OutputCommand::CopyText(text) => Some(text.clone()),
        _ => None,
    });
    assert_eq!(copied.as_deref(), Some("Kernel panic\nnot syncing"));
    let failure = Failure {
        title: "The text on the guest's screen could not be read".to_owned(),
        detail: vmtools::ocr::OcrError::Absent.to_string(),
        advice: None,
        command: None,
        pane: None,
        exit_code: exit_code::HOST,
    };
    stage.tell(90_100, Event::SideFailed { side: Side::Text, failure });
    stage.settle();
    assert!(stage.window.query_by_label_contains("install tesseract-ocr").is_some());
    stage.tell(90_200, Event::TextRead { text: String::new() });
    stage.settle();
    assert!(stage.window.query_by_label_contains("No text was found there").is_some());
}
