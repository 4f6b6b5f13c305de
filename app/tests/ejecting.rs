//! Ejects that somebody stands in the way of, and ejects that are stopped: who holds something is named and asked about, and what is
//! left another eject removes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod support;

use std::fs;
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command as Process, Stdio};

use cartridge::session::state::{Denied, EjectScope, Phase};
use cartridge::session::{Command, Event};
use isoprep::Holder;
use rustix::mount::{MountFlags, mount};
use rustix::process::Signal;
use support::Console;
use support::alone::alone;
use support::session::{Session, paths};

fn run<T>(body: impl Future<Output = T>) -> T {
    tokio::runtime::Runtime::new().unwrap().block_on(body)
}

/// What a session that was killed has left: its record, and a work directory with something mounted in it.
struct Left {
    work: PathBuf,
    mount: PathBuf,
}

impl Left {
    fn behind(console: &Console) -> Self {
        let paths = paths(console);
        let record = paths.state.join("sessions/20200101-000000-1");
        fs::create_dir_all(&record).unwrap();
        fs::write(record.join("open.json"), r#"{"who": "a test"}"#).unwrap();
        let work = isoprep::WorkDir::create(&paths.cache.join("work"), "20200101-000000-1").unwrap().path().to_owned();
        fs::write(work.join("half"), "built").unwrap();
        let mount = work.join("airootfs/run");
        fs::create_dir_all(&mount).unwrap();
        Self { work, mount }.mounted()
    }

    fn mounted(self) -> Self {
        mount("tmpfs", &self.mount, "tmpfs", MountFlags::empty(), c"size=1m").unwrap();
        self
    }
}

/// A process of somebody else's that works in a directory: it does not descend from us.
struct Stranger(u32, OwnedFd);

impl Stranger {
    fn new(dir: &Path, script: &str) -> Self {
        let script = format!("({script}) >/dev/null 2>&1 & echo $!");
        let out = Process::new("sh").args(["-c", &script]).current_dir(dir).output().unwrap();
        Self::of(String::from_utf8(out.stdout).unwrap().trim().parse().unwrap())
    }

    /// Held by what names this process and no later one of its number.
    fn of(pid: u32) -> Self {
        let raw = rustix::process::Pid::from_raw(pid.cast_signed()).unwrap();
        Self(pid, rustix::process::pidfd_open(raw, rustix::process::PidfdFlags::empty()).unwrap())
    }

    fn sleeper(dir: &Path) -> Self {
        Self::new(dir, "exec sleep 1000")
    }

    fn is_there(&self) -> bool {
        fs::read_link(format!("/proc/{}/cwd", self.0)).is_ok()
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        let _ = rustix::process::pidfd_send_signal(&self.1, Signal::KILL);
    }
}

/// A child of ours that takes no notice of SIGTERM, so that an eject waits for it for two seconds.
fn stubborn(dir: &Path) -> Child {
    let script = "trap '' TERM; echo; exec sleep 1000";
    let mut child = Process::new("sh").args(["-c", script]).current_dir(dir).stdout(Stdio::piped()).spawn().unwrap();
    // Until it does.
    std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut [0]).unwrap();
    child
}

#[test]
fn who_holds_something_is_named_and_ended_only_where_that_is_said() {
    alone("who_holds_something_is_named_and_ended_only_where_that_is_said", || {
        let console = Console::new();
        let left = Left::behind(&console);
        let stranger = Stranger::sleeper(&left.mount);
        let words = format!("process {} (sleep 1000), which works in {}", stranger.0, left.mount.display());

        let dry = console.run(&["eject", "--dry-run"]);
        assert!(dry.code == 0 && dry.stdout.contains(&words), "{}\n{}", dry.stdout, dry.stderr);
        assert!(dry.stdout.contains(&format!("is unmounted first: {}", left.mount.display())), "{}", dry.stdout);

        // Nobody can be asked.
        let held = console.run(&["eject", "--json"]);
        assert_eq!(held.code, 9, "{:?}\n{}", held.events, held.stderr);
        let holder = &held.event("eject_held")["held"][0]["holders"][0];
        assert_eq!(
            (holder["pid"].as_u64(), &holder["spared"]),
            (Some(u64::from(stranger.0)), &serde_json::Value::Null)
        );
        assert!(held.failure()["detail"].as_str().unwrap().contains(&words), "{}", held.failure());
        assert_eq!(held.failure()["command"], "cartridge eject --end-holders");
        let piped = console.run(&["eject", "--yes"]);
        assert!(piped.code == 9 && piped.stderr.contains("--end-holders"), "{}", piped.stderr);
        assert!(stranger.is_there() && left.work.join("half").exists(), "nobody had said so");

        let ended = console.run(&["eject", "--json", "--end-holders"]);
        assert_eq!(ended.code, 0, "{:?}\n{}", ended.events, ended.stderr);
        assert!(!stranger.is_there() && !left.work.exists());
        console.assert_clean();
    });
}

