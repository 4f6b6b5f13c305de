//! Tests of a repository through a session and through the terminal, with real guests of the engine micro: warm from a slot, cold,
//! on every save; steps that answer and steps that do not.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use cartridge::session::event::Side;
use cartridge::session::state::Phase;
use cartridge::session::{Command, Event};
use support::Console;
use support::session::Session;

/// A repository whose test prints a file of it, and expects `wanted` there.
fn repository(console: &Console, wanted: &str) -> PathBuf {
    let repo = console.repository("distro");
    fs::write(repo.join("script"), "first content\n").unwrap();
    write_test(&repo, wanted, "");
    repo
}

fn write_test(repo: &Path, wanted: &str, more: &str) {
    let text = format!(
        "[guest]\nmemory = \"512M\"\ncpus = 1\naccelerator = \"tcg\"\n[test]\nslot = \"ready\"\nwithin = 20\nbefore = [\"serial echo re''ady\", \"expect ready\"]\n\
         steps = [{more}\"serial cat /root/distro/script\", \"expect {wanted}\"]\n"
    );
    fs::write(repo.join("cartridge.toml"), text).unwrap();
}

/// Waits for the end of a test: whether it was warm, whether it has passed, and all of it in a sentence.
async fn ended(session: &mut Session) -> (bool, bool, String) {
    session.until("the end of the test", |event, _| matches!(event, Event::TestEnded { .. })).await;
    let test = session.model.test.clone().unwrap();
    let (passed, words) = test.ended.unwrap();
    (test.warm, passed, words)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_test_makes_its_slot_and_the_next_ones_start_from_it() {
    let console = Console::new();
    let repo = repository(&console, "content");
    let mut session = Session::begin(&console);
    session.insert(&repo).await;
    session.send(Command::RunTest { warm: true }).await;
    session.until("the saving", |event, _| matches!(event, Event::SlotSaved { name, .. } if name == "ready")).await;
    let (warm, passed, words) = ended(&mut session).await;
    assert!(!warm && passed, "{words}");
    assert!(session.model.guest.as_ref().unwrap().slot.is_none());

    // Warm: the guest that runs is ended, the slot's has the repository as it is now.
    fs::write(repo.join("script"), "second content\n").unwrap();
    write_test(&repo, "second", "");
    session.send(Command::RunTest { warm: true }).await;
    let (warm, passed, words) = ended(&mut session).await;
    assert!(warm && passed && words.starts_with("Test passed, warm: "), "{words}");
    assert_eq!(session.model.guest.as_ref().unwrap().slot.as_deref(), Some("ready"));

    // What the guest does not answer fails the test, in words; the guest stays.
    write_test(&repo, "third", "\"key ctrl-c\", \"run ls\", \"wait 0.1\", \"still 0.2\", ");
    fs::write(repo.join("cartridge.toml"), fs::read_to_string(repo.join("cartridge.toml")).unwrap().replace("20", "2"))
        .unwrap();
    session.send(Command::RunTest { warm: true }).await;
    let (warm, passed, why) = ended(&mut session).await;
    assert!(
        warm && !passed && why.contains("\"third\" for 2 s") && why.ends_with("(step 6 of 6: expect third)"),
        "{why}"
    );
    assert_eq!(session.model.state.phase, Phase::Running);

    // Proven: built, booted cold, with the steps before the slot's moment; the slot stays as it was.
    write_test(&repo, "second", "");
    session.send(Command::RunTest { warm: false }).await;
    let (warm, passed, words) = ended(&mut session).await;
    assert!(!warm && passed, "{words}");
    assert!(session.model.guest.as_ref().unwrap().slot.is_none());

    // A pause can be cancelled, and the guest stays; ejecting it ends its test.
    write_test(&repo, "second", "\"wait 600\", ");
    for eject in [false, true] {
        session.send(Command::RunTest { warm: true }).await;
        session
            .until("the pause", |event, _| matches!(event, Event::TestStepped { step, .. } if step == "wait 600"))
            .await;
        let eject_it = Command::Eject(cartridge::session::state::EjectScope::Session);
        session.send(if eject { eject_it } else { Command::Cancel }).await;
        let (_, passed, why) = ended(&mut session).await;
        let says = if eject { "the guest was ended" } else { "it was cancelled" };
        assert!(!passed && why.contains(says), "{why}");
        if !eject {
            assert_eq!(session.model.state.phase, Phase::Running);
        }
    }
    session.until_phase(Phase::Idle).await;
    session.quit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn live_runs_the_test_on_every_save() {
    let console = Console::new();
    let repo = repository(&console, "content");
    let mut session = Session::begin(&console);
    session.insert(&repo).await;
    session.send(Command::SetLive(true)).await;
    let (warm, passed, words) = ended(&mut session).await;
    assert!(!warm && passed && session.model.live, "{words}");
    for content in ["second content", "no match", "third content"] {
        // Editors write beside, then rename.
        fs::write(repo.join(".script.tmp"), format!("{content}\n")).unwrap();
        fs::rename(repo.join(".script.tmp"), repo.join("script")).unwrap();
        let (warm, passed, why) = ended(&mut session).await;
        assert!(warm && passed == content.ends_with("content"), "{content}: {why}");
    }
    session.send(Command::SetLive(false)).await;
    session.until("off", |event, _| matches!(event, Event::LiveChanged { live: false })).await;
    session.quit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_tested_is_said_before_anything_starts() {
    let console = Console::new();
    let repo = console.repository("distro");
    let mut session = Session::begin(&console);
    session.insert(&repo).await;
    for (text, says) in [
        ("", "there is nothing to test: write steps below [test]"),
        ("[test]\nslot = \"a\"\n", "there is nothing to test: write steps below [test]"),
        ("[test]\nsteps = [\"wait 1\"]\n", "no slot is named to start from"),
        ("[test]\nslot = \"a\"\nsteps = [\"key submit\"]\n", "there is no key \"submit\""),
    ] {
        fs::write(repo.join("cartridge.toml"), text).unwrap();
        // Neither warm nor cold is a test that tests nothing passed.
        session.send(Command::RunTest { warm: !text.is_empty() }).await;
        let refused = |event: &Event| match event {
            Event::SideFailed { side: Side::Test, failure } => failure.detail.contains(says),
            _ => false,
        };
        session.until(says, |event, _| refused(event)).await;
        assert_eq!(session.model.state.phase, Phase::Idle);
    }
    session.quit().await;
}

#[test]
fn the_terminal_says_how_a_test_ended_by_its_exit_code() {
    let console = Console::new();
    let repo = repository(&console, "content");
    let shot = console.home.path().join("end.png");
    let text = |run: &support::Finished| format!("{}{}", run.stdout, run.stderr);
    let good = console.run(&["test", repo.to_str().unwrap(), "--shot", shot.to_str().unwrap()]);
    assert_eq!(good.code, 0, "{}", text(&good));
    assert!(text(&good).contains("Test passed, cold") && shot.is_file(), "{}", text(&good));
    fs::write(repo.join("script"), "other\n").unwrap();
    let bad = console.run(&["test", repo.to_str().unwrap(), "--set", "test.within=2"]);
    assert_eq!(bad.code, 10, "{}", text(&bad));
    assert!(text(&bad).contains("Test FAILED, warm"), "{}", text(&bad));
    let log = bad.stdout.lines().find_map(|line| line.strip_prefix("serial log: ")).unwrap();
    assert!(fs::metadata(log).unwrap().len() > 0);
    let none = console.run(&["test", repo.to_str().unwrap(), "--set", "test.slot="]);
    assert_eq!(none.code, 3, "{}", text(&none));
}

#[test]
fn a_slot_alone_is_no_test_and_nothing_is_built_for_it() {
    let console = Console::new();
    let repo = console.repository("distro");
    for more in [&["--slot", "ready"][..], &["--prove"], &["--slot", "ready", "--live"]] {
        let run = console.run(&[&["test", "--json", repo.to_str().unwrap()], more].concat());
        let failure = &run.event("side_failed")["failure"];
        assert_eq!((run.code, failure["exit_code"].as_i64()), (3, Some(3)), "{more:?}: {:#?}", run.events);
        assert!(failure["detail"].as_str().unwrap().contains("nothing to test: write steps below [test]"), "{failure}");
        assert!(!run.phases().contains(&"preparing"), "{more:?}: {:#?}", run.events);
    }
    console.assert_clean();
}

#[test]
fn a_slot_that_does_not_fit_is_told_and_never_replaced() {
    let console = Console::new();
    let repo = repository(&console, "content");
    let run = |more: &[&str]| console.run(&[&["test", repo.to_str().unwrap()][..], more].concat());
    assert_eq!(run(&[]).code, 0);
    let slots = || {
        let found = walk(&console.home.path().join("data/cartridge"), "memory");
        found.iter().map(|it| fs::metadata(it).unwrap().modified().unwrap()).collect::<Vec<_>>()
    };
    let before = slots();
    assert_eq!(before.len(), 1);
    let other = run(&["--set", "guest.memory=640M"]);
    assert_ne!(other.code, 0, "{}{}", other.stdout, other.stderr);
    let cold = run(&["--set", "guest.memory=640M", "--prove"]);
    assert_eq!((cold.code, slots()), (0, before), "{}{}", cold.stdout, cold.stderr);
}

/// The files of that name below a folder.
fn walk(dir: &Path, name: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        match entry.file_type().unwrap() {
            kind if kind.is_dir() => found.extend(walk(&entry.path(), name)),
            _ if entry.file_name() == name => found.push(entry.path()),
            _ => {}
        }
    }
    found
}

#[test]
fn a_guest_that_was_booted_directly_is_tested_warm_as_well() {
    let console = Console::new();
    let repo = repository(&console, "content");
    let file = repo.join("cartridge.toml");
    fs::write(&file, format!("{}[boot]\nway = \"kernel\"\n", fs::read_to_string(&file).unwrap())).unwrap();
    for (content, words) in [("first content", "Test passed, cold"), ("second content", "Test passed, warm")] {
        fs::write(repo.join("script"), format!("{content}\n")).unwrap();
        let run = console.run(&["test", repo.to_str().unwrap()]);
        let text = format!("{}{}", run.stdout, run.stderr);
        assert!(run.code == 0 && text.contains(words), "{text}");
    }
    console.assert_clean();
}

/// A guest that reports at once, and only later has somebody who reads: what was typed before is thrown away, as getty(8) does.
#[tokio::test(flavor = "multi_thread")]
async fn a_cold_test_waits_for_somebody_who_reads() {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    let console = Console::new();
    let repo = console.repository("distro");
    let root = console.dir("root");
    for dir in ["bin", "sbin", "dev", "proc", "sys", "run"] {
        fs::create_dir(root.join(dir)).unwrap();
    }
    fs::copy("/bin/busybox", root.join("bin/busybox")).unwrap();
    symlink("busybox", root.join("bin/sh")).unwrap();
    let report =
        r#"{"v":1,"name":"slow","kernel":"6","firmware":"bios","accelerator":"tcg","files":1,"tree":"aa","path":"/a"}"#;
    let init = format!(
        "#!/bin/sh\nexec </dev/ttyS0 >/dev/ttyS0 2>&1\necho 'CARTRIDGE-REPORT {report}'\n/bin/busybox sleep 4\n\
         while read -t 1 line; do :; done\nprintf 'root@slow:~# '\nread line\necho \"got ${{#line}} letters\"\n\
         while :; do /bin/busybox sleep 1000; done\n"
    );
    fs::write(root.join("sbin/init"), init).unwrap();
    fs::set_permissions(root.join("sbin/init"), fs::Permissions::from_mode(0o755)).unwrap();
    let text = format!(
        "[guest]\nmemory = \"512M\"\ncpus = 1\naccelerator = \"tcg\"\n[boot]\nway = \"folder\"\nroot = \"{}\"\n\
         [test]\nwithin = 20\nsteps = [\"serial hello\", \"expect got 5 letters\"]\n",
        root.display()
    );
    fs::write(repo.join("cartridge.toml"), text).unwrap();
    let mut session = Session::begin(&console);
    session.insert(&repo).await;
    session.send(Command::RunTest { warm: false }).await;
    let (warm, passed, words) = ended(&mut session).await;
    assert!(!warm && passed, "{words}");
    session.quit().await;
    console.assert_clean();
}
