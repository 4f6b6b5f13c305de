//! A full disk, in a mount namespace of its own, where a small file system can be mounted.

use std::fs;
use std::path::Path;

use cartridge_supervise::{CommandLine, run};
use isoprep::{BuildError, Cancel};
use rustix::mount::{MountFlags, UnmountFlags, mount, mount_remount, unmount};

use crate::bench::Bench;

#[test]
fn a_full_disk_is_told_with_numbers_before_and_while_it_fills() {
    let own = std::env::current_exe().unwrap();
    let flags: &[&str] =
        if rustix::process::geteuid().is_root() { &["--mount"] } else { &["--user", "--map-root-user", "--mount"] };
    let line = CommandLine::new("unshare").args(flags).arg("--").arg(own);
    let line = line.args(["--exact", "disk::inside", "--ignored", "--nocapture"]);
    let output = run(&line, &Cancel::new(), |_, _| ()).unwrap_or_else(|e| panic!("{e}"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("1 passed"), "{text}");
}

fn tmpfs(at: &Path, options: &str) {
    let options = std::ffi::CString::new(options).unwrap();
    mount("tmpfs", at, "tmpfs", MountFlags::empty(), options.as_c_str()).unwrap();
}

fn resize(at: &Path, options: &str) {
    mount_remount(at, MountFlags::empty(), options).unwrap();
}

fn expect_full(result: Result<(), BuildError>, target: &Path) {
    let error = result.unwrap_err();
    let BuildError::DiskFull { needed, free, path, .. } = &error else { panic!("{error}") };
    assert!(needed > free && path == target, "{error}");
}

#[test]
#[ignore = "runs in the mount namespace that a_full_disk_is_told_with_numbers_before_and_while_it_fills makes"]
fn inside() {
    let bench = Bench::new();
    for number in 0..8 {
        bench.write(format!("base/airootfs/{number}"), vec![1; 4 << 20]);
    }
    let assembly = bench.prepare();
    let target = bench.folder("target");
    tmpfs(&target, "size=20m");
    expect_full(bench.try_write(&assembly, &target), &target);
    // It was known before anything large was written.
    assert!(!target.join("airootfs/0").exists() || fs::metadata(target.join("airootfs/0")).unwrap().len() == 0);

    // The room is lost meanwhile.
    fs::remove_dir_all(target.join("airootfs")).unwrap();
    resize(&target, "size=60m");
    let filler = target.join("filler");
    let listen = |_| {
        if !filler.exists() {
            let _ = fs::write(&filler, vec![1; 60 << 20]);
        }
    };
    expect_full(assembly.write(&target, &Cancel::new(), &listen), &target);
    assert!(filler.exists() && target.join("airootfs/0").exists());

    // The same once there is room.
    fs::remove_file(filler).unwrap();
    fs::remove_dir_all(target.join("airootfs")).unwrap();
    resize(&target, "size=100m");
    bench.try_write(&assembly, &target).unwrap();
    assert_eq!(cartridge_treehash::hash_tree(&target).unwrap().hash, bench.hash(&assembly));
    unmount(&target, UnmountFlags::empty()).unwrap();
}
