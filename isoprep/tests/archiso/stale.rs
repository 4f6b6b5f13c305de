//! What an image is made of decides whether it is made again: nothing stale is handed out, and nothing broken is taken for good.

use std::fs;
use std::io::Write;

use isoprep::BuildError;
use isoprep::pacman_log::FaultKind;

use crate::arch::{Repository, Signatures, mkarchiso};
use crate::bench::{Bench, profile};
use crate::hostile::holds;

#[test]
fn a_file_of_the_boot_loaders_that_changed_is_on_the_disc() {
    let profile = profile().boot_modes(&["bios.syslinux", "uefi.grub"]);
    let bench = Bench::new(&profile, "");
    let iso = bench.repo().join("iso");
    let font = iso.join("grub/fonts/own.pf2");
    fs::create_dir_all(font.parent().unwrap()).unwrap();
    for file in [&iso.join("syslinux/splash.png"), &font] {
        fs::write(file, "first picture").unwrap();
    }
    let image = bench.build();
    assert_eq!(bench.redone(), [] as [&str; 0]);
    for (file, text) in [(&iso.join("syslinux/splash.png"), "other splash"), (&font, "other fonts!")] {
        fs::write(file, text).unwrap();
        assert_eq!(bench.redone(), ["iso"], "{}", file.display());
        assert!(holds(&image.iso, text.as_bytes()), "{}", file.display());
        assert_eq!(bench.redone(), [] as [&str; 0]);
    }
}

#[test]
fn mkarchiso_runs_again_when_a_repository_of_this_host_changed() {
    if mkarchiso::find().is_none() {
        return mkarchiso::skipped("mkarchiso_runs_again_when_a_repository_of_this_host_changed");
    }
    let place = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let own = Repository::get().copy_to(&place.path().join("repository"));
    let bench = Bench::new(&profile().signatures(&own, Signatures::Never), "engine = \"mkarchiso\"");
    let reused = || {
        let (image, reused, lines) = bench.build_telling();
        image.unwrap_or_else(|e| panic!("{e}\n{}", lines.join("\n")));
        reused["iso"]
    };
    assert!(!reused());
    assert!(reused());
    // The same archive, packed anew: another database, as after any change.
    let database = own.path().join("archtest/archtest.db").canonicalize().unwrap();
    let (packed, mut text) = (fs::read(&database).unwrap(), Vec::new());
    std::io::Read::read_to_end(&mut flate2::read::MultiGzDecoder::new(&packed[..]), &mut text).unwrap();
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none());
    packer.write_all(&text).unwrap();
    fs::write(&database, packer.finish().unwrap()).unwrap();
    assert!(!reused());
}

#[test]
fn a_root_whose_hook_failed_is_never_taken_for_a_good_one() {
    let mut bench = Bench::new(&profile().packages(&["failing-hook"]), "");
    bench.request.build_anyway = true;
    bench.build();
    let (_, reused, _) = bench.build_telling();
    assert!(reused["packages"], "the same wish has the same result");
    bench.request.build_anyway = false;
    let (result, _, lines) = bench.build_telling();
    let Err(BuildError::Packages { finding, .. }) = result else { panic!("{result:?}\n{}", lines.join("\n")) };
    assert_eq!(finding.kind, FaultKind::PacmanHook);
}

#[test]
fn a_good_root_is_good_enough_for_a_build_that_goes_on_anyway() {
    let mut bench = Bench::new(&profile(), "");
    bench.build();
    bench.request.build_anyway = true;
    assert_eq!(bench.redone(), [] as [&str; 0]);
}

#[test]
fn configurations_of_boot_loaders_keep_their_bytes() {
    let bench = Bench::new(&profile(), "");
    let title = b"MENU TITLE caf\xe9 %INSTALL_DIR%\n";
    for name in ["syslinux/syslinux.cfg", "grub/loopback.cfg"] {
        let file = bench.repo().join("iso").join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        let mut file = fs::File::options().append(true).create(true).open(file).unwrap();
        file.write_all(title).unwrap();
    }
    let image = bench.build();
    assert!(holds(&image.iso, b"MENU TITLE caf\xe9 arch\n"));
    assert!(!holds(&image.iso, "caf\u{fffd}".as_bytes()));
}
