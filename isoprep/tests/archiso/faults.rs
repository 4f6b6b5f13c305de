//! What goes wrong is told in the first words that say it, with what to do; and nothing is left.

use std::io::Read;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use isoprep::pacman_log::FaultKind;
use isoprep::{BuildError, Cancel, Progress};

use crate::arch::{Repository, Signatures};
use crate::bench::{Bench, profile};

/// Builds what must fail in its packages, also where lint said so before.
fn fault(mut bench: Bench) -> (FaultKind, String) {
    let (mut result, _, mut lines) = bench.build_telling();
    if matches!(result, Err(BuildError::Lint { .. })) {
        bench.request.build_anyway = true;
        (result, _, lines) = bench.build_telling();
    }
    match result {
        Err(BuildError::Packages { finding, command, .. }) => {
            assert!(command.contains("pacman"), "{command}");
            bench.assert_clean();
            (finding.kind, finding.to_string())
        }
        other => panic!("{other:?}\n{}", lines.join("\n")),
    }
}

#[test]
fn packages_that_cannot_be_installed_are_told_apart() {
    for (packages, kind, words) in [
        (&["jqq"][..], FaultKind::PackageNotFound, "\"jq\""),
        (&["conflict-one", "conflict-two"][..], FaultKind::PackageConflict, "conflict-"),
        (&["clash-one", "clash-two"][..], FaultKind::FileConflict, "/opt/clash/file"),
        (&["missing-dependency"][..], FaultKind::Dependency, "no-such-library"),
        (&["failing-hook"][..], FaultKind::PacmanHook, "failing"),
        (&["failing-scriptlet"][..], FaultKind::Scriptlet, "failing-scriptlet"),
    ] {
        let (found, text) = fault(Bench::new(&profile().packages(packages), ""));
        assert_eq!(found, kind, "{packages:?}: {text}");
        assert!(text.contains(words), "{packages:?}: {text}");
    }
}

/// Where users have groups of their own the umask lets the group write; the helper refuses such a profile.
#[test]
fn the_assembled_profile_is_for_nobody_else_to_write() {
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o002));
    let bench = Bench::new(&profile(), "");
    let cancel = Cancel::new();
    let stop = |progress: Progress| {
        if matches!(progress, Progress::Finished { stage: isoprep::StageName("assemble"), .. }) {
            cancel.cancel();
        }
    };
    let result = isoprep::build(&bench.request, &cancel, &stop);
    assert!(matches!(result, Err(BuildError::Cancelled { .. })), "{result:?}");
    let meta = std::fs::metadata(bench.request.work.join("profile")).unwrap();
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&meta.permissions()) & 0o022, 0);
}

#[test]
fn a_hook_without_its_package_fails_before_the_image_is_packed() {
    let (kind, text) = fault(Bench::new(&profile().hook_after("udev", "plymouth"), ""));
    assert_eq!(kind, FaultKind::InitcpioHook, "{text}");
    assert!(text.contains("plymouth"), "{text}");
}

#[test]
fn lint_stops_what_would_fail_and_nothing_is_installed() {
    let bench = Bench::new(&profile().hook_after("udev", "plymouth").packages(&["jqq"]), "");
    let (result, reused, _) = bench.build_telling();
    let Err(BuildError::Lint { findings, .. }) = result else { panic!("{result:?}") };
    let rules: Vec<&str> = findings.iter().map(|it| it.rule.0).collect();
    assert!(rules.contains(&"hook-without-package") && rules.contains(&"package-not-found"), "{findings:#?}");
    assert!(!reused.contains_key("packages"), "{reused:?}");
    bench.assert_clean();
}

#[test]
fn a_configuration_that_cannot_be_used_hides_no_other_finding() {
    let conf = "[options]\nInclude = /etc/pacman.d/absent-options\n[core]\nServer = https://example.org\n";
    let bench = Bench::new(&profile().hook_after("udev", "plymouth").file("pacman.conf", conf), "");
    let seen = isoprep::examine(&bench.request, &Cancel::new(), &|_| ()).unwrap();
    let rules: Vec<&str> = seen.lint.iter().map(|it| it.rule.0).collect();
    assert!(rules.contains(&"include-missing") && rules.contains(&"hook-without-package"), "{:#?}", seen.lint);
    let Err(BuildError::Lint { findings, .. }) = bench.build_telling().0 else { panic!("lint does not stop it") };
    assert_eq!(findings, seen.lint);
}

