//! How large the guest's screen is shown: chosen in the menu and by keys, right under the pointer, scrolled, full screen.

use cartridge::gui::scaling::{Placement, Scaling, place};
use cartridge::session::Command;
use egui::{Key, Modifiers, Pos2, Rect, Vec2, pos2, vec2};
use egui_kittest::SnapshotResults;
use egui_kittest::kittest::{NodeT as _, Queryable as _};
use vmtools::display::InputEvent;

use crate::display::Display;
use crate::stage::Stage;
use crate::story;

const GUEST: [usize; 2] = [1024, 768];

fn running(scale: f32) -> (Stage, Display) {
    let mut stage = Stage::with(true, scale);
    let display = story::running(&mut stage);
    stage.settle();
    stage.asked();
    (stage, display)
}

fn choose(stage: &mut Stage, scaling: Scaling) {
    stage.window.get_by_label("How the screen is shown").click();
    stage.settle();
    stage.window.get_by_label(&format!("Screen: {}", scaling.label())).click();
    stage.settle();
    assert_eq!(stage.window.state().preferences.scaling, scaling);
}

fn room(stage: &Stage) -> Rect {
    stage.window.get_by_label("Guest screen").rect().shrink(8.0)
}

/// Where a click at `pos` arrives in the guest; the click before it gave the guest the keyboard.
fn arrives(stage: &mut Stage, pos: Pos2) -> (u16, u16) {
    stage.asked();
    stage.window.drag_at(pos);
    stage.settle();
    stage.window.drop_at(pos);
    stage.settle();
    let asked = stage.asked();
    let pressed = asked.iter().find_map(|command| match command {
        Command::Input(InputEvent::Pointer { x, y, buttons: 1 }) => Some((*x, *y)),
        _ => None,
    });
    pressed.unwrap_or_else(|| panic!("{pos:?}: {asked:?}"))
}

fn wait(stage: &mut Stage, seconds: f32) {
    // A step of the harness is a quarter of a second.
    for _ in 0..(seconds * 4.0) as usize {
        stage.window.step();
    }
}

#[test]
fn the_pointer_is_right_in_every_size() {
    for scale in [1.0, 1.5, 2.0] {
        let (mut stage, _display) = running(scale);
        for scaling in Scaling::ALL {
            choose(&mut stage, scaling);
            wait(&mut stage, 3.0);
            let room = room(&stage);
            let placed: Placement = place(room, GUEST, scale, scaling, Vec2::ZERO);
            let seen = placed.rect.intersect(room);
            for part in [vec2(0.01, 0.02), vec2(0.5, 0.5), vec2(0.83, 0.71)] {
                let pos = ((seen.min + seen.size() * part) * scale).round() / scale;
                assert_eq!(arrives(&mut stage, pos), placed.pixel(pos), "{scaling:?} at {scale}");
            }
        }
    }
}

#[test]
fn keys_go_through_the_sizes_and_the_last_one_is_remembered() {
    let (mut stage, _display) = running(1.0);
    let keys = Modifiers { shift: true, ..Modifiers::COMMAND };
    for scaling in [Scaling::Natural, Scaling::Whole, Scaling::Stretch] {
        stage.window.key_press_modifiers(keys, Key::D);
        stage.settle();
        assert_eq!(stage.window.state().preferences.scaling, scaling);
        assert!(stage.window.query_by_label(&format!("Screen: {}", scaling.label())).is_some(), "it is said");
    }
    wait(&mut stage, 4.0);
    assert!(stage.window.query_by_label("Screen: Stretch").is_none(), "not for ever");
}

