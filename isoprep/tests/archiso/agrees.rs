//! The native engine and the real mkarchiso, where it is installed, make the same image of the same profile: files, modes,
//! owners, boot entries and kernel arguments, apart from what ARCHITECTURE.md lists.

use isoprep::Cancel;
use isoprep::contents::{Change, Side, Watch, show};

use crate::arch::{Firmware, Medium, TestProfile, mkarchiso};
use crate::bench::{Bench, EPOCH, profile};

fn rich() -> TestProfile {
    profile()
        .packages(&["owned-files", "capable", "grub", "git"])
        .permission("/usr/local/bin/tool", "0:0:755")
        .executable("usr/local/bin/tool", "#!/bin/sh\n")
        .file("etc/skel/.profile", "hello\n")
        .file("etc/passwd", "root:x:0:0:root:/root:/usr/bin/bash\nlive:x:1000:1000::/home/live:/usr/bin/bash\n")
}

#[test]
fn both_make_the_same_image() {
    let Some(program) = mkarchiso::find() else { return mkarchiso::skipped("both_make_the_same_image") };
    for modes in [["bios.syslinux", "uefi.systemd-boot"], ["bios.syslinux", "uefi.grub"]] {
        let bench = Bench::new(&rich().boot_modes(&modes), "build = \"release\"");
        let ours = bench.build();
        let other = tempfile::Builder::new().prefix("mkarchiso").tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let theirs = mkarchiso::build_at(&program, &bench.repo().join("iso"), other.path(), Some(EPOCH))
            .unwrap_or_else(|e| panic!("{e}"));
        let cancel = Cancel::new();
        let watch = Watch { cancel: &cancel, tell: &|_| () };
        let mut sides = [&theirs, &ours.iso].map(|iso| Side::load(iso, &watch).unwrap_or_else(|e| panic!("{e}")));
        let [from, to] = &mut sides;
        let difference = from.compare(to, &watch).unwrap();
        let names = Change { from: "mkarchiso", to: "native" };
        let text = show::text(&difference, &names, show::Style { colour: false, most: 200 });
        assert_eq!(difference.undecided(), 0, "{text}");
        assert!(difference.boot.is_empty() && difference.packages.is_empty() && difference.label.is_none(), "{text}");
        for (tree, listed) in [("root", &difference.root), ("iso", &difference.iso), ("efi", &difference.efi)] {
            let added = listed.added.items.iter().map(|line| ("added", &line.path));
            let removed = listed.removed.items.iter().map(|line| ("removed", &line.path));
            let changed = listed.changed.items.iter().map(|change| {
                let only_content = change.content
                    && change.mode.is_none()
                    && change.owner.is_none()
                    && change.kind.is_none()
                    && change.attributes.is_empty();
                (if only_content { "content" } else { "changed" }, &change.path)
            });
            for (how, path) in added.chain(removed).chain(changed) {
                let path = path.to_string();
                assert!(may_differ(tree, how, &path), "{tree}: {how} {path}\n{text}");
            }
        }
    }
}

/// What is different on purpose: see "Native and mkarchiso" in ARCHITECTURE.md.
fn may_differ(tree: &str, how: &str, path: &str) -> bool {
    let injected = ["root/demo", "etc/cartridge", "etc/extra", "etc/profile.d/cartridge.sh"];
    match (tree, how) {
        // The repository itself, which mkarchiso was not given.
        ("root", "added") => injected.iter().any(|it| path == *it || path.starts_with(&format!("{it}/"))),
        // The moment of installation.
        ("root", "content") => path.starts_with("var/lib/pacman/local/") && path.ends_with("/desc"),
        ("iso", "content") => [
            // Of a root image with the above.
            "arch/x86_64/airootfs.sha512",
            // El Torito's, with the places of files that are larger or smaller.
            "boot/syslinux/boot.cat",
            // Packed by another gzip.
            "boot/syslinux/hdt/modalias.gz",
            "boot/syslinux/hdt/pciids.gz",
            "EFI/BOOT/BOOTx64.EFI",
            "EFI/BOOT/BOOTIA32.EFI",
        ]
        .contains(&path),
        // GRUB's embedded configuration is our own.
        ("efi", "content") => ["EFI/BOOT/BOOTx64.EFI", "EFI/BOOT/BOOTIA32.EFI"].contains(&path),
        _ => false,
    }
}

#[test]
fn the_engine_mkarchiso_builds_and_boots_with_the_repository() {
    if mkarchiso::find().is_none() {
        return mkarchiso::skipped("the_engine_mkarchiso_builds_and_boots_with_the_repository");
    }
    let bench = Bench::new(&profile(), "engine = \"mkarchiso\"");
    let (image, reused, lines) = bench.build_telling();
    let image = image.unwrap_or_else(|e| panic!("{e}\n{}", lines.join("\n")));
    assert!(lines.iter().any(|line| line.contains("mkarchiso runs in a user namespace")), "{lines:#?}");
    assert!(!reused["packages"]);
    crate::boots::found(&bench, &crate::boots::boot(&image.iso, Firmware::Bios, Medium::Cd));
    let (_, reused, _) = bench.build_telling();
    assert!(reused["packages"] && reused["iso"], "{reused:?}");
    bench.assert_clean();
}
