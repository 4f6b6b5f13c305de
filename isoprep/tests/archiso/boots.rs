//! What is built boots: BIOS and UEFI, from CD and from USB, and the guest finds what was meant.

use std::path::Path;

use crate::arch::{Boot, Booted, Firmware, Medium, tree_hash};
use crate::bench::{Bench, profile};

pub fn boot(iso: &Path, firmware: Firmware, medium: Medium) -> Booted {
    Boot::new(iso, firmware, medium).run().unwrap_or_else(|e| panic!("{e}"))
}

/// The tree that the guest must find: the repository without what was left out.
fn expected(bench: &Bench) -> (u64, String) {
    let copy = tempfile::tempdir().unwrap();
    let line = cartridge_supervise::CommandLine::new("cp").arg("-a").arg(bench.repo().join(".")).arg(copy.path());
    cartridge_supervise::run(&line, &isoprep::Cancel::new(), |_, _| ()).unwrap();
    std::fs::remove_dir_all(copy.path().join("iso")).unwrap();
    tree_hash(copy.path())
}

/// The guest has the repository as it is, and the rest as the profile wants it.
pub fn found(bench: &Bench, booted: &Booted) {
    let report = &booted.report;
    let path = |name: &str| report.paths.get(name).unwrap_or_else(|| panic!("no {name}: {}", booted.serial));
    let (files, hash) = expected(bench);
    let tree = &report.trees["/root/demo"];
    assert_eq!((tree.files, &tree.hash), (files, &hash), "{}", booted.serial);
    assert_eq!(path("/root/demo/run").mode, 0o755);
    assert_eq!(path("/root/demo/bin/private").mode, 0o600);
    assert_eq!(path("/root/demo/link").target.as_deref(), Some("run"));
    assert_eq!(path("/root").mode, 0o750, "the layer leaves the profile's modes alone");
    assert_eq!(path("/etc/shadow").mode, 0o400);
    assert_eq!(path("/etc/extra").mode, 0o644);
    assert!(report.paths.iter().filter(|(path, _)| path.starts_with("/root/demo")).all(|(_, it)| it.owner == (0, 0)));
    assert_eq!(report.environment.get("GREETING").map(String::as_str), Some("it's me"));
    assert!(report.cmdline.contains("archisobasedir=arch"), "{}", report.cmdline);
    assert_eq!(report.image_id, "archtest");
    assert_eq!(report.packages["base"], "1.0-1");
}

#[test]
fn a_dev_image_boots_every_way_and_has_the_repository() {
    let bench = Bench::new(&profile(), "");
    let image = bench.build();
    for (firmware, medium) in [
        (Firmware::Bios, Medium::Cd),
        (Firmware::Bios, Medium::Usb),
        (Firmware::Uefi, Medium::Cd),
        (Firmware::Uefi, Medium::Usb),
    ] {
        let booted = boot(&image.iso, firmware, medium);
        found(&bench, &booted);
        assert!(booted.report.root.options.contains("lowerdir=/run/cartridge/layer:"), "{}", booted.serial);
    }
}

#[test]
fn a_release_image_has_the_repository_baked_in() {
    let bench = Bench::new(&profile(), "build = \"release\"");
    let image = bench.build();
    let booted = boot(&image.iso, Firmware::Uefi, Medium::Cd);
    found(&bench, &booted);
    assert!(!booted.report.root.options.contains("cartridge"), "{}", booted.serial);
}

#[test]
fn grub_and_erofs_and_ext4_boot_too() {
    for (kind, mode) in [("erofs", "uefi.grub"), ("ext4+squashfs", "uefi.systemd-boot")] {
        let profile = profile().image_type(kind).boot_modes(&["bios.syslinux", mode]);
        let bench = Bench::new(&profile, "build = \"release\"");
        let image = bench.build();
        let booted = boot(&image.iso, Firmware::Uefi, Medium::Usb);
        found(&bench, &booted);
    }
}

#[test]
fn a_dev_image_that_is_copied_to_memory_keeps_its_repository() {
    let bench = Bench::new(&profile(), "cmdline = \"copytoram=y\"");
    let booted = boot(&bench.build().iso, Firmware::Bios, Medium::Usb);
    found(&bench, &booted);
    assert!(booted.report.root.options.contains("lowerdir=/run/cartridge/layer:"), "{}", booted.serial);
}

#[test]
fn the_minimal_profile_is_enough_for_an_image() {
    let mut bench = Bench::new(&profile(), "");
    let repo = bench.repo();
    let text = "name = \"demo\"\n[source]\ninto = \"/root/demo\"\nexclude = [\"/iso\"]\n[image]\nengine = \"archiso\"\n\
                base = \"minimal\"\npacman_conf = \"iso/pacman.conf\"\n";
    bench.request.recipe = isoprep::parse(text, &repo).unwrap_or_else(|e| panic!("{e}"));
    let image = bench.build();
    for firmware in [Firmware::Bios, Firmware::Uefi] {
        let booted = boot(&image.iso, firmware, Medium::Cd);
        assert!(booted.report.root.options.contains("lowerdir=/run/cartridge/layer:"), "{}", booted.serial);
        assert_eq!(booted.report.packages["base"], "1.0-1");
    }
}
