//! The real mkarchiso. Without it these say that they were skipped.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use cartridge_supervise::{Cancel, CommandLine};
use isoprep::mkarchiso::{CACHE_INSIDE, MkarchisoError, MkarchisoNews, MkarchisoStage, boot_files, run};
use isoprep::pacman_log::{FaultKind, PacmanNews, Weight};
use isoprep::profile::{self, ReadOptions};

use crate::arch::{Fault, Repository, Signatures, TestProfile, mkarchiso};
use crate::place::{Place, processes};

/// A place with a profile, whose boot entries are read from it.
pub fn place(tool: &Path, profile: &TestProfile) -> Place {
    let mut place = Place::new(tool);
    profile.write(&place.job.profile);
    // As the assembly does: the packages come into a cache of ours.
    let conf = place.job.profile.join("pacman.conf");
    let text = fs::read_to_string(&conf).unwrap();
    let cache = format!("[options]\nCacheDir = {CACHE_INSIDE}\n");
    fs::write(&conf, text.replacen("[options]\n", &cache, 1)).unwrap();
    let read = profile::read(&place.job.profile, &ReadOptions::of_this_user(Some(1_700_000_000)), &Cancel::new());
    place.job.boot_files = read.map(|it| boot_files(&it)).unwrap_or_default();
    place
}

fn tool(test: &str) -> Option<std::path::PathBuf> {
    let found = mkarchiso::find();
    if found.is_none() {
        mkarchiso::skipped(test);
    }
    found
}

#[test]
fn a_profile_becomes_an_image_and_is_followed_on_its_way() {
    let Some(tool) = tool("a profile becomes an image") else { return };
    let place = place(&tool, &TestProfile::releng(Repository::get()));
    assert!(!place.job.boot_files.is_empty());
    let (built, told) = place.build();
    let product = built.unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(product.iso, place.job.out.join("archtest-2026.11.24-x86_64.iso"));
    assert_eq!(product.bytes, fs::metadata(&product.iso).unwrap().len());
    assert_eq!((product.doubts, product.shortfalls), (Vec::new(), Vec::new()));
    let stages: Vec<_> = told
        .iter()
        .filter_map(|it| if let MkarchisoNews::Stage { stage } = it { Some(*stage) } else { None })
        .collect();
    use MkarchisoStage::{BootLoaders, Checking, Customizing, Files, Iso, Packages, RootImage};
    assert_eq!(stages, [Checking, Files, Packages, Customizing, BootLoaders, RootImage, Iso]);
    let items = told.iter().filter(|it| matches!(it, MkarchisoNews::Pacman { news: PacmanNews::Item { .. } })).count();
    assert!(items > 10, "{items} items");
    assert!(told.iter().any(|it| matches!(it, MkarchisoNews::Percent { stage: RootImage, percent: 100 })));
    let numbers: Vec<_> = told
        .iter()
        .filter_map(|it| if let MkarchisoNews::Line { number, .. } = it { Some(*number) } else { None })
        .collect();
    assert_eq!(numbers, (1..=numbers.len()).collect::<Vec<_>>());
    assert!(fs::read_dir(&place.job.cache).unwrap().count() > 5, "the packages are in our cache");
}

#[test]
fn each_fault_is_told_by_its_first_real_error() {
    let Some(tool) = tool("each fault") else { return };
    let repository = Repository::get();
    let cases = [
        (Fault::PackageUnknown, FaultKind::PackageNotFound, "giit"),
        (Fault::HookWithoutPackage, FaultKind::InitcpioHook, "plymouth"),
        (Fault::Conflict, FaultKind::PackageConflict, "conflict-one and conflict-two"),
        (Fault::DependencyMissing, FaultKind::Dependency, "no-such-library"),
        (Fault::Unsigned, FaultKind::Signature, ""),
        (Fault::IncludeMissing, FaultKind::PacmanConfig, ""),
        (Fault::RepositoryMissing, FaultKind::Download, "offline.db"),
        (Fault::BootModeUnknown, FaultKind::Mkarchiso, ""),
    ];
    for (fault, kind, subject) in cases {
        let (built, told) = place(&tool, &TestProfile::releng(repository).broken(repository, fault)).build();
        let Err(MkarchisoError::Found { finding, .. }) = built else { panic!("{fault:?}: {built:?}") };
        let lines = told
            .iter()
            .filter_map(|it| if let MkarchisoNews::Line { number, text } = it { Some((*number, text)) } else { None });
        assert!(
            finding.kind == kind && finding.subject.as_deref().unwrap_or("").contains(subject),
            "{fault:?}: {finding}"
        );
        let (_, text) = lines.into_iter().find(|(number, _)| *number == finding.line).unwrap();
        assert!(text.ends_with(&finding.text), "{fault:?}: {text:?} is not {:?}", finding.text);
    }
}