#[test]
fn at_a_terminal_it_is_asked_who_is_ended() {
    alone("at_a_terminal_it_is_asked_who_is_ended", || {
        let console = Console::new();
        let left = Left::behind(&console);
        let stranger = Stranger::sleeper(&left.mount);
        let answered = |answer: &[u8]| {
            let program = env!("CARGO_BIN_EXE_cartridge");
            let mut command = Process::new("script");
            // With the surroundings of the console, and a terminal.
            command.envs(console.command(&[]).get_envs().filter_map(|(name, value)| Some((name, value?))));
            command.args(["-qec", &format!("{program} eject"), "/dev/null"]);
            let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
            child.stdin.take().unwrap().write_all(answer).unwrap();
            let out = child.wait_with_output().unwrap();
            (out.status.code(), String::from_utf8_lossy(&out.stdout).into_owned())
        };
        let (code, said) = answered(b"n\n");
        let question = format!("End process {} (sleep 1000) and eject again?", stranger.0);
        assert!(code == Some(9) && said.contains(&question), "{code:?} {said}");
        assert!(stranger.is_there() && left.work.exists());
        let (code, said) = answered(b"y\n");
        assert!(code == Some(0) && !stranger.is_there() && !left.work.exists(), "{code:?} {said}");
    });
}

#[test]
fn only_those_are_ended_that_were_named() {
    alone("only_those_are_ended_that_were_named", || {
        run(async {
            let console = Console::new();
            let left = Left::behind(&console);
            let (stranger, bystander) = (Stranger::sleeper(&left.mount), Stranger::sleeper(Path::new("/")));
            let mut session = Session::begin(&console);
            session.send(Command::Eject(EjectScope::Session)).await;
            session.until_phase(Phase::Idle).await;
            let unfinished = session.model.unfinished.clone().expect("it is held");
            let named = unfinished.endable();
            assert_eq!(named.iter().map(|it| it.pid).collect::<Vec<_>>(), [stranger.0]);

            let refused = |event: &Event| matches!(event, Event::Refused { denied: Denied::NotNamed, .. });
            let other = Holder { pid: bystander.0, ..named[0].clone() };
            let earlier = Holder { started: named[0].started - 1, ..named[0].clone() };
            for agreed in [vec![other.clone()], vec![earlier], Vec::new()] {
                session.send(Command::EjectEnding { agreed }).await;
                session.until("a refusal", |event, _| refused(event)).await;
            }
            assert!(stranger.is_there() && bystander.is_there());

            let agreed = vec![other, named[0].clone()];
            session.send(Command::EjectEnding { agreed: agreed.clone() }).await;
            session.until_phase(Phase::Idle).await;
            assert!(!stranger.is_there() && bystander.is_there() && !left.work.exists());
            assert!(session.model.unfinished.is_none());
            // What was named once is not named for ever.
            session.send(Command::EjectEnding { agreed }).await;
            session.until("a refusal", |event, _| refused(event)).await;
            session.quit().await;
        });
    });
}

#[test]
fn a_removal_is_stopped_and_goes_on_another_time_and_what_ends_before_is_not_cut_short() {
    let test = "a_removal_is_stopped_and_goes_on_another_time_and_what_ends_before_is_not_cut_short";
    alone(test, || {
        let console = Console::new();
        // On a busy machine it may be over before it is stopped.
        assert!((0..20).any(|_| run(stopped(&console))), "it was never stopped");
        console.assert_clean();
    });
}

