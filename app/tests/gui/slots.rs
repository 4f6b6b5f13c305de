//! The panel of slots: what is said of each, what its buttons and keys ask for, and what keeps them from it.

use std::path::Path;

use cartridge::gui::panels::Panel;
use cartridge::session::event::{Failure, Side, SlotView};
use cartridge::session::{Command, Event};
use egui::{Key, Modifiers};
use egui_kittest::kittest::{NodeT as _, Queryable as _};
use vmtools::slot::Mismatch;

use crate::display::Display;
use crate::pictures::picture;
use crate::stage::Stage;
use crate::story;

/// Ten days after the session's clock began: the ages of slots need room.
const NOW_MS: u64 = 864_000_000;

fn mismatch(what: &str, says: &str, fatal: bool) -> Mismatch {
    Mismatch { what: what.into(), says: says.into(), fatal }
}

/// A picture as a guest's screen has one: lines of text on black, or a desktop of one colour.
fn draw(file: &Path, (width, height): (u32, u32), desktop: Option<[u8; 3]>) {
    let mut picture = image::RgbImage::new(width, height);
    for (x, y, pixel) in picture.enumerate_pixels_mut() {
        let text = y % 24 < 12 && y < height * 2 / 3 && x > 12 && x < 40 + (y * 37) % (width * 2 / 3) && x % 12 < 9;
        let window = x > width / 4 && x < width * 3 / 4 && y > height / 4 && y < height * 3 / 4;
        *pixel = image::Rgb(match (desktop, text, window) {
            (Some(_), _, true) => [236, 238, 242],
            (Some(colour), _, false) => colour,
            (None, true, _) => [170, 176, 180],
            (None, false, _) => [0, 0, 0],
        });
    }
    picture.save(file).unwrap();
}

/// Slots of all kinds; their pictures lie in `dir`.
pub fn slots(dir: &Path) -> Vec<SlotView> {
    draw(&dir.join("submit.png"), (1280, 800), Some([38, 70, 120]));
    draw(&dir.join("shell.png"), (1024, 768), None);
    draw(&dir.join("disk.png"), (1920, 1080), Some([112, 52, 84]));
    let slot = |name: &str, age_s: u64, mib: u64, picture: Option<&str>| SlotView {
        name: name.into(),
        dir: dir.join(name),
        made: NOW_MS / 1000 - age_s,
        bytes: mib << 20,
        picture: picture.map(|file| dir.join(file)),
        depends: "QEMU 7.2.22 (tcg, max), image /home/you/.cache/cartridge/images/homerchy/homerchy.iso".into(),
        differs: Some(Vec::new()),
        ..SlotView::default()
    };
    let tree =
        "the repository has changed since: the guest has the files that it had then, until a new layer is plugged in";
    let image = "the image /home/you/.cache/cartridge/images/homerchy/homerchy.iso has been made anew since: the guest has \
                 the old one";
    vec![
        SlotView { same_tree: Some(true), ..slot("just before Submit", 260, 734, Some("submit.png")) },
        SlotView {
            differs: Some(vec![mismatch("repository", tree, false), mismatch("image", image, false)]),
            same_tree: Some(false),
            ..slot("shell", 11_000, 312, Some("shell.png"))
        },
        SlotView {
            differs: Some(vec![mismatch("QEMU", "QEMU was 7.2.22, and is 8.0.1 now", true)]),
            ..slot("the disk is partitioned", 100_000, 801, Some("disk.png"))
        },
        SlotView {
            problem: Some("its memory is not what was written".into()),
            differs: None,
            ..slot("first try", 700_000, 96, None)
        },
    ]
}

/// A guest runs, and there are slots; their pictures are read.
fn saved(stage: &mut Stage, dir: &Path) -> Display {
    let display = story::running(stage);
    stage.tell(NOW_MS, Event::SlotsChanged { slots: slots(dir) });
    open(stage);
    display
}

fn open(stage: &mut Stage) {
    // A boot brings its log to the front.
    stage.settle();
    stage.window.state_mut().panels.front = Some(Panel::Slots);
    stage.settle();
    stage.asked();
}

