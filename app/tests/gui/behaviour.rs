//! What the window does: found by accessible names, asserted by the commands that it sends.

use cartridge::session::event::{Failure, Level};
use cartridge::session::logs::Pane;
use cartridge::session::state::{EjectScope, Goal, Outcome};
use cartridge::session::{Command, Event};
use egui::{Key, Modifiers};
use egui_kittest::kittest::{NodeT as _, Queryable as _};
use vmtools::GuestStatus;
use vmtools::display::{CTRL_ALT_DEL, InputEvent};
use winit::keyboard::KeyCode;

use crate::stage::Stage;
use crate::story;

fn stage(story: impl Fn(&mut Stage)) -> Stage {
    let mut stage = Stage::new();
    story(&mut stage);
    stage.settle();
    stage.asked();
    stage
}

fn click(stage: &mut Stage, name: &str) {
    stage.window.get_by_label(name).click();
    stage.settle();
}

fn enabled(stage: &Stage, name: &str) -> bool {
    !stage.window.get_by_label(name).accesskit_node().is_disabled()
}

fn has(stage: &Stage, name: &str) -> bool {
    stage.window.query_by_label(name).is_some()
}

#[test]
fn the_window_opens_with_a_cartridge() {
    let mut stage = Stage::new();
    stage.settle();
    assert!(stage.asked().is_empty());
    story::opened(&mut stage);
    stage.settle();
    assert!(matches!(stage.asked()[..], [Command::InsertBuiltin, Command::Diagnose]));
    story::opened(&mut stage);
    stage.settle();
    assert!(stage.asked().is_empty(), "only once");
}

#[test]
fn the_buttons_ask_for_their_goals() {
    let mut stage = stage(story::inserted);
    assert!(!enabled(&stage, "Boot"), "there is no image yet");
    assert!(!has(&stage, "Cancel"));
    for (name, goal) in [("Build", Goal::Build), ("Build & Boot", Goal::Up)] {
        click(&mut stage, name);
        assert!(matches!(stage.asked()[..], [Command::Ask(asked)] if asked == goal), "{name}");
    }
    stage.tell(20, story::idle(Outcome::Built, true));
    stage.settle();
    click(&mut stage, "Boot");
    assert!(matches!(stage.asked()[..], [Command::Ask(Goal::Boot)]));
    click(&mut stage, "Eject");
    assert!(matches!(stage.asked()[..], [Command::Eject(EjectScope::Session)]));
}

#[test]
fn without_a_cartridge_nothing_can_be_built() {
    let stage = stage(story::opened);
    for name in ["Build", "Boot", "Build & Boot"] {
        assert!(!enabled(&stage, name), "{name}");
    }
    assert!(has(&stage, "State: Empty"));
}

#[test]
fn while_building_it_can_be_cancelled_and_nothing_else_started() {
    let mut stage = stage(story::building);
    assert!(has(&stage, "State: Building"));
    assert!(!enabled(&stage, "Build & Boot"));
    click(&mut stage, "Cancel");
    assert!(matches!(stage.asked()[..], [Command::Cancel]));
    stage.window.key_press(Key::Escape);
    stage.settle();
    assert!(matches!(stage.asked()[..], [Command::Cancel]));
}

#[test]
fn a_boot_that_is_made_ready_beside_the_guest_is_shown_and_can_be_cancelled() {
    let mut stage = Stage::new();
    let _display = story::running(&mut stage);
    stage.tell(90_000, Event::BootChecking);
    stage.settle();
    stage.asked();
    assert!(has(&stage, "State: Running") && has(&stage, "Progress: Making the next boot ready"));
    click(&mut stage, "Cancel");
    assert!(matches!(stage.asked()[..], [Command::Cancel]));
    stage.window.key_press(Key::Escape);
    stage.settle();
    assert!(matches!(stage.asked()[..], [Command::Cancel]));
    stage.tell(91_000, Event::BootChecked { dropped: true });
    stage.settle();
    assert!(!has(&stage, "Cancel") && !has(&stage, "Progress: Making the next boot ready"));
}

