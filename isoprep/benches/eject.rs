//! Eject against `rm -rf`, on equal trees, in pairs that take turns who is first: the rows of the README's table.
//!
//! `cargo bench -p isoprep --bench eject -- [files] [ext4] [bytes] [OPTIONS]` measures these parts, or all, and prints a table.
//!
//! - `files`: many small files, in the folder that `CARTRIDGE_TEST_PLACE` names, in memory if that is, else in that for temporary
//!   files. `--files N` of them, 200,000 unless said otherwise, in folders of a hundred.
//! - `ext4`: the same in a new ext4 of a loop device, whose image lies in that folder. Needs root and a loop device.
//! - `bytes`: big files of half a gigabyte, all of it allocated, in the folder for temporary files, which should be on a disk.
//!   `--gigabytes N` of them, 20 unless said otherwise.
//! - `--pairs N`: how many pairs of runs, 5 unless said otherwise.
//!
//! Each row tells how far the ratios of the pairs lie apart, and how busy the machine was: numbers of a busy one prove little.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a bench that cannot measure stops")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use isoprep::Cancel;
use isoprep::eject::{WorkDir, eject};
use rustix::fs::{FallocateFlags, Mode, OFlags, fallocate, open};
use rustix::mount::{MountPropagationFlags, mount_change};
use rustix::thread::{UnshareFlags, unshare_unsafe};

/// How many files are in a folder.
const FOLDER: usize = 100;
const HALF: u64 = 512 << 20;

/// What is measured, and how much of it.
struct Wanted {
    parts: Vec<String>,
    files: usize,
    gigabytes: usize,
    pairs: usize,
}

impl Wanted {
    fn of(words: impl Iterator<Item = String>) -> Self {
        let mut wanted = Self { parts: Vec::new(), files: 200_000, gigabytes: 20, pairs: 5 };
        let mut words = words.peekable();
        while let Some(word) = words.next() {
            let mut number = || {
                let number = words.next().and_then(|number| number.parse().ok());
                number.filter(|number| *number > 0).unwrap_or_else(|| panic!("{word} needs a number"))
            };
            match word.as_str() {
                "--files" => wanted.files = number(),
                "--gigabytes" => wanted.gigabytes = number(),
                "--pairs" => wanted.pairs = number(),
                // What cargo says to every bench.
                "--bench" => {}
                "files" | "ext4" | "bytes" => wanted.parts.push(word),
                other => panic!("{other:?} is none of files, ext4, bytes, --files N, --gigabytes N, --pairs N"),
            }
        }
        wanted
    }

    fn wants(&self, part: &str) -> bool {
        self.parts.is_empty() || self.parts.iter().any(|it| it == part)
    }
}

fn main() {
    let wanted = Wanted::of(std::env::args().skip(1));
    println!("| what | measured | ratio |\n|---|---|---|");
    let place = std::env::var_os("CARTRIDGE_TEST_PLACE").map_or_else(std::env::temp_dir, PathBuf::from);
    let many = |dir: &Path| many(dir, wanted.files);
    let what = format!("{} files of 100 bytes in folders of {FOLDER}", grouped(wanted.files));
    if wanted.wants("files") {
        compare(&format!("{what}, {}", kind(&place)), &place, wanted.pairs, &many);
    }
    if wanted.wants("ext4") {
        match Disk::new(&place, wanted.files) {
            Ok(disk) => compare(&format!("{what}, ext4"), &disk.at, wanted.pairs, &many),
            Err(why) => println!("| {what}, ext4: not measured, {why} | – | – |"),
        }
    }
    if wanted.wants("bytes") {
        let (place, number) = (std::env::temp_dir(), wanted.gigabytes * 2);
        let what = format!("{} GB in {number} files, all of it allocated, {}", wanted.gigabytes, kind(&place));
        compare(&what, &place, wanted.pairs, &|dir| big(dir, number));
    }
}

/// `200,000`.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let ends = (0..digits.len()).map(|at| (digits.len() - at).is_multiple_of(3) && at > 0);
    digits.chars().zip(ends).flat_map(|(digit, comma)| comma.then_some(',').into_iter().chain([digit])).collect()
}

/// What kind of file system a folder is on.
fn kind(place: &Path) -> String {
    let said = Command::new("stat").args(["-f", "-c", "%T"]).arg(place).output().unwrap();
    String::from_utf8_lossy(&said.stdout).trim().replace("ext2/ext3", "ext4")
}

/// How many processes have wanted to run at once in the last minute.
fn load() -> String {
    fs::read_to_string("/proc/loadavg").unwrap().split(' ').next().unwrap().to_owned()
}

/// What an image's root looks like: folders of small files.
fn many(dir: &Path, files: usize) {
    for file in 0..files {
        let folder = dir.join(format!("{}/{}", file / FOLDER % 40, file / FOLDER));
        if file % FOLDER == 0 {
            fs::create_dir_all(&folder).unwrap();
        }
        fs::write(folder.join((file % FOLDER).to_string()), [b'x'; 100]).unwrap();
    }
}

