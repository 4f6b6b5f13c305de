//! The app is killed with SIGKILL, alone, at each point of a run where something of it is at work. A few seconds later nothing of it
//! runs, not even who had left its session, and nothing is mounted; the next start takes away the rest, and says so.
//!
//! | killed while | where that is tested |
//! |---|---|
//! | it begins, inserts, prepares | here, `at_any_moment`; `recovery`, `killed_while_preparing` |
//! | stages of a build run | `recovery`, `killed_while_building`; isoprep's `build::kill`, `archiso::kill` |
//! | pacman and its hooks run | `distribution::interrupted`, `killed_while_packages_are_installed` |
//! | mksquashfs runs | `distribution::interrupted`, `killed_while_the_root_is_packed` |
//! | mkarchiso runs, in a namespace and in podman | isoprep's `mkarchiso::killed`, `mkarchiso::podman` |
//! | xorriso runs, and what it has started | here; `recovery`, `killed_while_writing_the_image` |
//! | QEMU starts, and what it has started | here |
//! | a guest boots, runs | `recovery`, `killed_while_booting`, `killed_while_running` |
//! | a guest is saved as a slot | here; vmtools' `slot_faults`, `a_kill_in_the_middle_leaves_whole_slots_only` |
//! | a template guest is made | here |
//! | a folder is lent live by virtiofsd | here |
//! | a server is attached over ssh | `attach`, `killed_while_attached_over_ssh` |
//! | a disk is written | `deploy`, in the guest |
//! | the window has a guest | `window::job`, `a_window_that_is_killed_takes_everything_with_it` |
//! | an eject goes on | `recovery`, `killed_while_ejecting` |
//! | anything, at a random moment | here, `at_any_moment`: `CARTRIDGE_KILLS` says how often |
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use rustix::process::Signal;
use support::remains::{mount_namespaces, nothing_stays, runs, until, warden};
use support::{Console, Running, stray};

/// A program that starts somebody with a session of his own, and then takes for ever. Both are known by their commands, and have no
/// pipe of the app's that could tell them of its end.
fn endless(console: &Console, name: &str) -> PathBuf {
    let (bin, home) = (console.dir("bin"), console.home.path().display());
    let script = format!(
        "#!/bin/sh\ncase \"$*\" in *-version*|*' help') exec /usr/bin/{name} \"$@\";; esac\n\
         touch {home}/stray {home}/tool\nsetsid sh -c 'trap \"\" TERM HUP; exec tail -f {home}/stray' \
         >/dev/null 2>&1 &\nexec tail -f {home}/tool >/dev/null 2>&1\n"
    );
    fs::write(bin.join(name), script).unwrap();
    fs::set_permissions(bin.join(name), fs::Permissions::from_mode(0o755)).unwrap();
    bin
}

fn start_with(console: &Console, bin: &Path, args: &[&str]) -> Running {
    let mut command = console.command(args);
    command.env("PATH", format!("{}:{}", bin.display(), std::env::var("PATH").unwrap()));
    Running::new(command)
}

/// Kills the app, and nobody else. Soon nothing of it is left that runs or is mounted.
fn killed(console: &Console, run: &mut Running) {
    let namespaces = mount_namespaces(console);
    run.signal(Signal::KILL);
    run.wait();
    nothing_stays(console, &namespaces);
}

/// The next start says what it has done, as an event or in words, and nothing is left.
fn repaired(console: &Console, repo: &Path) {
    let next = console.run(&["build", "--json", repo.to_str().unwrap()]);
    assert_eq!(next.code, 0, "{:#?}\n{}", next.events, next.stderr);
    let said = next.event("recovered")["what"].to_string();
    assert!(said.contains("killed"), "{said}");
    console.assert_clean();
}

#[test]
fn xorriso_runs_and_has_started_somebody_with_a_session_of_his_own() {
    let console = Console::new();
    let repo = console.repository("distro");
    let bin = endless(&console, "xorriso");
    for words in [false, true] {
        let mut run = start_with(&console, &bin, &["build", "--json", repo.to_str().unwrap()]);
        until("both", || runs(&console, "/stray") && runs(&console, "/tool"));
        killed(&console, &mut run);
        if words {
            repaired(&console, &repo);
        } else {
            let next = console.run(&["eject"]);
            let said = format!("{}{}", next.stdout, next.stderr);
            assert!(next.code == 0 && said.contains("which had been killed"), "{said}");
            console.assert_clean();
        }
    }
}

#[test]
fn qemu_starts_and_has_started_somebody_with_a_session_of_his_own() {
    let console = Console::new();
    let repo = console.repository("distro");
    let bin = endless(&console, "qemu-system-x86_64");
    let mut run = start_with(&console, &bin, &["up", "--json", repo.to_str().unwrap()]);
    until("both", || runs(&console, "/stray") && runs(&console, "/tool"));
    killed(&console, &mut run);
    repaired(&console, &repo);
}