#[test]
fn every_shortcut_does_what_the_list_says() {
    let mut stage = stage(story::inserted);
    let shift = Modifiers { shift: true, ..Modifiers::COMMAND };
    let mut press = |modifiers, key| {
        stage.window.key_press_modifiers(modifiers, key);
        stage.settle();
        stage.asked()
    };
    assert!(matches!(press(Modifiers::COMMAND, Key::B)[..], [Command::Ask(Goal::Build)]));
    assert!(matches!(press(Modifiers::COMMAND, Key::Enter)[..], [Command::Ask(Goal::Up)]));
    assert!(matches!(press(shift, Key::B)[..], [Command::Ask(Goal::Boot)]));
    assert!(matches!(press(Modifiers::COMMAND, Key::E)[..], [Command::Eject(EjectScope::Session)]));
    assert!(matches!(press(Modifiers::COMMAND, Key::S)[..], [Command::Save]));
    for (key, pane) in
        [(Key::Num2, Pane::Serial), (Key::Num3, Pane::Qemu), (Key::Num4, Pane::Session), (Key::Num1, Pane::Build)]
    {
        stage.window.key_press_modifiers(Modifiers::COMMAND, key);
        stage.settle();
        assert_eq!(stage.window.state().logs.pane, pane);
    }
    stage.window.key_press_modifiers(shift, Key::L);
    stage.settle();
    assert!(!has(&stage, "Build log") && has(&stage, "Show logs"));
    stage.window.key_press_modifiers(Modifiers::COMMAND, Key::F);
    stage.settle();
    assert!(has(&stage, "Search text"), "searching brings the logs back");
    stage.window.key_press(Key::F1);
    stage.settle();
    assert!(has(&stage, "Keyboard shortcuts"));
    stage.window.key_press(Key::Escape);
    stage.settle();
    assert!(!has(&stage, "Keyboard shortcuts"));
    stage.window.key_press(Key::F11);
    stage.settle();
    assert!(!has(&stage, "Build") && !has(&stage, "Settings"), "full screen shows the guest only");
    assert!(has(&stage, "F11 leaves full screen."));
    stage.window.run_steps(20);
    assert!(!has(&stage, "F11 leaves full screen."), "the hint must not cover the guest for ever");
    stage.window.key_press(Key::F11);
    stage.settle();
    assert!(has(&stage, "Build"));
}

#[test]
fn a_field_is_set_after_enter_and_not_while_typing() {
    let mut stage = stage(story::inserted);
    let field = stage.window.get_by_role_and_label(egui::Role::TextInput, "Into");
    field.click();
    field.type_text("x");
    stage.window.step();
    assert!(stage.asked().is_empty(), "still typing");
    stage.window.key_press(Key::Enter);
    stage.settle();
    let asked = stage.asked();
    let [Command::SetField { key, value }] = &asked[..] else { panic!("{asked:?}") };
    assert_eq!((key.as_str(), value.ends_with('x')), ("source.into", true), "{value}");
}

#[test]
fn a_field_is_set_after_a_pause_and_the_answer_does_not_disturb_what_is_typed_since() {
    let mut stage = stage(story::inserted);
    let field = stage.window.get_by_role_and_label(egui::Role::TextInput, "Into");
    field.click();
    field.type_text("a");
    stage.window.run_steps(4);
    assert!(matches!(&stage.asked()[..], [Command::SetField { key, .. }] if key == "source.into"));
    stage.window.get_by_role_and_label(egui::Role::TextInput, "Into").type_text("b");
    stage.tell(30, Event::CartridgeChanged { cartridge: story::cartridge(true, false) });
    stage.window.run_steps(4);
    let asked = stage.asked();
    assert!(matches!(&asked[..], [Command::SetField { value, .. }] if value.ends_with("ab")), "{asked:?}");
}

#[test]
fn a_field_goes_back_to_its_default() {
    let mut stage = stage(story::inserted);
    click(&mut stage, "Reset Exclude");
    let asked = stage.asked();
    assert!(
        matches!(&asked[..], [Command::SetField { key, value }] if key == "source.exclude" && value.is_empty()),
        "{asked:?}"
    );
}

