//! A killed build leaves drafts, and the next sweep takes them; those of a running build stay. Runs itself again to have
//! somebody to kill.

use std::fs;
use std::path::{Path, PathBuf};

use cartridge_supervise::{CommandLine, run};
use isoprep::{Cancel, Progress, sweep_drafts};

use crate::bench::Bench;

/// Tells the killed process where to build, and in which stage to die.
const PLACE: &str = "CARTRIDGE_TEST_PLACE";
const STAGE: &str = "CARTRIDGE_TEST_STAGE";

fn bench_at(place: &Path) -> Bench {
    let mut bench = Bench::new();
    bench.request.cache = place.join("cache/stages");
    bench.request.images = place.join("cache/images/demo-12345678");
    // Large enough for a stage to tell how far it is.
    fs::write(bench.repo().join("bulk"), vec![1; 8 << 20]).unwrap();
    bench
}

fn drafts(place: &Path) -> Vec<PathBuf> {
    let list = |dir: &str| fs::read_dir(place.join("cache").join(dir)).into_iter().flatten().flatten();
    let hidden = |path: &PathBuf| path.extension().is_some_and(|end| end == "tmp");
    let mut found: Vec<_> = list("stages/drafts").map(|entry| entry.path()).collect();
    found.extend(list("images/demo-12345678").map(|entry| entry.path()).filter(hidden));
    found
}

#[test]
fn what_a_killed_build_leaves_is_swept_and_what_a_living_one_makes_is_not() {
    for stage in ["inject", "bootloader", "iso"] {
        let top = tempfile::tempdir().unwrap();
        let place = top.path().canonicalize().unwrap();
        let (stages, images) = (place.join("cache/stages"), place.join("cache/images"));
        for dir in [&stages, &images] {
            isoprep::ensure_marked(dir, "test").unwrap();
        }
        let line = CommandLine::new(std::env::current_exe().unwrap());
        let line = line.args(["--exact", "kill::dies_inside", "--ignored", "--nocapture"]);
        let line = line.env(PLACE, &place).env(STAGE, stage).env("TMPDIR", &place);
        run(&line, &Cancel::new(), |_, _| ()).unwrap_err();
        let left = drafts(&place);
        assert!(!left.is_empty(), "{stage}: nothing was left, so nothing is tested");

        // Another build of the same cartridge goes on while we sweep.
        let bench = bench_at(&place);
        let listen = |progress| {
            if matches!(progress, Progress::Advanced { .. }) {
                drop(sweep_drafts(&stages, &images));
            }
        };
        isoprep::build(&bench.request, &Cancel::new(), &listen).unwrap();
        drop(sweep_drafts(&stages, &images));
        assert_eq!(drafts(&place), [] as [&Path; 0], "{stage}");
        assert!(bench.iso().exists());
    }
}

#[test]
#[ignore = "is killed by what_a_killed_build_leaves_is_swept_and_what_a_living_one_makes_is_not"]
fn dies_inside() {
    let (place, wanted) = (std::env::var_os(PLACE).unwrap(), std::env::var(STAGE).unwrap());
    let bench = bench_at(Path::new(&place));
    let listen = |progress| {
        if matches!(progress, Progress::Advanced { stage, .. } if stage.0 == wanted) {
            rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL).unwrap();
        }
    };
    isoprep::build(&bench.request, &Cancel::new(), &listen).unwrap();
}
