//! The rows of the README's table that are about engines: the native one against the real mkarchiso, and the rapid cycle
//! on a Debian of a gigabyte. `cargo bench -p isoprep` prints them; `xtask bench` does it after its own, and says `rows`.
//!
//! With `CARTRIDGE_TEST_PLACE` the engines work in that folder: in memory (a tmpfs that is not below /dev, /run or /tmp)
//! neither pays for what the other one left to the disk.
//!
//! Uses the benches, repositories and profiles of the tests. Ratios are of one run on one machine.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    dead_code,
    reason = "a bench that cannot measure stops"
)]

#[path = "../tests/arch/mod.rs"]
mod arch;
#[path = "../tests/debian/bench.rs"]
mod bench;
#[path = "../tests/debian/facts.rs"]
mod facts;
#[path = "../tests/debian/init.rs"]
mod init;
#[path = "../tests/archiso/bench.rs"]
mod profiles;

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use isoprep::contents::{Side, Watch};
use isoprep::{Cancel, Image, Progress, StageName};

use arch::mkarchiso;
use bench::Bench as Debian;
use profiles::Bench as Archiso;

/// Repetitions of a full build; the least is told, as everything else on a machine only adds.
const FULL: usize = 3;
/// Repetitions of what is quick; the median is told.
const ROUNDS: usize = 5;
/// What makes a Debian of about a gigabyte, installed.
const PACKAGES: &str = r#"packages = ["build-essential", "git", "curl"]"#;

fn main() {
    if !std::env::args().any(|word| word == "rows") {
        println!("| what | measured | ratio |\n|---|---|---|");
    }
    engines();
    rapid_cycle();
}

fn median(mut values: Vec<Duration>) -> Duration {
    values.sort();
    values[values.len() / 2]
}

fn row(what: &str, took: Duration, whole: Duration) {
    let ratio = took.div_duration_f64(whole);
    println!("| {what} | {:.2} s | {ratio:.3} |", took.as_secs_f64());
}

/// How long `work` takes when nothing that another one left is still to be written.
fn settled(work: impl FnOnce()) -> Duration {
    assert!(std::process::Command::new("sync").status().unwrap().success());
    let began = Instant::now();
    work();
    began.elapsed()
}