#[test]
fn choices_and_numbers_are_set_with_a_click() {
    let mut stage = stage(story::inserted);
    stage.window.get_by_label("Firmware: bios").scroll_to_me();
    stage.settle();
    click(&mut stage, "Firmware: bios");
    let asked = stage.asked();
    assert!(matches!(&asked[..], [Command::SetField { key, value }] if key == "guest.firmware" && value == "bios"));
    click(&mut stage, "Processors: more");
    let asked = stage.asked();
    assert!(
        matches!(&asked[..], [Command::SetField { key, value }] if key == "guest.cpus" && value == "5"),
        "{asked:?}"
    );
}

#[test]
fn changes_are_saved_and_reverted() {
    let mut stage = stage(|stage| {
        story::inserted(stage);
        stage.tell(20, Event::CartridgeChanged { cartridge: story::cartridge(true, false) });
    });
    assert!(has(&stage, "Cartridge: homerchy, not saved"));
    click(&mut stage, "Save");
    assert!(matches!(stage.asked()[..], [Command::Save]));
    click(&mut stage, "Revert");
    assert!(matches!(stage.asked()[..], [Command::Revert]));
}

#[test]
fn recent_cartridges_are_inserted_and_forgotten() {
    let mut stage = stage(story::opened);
    assert!(!enabled(&stage, "gone"), "its folder is gone");
    click(&mut stage, "tiny-arch");
    assert!(matches!(&stage.asked()[..], [Command::Insert(path)] if path.ends_with("tiny-arch")));
    click(&mut stage, "Forget gone");
    assert!(matches!(&stage.asked()[..], [Command::ForgetRecent(path)] if path.ends_with("gone")));
}

#[test]
fn ejecting_everything_shows_first_and_asks() {
    let mut stage = stage(story::inserted);
    click(&mut stage, "More ways to eject");
    click(&mut stage, "Eject everything…");
    assert!(matches!(stage.asked()[..], [Command::SurveyEverything]));
    assert!(!has(&stage, "Remove everything"), "not before it is known what");
    stage.tell(30, story::surveys());
    stage.settle();
    assert!(has(&stage, "18\u{2009}211 files"));
    click(&mut stage, "Keep everything");
    assert!(stage.asked().is_empty() && !has(&stage, "Eject everything"));
    click(&mut stage, "More ways to eject");
    click(&mut stage, "Eject everything…");
    stage.asked();
    click(&mut stage, "Remove everything");
    assert!(matches!(stage.asked()[..], [Command::Eject(EjectScope::Everything)]));
}

#[test]
fn the_guests_toolbar_sends_its_commands() {
    let mut stage = Stage::new();
    let _display = story::running(&mut stage);
    stage.settle();
    stage.asked();
    click(&mut stage, "Send Ctrl-Alt-Del");
    assert!(matches!(&stage.asked()[..], [Command::SendCombo(keys)] if keys == CTRL_ALT_DEL));
    click(&mut stage, "Screenshot");
    assert!(matches!(stage.asked()[..], [Command::Screenshot(None)]));
    stage.window.get_by_label("Copy the picture").click();
    let picture = |command: &egui::OutputCommand| matches!(command, egui::OutputCommand::CopyImage(image) if image.size == [1024, 768]);
    let copied = (0..4).any(|_| {
        stage.window.step();
        stage.window.output().platform_output.commands.iter().any(picture)
    });
    stage.settle();
    assert!(copied, "no picture in the clipboard");
    assert!(has(&stage, "The guest's screen is in the clipboard, as a picture"));
    assert!(stage.asked().is_empty());
    click(&mut stage, "Record");
    assert!(matches!(stage.asked()[..], [Command::StartRecording(None)]));
    stage.tell(20_000, Event::RecordingStarted { path: "/v/a.mp4".into() });
    stage.window.run_steps(4);
    stage.window.get_by_label("Stop recording").click();
    stage.window.run_steps(4);
    assert!(matches!(stage.asked()[..], [Command::StopRecording]));
    let files = vec!["/v/a.mp4".into()];
    stage.tell(20_000, Event::RecordingEnded { files, frames: 3, length_ms: 2000 });
    stage.settle();
    assert!(has(&stage, "Record") && has(&stage, "Recording saved: /v/a.mp4"));
    click(&mut stage, "Reset");
    assert!(matches!(stage.asked()[..], [Command::ResetGuest]));
    click(&mut stage, "Power");
    assert!(matches!(stage.asked()[..], [Command::PressPower]));
    click(&mut stage, "Type text");
    stage.window.get_by_label("Text to type").type_text("uname -a");
    stage.settle();
    click(&mut stage, "Type");
    let asked = stage.asked();
    assert!(matches!(&asked[..], [Command::TypeText { text, .. }] if text == "uname -a"), "{asked:?}");
}

