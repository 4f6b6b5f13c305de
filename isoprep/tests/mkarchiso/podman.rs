//! The way through podman. It needs an image with archiso on this machine, whose name `CARTRIDGE_TEST_ARCHISO_IMAGE`
//! gives, and a user other than root, since it is for those.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use cartridge_supervise::{Cancel, CommandLine, run as tool};
use isoprep::mkarchiso::{MkarchisoError, MkarchisoNews, PodmanFact, Way, look_around, run};
use isoprep::pacman_log::FaultKind;

use crate::arch::{Fault, Repository, TestProfile};
use crate::killed::builds_until_killed;
use crate::place::Place;
use crate::real::place;

fn image(test: &str) -> Option<String> {
    let image = std::env::var("CARTRIDGE_TEST_ARCHISO_IMAGE").ok();
    if image.is_none() {
        eprintln!("{test}: skipped, as CARTRIDGE_TEST_ARCHISO_IMAGE names no image");
    }
    image
}

fn podman_place(image: String, profile: &TestProfile) -> Place {
    let mut place = place(Path::new("/nowhere"), profile);
    place.job.way = Way::Podman;
    place.job.image = image;
    place.job.readable = vec![Repository::get().path().to_path_buf()];
    place
}

fn containers() -> String {
    let line = CommandLine::new("podman").args(["ps", "--all", "--quiet", "--filter=name=cartridge-"]);
    String::from_utf8(tool(&line, &Cancel::new(), |_, _| ()).unwrap().stdout).unwrap()
}

/// Podman's monitor removes what podman keeps of a container a moment after it ended.
fn no_container() {
    let end = Instant::now() + Duration::from_secs(10);
    while !containers().is_empty() {
        assert!(Instant::now() < end, "{}", containers());
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn an_image_is_built_in_a_container() {
    let Some(image) = image("in a container") else { return };
    let path = std::env::var_os("PATH").unwrap();
    // Without the tool itself podman is looked at.
    let only = podman_only(&path);
    let facts = look_around(only.path().as_os_str(), &image, &Cancel::new());
    assert_eq!(facts.podman, PodmanFact::Ready { image: image.clone() });
    let absent = look_around(only.path().as_os_str(), "localhost/no-such-image", &Cancel::new());
    assert!(matches!(absent.podman, PodmanFact::NoImage { .. }), "{:?}", absent.podman);

    let repository = Repository::get();
    let built = podman_place(image.clone(), &TestProfile::releng(repository)).build().0;
    let product = built.unwrap_or_else(|e| panic!("{e}"));
    assert!(product.bytes > 1 << 20);
    let broken = TestProfile::releng(repository).broken(repository, Fault::PackageUnknown);
    let error = podman_place(image, &broken).build().0.unwrap_err();
    assert!(
        matches!(&error, MkarchisoError::Found { finding, .. } if finding.kind == FaultKind::PackageNotFound),
        "{error}"
    );
    assert_eq!(containers(), "");
}

#[test]
fn cancelling_a_container_leaves_nothing() {
    let Some(image) = image("cancelling a container") else { return };
    let place = podman_place(image, &TestProfile::releng(Repository::get()).packages(&["slow-hook"]));
    let cancel = Cancel::new();
    let mut since = None;
    let result = run(&place.job, &cancel, &mut |news| {
        if matches!(&news, MkarchisoNews::Line { text, .. } if text.contains("slow-hook: waiting")) && since.is_none() {
            since = Some(Instant::now());
            cancel.cancel();
        }
    });
    assert!(matches!(result, Err(MkarchisoError::Cancelled)), "{result:?}");
    let took = since.unwrap().elapsed();
    assert!(took < Duration::from_secs(2), "{took:?}");
    place.assert_clean();
    no_container();
}

#[test]
fn a_container_ends_when_we_are_killed() {
    let Some(image) = image("killed") else { return };
    let place = podman_place(image, &TestProfile::releng(Repository::get()).packages(&["slow-hook"]));
    builds_until_killed(&place);
    no_container();
}

/// A folder with links to podman and what it needs, and nothing else.
fn podman_only(path: &OsStr) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let program: PathBuf = isoprep::mkarchiso::find("podman", path).unwrap();
    std::os::unix::fs::symlink(program, dir.path().join("podman")).unwrap();
    dir
}
