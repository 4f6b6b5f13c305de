//! A power cut at any stage: nothing runs on, nothing stays mounted, and the next build over the same cache succeeds. Full
//! disks: told as such, and nothing is lost. Both run this program again, to have somebody to kill and a place to fill.

use std::path::Path;
use std::time::{Duration, Instant};

use cartridge_supervise::{CommandLine, run};
use isoprep::{BuildError, Cancel, Progress};
use rustix::fs::statvfs;
use rustix::mount::{MountFlags, mount, mount_remount};

use crate::arch::Repository;
use crate::bench::{Bench, PLACE, profile};

/// Tells the other process in which stage to die.
const STAGE: &str = "CARTRIDGE_TEST_STAGE";

fn again(test: &str) -> CommandLine {
    let line = CommandLine::new(std::env::current_exe().unwrap());
    line.args(["--exact", test, "--ignored", "--nocapture"])
}

#[test]
fn a_build_that_was_killed_at_any_stage_leaves_a_cache_that_builds() {
    let top = tempfile::Builder::new().prefix("killed").tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    for stage in ["assemble", "packages", "inject", "squash", "bootloader", "iso"] {
        let line = again("kill::dies_inside").env(PLACE, top.path()).env(STAGE, stage);
        run(&line, &Cancel::new(), |_, _| ()).unwrap_err();
        let until = Instant::now() + Duration::from_secs(5);
        while runs_in(top.path()) && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(50));
        }
        assert!(!runs_in(top.path()), "{stage}: something runs on");
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        assert!(!mounts.contains(top.path().to_str().unwrap()), "{stage}: {mounts}");
    }
    let mut bench = Bench::new(&profile(), "build = \"release\"");
    bench.request.cache = top.path().join("cache");
    bench.build();
    bench.assert_clean();
    // What the dead left may belong to lent users: it is taken back, and then removed like anything else.
    isoprep::reclaim(top.path(), &Cancel::new()).unwrap();
    top.close().unwrap();
}

#[test]
fn a_fetch_that_was_killed_at_its_last_byte_is_done_again() {
    let bench = Bench::new(&profile(), "");
    let room = bench.request.cache.join("packages-fetched");
    std::fs::create_dir_all(&room).unwrap();
    let packages = std::fs::read_dir(Repository::get().path().join("archtest")).unwrap().flatten();
    let package = packages.map(|it| it.path()).find(|it| {
        let name = it.file_name().unwrap().to_string_lossy().into_owned();
        name.starts_with("mkinitcpio-41") && name.ends_with(".pkg.tar.zst")
    });
    let package = package.expect("the repository has mkinitcpio");
    let name = package.file_name().unwrap().to_str().unwrap();
    std::fs::copy(&package, room.join(format!("{name}.part"))).unwrap();
    bench.build();
    assert!(room.join(name).exists());
}

/// Whether any process has a path below `top` on its command line.
fn runs_in(top: &Path) -> bool {
    let processes = std::fs::read_dir("/proc").unwrap().flatten().map(|it| it.path().join("cmdline"));
    let top = top.to_str().unwrap();
    processes.into_iter().any(|file| std::fs::read(file).is_ok_and(|line| String::from_utf8_lossy(&line).contains(top)))
}

#[test]
#[ignore = "is killed by a_build_that_was_killed_at_any_stage_leaves_a_cache_that_builds"]
fn dies_inside() {
    let wanted = std::env::var(STAGE).unwrap();
    let mut bench = Bench::new(&profile(), "build = \"release\"");
    bench.request.cache = Path::new(&std::env::var_os(PLACE).unwrap()).join("cache");
    let die = || rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL).unwrap();
    let listen = |progress: Progress| match &progress {
        Progress::Advanced { stage, done, .. } if stage.0 == wanted && *done > 5 => die(),
        // Those that are too short to tell how far they are.
        Progress::Started { stage } if stage.0 == wanted && ["assemble", "inject", "bootloader"].contains(&stage.0) => {
            die()
        }
        _ => {}
    };
    let image = bench.build_with(&Cancel::new(), &listen);
    panic!("it lives: {image:?}");
}

#[test]
fn a_full_disk_is_told_as_such_and_keeps_the_old_image() {
    let flags: &[&str] =
        if rustix::process::geteuid().is_root() { &["--mount"] } else { &["--user", "--map-root-user", "--mount"] };
    let own = again("kill::fills_inside");
    let line = CommandLine::new("unshare").args(flags).arg("--").arg(own.program()).args(own.arguments().to_vec());
    let output = run(&line, &Cancel::new(), |_, _| ()).unwrap_or_else(|e| panic!("{e}"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("1 passed"), "{text}");
}

#[test]
#[ignore = "runs in the mount namespace that a_full_disk_is_told_as_such_and_keeps_the_old_image makes"]
fn fills_inside() {
    let bench = Bench::new(&profile(), "");
    let tmpfs = |at: &Path, mib: u64| {
        let options = std::ffi::CString::new(format!("size={mib}m")).unwrap();
        mount("tmpfs", at, "tmpfs", MountFlags::empty(), options.as_c_str()).unwrap();
    };
    let resize = |at: &Path, mib: u64| {
        mount_remount(at, MountFlags::empty(), format!("size={mib}m")).unwrap();
    };
    // Leaves room for `mib` more.
    let narrow = |at: &Path, mib: u64| {
        let room = statvfs(at).unwrap();
        resize(at, (room.f_blocks - room.f_bfree) * room.f_frsize / (1 << 20) + 1 + mib);
    };
    std::fs::create_dir(&bench.request.cache).unwrap();
    let full = |result: Result<isoprep::Image, BuildError>| match result {
        Err(BuildError::DiskFull { path, .. }) => path,
        other => panic!("{other:?}"),
    };
    let build = |bench: &Bench| bench.build_with(&Cancel::new(), &|_| ());
    tmpfs(&bench.request.work, 1000);
    tmpfs(&bench.request.cache, 1000);
    tmpfs(&bench.request.images, 500);
    // The cache has no room for what is fetched.
    narrow(&bench.request.cache, 3);
    assert!(full(build(&bench)).starts_with(&bench.request.cache));
    resize(&bench.request.cache, 1000);
    // The room is lost while packages are installed.
    let lose = |progress: Progress| {
        if matches!(progress, Progress::Advanced { unit: isoprep::Unit::Packages, .. }) {
            narrow(&bench.request.work, 1);
        }
    };
    assert!(full(bench.build_with(&Cancel::new(), &lose)).starts_with(&bench.request.work));
    resize(&bench.request.work, 1000);
    let image = bench.build();
    let old = std::fs::read(&image.iso).unwrap();
    narrow(&bench.request.images, 8);
    std::fs::write(bench.repo().join("README"), "changed").unwrap();
    assert!(full(build(&bench)).starts_with(&bench.request.images));
    assert!(std::fs::read(&image.iso).unwrap() == old);
    resize(&bench.request.images, 500);
    bench.build();
}
