//! Cancelling: within two seconds, nothing left running, nothing left lying, the old image as it was.

use std::fs::{self, File};
use std::time::{Duration, Instant};

use isoprep::{BuildError, Cancel, Progress, StageName};

use crate::bench::Bench;

/// Builds and cancels when `when` says so; returns the error.
fn cancelled(bench: &Bench, when: impl Fn(&Progress) -> bool + Sync) -> BuildError {
    let (cancel, asked) = (Cancel::new(), std::sync::Mutex::new(None));
    let listen = |progress: Progress| {
        if when(&progress) {
            asked.lock().unwrap().get_or_insert_with(Instant::now);
            cancel.cancel();
        }
    };
    let error = isoprep::build(&bench.request, &cancel, &listen).unwrap_err();
    let took = asked.lock().unwrap().expect("the moment never came").elapsed();
    assert!(took < Duration::from_secs(2), "{took:?}");
    bench.assert_no_litter();
    error
}

#[test]
fn every_stage_can_be_cancelled() {
    for name in ["assemble", "initramfs", "inject", "bootloader", "iso"] {
        let bench = Bench::new();
        let stage = StageName(name);
        let error = cancelled(&bench, |it| *it == (Progress::Started { stage }));
        assert!(error.is_cancelled() && error.stage() == Some(stage), "{error}");
        assert!(!bench.iso().exists());
        bench.build().unwrap();
    }
}

#[test]
fn a_cancel_in_the_middle_keeps_the_old_image() {
    let bench = Bench::new();
    bench.build().unwrap();
    let old = fs::read(bench.iso()).unwrap();
    File::create(bench.repo().join("big")).unwrap().set_len(700 << 20).unwrap();
    for name in ["assemble", "inject", "bootloader"] {
        let within =
            |it: &Progress| matches!(it, Progress::Advanced { stage, done, .. } if stage.0 == name && *done > 1 << 20);
        let error = cancelled(&bench, within);
        assert!(error.is_cancelled(), "{error}");
        assert!(fs::read(bench.iso()).unwrap() == old);
    }
}

#[test]
fn reading_a_large_single_file_can_be_cancelled() {
    let mut bench = Bench::new();
    let file = bench.dir.path().join("large");
    File::create(&file).unwrap().set_len(1500 << 20).unwrap();
    bench.request.recipe.image.files = [("/opt/large".into(), file)].into();
    // The repository itself has a few bytes only.
    let within = |it: &Progress| matches!(it, Progress::Advanced { stage, done, .. } if stage.0 == "assemble" && *done > 1 << 20);
    let error = cancelled(&bench, within);
    assert!(error.is_cancelled() && error.stage() == Some(StageName("assemble")), "{error}");
}

#[test]
fn a_stubborn_xorriso_is_killed() {
    let mut bench = Bench::new();
    let pid = bench.dir.path().join("pid");
    let text = format!("trap '' TERM\necho $$ >{}\nwhile :; do sleep 1; done", pid.display());
    bench.parts_mut().xorriso = bench.script("xorriso", &text);
    let running = || fs::read_to_string(&pid).is_ok_and(|text| text.ends_with('\n'));
    let error = cancelled(&bench, |it| matches!(it, Progress::Advanced { stage, .. } if stage.0 == "iso") && running());
    assert_eq!(error.stage(), Some(StageName("iso")));
    let pid = fs::read_to_string(pid).unwrap();
    assert!(!fs::exists(format!("/proc/{}", pid.trim())).unwrap(), "it is still running");
}

#[test]
fn a_failing_xorriso_is_quoted_with_the_command() {
    let mut bench = Bench::new();
    bench.build().unwrap();
    let old = fs::read(bench.iso()).unwrap();
    bench.write("README", "changed");
    bench.parts_mut().xorriso = bench.script("xorriso", "echo 'libburn : SORRY : broken' >&2; exit 5");
    let text = bench.build().unwrap_err().to_string();
    assert!(text.contains("SORRY : broken") && text.contains("-as mkisofs") && text.contains("exit code 5"), "{text}");
    assert!(fs::read(bench.iso()).unwrap() == old);
    bench.assert_no_litter();
}
