//! The tests' own Arch holds what it promises: pacman installs from it, its hooks run, and its mkinitcpio keeps the
//! contract of the real one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod arch;

use std::fs;
use std::path::Path;

use arch::{Boot, Fault, Firmware, Medium, Repository, Signatures, TestProfile, mkarchiso};
use cartridge_supervise::{Cancel, CommandLine, run};

/// Runs a script in `dir` as root of namespaces of its own, with the kernel's file systems in `root`. What it printed,
/// and whether it was content.
fn inside(dir: &Path, script: &str, arguments: &[&str]) -> (bool, String) {
    // An ordinary user does not have the administrators' programs in PATH.
    let script = format!(
        "PATH=$PATH:/usr/sbin:/sbin\nset -e\nmount -t proc proc root/proc\nmount --rbind /dev root/dev\nexec 2>&1\n{script}"
    );
    let mut line = CommandLine::new("unshare").args(["-m", "--pid", "--fork", "--kill-child", "--mount-proc"]);
    if !rustix::process::geteuid().is_root() {
        line = line.args(["-U", "--map-root-user", "--map-auto"]);
    }
    match run(&line.args(["bash", "-c", &script, "bash"]).args(arguments).cwd(dir), &Cancel::new(), |_, _| ()) {
        Ok(output) => (true, String::from_utf8_lossy(&output.stdout).into_owned()),
        Err(e) => (false, e.to_string()),
    }
}

/// Installs packages into `dir/root` as pacstrap would.
fn install(dir: &Path, conf: &str, packages: &[&str]) -> (bool, String) {
    for folder in ["var/lib/pacman", "dev", "proc", "sys", "run", "tmp"] {
        fs::create_dir_all(dir.join("root").join(folder)).unwrap();
    }
    fs::write(dir.join("pacman.conf"), conf).unwrap();
    let places = "--config pacman.conf --cachedir cache --hookdir root/etc/pacman.d/hooks";
    inside(dir, &format!("exec pacman -r root {places} --noconfirm -Sy \"$@\""), packages)
}

/// Runs mkinitcpio in `dir/root`.
fn mkinitcpio(dir: &Path, arguments: &[&str]) -> (bool, String) {
    inside(dir, "exec chroot root mkinitcpio \"$@\"", arguments)
}

#[test]
fn the_base_is_installed_with_kernel_initramfs_and_owners() {
    use std::os::unix::fs::MetadataExt;
    let repository = Repository::get();
    let dir = tempfile::tempdir().unwrap();
    let (good, log) = install(
        dir.path(),
        &repository.pacman_conf(Signatures::Never),
        &["base", "linux", "mkinitcpio-archiso", "owned-files", "capable", "editors"],
    );
    assert!(good, "{log}");
    assert!(log.contains("Initcpio image generation successful"), "{log}");
    let root = dir.path().join("root");
    for file in
        ["boot/vmlinuz-linux", "boot/initramfs-linux.img", "usr/bin/init", "var/lib/pacman/local/vim-1.0-1/desc"]
    {
        assert!(root.join(file).is_file(), "{file}\n{log}");
    }
    let modules = root.join("usr/lib/modules").join(repository.kernel_version());
    assert!(fs::read_to_string(modules.join("modules.dep")).unwrap().contains("squashfs"), "depmod's hook has run");
    let meta = |path: &str| fs::symlink_metadata(root.join("opt/owned").join(path)).unwrap();
    assert_eq!(meta("setuid").mode() & 0o7777, 0o4755);
    assert_eq!(meta("hard-1").ino(), meta("hard-2").ino());
    if rustix::process::geteuid().is_root() {
        assert_eq!((meta("user").uid(), meta("user").gid()), (1000, 1000));
        let capability = |path: &str| {
            let mut value = [0; 64];
            let length = rustix::fs::getxattr(root.join(path), c"security.capability", &mut value).unwrap_or(0);
            value[..length].to_vec()
        };
        // The same bit, once from the archive and once set by setcap.
        assert_eq!(capability("opt/owned/capable"), capability("opt/capable/ping"));
        assert_eq!(capability("opt/owned/capable")[5] & 0x20, 0x20);
    }
    // What pacman wrote down is what is there.
    let line = CommandLine::new("pacman").arg("-r").arg(&root).args(["-Qkk", "owned-files", "linux", "bash"]);
    let line = line.arg("--config").arg(dir.path().join("pacman.conf"));
    if rustix::process::geteuid().is_root() {
        run(&line, &Cancel::new(), |_, _| ()).unwrap_or_else(|e| panic!("{e}"));
    }
}