/// Waits until the picture of a slot was read.
fn read(stage: &mut Stage, slot: &str) {
    let name = format!("Picture of {slot}");
    for _ in 0..1000 {
        stage.window.step();
        if stage.window.query_by_label(&name).is_some() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    panic!("{name:?} never came");
}

fn click(stage: &mut Stage, name: &str) {
    stage.window.get_by_label(name).click();
    stage.settle();
}

fn has(stage: &Stage, name: &str) -> bool {
    stage.window.query_by_label(name).is_some()
}

fn enabled(stage: &Stage, name: &str) -> bool {
    !stage.window.get_by_label(name).accesskit_node().is_disabled()
}

fn press(stage: &mut Stage, key: Key) {
    stage.window.key_press(key);
    stage.settle();
}

fn name(stage: &mut Stage, text: &str) {
    let field = stage.window.get_by_role_and_label(egui::Role::TextInput, "Name of the slot");
    field.click();
    field.type_text(text);
    stage.settle();
}

#[test]
fn slots_are_asked_for_when_a_cartridge_is_inserted_and_when_the_tab_opens() {
    let mut stage = Stage::new();
    story::inserted(&mut stage);
    stage.settle();
    assert!(stage.asked().iter().any(|it| matches!(it, Command::ListSlots)));
    stage.tell(20, Event::CartridgeChanged { cartridge: story::cartridge(true, false) });
    stage.settle();
    assert!(stage.asked().is_empty(), "an edit alone makes no other slots");
    stage.window.key_press_modifiers(Modifiers::COMMAND, Key::Num8);
    stage.settle();
    assert_eq!(stage.window.state().panels.front, Some(Panel::Slots));
    assert!(matches!(stage.asked()[..], [Command::ListSlots]));
    assert!(has(&stage, "Looking at what there is…"));
    stage.tell(21, Event::CartridgeChanged { cartridge: story::cartridge(true, false) });
    stage.settle();
    assert!(matches!(stage.asked()[..], [Command::ListSlots]), "how they fit may be another");
    stage.tell(22, Event::CartridgeChanged { cartridge: story::cartridge(true, true) });
    stage.settle();
    assert!(has(&stage, "The cartridge has to be corrected first.") && stage.asked().is_empty());
}

#[test]
fn each_card_says_what_a_slot_is_and_how_it_fits() {
    let dir = tempfile::tempdir().unwrap();
    let mut stage = Stage::new();
    let _display = saved(&mut stage, dir.path());
    for card in [
        "Slot just before Submit, 4 min ago · 734.0 MiB. Same tree as the repository now",
        "Slot shell, 3 h ago · 312.0 MiB. Another tree than the repository now, another image",
    ] {
        assert!(has(&stage, card), "{card}");
    }
    assert!(has(&stage, "4 slots · 1.90 GiB"));
    read(&mut stage, "just before Submit");
    assert!(stage.window.state().panels.slots.laid_out().0 < 4, "only what is in sight");
    stage.window.state_mut().preferences.tall = true;
    stage.settle();
    let not = "Slot the disk is partitioned, yesterday · 801.0 MiB. Cannot be restored now: QEMU was 7.2.22, and is 8.0.1 now";
    assert!(has(&stage, not));
    assert!(!enabled(&stage, "Restore the disk is partitioned") && !enabled(&stage, "Restore first try"));
    assert!(has(&stage, "No picture of first try") && enabled(&stage, "Remove first try"));
}

#[test]
fn a_guest_is_saved_by_a_name_and_saving_can_be_stopped() {
    let dir = tempfile::tempdir().unwrap();
    let mut stage = Stage::new();
    let _display = saved(&mut stage, dir.path());
    assert!(!enabled(&stage, "Save"), "it has no name yet");
    name(&mut stage, " before the licence ");
    assert!(enabled(&stage, "Save") && stage.asked().is_empty());
    press(&mut stage, Key::Enter);
    let asked = stage.asked();
    assert!(matches!(&asked[..], [Command::SaveSlot { name }] if name == "before the licence"), "{asked:?}");
    stage.tell(NOW_MS + 10, Event::SlotSaving { name: "before the licence".into() });
    stage.tell(NOW_MS + 20, Event::SlotAdvanced { done: 300 << 20, total: 700 << 20 });
    stage.settle();
    assert!(has(&stage, "Progress: Saving before the licence") && has(&stage, "300.0 MiB of 700.0 MiB"));
    assert!(!has(&stage, "Save"));
    click(&mut stage, "Cancel saving");
    assert!(matches!(stage.asked()[..], [Command::CancelSlot]));
    let failure = Failure {
        title: "The guest could not be saved".into(),
        detail: "saving was cancelled; the guest goes on, and no slot was changed".into(),
        advice: None,
        command: None,
        pane: None,
        exit_code: 6,
    };
    stage.tell(NOW_MS + 30, Event::SideFailed { side: Side::Slot, failure });
    stage.settle();
    assert!(has(&stage, "The guest could not be saved") && has(&stage, "Save"));
    assert!(stage.window.query_by_label_contains("could not be saved: ").is_none(), "no notice besides");

    // One of that name is replaced, which the button says.
    name(&mut stage, "shell");
    click(&mut stage, "Replace");
    assert!(matches!(&stage.asked()[..], [Command::SaveSlot { name }] if name == "shell"));
    name(&mut stage, &"x".repeat(81));
    assert!(!enabled(&stage, "Save") && has(&stage, "This name is too long for a slot: use at most 80 bytes."));
}

#[test]
fn without_a_guest_nothing_can_be_saved_and_that_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let mut stage = Stage::new();
    story::inserted(&mut stage);
    stage.tell(NOW_MS, Event::SlotsChanged { slots: slots(dir.path()) });
    open(&mut stage);
    name(&mut stage, "x");
    assert!(!enabled(&stage, "Save") && has(&stage, "No guest is running."));
    press(&mut stage, Key::Enter);
    assert!(stage.asked().is_empty());
    click(&mut stage, "Restore just before Submit");
    let asked = stage.asked();
    assert!(
        matches!(&asked[..], [Command::RestoreSlot { name, anyway: false }] if name == "just before Submit"),
        "{asked:?}"
    );
    story::building(&mut stage);
    stage.settle();
    stage.window.state_mut().panels.front = Some(Panel::Slots);
    stage.settle();
    stage.asked();
    assert!(!enabled(&stage, "Restore just before Submit"), "a build is under way");
}

