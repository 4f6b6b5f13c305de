//! What goes wrong around the app while it builds, boots and ejects: what it has started is killed or stands still, all of it is
//! suspended, the clock jumps, its runtime directory is taken away, the disk is full at any stage. The run goes on or ends and says
//! why; nothing of it stays; the repository is as it was; the next run succeeds.
//!
//! `CARTRIDGE_KILLS` says how often something happens at a random moment. What happens to the app itself is in `killed`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use support::alone::{alone, fill};
use support::remains::{mount_namespaces, nothing_stays, until};
use support::{Console, Running, number};

/// How often something happens at a random moment.
fn rounds() -> u32 {
    std::env::var("CARTRIDGE_KILLS").ok().and_then(|it| it.parse().ok()).unwrap_or(1)
}

/// As random as need be: each value is below one.
struct Random(u32);

impl Random {
    fn new() -> Self {
        Self(std::time::UNIX_EPOCH.elapsed().unwrap().subsec_nanos())
    }

    fn fraction(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        f64::from(self.0 >> 8) / f64::from(u32::MAX >> 8)
    }

    fn of<'a, T>(&mut self, all: &'a [T]) -> Option<&'a T> {
        // Never more than there are: the fraction is below one, or cut.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
        let index = (self.fraction() * all.len() as f64) as usize;
        all.get(index.min(all.len().saturating_sub(1)))
    }
}

/// A console with a repository.
struct Room {
    console: Console,
    repo: PathBuf,
    /// How long a whole run takes.
    whole: Duration,
    random: Random,
}

impl Room {
    fn new() -> Self {
        let console = Console::new();
        Self { repo: console.repository("distro"), whole: Duration::ZERO, console, random: Random::new() }
    }

    fn measure(&mut self) {
        let began = Instant::now();
        assert_eq!(self.console.run(&["up", "--json", self.repo.to_str().unwrap()]).code, 0);
        self.whole = began.elapsed();
    }

    /// A run of a repository that has changed, at a random moment of its own.
    fn run_until_a_moment(&mut self, round: u32) -> Running {
        loop {
            fs::write(self.repo.join("hello.txt"), format!("{round}\n")).unwrap();
            let mut run = self.console.start(&["up", "--json", self.repo.to_str().unwrap()]);
            let moment = self.whole.mul_f64(self.random.fraction());
            eprint!("{round}: after {moment:?}: ");
            std::thread::sleep(moment);
            if !self.started(&run).is_empty() {
                return run;
            }
            // It has not begun yet, or is over: nothing could happen to it.
            eprint!("nobody; ");
            run.wait();
        }
    }

    /// Those that run for the app, but for itself: each with its number and its command.
    fn started(&self, run: &Running) -> Vec<(Pid, String)> {
        let own = i32::try_from(run.child.id()).unwrap();
        let all = self.console.processes().into_iter().filter_map(|it| Some((number(&it)?, it)));
        all.filter(|(pid, _)| pid.as_raw_nonzero().get() != own).collect()
    }

    /// After a run: it has told why it failed, if it did, and nothing is left of it.
    fn has_ended(&self, run: &mut Running, round: u32, namespaces: &[PathBuf]) {
        let code = run.wait();
        let told = run.rest();
        eprint!("exit code {code}; ");
        let why = run.seen.iter().chain(told.iter()).find(|it| it["event"] == "failed");
        assert!(code == 0 || code == 130 || why.is_some(), "exit code {code}: {told:?}");
        assert!((0..=130).contains(&code) && code != 101, "{code}: {told:?}");
        nothing_stays(&self.console, namespaces);
        assert_eq!(fs::read_to_string(self.repo.join("hello.txt")).unwrap(), format!("{round}\n"));
    }

    fn next_one_succeeds(&self) {
        let next = self.console.run(&["up", "--json", self.repo.to_str().unwrap()]);
        assert_eq!(next.code, 0, "{:#?}\n{}", next.events, next.stderr);
        self.console.assert_clean();
    }
}

#[derive(Debug, Clone, Copy)]
enum Fault {
    /// One of those that it has started is killed.
    Killed,
    /// All of them stand still, and the user does not wait for that.
    Stopped,
    /// The machine sleeps: everything stands still, and goes on later.
    Suspended,
}

