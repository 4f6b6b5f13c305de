//! Profiles that ask git for their version, or source a file that lies beside them: they are evaluated where they lie, and what
//! overlays replace wins.

use std::fs;
use std::path::Path;

use cartridge_supervise::{CommandLine, run};
use isoprep::profile::{ReadOptions, read};
use isoprep::{Cancel, assembly};

use crate::arch::{TestProfile, mkarchiso};
use crate::bench::{Bench, profile};
use crate::hostile::holds;

/// Asks git, sources a neighbour, and names its package list by where it believes to be.
fn asking() -> TestProfile {
    profile()
        .set("iso_version", "\"$(git describe --tags)\"")
        .set("iso_publisher", "\"$(. \"${BASH_SOURCE[0]%/*}/../names.sh\" && echo \"$publisher\")\"")
        .set("packages", "\"$(realpath \"${BASH_SOURCE[0]%/*}/packages.x86_64\")\"")
}

/// Makes a checkout of `dir`, with a tag.
fn checkout(dir: &Path) {
    let script =
        "git init -q . && git add -A && git -c user.name=t -c user.email=t@t commit -q -m x && git tag v7.5-tagged";
    run(&CommandLine::new("sh").args(["-c", script]).cwd(dir), &Cancel::new(), |_, _| ())
        .unwrap_or_else(|e| panic!("{e}"));
}

fn bench(settings: &str) -> Bench {
    let bench = Bench::new(&asking(), settings);
    fs::write(bench.repo().join("names.sh"), "publisher='NEIGHBOUR'\n").unwrap();
    checkout(&bench.repo());
    bench
}

#[test]
fn a_profile_that_asks_git_is_built() {
    let bench = bench("");
    let image = bench.build();
    assert!(holds(&image.iso, b"v7.5-tagged\n") && holds(&image.iso, b"NEIGHBOUR"));
    assert_eq!(bench.redone(), [] as [&str; 0]);
}

#[test]
fn mkarchiso_gets_what_git_said() {
    if mkarchiso::find().is_none() {
        return mkarchiso::skipped("mkarchiso_gets_what_git_said");
    }
    let bench = bench("engine = \"mkarchiso\"");
    let (image, _, lines) = bench.build_telling();
    let image = image.unwrap_or_else(|e| panic!("{e}\n{}", lines.join("\n")));
    assert!(holds(&image.iso, b"v7.5-tagged\n"));
    assert!(lines.iter().any(|line| line.contains("mkarchiso gets its values")), "{lines:#?}");
}

/// The folder of the profile itself may be the checkout; a file that it sources may be replaced by an overlay.
#[test]
fn the_folder_itself_may_be_the_checkout_and_overlays_win() {
    let top = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let at = |name: &str| top.path().join(name);
    let definition = "iso_version=\"$(git describe --tags)\"\n. ./label.sh\npackages=\"$PWD/packages.x86_64\"\n\
                      pacman_conf=\"$PWD/pacman.conf\"\n";
    for (file, text) in [
        ("base/profiledef.sh", definition),
        ("base/label.sh", "iso_label=BASE\n"),
        ("base/packages.x86_64", "base\n"),
        ("base/pacman.conf", "[options]\n"),
        ("over/label.sh", "iso_label=OVER\n"),
        ("over/packages.x86_64", "base\nlinux\n"),
    ] {
        fs::create_dir_all(at(file).parent().unwrap()).unwrap();
        fs::write(at(file), text).unwrap();
    }
    checkout(&at("base"));
    for (overlays, label, packages) in [(vec![], "BASE", 1), (vec![at("over")], "OVER", 2)] {
        let target = at(label);
        fs::create_dir(&target).unwrap();
        let ingredients =
            assembly::Ingredients { base: at("base"), overlays, into: "/x".into(), ..assembly::Ingredients::default() };
        let assembled = assembly::prepare(&ingredients, &Cancel::new(), &|_| ()).unwrap();
        assembled.write(&target, &Cancel::new(), &|_| ()).unwrap();
        let mut options = ReadOptions::of_this_user(Some(7));
        options.stands_for = assembled.definition_layer().map(Path::to_path_buf);
        assert_eq!(options.stands_for, Some(at("base")));
        let read = read(&target, &options, &Cancel::new()).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!((read.definition.iso_version.as_str(), read.definition.iso_label.as_str()), ("v7.5-tagged", label));
        assert_eq!(read.packages.packages.len(), packages);
        assert_eq!(read.definition.pacman_conf, target.join("pacman.conf"));
        assert!(!target.join(".git").exists(), "the place for the checkout is left");
    }
}