/// Blocks are given to the files, and nothing is written to them.
fn big(dir: &Path, number: usize) {
    for number in 0..number {
        let file =
            open(dir.join(number.to_string()), OFlags::CREATE | OFlags::WRONLY, Mode::RUSR | Mode::WUSR).unwrap();
        fallocate(file, FallocateFlags::empty(), 0, HALF).unwrap();
    }
}

/// An ext4 in a file, which nobody else sees: it goes with this process, and so does the loop device.
struct Disk {
    at: PathBuf,
    image: PathBuf,
    _place: tempfile::TempDir,
}

impl Disk {
    fn new(place: &Path, files: usize) -> Result<Self, String> {
        let place = tempfile::tempdir_in(place).map_err(|error| error.to_string())?;
        let (at, image) = (place.path().join("disk"), place.path().join("image"));
        fs::create_dir(&at).map_err(|error| error.to_string())?;
        // SAFETY: the mounts of this thread, the only one, become its own; no descriptor is given up.
        #[allow(unsafe_code, reason = "it is unsafe for CLONE_FILES alone")]
        unsafe { unshare_unsafe(UnshareFlags::NEWNS) }.map_err(|error| format!("only root may mount: {error}"))?;
        let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
        mount_change("/", private).map_err(|error| error.to_string())?;
        // A block, an inode and a name a file, and as much again for the rest.
        let size = files as u64 * 12_288 + (256 << 20);
        fs::File::create(&image).and_then(|file| file.set_len(size)).map_err(|error| error.to_string())?;
        let inodes = (files + files / 10 + 10_000).to_string();
        tool("mke2fs", &["-q", "-F", "-t", "ext4", "-N", &inodes, &image.to_string_lossy()])?;
        tool("mount", &["-o", "loop", &image.to_string_lossy(), &at.to_string_lossy()])?;
        Ok(Self { at, image, _place: place })
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = tool("umount", &[&self.at.to_string_lossy()]);
        let _ = fs::remove_file(&self.image);
    }
}

fn tool(program: &str, words: &[&str]) -> Result<(), String> {
    let out = Command::new(program).args(words).output().map_err(|error| format!("{program}: {error}"))?;
    let said = String::from_utf8_lossy(&out.stderr).trim().to_owned();
    if out.status.success() { Ok(()) } else { Err(format!("{program}: {said}")) }
}

fn compare(what: &str, place: &Path, pairs: usize, fill: &dyn Fn(&Path)) {
    let top = tempfile::tempdir_in(place).unwrap();
    let began = load();
    let ours = || {
        settled(top.path(), fill, |dir| {
            let report = eject(dir, &Cancel::new(), &|_| {}).unwrap();
            assert_eq!(report.untouched, []);
        })
    };
    let theirs =
        || settled(top.path(), fill, |dir| assert!(Command::new("rm").arg("-rf").arg(dir).status().unwrap().success()));
    let pairs: Vec<(Duration, Duration)> = (0..pairs)
        .map(|pair| {
            let (ours, theirs) = if pair % 2 == 0 {
                let first = ours();
                (first, theirs())
            } else {
                let first = theirs();
                (ours(), first)
            };
            // Whoever waits sees that it goes on.
            eprintln!("pair {}: Eject {:.2} s, rm {:.2} s", pair + 1, ours.as_secs_f64(), theirs.as_secs_f64());
            (ours, theirs)
        })
        .collect();
    let mut ratios: Vec<f64> = pairs.iter().map(|(ours, theirs)| ours.div_duration_f64(*theirs)).collect();
    ratios.sort_by(f64::total_cmp);
    let apart = format!("ratios {:.2} to {:.2}", ratios[0], ratios[ratios.len() - 1]);
    let seconds =
        |of: &dyn Fn(&(Duration, Duration)) -> Duration| median(pairs.iter().map(|it| of(it).as_secs_f64()).collect());
    println!("| `rm -rf` of {what} | {:.2} s | 1 |", seconds(&|it| it.1));
    println!(
        "| … Eject, the same ({} pairs, {apart}; load {began} to {}) | {:.2} s | {:.3} |",
        pairs.len(),
        load(),
        seconds(&|it| it.0),
        median(ratios)
    );
}

/// How long it takes to delete a new tree, when all that was written of it is on the disk.
fn settled(top: &Path, fill: &dyn Fn(&Path), delete: impl FnOnce(&Path)) -> Duration {
    let dir = WorkDir::create(top, "bench").unwrap();
    fill(dir.path());
    // Not `sync`, which waits for everybody.
    rustix::fs::syncfs(fs::File::open(top).unwrap()).unwrap();
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
