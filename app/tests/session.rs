//! The driver itself, without a front end: goals that follow one another, edits that meet on the disk, a full disk.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod support;

use std::fs;
use std::path::PathBuf;
use std::process::Command as Process;
use std::time::Duration;

use cartridge::session::blank::BlankCure;
use cartridge::session::state::{EjectScope, Goal, Phase};
use cartridge::session::{Command, Event, SessionConfig};
use support::Console;
use support::session::{Session, config, paths};
use vmtools::GuestStatus;

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
    session
        .send(Command::TypeText {
            text: "echo typed $((40 + 2)) > /dev/ttyS0\n".into(),
            layout: vmtools::display::Layout::Us.into(),
        })
        .await;
    // What is pressed meanwhile does not get between its letters.
    session.until("typing", |event, _| matches!(event, Event::TypingChanged { typing: true })).await;
    for down in [true, false, true, false] {
        // X.
        session.send(Command::Input(vmtools::InputEvent::key(0x2d, down))).await;
        session.send(Command::Input(vmtools::InputEvent::ReleaseAll)).await;
    }
    typed(&mut session, b"typed 42").await;

    // It would take many minutes, and what is typed after it as long.
    let text = "a".repeat(20_000);
    session.send(Command::TypeText { text, layout: vmtools::display::Layout::Us.into() }).await;
    session.until("typing", |event, _| matches!(event, Event::TypingChanged { typing: true })).await;
    session.send(Command::StopTyping).await;
    session.until("no more of it", |_, model| !model.typing).await;
    session
        .send(Command::TypeText {
            text: "\necho stopped $((40 + 3)) > /dev/ttyS0\n".into(),
            layout: vmtools::display::Layout::Us.into(),
        })
        .await;
    typed(&mut session, b"stopped 43").await;
    session.quit().await;
    console.assert_clean();
}

/// Waits until the guest has written that.
async fn typed(session: &mut Session, words: &[u8]) {
    let end = std::time::Instant::now() + Duration::from_secs(60);
    let logs = session.handle.logs.clone();
    let written = || {
        logs.pane(cartridge::session::logs::Pane::Serial).read(|ring| {
            let has = |line: &[u8]| line.windows(words.len()).any(|part| part == words);
            (ring.begin()..ring.end()).any(|n| ring.line(n).is_some_and(has))
        })
    };
    while !written() {
        assert!(std::time::Instant::now() < end, "typed text never arrived: {}", String::from_utf8_lossy(words));
        tokio::time::sleep(Duration::from_millis(100)).await;
        while let Ok(told) = session.handle.events.try_recv() {
            session.model.fold(&told);
        }
    }
}

