//! What the README's table says, measured: builds against the full build, the way from Enter to the guest's report, and
//! what the window costs. Ratios are of one run on one machine.
//!
//! Drives the release program from outside, so that nothing is measured that a user would not have.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a bench that cannot measure stops")]

mod console;
mod cycle;
mod kills;
#[path = "../../../../app/tests/support/screen.rs"]
mod screen;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use console::Console;
use screen::Screen;

use crate::Failure;

/// Repetitions of what is quick; the median is told.
const ROUNDS: usize = 7;
/// Repetitions of a boot.
const BOOTS: usize = 5;

/// A part of the table.
#[derive(clap::ValueEnum, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Builds of engine micro.
    Micro,
    /// From a command to the guest's report.
    Up,
    /// The same content by its boot loader and without.
    Boots,
    /// The window.
    Window,
    /// From a save to the guest that has it, each way that there is.
    Cycle,
    /// From a SIGKILL to a host on which nothing of it is left.
    Kills,
    /// The engines.
    Engines,
    /// Eject against `rm -rf`, and what each way of deleting does to the layouts of the torture suite, in tables of their own.
    Eject,
}

/// Builds the release program and measures it: these parts, or all. The table goes to standard output as it grows.
///
/// `rest` is for Eject alone: which parts of it, and how large they are.
pub fn run_benches(parts: &[Part], rest: &[String]) -> Result<String, Failure> {
    if !rest.is_empty() && parts != [Part::Eject] {
        return Err("what follows -- is for eject alone: bench eject -- files".into());
    }
    let wanted = |part: Part| parts.is_empty() || parts.contains(&part);
    let needs_program = |part: &Part| !matches!(part, Part::Engines | Part::Eject);
    if !parts.is_empty() && !parts.iter().any(needs_program) {
        return libraries(&wanted, rest);
    }
    let built = Command::new("cargo").args(["build", "--release", "--locked", "-p", "cartridge"]).status()?;
    if !built.success() {
        return Err("the release program could not be built".into());
    }
    println!("| what | measured | ratio |\n|---|---|---|");
    if wanted(Part::Micro) {
        rebuilds("built-in cartridge, 6 files", None);
        rebuilds("repository of 2,000 files, 16 MB", Some(2000));
    }
    if wanted(Part::Up) {
        up();
    }
    if wanted(Part::Boots) {
        boots();
    }
    if wanted(Part::Window) {
        match Screen::start() {
            Some(screen) => window(&screen),
            None => println!("| window | Xvfb, openbox or xdotool is not installed | – |"),
        }
    }
    if wanted(Part::Cycle) {
        cycle::rows();
    }
    if wanted(Part::Kills) {
        kills::rows();
    }
    libraries(&wanted, rest)
}

/// The parts that need no program.
fn libraries(wanted: &dyn Fn(Part) -> bool, rest: &[String]) -> Result<String, Failure> {
    if wanted(Part::Engines) {
        cargo(&["bench", "--locked", "-q", "-p", "isoprep", "--bench", "engines", "--", "rows"])?;
    }
    if wanted(Part::Eject) {
        eject(rest)?;
    }
    Ok(String::new())
}

/// Each part prints its table by itself. What is wrong with one keeps nobody from the other.
fn eject(rest: &[String]) -> Result<(), Failure> {
    let table = |word: &str| word == "table";
    let words: Vec<&str> = rest.iter().map(String::as_str).filter(|word| !table(word)).collect();
    let named = words.iter().any(|word| word.chars().all(char::is_alphanumeric) && word.parse::<u64>().is_err());
    let tabled = rest.iter().any(|word| table(word));
    let mut done = Ok(());
    if named || !tabled {
        println!();
        let bench = ["bench", "--locked", "-q", "-p", "isoprep", "--bench", "eject", "--"];
        done = cargo(&[&bench[..], &words].concat());
    }
    if tabled || !named {
        println!();
        let words = ["--ignored", "--nocapture", "--exact", "comparison"];
        let compared =
            cargo(&[&["test", "--locked", "-q", "-p", "isoprep", "--test", "torture", "--"], &words[..]].concat());
        done = done.and(compared);
    }
    done
}