/// An end that is none of a kill: who had left is ended all the same, and not only by the next start.
#[test]
fn who_left_a_program_that_was_cancelled_does_not_outlive_the_app() {
    let console = Console::new();
    let repo = console.repository("distro");
    let bin = endless(&console, "xorriso");
    let mut run = start_with(&console, &bin, &["build", "--json", repo.to_str().unwrap()]);
    until("both", || runs(&console, "/stray") && runs(&console, "/tool"));
    run.signal(Signal::INT);
    assert_eq!(run.wait(), 130);
    until("the end of everything", || console.processes().is_empty());
    console.assert_clean();
}

/// What asks programs to end is not meant for the warden: the app may still be at something.
#[test]
fn the_warden_has_a_name_and_is_ended_by_nobody_who_asks() {
    let console = Console::new();
    let repo = console.repository("distro");
    let bin = endless(&console, "xorriso");
    let mut run = start_with(&console, &bin, &["build", "--json", repo.to_str().unwrap()]);
    until("both", || runs(&console, "/stray") && runs(&console, "/tool"));
    let warden = warden(&console).expect("it is there");
    let called = || fs::read_to_string(format!("/proc/{}/comm", warden.as_raw_nonzero())).unwrap();
    until("its name", || called().trim() == cartridge_supervise::WARDEN_NAME);
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        rustix::process::kill_process(warden, signal).unwrap();
    }
    killed(&console, &mut run);
    repaired(&console, &repo);
}

/// A warden that was killed is followed by another one when the next program is started.
#[test]
fn a_warden_that_was_killed_is_replaced() {
    let console = Console::new();
    let repo = console.repository("distro");
    let bin = endless(&console, "qemu-system-x86_64");
    let (go, asked) = (console.home.path().join("go"), console.home.path().join("asked"));
    let script = format!(
        "#!/bin/sh\ntouch {}\nuntil [ -e {} ]; do sleep 0.05; done\nexec /usr/bin/xorriso \"$@\"\n",
        asked.display(),
        go.display()
    );
    fs::write(bin.join("xorriso"), script).unwrap();
    fs::set_permissions(bin.join("xorriso"), fs::Permissions::from_mode(0o755)).unwrap();
    let mut run = start_with(&console, &bin, &["up", "--json", repo.to_str().unwrap()]);
    until("xorriso", || asked.exists());
    let first = warden(&console).expect("it is there");
    rustix::process::kill_process(first, Signal::KILL).unwrap();
    fs::write(go, "").unwrap();
    until("both", || runs(&console, "/stray") && runs(&console, "/tool"));
    until("another warden", || warden(&console).is_some_and(|it| it != first));
    killed(&console, &mut run);
    repaired(&console, &repo);
}

/// What others need, and what another Cartridge has, is not the warden's.
#[test]
fn what_others_share_and_who_is_another_ones_lives_on() {
    let (console, other) = (Console::new(), Console::new());
    let [mut run, mut another] = [&console, &other].map(|it| {
        let (repo, bin) = (it.repository("distro"), endless(it, "xorriso"));
        start_with(it, &bin, &["build", "--json", repo.to_str().unwrap()])
    });
    let both = |it: &Console| runs(it, "/stray") && runs(it, "/tool");
    until("both of each", || both(&console) && both(&other));
    let (mut agent, mut tail) = (stray(&console, "gpg-agent"), stray(&console, "tail"));
    run.signal(Signal::KILL);
    run.wait();
    until("the end of all that is marked", || tail.0.try_wait().unwrap().is_some() && !runs(&console, "/stray"));
    assert!(agent.0.try_wait().unwrap().is_none(), "others use it");
    assert!(both(&other), "{:?}", other.processes());
    killed(&other, &mut another);
    assert!(agent.0.try_wait().unwrap().is_none());
}

/// The warden is killed too, and a program has ended: the next start ends who is left, and names him.
#[test]
fn who_is_left_without_a_warden_is_ended_by_the_next_start() {
    let console = Console::new();
    let repo = console.repository("distro");
    let bin = endless(&console, "xorriso");
    let mut run = start_with(&console, &bin, &["build", "--json", repo.to_str().unwrap()]);
    until("both", || runs(&console, "/stray") && runs(&console, "/tool"));
    rustix::process::kill_process(warden(&console).expect("it is there"), Signal::KILL).unwrap();
    run.signal(Signal::KILL);
    run.wait();
    until("the end of xorriso", || !runs(&console, "/tool"));
    assert!(runs(&console, "/stray"), "nobody was there to end it");
    let next = console.run(&["build", "--json", repo.to_str().unwrap()]);
    assert_eq!(next.code, 0, "{:#?}\n{}", next.events, next.stderr);
    let said = next.event("recovered")["what"].to_string();
    assert!(said.contains("had left running: tail (process "), "{said}");
    until("the end of everything", || console.processes().is_empty());
    console.assert_clean();
}

