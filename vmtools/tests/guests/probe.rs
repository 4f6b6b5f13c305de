//! The accelerator probe in a real child process: this very test binary, told by its environment to be the child.

use std::time::{Duration, Instant};

use vmtools::accelerator::PROBE_ARGUMENT;
use vmtools::{Accelerator, AcceleratorWish, CommandLine, choose_accelerator_with, probe_main};

const CHILD: &str = "VMTOOLS_TEST_PROBE_CHILD";

fn prober() -> CommandLine {
    CommandLine::new(std::env::current_exe().unwrap())
        .args(["--exact", "probe::the_child", "--nocapture", "--test-threads=1"])
        .env(CHILD, "1")
}

#[test]
fn the_child() {
    if std::env::var_os(CHILD).is_some() {
        assert!(probe_main(&[PROBE_ARGUMENT.into()]).is_some());
    } else {
        assert!(probe_main(&["--version".into()]).is_none());
    }
}

#[test]
fn this_machine_is_judged_in_time_and_remembered() {
    let dir = tempfile::tempdir().unwrap();
    let cache = dir.path().join("sub/accelerator.json");
    let started = Instant::now();
    let first = choose_accelerator_with(AcceleratorWish::Auto, &cache, &prober());
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    assert!(!first.cached && first.reason.ends_with('.'), "{first:?}");
    // Whatever this machine can do: the choice follows from the measurement.
    let fast = first.measured.is_some_and(|ns| ns <= 20.0);
    assert_eq!(first.accelerator == Accelerator::Kvm, fast, "{first:?}");
    let again = choose_accelerator_with(AcceleratorWish::Auto, &cache, &CommandLine::new("/absent/prober"));
    assert_eq!(again.accelerator, first.accelerator);
    assert_eq!(again.cached, cache.exists());
    if first.measured.is_some() {
        assert!(again.cached && again.reason == first.reason, "{again:?}");
    }
    eprintln!("{first:?}");
}

#[test]
fn a_child_that_hangs_or_babbles_is_survived() {
    if std::fs::OpenOptions::new().read(true).write(true).open("/dev/kvm").is_err() {
        // Without the device nothing is run, and that is what must be said.
        let dir = tempfile::tempdir().unwrap();
        let choice = choose_accelerator_with(AcceleratorWish::Auto, &dir.path().join("c"), &CommandLine::new("sleep"));
        assert!(choice.reason.contains("/dev/kvm") && choice.accelerator == Accelerator::Tcg, "{choice:?}");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let cache = dir.path().join("cache");
    let babbling = CommandLine::new("sh").args(["-c", "echo hello; exit 7"]);
    let choice = choose_accelerator_with(AcceleratorWish::Auto, &cache, &babbling);
    assert!(choice.accelerator == Accelerator::Tcg && choice.reason.contains("exit code 7"), "{choice:?}");
    assert!(!cache.exists());
    let started = Instant::now();
    let choice = choose_accelerator_with(AcceleratorWish::Auto, &cache, &CommandLine::new("sleep").arg("60"));
    assert!(started.elapsed() < Duration::from_millis(1500), "{:?}", started.elapsed());
    assert!(choice.accelerator == Accelerator::Tcg && choice.reason.contains("did not finish"), "{choice:?}");
    let choice = choose_accelerator_with(AcceleratorWish::Kvm, &cache, &babbling);
    assert!(choice.cached && choice.accelerator == Accelerator::Kvm, "{choice:?}");
    assert!(choice.reason.contains("because it was asked for"), "{choice:?}");
}
