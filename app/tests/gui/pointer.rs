//! The pointer of a guest that takes movements: given by a second press, kept, and given back.

use cartridge::session::Command;
use egui::{Event, Pos2, pos2, vec2};
use egui_kittest::kittest::Queryable as _;
use vmtools::display::InputEvent;
use winit::keyboard::KeyCode;

use crate::display::Display;
use crate::stage::Stage;
use crate::story;

fn running() -> (Stage, Display) {
    let mut stage = Stage::new();
    let display = story::running(&mut stage);
    display.set_relative(true);
    stage.settle();
    stage.asked();
    (stage, display)
}

fn press(stage: &mut Stage, pos: Pos2) {
    stage.window.drag_at(pos);
    stage.settle();
    stage.window.drop_at(pos);
    stage.settle();
}

fn moved(stage: &mut Stage, x: f32, y: f32) -> Vec<(i16, i16, u16)> {
    stage.asked();
    stage.window.event(Event::MouseMoved(vec2(x, y)));
    stage.settle();
    motions(stage)
}

fn motions(stage: &mut Stage) -> Vec<(i16, i16, u16)> {
    let asked = stage.asked();
    let motion = |command: &Command| match command {
        Command::Input(InputEvent::Motion { dx, dy, buttons }) => Some((*dx, *dy, *buttons)),
        Command::Input(InputEvent::Pointer { .. }) => panic!("a place: {asked:?}"),
        _ => None,
    };
    asked.iter().filter_map(motion).collect()
}

fn says(stage: &Stage, words: &str) -> bool {
    stage.window.query_by_label_contains(words).is_some()
}

#[test]
fn the_second_press_gives_the_guest_the_pointer_and_the_release_key_takes_it_back() {
    let (mut stage, display) = running();
    let middle = stage.window.get_by_label("Guest screen").rect().center();
    press(&mut stage, middle);
    assert!(stage.keys.captured() && !stage.keys.moving());
    assert!(says(&stage, "click again for the pointer"));
    assert_eq!(moved(&mut stage, 5.0, 5.0), [], "it has not got it");

    press(&mut stage, middle);
    assert!(stage.keys.moving() && says(&stage, "Keyboard and pointer captured"));
    stage.asked();
    assert_eq!(moved(&mut stage, 12.0, -3.0), [(12, -3, 0)]);
    press(&mut stage, middle);
    assert_eq!(motions(&mut stage), [(0, 0, 1), (0, 0, 0)], "from now on presses are the guest's");
    // Where the pointer strays to is of no matter: it is the guest's.
    press(&mut stage, pos2(5.0, 5.0));
    assert!(stage.keys.captured());
    assert_eq!(motions(&mut stage), [(0, 0, 1), (0, 0, 0)]);

    for (key, down) in [(KeyCode::ControlLeft, true), (KeyCode::AltLeft, true), (KeyCode::AltLeft, false)] {
        stage.keys.push(key, down);
    }
    stage.settle();
    assert!(!stage.keys.captured() && !stage.keys.moving());
    assert!(matches!(stage.asked().last(), Some(Command::Input(InputEvent::ReleaseAll))));
    assert_eq!(moved(&mut stage, 5.0, 5.0), []);

    // Its tablet's driver is loaded: places again, and no lock.
    press(&mut stage, middle);
    press(&mut stage, middle);
    assert!(stage.keys.moving());
    display.set_relative(false);
    stage.settle();
    assert!(stage.keys.captured() && !stage.keys.moving() && says(&stage, "Keyboard captured — Ctrl+Alt releases"));
    stage.asked();
    press(&mut stage, middle);
    assert!(stage.asked().iter().any(|it| matches!(it, Command::Input(InputEvent::Pointer { buttons: 1, .. }))));
}