/// What is saved is in the running guest, and what the guest writes is not here.
#[tokio::test(flavor = "multi_thread")]
async fn a_live_folder_is_seen_by_the_guest_that_runs() {
    let console = Console::new();
    let repo = console.repository("distro");
    let mut session = Session::begin(&console);
    session.insert(&repo).await;
    session.set("source.live", "overlaid").await;
    session.send(Command::Ask(Goal::Up)).await;
    session
        .until("what was chosen", |event, model| {
            assert!(model.failure.is_none(), "{:?}", model.failure);
            matches!(event, Event::Noticed { text, .. } if text.contains("is lent to the guest at /root/distro, overlaid, by "))
        })
        .await;
    session.until_phase(Phase::Running).await;
    let guest = session.model.guest.clone().unwrap();
    let report = guest.report.unwrap();
    let live = report.live().unwrap_or_else(|| panic!("{report:?}")).clone();
    assert_eq!((guest.matches, report.tree.as_str(), live.access.as_str()), (None, "", "overlaid"));

    let logs = session.handle.logs.clone();
    let printed = |words: &str| {
        logs.pane(cartridge::session::logs::Pane::Serial).read(|ring| {
            let has = |line: &[u8]| line.windows(words.len()).any(|part| part == words.as_bytes());
            (ring.begin()..ring.end()).any(|n| ring.line(n).is_some_and(has))
        })
    };
    let script = "cd /; echo mine > /root/distro/written; while :; do cat /root/distro/hello.txt /root/distro/new; usleep 50000; done\n";
    session.send(Command::SendSerial(script.into())).await;
    fs::write(repo.join("beside"), "an edit\n").unwrap();
    fs::rename(repo.join("beside"), repo.join("hello.txt")).unwrap();
    fs::write(repo.join("new"), "a new file\n").unwrap();
    let saved = std::time::Instant::now();
    for words in ["an edit", "a new file"] {
        while !printed(words) {
            assert!(saved.elapsed() < Duration::from_secs(120), "{words:?} was never seen by the guest");
            tokio::time::sleep(Duration::from_millis(20)).await;
            while let Ok(told) = session.handle.events.try_recv() {
                session.model.fold(&told);
            }
        }
        eprintln!("{words:?} was seen {:.2} s after it was saved, by {}", saved.elapsed().as_secs_f64(), live.kind);
    }
    session.quit().await;
    console.assert_clean();
    assert!(!repo.join("written").exists(), "what the guest writes stays in the guest");
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
async fn a_screen_of_one_colour_is_told_and_taken_back() {
    let console = Console::new();
    let blank_after = Some(Duration::from_secs(6));
    let mut session = Session::of(SessionConfig { blank_after, ..config(&console, false) });
    session.insert(&console.repository("distro")).await;
    session.send(Command::Ask(Goal::Up)).await;
    session.until("the report", |event, _| matches!(event, Event::GuestReported { .. })).await;
    // The shell asks where the cursor is when it is ready.
    let serial = session.model.logs.join("serial.log");
    let end = std::time::Instant::now() + Duration::from_secs(60);
    while !fs::read(&serial).unwrap_or_default().windows(3).any(|it| it == b"[6n") {
        assert!(std::time::Instant::now() < end, "no shell");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // Nothing more of the kernel, no cursor, no text.
    let clear = "echo 0 >/proc/sys/kernel/printk; printf '\\033[?25l\\033[2J' >/dev/tty0\n";
    session.send(Command::SendSerial(clear.into())).await;
    session.until("that it is blank", |event, _| matches!(event, Event::ScreenBlank { .. })).await;
    let (seconds, cure) = session.model.guest.as_ref().unwrap().blank.clone().unwrap();
    assert!(seconds >= 6);
    // Whether it can be mended is this host's answer, from a look at it.
    let qemu = std::path::Path::new("qemu-system-x86_64");
    let can = vmtools::find_render_node(std::path::Path::new("/"), qemu, &isoprep::Cancel::new());
    match can {
        Ok(_) => assert_eq!(cure, BlankCure::Give3d),
        Err(why) => assert_eq!(cure, BlankCure::No3d(why.to_string())),
    }
    session.send(Command::SendSerial("echo something >/dev/tty0\n".into())).await;
    session.until("that it is not", |event, _| matches!(event, Event::ScreenDrawn)).await;
    assert_eq!(session.model.guest.as_ref().unwrap().blank, None);
    session.quit().await;
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
        let config = SessionConfig { paths: paths.clone(), ..config(&console, false) };
        let mut session = Session::of(config);
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

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_is_cut_down_is_told_once_and_again_when_it_is_another() {
    let console = Console::new();
    let repo = console.repository("distro");
    // Too big for the guest: each goal ends after its preparation.
    fs::File::create(repo.join("big")).unwrap().set_len(5 << 30).unwrap();
    let mut session = Session::begin(&console);
    session.insert(&repo).await;
    let mut told = 0;
    for (cpus, more) in [("255", 1), ("255", 0), ("254", 1), ("255", 1)] {
        session.set("guest.cpus", cpus).await;
        session.send(Command::Ask(Goal::Up)).await;
        session.until("the refusal", |event, _| matches!(event, Event::Failed { .. })).await;
        session.until_phase(Phase::Idle).await;
        told += more;
        let cut = |notice: &&cartridge::session::model::Notice| notice.text.contains("instead of 25");
        assert_eq!(session.model.notices.iter().filter(cut).count(), told, "{:?}", session.model.notices);
    }
    session.quit().await;
}
