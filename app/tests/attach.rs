//! `cartridge attach` on real VNC servers, from here and behind a real sshd: pictures, what is told, and what is left.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod support;

#[path = "../../vmtools/tests/support/ssh.rs"]
mod ssh;
#[path = "../../vmtools/tests/support/xvnc.rs"]
mod xvnc;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use cartridge::session::attachment::AttachWish;
use cartridge::session::logs::Pane;
use cartridge::session::state::Phase;
use cartridge::session::{Command, Event};
use rustix::process::Signal;
use support::session::Session;
use support::{Console, Finished, Running, finish};
use vmtools::attach::{Password, Place};
use vmtools::display::{InputEvent, Layout};
use xvnc::{Said, Xvnc, certificates, free_port};

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !done() {
        assert!(Instant::now() < end, "waiting for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// An X screen with a pattern on it, and the address of its VNC server.
fn server(words: &[&str]) -> (Xvnc, String) {
    let port = free_port();
    let server = Xvnc::start(&[words, &["-localhost", "-rfbport", &port.to_string(), "-desktop", "far away"]].concat());
    until("Xvnc", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
    server.draw();
    (server, format!("127.0.0.1:{port}"))
}

fn password(console: &Console, text: &str) -> String {
    let file = console.home.path().join("password");
    fs::write(&file, format!("{text}\n")).unwrap();
    file.to_str().unwrap().to_owned()
}

fn same(file: &Path, server: &Xvnc) {
    let image = image::open(file).unwrap().into_rgba8();
    assert_eq!((image.width(), image.height(), image.into_raw()), server.picture());
}

fn code(run: &Finished) -> i32 {
    assert_eq!(run.event("finished")["exit_code"], run.code);
    run.code
}

/// Whether any file of the session's says that word.
fn kept(console: &Console, word: &str) -> Vec<PathBuf> {
    let mut dirs = vec![console.home.path().join("state")];
    let mut found = Vec::new();
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).unwrap().flatten() {
            match entry.file_type().unwrap().is_dir() {
                true => dirs.push(entry.path()),
                false if fs::read_to_string(entry.path()).is_ok_and(|text| text.contains(word)) => {
                    found.push(entry.path())
                }
                false => {}
            }
        }
    }
    found
}

#[test]
fn a_server_is_photographed_by_address_and_password() {
    let console = Console::new();
    let (server, address) = server(&["-SecurityTypes", "VncAuth"]);
    let none = console.run(&["attach", "--json", "--shot", "x.png", &address]);
    let want = &none.event("attach_asks")["want"];
    assert_eq!((code(&none), &want["kind"], &want["wrong"]), (6, &"password".into(), &false.into()));
    assert_eq!(none.failure()["title"], "The VNC server wants a password");
    let wrong = password(&console, "Secret");
    let wrong = console.run(&["attach", "--json", "--shot", "x.png", "--password-file", &wrong, &address]);
    assert_eq!((code(&wrong), &wrong.event("attach_asks")["want"]["wrong"]), (6, &true.into()));
    let right = password(&console, "secret");
    let shot = console.run(&["attach", "--json", "--shot", "x.png", "--password-file", &right, &address]);
    let view = &shot.event("attached")["view"];
    assert_eq!((code(&shot), &view["name"], &view["local"]), (0, &"far away".into(), &true.into()));
    assert_eq!(shot.phases(), ["preparing", "booting", "running", "ejecting", "idle"]);
    same(&console.home.path().join("x.png"), &server);
    // In words, and to people.
    let told = console.run(&["attach", "--shot", "y.png", "--password-file", &right, &address]);
    assert!(told.code == 0 && told.stdout.contains("screenshot: "), "{}{}", told.stdout, told.stderr);
    assert!(told.stderr.contains("Attached to \"far away\" at 127.0.0.1:"), "{}", told.stderr);
    let told = console.run(&["attach", "--shot", "y.png", &address]);
    assert!(told.code == 6 && told.stderr.contains("--password-file FILE"), "{}", told.stderr);
    for run in [&shot, &wrong] {
        assert!(!run.stdout.to_lowercase().contains("\"secret") && !run.stderr.contains("ecret"), "{}", run.stdout);
    }
    assert_eq!(kept(&console, "ecret"), Vec::<PathBuf>::new(), "a password is written nowhere");
    console.assert_clean();
}

#[test]
fn through_ssh_the_address_is_meant_as_seen_from_there() {
    let console = Console::new();
    let ssh = ssh::SshServer::start();
    let (server, address) = server(&["-SecurityTypes", "None"]);
    let run = |args: &[&str]| {
        let mut command = console.command(&[&["attach", "--json", "--shot", "x.png"], args].concat());
        let path = std::env::var_os("PATH").unwrap();
        let path = std::iter::once(ssh.bin().to_owned()).chain(std::env::split_paths(&path));
        command.env("PATH", std::env::join_paths(path).unwrap());
        finish(command)
    };
    let shot = run(&["--ssh", &ssh.host(), &address]);
    assert_eq!((code(&shot), &shot.event("attached")["view"]["ssh"]), (0, &ssh.host().into()), "{}", shot.stderr);
    same(&console.home.path().join("x.png"), &server);
    let shot = run(&[&format!("ssh://{}/{address}", ssh.host())]);
    assert_eq!(code(&shot), 0);
    let nobody = run(&["--ssh", &ssh.host(), &format!("localhost:{}", free_port())]);
    assert_eq!((code(&nobody), &nobody.failure()["title"]), (6, &"No VNC server answers there".into()));
    ssh.know_nobody();
    let unknown = run(&["--ssh", &ssh.host(), &address]);
    let failure = unknown.failure();
    assert_eq!((code(&unknown), &failure["title"]), (6, &"ssh does not get there".into()));
    assert!(failure["command"].as_str().unwrap().starts_with("ssh -p "), "{failure}");
    console.assert_clean();
}

#[test]
fn killed_while_attached_over_ssh() {
    let console = Console::new();
    let ssh = ssh::SshServer::start();
    let (_server, address) = server(&["-SecurityTypes", "None"]);
    let mut command = console.command(&["attach", "--json", "--ssh", &ssh.host(), &address]);
    let path = std::env::var_os("PATH").unwrap();
    let path = std::iter::once(ssh.bin().to_owned()).chain(std::env::split_paths(&path));
    command.env("PATH", std::env::join_paths(path).unwrap());
    let mut run = Running::new(command);
    run.wait_for_phase("running");
    let all = console.processes();
    assert!(all.iter().any(|it| it.contains("ExitOnForwardFailure")), "{all:?}");
    // Not of ssh: others may use what that starts, and it has no mark.
    let mut stray = support::stray(&console, "left");
    run.signal(Signal::KILL);
    run.wait();
    until("the end of ssh and of who was left", || {
        console.processes().is_empty() && stray.0.try_wait().unwrap().is_some()
    });
    let next = console.run(&["eject", "--json"]);
    assert!(next.code == 0 && next.event("recovered")["what"].to_string().contains("killed"), "{:?}", next.events);
    console.assert_clean();
}

#[test]
fn a_certificate_is_trusted_once_and_another_one_is_refused() {
    let console = Console::new();
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let fingerprint = certificates(dir.path()).to_string();
    let renewed = certificates(other.path()).to_string();
    let port = free_port();
    let address = format!("127.0.0.1:{port}");
    let start = |dir: &Path| {
        let file = |name: &str| dir.join(name).to_str().unwrap().to_owned();
        let (certificate, key, port) = (file("server-cert.pem"), file("server-key.pem"), port.to_string());
        let words =
            ["-SecurityTypes", "X509Vnc", "-X509Cert", &certificate, "-X509Key", &key, "-localhost", "-rfbport", &port];
        let server = Xvnc::start(&words);
        until("Xvnc", || std::net::TcpStream::connect(&address).is_ok());
        server
    };
    let xvnc = start(dir.path());
    let secret = password(&console, "secret");
    let run = |more: &[&str]| {
        console.run(&[&["attach", "--json", "--shot", "x.png", "--password-file", &secret, &address], more].concat())
    };
    let unknown = run(&[]);
    let want = &unknown.event("attach_asks")["want"];
    assert_eq!((code(&unknown), &want["kind"], &want["changed"]), (6, &"trust".into(), &false.into()));
    assert_eq!(want["fingerprint"], fingerprint.as_str());
    assert_eq!(run(&["--trust", &fingerprint]).event("attached")["view"]["tls"], true);
    assert_eq!(code(&run(&[])), 0, "it is known");
    let file = console.home.path().join("state/cartridge/vnc-servers");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    drop(xvnc);
    // It is killed, and has its port until it is gone.
    until("its end", || std::net::TcpStream::connect(&address).is_err());
    let _xvnc = start(other.path());
    let changed = run(&[]);
    let (want, failure) = (&changed.event("attach_asks")["want"], changed.failure());
    assert_eq!((code(&changed), &want["changed"], &want["fingerprint"]), (6, &true.into(), &renewed.as_str().into()));
    assert!(failure["detail"].as_str().unwrap().contains(&fingerprint), "{failure}");
    assert!(failure["advice"].as_str().unwrap().contains("vnc-servers"), "{failure}");
    assert_eq!(code(&run(&["--trust", &renewed])), 0);
    assert_eq!(code(&run(&[])), 0);
    let wrong = console.run(&["attach", "--trust", "00:11", &address]);
    assert!(wrong.code == 2 && wrong.stderr.contains("64 hexadecimal digits"), "{}", wrong.stderr);
    console.assert_clean();
}

#[test]
fn it_stays_attached_until_ctrl_c_or_until_the_server_has_gone_for_good() {
    let console = Console::new();
    let (xvnc, address) = server(&["-SecurityTypes", "None"]);
    let attach = || {
        let mut run = console.start(&["attach", "--json", &address]);
        run.wait_for_phase("running");
        run
    };
    let mut stopped = attach();
    stopped.signal(Signal::INT);
    stopped.wait_for(|event| event["event"] == "finished");
    assert_eq!(stopped.wait(), 0);
    console.assert_clean();
    let mut left = attach();
    drop(xvnc);
    left.wait_for(|event| event["event"] == "attach_lost");
    let failed = left.wait_for(|event| event["event"] == "failed");
    assert_eq!(failed["failure"]["title"], "The VNC server has gone", "{failed}");
    assert_eq!(left.wait(), 6);
    console.assert_clean();
}

#[test]
fn what_cannot_be_attached_to_is_said_before_anything_begins() {
    let console = Console::new();
    for (args, words) in [
        (&["attach", "--json", "box:x"][..], "no port"),
        (&["attach", "--json", "vnc://ann:hunter2@box"], "does not belong into an address"),
        (&["attach", "--json", "--ssh", "b", "ssh://a/:1"], "two ssh hosts"),
        (&["attach", "--json", "--password-file", "/nowhere", ":1"], "/nowhere cannot be read"),
    ] {
        let run = console.run(args);
        let detail = run.failure()["detail"].as_str().unwrap();
        assert!(code(&run) == 2 && detail.contains(words) && !detail.contains("hunter2"), "{args:?}: {detail}");
    }
    let no_display = console.run(&["attach", ":1"]);
    assert!(no_display.code == 2 && no_display.stderr.contains("--shot FILE"), "{}", no_display.stderr);
    let help = console.run(&["attach", "--help"]).stdout;
    for option in ["--ssh", "--password-file", "--trust", "--view-only", "--shot", "--record", "--json", "ssh://"] {
        assert!(help.contains(option), "{option}: {help}");
    }
    let misspelt = console.run(&["atach", ":1"]);
    assert!(misspelt.code == 2 && misspelt.stderr.contains("'attach'"), "{}", misspelt.stderr);
    console.assert_clean();
}

/// Runs a program at a terminal of its own, which Python makes: prompts and what is typed after each, `--`, the program.
const TERMINAL: &str = r#"
import os, pty, sys
end = sys.argv.index("--")
steps, command = sys.argv[1:end], sys.argv[end + 1:]
pid, terminal = pty.fork()
if pid == 0:
    os.execvp(command[0], command)
shown, seen = b"", 0
while True:
    try:
        data = os.read(terminal, 4096)
    except OSError:
        break
    if not data:
        break
    shown += data
    if steps and steps[0].encode() in shown[seen:]:
        seen = len(shown)
        os.write(terminal, steps[1].encode() + b"\n")
        steps = steps[2:]
sys.stdout.buffer.write(shown)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"#;

/// What is shown at a terminal, and the exit code.
fn at_a_terminal(console: &Console, steps: &[&str], args: &[&str]) -> (String, Option<i32>) {
    let own = console.command(args);
    let mut python = std::process::Command::new("python3");
    python.args(["-c", TERMINAL]).args(steps).arg("--").arg(own.get_program()).args(own.get_args());
    python.envs(own.get_envs().filter_map(|(name, value)| Some((name, value?))));
    python.env_remove("DISPLAY").env_remove("WAYLAND_DISPLAY").current_dir(console.home.path());
    let out = python.output().unwrap();
    (String::from_utf8_lossy(&out.stdout).into_owned(), out.status.code())
}

#[test]
fn a_terminal_asks_for_the_password_and_does_not_show_it() {
    let console = Console::new();
    let (server, address) = server(&["-SecurityTypes", "VncAuth"]);
    let prompt = "Password of the VNC server: ";
    let args = ["attach", "--shot", "x.png", &address];
    let (shown, code) = at_a_terminal(&console, &[prompt, "hunter2", prompt, "secret"], &args);
    assert_eq!(code, Some(0), "{shown}");
    assert!(shown.contains("did not take the password"), "{shown}");
    assert!(!shown.contains("secret") && !shown.contains("hunter2") && !shown.contains("FAILED"), "{shown}");
    same(&console.home.path().join("x.png"), &server);
    // Nobody is asked for ever.
    let (shown, code) = at_a_terminal(&console, &[prompt, "a", prompt, "b", prompt, "c"], &args);
    assert!(code == Some(6) && shown.contains("FAILED: The VNC server did not take the password"), "{shown}");
    console.assert_clean();
}

#[test]
fn a_terminal_asks_whether_a_certificate_is_the_right_one() {
    let console = Console::new();
    let dir = tempfile::tempdir().unwrap();
    let fingerprint = certificates(dir.path()).to_string();
    let (server, address) = xvnc::xvnc(dir.path(), "X509None");
    until("Xvnc", || std::net::TcpStream::connect(&address).is_ok());
    let args = ["attach", "--shot", "x.png", &address];
    let question = "to be trusted from now on? [y/N] ";
    let (shown, code) = at_a_terminal(&console, &[question, "n"], &args);
    assert!(code == Some(6) && shown.contains(&format!("--trust {fingerprint}")), "{shown}");
    let (shown, code) = at_a_terminal(&console, &[question, "y"], &args);
    assert!(code == Some(0) && shown.contains(&fingerprint), "{shown}");
    let (shown, code) = at_a_terminal(&console, &[], &args);
    assert!(code == Some(0) && !shown.contains(question), "{shown}");
    server.draw();
    console.assert_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_types_records_and_lets_go_and_says_what_is_not_its_own() {
    let console = Console::new();
    let (xvnc, address) = server(&["-SecurityTypes", "VncAuth"]);
    let mut session = Session::begin(&console);
    let wish = AttachWish {
        password: Some(Password::new("secret".into())),
        ..AttachWish::of(Place::parse(&address).unwrap())
    };
    session.send(Command::Attach(Box::new(wish.clone()))).await;
    session.until_phase(Phase::Running).await;
    assert_eq!(session.model.attached().unwrap().name, "far away");
    assert!(session.model.takes_keys() && !session.model.guest_runs());
    assert_eq!(session.model.attach_recent, [address.as_str()]);
    let screen = std::sync::Arc::clone(&session.handle.screen);
    until("a picture", || screen.live());
    let film = console.home.path().join("x.mp4");
    session.send(Command::StartRecording(Some(film.clone()))).await;
    session.until("the recording", |event, _| matches!(event, Event::RecordingStarted { .. })).await;
    let said = Said::default();
    let line = xvnc.program("xev").args(["-geometry", "320x200+0+0", "-event", "keyboard", "-event", "button"]);
    let _window = cartridge_supervise::spawn(&line, said.clone()).unwrap();
    while !said.has("ButtonPress") {
        for buttons in [0, 1, 0] {
            session.send(Command::Input(InputEvent::Pointer { x: 50, y: 60, buttons })).await;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    session.send(Command::TypeText { text: "ab".into(), layout: Layout::Us.into() }).await;
    session.send(Command::SendCombo(vec![0x57])).await;
    until("keys", || ["a)", "b)", "F11)"].iter().all(|keysym| said.has(&format!(", {keysym}"))));
    for command in [Command::ResetGuest, Command::PressPower, Command::SendSerial(vec![1]), Command::PlugLayer] {
        session.send(command).await;
        session
            .until("why not", |event, _| matches!(event, Event::Noticed { text, .. } if text.contains("is attached")))
            .await;
    }
    // Another one takes its place, and what was let go of goes on.
    session.send(Command::Attach(Box::new(wish))).await;
    session.until("the film", |event, _| matches!(event, Event::RecordingEnded { .. })).await;
    session.until_phase(Phase::Running).await;
    assert!(fs::metadata(&film).unwrap().len() > 0);
    session.send(Command::Eject(cartridge::session::state::EjectScope::Session)).await;
    session.until_phase(Phase::Idle).await;
    assert!(!session.handle.screen.live() && session.model.attached().is_none());
    let log = fs::read_to_string(session.model.logs.join(Pane::Session.file_name())).unwrap();
    assert!(log.contains("Attached to \"far away\"") && !log.contains("secret"), "{log}");
    assert!(xvnc.picture().0 == 320, "the server goes on");
    session.quit().await;
    console.assert_clean();
}

#[test]
fn a_cancelled_attempt_ends_at_once() {
    let console = Console::new();
    // It takes the connection, and says nothing.
    let mute = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut run: Running = console.start(&["attach", "--json", &mute.local_addr().unwrap().to_string()]);
    run.wait_for_phase("booting");
    run.signal(Signal::TERM);
    let began = Instant::now();
    assert_eq!(run.wait(), 130);
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    console.assert_clean();
}
