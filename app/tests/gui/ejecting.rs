//! Ejects that somebody holds up, and ejects that are stopped: what is asked, and what each answer sends.

use cartridge::session::state::EjectScope;
use cartridge::session::{Command, Event};
use egui::Key;
use egui_kittest::kittest::{NodeT as _, Queryable as _};

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

fn press(stage: &mut Stage, key: Key) {
    stage.window.key_press(key);
    stage.settle();
}

fn has(stage: &Stage, name: &str) -> bool {
    stage.window.query_by_label(name).is_some()
}

fn says(stage: &Stage, words: &str) -> bool {
    stage.window.query_all_by_label_contains(words).next().is_some()
}

#[test]
fn holders_are_named_and_those_that_may_be_are_ended_when_asked() {
    let mut stage = stage(|stage| story::held(stage, true));
    assert!(
        says(&stage, "bash, process 20114, works in it")
            && says(&stage, "vim notes.txt, process 20377, has …/notes.txt open")
    );
    assert!(
        says(&stage, "It is not ended: it belongs to user 0") && says(&stage, "Try: sudo umount /run/media/you/ROOT")
    );
    click(&mut stage, "End them and eject again");
    match &stage.asked()[..] {
        [Command::EjectEnding { agreed }] => {
            assert_eq!(agreed.iter().map(|holder| holder.pid).collect::<Vec<_>>(), [20_114, 20_377]);
        }
        other => panic!("{other:?}"),
    }
    assert!(!has(&stage, "Leave it"));
}

#[test]
fn the_keyboard_begins_with_what_ends_nobody() {
    let mut stage = stage(|stage| story::held(stage, false));
    assert!(stage.window.get_by_label("Try again").accesskit_node().is_focused());
    press(&mut stage, Key::Enter);
    assert!(matches!(stage.asked()[..], [Command::Eject(EjectScope::Session)]));
    assert!(!has(&stage, "Try again"));
}

#[test]
fn what_is_left_stays_on_a_card_which_leads_back() {
    let mut stage = stage(|stage| story::held(stage, false));
    press(&mut stage, Key::Escape);
    assert!(stage.asked().is_empty() && !has(&stage, "Leave it"));
    assert!(says(&stage, "Not everything was removed") && !says(&stage, "Not everything could be removed"));
    click(&mut stage, "Show who uses it…");
    assert!(says(&stage, "bash, process 20114"));
    click(&mut stage, "Leave it");
    click(&mut stage, "Eject again");
    assert!(matches!(stage.asked()[..], [Command::Eject(EjectScope::Session)]));
}

/// Closes the window as the desktop does, and says what that has asked for.
fn close(stage: &mut Stage) -> Vec<Command> {
    stage.asked();
    let window = stage.window.input_mut().viewports.entry(egui::ViewportId::ROOT).or_default();
    window.events.push(egui::ViewportEvent::Close);
    stage.settle();
    stage.asked()
}

/// A window that was closed, and is asked about what holds it up.
fn closing() -> Stage {
    let mut stage = stage(story::inserted);
    assert!(matches!(close(&mut stage)[..], [Command::QuitUnlessHeld]));
    assert!(says(&stage, "Ejecting before closing"));
    story::held(&mut stage, false);
    stage.settle();
    stage.asked();
    assert!(!says(&stage, "Ejecting before closing") && says(&stage, "bash, process 20114"));
    assert!(says(&stage, "cartridge eject"), "it is not said what becomes of it");
    stage
}

#[test]
fn a_window_that_is_closed_asks_who_is_ended_and_closing_it_again_leaves_them() {
    let mut stage = closing();
    assert!(has(&stage, "Leave it and close") && has(&stage, "End them and close"));
    assert!(matches!(close(&mut stage)[..], [Command::Quit]));
    assert!(!has(&stage, "Leave it and close"));
    let mut stage = closing();
    click(&mut stage, "Leave it and close");
    assert!(matches!(stage.asked()[..], [Command::Quit]));
}

#[test]
fn a_window_that_is_closed_goes_once_they_are_ended() {
    let mut stage = closing();
    click(&mut stage, "End them and close");
    assert!(matches!(&stage.asked()[..], [Command::EjectEnding { agreed }] if agreed.len() == 2));
    // Somebody else is in the way now: the same question.
    story::held(&mut stage, false);
    stage.settle();
    assert!(has(&stage, "End them and close") && stage.asked().is_empty());
    click(&mut stage, "Try again");
    assert!(matches!(stage.asked()[..], [Command::Eject(EjectScope::Session)]));
    story::ejected(&mut stage);
    stage.settle();
    assert!(matches!(stage.asked()[..], [Command::QuitUnlessHeld]));
    assert!(says(&stage, "Ejecting before closing"));
}

#[test]
fn whoever_does_not_answer_keeps_the_window() {
    let mut stage = closing();
    press(&mut stage, Key::Escape);
    assert!(stage.asked().is_empty() && !has(&stage, "Leave it and close") && !says(&stage, "Ejecting before"));
    click(&mut stage, "Show who uses it…");
    assert!(has(&stage, "Leave it") && has(&stage, "End them and eject again"));
    press(&mut stage, Key::Escape);
    assert!(matches!(close(&mut stage)[..], [Command::QuitUnlessHeld]));
}

#[test]
fn nobody_is_ended_who_may_not_be() {
    let mut stage = stage(|stage| {
        story::held(stage, true);
        let mut held = story::holders(true);
        held.iter_mut().for_each(|it| it.holders.retain(|holder| holder.spared.is_some()));
        stage.tell(72_910, Event::EjectHeld { scope: EjectScope::Everything, held });
    });
    assert!(says(&stage, "Cartridge may not end it") && !says(&stage, "and eject again"));
    click(&mut stage, "Try again");
    assert!(matches!(stage.asked()[..], [Command::Eject(EjectScope::Everything)]));
}

#[test]
fn a_removal_is_shown_and_stopped_and_the_end_of_what_runs_is_not() {
    let mut stage = stage(story::ejecting);
    assert!(!has(&stage, "Cancel"));
    press(&mut stage, Key::Escape);
    assert!(stage.asked().is_empty());
    story::removing(&mut stage);
    stage.settle();
    stage.asked();
    assert!(says(&stage, "48211 of 131072 files, 2.89 GiB removed from"));
    let bar = stage.window.get_by_label("Progress of the removal");
    assert_eq!(bar.accesskit_node().numeric_value().map(f64::round), Some(37.0));
    click(&mut stage, "Cancel");
    assert!(matches!(stage.asked()[..], [Command::Cancel]));
    press(&mut stage, Key::Escape);
    assert!(matches!(stage.asked()[..], [Command::Cancel]));
}

#[test]
fn what_a_stop_has_left_is_said_and_goes_on() {
    let mut stage = stage(story::stopped);
    assert!(says(&stage, "The eject was stopped") && says(&stage, "51\u{2009}020 files removed"));
    assert!(!has(&stage, "Cancel") && !has(&stage, "Leave it"));
    click(&mut stage, "Eject again");
    assert!(matches!(stage.asked()[..], [Command::Eject(EjectScope::Session)]));
}