#[test]
fn a_guest_that_was_reset_is_not_up_until_it_reports_again() {
    let mut stage = Stage::new();
    let _display = story::running(&mut stage);
    stage.settle();
    assert!(has(&stage, "State: Running") && has(&stage, "Tree matches"));
    let guest = stage.window.state().model.guest.clone().unwrap();
    for status in [GuestStatus::Rebooting, GuestStatus::Running] {
        stage.tell(20_000, Event::GuestChanged { status });
    }
    stage.settle();
    assert!(has(&stage, "State: Booting again") && has(&stage, "Not reported since its reset"));
    assert!(!has(&stage, "Tree matches"));
    stage.tell(30_000, Event::GuestReported { report: guest.report.unwrap(), matches: guest.matches });
    stage.settle();
    assert!(has(&stage, "State: Running") && has(&stage, "Tree matches"));
}

#[test]
fn a_click_gives_the_guest_the_keyboard_and_ctrl_alt_takes_it_back() {
    let mut stage = Stage::new();
    let _display = story::running(&mut stage);
    stage.settle();
    stage.asked();
    click(&mut stage, "Guest screen");
    assert!(stage.keys.captured());
    assert!(has(&stage, "Keyboard captured — Ctrl+Alt releases"));
    let asked = stage.asked();
    let pointers: Vec<_> = asked
        .iter()
        .map(|command| match command {
            Command::Input(InputEvent::Pointer { x, y, buttons }) => (*x, *y, *buttons),
            other => panic!("{other:?}"),
        })
        .collect();
    assert!(pointers.iter().any(|p| p.2 == 1) && pointers.last().is_some_and(|p| p.2 == 0), "{pointers:?}");
    // The middle of the panel is the middle of the guest's 1024 × 768.
    assert!(pointers.iter().all(|p| (506..=518).contains(&p.0) && (378..=390).contains(&p.1)), "{pointers:?}");

    // Physical keys go to the guest; the window's own shortcuts sleep.
    stage.keys.push(KeyCode::ControlLeft, true);
    stage.keys.push(KeyCode::KeyC, true);
    stage.window.key_press_modifiers(Modifiers::COMMAND, Key::B);
    stage.settle();
    let asked = stage.asked();
    let keys: Vec<_> = asked
        .iter()
        .map(|command| match command {
            Command::Input(InputEvent::Key { scancode, down, .. }) => (*scancode, *down),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(keys, [(0x1d, true), (0x2e, true)]);

    for (key, down) in [
        (KeyCode::KeyC, false),
        (KeyCode::ControlLeft, false),
        (KeyCode::ControlLeft, true),
        (KeyCode::AltLeft, true),
        (KeyCode::AltLeft, false),
    ] {
        stage.keys.push(key, down);
    }
    stage.settle();
    assert!(!stage.keys.captured());
    assert!(matches!(stage.asked().last(), Some(Command::Input(InputEvent::ReleaseAll))));
}

#[test]
fn losing_the_focus_or_the_guest_releases_all_keys() {
    let mut stage = Stage::new();
    let display = story::running(&mut stage);
    stage.settle();
    for lose in [0, 1, 2] {
        click(&mut stage, "Guest screen");
        assert!(stage.keys.captured());
        stage.asked();
        match lose {
            0 => stage.window.input_mut().focused = false,
            1 => stage.window.get_by_label("Serial log").click(),
            _ => display.go(),
        }
        stage.settle();
        stage.window.input_mut().focused = true;
        assert!(!stage.keys.captured(), "way {lose}");
        let asked = stage.asked();
        assert!(asked.iter().any(|c| matches!(c, Command::Input(InputEvent::ReleaseAll))), "way {lose}: {asked:?}");
    }
    assert!(has(&stage, "Guest screen, not live") && has(&stage, "No signal: this is the last picture"));
}

#[test]
fn what_the_guest_paints_is_seen_and_not_live_is_dimmed() {
    let mut stage = Stage::new();
    let display = story::running(&mut stage);
    stage.settle();
    let count = |stage: &mut Stage, rgb: [u8; 3]| {
        let picture = stage.window.render().unwrap();
        picture.pixels().filter(|pixel| pixel.0[..3] == rgb).count()
    };
    assert_eq!(count(&mut stage, [255, 0, 255]), 0);
    display.paint(100, 200, 320, 160, [255, 0, 255]);
    stage.window.step();
    assert!(count(&mut stage, [255, 0, 255]) > 5000);
    display.go();
    stage.settle();
    assert_eq!(count(&mut stage, [255, 0, 255]), 0, "a stale picture must not look like a live one");
}

#[test]
fn the_guests_own_pointer_is_drawn_instead_of_the_hosts() {
    let mut stage = Stage::new();
    let display = story::running(&mut stage);
    stage.settle();
    let middle = stage.window.get_by_label("Guest screen").rect().center();
    let shown = |stage: &mut Stage| {
        stage.window.hover_at(middle);
        stage.window.step();
        stage.window.step();
        stage.window.output().platform_output.cursor_icon
    };
    assert_ne!(shown(&mut stage), egui::CursorIcon::None);
    display.set_cursor();
    assert_eq!(shown(&mut stage), egui::CursorIcon::None);
}

#[test]
fn a_still_guest_costs_no_frames() {
    let mut stage = Stage::new();
    let _display = story::running(&mut stage);
    stage.settle();
    stage.window.run_steps(3);
    let delay = stage.window.output().viewport_output[&egui::ViewportId::ROOT].repaint_delay;
    assert_eq!(delay, std::time::Duration::MAX);
}

#[test]
fn typing_into_the_terminal_goes_to_the_serial_line() {
    let mut stage = Stage::new();
    let _display = story::running(&mut stage);
    stage.settle();
    assert_eq!(stage.window.state().logs.pane, Pane::Serial, "a boot brings the serial line to the front");
    click(&mut stage, "Serial terminal");
    stage.asked();
    stage.window.event(egui::Event::Text("l".to_owned()));
    stage.window.key_press_modifiers(Modifiers::CTRL, Key::E);
    stage.window.key_press(Key::Tab);
    stage.window.key_press(Key::Enter);
    stage.window.event(egui::Event::Copy);
    stage.settle();
    let typed: Vec<u8> = stage
        .asked()
        .into_iter()
        .flat_map(|command| match command {
            Command::SendSerial(bytes) => bytes,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(typed, b"l\x05\t\r\x03", "Ctrl+E is the shell's here, not Eject");
}

#[test]
fn states_of_guests_are_said() {
    for (status, word) in [
        (GuestStatus::PoweredOff, "State: Powered off"),
        (GuestStatus::Panicked, "State: Panicked"),
        (GuestStatus::Crashed { how: "signal 6".to_owned() }, "State: Crashed"),
    ] {
        let mut stage = Stage::new();
        let _display = story::ended(&mut stage, status);
        stage.settle();
        assert!(has(&stage, word), "{word}");
        assert!(has(&stage, "Guest screen, not live"));
        assert!(!enabled(&stage, "Send Ctrl-Alt-Del"));
    }
}

#[test]
fn a_failure_shows_its_log_and_copies_its_command() {
    let mut stage = stage(story::failed);
    assert_eq!(stage.window.state().logs.pane, Pane::Build);
    click(&mut stage, "Session log");
    click(&mut stage, "Show log");
    assert_eq!(stage.window.state().logs.pane, Pane::Build);
    stage.window.get_by_label("Copy command").click();
    stage.window.step();
    let copied: Vec<_> = stage
        .window
        .output()
        .platform_output
        .commands
        .iter()
        .filter_map(|command| match command {
            egui::OutputCommand::CopyText(text) => Some(text.clone()),
            _ => None,
        })
        .collect();
    assert!(matches!(&copied[..], [text] if text.starts_with("xorriso -as mkisofs")), "{copied:?}");
}

#[test]
fn notices_are_shown_and_go() {
    let mut stage = stage(story::inserted);
    stage.tell(20, Event::Noticed { level: Level::Warning, text: "the guest gets 4 processors".to_owned() });
    stage.settle();
    assert!(has(&stage, "The guest gets 4 processors"));
    click(&mut stage, "Close this notice");
    assert!(!has(&stage, "The guest gets 4 processors"));
    stage.tell(21, Event::Noticed { level: Level::Info, text: "again".to_owned() });
    stage.settle();
    stage.window.run_steps(40);
    assert!(!has(&stage, "Again"), "it goes by itself");
}

#[test]
fn a_session_that_dies_is_said() {
    let mut stage = Stage::new();
    story::building(&mut stage);
    stage.settle();
    let mut window = stage.hang_up();
    window.run();
    assert!(window.query_by_label("The session has ended. Close the window and start again.").is_some());
}

#[test]
fn a_new_failure_without_a_log_leaves_the_log_in_front() {
    let mut stage = stage(story::inserted);
    let failure =
        Failure { title: "x".to_owned(), detail: String::new(), advice: None, command: None, pane: None, exit_code: 1 };
    stage.tell(20, Event::Failed { failure });
    stage.settle();
    assert_eq!(stage.window.state().logs.pane, Pane::Session);
}

#[test]
fn a_repository_is_opened_by_its_typed_path_where_the_desktop_has_no_chooser() {
    let mut stage = stage(|_| {});
    click(&mut stage, "Open a repository…");
    stage.window.get_by_label("Path of the repository").type_text("/srv/distro");
    stage.settle();
    click(&mut stage, "Insert");
    let asked = stage.asked();
    assert!(asked.iter().any(|c| matches!(c, Command::Insert(p) if p.to_str() == Some("/srv/distro"))), "{asked:?}");
}

#[test]
fn a_recordings_file_is_typed_where_there_is_no_chooser() {
    let mut stage = Stage::new();
    let _display = story::running(&mut stage);
    stage.chooser.store(false, std::sync::atomic::Ordering::Release);
    stage.settle();
    stage.asked();
    let recorded = |stage: &mut Stage, typed: &str| {
        stage.window.get_by_label("Record to a file").click();
        stage.settle();
        stage.window.key_press_modifiers(Modifiers::COMMAND, Key::A);
        stage.window.event(egui::Event::Text(typed.to_owned()));
        stage.settle();
        stage.window.key_press(Key::Enter);
        stage.settle();
        assert!(stage.window.query_by_label("File to record to").is_none(), "the dialog is gone");
        stage.asked()
    };
    for (typed, file) in [("/v/a b.mp4", "/v/a b.mp4"), ("/v/guest", "/v/guest.mp4"), ("/v/x.mkv", "/v/x.mkv")] {
        let asked = recorded(&mut stage, typed);
        let starts = |path: &std::path::Path| path == std::path::Path::new(file);
        assert!(matches!(&asked[..], [Command::StartRecording(Some(path))] if starts(path)), "{asked:?}");
    }
    // A name is proposed, in the home.
    stage.window.get_by_label("Record to a file").click();
    stage.settle();
    stage.window.get_by_label("Start recording").click();
    stage.settle();
    let asked = stage.asked();
    let named = |path: &std::path::Path| path.to_string_lossy().contains("/Cartridge 2") && path.extension().is_some();
    assert!(matches!(&asked[..], [Command::StartRecording(Some(path))] if named(path)), "{asked:?}");
}