/// Stops a removal and lets it go on; false where it was over before.
async fn stopped(console: &Console) -> bool {
    let left = Left::behind(console);
    let mut child = stubborn(&left.mount);
    let mut session = Session::begin(console);
    session.send(Command::Eject(EjectScope::Session)).await;
    // Nothing was told to be removed yet: this stops nothing.
    session.send(Command::Cancel).await;
    let refused = |event: &Event| matches!(event, Event::Refused { denied: Denied::BeingEnded, .. });
    session.until("a refusal", |event, _| refused(event)).await;
    assert!(!session.model.can_cancel());
    session.until("the removal", |event, _| matches!(event, Event::EjectAdvanced { .. })).await;
    assert!(session.model.can_cancel());
    session.send(Command::Cancel).await;
    session.until_phase(Phase::Idle).await;
    assert!(session.model.failure.is_none() && !session.model.can_cancel(), "{:?}", session.model.failure);
    let unfinished = session.model.unfinished.clone();
    if let Some(unfinished) = &unfinished {
        assert_eq!((&unfinished.left, &unfinished.held), (&vec![left.work.clone()], &Vec::new()));
        assert!(left.work.join("half").exists());
        session.send(Command::Eject(EjectScope::Session)).await;
        session.until("the second", |event, _| matches!(event, Event::Ejected { left, .. } if left.is_empty())).await;
        session.until_phase(Phase::Idle).await;
    }
    assert!(session.model.unfinished.is_none() && !left.work.exists());
    assert!(!child.wait().unwrap().success());
    session.quit().await;
    unfinished.is_some()
}

#[test]
fn the_first_signal_stops_a_removal_in_a_terminal() {
    alone("the_first_signal_stops_a_removal_in_a_terminal", || {
        let console = Console::new();
        let interrupted = || {
            let left = Left::behind(&console);
            let stranger = Stranger::new(&left.mount, "trap '' TERM; exec sleep 1000");
            let mut run = console.start(&["eject", "--json", "--end-holders"]);
            run.wait_for(|event| event["event"] == "eject_held");
            run.wait_for_phase("ejecting");
            run.signal(Signal::INT);
            let ejected = run.wait_for(|event| event["event"] == "ejected");
            let code = run.wait();
            let stopped = ejected["left"][0].as_str() == left.work.to_str();
            assert_eq!(code, if stopped { 130 } else { 0 }, "{:?}", run.seen);
            if stopped {
                assert!(left.work.join("half").exists());
                assert_eq!(console.run(&["eject", "--json", "--end-holders"]).code, 0);
            }
            assert!(!stranger.is_there() && !left.work.exists());
            stopped
        };
        assert!((0..20).any(|_| interrupted()), "it was never stopped");
    });
}

#[test]
fn what_a_killed_session_had_started_is_ended_and_nobody_is_asked() {
    alone("what_a_killed_session_had_started_is_ended_and_nobody_is_asked", || {
        let console = Console::new();
        // The list of children that a session writes begins with which run of the system it was.
        let repo = console.repository("distro");
        assert_eq!(console.run(&["build", "--json", repo.to_str().unwrap()]).code, 0);
        let sessions = paths(&console).state.join("sessions");
        let lists = fs::read_dir(&sessions).unwrap().flatten().map(|entry| entry.path().join("children"));
        let list = lists.filter_map(|path| fs::read_to_string(path).ok()).find(|text| text.lines().count() > 1);
        let world = list.expect("a build starts programs").lines().next().unwrap().to_owned();
        let mark = "b0c1d2e3-somebody";

        let left = Left::behind(&console);
        // Somebody whose parent, the leader of his group, was such a child and is gone.
        let mut between = Process::new("sh");
        between.args(["-c", "sleep 1000 >/dev/null 2>&1 & echo $! $$ $(cut -d' ' -f6,22 /proc/$$/stat)"]);
        // What a session starts has its mark.
        between.env("CARTRIDGE_PROCESS", mark);
        let out = between.current_dir(&left.mount).process_group(0).output().unwrap();
        let said = String::from_utf8(out.stdout).unwrap();
        let words: Vec<&str> = said.split_whitespace().collect();
        let (child, bystander) = (Stranger::of(words[0].parse().unwrap()), Stranger::sleeper(Path::new("/")));
        let line = format!("{world}\n{mark}\n{} {} {}\n", words[1], words[3], words[2]);
        let dead = sessions.join("20200101-000000-1/children");

        // Of another run of the system: somebody else.
        fs::write(&dead, line.replacen(&world, "another", 1)).unwrap();
        assert_eq!(console.run(&["eject", "--json"]).code, 9);
        assert!(child.is_there());
        // In a group of the same number, but of another run of the program: somebody else.
        fs::write(&dead, line.replacen(mark, "b0c1d2e3-another", 1)).unwrap();
        assert_eq!(console.run(&["eject", "--json"]).code, 9);
        assert!(child.is_there());
        fs::write(&dead, &line).unwrap();
        let ended = console.run(&["eject", "--json"]);
        assert_eq!(ended.code, 0, "{:?}\n{}", ended.events, ended.stderr);
        let what = ended.event("recovered")["what"].to_string();
        assert!(what.contains(&format!("sleep (process {})", child.0)), "{what}");
        assert!(!child.is_there() && bystander.is_there() && !left.work.exists());
    });
}

