//! A VNC server of somebody else's in the window: the dialog, what it says that is wrong or wanted, and the server's screen.

use cartridge::session::attachment::{AttachWant, AttachWish, AttachedView};
use cartridge::session::event::Failure;
use cartridge::session::state::{EjectScope, Goal, Outcome, Phase, State};
use cartridge::session::{Command, Event};
use egui::{Key, Role};
use egui_kittest::kittest::{NodeT as _, Queryable as _};
use vmtools::attach::{Password, Place};
use vmtools::display::rfb::Fingerprint;

use crate::display::Display;
use crate::pictures::picture;
use crate::stage::Stage;
use crate::story;

const ITEM: &str = "Attach to a VNC server…";
const TITLE: &str = "Attach to a VNC server";
const FINGERPRINT: &str =
    "3A:7F:00:12:C4:58:9B:DE:41:22:0C:93:EE:5A:17:60:8D:B4:F1:2E:39:77:A0:C5:6B:18:D3:4F:92:E7:05:BC";

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

fn has(stage: &Stage, name: &str) -> bool {
    stage.window.query_by_label(name).is_some()
}

fn enabled(stage: &Stage, name: &str) -> bool {
    !stage.window.get_by_label(name).accesskit_node().is_disabled()
}

fn write(stage: &mut Stage, field: &str, text: &str) {
    let node = stage.window.query_all_by_label(field).rfind(|node| {
        let role = node.accesskit_node().role();
        role == Role::TextInput || role == Role::PasswordInput
    });
    node.unwrap().focus();
    stage.settle();
    stage.window.event(egui::Event::Text(text.to_owned()));
    stage.settle();
}

fn press(stage: &mut Stage, key: Key) {
    stage.window.key_press(key);
    stage.settle();
}

fn dialog(stage: &mut Stage) {
    click(stage, "More ways to boot");
    click(stage, ITEM);
}

fn filled(stage: &mut Stage) {
    story::inserted(stage);
    stage.settle();
    dialog(stage);
    write(stage, "Address", "localhost:1");
    write(stage, "Through ssh", "ann@box.example");
    write(stage, "Password of the VNC server", "secret");
}

fn wish(asked: &[Command]) -> AttachWish {
    let wishes: Vec<_> = asked
        .iter()
        .filter_map(|it| if let Command::Attach(wish) = it { Some((**wish).clone()) } else { None })
        .collect();
    assert_eq!(wishes.len(), 1, "{asked:?}");
    wishes[0].clone()
}

fn state(phase: Phase, goal: Option<Goal>, outcome: Option<Outcome>) -> Event {
    Event::StateChanged { state: State { phase, goal, outcome, inserted: true, ..State::default() } }
}

fn begins(stage: &mut Stage, at: u64) {
    stage.tell(at, state(Phase::Preparing, Some(Goal::Attach), None));
    let address = "ssh://ann@box.example/localhost:5901".to_owned();
    stage.tell(at, Event::AttachBegan { address, ssh: Some("ann@box.example".into()) });
    stage.tell(at, state(Phase::Booting, Some(Goal::Attach), None));
}

fn fails(stage: &mut Stage, at: u64, want: AttachWant, title: &str, detail: &str) {
    begins(stage, at);
    stage.tell(at + 1, Event::AttachAsks { want });
    let (title, detail) = (title.to_owned(), detail.to_owned());
    let failure = Failure { title, detail, advice: None, command: None, pane: None, exit_code: 6 };
    stage.tell(at + 1, Event::Failed { failure });
    stage.tell(at + 1, state(Phase::Ejecting, Some(Goal::Attach), Some(Outcome::Failed)));
    stage.tell(at + 2, state(Phase::Idle, None, Some(Outcome::Failed)));
    stage.settle();
}

fn unknown(stage: &mut Stage, at: u64, changed: bool) {
    let want = AttachWant::Trust { fingerprint: FINGERPRINT.into(), changed };
    let title = "The VNC server's certificate is not trusted yet";
    let detail = format!(
        "the VNC server shows a certificate that is not trusted yet, with the SHA-256 fingerprint\n  {FINGERPRINT}\nCompare it \
         with the server's own"
    );
    fails(stage, at, want, title, &detail);
}