#[test]
fn one_to_one_is_scrolled_by_its_bars() {
    let (mut stage, _display) = running(1.0);
    assert!(stage.window.query_by_label("Scroll the screen down").is_none());
    choose(&mut stage, Scaling::Natural);
    wait(&mut stage, 3.0);
    let room = room(&stage);
    let before = place(room, GUEST, 1.0, Scaling::Natural, Vec2::ZERO);
    let middle = room.center();
    assert_eq!(arrives(&mut stage, middle), before.pixel(middle));
    let bar = stage.window.get_by_label("Scroll the screen down").rect();
    let (from, to) = (pos2(bar.center().x, bar.min.y + 10.0), pos2(bar.center().x, bar.max.y + 40.0));
    stage.window.drag_at(from);
    stage.settle();
    stage.window.hover_at(to);
    stage.settle();
    stage.window.drop_at(to);
    stage.settle();
    let asked = stage.asked();
    let pressed = |command: &Command| matches!(command, Command::Input(InputEvent::Pointer { buttons: 1, .. }));
    assert!(!asked.iter().any(pressed), "the bar is not the guest's: {asked:?}");
    let down = place(room, GUEST, 1.0, Scaling::Natural, vec2(0.0, before.over.y));
    assert_eq!(arrives(&mut stage, middle), down.pixel(middle));
    let bar = stage.window.get_by_label("Scroll the screen down");
    assert_eq!(bar.accesskit_node().numeric_value(), Some(100.0));
}

#[test]
fn a_display_that_cannot_follow_says_so_and_is_fitted() {
    let (mut stage, _display) = running(1.0);
    choose(&mut stage, Scaling::Follow);
    wait(&mut stage, 7.0);
    let words = "The guest's display cannot be asked for another size.";
    assert!(stage.window.query_by_label(words).is_some());
    wait(&mut stage, 7.0);
    assert!(stage.window.query_by_label(words).is_none(), "it does not cover the guest for ever");
    stage.window.get_by_label("How the screen is shown").click();
    stage.settle();
    assert!(stage.window.query_by_label(words).is_some(), "and is found in the menu");
}

#[test]
fn full_screen_has_a_bar_at_its_upper_edge() {
    let (mut stage, _display) = running(1.0);
    stage.window.key_press(Key::F11);
    stage.settle();
    assert!(stage.window.query_by_label("Leave full screen").is_none());
    stage.window.hover_at(pos2(500.0, 300.0));
    wait(&mut stage, 1.0);
    assert!(stage.window.query_by_label("Leave full screen").is_none());
    stage.window.hover_at(pos2(500.0, 0.0));
    wait(&mut stage, 0.5);
    assert!(stage.window.query_by_label("Send Ctrl-Alt-Del").is_some());
    stage.asked();
    stage.window.get_by_label("Send Ctrl-Alt-Del").click();
    stage.settle();
    let asked = stage.asked();
    assert!(matches!(asked[..], [Command::SendCombo(_)]), "the guest sees no click on the bar: {asked:?}");
    stage.window.hover_at(pos2(500.0, 400.0));
    wait(&mut stage, 2.0);
    assert!(stage.window.query_by_label("Leave full screen").is_none(), "it goes by itself");
    stage.window.hover_at(pos2(500.0, 1.0));
    wait(&mut stage, 0.5);
    stage.window.get_by_label("Leave full screen").click();
    stage.settle();
    assert!(stage.window.query_by_label("Build & Boot").is_some());
}

#[test]
fn sizes_as_pictures() {
    let mut results = SnapshotResults::new();
    for (name, scaling) in
        [("screen_natural", Scaling::Natural), ("screen_whole", Scaling::Whole), ("screen_stretch", Scaling::Stretch)]
    {
        let (mut stage, _display) = running(1.0);
        choose(&mut stage, scaling);
        wait(&mut stage, 4.0);
        results.add(stage.window.try_snapshot(name));
    }
    let (mut stage, _display) = running(1.0);
    stage.window.get_by_label("How the screen is shown").click();
    stage.settle();
    results.add(stage.window.try_snapshot("screen_menu"));
    let (mut stage, _display) = running(1.0);
    stage.window.key_press(Key::F11);
    stage.settle();
    stage.window.hover_at(pos2(500.0, 0.0));
    wait(&mut stage, 0.5);
    results.add(stage.window.try_snapshot("screen_full_bar"));
}
