//! Images of engine `micro`: two initramfs archives, one over the other.

use std::fs;

use isoprep::contents::{Kind, Loader, RootFormat, TreePath};

use crate::bench::Bench;
use crate::studio::{compare, read};

#[test]
fn what_a_build_put_in_is_what_is_found() {
    let bench = Bench::new();
    bench.write("names/line\nbreak", "x");
    let image = bench.build().unwrap();
    let found = read(&image.iso);
    let root = found.root.as_ref().unwrap();
    assert_eq!((root.format, root.parts.len()), (RootFormat::Initramfs, 2));
    let file = |path: &str| match &found.files.get(&path.into()).unwrap_or_else(|| panic!("{path}")).kind {
        Kind::File { content, .. } => content.hash.unwrap().to_string(),
        other => panic!("{path}: {other:?}"),
    };
    assert_eq!(file("root/demo/names/line\nbreak"), blake3::hash(b"x").to_string());
    assert_eq!(file("init"), blake3::hash(crate::bench::INIT).to_string());
    assert_eq!(found.files.get(&"dev/console".into()).unwrap().kind, Kind::Character(Some((5, 1))));
    assert_eq!(found.files.get(&"bin/sh".into()).unwrap().kind, Kind::Symlink { target: "/bin/busybox".into() });
    assert_eq!(found.files.get(&"root".into()).unwrap().mode, 0o700);
    let loaders: Vec<_> = found.boot_entries.iter().map(|entry| entry.loader).collect();
    assert_eq!(loaders, [Loader::Syslinux, Loader::SystemdBoot]);
    assert!(found.boot_entries.iter().all(|entry| entry.options == image.cmdline && entry.initrds.len() == 2));
    assert!(found.efi_files.get(&TreePath::from("EFI/BOOT/BOOTX64.EFI")).is_some());
    assert_eq!((found.label.as_str(), found.bytes), ("CARTRIDGE", image.bytes));
}

#[test]
fn one_changed_file_is_one_changed_file() {
    let mut bench = Bench::new();
    let image = bench.build().unwrap();
    let one = bench.dir.path().join("one.iso");
    fs::copy(&image.iso, &one).unwrap();
    assert!(compare(&one, &image.iso).is_empty());

    bench.write("README", "HELLO");
    bench.build().unwrap();
    let found = compare(&one, &image.iso);
    let [change] = found.root.changed.items.as_slice() else { panic!("{found:#?}") };
    assert_eq!(change.path, "root/demo/README".into());
    assert!(change.content && change.size.is_none());
    assert_eq!(found.root.added.total + found.root.removed.total + found.undecided(), 0);
    // The copy of the layer on the EFI partition is a file like others.
    let efi: Vec<_> = found.efi.changed.items.iter().map(|it| it.path.to_string()).collect();
    assert_eq!(efi, ["cartridge/inject.img"]);
    assert!(found.iso.is_empty() && found.boot.is_empty() && found.packages.is_empty(), "{found:#?}");

    bench.request.recipe.image.cmdline = "debug".into();
    bench.build().unwrap();
    let found = compare(&one, &image.iso);
    assert_eq!(found.boot.changed.len(), 2);
    assert!(found.boot.changed.iter().all(|it| it.words.to == ["debug"] && it.words.from.is_empty()));
}
