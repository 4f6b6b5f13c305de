//! What changed in the repository: said in the status bar, brought to the guest by one press, and left alone where there is
//! nothing to bring.

use cartridge::session::event::Since;
use cartridge::session::way::Way;
use cartridge::session::{Command, Event};
use egui::{Key, Modifiers};
use egui_kittest::kittest::Queryable as _;
use isoprep::{ChangeKind, SourceChange};

use crate::pictures::picture;
use crate::stage::Stage;
use crate::story;

const BRING: Modifiers = Modifiers { shift: true, ..Modifiers::COMMAND };

fn changed(since: Since, way: Way) -> Event {
    let change = |path: &str, kind| SourceChange { path: path.into(), kind };
    let changes = vec![
        change("airootfs/etc/motd", ChangeKind::Removed),
        change("bin/configurator", ChangeKind::Added),
        change("install.sh", ChangeKind::Changed),
    ];
    Event::SourceChanged { since, total: changes.len(), changes, way }
}

fn nothing() -> Event {
    Event::SourceChanged { since: Since::Guest, total: 0, changes: Vec::new(), way: Way::Layer }
}

fn asks(stage: &mut Stage, name: &str) -> bool {
    stage.window.get_by_label(name).click();
    stage.settle();
    stage.asked().iter().any(|command| matches!(command, Command::BringIn))
}

#[test]
fn one_press_brings_what_changed_and_there_is_none_where_nothing_is_to_bring() {
    let mut stage = Stage::new();
    let _display = story::running(&mut stage);
    stage.settle();
    stage.asked();
    let since_guest = "3 files changed since the guest saw them";
    assert!(stage.window.query_by_label(since_guest).is_none());
    stage.window.key_press_modifiers(BRING, Key::Enter);
    stage.settle();
    assert!(stage.asked().is_empty(), "there is nothing to bring");

    stage.tell(90_000, changed(Since::Guest, Way::Layer));
    stage.settle();
    assert!(asks(&mut stage, since_guest));
    stage.window.key_press_modifiers(BRING, Key::Enter);
    stage.settle();
    assert!(matches!(stage.asked()[..], [Command::BringIn]));

    stage.tell(91_000, changed(Since::Build, Way::Live));
    stage.settle();
    assert!(!asks(&mut stage, "3 files changed since the last build"), "the guest sees it by itself");
    stage.tell(92_000, nothing());
    stage.settle();
    assert!(stage.window.query_by_label_contains("changed since").is_none());
}

#[test]
fn changed_while_the_guest_runs() {
    let display = std::cell::RefCell::new(Vec::new());
    picture("changed", &["dark", "light"], |stage| {
        display.borrow_mut().push(story::running(stage));
        stage.tell(90_000, changed(Since::Guest, Way::Layer));
    });
}