/// Both engines on the same profile, without anything of an earlier build, in pairs that take turns who is first; the ratio
/// is the median of the pairs', as what else the machine does changes from minute to minute.
fn engines() {
    let Some(program) = mkarchiso::find() else {
        println!("| native engine against mkarchiso | mkarchiso is not installed | – |");
        return;
    };
    let releng = ["-comp", "xz", "-Xbcj", "x86", "-b", "1M", "-Xdict-size", "1M"];
    let zstd = ["-comp", "zstd", "-Xcompression-level", "3"];
    for (what, options, pairs) in [("zstd 3", &zstd[..], 11), ("releng's xz", &releng, 7)] {
        let profile = profiles::profile().packages(&["grub", "git", "bulk"]).image_options(options);
        let (mut ours, mut theirs, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        for pair in 0..pairs {
            let bench = Archiso::new(&profile, "build = \"release\"");
            let dir = tempfile::Builder::new().prefix("mkarchiso").tempdir_in(bench.dir.path()).unwrap();
            let reference = || {
                mkarchiso::build_at(&program, &bench.repo().join("iso"), dir.path(), Some(profiles::EPOCH)).unwrap();
            };
            let native = || drop(bench.build());
            let (took, reference) = if pair % 2 == 0 {
                let reference = settled(reference);
                (settled(native), reference)
            } else {
                (settled(native), settled(reference))
            };
            ratios.push(took.div_duration_f64(reference));
            ours.push(took);
            theirs.push(reference);
        }
        ratios.sort_by(f64::total_cmp);
        let (took, ratio) = (median(ours), ratios[ratios.len() / 2]);
        row(
            &format!("the real mkarchiso, a small profile like releng, {what}"),
            median(theirs.clone()),
            median(theirs),
        );
        println!("| … native engine, the same profile ({pairs} pairs) | {:.2} s | {ratio:.3} |", took.as_secs_f64());
    }
}

/// Time and most memory of each stage.
type Stages = BTreeMap<&'static str, (Duration, u64)>;

/// The most memory of this process since the last call, bytes (proc(5), `VmHWM`; 5 in `clear_refs` forgets it).
fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    fs::write("/proc/self/clear_refs", "5").unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

fn measured(bench: &Debian) -> (Duration, Image, Stages) {
    let stages = Mutex::new(Stages::new());
    let began = Instant::now();
    let image = bench.build_with(&Cancel::new(), &|progress| match progress {
        Progress::Started { .. } => drop(peak()),
        Progress::Finished { stage: StageName(stage), took, .. } => {
            stages.lock().unwrap().insert(stage, (took, peak()));
        }
        _ => {}
    });
    (began.elapsed(), image.unwrap_or_else(|e| panic!("{e}")), stages.into_inner().unwrap())
}

/// A full build, an unchanged one and one after a changed file. Packages are fetched before: the network is not measured.
fn rapid_cycle() {
    let mut bench = Debian::without_base("debian", PACKAGES);
    bench.request.cache = bench.dir.path().join("cache");
    repository(&bench.repo());
    // Entries younger than two seconds are read again, rightly: that is not what is measured here.
    std::thread::sleep(Duration::from_secs(3));
    bench.build();
    let fetched = bench.request.cache.join("packages-fetched");
    assert!(fetched.is_dir(), "packages are no longer kept there");
    let mut full = (Duration::MAX, 0, Stages::new());
    let mut root = 0;
    for _ in 0..FULL {
        let kept = bench.dir.path().join("kept");
        fs::rename(&fetched, &kept).unwrap();
        fs::remove_dir_all(&bench.request.cache).unwrap();
        fs::create_dir_all(&bench.request.cache).unwrap();
        fs::rename(&kept, &fetched).unwrap();
        let (took, image, stages) = measured(&bench);
        if took < full.0 {
            full = (took, image.bytes, stages);
        }
        root = installed(&image.iso);
    }
    let (whole, bytes, first) = full;
    let megabytes = |bytes: u64| bytes / 1_000_000;
    let what = format!("Debian of {} MB, image of {} MB", megabytes(root), megabytes(bytes));
    row(&format!("full build, {what}, packages fetched before"), whole, whole);
    let same = (0..ROUNDS).map(|_| measured(&bench).0).collect();
    row("… nothing changed", median(same), whole);
    let mut changes = Vec::new();
    let mut most = first["inject"].1;
    for round in 0..ROUNDS {
        fs::write(bench.repo().join("folder7/7"), format!("round {round}\n")).unwrap();
        let (took, _, stages) = measured(&bench);
        most = most.max(stages["inject"].1);
        changes.push(took);
    }
    row("… one file of 1,300 changed", median(changes), whole);
    println!("| … most memory of the whole process in the inject stage, 13 MB | {} MB | – |", megabytes(most));
    grow(&bench.repo());
    let (_, _, stages) = measured(&bench);
    println!("| … the same with a repository of 813 MB | {} MB | – |", megabytes(stages["inject"].1));
}

/// The sum of the files in an image's root.
fn installed(iso: &Path) -> u64 {
    let cancel = Cancel::new();
    let side = Side::load(iso, &Watch { cancel: &cancel, tell: &|_| () }).unwrap_or_else(|e| panic!("{e}"));
    side.contents.files.bytes()
}

/// 13 MB that cannot be packed, in 1300 files.
fn repository(at: &Path) {
    for number in 0..1300_u32 {
        let dir = at.join(format!("folder{}", number % 40));
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join(number.to_string()), noise(number, 10_000)).unwrap();
    }
}

/// Adds 800 MB in eight files.
fn grow(at: &Path) {
    for number in 0..8 {
        fs::write(at.join(format!("large{number}")), noise(10_000 + number, 100_000_000)).unwrap();
    }
}

fn noise(number: u32, size: usize) -> Vec<u8> {
    let mut bytes = vec![0; size];
    let mut noise = blake3::Hasher::new().update(&number.to_le_bytes()).finalize_xof();
    noise.read_exact(&mut bytes).unwrap();
    bytes
}