fn attached(stage: &mut Stage) -> Display {
    begins(stage, 100);
    let view = AttachedView {
        address: "ssh://ann@box.example/localhost:5901".into(),
        ssh: Some("ann@box.example".into()),
        name: "box.example:1 (ann)".into(),
        tls: false,
        local: true,
    };
    stage.tell(300, Event::Attached { view });
    stage.tell(300, state(Phase::Running, Some(Goal::Attach), None));
    Display::show(&stage.screen, 1024, 768)
}

#[test]
fn what_is_typed_is_asked_for_and_the_dialog_stays_until_the_server_is_there() {
    let mut stage = stage(filled);
    press(&mut stage, Key::Enter);
    let asked = wish(&stage.asked());
    assert_eq!(asked.place, Place::parse("ssh://ann@box.example/localhost:5901").unwrap());
    assert_eq!((asked.password, asked.trust), (Some(Password::new("secret".into())), None));
    assert!(has(&stage, "Connecting…") && !enabled(&stage, "Attach"));
    click(&mut stage, "Stop");
    assert!(matches!(stage.asked()[..], [Command::Cancel]));
    let _display = attached(&mut stage);
    stage.settle();
    assert!(!has(&stage, TITLE));
    // A password is not kept for whoever opens the dialog next.
    click(&mut stage, "Disconnect");
    stage.tell(400, state(Phase::Idle, None, Some(Outcome::Ejected)));
    stage.settle();
    assert!(matches!(stage.asked()[..], [Command::Eject(EjectScope::Session)]) && has(&stage, "Disconnected"));
    dialog(&mut stage);
    press(&mut stage, Key::Enter);
    click(&mut stage, "Attach");
    assert_eq!(wish(&stage.asked()).password, None);
}

#[test]
fn a_wrong_address_is_said_before_it_is_asked_for() {
    let mut stage = stage(story::opened);
    dialog(&mut stage);
    assert!(!enabled(&stage, "Attach"));
    write(&mut stage, "Address", "box:x");
    assert!(stage.window.query_by_label_contains("is no port").is_some() && !enabled(&stage, "Attach"));
    press(&mut stage, Key::Enter);
    assert!(stage.asked().is_empty());
}

#[test]
fn a_password_that_is_wanted_is_asked_for_where_the_address_was_typed() {
    let mut stage = stage(filled);
    click(&mut stage, "Attach");
    stage.asked();
    let wrong = "The VNC server did not take the password";
    fails(&mut stage, 50, AttachWant::Password { wrong: true }, wrong, "the VNC server did not take the password (no)");
    assert!(has(&stage, TITLE) && enabled(&stage, "Attach"));
    assert!(stage.window.get_all_by_label(wrong).next().is_some());
    // The field has the keyboard.
    stage.window.event(egui::Event::Text("2".to_owned()));
    stage.settle();
    press(&mut stage, Key::Enter);
    assert_eq!(wish(&stage.asked()).password, Some(Password::new("secret2".into())));
}

#[test]
fn a_server_that_was_attached_to_from_elsewhere_opens_the_dialog_when_it_wants_something() {
    let mut stage = stage(story::inserted);
    fails(&mut stage, 50, AttachWant::Password { wrong: false }, "The VNC server wants a password", "none was given");
    assert!(has(&stage, TITLE));
    write(&mut stage, "Password of the VNC server", "secret");
    press(&mut stage, Key::Enter);
    let asked = wish(&stage.asked());
    assert_eq!(asked.place, Place::parse("ssh://ann@box.example/localhost:5901").unwrap());
    assert_eq!(asked.password, Some(Password::new("secret".into())));
}