#[test]
fn what_has_changed_since_is_said_before_a_slot_is_restored() {
    let dir = tempfile::tempdir().unwrap();
    let mut stage = Stage::new();
    let _display = saved(&mut stage, dir.path());
    click(&mut stage, "Restore shell");
    assert!(stage.asked().is_empty() && has(&stage, "Restore on other inputs?"));
    assert!(stage.window.query_by_label_contains("The repository has changed since").is_some());
    click(&mut stage, "Not now");
    assert!(stage.asked().is_empty() && !has(&stage, "Restore anyway"));
    click(&mut stage, "Restore shell");
    press(&mut stage, Key::Enter);
    let asked = stage.asked();
    assert!(matches!(&asked[..], [Command::RestoreSlot { name, anyway: true }] if name == "shell"), "{asked:?}");
    assert!(!has(&stage, "Restore anyway"));
}

#[test]
fn the_keyboard_goes_through_the_slots_restores_and_removes() {
    let dir = tempfile::tempdir().unwrap();
    let mut stage = Stage::new();
    let _display = saved(&mut stage, dir.path());
    stage.window.get_by_label("Slots").focus();
    stage.settle();
    press(&mut stage, Key::Enter);
    assert!(matches!(&stage.asked()[..], [Command::RestoreSlot { name, .. }] if name == "just before Submit"));
    press(&mut stage, Key::ArrowDown);
    press(&mut stage, Key::Delete);
    assert!(stage.asked().is_empty() && has(&stage, "Remove the slot?"));
    press(&mut stage, Key::Enter);
    assert!(stage.asked().is_empty() && !has(&stage, "Remove the slot?"), "the keyboard begins at what is harmless");
    stage.window.get_by_label("Slots").focus();
    stage.settle();
    press(&mut stage, Key::Delete);
    click(&mut stage, "Remove the slot");
    assert!(matches!(&stage.asked()[..], [Command::RemoveSlot { name }] if name == "shell"));
    stage.window.get_by_label("Slots").focus();
    press(&mut stage, Key::End);
    assert!(has(&stage, "Restore first try"), "it came into sight");
    press(&mut stage, Key::Enter);
    assert!(stage.asked().is_empty(), "it cannot be restored");
    press(&mut stage, Key::Home);
    assert!(has(&stage, "Restore just before Submit"));
}

