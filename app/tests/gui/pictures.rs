//! One picture of each state, compared pixel by pixel: what a change of the looks does is seen before it is merged.
//! `UPDATE_SNAPSHOTS=1 cargo test --test gui` makes them anew.

use cartridge::session::Event;
use cartridge::session::event::Level;
use cartridge::session::state::{Goal, Input, State, step};
use egui_kittest::SnapshotResults;
use egui_kittest::kittest::Queryable as _;
use vmtools::GuestStatus;

use crate::stage::Stage;
use crate::story;

/// Tells `story` to a window of each look and compares what is drawn.
pub fn picture(name: &str, looks: &[&str], story: impl Fn(&mut Stage)) {
    let mut results = SnapshotResults::new();
    for look in looks {
        let (dark, scale) = match *look {
            "light" => (false, 1.0),
            "2x" => (true, 2.0),
            _ => (true, 1.0),
        };
        let mut stage = Stage::with(dark, scale);
        story(&mut stage);
        stage.settle();
        results.add(stage.window.try_snapshot(format!("{name}_{look}")));
    }
}

#[test]
fn empty() {
    picture("empty", &["dark"], story::opened);
}

#[test]
fn inserted() {
    picture("inserted", &["dark", "light"], story::inserted);
}

#[test]
fn mistaken_and_not_saved() {
    picture("mistaken", &["dark"], |stage| {
        story::opened(stage);
        stage.tell(10, Event::CartridgeChanged { cartridge: story::cartridge(true, true) });
        stage.tell(11, Event::StateChanged { state: State::default() });
    });
}

#[test]
fn building() {
    picture("building", &["dark", "light"], story::building);
}

#[test]
fn built() {
    picture("built", &["light"], |stage| {
        story::built(stage);
        stage.tell(10_601, story::idle(cartridge::session::state::Outcome::Built, true));
    });
}

#[test]
fn running() {
    let display = std::cell::RefCell::new(Vec::new());
    picture("running", &["dark", "light", "2x"], |stage| display.borrow_mut().push(story::running(stage)));
}

#[test]
fn recording() {
    let display = std::cell::RefCell::new(Vec::new());
    picture("recording", &["dark"], |stage| {
        display.borrow_mut().push(story::running(stage));
        stage.tell(12_000, Event::RecordingStarted { path: "/home/ada/Videos/Cartridge.mp4".into() });
        stage.window.state_mut().clock = cartridge::gui::clock::Clock::Fixed(84_000);
    });
}

#[test]
fn failed() {
    picture("failed", &["dark", "light"], story::failed);
}

#[test]
fn ejected() {
    picture("ejected", &["dark"], story::ejected);
}

#[test]
fn an_eject_that_removes() {
    picture("removing", &["dark"], story::removing);
}

#[test]
fn an_eject_that_was_stopped() {
    picture("eject_stopped", &["light"], story::stopped);
}

#[test]
fn an_eject_that_others_hold_up() {
    picture("eject_held", &["dark", "light"], |stage| story::held(stage, true));
}

#[test]
fn what_others_have_held_up() {
    picture("eject_held_card", &["dark"], |stage| {
        story::held(stage, false);
        stage.settle();
        stage.window.get_by_label("Leave it").click();
    });
}

#[test]
fn powered_off() {
    let display = std::cell::RefCell::new(Vec::new());
    picture("powered_off", &["dark"], |stage| {
        display.borrow_mut().push(story::ended(stage, GuestStatus::PoweredOff));
    });
}

#[test]
fn crashed() {
    let display = std::cell::RefCell::new(Vec::new());
    picture("crashed", &["light"], |stage| {
        let how = "QEMU ended by signal 6 (SIGABRT)".to_owned();
        display.borrow_mut().push(story::ended(stage, GuestStatus::Crashed { how }));
    });
}

#[test]
fn doctor() {
    picture("doctor", &["dark"], |stage| {
        story::inserted(stage);
        stage.tell(20, Event::Diagnosed { checks: crate::host::with_gaps() });
        stage.settle();
        stage.window.get_by_label("2 missing on this host").click();
        stage.settle();
    });
}

#[test]
fn eject_everything() {
    picture("eject_everything", &["light"], |stage| {
        story::inserted(stage);
        stage.settle();
        stage.window.get_by_label("More ways to eject").click();
        stage.settle();
        stage.window.get_by_label("Eject everything…").click();
        stage.tell(20, story::surveys());
    });
}

#[test]
fn notices_and_a_menu() {
    picture("notices", &["dark"], |stage| {
        story::inserted(stage);
        stage.settle();
        for (level, text) in [
            (Level::Info, "An earlier session had left a guest running. It was ended."),
            (Level::Success, "Screenshot saved: /home/you/Pictures/homerchy.png"),
            (Level::Warning, "The guest wants 16 processors, this host has 4: it gets 4."),
        ] {
            stage.tell(20, Event::Noticed { level, text: text.to_owned() });
        }
        let refused = step(&State::default(), Input::Ask(Goal::Boot)).unwrap_err();
        stage.tell(21, Event::Refused { denied: refused, reason: refused.to_string() });
        stage.settle();
        stage.window.get_by_label("Cartridge: homerchy").click();
    });
}

#[test]
fn shortcuts() {
    picture("shortcuts", &["light"], |stage| {
        story::inserted(stage);
        stage.settle();
        stage.window.key_press(egui::Key::F1);
    });
}
