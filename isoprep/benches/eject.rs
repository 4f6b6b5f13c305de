//! The rows of the README's table that are about Eject: against `rm -rf`, on equal trees, in pairs that take turns who is first.
//! `cargo bench -p isoprep --bench eject` prints them; `xtask bench` does it after its own, and says `rows`.
//!
//! The many files lie in the folder that `CARTRIDGE_TEST_PLACE` names, in memory if that is, else in that for temporary files,
//! where the big ones always are: those need a disk.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a bench that cannot measure stops")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use isoprep::Cancel;
use isoprep::eject::{WorkDir, eject};
use rustix::fs::{FallocateFlags, Mode, OFlags, fallocate, open};

/// Pairs of runs; the median of their ratios is told.
const PAIRS: usize = 5;
const FOLDERS: usize = 2_000;
const FILES: usize = 100;
/// Of half a gigabyte each.
const BIG: usize = 40;
const HALF: u64 = 512 << 20;

fn main() {
    if !std::env::args().any(|word| word == "rows") {
        println!("| what | measured | ratio |\n|---|---|---|");
    }
    let place = std::env::var_os("CARTRIDGE_TEST_PLACE").map_or_else(std::env::temp_dir, PathBuf::from);
    compare("200,000 files of 100 bytes in 2,000 folders", &place, &many);
    compare("20 GB in 40 files, all of it allocated", &std::env::temp_dir(), &big);
}

/// What an image's root looks like: folders of small files.
fn many(dir: &Path) {
    for folder in 0..FOLDERS {
        let folder = dir.join(format!("{}/{folder}", folder % 40));
        fs::create_dir_all(&folder).unwrap();
        for file in 0..FILES {
            fs::write(folder.join(file.to_string()), [b'x'; 100]).unwrap();
        }
    }
}

/// Blocks are given to the files, and nothing is written to them.
fn big(dir: &Path) {
    for number in 0..BIG {
        let file =
            open(dir.join(number.to_string()), OFlags::CREATE | OFlags::WRONLY, Mode::RUSR | Mode::WUSR).unwrap();
        fallocate(file, FallocateFlags::empty(), 0, HALF).unwrap();
    }
}

fn compare(what: &str, place: &Path, fill: &dyn Fn(&Path)) {
    let top = tempfile::tempdir_in(place).unwrap();
    let ours = || {
        settled(top.path(), fill, |dir| {
            let report = eject(dir, &Cancel::new(), &|_| {}).unwrap();
            assert_eq!(report.untouched, []);
        })
    };
    let theirs =
        || settled(top.path(), fill, |dir| assert!(Command::new("rm").arg("-rf").arg(dir).status().unwrap().success()));
    let pairs: Vec<(Duration, Duration)> = (0..PAIRS)
        .map(|pair| {
            if pair % 2 == 0 {
                let first = ours();
                (first, theirs())
            } else {
                let first = theirs();
                (ours(), first)
            }
        })
        .collect();
    let ratios = pairs.iter().map(|(ours, theirs)| ours.div_duration_f64(*theirs)).collect();
    let seconds =
        |of: &dyn Fn(&(Duration, Duration)) -> Duration| median(pairs.iter().map(|it| of(it).as_secs_f64()).collect());
    println!("| `rm -rf` of {what} | {:.2} s | 1 |", seconds(&|it| it.1));
    println!("| … Eject, the same ({PAIRS} pairs) | {:.2} s | {:.3} |", seconds(&|it| it.0), median(ratios));
}

/// How long it takes to delete a new tree, when all that was written before is on the disk.
fn settled(top: &Path, fill: &dyn Fn(&Path), delete: impl FnOnce(&Path)) -> Duration {
    let dir = WorkDir::create(top, "bench").unwrap();
    fill(dir.path());
    assert!(Command::new("sync").status().unwrap().success());
    let began = Instant::now();
    delete(dir.path());
    let took = began.elapsed();
    assert!(!dir.path().exists());
    took
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
