//! The guest's clipboard and the desktop's: what passes at a press, what passes by itself, and the bell.

use cartridge::session::Event;
use egui_kittest::SnapshotResults;
use egui_kittest::kittest::Queryable as _;
use vmtools::GuestStatus;

use crate::display::Display;
use crate::stage::Stage;
use crate::story;

/// A guest that has a clipboard, or none.
fn running(clipboard: bool) -> (Stage, Display) {
    let mut stage = Stage::new();
    let display = story::running(&mut stage);
    if clipboard {
        let command = "qemu-system-x86_64 -chardev qemu-vdagent,id=clipboard".to_owned();
        stage.tell(20_000, Event::GuestStarted { pid: 4713, command, mute: None });
        stage.tell(20_001, Event::GuestChanged { status: GuestStatus::Running });
    }
    stage.settle();
    stage.asked();
    (stage, display)
}

fn click(stage: &mut Stage, name: &str) {
    stage.window.get_by_label(name).click();
    // Two frames: later ones have no output any more.
    stage.window.step();
    stage.window.step();
}

fn has(stage: &Stage, name: &str) -> bool {
    stage.window.query_by_label(name).is_some()
}

fn copied(stage: &Stage) -> Vec<String> {
    let commands = &stage.window.output().platform_output.commands;
    let text = |command: &egui::OutputCommand| match command {
        egui::OutputCommand::CopyText(text) => Some(text.clone()),
        _ => None,
    };
    commands.iter().filter_map(text).collect()
}

/// Frames until something is on the desktop's clipboard, at most a few.
fn taken(stage: &mut Stage) -> Vec<String> {
    for _ in 0..5 {
        stage.window.step();
        let copied = copied(stage);
        if !copied.is_empty() {
            return copied;
        }
    }
    Vec::new()
}

#[test]
fn the_desktops_text_goes_to_the_guest_at_a_press_alone() {
    let (mut stage, display) = running(true);
    // Somebody pastes into the window, and the guest has the keyboard: it gets nothing of it.
    click(&mut stage, "Guest screen");
    stage.window.input_mut().events.push(egui::Event::Paste("a secret".to_owned()));
    stage.settle();
    assert_eq!(display.cuts(), Vec::<Vec<u8>>::new());
    click(&mut stage, "Type text");
    click(&mut stage, "Paste into guest");
    stage.window.input_mut().events.push(egui::Event::Paste("for the guest".to_owned()));
    stage.window.step();
    assert_eq!(display.wait_for_cut(), b"for the guest");
    assert!(has(&stage, "The guest has the clipboard's text: paste it there."));
    // Once: what is pasted later is none of the guest's.
    stage.window.input_mut().events.push(egui::Event::Paste("another secret".to_owned()));
    stage.settle();
    std::thread::sleep(std::time::Duration::from_millis(200));
    assert_eq!(display.cuts().len(), 1);
    // Too long: said, and not sent.
    click(&mut stage, "Type text");
    click(&mut stage, "Paste into guest");
    stage.window.input_mut().events.push(egui::Event::Paste("x".repeat(vmtools::display::CLIPBOARD_LIMIT + 1)));
    stage.window.step();
    stage.window.step();
    assert!(stage.window.query_by_label_contains("The clipboard holds a text of 1048577 bytes").is_some());
    assert_eq!(display.cuts().len(), 1);
}

#[test]
fn what_the_guest_copies_is_taken_at_a_press_or_by_itself_while_it_has_the_keyboard() {
    let (mut stage, display) = running(true);
    display.copy("from the guest");
    assert_eq!(taken(&mut stage), Vec::<String>::new(), "not by itself");
    click(&mut stage, "Type text");
    stage.window.get_by_label("Copy from guest").click();
    assert_eq!(taken(&mut stage), ["from the guest"]);
    click(&mut stage, "Type text");
    click(&mut stage, "Copy by itself while the guest has the keyboard");
    stage.settle();
    assert!(stage.window.state().preferences.copy_by_itself);
    click(&mut stage, "Type text");
    display.copy("nobody types into it");
    assert_eq!(taken(&mut stage), Vec::<String>::new());
    click(&mut stage, "Guest screen");
    assert!(stage.keys.captured());
    assert_eq!(taken(&mut stage), Vec::<String>::new(), "not what was copied before");
    display.copy("while it has the keyboard");
    assert_eq!(taken(&mut stage), ["while it has the keyboard"]);
}

#[test]
fn a_guest_without_a_clipboard_is_said_to_have_none() {
    let (mut stage, _display) = running(false);
    click(&mut stage, "Type text");
    assert!(!has(&stage, "Paste into guest"));
    assert!(stage.window.query_by_label_contains("This guest has none").is_some());
}

#[test]
fn clipboards_and_the_bell_as_pictures() {
    let mut results = SnapshotResults::new();
    let (mut stage, display) = running(true);
    click(&mut stage, "Type text");
    stage.settle();
    results.add(stage.window.try_snapshot("screen_clipboard"));
    click(&mut stage, "Type text");
    stage.settle();
    let before = stage.window.render().unwrap();
    display.ring();
    stage.window.step();
    let flash = stage.window.render().unwrap();
    assert_ne!(flash, before);
    results.add(stage.window.try_snapshot("screen_bell"));
    stage.settle();
    assert_eq!(stage.window.render().unwrap(), before, "the frame is gone again");
}
