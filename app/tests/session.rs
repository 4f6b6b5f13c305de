//! The driver itself, without a front end: goals that follow one another, edits that meet on the disk, a full disk.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command as Process;
use std::time::Duration;

use cartridge::paths::Paths;
use cartridge::session::examination::Unexamined;
use cartridge::session::state::{EjectScope, Goal, Phase};
use cartridge::session::{Command, Event, Model, SessionConfig, SessionHandle, begin};
use support::Console;
use vmtools::GuestStatus;

struct Session {
    handle: SessionHandle,
    model: Model,
}

impl Session {
    fn begin(console: &Console) -> Self {
        Self::with(console, false)
    }

    /// One that looks at its cartridge by itself, as that of a window does, or not.
    fn with(console: &Console, examines: bool) -> Self {
        let config = SessionConfig {
            paths: paths(console),
            who: "a test".into(),
            fresh: false,
            lint: true,
            examines,
            patience: None,
        };
        Self { handle: begin(config).unwrap(), model: Model::default() }
    }

    async fn set(&self, key: &str, value: &str) {
        self.send(Command::SetField { key: key.into(), value: value.into() }).await;
    }

    async fn send(&self, command: Command) {
        self.handle.commands.send(command).await.unwrap();
    }

    /// Folds events until one fits; the limit is for a loaded machine.
    async fn until(&mut self, what: &str, fits: impl Fn(&Event, &Model) -> bool) {
        let wait = async {
            loop {
                let told = self.handle.events.recv().await.expect("the session is open");
                self.model.fold(&told);
                if fits(&told.event, &self.model) {
                    return;
                }
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(240), wait).await;
        assert!(waited.is_ok(), "waited for {what}: {:#?}", self.model);
    }

    async fn until_phase(&mut self, phase: Phase) {
        self.until(
            &format!("{phase:?}"),
            |event, _| matches!(event, Event::StateChanged { state } if state.phase == phase),
        )
        .await;
    }

    async fn insert(&mut self, repo: &Path) {
        self.send(Command::Insert(repo.to_owned())).await;
        self.until("the cartridge", |_, model| model.cartridge.is_some() && model.state.inserted).await;
    }

    async fn quit(mut self) {
        self.send(Command::Quit).await;
        self.until("the end", |event, _| matches!(event, Event::Closed)).await;
    }
}

fn paths(console: &Console) -> Paths {
    let at = |name: &str| -> PathBuf { console.home.path().join(name) };
    Paths {
        cache: at("cache/cartridge"),
        state: at("state/cartridge"),
        data: at("data/cartridge"),
        config: at("config/cartridge"),
        runtime: at("run/cartridge"),
        pictures: at("pictures"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn build_and_boot_again_while_the_guest_runs() {
    let console = Console::new();
    let repo = console.repository("distro");
    let mut session = Session::begin(&console);
    session.insert(&repo).await;
    session.send(Command::SetField { key: "guest.forward".into(), value: "{ ssh = \"auto\" }".into() }).await;
    session.send(Command::Ask(Goal::Up)).await;
    session.until_phase(Phase::Running).await;
    let guest = session.model.guest.clone().unwrap();
    assert_eq!((guest.matches, guest.status), (Some(true), GuestStatus::Running));
    let [(name, 22, port)] = &guest.ports[..] else { panic!("no ssh port: {:?}", guest.ports) };
    assert!(name == "ssh" && *port > 1023);

    fs::write(repo.join("another"), "file").unwrap();
    session.send(Command::Ask(Goal::Up)).await;
    session
        .until("the second guest", |event, model| {
            assert!(model.failure.is_none(), "{:?}", model.failure);
            matches!(event, Event::StateChanged { state } if state.phase == Phase::Running)
        })
        .await;
    let again = session.model.guest.clone().unwrap();
    assert_eq!((again.matches, again.report.unwrap().files), (Some(true), 3));
    assert_ne!(again.pid, guest.pid);

    // Typing goes on while the guest is busy on its serial line.
    session.send(Command::SendSerial(b"while :; do echo busy; done &\n".to_vec())).await;
    session.send(Command::TypeText("echo typed $((40 + 2)) > /dev/ttyS0\n".into())).await;
    let end = std::time::Instant::now() + Duration::from_secs(60);
    let logs = session.handle.logs.clone();
    let typed = move || {
        logs.pane(cartridge::session::logs::Pane::Serial).read(|ring| {
            (ring.begin()..ring.end()).any(|n| ring.line(n).is_some_and(|l| l.windows(8).any(|w| w == b"typed 42")))
        })
    };
    while !typed() {
        assert!(std::time::Instant::now() < end, "typed text never arrived");
        tokio::time::sleep(Duration::from_millis(100)).await;
        while let Ok(told) = session.handle.events.try_recv() {
            session.model.fold(&told);
        }
    }
    session.quit().await;
    console.assert_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn saving_does_not_lose_what_an_editor_wrote_meanwhile() {
    let console = Console::new();
    let repo = console.repository("distro");
    let file = repo.join("cartridge.toml");
    let mut session = Session::begin(&console);
    session.insert(&repo).await;
    session.send(Command::SetField { key: "guest.cpus".into(), value: "3".into() }).await;
    session.until("the edit", |_, model| model.cartridge.as_ref().is_some_and(|c| c.dirty)).await;
    fs::write(&file, "# from an editor\n[guest]\nmemory = \"2G\"\n").unwrap();
    session.send(Command::Save).await;
    session
        .until("the warning", |event, _| matches!(event, Event::Noticed { text, .. } if text.contains("meanwhile")))
        .await;
    assert!(fs::read_to_string(&file).unwrap().starts_with("# from an editor"));
    // Asked again, the user knows.
    session.send(Command::Save).await;
    session
        .until("the save", |event, _| matches!(event, Event::Noticed { text, .. } if text.starts_with("Saved")))
        .await;
    assert!(fs::read_to_string(&file).unwrap().contains("cpus = 3"));
    session.quit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_found_goes_with_the_cartridge_and_what_was_not_looked_at_is_not_well() {
    let console = Console::new();
    let repo = console.repository("distro");
    fs::write(repo.join("cartridge.toml"), "[image]\nengine = \"archiso\"\nbase = \"minimal\"\n").unwrap();
    let mut session = Session::with(&console, true);
    session.insert(&repo).await;
    let examined = |event: &Event, _: &Model| matches!(event, Event::Examined { .. });
    session.until("a look", examined).await;
    let profile = |event: &Event| matches!(event, Event::NotExamined { why: Unexamined::NoProfile { .. } });
    let invalid = |event: &Event, _: &Model| matches!(event, Event::NotExamined { why: Unexamined::Invalid });
    // It has no base, and it takes no profile.
    session.set("image.engine", "micro").await;
    session.until("the end of what was seen", invalid).await;
    session.set("image.base", "").await;
    session.until("the reason", |event, _| profile(event)).await;
    assert_eq!(session.model.examination, None);
    session.send(Command::Examine).await;
    session
        .until("an answer", |event, _| {
            assert!(!matches!(event, Event::Examined { .. }), "nothing was looked at");
            profile(event)
        })
        .await;

    session.set("image.engine", "archiso").await;
    session.set("image.base", "minimal").await;
    session.until("another look", examined).await;
    session.set("guest.memory", "4 gigs").await;
    session.until("the end of that", invalid).await;
    assert!(session.model.examination.is_none() && !session.model.examining);
    // Cancelled in the middle: the answer of what was begun is not "nothing was found".
    session.set("guest.memory", "2G").await;
    session.until("a look that begins", |event, _| matches!(event, Event::Examining)).await;
    session.set("guest.memory", "4 gigs").await;
    session
        .until("its end", |event, model| {
            assert!(!matches!(event, Event::Examined { failure: None, .. }) || model.state.inserted);
            invalid(event, model)
        })
        .await;
    session.quit().await;
    console.assert_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_checks_of_the_host_follow_what_the_cartridge_needs() {
    let console = Console::new();
    let repo = console.repository("distro");
    let mut session = Session::begin(&console);
    session.insert(&repo).await;
    session.send(Command::Diagnose).await;
    let of_mkarchiso = |model: &Model| model.checks.iter().flatten().any(|check| check.name == "mkarchiso");
    session.until("the checks", |event, _| matches!(event, Event::Diagnosed { .. })).await;
    assert!(!of_mkarchiso(&session.model), "nobody wants it");
    session.set("image.engine", "mkarchiso").await;
    session.set("image.base", "minimal").await;
    session.until("other checks", |_, model| of_mkarchiso(model)).await;
    session.set("image.base", "").await;
    session.set("image.engine", "micro").await;
    session.until("the first ones", |_, model| !of_mkarchiso(model)).await;
    session.quit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn edits_of_other_programs_are_noticed_when_the_window_is_looked_at_again() {
    let console = Console::new();
    let repo = console.repository("distro");
    let mut session = Session::with(&console, true);
    session.insert(&repo).await;
    fs::write(repo.join("cartridge.toml"), "[guest]\ncpus = 3\n").unwrap();
    session.send(Command::Refresh).await;
    session.until("the edit", |_, model| model.cartridge.as_ref().is_some_and(|c| c.text.contains("cpus = 3"))).await;
    assert!(!session.model.cartridge.as_ref().unwrap().dirty);
    session.quit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unchanged_build_is_a_build_in_which_nothing_differs() {
    let console = Console::new();
    let repo = console.repository("distro");
    let mut session = Session::begin(&console);
    session.insert(&repo).await;
    let compared = |event: &Event, _: &Model| matches!(event, Event::BuildCompared { .. });
    let idle = |event: &Event, _: &Model| matches!(event, Event::StateChanged { state } if state.phase == Phase::Idle);
    session.send(Command::Ask(Goal::Build)).await;
    session.until("the first comparison", compared).await;
    assert_eq!(session.model.comparison.as_ref().unwrap().difference, None, "there is nothing before it");
    session.send(Command::Eject(EjectScope::Session)).await;
    session.until("the end", idle).await;
    session.send(Command::Ask(Goal::Build)).await;
    session.until("the second", compared).await;
    assert!(session.model.image.as_ref().unwrap().reused);
    let comparison = session.model.comparison.as_ref().unwrap();
    assert!(comparison.difference.as_ref().is_some_and(|it| it.is_empty()), "{comparison:?}");
    assert_eq!(comparison.summary, "nothing changed");
    session.quit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_comparison_is_answered_and_told_of_no_other_cartridge() {
    let console = Console::new();
    let (repo, other) = (console.repository("distro"), console.repository("other"));
    // Enough to be compared for a while.
    for n in 0..3000_u32 {
        let bytes: Vec<u8> =
            (0..4096_u32).map(|at| (n.wrapping_mul(2_654_435_761) ^ at.wrapping_mul(40_503)) as u8).collect();
        fs::write(repo.join(n.to_string()), bytes).unwrap();
    }
    let mut session = Session::begin(&console);
    session.insert(&repo).await;
    session.send(Command::Ask(Goal::Build)).await;
    session.until("the comparison", |event, _| matches!(event, Event::Comparing)).await;
    let open = std::cell::Cell::new(1);
    let idle = |event: &Event| matches!(event, Event::StateChanged { state } if state.phase == Phase::Idle);
    let answered = |event: &Event| matches!(event, Event::BuildCompared { .. } | Event::NotCompared { .. });
    session
        .until("the end of the build", |event, _| {
            open.set(open.get() - i32::from(answered(event)));
            idle(event)
        })
        .await;
    session.send(Command::Insert(other.clone())).await;
    session
        .until("the other cartridge", |event, model| {
            open.set(open.get() - i32::from(answered(event)));
            model.cartridge.as_ref().is_some_and(|it| it.root.ends_with("other"))
        })
        .await;
    assert_eq!(open.get(), 0, "answered, and before the other cartridge is there");
    assert!(!session.model.comparing && session.model.comparison.is_none());
    let late = tokio::time::timeout(Duration::from_millis(1500), async {
        while let Some(told) = session.handle.events.recv().await {
            assert!(!answered(&told.event), "{told:?}");
        }
    });
    assert!(late.await.is_err(), "the session goes on");
    session.quit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cache_in_use_is_said_where_it_was_asked_for_and_touches_no_goal() {
    let console = Console::new();
    let mut session = Session::begin(&console);
    let stages = paths(&console).stages();
    fs::create_dir_all(&stages).unwrap();
    let lock = fs::File::create(stages.join("lock")).unwrap();
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockShared).unwrap();
    session.send(Command::CleanCache).await;
    session.until("the refusal", |_, model| model.cache_failure.is_some()).await;
    assert_eq!(session.model.failure, None);
    drop(lock);
    session.send(Command::CleanCache).await;
    session.until("the cleaning", |event, _| matches!(event, Event::CacheViewed { freed: Some(_), .. })).await;
    assert_eq!(session.model.cache_failure, None);
    session.quit().await;
}

/// Runs the named test of this program again, alone in a mount namespace with a small file system for the cache.
fn in_a_small_disk(test: &str, mebibytes: u32) {
    let script = r#"set -e
mkdir -p "$CARTRIDGE_SMALL/cache"
mount -t tmpfs -o size="$CARTRIDGE_MIB"M small "$CARTRIDGE_SMALL/cache"
exec "$0" --exact "$1" --nocapture --include-ignored"#;
    let console = Console::new();
    let flags: &[&str] = if rustix::process::geteuid().is_root() { &["-m"] } else { &["-Urm"] };
    let out = Process::new("unshare")
        .args(flags)
        .args(["--propagation", "private", "sh", "-c", script])
        .arg(std::env::current_exe().unwrap())
        .arg(test)
        .env("CARTRIDGE_SMALL", console.home.path())
        .env("CARTRIDGE_MIB", mebibytes.to_string())
        .output()
        .unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert!(out.status.success() && text.contains("1 passed"), "{text}");
}

#[test]
fn a_full_disk_is_told_and_mends_by_itself() {
    in_a_small_disk("full_disk", 8);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "runs in the mount namespace that a_full_disk_is_told_and_mends_by_itself makes"]
async fn full_disk() {
    let mut console = Console::new();
    let small = PathBuf::from(std::env::var_os("CARTRIDGE_SMALL").unwrap());
    let repo = console.repository("distro");
    let mut paths = paths(&console);
    paths.cache = small.join("cache/cartridge");
    let fill = small.join("cache/fill");
    let build = async |fails: bool| {
        let config = SessionConfig {
            paths: paths.clone(),
            who: "a test".into(),
            fresh: false,
            lint: true,
            examines: false,
            patience: None,
        };
        let mut session = Session { handle: begin(config).unwrap(), model: Model::default() };
        session.insert(&repo).await;
        session.send(Command::Ask(Goal::Build)).await;
        session
            .until("the end of the build", |event, model| {
                matches!(event, Event::StateChanged { state } if state.phase == Phase::Idle)
                    && model.state.outcome.is_some()
            })
            .await;
        let failure = session.model.failure.clone();
        assert_eq!(failure.is_some(), fails, "{failure:?}");
        session.send(Command::Eject(EjectScope::Session)).await;
        session.quit().await;
        failure.map(|f| format!("{} {}", f.title, f.detail)).unwrap_or_default()
    };
    // Not a byte is free: not even the markers can be written.
    let mut free = fs::File::create(&fill).unwrap();
    let _ = std::io::copy(&mut std::io::repeat(7), &mut free);
    let said = build(true).await;
    assert!(said.contains("space"), "{said}");
    // Eight mebibytes: the markers fit, the image does not.
    fs::write(&fill, "").unwrap();
    let said = build(true).await;
    assert!(said.contains("free") || said.contains("space"), "{said}");
    // Room enough: nothing of what failed before is in the way.
    let grown = Process::new("mount").args(["-o", "remount,size=512M"]).arg(small.join("cache")).status().unwrap();
    assert!(grown.success());
    assert_eq!(build(false).await, "");
    console.home.disable_cleanup(false);
}
