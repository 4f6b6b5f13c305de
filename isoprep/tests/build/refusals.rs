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

    // What firmware cannot load is refused however much memory there is.
    let resize = |mib: u64| File::create(bench.repo().join("huge.img")).unwrap().set_len(mib << 20).unwrap();
    resize(1793);
    let text = bench.build().unwrap_err().to_string();
    assert!(text.contains("too big") && text.contains("at most 1792 MiB") && text.contains("source.exclude"), "{text}");

    resize(100);
    bench.request.recipe.guest.memory_mib = 300;
    let text = bench.build().unwrap_err().to_string();
    assert!(text.contains("457M") && text.contains("guest.memory"), "{text}");
    // The recipe asks for enough, but the machine cannot give it.
    bench.request.recipe.guest.memory_mib = 4096;
    bench.request.guest_memory_mib = Some(300);
    let text = bench.build().unwrap_err().to_string();
    assert!(text.contains("too big") && text.contains("has 300 MiB") && text.contains("cannot give"), "{text}");
    assert!(!bench.iso().exists());
}

#[test]
fn single_files_count_too_and_pipes_are_none() {
    let mut bench = Bench::new();
    let (huge, pipe) = (bench.dir.path().join("huge"), bench.dir.path().join("pipe"));
    File::create(&huge).unwrap().set_len(1 << 40).unwrap();
    bench.request.recipe.guest.memory_mib = 64 << 10;
    bench.request.recipe.image.files = [("/opt/huge".into(), huge)].into();
    let started = Instant::now();
    let error = bench.build().unwrap_err();
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
    assert!(matches!(error, BuildError::TooBig { .. }) && error.to_string().contains("/huge"), "{error}");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0).unwrap();
    bench.request.recipe.image.files = [("/opt/pipe".into(), pipe)].into();
    assert!(bench.build().unwrap_err().to_string().contains("not a regular file"));
}

#[test]
fn a_file_that_becomes_a_pipe_or_a_link_under_the_build_is_not_followed() {
    for link in [false, true] {
        let mut bench = Bench::new();
        let file = bench.dir.path().join("single");
        fs::write(&file, "x").unwrap();
        bench.request.recipe.image.files = [("/opt/single".into(), file.clone())].into();
        let listen = |progress| {
            if progress == (Progress::Started { stage: StageName("inject") }) {
                fs::remove_file(&file).unwrap();
                if link {
                    std::os::unix::fs::symlink(bench.repo().join("README"), &file).unwrap();
                } else {
                    rustix::fs::mknodat(rustix::fs::CWD, &file, rustix::fs::FileType::Fifo, 0o400.into(), 0).unwrap();
                }
            }
        };
        let error = isoprep::build(&bench.request, &Cancel::new(), &listen).unwrap_err();
        assert!(matches!(&error, BuildError::Io { path, .. } if *path == file), "{error}");
        bench.assert_no_litter();
    }
}

#[test]
fn a_part_of_the_host_that_changes_under_the_build_is_noticed_and_not_kept() {
    type Part = fn(&mut isoprep::HostParts) -> &mut std::path::PathBuf;
    let parts: [(&str, Part); 4] = [
        ("initramfs", |parts| &mut parts.busybox),
        ("bootloader", |parts| &mut parts.kernel.image),
        ("bootloader", |parts| &mut parts.systemd_boot),
        ("iso", |parts| &mut parts.isohdpfx),
    ];
    for (stage, part) in parts {
        let mut bench = Bench::new();
        let copy = bench.dir.path().join("busybox");
        fs::copy(&*part(bench.parts_mut()), &copy).unwrap();
        fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)).unwrap();
        copy.clone_into(part(bench.parts_mut()));
        let time = fs::metadata(&copy).unwrap().modified().unwrap();
        let listen = |progress| {
            if progress == (Progress::Started { stage: StageName(stage) }) {
                // The same bytes, size and time, by a new name: only a careful look tells.
                fs::copy(&copy, bench.dir.path().join("new")).unwrap();
                fs::rename(bench.dir.path().join("new"), &copy).unwrap();
                File::open(&copy).unwrap().set_modified(time).unwrap();
            }
        };
        let error = isoprep::build(&bench.request, &Cancel::new(), &listen).unwrap_err();
        assert!(matches!(&error, BuildError::Changed { path, .. } if *path == copy), "{stage}: {error}");
        assert!(!bench.request.cache.join(stage).exists() && !bench.iso().exists(), "{stage} was kept");
        bench.assert_no_litter();
        bench.build().unwrap();
    }
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
fn a_busybox_without_places_will_do_and_one_without_a_shell_will_not() {
    let mut bench = Bench::new();
    bench.parts_mut().busybox = bench.script("busybox", "printf '%s\\n' '[' cat modprobe mount sh");
    let image = bench.build().unwrap();
    let archive = fs::read(&image.initrds[0]).unwrap();
    assert!(archive.windows(7).any(|bytes| bytes == b"bin/sh\0"));
    bench.parts_mut().busybox = bench.script("busybox", "printf '%s\\n' bin/cat bin/ls sbin/modprobe");
    let error = bench.build().unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, BuildError::Refused { .. }) && text.contains("has no sh, mount"), "{text}");
    assert!(text.contains(bench.parts_mut().busybox.to_str().unwrap()), "{text}");
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
    refused(&|b| b.request.recipe.source.into = "/usr/local".into(), "source.into");
    let file = |b: &mut Bench, to: &str| b.request.recipe.image.files.insert(to.into(), "README".into());
    refused(&|b| drop(file(b, "/root/demo")), "is source.into itself");
    refused(&|b| drop(file(b, "/root")), "is a folder above source.into");
    refused(&|b| drop((file(b, "/opt/a"), file(b, "/opt/a/b"))), "/opt/a/b lies below it");
    refused(&|b| b.request.recipe.source.path = "/nonexistent/x".into(), "/nonexistent/x");
    refused(&|b| b.request.recipe.name = "a/b".into(), "a/b");
    refused(&|b| b.request.recipe.image.cmdline = "a\nb".into(), "image.cmdline");
    refused(&|b| b.request.recipe.image.cmdline = "x".repeat(3000), "image.cmdline");
    refused(&|b| b.request.recipe.image.env = [("A B".to_owned(), String::new())].into(), "image.env");
    refused(&|b| b.request.recipe.image.files = [("/x".into(), "/nonexistent".into())].into(), "/nonexistent");
    refused(&|b| b.request.recipe.image.files = [("/root/demo/README/x".into(), "README".into())].into(), "README/x");
}