#[test]
fn a_guest_is_saved() {
    let console = Console::new();
    let repo = console.repository("distro");
    let slots = console.home.path().join("data/cartridge/slots");
    let drafts = || {
        let stores = fs::read_dir(&slots).into_iter().flatten().flatten();
        let all = stores.filter_map(|it| fs::read_dir(it.path()).ok()).flatten().flatten();
        all.filter(|it| it.file_name().to_string_lossy().starts_with(".draft")).count()
    };
    let mut run = console.start(&["up", "--json", "--stay", "--save-slot", "kept", repo.to_str().unwrap()]);
    until("a save", || drafts() > 0);
    killed(&console, &mut run);
    assert_eq!(drafts(), 1, "it was killed in the middle");
    repaired(&console, &repo);
    let listed = console.run(&["slots", repo.to_str().unwrap()]);
    assert!(listed.code == 0 && !listed.stdout.contains("kept"), "{}{}", listed.stdout, listed.stderr);
    assert_eq!(drafts(), 0);
}

#[test]
fn a_template_guest_is_made() {
    let console = Console::new();
    let repo = console.repository("distro");
    let search = isoprep::HostSearch {
        root: "/".into(),
        kernel_stores: vec![console.home.path().join("data/cartridge/kernels")],
        kernel: None,
        path: std::env::split_paths(&std::env::var_os("PATH").unwrap()).collect(),
    };
    let kernel = isoprep::kernels(&search).remove(0).image;
    let fields = ["--set", "guest.memory=512M", "--set", "guest.accelerator=tcg"];
    let mut run =
        console.start(&[&["boot", "--json", "--stay", "--kernel", kernel.to_str().unwrap()], &fields[..]].concat());
    run.wait_for_phase("running");
    let guests = || console.processes().iter().filter(|it| it.contains("qemu-system")).count();
    until("a second guest", || guests() > 1);
    killed(&console, &mut run);
    repaired(&console, &repo);
    let templates = fs::read_dir(console.home.path().join("cache/cartridge/templates")).into_iter().flatten().flatten();
    let drafts: Vec<_> = templates.filter(|it| !it.path().join("manifest.json").exists()).map(|it| it.path()).collect();
    assert_eq!(drafts, [] as [PathBuf; 0]);
}

#[test]
fn a_folder_is_lent_live() {
    let console = Console::new();
    let repo = console.repository("distro");
    let path = repo.to_str().unwrap();
    let mut run = console.start(&["up", "--json", "--stay", "--set", "source.live=writable", path]);
    run.wait_for_phase("running");
    let shut_in = cartridge_supervise::isolation_support().is_ok();
    assert!(runs(&console, "virtiofsd") || !shut_in, "{:?}", console.processes());
    assert!(!mount_namespaces(&console).is_empty() || !shut_in, "nothing was mounted that could stay");
    killed(&console, &mut run);
    repaired(&console, &repo);
    assert_eq!(fs::read_to_string(repo.join("hello.txt")).unwrap(), "hello\n");
}

#[test]
fn at_any_moment() {
    let kills = std::env::var("CARTRIDGE_KILLS").ok().and_then(|it| it.parse().ok()).unwrap_or(3);
    let console = Console::new();
    let repo = console.repository("distro");
    let path = repo.to_str().unwrap();
    let began = Instant::now();
    assert_eq!(console.run(&["up", "--json", path]).code, 0);
    let whole = began.elapsed();
    // As random as need be: the fraction of a second.
    let mut random = std::time::UNIX_EPOCH.elapsed().unwrap().subsec_nanos();
    for number in 0..kills {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let moment = whole.mul_f64(f64::from(random >> 8) / f64::from(u32::MAX >> 8));
        fs::write(repo.join("hello.txt"), format!("{number}\n")).unwrap();
        let mut run = console.start(&["up", "--json", path]);
        std::thread::sleep(moment);
        eprint!("{number}: killed after {moment:?}: ");
        killed(&console, &mut run);
        assert_eq!(fs::read_to_string(repo.join("hello.txt")).unwrap(), format!("{number}\n"));
    }
    let next = console.run(&["up", "--json", path]);
    assert_eq!(next.code, 0, "{:#?}\n{}", next.events, next.stderr);
    console.assert_clean();
}