#[test]
fn mkinitcpio_keeps_its_contract() {
    let repository = Repository::get();
    let dir = tempfile::tempdir().unwrap();
    let conf = repository.pacman_conf(Signatures::Never);
    let (good, log) = install(dir.path(), &conf, &["base", "linux", "mkinitcpio-archiso"]);
    assert!(good, "{log}");
    let root = dir.path().join("root");
    let image = root.join("boot/initramfs-linux.img");
    let first = fs::read(&image).unwrap();
    fs::remove_file(&image).unwrap();
    let (good, log) = mkinitcpio(dir.path(), &["-P"]);
    assert!(good, "{log}");
    assert_eq!(fs::read(&image).unwrap(), first, "the same files make the same bytes");

    // A hook in a drop-in is used; with an unknown one an image is written, and the exit code says that it is not whole.
    let drop_in = root.join("etc/mkinitcpio.conf.d/test.conf");
    fs::write(&drop_in, "HOOKS=(base udev plymouth archiso block)\n").unwrap();
    fs::remove_file(&image).unwrap();
    let (good, log) = mkinitcpio(dir.path(), &["-p", "linux"]);
    assert!(!good && log.contains("==> ERROR: Hook 'plymouth' cannot be found"), "{log}");
    assert!(log.contains("The image may not be complete.") && image.exists(), "{log}");

    // An install hook of the administrator's, with everything that it may call.
    for (path, text) in [
        (
            "etc/initcpio/install/mine",
            "build() { add_module loop; add_binary bash; add_file /etc/hosts; add_dir /mine 700\n\
            add_symlink /mine/link target; echo piped | add_file - /mine/text 640; add_runscript; }\n",
        ),
        (
            "etc/initcpio/hooks/mine",
            "run_earlyhook() { :; }\nrun_hook() { :; }\nrun_latehook() { :; }\nrun_cleanuphook() { :; }\n",
        ),
    ] {
        fs::write(root.join(path), text).unwrap();
    }
    fs::write(&drop_in, "HOOKS=(base mine archiso)\nCOMPRESSION=cat\n").unwrap();
    let (good, log) = mkinitcpio(dir.path(), &["-p", "linux"]);
    assert!(good, "{log}");
    let list = CommandLine::new("bsdtar").arg("-tf").arg(&image);
    let list = String::from_utf8(run(&list, &Cancel::new(), |_, _| ()).unwrap().stdout).unwrap();
    for wanted in ["hooks/mine", "usr/bin/bash", "usr/lib/libc.so.6", "etc/hosts", "mine/link", "mine/text", "init"] {
        assert!(list.lines().any(|it| it == wanted), "{wanted} in {list}");
    }
    let config = CommandLine::new("bsdtar").arg("-xOf").arg(&image).arg("config");
    let config = String::from_utf8(run(&config, &Cancel::new(), |_, _| ()).unwrap().stdout).unwrap();
    for wanted in ["EARLYHOOKS=\"mine\"", "\nHOOKS=\"mine archiso\"", "LATEHOOKS=\"mine\"", "CLEANUPHOOKS=\"mine\""] {
        assert!(config.contains(wanted), "{wanted} in {config}");
    }
    for (arguments, wanted) in [
        (&["-p", "absent"] as &[&str], "Failed to load preset"),
        (&["-k", "/boot/vmlinuz-absent", "-g", "/x"], "specified kernel image does not exist"),
        (&["-k", "6.0.0-absent", "-g", "/x"], "is not a valid kernel module directory"),
    ] {
        let (good, log) = mkinitcpio(dir.path(), arguments);
        assert!(!good && log.contains(wanted), "{log}");
    }
}

