//! Another session has the cartridge: the window says who, offers to watch, and then shows what is done there and changes nothing.

use cartridge::session::event::Failure;
use cartridge::session::onlooker::WatchEnd;
use cartridge::session::state::{Goal, Outcome, Phase, State};
use cartridge::session::{Event, Holder};
use egui::{Key, Modifiers};
use egui_kittest::kittest::{NodeT as _, Queryable as _};

use crate::pictures::picture;
use crate::stage::Stage;
use crate::story;

fn holder(goal: Goal, watchable: bool) -> Holder {
    Holder {
        who: "cartridge up".into(),
        process: 4711,
        goal: Some(goal),
        since: 0,
        world: String::new(),
        session: "20261123-041500-4711".into(),
        socket: watchable.then(|| "/run/user/1000/cartridge/watch-4711-0/watch.sock".into()),
    }
}

fn in_use(stage: &mut Stage, watchable: bool) {
    story::inserted(stage);
    let preparing = State { phase: Phase::Preparing, goal: Some(Goal::Up), inserted: true, ..State::default() };
    stage.tell(1000, Event::StateChanged { state: preparing });
    stage.tell(1010, Event::InUse { holder: holder(Goal::Up, watchable) });
    let detail = "this cartridge is in use by cartridge up (process 4711), which has been building and booting it since 04:15:02";
    let failure = Failure {
        title: "This cartridge is in use".into(),
        detail: detail.into(),
        advice: Some("Watch what is done there. Eject it there, or work on another copy of the repository".into()),
        command: Some("cartridge watch /srv/distros/homerchy".into()),
        pane: None,
        exit_code: 8,
    };
    stage.tell(1010, Event::Failed { failure });
    let failed = State { phase: Phase::Idle, goal: None, outcome: Some(Outcome::Failed), ..preparing };
    stage.tell(1020, Event::StateChanged { state: failed });
}

/// What the window shows is of another session from here on.
fn join(stage: &mut Stage, at_ms: u64) {
    stage.settle();
    let model = Box::new(stage.window.state().model.clone());
    let holder = holder(Goal::Up, true);
    stage.tell(at_ms, Event::Joined { holder, missed: 0, said: Vec::new(), model });
    stage.settle();
}

fn enabled(stage: &Stage, name: &str) -> bool {
    !stage.window.get_by_label(name).accesskit_node().is_disabled()
}

fn has(stage: &Stage, words: &str) -> bool {
    stage.window.query_by_label_contains(words).is_some()
}

#[test]
fn who_has_the_cartridge_can_be_watched_where_it_lets_people_in() {
    for watchable in [true, false] {
        let mut stage = Stage::new();
        in_use(&mut stage, watchable);
        stage.settle();
        assert_eq!(enabled(&stage, "Watch"), watchable);
        assert!(!has(&stage, "Copy command"), "the window watches itself");
    }
}

#[test]
fn what_is_watched_is_changed_by_no_button_and_says_why() {
    let mut stage = Stage::new();
    let _display = story::running(&mut stage);
    stage.settle();
    assert!(enabled(&stage, "Eject") && enabled(&stage, "Reset") && enabled(&stage, "Build & Boot"));
    join(&mut stage, 20_000);
    for name in ["Build", "Boot", "Build & Boot", "Eject", "Reset", "Power", "Screenshot", "Record", "Type text"] {
        assert!(!enabled(&stage, name), "{name}");
    }
    assert!(enabled(&stage, "Stop watching") && enabled(&stage, "Copy the picture"));
    assert!(has(&stage, "Watching cartridge up (process 4711), which has been building and booting it."));
    stage.asked();
    stage.window.key_press_modifiers(Modifiers::COMMAND, Key::O);
    stage.settle();
    assert!(has(&stage, "You are watching cartridge up (process 4711): this is changed there."));
    // Nothing that is typed or clicked at the screen goes anywhere.
    stage.window.get_by_label("Guest screen").click();
    stage.settle();
    stage.window.key_press(Key::A);
    stage.settle();
    assert!(stage.asked().is_empty());

    stage.tell(20_100, Event::HolderStopped { stopped: true });
    stage.settle();
    assert!(has(&stage, "is stopped (SIGSTOP)"));
    stage.tell(20_200, Event::HolderStopped { stopped: false });
    stage.tell(20_300, Event::WatchEnded { end: WatchEnd::LetGo });
    stage.settle();
    assert!(has(&stage, "has let the cartridge go: it can be taken now.") && enabled(&stage, "Use it here"));
    assert!(!enabled(&stage, "Build"), "what is seen is still the other one's");
}

#[test]
fn pictures_of_a_cartridge_that_is_in_use() {
    picture("in_use", &["dark", "light"], |stage| in_use(stage, true));
}

#[test]
fn pictures_of_watching_a_guest() {
    let displays = std::cell::RefCell::new(Vec::new());
    picture("watching", &["dark", "light"], |stage| {
        displays.borrow_mut().push(story::running(stage));
        join(stage, 20_000);
    });
}

#[test]
fn pictures_of_watching_a_build() {
    picture("watching_build_narrow", &["dark"], |stage| {
        let [width, height] = cartridge::gui::preferences::MIN_SIZE;
        stage.window.set_size(egui::vec2(width, height));
        story::building(stage);
        join(stage, 5000);
    });
}

#[test]
fn pictures_of_the_end_of_it() {
    picture("watch_let_go", &["light"], |stage| {
        story::failed(stage);
        join(stage, 9000);
        stage.tell(9100, Event::WatchEnded { end: WatchEnd::LetGo });
    });
}

#[test]
fn pictures_of_one_that_was_killed() {
    picture("watch_gone", &["dark"], |stage| {
        story::building(stage);
        join(stage, 5000);
        let why = "cartridge up (process 4711) was killed, or has crashed. The cartridge is free: the next start of a job cleans what \
                   it left";
        stage.tell(5100, Event::WatchEnded { end: WatchEnd::Gone { why: why.into() } });
    });
}