/// A work directory of this very session's, with something mounted in it.
fn own_work(console: &Console, id: &str) -> Left {
    let work = isoprep::WorkDir::create(&paths(console).cache.join("work"), id).unwrap().path().to_owned();
    fs::write(work.join("half"), "built").unwrap();
    let mount = work.join("airootfs/run");
    fs::create_dir_all(&mount).unwrap();
    Left { work, mount }.mounted()
}

#[test]
fn a_session_that_is_to_end_unless_held_can_be_answered_and_one_that_is_told_to_end_leaves_it() {
    alone("a_session_that_is_to_end_unless_held_can_be_answered_and_one_that_is_told_to_end_leaves_it", || {
        run(async {
            let console = Console::new();
            for agrees in [true, false] {
                let mut session = Session::begin(&console);
                session.until("its beginning", |event, _| matches!(event, Event::Opened { .. })).await;
                let id = session.model.logs.file_name().unwrap().to_str().unwrap().to_owned();
                let left = own_work(&console, &id);
                let stranger = Stranger::sleeper(&left.mount);
                session.send(Command::QuitUnlessHeld).await;
                session.until_phase(Phase::Idle).await;
                let named = session.model.unfinished.clone().expect("it is held").endable();
                assert_eq!(named.iter().map(|it| it.pid).collect::<Vec<_>>(), [stranger.0]);
                assert!(!session.model.closed && stranger.is_there() && left.work.join("half").exists());
                if agrees {
                    session.send(Command::EjectEnding { agreed: named }).await;
                    session.until_phase(Phase::Idle).await;
                    assert!(session.model.unfinished.is_none() && !stranger.is_there() && !left.work.exists());
                    session.send(Command::QuitUnlessHeld).await;
                    session.until("the end", |event, _| matches!(event, Event::Closed)).await;
                } else {
                    session.send(Command::Quit).await;
                    let ejects = |event: &Event| matches!(event, Event::Ejected { .. });
                    let ends = |event: &Event| matches!(event, Event::Closed);
                    session
                        .until("the end", |event, _| {
                            assert!(!ejects(event), "it was tried again although that was answered");
                            ends(event)
                        })
                        .await;
                    assert!(stranger.is_there() && left.work.join("half").exists());
                }
            }
            // What was left the next eject removes.
            let ended = console.run(&["eject", "--json", "--end-holders"]);
            assert_eq!(ended.code, 0, "{:?}\n{}", ended.events, ended.stderr);
            console.assert_clean();
        });
    });
}

/// A command in a terminal of its own, to type at.
struct Terminal {
    child: Child,
    said: std::sync::Arc<std::sync::Mutex<String>>,
}

impl Terminal {
    fn start(console: &Console, words: &str) -> Self {
        let program = env!("CARGO_BIN_EXE_cartridge");
        let mut command = Process::new("script");
        command.envs(console.command(&[]).get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.args(["-qec", &format!("{program} {words}"), "/dev/null"]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let said = std::sync::Arc::new(std::sync::Mutex::new(String::new()));
        let (mut out, heard) = (child.stdout.take().unwrap(), std::sync::Arc::clone(&said));
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(length @ 1..) = std::io::Read::read(&mut out, &mut bytes) {
                heard.lock().unwrap().push_str(&String::from_utf8_lossy(&bytes[..length]));
            }
        });
        Self { child, said }
    }

    fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    /// Waits until it has said that; the limit is for a loaded machine.
    fn until(&self, words: &str) {
        for _ in 0..24_000 {
            if self.said().contains(words) {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        panic!("it did not say {words:?}: {}", self.said());
    }

    fn press(&mut self, keys: &[u8]) {
        let stdin = self.child.stdin.as_mut().unwrap();
        stdin.write_all(keys).unwrap();
        stdin.flush().unwrap();
    }

    fn wait(mut self) -> (Option<i32>, String) {
        let code = self.child.wait().unwrap().code();
        (code, self.said())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A guest in a terminal, whose session's work directory somebody holds.
fn up_and_held(console: &Console) -> (Terminal, Left, Stranger) {
    let terminal = Terminal::start(console, "up --builtin --set guest.memory=512M --set guest.accelerator=tcg");
    terminal.until("Serial line of the guest");
    let mut inside = fs::read_dir(paths(console).cache.join("work")).unwrap().flatten().map(|it| it.path());
    let work = inside.find(|path| isoprep::is_marked(path)).unwrap();
    let mount = work.join("held");
    fs::create_dir(&mount).unwrap();
    let left = Left { work, mount }.mounted();
    let stranger = Stranger::sleeper(&left.mount);
    (terminal, left, stranger)
}

#[test]
fn at_a_terminal_whoever_leaves_a_guest_is_asked_who_is_ended() {
    alone("at_a_terminal_whoever_leaves_a_guest_is_asked_who_is_ended", || {
        let console = Console::new();
        let (mut terminal, left, stranger) = up_and_held(&console);
        terminal.press(b"\x1d");
        // The keys go to the question, not to the guest any more.
        terminal.until(&format!("End process {} (sleep 1000) and eject again?", stranger.0));
        assert!(stranger.is_there() && left.work.exists());
        terminal.press(b"y\n");
        let (code, said) = terminal.wait();
        assert_eq!(code, Some(0), "{said}");
        assert!(!stranger.is_there() && !left.work.exists(), "{said}");
        console.assert_clean();
    });
}

#[test]
fn at_a_terminal_a_signal_asks_too_and_a_second_one_leaves_them() {
    alone("at_a_terminal_a_signal_asks_too_and_a_second_one_leaves_them", || {
        let console = Console::new();
        let (mut terminal, left, stranger) = up_and_held(&console);
        let records = fs::read_dir(paths(&console).state.join("sessions")).unwrap().flatten();
        let record = records.filter_map(|it| fs::read(it.path().join("open.json")).ok()).next().unwrap();
        let record: serde_json::Value = serde_json::from_slice(&record).unwrap();
        let pid = rustix::process::Pid::from_raw(record["process"].as_i64().unwrap().try_into().unwrap()).unwrap();
        rustix::process::kill_process(pid, Signal::TERM).unwrap();
        terminal.until("and eject again?");
        // Ctrl-C, at a terminal that is the user's again.
        terminal.press(b"\x03");
        let (code, said) = terminal.wait();
        assert_eq!(code, Some(130), "{said}");
        assert!(stranger.is_there() && left.work.exists() && said.contains("still mounted inside"), "{said}");
        let ended = console.run(&["eject", "--json", "--end-holders"]);
        assert_eq!(ended.code, 0, "{:?}\n{}", ended.events, ended.stderr);
        assert!(!left.work.exists());
        console.assert_clean();
    });
}

#[test]
fn files_of_lent_users_are_taken_back_and_removed_with_the_rest() {
    if !rustix::process::geteuid().is_root() {
        return eprintln!("only root can make files of others");
    }
    let console = Console::of_somebody_else();
    let paths = paths(&console);
    let record = paths.state.join("sessions/20200101-000000-1");
    fs::create_dir_all(&record).unwrap();
    fs::write(record.join("open.json"), r#"{"who": "a test"}"#).unwrap();
    let work = isoprep::WorkDir::create(&paths.cache.join("work"), "20200101-000000-1").unwrap().path().to_owned();
    for file in ["half", "root/usr/file", "root/usr/other", "root/var/file"] {
        let file = work.join(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, "built").unwrap();
    }
    console.give();
    // The third of the ids that are lent to whoever runs it.
    let user = std::os::unix::fs::MetadataExt::uid(&fs::metadata(console.home.path()).unwrap());
    let names = fs::read_to_string("/etc/passwd").unwrap();
    let line = names.lines().find(|line| line.split(':').nth(2) == Some(&user.to_string())).unwrap();
    let name = line.split(':').next().unwrap();
    let lent = fs::read_to_string("/etc/subuid").unwrap();
    let line = lent.lines().find(|line| line.split(':').next() == Some(name)).unwrap();
    let lent = line.split(':').nth(1).unwrap().parse::<u32>().unwrap() + 2;
    for closed in ["root/usr", "root/usr/file"] {
        std::os::unix::fs::chown(work.join(closed), Some(lent), Some(lent)).unwrap();
    }
    fs::set_permissions(work.join("root/usr"), std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let ejected = console.run(&["eject", "--json"]);
    assert_eq!(ejected.code, 0, "{:?}\n{}", ejected.events, ejected.stderr);
    // All of it was counted once: four files, three folders, the marker and the directory.
    let removed = &ejected.event("ejected")["report"]["removed"];
    assert!(!work.exists() && removed.as_u64() == Some(9), "{removed}");
}