#[test]
fn a_server_of_before_is_a_press_away_and_view_only_stays_as_it_was() {
    let mut stage = stage(|stage| {
        story::inserted(stage);
        let addresses = vec!["box.example:5901".to_owned(), "ssh://ann@box.example/localhost:5901".to_owned()];
        stage.tell(20, Event::AttachRecentChanged { addresses });
    });
    stage.window.key_press_modifiers(egui::Modifiers::COMMAND | egui::Modifiers::SHIFT, Key::O);
    stage.settle();
    dialog(&mut stage);
    let on = || egui::accesskit::Toggled::True;
    let check = stage.window.get_by_label("View only: send neither keys nor the pointer");
    assert_eq!(check.accesskit_node().toggled(), Some(on()));
    write(&mut stage, "Through ssh", "other");
    click(&mut stage, "Recent: ssh://ann@box.example/localhost:5901");
    assert!(!has(&stage, "Recent: ssh://ann@box.example/localhost:5901"), "it is in the field");
    click(&mut stage, "Attach");
    assert_eq!(wish(&stage.asked()).place, Place::parse("ssh://ann@box.example/localhost:5901").unwrap());
}

#[test]
fn a_certificate_is_trusted_by_a_press_alone() {
    let known = Fingerprint::parse(FINGERPRINT);
    for (changed, name) in [(false, "Trust it and attach"), (true, "Trust the new one")] {
        let mut stage = stage(filled);
        click(&mut stage, "Attach");
        stage.asked();
        unknown(&mut stage, 50, changed);
        // Whoever only goes on typing trusts nobody.
        stage.window.get_by_role_and_label(Role::TextInput, "Address").focus();
        stage.settle();
        press(&mut stage, Key::Enter);
        assert_eq!(wish(&stage.asked()).trust, None);
        unknown(&mut stage, 60, changed);
        assert_eq!(has(&stage, "Attach"), changed, "the same again is what it would be");
        click(&mut stage, name);
        assert_eq!(wish(&stage.asked()).trust, known);
    }
}

#[test]
fn what_is_somebody_elses_has_no_buttons_and_says_why() {
    let mut stage = stage(story::inserted);
    let _display = attached(&mut stage);
    stage.settle();
    assert!(!enabled(&stage, "Reset") && !enabled(&stage, "Power") && enabled(&stage, "Send Ctrl-Alt-Del"));
    for name in ["Screenshot", "Record", "Copy text from the screen", "Type text", "Disconnect"] {
        assert!(enabled(&stage, name), "{name}");
    }
    assert!(has(&stage, "State: Attached") && has(&stage, "Guest screen"));
    stage.tell(400, Event::AttachLost { why: "it has gone".into() });
    stage.settle();
    assert!(has(&stage, "State: Connection lost"));
    assert!(has(&stage, "Connection lost, trying again: this is the last picture"));
    stage.tell(500, Event::AttachBack);
    stage.settle();
    assert!(has(&stage, "State: Attached"));
}

#[test]
fn a_guest_of_ours_is_not_ended_for_it() {
    let display = std::cell::RefCell::new(Vec::new());
    let mut stage = stage(|stage| display.borrow_mut().push(story::running(stage)));
    click(&mut stage, "More ways to boot");
    assert!(!enabled(&stage, ITEM));
}

#[test]
fn the_dialog() {
    picture("attach", &["dark", "light"], |stage| {
        let addresses =
            ["box.example:5901", "ssh://ann@box.example/localhost:5901", "192.0.2.7:5900"].map(str::to_owned);
        stage.tell(1, Event::AttachRecentChanged { addresses: addresses.to_vec() });
        filled(stage);
    });
}

#[test]
fn a_certificate_that_is_not_known() {
    picture("attach_trust", &["dark"], |stage| {
        filled(stage);
        click(stage, "Attach");
        unknown(stage, 50, false);
    });
}

#[test]
fn a_certificate_that_is_another_one() {
    picture("attach_changed", &["dark"], |stage| {
        filled(stage);
        click(stage, "Attach");
        unknown(stage, 50, true);
    });
}

#[test]
fn the_screen_of_a_server() {
    let display = std::cell::RefCell::new(Vec::new());
    picture("attached", &["dark"], |stage| {
        story::inserted(stage);
        display.borrow_mut().push(attached(stage));
    });
}
