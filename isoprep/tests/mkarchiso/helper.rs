//! The way through the helper. `CARTRIDGE_TEST_HELPER` says that it is installed, that polkit lets this user run it without a
//! question, and that `/usr/bin/mkarchiso` is there.

use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

use cartridge_supervise::Cancel;
use isoprep::mkarchiso::{HelperFact, MkarchisoError, MkarchisoNews, Way, look_around, run};
use isoprep::pacman_log::FaultKind;

use crate::arch::{Fault, Repository, TestProfile};
use crate::place::Place;
use crate::real::place;

fn helper_place(profile: &TestProfile) -> Place {
    let mut place = place(std::path::Path::new("/usr/bin/mkarchiso"), profile);
    place.job.way = Way::Helper;
    place
}

fn is_installed(test: &str) -> bool {
    let installed = std::env::var_os("CARTRIDGE_TEST_HELPER").is_some();
    if !installed {
        eprintln!("{test}: skipped, as CARTRIDGE_TEST_HELPER is not set");
    }
    installed
}

#[test]
fn an_image_is_built_by_the_helper() {
    if !is_installed("by the helper") {
        return;
    }
    let path = std::env::var_os("PATH").unwrap();
    assert_eq!(look_around(&path, "none", &Cancel::new()).helper, HelperFact::Ready);
    let repository = Repository::get();
    let place = helper_place(&TestProfile::releng(repository).packages(&["owned-files"]));
    let (built, told) = place.build();
    let product = built.unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(std::fs::metadata(&product.iso).unwrap().uid(), rustix::process::geteuid().as_raw());
    assert_eq!(product.doubts, []);
    assert!(told.iter().any(|it| matches!(it, MkarchisoNews::Stage { .. })));
    let broken = TestProfile::releng(repository).broken(repository, Fault::HookWithoutPackage);
    let error = helper_place(&broken).build().0.unwrap_err();
    assert!(
        matches!(&error, MkarchisoError::Found { finding, .. } if finding.kind == FaultKind::InitcpioHook),
        "{error}"
    );
}

#[test]
fn cancelling_the_helper_leaves_nothing() {
    if !is_installed("cancelling the helper") {
        return;
    }
    let place = helper_place(&TestProfile::releng(Repository::get()).packages(&["slow-hook"]));
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
}

#[test]
fn the_helper_s_refusal_is_told() {
    if !is_installed("the helper's refusal") {
        return;
    }
    let mut place = helper_place(&TestProfile::releng(Repository::get()));
    place.job.profile = place.top.path().join("absent");
    let error = place.build().0.unwrap_err();
    let MkarchisoError::Found { finding, .. } = &error else { panic!("{error}") };
    assert!(finding.kind == FaultKind::Helper && finding.text.contains("absent"), "{error}");
}
