//! What is built again, and what is not; and that it comes out the same, bit by bit.

use std::fs;

use crate::bench::{Bench, profile};

#[test]
fn only_what_depends_on_a_change_is_made_again() {
    let bench = Bench::new(&profile(), "");
    assert_eq!(bench.redone(), ["packages", "inject", "squash", "bootloader", "iso"]);
    assert_eq!(bench.redone(), [] as [&str; 0]);
    fs::write(bench.repo().join("README"), "other\n").unwrap();
    assert_eq!(bench.redone(), ["inject", "iso"]);
    fs::write(bench.repo().join("extra"), "other\n").unwrap();
    assert_eq!(bench.redone(), ["inject", "iso"]);
    let entry = bench.repo().join("iso/efiboot/loader/loader.conf");
    fs::write(&entry, fs::read_to_string(&entry).unwrap() + "\n# changed\n").unwrap();
    assert_eq!(bench.redone(), ["bootloader", "iso"]);
    fs::write(bench.repo().join("iso/airootfs/etc/motd"), "changed\n").unwrap();
    assert_eq!(bench.redone(), ["packages", "inject", "squash", "bootloader", "iso"]);
}

#[test]
fn two_builds_are_identical_bit_by_bit() {
    let sum = |kind: &str, settings: &str| {
        let bench = Bench::new(&profile().image_type(kind), settings);
        let image = bench.build();
        blake3::hash(&fs::read(&image.iso).unwrap())
    };
    assert_eq!(sum("squashfs", ""), sum("squashfs", ""));
    for kind in ["squashfs", "erofs"] {
        assert_eq!(sum(kind, "build = \"release\""), sum(kind, "build = \"release\""), "{kind}");
    }
}

#[test]
fn a_root_that_is_unpacked_from_the_cache_makes_the_same_image() {
    for kind in ["squashfs", "ext4+squashfs"] {
        same_when_unpacked(kind);
    }
}

fn same_when_unpacked(kind: &str) {
    let bench = Bench::new(&profile().image_type(kind), "build = \"release\"");
    let first = fs::read(bench.build().iso).unwrap();
    fs::remove_dir_all(bench.request.cache.join("squash")).unwrap();
    assert_eq!(bench.redone(), ["squash"]);
    fs::remove_dir_all(bench.request.cache.join("squash")).unwrap();
    fs::remove_dir_all(&bench.request.images).unwrap();
    fs::create_dir(&bench.request.images).unwrap();
    assert!(fs::read(bench.build().iso).unwrap() == first, "{kind}");
}
