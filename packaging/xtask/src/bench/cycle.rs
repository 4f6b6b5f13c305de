//! From the save of a file to the guest that has it, each way that there is, on a Debian of about a gigabyte: what the rapid
//! cycle is worth. And what a slot costs.
//!
//! Measured from outside: the clock starts when the file is written, and stops when the program says that the guest has told
//! what it has; for the live share when the guest's own loop has printed the file.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::console::{Console, Running};
use super::median;

/// Repetitions of what takes minutes, and of what is quick.
const SLOW: usize = 3;
const QUICK: usize = 9;
/// How long the guest is left alone before a file is saved: nobody types that quickly.
const PAUSE: Duration = Duration::from_secs(2);

/// A Debian of about a gigabyte, installed, and what a test of it does: nothing but to have the repository.
const CARTRIDGE: &str = r#"name = "demo"
[source]
into = "/root/demo"
[image]
engine = "debian"
packages = ["build-essential", "git", "curl"]
[guest]
cpus = 2
memory = "2G"
[test]
slot = "up"
within = 600
"#;
/// Prints the file whenever it is another one.
const LOOP: &str = r#"
before = ["expect login:", "serial root", "expect #", "serial while :; do read x < /root/demo/file; [ \"$x\" = \"$o\" ] || echo saw=$x; o=$x; sleep 0.02; done"]
steps = ["wait 3600"]
"#;

struct Cycle {
    console: Console,
    repo: PathBuf,
    round: usize,
}

impl Cycle {
    fn save(&mut self) -> (Instant, String) {
        self.round += 1;
        let text = format!("round-{}", self.round);
        // As editors do: beside it, then in its place.
        let beside = self.repo.join(".file.new");
        fs::write(&beside, format!("{text}\n")).unwrap();
        fs::rename(&beside, self.repo.join("file")).unwrap();
        (Instant::now(), text)
    }

    fn start(&self, args: &[&str]) -> Running {
        let all: Vec<&str> = args.iter().copied().chain(["--json", self.repo.to_str().unwrap()]).collect();
        Running::start(self.console.command(&all))
    }

    /// From a save to the report of a guest that was booted anew.
    fn cold(&mut self, args: &[&str]) -> f64 {
        let (saved, _) = self.save();
        let run = self.start(&[&["up", "--until-report"], args].concat());
        let (at, report) = run.until("guest_reported");
        assert_eq!(report["matches"], true, "{report}");
        at.duration_since(saved).as_secs_f64()
    }

    /// From saves to layers in the guest of a run that goes on.
    fn layers(&mut self) -> Vec<f64> {
        let run = self.start(&["up", "--watch"]);
        run.until("guest_reported");
        let round = |cycle: &mut Self| {
            std::thread::sleep(PAUSE);
            cycle.save().0
        };
        (0..QUICK).map(|_| has_it(&run, round(self))).collect()
    }

    /// From saves to layers in the guest of a slot, and what of that is the guest's restoring.
    fn warm(&mut self) -> (Vec<f64>, Vec<f64>) {
        let run = self.start(&["test", "--live"]);
        run.until("test_ended");
        let (mut took, mut restored) = (Vec::new(), Vec::new());
        for _ in 0..QUICK {
            std::thread::sleep(PAUSE);
            let (saved, _) = self.save();
            restored.push(run.until("slot_restored").1["took_ms"].as_f64().unwrap() / 1000.0);
            took.push(has_it(&run, saved));
            run.until("test_ended");
        }
        (took, restored)
    }

    /// From saves to the guest's own words.
    fn live(&mut self) -> Vec<f64> {
        let text = format!("{CARTRIDGE}{LOOP}").replace("slot = \"up\"\n", "");
        fs::write(self.repo.join("cartridge.toml"), text).unwrap();
        let run = self.start(&["test", "--prove", "--set", "source.live=overlaid"]);
        let (_, opened) = run.until("opened");
        let serial = Path::new(opened["logs"].as_str().unwrap()).join("serial.log");
        while run.until("test_stepped").1["step"] != "wait 3600" {}
        let shows = |text: &str| String::from_utf8_lossy(&fs::read(&serial).unwrap()).contains(text);
        let mut took = Vec::new();
        for _ in 0..QUICK {
            std::thread::sleep(PAUSE);
            let (saved, text) = self.save();
            while !shows(&format!("saw={text}")) {
                assert!(saved.elapsed() < Duration::from_secs(60), "the guest does not see {text}");
                std::thread::sleep(Duration::from_millis(5));
            }
            took.push(saved.elapsed().as_secs_f64());
        }
        took
    }
}

/// Seconds from a save until the guest has told that it has it.
fn has_it(run: &Running, saved: Instant) -> f64 {
    let (at, told) = run.until("layer_plugged");
    assert_eq!(told["matches"], true, "{told}");
    at.duration_since(saved).as_secs_f64()
}

fn row(what: &str, mut took: Vec<f64>, whole: f64) {
    took.sort_by(f64::total_cmp);
    let (middle, worst) = (median(took.clone()), took.last().copied().unwrap_or_default());
    println!("| {what} | {middle:.2} s, at most {worst:.2} s | {:.4} |", middle / whole);
}

/// Prints the rows.
pub fn rows() {
    let console = Console::new();
    let repo = console.repository("distro");
    fs::write(repo.join("cartridge.toml"), CARTRIDGE).unwrap();
    let mut cycle = Cycle { console, repo, round: 0 };
    // Packages are fetched before: the network is not measured.
    cycle.cold(&[]);
    let whole = cycle.cold(&["--fresh"]);
    println!("| a save → the guest has it, Debian of 1 GB: full build, cold boot, one run | {whole:.1} s | 1 |");
    row("… what changed is built, cold boot", (0..SLOW).map(|_| cycle.cold(&[])).collect(), whole);
    // The first one unpacks the kernel, which is kept.
    cycle.cold(&["--set", "boot.way=kernel"]);
    let direct = (0..SLOW).map(|_| cycle.cold(&["--set", "boot.way=kernel"])).collect();
    row("… what changed is built, its kernel booted directly", direct, whole);
    row("… a layer into the guest that runs", cycle.layers(), whole);
    // The first one makes the slot.
    let first = cycle.start(&["test"]);
    let saved = first.until("slot_saved").1;
    drop(first);
    let (warm, restored) = cycle.warm();
    row("… a warm test: a slot is restored, and gets a layer", warm, whole);
    row("… the live share", cycle.live(), whole);
    let (ms, bytes) = (saved["took_ms"].as_f64().unwrap(), saved["bytes"].as_f64().unwrap());
    println!("| a guest of 2 GB saved as a slot, {:.0} MiB | {:.2} s | – |", bytes / 1048576.0, ms / 1000.0);
    println!("| … restored from it | {:.2} s | – |", median(restored));
}
