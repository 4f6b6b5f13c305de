//! What cannot be built is refused early, with the reason and what to do.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use isoprep::{BuildError, Cancel, Progress, StageName};

use crate::bench::Bench;

#[test]
fn a_repository_that_does_not_fit_is_refused_without_reading_it() {
    let mut bench = Bench::new();
    File::create(bench.repo().join("huge.img")).unwrap().set_len(5 << 30).unwrap();
    bench.request.recipe.guest.memory_mib = 64 << 10;
    let started = Instant::now();
    let error = bench.build().unwrap_err();
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
    let text = error.to_string();
    assert!(
        matches!(error, BuildError::TooBig { .. }) && text.contains("huge.img") && text.contains("exclude"),
        "{text}"
    );

    File::create(bench.repo().join("huge.img")).unwrap().set_len(100 << 20).unwrap();
    bench.request.recipe.guest.memory_mib = 300;
    let text = bench.build().unwrap_err().to_string();
    assert!(text.contains("457M") && text.contains("guest.memory"), "{text}");
    assert!(!bench.iso().exists());
}

/// Without the capabilities that let root read everything, in a thread of its own.
fn unprivileged<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    use rustix::thread::{CapabilitySet, capabilities, set_capabilities};
    let reading = CapabilitySet::DAC_OVERRIDE | CapabilitySet::DAC_READ_SEARCH;
    let drop_them = || {
        let mut sets = capabilities(None).unwrap();
        sets.effective.remove(reading);
        set_capabilities(None, sets).unwrap();
    };
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            drop_them();
            work()
        });
        thread.join().unwrap()
    })
}

#[test]
fn everything_that_cannot_be_read_is_named_at_once() {
    let bench = Bench::new();
    for number in 10..35 {
        let file = bench.write(&format!("closed/{number}"), "x");
        fs::set_permissions(file, fs::Permissions::from_mode(0o000)).unwrap();
    }
    let dir = bench.write("locked/inside", "x");
    fs::set_permissions(dir.parent().unwrap(), fs::Permissions::from_mode(0o000)).unwrap();
    let error = unprivileged(|| bench.build().unwrap_err());
    let text = error.to_string();
    assert!(matches!(&error, BuildError::Unreadable { total: 1, .. }) && text.contains("locked: "), "{text}");
    bench.write("x", "x");
    fs::set_permissions(bench.repo().join("locked"), fs::Permissions::from_mode(0o755)).unwrap();
    let error = unprivileged(|| bench.build().unwrap_err());
    let text = error.to_string();
    assert!(matches!(&error, BuildError::Unreadable { total: 25, .. }), "{text}");
    assert!(text.contains("closed/10: Permission denied") && text.contains("closed/29: "), "{text}");
    assert!(!text.contains("closed/30") && text.contains("5 more"), "{text}");
    bench.assert_no_litter();
}

#[test]
fn work_folders_of_ours_inside_the_repository_are_refused_unless_left_out() {
    let mut bench = Bench::new();
    isoprep::ensure_marked(&bench.repo().join("build/work"), "x").unwrap();
    let text = bench.build().unwrap_err().to_string();
    assert!(text.contains("repo/build/work\n") && text.contains("source.exclude"), "{text}");
    bench.request.recipe.source.exclude = vec!["/build".into()];
    bench.build().unwrap();
}

#[test]
fn a_file_that_changes_under_the_build_is_noticed() {
    let bench = Bench::new();
    let changed = AtomicBool::new(false);
    let listen = |progress| {
        if progress == (Progress::Started { stage: StageName("inject") }) && !changed.swap(true, Ordering::Relaxed) {
            fs::write(bench.repo().join("README"), "HELLO").unwrap();
        }
    };
    let error = isoprep::build(&bench.request, &Cancel::new(), &listen).unwrap_err();
    assert!(matches!(&error, BuildError::Changed { path, .. } if path.ends_with("README")), "{error}");
    bench.assert_no_litter();
    bench.build().unwrap();
}

#[test]
fn settings_that_cannot_be_obeyed_are_refused_with_their_key() {
    let refused = |change: &dyn Fn(&mut Bench), word: &str| {
        let mut bench = Bench::new();
        change(&mut bench);
        let error = bench.build().unwrap_err();
        let text = error.to_string();
        assert!(text.contains(word), "{text}");
        assert!(error.stage().is_some());
    };
    refused(&|b| b.request.recipe.source.into = "/".into(), "source.into");
    refused(&|b| b.request.recipe.source.into = "/proc/x".into(), "source.into");
    refused(&|b| b.request.recipe.source.into = "/root/../x".into(), "source.into");
    refused(&|b| b.request.recipe.source.path = "/nonexistent/x".into(), "/nonexistent/x");
    refused(&|b| b.request.recipe.name = "a/b".into(), "a/b");
    refused(&|b| b.request.recipe.image.cmdline = "a\nb".into(), "image.cmdline");
    refused(&|b| b.request.recipe.image.cmdline = "x".repeat(3000), "image.cmdline");
    refused(&|b| b.request.recipe.image.env = [("A B".to_owned(), String::new())].into(), "image.env");
    refused(&|b| b.request.recipe.image.files = [("/x".into(), "/nonexistent".into())].into(), "/nonexistent");
    refused(&|b| b.request.recipe.image.files = [("/root/demo/README/x".into(), "README".into())].into(), "README/x");
}