/// The cartridge with these fields set.
fn set(stage: &mut Stage, fields: &[(&str, &str)]) {
    let mut cartridge = story::cartridge(false, false);
    for (key, value) in fields {
        let field = cartridge.fields.iter_mut().find(|field| field.key == *key).unwrap();
        field.value = (*value).to_owned();
    }
    stage.tell(NOW_MS + 3, Event::CartridgeChanged { cartridge });
    stage.settle();
    stage.asked();
}

/// The cartridge whose tests start from a slot, and have steps.
fn tests_from(stage: &mut Stage, slot: &str) {
    set(stage, &[("test.slot", slot), ("test.steps", "serial ./check.sh, expect all good")]);
}

#[test]
fn a_guest_from_a_slot_is_marked_warm() {
    let dir = tempfile::tempdir().unwrap();
    let mut stage = Stage::new();
    let _display = saved(&mut stage, dir.path());
    assert!(!has(&stage, "Warm: from the slot shell"));
    stage.tell(NOW_MS + 5, Event::SlotRestored { name: "shell".into(), took_ms: 900 });
    stage.settle();
    assert!(has(&stage, "Warm: from the slot shell"));
}

#[test]
fn tests_start_from_the_slot_that_was_chosen() {
    let dir = tempfile::tempdir().unwrap();
    let mut stage = Stage::new();
    let _display = saved(&mut stage, dir.path());
    set(&mut stage, &[("test.steps", "expect all good")]);
    assert!(!enabled(&stage, "Run") && !enabled(&stage, "Live tests") && enabled(&stage, "Prove"), "no slot is named");
    click(&mut stage, "Use just before Submit for tests");
    let asked = stage.asked();
    let [Command::SetField { key, value }] = &asked[..] else { panic!("{asked:?}") };
    assert_eq!((key.as_str(), value.as_str()), ("test.slot", "just before Submit"));
    tests_from(&mut stage, "just before Submit");
    click(&mut stage, "Run");
    assert!(matches!(stage.asked()[..], [Command::RunTest { warm: true }]));
    stage.window.key_press_modifiers(Modifiers::COMMAND, Key::R);
    stage.settle();
    assert!(matches!(stage.asked()[..], [Command::RunTest { warm: true }]));
    click(&mut stage, "Prove");
    assert!(matches!(stage.asked()[..], [Command::RunTest { warm: false }]));
    click(&mut stage, "Live tests");
    assert!(matches!(stage.asked()[..], [Command::SetLive(true)]));
    stage.tell(NOW_MS + 4, Event::LiveChanged { live: true });
    stage.settle();
    click(&mut stage, "Live tests");
    assert!(matches!(stage.asked()[..], [Command::SetLive(false)]));
    click(&mut stage, "Do not use just before Submit for tests");
    assert!(matches!(&stage.asked()[..], [Command::SetField { value, .. }] if value.is_empty()));
}

#[test]
fn without_steps_there_is_nothing_to_test_and_the_buttons_say_what_to_write() {
    let dir = tempfile::tempdir().unwrap();
    let mut stage = Stage::new();
    let _display = saved(&mut stage, dir.path());
    set(&mut stage, &[("test.slot", "shell")]);
    for name in ["Run", "Live tests", "Prove"] {
        assert!(!enabled(&stage, name), "{name}");
        stage.window.get_by_label(name).hover();
        for _ in 0..90 {
            stage.window.step();
        }
        let said = stage.window.query_all_by_label_contains("nothing to test: write steps below [test]").count();
        assert_eq!(said, 1, "{name}");
    }
    // What comes before the slot's moment is tried by a cold test.
    set(&mut stage, &[("test.slot", "shell"), ("test.before", "expect login:")]);
    assert!(!enabled(&stage, "Run") && enabled(&stage, "Prove"));
}

fn ended(warm: bool, why: Option<&str>) -> Event {
    let why = why.map(str::to_owned);
    Event::TestEnded { warm, passed: why.is_none(), ready_ms: Some(1200), took_ms: 3050, why }
}

