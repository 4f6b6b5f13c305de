//! A guest that is up and shows one colour: what is said over its screen, and what the buttons do.

use cartridge::session::blank::BlankCure;
use cartridge::session::{Command, Event};
use egui_kittest::kittest::Queryable as _;

use crate::display::Display;
use crate::pictures::picture;
use crate::stage::Stage;
use crate::story;

fn blank(stage: &mut Stage, cure: BlankCure) -> Display {
    let display = story::running(stage);
    display.paint(0, 0, 1024, 768, [0, 0, 0]);
    stage.tell(80_000, Event::ScreenBlank { seconds: 45, cure });
    display
}

fn says(stage: &Stage, words: &str) -> bool {
    stage.window.query_by_label_contains(words).is_some()
}

fn click(stage: &mut Stage, name: &str) -> Vec<Command> {
    stage.asked();
    stage.window.get_by_label(name).click();
    stage.settle();
    stage.asked()
}

fn shown(name: &str, cure: &BlankCure) {
    let held = std::cell::RefCell::new(Vec::new());
    picture(name, &["dark"], |stage| held.borrow_mut().push(blank(stage, cure.clone())));
}

#[test]
fn it_is_shown_with_what_mends_it() {
    shown("blank", &BlankCure::Give3d);
}

#[test]
fn it_is_shown_where_nothing_here_mends_it() {
    shown("blank_no_3d", &BlankCure::No3d("there is no /dev/dri/renderD128 or the like".to_owned()));
}

#[test]
fn one_press_gives_the_guest_3d_and_boots_it_again() {
    let mut stage = Stage::new();
    let _display = blank(&mut stage, BlankCure::Give3d);
    stage.settle();
    let asked = click(&mut stage, "Give it 3D and boot again");
    let [Command::SetField { key, value }, Command::Ask(cartridge::session::state::Goal::Boot)] = &asked[..] else {
        panic!("{asked:?}")
    };
    assert_eq!((key.as_str(), value.as_str()), ("guest.gpu", "virtio-gl"));
}

#[test]
fn what_this_host_cannot_give_is_not_offered() {
    let mut stage = Stage::new();
    let _display = blank(&mut stage, BlankCure::No3d("there is no card".to_owned()));
    stage.settle();
    assert!(says(&stage, "there is no card") && !says(&stage, "Give it 3D"));
}

#[test]
fn it_goes_when_it_is_put_away_or_something_is_drawn() {
    let mut stage = Stage::new();
    let _display = blank(&mut stage, BlankCure::Has3d);
    stage.settle();
    assert!(says(&stage, "Nothing is drawn"));
    stage.tell(90_000, Event::ScreenDrawn);
    stage.settle();
    assert!(!says(&stage, "Nothing is drawn"));
    stage.tell(100_000, Event::ScreenBlank { seconds: 45, cure: BlankCure::Has3d });
    stage.settle();
    assert!(says(&stage, "Nothing is drawn"));
    click(&mut stage, "Put away");
    assert!(!says(&stage, "Nothing is drawn"));
}