#[test]
fn at_any_moment() {
    let mut room = Room::new();
    room.measure();
    for round in 0..rounds() * 3 {
        let fault = [Fault::Killed, Fault::Stopped, Fault::Suspended][round as usize % 3];
        let mut run = room.run_until_a_moment(round);
        let namespaces = mount_namespaces(&room.console);
        let mut started = room.started(&run);
        eprint!("{fault:?} of {}: ", started.len());
        // Any of them may have ended by itself.
        let send = |pid: Pid, signal| {
            let _ = kill_process(pid, signal);
        };
        match fault {
            Fault::Killed => {
                if let Some((pid, command)) = room.random.of(&started) {
                    eprint!("{command:.80}; ");
                    send(*pid, Signal::KILL);
                }
            }
            Fault::Stopped => {
                started.iter().for_each(|it| send(it.0, Signal::STOP));
                std::thread::sleep(Duration::from_millis(300));
                if run.child.try_wait().unwrap().is_none() {
                    run.signal(Signal::INT);
                }
            }
            Fault::Suspended => {
                if run.child.try_wait().unwrap().is_none() {
                    let own = Pid::from_raw(i32::try_from(run.child.id()).unwrap());
                    started.extend(own.map(|it| (it, String::new())));
                }
                for signal in [Signal::STOP, Signal::CONT] {
                    started.iter().for_each(|it| send(it.0, signal));
                    std::thread::sleep(Duration::from_secs(3));
                }
                assert_eq!(run.wait(), 0, "{:?}", run.rest());
            }
        }
        room.has_ended(&mut run, round, &namespaces);
    }
    room.next_one_succeeds();
}

/// Who is connected already stays so; who is not says it. Nobody waits for ever.
#[test]
fn the_runtime_directory_or_the_sockets_in_it_are_taken_away() {
    let room = Room::new();
    let run_dir = room.console.home.path().join("run/cartridge");
    for (round, (phase, whole)) in
        [("building", true), ("booting", true), ("booting", false), ("running", true)].into_iter().enumerate()
    {
        fs::write(room.repo.join("hello.txt"), format!("{round}\n")).unwrap();
        let mut run = room.console.start(&["up", "--json", "--stay", room.repo.to_str().unwrap()]);
        run.wait_for_phase(phase);
        if phase == "booting" {
            run.wait_for(|it| it["event"] == "guest_started");
        }
        let namespaces = mount_namespaces(&room.console);
        if whole {
            // Somebody may make a socket in it meanwhile.
            until("the end of the directory", || fs::remove_dir_all(&run_dir).is_ok() || !run_dir.exists());
        } else {
            let sockets = sockets(&run_dir);
            assert!(!sockets.is_empty());
            sockets.iter().for_each(|it| fs::remove_file(it).unwrap());
        }
        let over = |it: &serde_json::Value| {
            it["event"] == "failed" || (it["event"] == "state_changed" && it["state"]["phase"] == "running")
        };
        if phase == "running" || run.wait_for(over)["event"] != "failed" {
            run.signal(Signal::INT);
        }
        eprint!("{phase}: ");
        room.has_ended(&mut run, u32::try_from(round).unwrap(), &namespaces);
    }
    room.next_one_succeeds();
}

fn sockets(dir: &Path) -> Vec<PathBuf> {
    use std::os::unix::fs::FileTypeExt as _;
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_socket() {
            found.push(entry.path());
        } else if kind.is_dir() {
            found.extend(sockets(&entry.path()));
        }
    }
    found
}

/// When the disk becomes full: before anything is written, or as soon as something is told.
const FULL: [(&str, &str); 5] = [
    ("begin", ""),
    ("build_progressed", "initramfs"),
    ("build_progressed", "iso"),
    ("guest_started", ""),
    ("guest_reported", ""),
];