fn cargo(words: &[&str]) -> Result<(), Failure> {
    let done = Command::new("cargo").args(words).status()?;
    if done.success() { Ok(()) } else { Err(format!("cargo {} failed", words.join(" ")).into()) }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Full build, unchanged build, and a build after one changed file, in the build's own time.
fn rebuilds(what: &str, files: Option<usize>) {
    let console = Console::new();
    let repo = console.repository("distro");
    match files {
        None => {
            let _ = fs::remove_file(repo.join("hello.txt"));
            let hello = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/cartridges/hello/.");
            assert!(Command::new("cp").arg("-a").arg(hello).arg(&repo).status().unwrap().success());
        }
        Some(files) => {
            for n in 0..files {
                let dir = repo.join(format!("d{}", n % 40));
                fs::create_dir_all(&dir).unwrap();
                fs::write(dir.join(format!("f{n}")), format!("{n}\n").repeat(8192 / (n.to_string().len() + 1)))
                    .unwrap();
            }
        }
    }
    // Entries younger than two seconds are read again, rightly: that is not what is measured here.
    std::thread::sleep(Duration::from_secs(3));
    let build = |args: &[&str]| {
        let mut all = vec!["build", "--json", repo.to_str().unwrap()];
        all.extend(args);
        let began = Instant::now();
        let run = console.run(&all);
        assert_eq!(run.code, 0, "{:#?}\n{}", run.events, run.stderr);
        (run.event("image_built")["took_ms"].as_f64().unwrap(), began.elapsed().as_secs_f64() * 1000.0)
    };
    let full = median((0..3).map(|_| build(&["--fresh"]).0).collect());
    build(&[]);
    let same: Vec<_> = (0..ROUNDS).map(|_| build(&[])).collect();
    let changed: Vec<_> = (0..ROUNDS)
        .map(|n| {
            fs::write(repo.join("changed.txt"), format!("round {n}\n")).unwrap();
            build(&[]).0
        })
        .collect();
    let (same, whole) = (median(same.iter().map(|s| s.0).collect()), median(same.iter().map(|s| s.1).collect()));
    let changed = median(changed);
    println!("| full build, {what} | {full:.0} ms | 1 |");
    println!("| … nothing changed (whole command: {whole:.0} ms) | {same:.0} ms | {:.3} |", same / full);
    println!("| … one file changed | {changed:.0} ms | {:.3} |", changed / full);
}

/// From the command to the guest's report, by phase, for both firmwares.
fn up() {
    for firmware in ["bios", "uefi"] {
        let console = Console::new();
        let set = format!("guest.firmware={firmware}");
        let run = console.run(&["up", "--builtin", "--json", "--set", &set, "--set", "guest.memory=1G"]);
        assert_eq!(run.code, 0, "{:#?}\n{}", run.events, run.stderr);
        let at = |phase: &str| {
            let moved = |e: &&serde_json::Value| e["event"] == "state_changed" && e["state"]["phase"] == phase;
            run.events.iter().find(moved).unwrap()["at_ms"].as_f64().unwrap()
        };
        let (preparing, building, booting) = (at("preparing"), at("building"), at("booting"));
        let reported = run.event("guest_reported")["at_ms"].as_f64().unwrap();
        let whole = reported - preparing;
        let accelerator = run.event("accelerator_chosen")["accelerator"].as_str().unwrap();
        println!("| `up`, built-in, {firmware}, {accelerator}: to the guest's report | {whole:.0} ms | 1 |");
        for (what, ms) in [
            ("prepare (with the accelerator probe)", building - preparing),
            ("build", booting - building),
            ("boot", reported - booting),
        ] {
            println!("| … {what} | {ms:.0} ms | {:.2} |", ms / whole);
        }
    }
}

/// From the start of the guest to its report: the built-in image by its boot loader, for both firmwares, and its kernel
/// directly, in turns.
fn boots() {
    let console = Console::new();
    let settings = ["--builtin", "--json", "--set", "guest.memory=1G"];
    assert_eq!(console.run(&[&["build"], &settings[..2]].concat()).code, 0);
    let ways: [(&str, &[&str]); 3] = [
        ("by its loader, SeaBIOS", &["--set", "guest.firmware=bios"]),
        ("by its loader, OVMF", &["--set", "guest.firmware=uefi"]),
        ("directly", &["--direct"]),
    ];
    let mut took = [const { Vec::new() }; 3];
    for _ in 0..BOOTS {
        for ((_, words), took) in ways.iter().zip(&mut took) {
            let run = console.run(&[&["boot", "--until-report"], &settings[..], words].concat());
            assert_eq!(run.code, 0, "{:#?}\n{}", run.events, run.stderr);
            let booting = |e: &&serde_json::Value| e["event"] == "state_changed" && e["state"]["phase"] == "booting";
            let began = run.events.iter().find(booting).unwrap()["at_ms"].as_f64().unwrap();
            took.push((run.event("guest_reported")["at_ms"].as_f64().unwrap() - began) / 1000.0);
        }
    }
    for ((name, _), of) in ways.iter().zip(&took) {
        let ratio = median(of.iter().zip(&took[0]).map(|(one, other)| one / other).collect());
        println!("| boot of the built-in image to its report, {name} | {:.2} s | {ratio:.3} |", median(of.clone()));
    }
    let uefi = median(took[2].iter().zip(&took[1]).map(|(one, other)| one / other).collect());
    println!("| … directly, of that by OVMF | – | {uefi:.3} |");
}

/// User and system time of a process so far, seconds (proc(5), /proc/pid/stat fields 14 and 15, in 1/100 s).
fn cpu(pid: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

fn share(pid: u32, span: Duration) -> f64 {
    let (before, began) = (cpu(pid), Instant::now());
    std::thread::sleep(span);
    (cpu(pid) - before) / began.elapsed().as_secs_f64() * 100.0
}

fn window(screen: &Screen) {
    let mut firsts = Vec::new();
    for _ in 0..5 {
        let console = Console::new();
        let app = Window::open(&console, screen);
        firsts.push(app.first_frame_ms(&console));
    }
    println!("| launch to first frame (software OpenGL) | {:.0} ms | – |", median(firsts));

    let console = Console::new();
    let app = Window::open(&console, screen);
    app.first_frame_ms(&console);
    std::thread::sleep(Duration::from_secs(5));
    let idle = share(app.child.id(), Duration::from_secs(10));
    println!("| idle window, of one core | {idle:.1} % | – |");
    assert!(screen.xdotool(&[
        "search",
        "--sync",
        "--onlyvisible",
        "--name",
        "Cartridge",
        "windowfocus",
        "--sync",
        "key",
        "ctrl+Return"
    ]));
    let log = |word: &str| session_log(&console).contains(word);
    let end = Instant::now() + Duration::from_secs(240);
    while !log("The guest is running") {
        assert!(Instant::now() < end, "the guest did not come up:\n{}", session_log(&console));
        std::thread::sleep(Duration::from_millis(200));
    }
    std::thread::sleep(Duration::from_secs(8));
    let still = share(app.child.id(), Duration::from_secs(10));
    println!("| window with a still guest, of one core | {still:.1} % | – |");
}

struct Window {
    child: std::process::Child,
}

impl Window {
    fn open(console: &Console, screen: &Screen) -> Self {
        let mut command = console.command(&["--builtin"]);
        command.env("DISPLAY", &screen.display).stdout(Stdio::null()).stderr(Stdio::null());
        Self { child: command.spawn().unwrap() }
    }

    /// The app says in its session log how long its first frame took.
    fn first_frame_ms(&self, console: &Console) -> f64 {
        let end = Instant::now() + Duration::from_secs(60);
        loop {
            let log = session_log(console);
            if let Some((_, rest)) = log.split_once("drawn its first frame after ") {
                return rest.split(' ').next().unwrap().parse().unwrap();
            }
            assert!(Instant::now() < end, "no frame:\n{log}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        let pid = self.child.id().to_string();
        let _ = Command::new("kill").arg(pid).status();
        std::thread::sleep(Duration::from_millis(300));
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn session_log(console: &Console) -> String {
    let sessions = fs::read_dir(console.home.path().join("state/cartridge/sessions"));
    sessions
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| fs::read_to_string(entry.path().join("session.log")).unwrap_or_default())
        .collect()
}