#[test]
fn a_good_profile_has_no_finding_and_a_tree_with_origins() {
    let bench = Bench::new(&profile(), "packages = [\"git\"]");
    let work = tempfile::tempdir_in(&bench.request.work).unwrap();
    let request = isoprep::BuildRequest { work: work.path().into(), ..bench.request.clone() };
    let seen = isoprep::examine(&request, &Cancel::new(), &|_| ()).unwrap();
    let bad: Vec<_> = seen.lint.iter().filter(|it| it.severity != isoprep::lint::Severity::Note).collect();
    assert!(bad.is_empty(), "{bad:#?}");
    assert!(seen.tree.iter().any(|node| node.name == "profiledef.sh"), "{:#?}", seen.tree);
}

#[test]
fn a_signature_that_nobody_trusts_is_refused() {
    let profile = profile().signatures(Repository::get(), Signatures::Required);
    let (kind, text) = fault(Bench::new(&profile, ""));
    assert_eq!(kind, FaultKind::Signature, "{text}");
}

#[test]
fn a_mirror_that_is_down_is_told_as_such() {
    let bench = Bench::new(&profile(), "");
    bench.set_server("http://127.0.0.1:9/repo");
    let (kind, text) = fault(bench);
    assert_eq!(kind, FaultKind::Download, "{text}");
}

#[test]
fn a_mirror_that_never_answers_can_be_cancelled() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let bench = Bench::new(&profile(), "");
    bench.set_server(&format!("http://{}/repo", silent.local_addr().unwrap()));
    let cancel = Cancel::new();
    let (token, asked) = (cancel.clone(), std::sync::Arc::new(std::sync::Mutex::new(None)));
    let when = std::sync::Arc::clone(&asked);
    std::thread::spawn(move || {
        // The request has come: pacman waits for an answer.
        let (mut stream, _) = silent.accept().unwrap();
        let _ = stream.read(&mut [0; 64]);
        *when.lock().unwrap() = Some(Instant::now());
        token.cancel();
        std::thread::sleep(Duration::from_secs(10));
    });
    let error = bench.build_with(&cancel, &|_| ()).unwrap_err();
    assert!(error.is_cancelled(), "{error}");
    let took = asked.lock().unwrap().unwrap().elapsed();
    assert!(took < Duration::from_secs(2), "{took:?}");
    bench.assert_clean();
}

#[test]
fn every_stage_can_be_cancelled_within_two_seconds() {
    for stage in ["assemble", "packages", "inject", "squash", "bootloader", "iso"] {
        let bench = Bench::new(&profile(), "build = \"release\"");
        let (cancel, asked) = (Cancel::new(), std::sync::Mutex::new(None));
        let listen = |progress: Progress| {
            let begun = match &progress {
                // In the middle, where there is one.
                Progress::Advanced { stage: at, done, .. } => at.0 == stage && *done > 3,
                Progress::Started { stage: at } => at.0 == stage && stage != "packages",
                _ => false,
            };
            if begun {
                asked.lock().unwrap().get_or_insert_with(Instant::now);
                cancel.cancel();
            }
        };
        let error = bench.build_with(&cancel, &listen).unwrap_err();
        let took = asked.lock().unwrap().expect("the moment never came").elapsed();
        assert!(error.is_cancelled() && error.stage().is_some_and(|it| it.0 == stage), "{stage}: {error}");
        assert!(took < Duration::from_secs(2), "{stage}: {took:?}");
        bench.assert_clean();
    }
}

#[test]
fn odd_names_are_only_names() {
    let bench = Bench::named("a b\nc 'd' $(touch e)", &profile(), "");
    std::fs::write(bench.repo().join("new\nline"), "x").unwrap();
    bench.build();
    bench.assert_clean();
}
