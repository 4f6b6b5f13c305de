//! Full disks: the old image and the cache stay valid, and the error has numbers. Runs itself again in a mount namespace of
//! its own, where small file systems can be mounted.

use std::fs;
use std::path::Path;

use cartridge_supervise::{CommandLine, run};
use isoprep::{BuildError, Cancel};
use rustix::mount::{MountFlags, mount, mount_remount};

use crate::bench::Bench;

/// Runs the ignored test `name` of this program in a mount namespace.
fn in_namespace(name: &str) {
    let own = std::env::current_exe().unwrap();
    let flags: &[&str] =
        if rustix::process::geteuid().is_root() { &["--mount"] } else { &["--user", "--map-root-user", "--mount"] };
    let line = CommandLine::new("unshare").args(flags).arg("--").arg(own);
    let line = line.args(["--exact", name, "--ignored", "--nocapture"]);
    let output = run(&line, &Cancel::new(), |_, _| ()).unwrap_or_else(|e| panic!("{e}"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("1 passed"), "{text}");
}

fn tmpfs(at: &Path, mib: u64) {
    let options = std::ffi::CString::new(format!("size={mib}m")).unwrap();
    mount("tmpfs", at, "tmpfs", MountFlags::empty(), options.as_c_str()).unwrap();
}

fn resize(at: &Path, mib: u64) {
    mount_remount(at, MountFlags::empty(), format!("size={mib}m")).unwrap();
}

#[test]
fn a_full_disk_keeps_the_old_image() {
    in_namespace("disk::images_inside");
}

#[test]
#[ignore = "runs in the mount namespace that a_full_disk_keeps_the_old_image makes"]
fn images_inside() {
    let mut bench = Bench::new();
    tmpfs(&bench.request.images, 200);
    bench.build().unwrap();
    let old = fs::read(bench.iso()).unwrap();
    resize(&bench.request.images, 80);
    bench.write("README", "changed");
    let error = bench.build().unwrap_err();
    let BuildError::DiskFull { needed, free, path, .. } = &error else { panic!("{error}") };
    assert!(needed > free && *path == bench.request.images, "{error}");
    assert!(fs::read(bench.iso()).unwrap() == old);
    bench.assert_no_litter();

    // The room is lost while xorriso runs.
    resize(&bench.request.images, 200);
    let filler = bench.request.images.join("filler");
    let fill = format!("head -c 300M /dev/zero >{}; echo full >&2; exit 5", filler.display());
    let failing = bench.script("xorriso", &fill);
    let xorriso = std::mem::replace(&mut bench.parts_mut().xorriso, failing);
    let error = bench.build().unwrap_err();
    assert!(matches!(error, BuildError::DiskFull { .. }), "{error}");
    fs::remove_file(filler).unwrap();
    assert!(fs::read(bench.iso()).unwrap() == old);
    bench.assert_no_litter();
    bench.parts_mut().xorriso = xorriso;
    bench.build().unwrap();
}

#[test]
fn a_full_cache_stays_valid() {
    in_namespace("disk::cache_inside");
}

#[test]
#[ignore = "runs in the mount namespace that a_full_cache_stays_valid makes"]
fn cache_inside() {
    let bench = Bench::new();
    fs::create_dir(&bench.request.cache).unwrap();
    // Enough for the base, not for the partition.
    tmpfs(&bench.request.cache, 66);
    fs::write(bench.repo().join("bulk"), vec![1; 20 << 20]).unwrap();
    let error = bench.build().unwrap_err();
    assert!(matches!(error, BuildError::DiskFull { .. }), "{error}");
    assert!(error.to_string().contains("MiB needed"), "{error}");
    bench.assert_no_litter();
    resize(&bench.request.cache, 300);
    let redone = bench.redone();
    assert!(!redone.contains(&"initramfs"), "{redone:?}");
}