#[test]
fn the_disk_is_full_at_any_stage() {
    alone("the_disk_is_full_at_any_stage", || {
        let console = Console::new();
        let home = console.home.path();
        let disks = ["cache", "state"];
        for dir in disks {
            let small = rustix::mount::MountFlags::empty();
            rustix::mount::mount("tmpfs", home.join(dir), "tmpfs", small, c"size=400m").unwrap();
        }
        let repo = console.repository("distro");
        let up = ["up", "--json", repo.to_str().unwrap()];
        for (moment, stage) in FULL {
            fs::write(repo.join("hello.txt"), format!("{moment} {stage}\n")).unwrap();
            let full = || disks.map(|dir| fill(&home.join(dir)));
            let mut fillers = None;
            if moment == "begin" {
                // The logs have room; what happens when they have none comes later.
                fillers = Some(vec![fill(&home.join("cache"))]);
            }
            let mut run = console.start(&up);
            if moment != "begin" {
                run.wait_for(|it| {
                    it["event"] == moment
                        && (stage.is_empty()
                            || (it["progress"]["kind"] == "started" && it["progress"]["stage"] == stage))
                });
                fillers = Some(full().to_vec());
            }
            let code = run.wait();
            let said = format!("{:?}", run.rest());
            eprintln!("full at {moment} {stage}: exit code {code}");
            // What has its room already needs no more: a guest that runs only has no log any more.
            let late = moment.starts_with("guest");
            assert!(code == 0 || (!late && code != 101), "{moment} {stage}: {code}: {said}");
            assert!(code == 0 || said.contains("space") || said.contains("no room"), "{moment} {stage}: {said}");
            assert!(code != 0 || moment != "begin", "{said}");
            nothing_stays_but(&console, &["/cache ", "/state "]);
            fillers.iter().flatten().for_each(|it| fs::remove_file(it).unwrap());
        }
        assert_eq!(console.run(&up).code, 0);
        // Nothing is free, and what would make room must be possible all the same.
        let fillers = disks.map(|dir| fill(&home.join(dir)));
        let run = console.run(&up);
        let said = format!("{:?}{}", run.events, run.stderr);
        assert!(run.code != 0 && run.code != 101 && said.contains("space"), "{}: {said}", run.code);
        assert!(said.contains("the logs of this session are in"), "{said}");
        let left = || console.leftovers().into_iter().filter(|it| !it.contains("/cache ") && !it.contains("/state "));
        assert_eq!(left().collect::<Vec<_>>(), [""; 0]);
        let run = console.run(&["eject", "--everything", "--yes", "--json"]);
        assert_eq!(run.code, 0, "{:?}{}", run.events, run.stderr);
        assert!(!home.join("cache/cartridge/images").exists());
        fillers.iter().for_each(|it| fs::remove_file(it).unwrap());
        let run = console.run(&up);
        assert_eq!(run.code, 0, "{:?}\n{}", run.events, run.stderr);
        let of_mounts = |it: &String| it.contains("/cache ") || it.contains("/state ");
        until("the end of what is left", || console.leftovers().iter().all(of_mounts));
        for dir in disks {
            rustix::mount::unmount(home.join(dir), rustix::mount::UnmountFlags::empty()).unwrap();
        }
    });
}

/// No process, and no mount of the console's but for those.
fn nothing_stays_but(console: &Console, mounts: &[&str]) {
    until("the end of everything", || console.processes().is_empty());
    let home = console.home.path().to_str().unwrap().to_owned();
    let all = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let others = |line: &&str| line.contains(&home) && !mounts.iter().any(|it| line.contains(it));
    assert_eq!(all.lines().find(others), None);
}

/// The clock of a machine without a battery, then one that was set, far ahead, and set back again, by a library that stands between
/// all programs of the run and the system's time.
#[test]
fn the_clock_jumps() {
    let folders = fs::read_dir("/usr/lib").unwrap().flatten().map(|it| it.path());
    let mut folders = folders.chain(["/usr/lib".into(), "/usr/lib64".into()]);
    let library = folders.find_map(|it| Some(it.join("faketime/libfaketimeMT.so.1")).filter(|it| it.exists()));
    let library = library.expect("libfaketime is installed by packaging/setup test");
    let console = Console::new();
    let repo = console.repository("distro");
    let clock = console.home.path().join("clock");
    let set = |to: &str| {
        // Whole at any moment: everybody reads it at each look at the clock.
        let next = console.home.path().join("clock.next");
        fs::write(&next, format!("{to}\n")).unwrap();
        fs::rename(next, &clock).unwrap();
    };
    let start = |stay: bool| {
        let mut args = vec!["up", "--json", repo.to_str().unwrap()];
        args.extend(stay.then_some("--stay"));
        let mut command = console.command(&args);
        command.env("LD_PRELOAD", &library).env("FAKETIME_TIMESTAMP_FILE", &clock);
        command.env("FAKETIME_NO_CACHE", "1").env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        Running::new(command)
    };
    set("@1970-01-02 00:00:00");
    let mut run = start(true);
    let logs = run.wait_for(|it| it["event"] == "opened")["logs"].as_str().unwrap().to_owned();
    assert!(logs.contains("/1970"), "its time is not what was set: {logs}");
    run.wait_for_phase("building");
    set("@2040-02-03 04:05:06");
    run.wait_for(|it| it["event"] == "guest_started");
    set("@1999-12-31 23:59:59");
    run.wait_for(|it| it["event"] == "guest_reported");
    set("@2040-02-03 04:05:06");
    run.signal(Signal::INT);
    assert_eq!(run.wait(), 130, "{:?}", run.rest());
    nothing_stays(&console, &[]);
    // Back in the past, where the cache and the session before are from the future.
    set("@2001-01-01 00:00:00");
    fs::write(repo.join("hello.txt"), "changed\n").unwrap();
    let mut run = start(false);
    let report = run.wait_for(|it| it["event"] == "guest_reported");
    assert_eq!(report["matches"], true, "{report}");
    assert_eq!(run.wait(), 0, "{:?}", run.rest());
    nothing_stays(&console, &[]);
    console.assert_clean();
}
