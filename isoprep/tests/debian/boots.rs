//! A Debian is built and started: the system that systemd runs is whole, and the repository is in it as it was.

use std::fs;

use isoprep::{Image, Progress, Unit};

use crate::arch::{Booted, Firmware, Medium};
use crate::bench::Bench;
use crate::facts::{Told, boot};

/// What every image of the bench must have.
pub fn whole(booted: &Booted<Told>, image: &Image) {
    let told = &booted.report;
    assert_eq!((told.fact("state"), told.fact("failed")), ("running", ""), "{}", booted.serial);
    assert_eq!(told.fact("tree"), format!("{} {}", image.files, image.tree_hash));
    for (fact, value) in [
        ("host", "demo"),
        ("home", "0:0:700"),
        ("run", "0:0:755"),
        ("private", "0:0:600"),
        ("link", "run"),
        ("extra", "0:0:644"),
        ("shadow", "root:shadow:640"),
        ("su", "root:root:4755"),
        ("chage", "root:shadow:2755"),
        ("mail", "root:mail:2775"),
        ("greeting", "it's me"),
        ("identity", "33"),
    ] {
        assert_eq!(told.fact(fact), value, "{fact}\n{}", booted.serial);
    }
}

#[test]
fn a_dev_image_runs_systemd_and_has_the_repository_in_a_layer() {
    let bench = Bench::new("debian", "");
    let image = bench.build();
    for way in [(Firmware::Bios, Medium::Cd), (Firmware::Uefi, Medium::Usb)] {
        let booted = boot(&image.iso, way, true);
        whole(&booted, &image);
        let told = &booted.report;
        let report = told.report.as_ref().unwrap();
        assert_eq!((&report["system"], &report["tree"]), (&"running".into(), &image.tree_hash.as_str().into()));
        assert_eq!((&report["files"], report.get("failed")), (&image.files.into(), None));
        let firmware = if way.0 == Firmware::Uefi { "uefi" } else { "bios" };
        assert_eq!(report["firmware"], firmware);
        let root = told.fact("root");
        let (layer, base) = (root.find("zz-cartridge.squashfs"), root.find("filesystem.squashfs"));
        assert!(layer.is_some() && layer < base, "{root}");
        assert_eq!(told.fact("logins"), "2", "root is let in on the screen and on the serial line");
    }
}

#[test]
fn only_what_depends_on_a_change_is_made_again() {
    let bench = Bench::new("debian", "");
    bench.build();
    assert_eq!(bench.redone(), [] as [&str; 0]);
    // The cache outlives a run of the tests: what is new must never have been there.
    let new = format!("{:?}\n", std::time::SystemTime::now());
    fs::write(bench.repo().join("README"), &new).unwrap();
    assert_eq!(bench.redone(), ["inject", "iso"]);
    fs::write(bench.repo().join("extras/extra"), &new).unwrap();
    assert_eq!(bench.redone(), ["inject", "iso"]);
}

/// How far the packages were, as it was told.
pub fn steps(told: &[Progress], wanted: Unit) -> Vec<(u64, u64, String)> {
    let step = |progress: &Progress| match progress {
        Progress::Advanced { done, total: Some(total), unit, what: Some(what), .. } if *unit == wanted => {
            Some((*done, *total, what.clone()))
        }
        _ => None,
    };
    told.iter().filter_map(step).collect()
}