#[test]
fn a_boot_entry_without_its_kernel_is_an_error_though_mkarchiso_ends_well() {
    let Some(tool) = tool("a boot entry without its kernel") else { return };
    let repository = Repository::get();
    let place = place(&tool, &TestProfile::releng(repository).broken(repository, Fault::EntryOfAbsentKernel));
    let (built, _) = place.build();
    let Err(MkarchisoError::Unbootable(missing)) = built else { panic!("{built:?}") };
    let named: BTreeSet<_> = missing.iter().map(|it| it.missing.path.as_str()).collect();
    assert_eq!(named, BTreeSet::from(["/arch/boot/x86_64/vmlinuz-linux-zen"]));
    assert!(missing.iter().all(|it| it.there == ["/arch/boot/x86_64/vmlinuz-linux"]), "{missing:?}");
    assert!(!place.job.out.exists());
}

#[test]
fn what_pacman_goes_on_after_is_a_doubt() {
    let Some(tool) = tool("doubts") else { return };
    let repository = Repository::get();
    for (fault, kind) in [(Fault::HookFails, FaultKind::PacmanHook), (Fault::ScriptletFails, FaultKind::Scriptlet)] {
        let (built, _) = place(&tool, &TestProfile::releng(repository).broken(repository, fault)).build();
        let doubts = built.unwrap_or_else(|e| panic!("{fault:?}: {e}")).doubts;
        assert!(doubts.iter().any(|it| it.kind == kind && it.weight == Weight::Doubt), "{fault:?}: {doubts:?}");
    }
}

#[test]
fn owners_are_kept_where_ids_are_lent_and_missed_aloud_where_not() {
    let Some(tool) = tool("owners") else { return };
    let place = place(&tool, &TestProfile::releng(Repository::get()).packages(&["owned-files"]));
    let doubts = place.build().0.unwrap_or_else(|e| panic!("{e}")).doubts;
    let lost = doubts.iter().any(|it| it.kind == FaultKind::Owners);
    assert_eq!(lost, !cartridge_supervise::IdMap::of_this_user().has_many(), "{doubts:?}");
}

#[test]
fn cancelling_within_a_hook_leaves_nothing() {
    let Some(tool) = tool("cancelling") else { return };
    let place = place(&tool, &TestProfile::releng(Repository::get()).packages(&["slow-hook"]));
    let cancel = Cancel::new();
    let mut since = None;
    let result = run(&place.job, &cancel, &mut |news| {
        let waiting = matches!(&news, MkarchisoNews::Line { text, .. } if text.contains("slow-hook: waiting"));
        if waiting && since.is_none() {
            since = Some(Instant::now());
            cancel.cancel();
        }
    });
    let took = since.expect("the hook ran").elapsed();
    assert!(matches!(result, Err(MkarchisoError::Cancelled)), "{result:?}");
    assert!(took < Duration::from_secs(2), "{took:?}");
    place.assert_clean();
}

#[test]
fn two_builds_at_once_in_one_work_directory_do_not_meet() {
    let Some(tool) = tool("two builds") else { return };
    let place = place(&tool, &TestProfile::releng(Repository::get()));
    let mut other = place.job.clone();
    other.out = place.top.path().join("others");
    let (one, two) = std::thread::scope(|scope| {
        let two = scope.spawn(|| run(&other, &Cancel::new(), &mut |_| ()));
        (run(&place.job, &Cancel::new(), &mut |_| ()), two.join().unwrap())
    });
    let (one, two) = (one.unwrap_or_else(|e| panic!("{e}")), two.unwrap_or_else(|e| panic!("{e}")));
    assert!(one.iso.exists() && two.iso.exists());
    place.assert_clean();
    assert!(processes(place.top.path().to_str().unwrap()).is_empty());
}

#[test]
fn signed_packages_are_checked() {
    let Some(tool) = tool("signed packages") else { return };
    let repository = Repository::get();
    let signed = TestProfile::releng(repository).signatures(repository, Signatures::Required);
    let place = place(&tool, &signed);
    let conf = place.job.profile.join("pacman.conf");
    let text = fs::read_to_string(&conf).unwrap();
    // As pacman-key makes it: it needs no locks, and its trust is worked out.
    let gnupg = place.top.path().join("keys");
    let shell = |script: &str| {
        let line = CommandLine::new("sh").args(["-c", script, "-"]).arg(repository.gnupg()).arg(&gnupg);
        cartridge_supervise::run(&line, &Cancel::new(), |_, _| ()).unwrap_or_else(|e| panic!("{e}"));
    };
    shell("cp -R \"$1\" \"$2\" && echo lock-never >\"$2/gpg.conf\" && gpg --homedir \"$2\" --batch --check-trustdb");
    let keys = format!("[options]\nGPGDir = {}\n", gnupg.display());
    fs::write(&conf, text.replacen("[options]\n", &keys, 1)).unwrap();
    let (built, _) = place.build();
    built.unwrap_or_else(|e| panic!("{e}"));
}
