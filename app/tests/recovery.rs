//! Cancelled at any moment, or killed with SIGKILL in any state: nothing runs on, and the next start cleans the rest.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod support;

use std::time::{Duration, Instant};

use rustix::process::Signal;
use support::Console;

fn kill_in(phase: &str) {
    let console = Console::new();
    let repo = console.repository("distro");
    let mut run = console.start(&["up", "--json", "--stay", repo.to_str().unwrap()]);
    run.wait_for_phase(phase);
    if phase == "building" {
        run.wait_for(|e| e["progress"]["kind"] == "started" || e["progress"].get("started").is_some());
    }
    if phase == "booting" {
        run.wait_for(|e| e["event"] == "guest_started");
    }
    run.signal(Signal::KILL);
    run.wait();
    // The parent-death signal ends every child without anybody's help.
    let end = Instant::now() + Duration::from_secs(5);
    let processes = || console.leftovers().into_iter().filter(|l| l.starts_with("process")).collect::<Vec<_>>();
    while !processes().is_empty() && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(processes(), Vec::<String>::new(), "killed while {phase}");

    let next = console.run(&["build", "--json", repo.to_str().unwrap()]);
    assert_eq!(next.code, 0, "killed while {phase}: {:#?}\n{}", next.events, next.stderr);
    console.assert_clean();
    if phase != "preparing" {
        let said = next.event("recovered")["what"].to_string();
        assert!(said.contains("killed"), "{said}");
    }
}

#[test]
fn killed_while_preparing() {
    kill_in("preparing");
}

#[test]
fn killed_while_building() {
    kill_in("building");
}

/// The image's draft is there while xorriso writes it.
#[test]
fn killed_while_writing_the_image() {
    let console = Console::new();
    let repo = console.repository("distro");
    let mut run = console.start(&["build", "--json", repo.to_str().unwrap()]);
    run.wait_for(|e| e["progress"]["kind"] == "started" && e["progress"]["stage"] == "iso");
    run.signal(Signal::KILL);
    run.wait();
    assert_eq!(console.run(&["eject", "--json"]).code, 0);
    console.assert_clean();
    assert_eq!(console.run(&["build", "--json", repo.to_str().unwrap()]).code, 0);
}

#[test]
fn killed_while_booting() {
    kill_in("booting");
}

#[test]
fn killed_while_running() {
    kill_in("running");
}

#[test]
fn killed_while_ejecting() {
    let console = Console::new();
    let repo = console.repository("distro");
    let mut run = console.start(&["up", "--json", "--stay", repo.to_str().unwrap()]);
    run.wait_for_phase("running");
    run.signal(Signal::INT);
    run.wait_for_phase("ejecting");
    run.signal(Signal::KILL);
    run.wait();
    assert_eq!(console.run(&["eject", "--json"]).code, 0);
    console.assert_clean();
    assert_eq!(console.run(&["boot", "--json", repo.to_str().unwrap()]).code, 0, "the image is still good");
}

fn interrupt_in(phase: &str) {
    let console = Console::new();
    let repo = console.repository("distro");
    let mut run = console.start(&["up", "--json", "--stay", repo.to_str().unwrap()]);
    run.wait_for_phase(phase);
    run.signal(Signal::INT);
    let asked = Instant::now();
    let code = run.wait();
    assert_eq!(code, 130, "{phase}: {:#?}", run.seen);
    // Two seconds are promised; the rest is for a loaded machine.
    assert!(asked.elapsed() < Duration::from_secs(8), "{phase}: {:?}", asked.elapsed());
    console.assert_clean();
    assert_eq!(console.run(&["build", "--json", repo.to_str().unwrap()]).code, 0);
}

#[test]
fn interrupted_while_building() {
    interrupt_in("building");
}

#[test]
fn interrupted_while_booting() {
    interrupt_in("booting");
}

#[test]
fn interrupted_while_running() {
    interrupt_in("running");
}

/// A QEMU that starts and then opens nothing must not keep a cancel waiting.
#[test]
fn interrupted_while_qemu_does_not_answer() {
    let console = Console::new();
    let repo = console.repository("distro");
    let bin = console.dir("bin");
    let fake = bin.join("qemu-system-x86_64");
    std::fs::write(&fake, "#!/bin/sh\ntrap '' TERM\nsleep 600\n").unwrap();
    std::fs::set_permissions(&fake, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let mut command = console.command(&["up", "--json", repo.to_str().unwrap()]);
    command.env("PATH", format!("{}:{}", bin.display(), std::env::var("PATH").unwrap()));
    let mut run = support::Running::new(command);
    run.wait_for_phase("booting");
    std::thread::sleep(Duration::from_millis(500));
    run.signal(Signal::INT);
    let asked = Instant::now();
    assert_eq!(run.wait(), 130);
    assert!(asked.elapsed() < Duration::from_secs(6), "{:?}", asked.elapsed());
    console.assert_clean();
}

#[test]
fn qemu_killed_from_outside_is_told_with_its_command() {
    let console = Console::new();
    let repo = console.repository("distro");
    let mut run = console.start(&["up", "--json", "--stay", repo.to_str().unwrap()]);
    let started = run.wait_for(|e| e["event"] == "guest_started");
    run.wait_for_phase("running");
    let pid = rustix::process::Pid::from_raw(i32::try_from(started["pid"].as_i64().unwrap()).unwrap()).unwrap();
    rustix::process::kill_process(pid, Signal::KILL).unwrap();
    let failed = run.wait_for(|e| e["event"] == "failed");
    assert!(failed["failure"]["detail"].as_str().unwrap().contains("signal 9"), "{failed}");
    assert!(failed["failure"]["command"].as_str().unwrap().contains("qemu-system-x86_64"));
    assert_eq!(run.wait(), 6);
    console.assert_clean();
}

#[test]
fn another_session_is_photographed_and_named_and_not_disturbed() {
    let console = Console::new();
    let repo = console.repository("distro");
    let mut run = console.start(&["up", "--json", "--stay", repo.to_str().unwrap()]);
    run.wait_for_phase("running");

    let second = console.run(&["build", "--json", repo.to_str().unwrap()]);
    assert_eq!(second.code, 8, "{:#?}", second.events);
    let detail = second.failure()["detail"].as_str().unwrap();
    assert!(detail.contains("cartridge up") && detail.contains(&run.child.id().to_string()), "{detail}");
    assert!(detail.contains(" since "), "{detail}");

    let shot = console.home.path().join("shot.png");
    assert_eq!(console.run(&["shot", shot.to_str().unwrap()]).code, 0);
    assert!(image::open(&shot).unwrap().width() >= 640);

    assert_eq!(console.run(&["eject", "--json"]).code, 0, "an eject beside it takes nothing from it");
    run.signal(Signal::TERM);
    assert_eq!(run.wait(), 130);
    console.assert_clean();
}