#[test]
fn odd_packages_fail_as_they_should() {
    let repository = Repository::get();
    let conf = repository.pacman_conf(Signatures::Never);
    for (packages, content, wanted) in [
        (&["filesystem", "failing-hook"] as &[&str], true, "error: command failed to execute correctly"),
        (&["filesystem", "failing-scriptlet"], true, "error: command failed to execute correctly"),
        (&["filesystem", "conflict-one", "conflict-two"], false, "conflicting"),
        (&["filesystem", "clash-one", "clash-two"], false, "/opt/clash/file exists in both"),
        (&["missing-dependency"], false, "no-such-library"),
        (&["giit"], false, "target not found: giit"),
        (&["filesystem", "needs-editor"], true, "needs-editor"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let (good, log) = install(dir.path(), &conf, packages);
        assert!(good == content && log.contains(wanted), "{packages:?}: {good}\n{log}");
    }
}

#[test]
fn signatures_are_checked_with_the_key_and_refused_without() {
    let repository = Repository::get();
    let conf = repository.pacman_conf(Signatures::Required);
    let dir = tempfile::tempdir().unwrap();
    let keys = dir.path().join("gnupg");
    let copy = CommandLine::new("cp").arg("-R").arg(repository.gnupg()).arg(&keys);
    run(&copy, &Cancel::new(), |_, _| ()).unwrap();
    let with_keys = conf.replace("[options]\n", &format!("[options]\nGPGDir = {}\n", keys.display()));
    let (good, log) = install(dir.path(), &with_keys, &["filesystem"]);
    assert!(good, "{log}");

    let strange = tempfile::tempdir().unwrap();
    fs::create_dir(strange.path().join("gnupg")).unwrap();
    let without = conf.replace("[options]\n", &format!("[options]\nGPGDir = {}/gnupg\n", strange.path().display()));
    let (good, log) = install(strange.path(), &without, &["filesystem"]);
    assert!(!good && log.contains("signature"), "{log}");

    let unsigned = repository.pacman_conf(Signatures::Never).replace("SigLevel = Never", "SigLevel = Required");
    let unsigned = unsigned.replace("[options]\n", &format!("[options]\nGPGDir = {}\n", keys.display()));
    let other = tempfile::tempdir().unwrap();
    let (good, log) = install(other.path(), &unsigned, &["filesystem"]);
    assert!(!good && log.contains("archtest"), "{log}");
}

#[test]
fn every_fault_changes_the_profile() {
    let repository = Repository::get();
    let dir = tempfile::tempdir().unwrap();
    let right = TestProfile::releng(repository).write(&dir.path().join("right"));
    let hash = |path: &Path| cartridge_treehash::hash_tree(path).unwrap().hash;
    for fault in Fault::ALL {
        let wrong = TestProfile::releng(repository).broken(repository, *fault);
        let wrong = wrong.write(&dir.path().join(format!("{fault:?}")));
        assert_ne!(hash(&wrong), hash(&right), "{fault:?}");
    }
    let check = CommandLine::new("bash").args(["-n", "profiledef.sh"]).cwd(right);
    run(&check, &Cancel::new(), |_, _| ()).unwrap_or_else(|e| panic!("{e}"));
}

#[test]
fn a_guest_that_does_not_report_is_given_up_in_time() {
    let dir = tempfile::tempdir().unwrap();
    let nothing = dir.path().join("nothing, really.iso");
    fs::write(&nothing, vec![0; 1 << 20]).unwrap();
    let boot = Boot::new(&nothing, Firmware::Bios, Medium::Usb).deadline(std::time::Duration::from_secs(2));
    let failure = boot.run().unwrap_err();
    assert!(failure.why.contains("no report after 2 s") && failure.why.contains("qemu-system-x86_64"), "{failure}");
}

#[test]
fn every_kind_of_image_starts() {
    let Some(program) = mkarchiso::find() else { return mkarchiso::skipped("kinds of images by the real tool") };
    let repository = Repository::get();
    let erofs = TestProfile::releng(repository).image_type("erofs").boot_modes(&["bios.syslinux", "uefi.grub"]);
    let ext4 = TestProfile::releng(repository).image_type("ext4+squashfs").arguments("checksum=y copytoram=y");
    for (name, profile, firmware, medium, root, image) in [
        ("erofs", erofs.clone(), Firmware::Uefi, Medium::Usb, "overlay", "erofs"),
        ("erofs", erofs, Firmware::Uefi, Medium::Cd, "overlay", "erofs"),
        ("ext4", ext4, Firmware::Bios, Medium::Cd, "ext4", "squashfs"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let profile = profile.write(&dir.path().join("profile"));
        let iso = mkarchiso::build(&program, &profile, dir.path()).unwrap_or_else(|e| panic!("{name}: {e}"));
        let booted = Boot::new(&iso, firmware, medium).run().unwrap_or_else(|e| panic!("{name}: {e}"));
        eprintln!("{name} in {:?}", booted.took);
        let report = booted.report;
        assert_eq!((report.root.kind.as_str(), report.image.kind.as_str()), (root, image), "{name}");
        if name == "ext4" {
            // What was copied to memory is not needed any more.
            assert_eq!(report.medium, arch::Mount::default());
            assert!(booted.serial.contains("Checksum is OK"), "{}", booted.serial);
        }
    }
}

#[test]
fn mkarchiso_builds_the_profile_and_its_image_starts_in_every_way() {
    let Some(program) = mkarchiso::find() else { return mkarchiso::skipped("the repository and the real tool") };
    let repository = Repository::get();
    let dir = tempfile::tempdir().unwrap();
    let profile = TestProfile::releng(repository)
        .packages(&["owned-files", "capable"])
        .file("airootfs/root/demo/a file", "text")
        .file("airootfs/root/demo/sub/empty", "")
        .link("airootfs/root/demo/link", "sub/empty")
        .file("airootfs/etc/profile.d/vm-env.sh", "export VM_TEST='1 2'\n")
        .report_trees(&["/root/demo"])
        .report_paths(&["/opt/owned/*", "/opt/capable/*", "/etc/hooked", "/etc/pacman.d/hooks/*"])
        .write(&dir.path().join("profile"));
    let iso = mkarchiso::build(&program, &profile, dir.path()).unwrap_or_else(|e| panic!("{e}"));
    for boot in Boot::all(&iso) {
        let booted = boot.until_automated().run().unwrap_or_else(|e| panic!("{e}"));
        let report = booted.report;
        eprintln!("{boot_firmware} in {took:?}", boot_firmware = report.firmware, took = booted.took);
        assert_eq!((report.image_id.as_str(), report.image_version.as_str()), ("archtest", "2026.11.24"));
        assert_eq!(report.kernel, repository.kernel_version());
        assert_eq!((report.root.kind.as_str(), report.image.kind.as_str()), ("overlay", "squashfs"));
        assert_eq!(report.packages["linux"], repository.linux_version());
        assert_eq!(report.paths["/etc/shadow"].mode, 0o400);
        assert_eq!(report.paths["/opt/owned/user"].owner, (1000, 1000));
        assert_eq!(report.paths["/opt/owned/capable"].capabilities.as_deref(), Some("cap_net_raw=ep"));
        assert_eq!(report.automated, Some(0));
        assert!(report.paths.contains_key("/etc/hooked") && report.absent.contains("/etc/pacman.d/hooks/*"));
        assert_eq!(report.environment["VM_TEST"], "1 2");
        let tree = &report.trees["/root/demo"];
        assert_eq!((tree.files, tree.hash.clone()), arch::tree_hash(&profile.join("airootfs/root/demo")));
    }
}
