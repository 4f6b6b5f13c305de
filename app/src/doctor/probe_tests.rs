//! The probe against made-up roots on a real disk.

use std::os::unix::fs::symlink;

use super::*;

fn put(root: &Path, path: &str, mode: u32) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, "x").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
}

fn places(root: &Path) -> Places {
    Places {
        root: root.to_owned(),
        path: vec![root.join("usr/bin")],
        kernel_store: Some(root.join("store")),
        cache: root.join("cache/not/yet"),
        runtime: None,
        display: false,
    }
}

#[test]
fn an_empty_machine_has_nothing_and_breaks_nothing() {
    let root = tempfile::tempdir().unwrap();
    let probe = HostProbe::gather(&places(root.path()));
    assert!(probe.found.values().all(Option::is_none), "{:?}", probe.found);
    assert_eq!((probe.kvm, probe.qemu_version, probe.memory_mib), (Kvm::Absent, None, (0, 0)));
    assert!(probe.cache.1.unwrap() > 0, "space is that of the nearest folder that exists");
    assert_eq!(probe.runtime, RuntimeDir::Unset);
}

#[test]
fn programs_files_and_libraries_are_found_where_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    put(root, "usr/bin/xorriso", 0o755);
    put(root, "usr/bin/qemu-img", 0o644);
    put(root, "usr/sbin/mksquashfs", 0o755);
    put(root, "usr/lib64/libEGL.so.1", 0o644);
    put(root, "usr/share/xdg-desktop-portal/portals/gtk.portal", 0o644);
    put(root, "usr/bin/busybox", 0o755);
    let found = HostProbe::gather(&places(root)).found;
    let path =
        |name: &str| found[name].as_deref().map(|path| path.trim_start_matches(root.to_str().unwrap()).to_owned());
    assert_eq!(path("xorriso").as_deref(), Some("/usr/bin/xorriso"));
    assert_eq!(path("QEMU disk tool"), None, "not executable");
    assert_eq!(path("squashfs tools").as_deref(), Some("/usr/sbin/mksquashfs"));
    assert_eq!(path("EGL").as_deref(), Some("/usr/lib64/libEGL.so.1"));
    assert_eq!(path("Desktop portal's dialogs").as_deref(), Some("/usr/share/xdg-desktop-portal/portals/gtk.portal"));
    assert_eq!(path("Static busybox"), None, "a script is no static busybox");
    let real = ["/usr/bin/busybox", "/bin/busybox"].into_iter().find(|path| Path::new(path).exists()).unwrap();
    fs::remove_file(root.join("usr/bin/busybox")).unwrap();
    symlink(real, root.join("usr/bin/busybox")).unwrap();
    let found = HostProbe::gather(&places(root)).found;
    assert!(found["Static busybox"].is_some());
}

#[test]
fn a_kernel_counts_with_its_modules_only() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let found = || HostProbe::gather(&places(root)).found["Kernel"].clone();
    put(root, "boot/vmlinuz-6.1", 0o644);
    assert_eq!(found(), None, "no modules");
    put(root, "lib/modules/6.1/modules.dep", 0o644);
    assert!(found().unwrap().ends_with("lib/modules/6.1"));
    fs::remove_dir_all(root.join("boot")).unwrap();
    assert_eq!(found(), None, "no image");
    put(root, "lib/modules/6.1/vmlinuz", 0o644);
    assert!(found().is_some(), "Arch and Fedora keep it beside the modules");
    fs::remove_dir_all(root.join("lib")).unwrap();
    put(root, "store/6.2/vmlinuz", 0o644);
    assert_eq!(found(), None);
    put(root, "store/6.2/modules/modules.dep", 0o644);
    assert!(found().unwrap().ends_with("store/6.2"));
}

#[test]
fn qemu_is_asked_and_a_mute_one_does_not_hang_us() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let program = root.join("usr/bin/qemu-system-x86_64");
    put(root, "usr/bin/qemu-system-x86_64", 0o755);
    fs::write(&program, "#!/bin/sh\necho 'QEMU emulator version 7.2.22 (x)'; echo Copyright\n").unwrap();
    let version = || HostProbe::gather(&places(root)).qemu_version;
    assert_eq!(version().as_deref(), Some("QEMU emulator version 7.2.22 (x)"));
    fs::write(&program, "#!/bin/sh\nsleep 60\n").unwrap();
    let started = std::time::Instant::now();
    assert_eq!(version(), None);
    assert!(started.elapsed() < Duration::from_secs(20), "bounded");
}

#[test]
fn a_runtime_folder_that_others_may_enter_is_bad() {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700)).unwrap();
    assert_eq!(runtime_dir(Some(dir.path())), RuntimeDir::Good(dir.path().to_owned()));
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    assert!(matches!(runtime_dir(Some(dir.path())), RuntimeDir::Bad(_, reason) if reason.contains("755")));
    assert!(matches!(runtime_dir(Some(&dir.path().join("no"))), RuntimeDir::Bad(..)));
}

#[test]
fn meminfo_is_read_and_anything_else_is_zero() {
    assert_eq!(memory_mib("MemTotal:       4096000 kB\nMemFree: 1 kB\nMemAvailable:   2048000 kB\n"), (4000, 2000));
    assert_eq!(memory_mib("MemTotal: many\nMemAvailable\n"), (0, 0));
}
