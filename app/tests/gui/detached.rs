//! The guest's screen in a window of its own: what each of the two windows shows, and who gets what is typed.

use cartridge::session::Command;
use cartridge::session::state::Outcome;
use egui::{Key, Modifiers, pos2};
use egui_kittest::SnapshotResults;
use egui_kittest::kittest::Queryable as _;
use vmtools::display::InputEvent;
use winit::keyboard::KeyCode;

use crate::display::Display;
use crate::stage::Stage;
use crate::story;

const KEYS: Modifiers = Modifiers { shift: true, ..Modifiers::COMMAND };

fn running(mut stage: Stage) -> (Stage, Display) {
    let display = story::running(&mut stage);
    stage.settle();
    stage.asked();
    (stage, display)
}

fn click(stage: &mut Stage, name: &str) {
    stage.window.get_by_label(name).click();
    stage.settle();
}

fn has(stage: &Stage, name: &str) -> bool {
    stage.window.query_by_label(name).is_some()
}

fn inputs(stage: &mut Stage) -> Vec<InputEvent> {
    let all = stage.asked().into_iter();
    all.filter_map(|command| if let Command::Input(event) = command { Some(event) } else { None }).collect()
}

#[test]
fn the_main_window_says_where_the_screen_is_and_brings_it_back() {
    let (mut stage, _display) = running(Stage::new());
    click(&mut stage, "Guest screen");
    assert!(stage.keys.captured());
    stage.keys.push(KeyCode::ControlLeft, true);
    stage.settle();
    stage.asked();
    click(&mut stage, "Detach the screen");
    assert!(stage.window.state().is_detached() && stage.keys.place.detached());
    assert!(!stage.keys.captured() && inputs(&mut stage).contains(&InputEvent::ReleaseAll));
    assert!(!has(&stage, "Guest screen") && !has(&stage, "Send Ctrl-Alt-Del"), "there is one place to press it");
    assert!(stage.window.state().preferences.screen_window.detached, "it is remembered");

    // Nothing that is pressed where it was goes to the guest, and its pictures wait for the other window.
    stage.window.drag_at(pos2(600.0, 150.0));
    stage.settle();
    stage.window.drop_at(pos2(600.0, 150.0));
    stage.settle();
    assert_eq!(inputs(&mut stage), []);
    assert!(!stage.keys.captured());

    click(&mut stage, "Bring back");
    assert!(has(&stage, "Guest screen") && !stage.window.state().is_detached() && !stage.keys.place.detached());
    for detached in [true, false] {
        stage.window.key_press_modifiers(KEYS, Key::W);
        stage.settle();
        assert_eq!(stage.window.state().is_detached(), detached);
    }
    assert!(has(&stage, "Guest screen") && !stage.window.state().preferences.screen_window.detached);
}

#[test]
fn the_window_of_its_own_has_the_bar_and_types_into_the_guest() {
    let (mut stage, _display) = running(Stage::apart());
    stage.window.key_press_modifiers(KEYS, Key::W);
    stage.settle();
    assert!(has(&stage, "Guest screen") && !has(&stage, "Build & Boot") && has(&stage, "Send Ctrl-Alt-Del"));
    stage.asked();
    click(&mut stage, "Guest screen");
    assert!(stage.keys.captured());
    stage.keys.push(KeyCode::KeyA, true);
    stage.keys.push(KeyCode::KeyA, false);
    stage.settle();
    let typed = inputs(&mut stage);
    let key = |down| InputEvent::key(0x1e, down);
    assert!(typed.contains(&key(true)) && typed.contains(&key(false)), "{typed:?}");
    for (key, down) in [(KeyCode::ControlLeft, true), (KeyCode::AltLeft, true), (KeyCode::AltLeft, false)] {
        stage.keys.push(key, down);
    }
    stage.settle();
    assert!(!stage.keys.captured());

    // What is about the other window's panes is not pressed here; full screen is this window's.
    let logs = stage.window.state().preferences.logs_open;
    stage.window.key_press_modifiers(KEYS, Key::L);
    stage.window.key_press(Key::F1);
    stage.settle();
    assert_eq!(stage.window.state().preferences.logs_open, logs);
    stage.window.key_press(Key::F11);
    stage.settle();
    assert!(!has(&stage, "Send Ctrl-Alt-Del") && stage.window.state().preferences.screen_window.full_screen);
    stage.window.key_press(Key::Escape);
    stage.settle();
    assert!(has(&stage, "Send Ctrl-Alt-Del") && !stage.window.state().preferences.screen_window.full_screen);
    click(&mut stage, "Bring the screen back");
    assert!(has(&stage, "Build & Boot") && has(&stage, "Guest screen"));
}

#[test]
fn without_a_guest_the_main_window_goes_on_as_ever() {
    for (mut stage, apart) in [(Stage::new(), false), (Stage::apart(), true)] {
        story::inserted(&mut stage);
        stage.settle();
        stage.window.key_press_modifiers(KEYS, Key::W);
        stage.settle();
        assert!(stage.window.state().is_detached());
        assert_eq!((has(&stage, "No guest"), has(&stage, "homerchy is inserted")), (apart, !apart));
        let display = story::ended(&mut stage, vmtools::GuestStatus::PoweredOff);
        stage.settle();
        assert_eq!((has(&stage, "Powered off"), has(&stage, "In a window of its own")), (apart, !apart));
        drop(display);
        stage.tell(90_000, story::idle(Outcome::Ejected, false));
        stage.settle();
        assert_eq!((has(&stage, "No guest"), has(&stage, "Ejected")), (apart, !apart));
    }
}

#[test]
fn a_screen_that_was_detached_is_so_again_when_there_is_a_guest() {
    let mut stage = Stage::new();
    stage.window.state_mut().preferences.screen_window.detached = true;
    story::inserted(&mut stage);
    stage.settle();
    assert!(!stage.window.state().is_detached(), "an empty window helps nobody");
    let _display = story::running(&mut stage);
    stage.settle();
    assert!(stage.window.state().is_detached() && has(&stage, "Bring back"));
}

#[test]
fn as_pictures() {
    let mut results = SnapshotResults::new();
    for (name, stage) in [("detached_main_dark", Stage::new()), ("detached_screen_dark", Stage::apart())] {
        let (mut stage, _display) = running(stage);
        stage.window.key_press_modifiers(KEYS, Key::W);
        stage.settle();
        results.add(stage.window.try_snapshot(name));
    }
    let mut stage = Stage::apart();
    story::inserted(&mut stage);
    stage.window.key_press_modifiers(KEYS, Key::W);
    stage.settle();
    results.add(stage.window.try_snapshot("detached_no_guest_dark"));
}