#[test]
fn a_test_says_its_step_and_how_it_went() {
    let dir = tempfile::tempdir().unwrap();
    let mut stage = Stage::new();
    let _display = saved(&mut stage, dir.path());
    tests_from(&mut stage, "shell");
    stage.tell(NOW_MS + 5, Event::TestBegan { warm: true, slot: Some("shell".into()) });
    stage.tell(NOW_MS + 6, Event::TestStepped { number: 2, total: 5, step: "type hello".into() });
    stage.settle();
    assert!(has(&stage, "warm") && has(&stage, "Step 2 of 5: type hello") && !has(&stage, "Run"));
    click(&mut stage, "Stop");
    assert!(matches!(stage.asked()[..], [Command::Cancel]));
    stage.tell(NOW_MS + 7, ended(true, None));
    stage.settle();
    assert!(
        stage.window.query_all_by_label_contains("Test passed, warm: the guest was ready after 1.20 s").count() >= 1
    );
    assert!(has(&stage, "Run"));
    stage.tell(NOW_MS + 8, Event::TestBegan { warm: false, slot: None });
    stage.tell(NOW_MS + 9, ended(false, None));
    stage.settle();
    assert!(has(&stage, "proven") && !has(&stage, "warm"));
}

#[test]
fn slots_and_a_test_that_failed() {
    picture_of_slots("slots_test", &["dark", "light"], |stage| {
        stage.tell(NOW_MS + 2, Event::SlotRestored { name: "just before Submit".into(), took_ms: 900 });
        tests_from(stage, "just before Submit");
        stage.tell(NOW_MS + 4, Event::LiveChanged { live: true });
        stage.tell(NOW_MS + 5, Event::TestBegan { warm: true, slot: Some("just before Submit".into()) });
        let why = "the serial line has not shown \"complete\" for 60 s; its last line is \"error: no such package: gum2\" (step 5 of 5: expect complete)";
        stage.tell(NOW_MS + 6, ended(true, Some(why)));
        stage.settle();
        if stage.window.query_by_label("Close this notice").is_some() {
            click(stage, "Close this notice");
        }
        stage.window.state_mut().preferences.tall = true;
        read(stage, "the disk is partitioned");
    });
}

#[test]
fn a_slot_that_is_gone_is_not_removed() {
    let dir = tempfile::tempdir().unwrap();
    let mut stage = Stage::new();
    let _display = saved(&mut stage, dir.path());
    click(&mut stage, "Remove shell");
    stage.tell(NOW_MS + 5, Event::SlotsChanged { slots: Vec::new() });
    stage.settle();
    assert!(has(&stage, "This slot is not there any more.") && !has(&stage, "Remove the slot"));
    click(&mut stage, "Good");
    assert!(has(&stage, "No slots yet") && stage.asked().is_empty());
}

/// As [`picture`], with slots and their pictures read.
fn picture_of_slots(name: &str, looks: &[&str], then: impl Fn(&mut Stage)) {
    let dir = tempfile::tempdir().unwrap();
    let displays = std::cell::RefCell::new(Vec::new());
    picture(name, looks, |stage| {
        displays.borrow_mut().push(saved(stage, dir.path()));
        read(stage, "just before Submit");
        read(stage, "shell");
        then(stage);
    });
}

#[test]
fn slots_with_their_pictures() {
    picture_of_slots("slots", &["dark", "light"], |stage| {
        stage.tell(NOW_MS + 5, Event::SlotRestored { name: "just before Submit".into(), took_ms: 900 });
        stage.window.state_mut().preferences.tall = true;
        read(stage, "the disk is partitioned");
        stage.window.get_by_label("Slots").focus();
        stage.settle();
        stage.window.key_press(Key::ArrowDown);
    });
}

#[test]
fn slots_while_one_is_saved() {
    picture_of_slots("slots_saving", &["dark"], |stage| {
        stage.tell(NOW_MS + 10, Event::SlotSaving { name: "before the licence".into() });
        stage.tell(NOW_MS + 20, Event::SlotAdvanced { done: 300 << 20, total: 700 << 20 });
    });
}

#[test]
fn slots_ask_before_one_is_restored_on_other_inputs() {
    picture_of_slots("slots_ask", &["dark", "light"], |stage| click(stage, "Restore shell"));
}

#[test]
fn pictures_without_slots() {
    picture("slots_none", &["dark", "light"], |stage| {
        story::inserted(stage);
        stage.tell(20, Event::SlotsChanged { slots: Vec::new() });
        open(stage);
    });
}
