//! Keys for the guest that no physical key gives it: held modifiers, combinations, typed text; and a guest that is only
//! looked at.

use cartridge::gui::release_key::ReleaseKey;
use cartridge::session::event::Since;
use cartridge::session::state::Goal;
use cartridge::session::way::Way;
use cartridge::session::{Command, Event};
use egui::{Key, Modifiers};
use egui_kittest::SnapshotResults;
use egui_kittest::kittest::{NodeT as _, Queryable as _};
use isoprep::{ChangeKind, SourceChange};
use vmtools::display::{GuestLayout, HostLocks, InputEvent, Layout};
use winit::keyboard::KeyCode;

use crate::display::Display;
use crate::stage::Stage;
use crate::story;

fn running() -> (Stage, Display) {
    let mut stage = Stage::new();
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

fn menu(stage: &mut Stage) {
    if !has(stage, "Hold Ctrl") {
        click(stage, "Send other keys");
    }
}

fn key(scancode: u16, down: bool) -> InputEvent {
    InputEvent::key(scancode, down)
}

/// The inputs among what was asked; nothing else may be among it.
fn inputs(stage: &mut Stage) -> Vec<InputEvent> {
    let only = |command| match command {
        Command::Input(event) => event,
        other => panic!("{other:?}"),
    };
    stage.asked().into_iter().map(only).collect()
}

#[test]
fn a_held_modifier_stays_down_until_it_is_let_go_or_the_focus_is_lost() {
    let (mut stage, _display) = running();
    menu(&mut stage);
    click(&mut stage, "Hold Ctrl");
    click(&mut stage, "Hold Super");
    assert_eq!(inputs(&mut stage), [key(0x1d, true), key(0xe05b, true)]);
    click(&mut stage, "Hold Super");
    assert_eq!(inputs(&mut stage), [key(0xe05b, false)]);
    assert!(has(&stage, "Ctrl held down in the guest"));
    stage.window.key_press(Key::Escape);
    stage.settle();
    // The mouse and the keyboard go to the guest, Ctrl stays down.
    click(&mut stage, "Guest screen");
    assert!(has(&stage, "Keyboard captured, Ctrl held — Ctrl+Alt releases"));
    assert!(inputs(&mut stage).iter().all(|event| matches!(event, InputEvent::Pointer { .. })));
    stage.window.input_mut().focused = false;
    stage.settle();
    assert_eq!(inputs(&mut stage), [InputEvent::ReleaseAll]);
    stage.window.input_mut().focused = true;
    stage.settle();
    assert!(has(&stage, "Click the screen to type into the guest"));

    // Also without the keyboard captured.
    menu(&mut stage);
    click(&mut stage, "Hold Alt");
    stage.asked();
    stage.window.input_mut().focused = false;
    stage.settle();
    assert!(inputs(&mut stage).contains(&InputEvent::ReleaseAll));
}

#[test]
fn a_focus_that_is_lost_while_keys_are_grabbed_releases_all_keys() {
    use cartridge::gui::keyboard::{Grip, Taken};
    struct Grab;
    impl Grip for Grab {
        fn watch(&self, _: u64) {}
        fn take(&self, _: u64) -> Taken {
            Taken::All
        }
        fn give(&self) {}
        fn locks(&self) -> HostLocks {
            HostLocks { num: Some(false), caps: Some(true), scroll: None }
        }
        fn follow_pointer(&self, _: bool) {}
    }
    let (mut stage, _display) = running();
    stage.keys.set_grip(Box::new(Grab));
    click(&mut stage, "Guest screen");
    assert!(stage.keys.captured() && stage.keys.grabbed());
    // The guest learns which lock keys are on as it gets the keyboard, before any key.
    let host = HostLocks { num: Some(false), caps: Some(true), scroll: None };
    let told = inputs(&mut stage).into_iter().filter(|event| !matches!(event, InputEvent::Pointer { .. }));
    assert_eq!(told.collect::<Vec<_>>(), [InputEvent::Locks(host)]);
    stage.keys.push(KeyCode::ControlLeft, true);
    stage.settle();
    stage.asked();
    // egui is not told: the grab is what says it.
    stage.keys.lose_focus();
    stage.settle();
    assert!(!stage.keys.captured() && !stage.keys.grabbed());
    assert_eq!(inputs(&mut stage), [InputEvent::ReleaseAll]);
}

#[test]
fn combinations_of_every_kind_are_sent() {
    let (mut stage, _display) = running();
    for (submenu, name, keys) in [
        (None, "Ctrl-Alt-F2", vec![0x1d, 0x38, 0x3c]),
        (None, "Ctrl-Alt-F12", vec![0x1d, 0x38, 0x58]),
        (None, "Alt-Tab", vec![0x38, 0x0f]),
        (None, "Super", vec![0xe05b]),
        (None, "Print", vec![0xe037]),
        (Some("Magic SysRq"), "s: sync all file systems", vec![0x38, 0xe037, 0x1f]),
    ] {
        menu(&mut stage);
        if let Some(submenu) = submenu {
            click(&mut stage, submenu);
        }
        click(&mut stage, name);
        let asked = stage.asked();
        assert!(matches!(&asked[..], [Command::SendCombo(sent)] if *sent == keys), "{name}: {asked:?}");
        stage.window.key_press(Key::Escape);
        stage.settle();
        stage.asked();
    }
}

#[test]
fn other_keys_give_the_keyboard_back_when_they_are_chosen() {
    let (mut stage, _display) = running();
    menu(&mut stage);
    click(&mut stage, "Give the keyboard back by");
    click(&mut stage, "Release: Right Ctrl");
    assert_eq!(stage.window.state().preferences.release, ReleaseKey::RightCtrl);
    stage.window.key_press(Key::Escape);
    stage.settle();
    click(&mut stage, "Guest screen");
    assert!(has(&stage, "Keyboard captured — Right Ctrl releases"));
    let press = |stage: &mut Stage, keys: &[(KeyCode, bool)]| {
        for (key, down) in keys {
            stage.keys.push(*key, *down);
        }
        stage.settle();
        stage.keys.captured()
    };
    use KeyCode::{AltLeft, ControlLeft, ControlRight};
    assert!(press(&mut stage, &[(ControlLeft, true), (AltLeft, true), (AltLeft, false), (ControlLeft, false)]));
    assert!(!press(&mut stage, &[(ControlRight, true), (ControlRight, false)]));
    assert_eq!(inputs(&mut stage).last(), Some(&InputEvent::ReleaseAll));
}

#[test]
fn any_keys_that_are_pressed_can_give_the_keyboard_back_and_none_of_them_reaches_the_guest() {
    let (mut stage, _display) = running();
    let learn = |stage: &mut Stage| {
        menu(stage);
        click(stage, "Give the keyboard back by");
        click(stage, "Keys that you press…");
        stage.window.key_press(Key::Escape);
        stage.settle();
        assert!(stage.keys.captured() && has(stage, WORDS));
        stage.asked();
    };
    let press = |stage: &mut Stage, keys: &[(KeyCode, bool)]| {
        for (key, down) in keys {
            stage.keys.push(*key, *down);
        }
        stage.settle();
        stage.keys.captured()
    };
    use KeyCode::{F12, KeyA, ShiftLeft};
    let chosen = [(ShiftLeft, true), (F12, true), (F12, false), (ShiftLeft, false)];
    learn(&mut stage);
    assert!(!press(&mut stage, &chosen));
    assert_eq!(inputs(&mut stage), [InputEvent::ReleaseAll]);
    assert!(has(&stage, "Left Shift+F12 gives the keyboard back from now on."));
    assert_eq!(stage.window.state().preferences.release.label(), "Left Shift+F12");
    // What a guest needs, a click and the loss of the focus leave it as it was.
    learn(&mut stage);
    assert!(!press(&mut stage, &[(KeyA, true), (KeyA, false)]));
    learn(&mut stage);
    click(&mut stage, "Guest screen");
    assert!(!stage.keys.captured());
    learn(&mut stage);
    stage.window.input_mut().focused = false;
    stage.settle();
    stage.window.input_mut().focused = true;
    stage.settle();
    assert!(!stage.keys.captured() && !has(&stage, WORDS));
    let key = |command: &Command| matches!(command, Command::Input(InputEvent::Key { .. }));
    assert!(!stage.asked().iter().any(key));
    click(&mut stage, "Guest screen");
    assert!(has(&stage, "Keyboard captured — Left Shift+F12 releases"));
    assert!(press(&mut stage, &[(F12, true), (F12, false)]));
    assert!(!press(&mut stage, &chosen));
}

/// What is said while keys are waited for.
const WORDS: &str = "Press the keys together that shall give the keyboard back. Escape or a click leaves it as it is.";

#[test]
fn typed_text_can_be_stopped_and_does_not_go_on_where_one_only_looks() {
    let (mut stage, _display) = running();
    assert!(!has(&stage, "Stop typing"));
    stage.tell(100, Event::TypingChanged { typing: true });
    stage.settle();
    click(&mut stage, "Stop typing");
    assert!(matches!(stage.asked()[..], [Command::StopTyping]));
    stage.tell(101, Event::TypingAdvanced { left_ms: 1_322_000 });
    stage.settle();
    assert!(has(&stage, "Typing, 23 min left; keys and pointer are not sent"));
    stage.window.get_by_label("Guest screen").click();
    stage.window.key_press(Key::A);
    stage.settle();
    assert!(stage.asked().is_empty() && stage.window.get_by_label("Send other keys").accesskit_node().is_disabled());
    stage.window.key_press_modifiers(Modifiers { shift: true, ..Modifiers::COMMAND }, Key::O);
    stage.settle();
    assert!(stage.asked().iter().any(|command| matches!(command, Command::StopTyping)));
    stage.tell(200, Event::TypingChanged { typing: false });
    stage.settle();
    assert!(!has(&stage, "Stop typing"));
}

#[test]
fn what_a_layout_cannot_type_is_named_before_anything_is_typed() {
    let (mut stage, _display) = running();
    click(&mut stage, "Type text");
    stage.window.get_by_label("Text to type").type_text("größe 5€ ł→");
    stage.settle();
    assert!(has(&stage, "This layout cannot type: öß€ł→"));
    click(&mut stage, "Layout: German");
    assert_eq!(stage.window.state().preferences.layout, Layout::De);
    assert!(has(&stage, "This layout cannot type: ł→") && has(&stage, "Type the rest"));
    assert!(stage.asked().is_empty());
    click(&mut stage, "Type the rest");
    let asked = stage.asked();
    let typed = |text: &str| text == "größe 5€ ł→";
    assert!(
        matches!(&asked[..], [Command::TypeText { text, layout: GuestLayout::BuiltIn(Layout::De) }] if typed(text)),
        "the session leaves out what has no key, and says so: {asked:?}"
    );
}

/// Settles until something is there that a thread reads.
fn until(stage: &mut Stage, name: &str) {
    let end = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while !has(stage, name) {
        assert!(std::time::Instant::now() < end, "waiting for {name:?}");
        std::thread::sleep(std::time::Duration::from_millis(20));
        stage.settle();
    }
}

#[test]
fn text_is_typed_on_any_layout_of_this_host() {
    let (mut stage, _display) = running();
    click(&mut stage, "Type text");
    stage.window.get_by_label("Text to type").type_text("å@");
    stage.settle();
    click(&mut stage, "Layout: Another one…");
    until(&mut stage, "Find a layout");
    stage.settle();
    stage.window.get_by_label("Find a layout").type_text("swedish");
    stage.settle();
    click(&mut stage, "Layout: Swedish  (se)");
    until(&mut stage, "Layout: Swedish");
    let chosen = stage.window.state().preferences.host_layout.clone().map(|it| it.name);
    assert_eq!(chosen.as_deref(), Some("se"));
    stage.asked();
    // It is read by and by: until then nothing can be typed.
    let end = std::time::Instant::now() + std::time::Duration::from_secs(60);
    let asked = loop {
        stage.settle();
        click(&mut stage, "Type");
        let asked = stage.asked();
        if !asked.is_empty() {
            break asked;
        }
        assert!(std::time::Instant::now() < end, "the layout is not read");
        std::thread::sleep(std::time::Duration::from_millis(20));
    };
    let [Command::TypeText { layout, .. }] = &asked[..] else { panic!("{asked:?}") };
    let strokes: Vec<_> = layout.strokes("å@").0.iter().map(|it| (it.scancode, it.alt_gr)).collect();
    assert_eq!((layout.label(), &strokes[..]), ("Swedish", &[(0x1a, false), (0x03, true)][..]));
    click(&mut stage, "Type text");
    click(&mut stage, "Layout: German");
    assert!(stage.window.state().preferences.host_layout.is_none());
}

#[test]
fn ctrl_enter_means_what_has_the_keyboard() {
    let enter = |stage: &mut Stage, modifiers| {
        stage.window.key_press_modifiers(modifiers, Key::Enter);
        stage.settle();
        stage.asked()
    };
    let shift = Modifiers { shift: true, ..Modifiers::COMMAND };
    // In the window it builds and boots.
    let (mut stage, _display) = running();
    let asked = enter(&mut stage, Modifiers::COMMAND);
    assert!(matches!(asked[..], [Command::Ask(Goal::Up)]), "{asked:?}");

    // In a field of a pop-up it types the text, and nothing is built or brought in behind it.
    let (mut stage, _display) = running();
    stage.tell(90_000, changed());
    stage.settle();
    click(&mut stage, "Type text");
    assert!(enter(&mut stage, Modifiers::COMMAND).is_empty(), "there is nothing to type");
    stage.window.get_by_label("Text to type").type_text("ls");
    stage.settle();
    let asked = enter(&mut stage, Modifiers::COMMAND);
    assert!(matches!(&asked[..], [Command::TypeText { text, .. }] if text == "ls"), "{asked:?}");
    assert!(!has(&stage, "Text to type"), "it is done");
    click(&mut stage, "Type text");
    let asked = enter(&mut stage, shift);
    assert!(asked.is_empty(), "nothing is brought in from here: {asked:?}");

    // A terminal has it for itself, but for what no shell knows.
    let (mut stage, _display) = running();
    stage.tell(90_000, changed());
    stage.settle();
    click(&mut stage, "Serial terminal");
    stage.asked();
    let asked = enter(&mut stage, Modifiers::COMMAND);
    assert!(!asked.iter().any(|it| !matches!(it, Command::SendSerial(_))), "{asked:?}");
    let asked = enter(&mut stage, shift);
    assert!(asked.iter().any(|it| matches!(it, Command::BringIn)), "{asked:?}");
}

fn changed() -> Event {
    let path = "installer".into();
    let changes = vec![SourceChange { path, kind: ChangeKind::Changed }];
    Event::SourceChanged { since: Since::Guest, total: 1, changes, way: Way::Layer }
}

#[test]
fn who_only_looks_sends_nothing() {
    let (mut stage, display) = running();
    click(&mut stage, "Guest screen");
    assert!(stage.keys.captured());
    stage.asked();
    stage.keys.capture(false);
    stage.settle();
    let keys = Modifiers { shift: true, ..Modifiers::COMMAND };
    stage.window.key_press_modifiers(keys, Key::O);
    stage.settle();
    stage.asked();
    assert!(has(&stage, "View only: keys and pointer are not sent"));
    click(&mut stage, "Guest screen");
    stage.keys.push(KeyCode::KeyA, true);
    stage.settle();
    assert!(!stage.keys.captured() && inputs(&mut stage).is_empty());
    click(&mut stage, "Send Ctrl-Alt-Del");
    assert!(stage.asked().is_empty());
    // What the guest paints is seen all the same.
    let before = stage.window.render().unwrap();
    display.paint(100, 100, 400, 300, [200, 30, 30]);
    stage.settle();
    assert_ne!(stage.window.render().unwrap(), before);
    stage.window.key_press(Key::F11);
    stage.settle();
    assert!(has(&stage, "View only"), "a badge where there is no bar");
    stage.window.key_press(Key::F11);
    stage.settle();
    click(&mut stage, "How the screen is shown");
    click(&mut stage, "View only");
    click(&mut stage, "Guest screen");
    assert!(stage.keys.captured());
}

#[test]
fn keys_as_pictures() {
    let mut results = SnapshotResults::new();
    let (mut stage, _display) = running();
    menu(&mut stage);
    click(&mut stage, "Hold Ctrl");
    results.add(stage.window.try_snapshot("screen_keys"));
    let (mut stage, _display) = running();
    click(&mut stage, "Type text");
    stage.window.get_by_label("Text to type").type_text("größe 5€");
    stage.settle();
    results.add(stage.window.try_snapshot("screen_type_text"));
    let (mut stage, _display) = running();
    stage.window.key_press_modifiers(Modifiers { shift: true, ..Modifiers::COMMAND }, Key::O);
    stage.settle();
    results.add(stage.window.try_snapshot("screen_view_only"));
    stage.window.key_press(Key::F11);
    stage.settle();
    results.add(stage.window.try_snapshot("screen_view_only_full"));
}
