//! Cancelled or killed in the middle of a distribution's build, by somebody who is not root: nothing runs on, nothing stays
//! mounted, files of lent users go, and the next build succeeds.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use crate::bench::{Bench, profile};
use crate::support::Running;

/// Waits until the packages are there and a hook runs that takes ten minutes: the root has files of lent users by then.
fn in_the_hook(bench: &Bench, run: &mut Running) {
    run.wait_for(|e| e["progress"]["kind"] == "started" && e["progress"]["stage"] == "packages");
    let end = Instant::now() + Duration::from_secs(240);
    let log = || {
        let sessions = std::fs::read_dir(bench.console.home.path().join("state/cartridge/sessions")).unwrap();
        let read = |e: std::fs::DirEntry| std::fs::read_to_string(e.path().join("build.log")).unwrap_or_default();
        sessions.flatten().map(read).collect::<String>()
    };
    while !log().contains("slow-hook: waiting") {
        assert!(Instant::now() < end, "the hook never began:\n{}", log());
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Owners of files in work directories that are neither root nor whoever runs the program.
fn lent_files(bench: &Bench) -> usize {
    let work = bench.console.home.path().join("cache/cartridge/work");
    let out = std::process::Command::new("find").arg(work).args(["-uid", "+65536"]).output().unwrap();
    out.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count()
}

fn processes_end(bench: &Bench) {
    let processes = || bench.console.leftovers().into_iter().filter(|l| l.starts_with("process")).collect::<Vec<_>>();
    let end = Instant::now() + Duration::from_secs(5);
    while !processes().is_empty() && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(processes(), Vec::<String>::new());
}

/// Without the package whose hook takes so long.
fn rebuilds(bench: &Bench) -> Vec<Value> {
    let next = bench.console.run(&["build", "--json", "--set", "image.packages=", bench.path()]);
    assert_eq!(next.code, 0, "{:#?}\n{}", next.events, next.stderr);
    bench.console.assert_clean();
    next.events.0
}

#[test]
fn cancelled_while_packages_are_installed() {
    let bench = Bench::new(profile(), "packages = [\"slow-hook\", \"owned-files\"]");
    let mut run = bench.console.start(&["build", "--json", bench.path()]);
    in_the_hook(&bench, &mut run);
    run.signal(Signal::INT);
    let asked = Instant::now();
    assert_eq!(run.wait(), 130, "{:#?}", run.seen);
    // Two seconds are promised; the rest is for a loaded machine.
    assert!(asked.elapsed() < Duration::from_secs(8), "{:?}", asked.elapsed());
    bench.console.assert_clean();
    rebuilds(&bench);
}

#[test]
fn killed_while_packages_are_installed() {
    let bench = Bench::new(profile(), "packages = [\"slow-hook\", \"owned-files\"]");
    let mut run = bench.console.start(&["build", "--json", bench.path()]);
    in_the_hook(&bench, &mut run);
    run.signal(Signal::KILL);
    run.wait();
    processes_end(&bench);
    assert!(lent_files(&bench) > 0, "a package has files of other users");
    let events = rebuilds(&bench);
    let recovered = events.iter().find(|e| e["event"] == "recovered").unwrap();
    assert!(recovered["what"].to_string().contains("killed"), "{recovered}");
    assert_eq!(lent_files(&bench), 0);
}

#[test]
fn killed_while_the_root_is_packed() {
    let bench = Bench::new(profile(), "build = \"release\"\npackages = [\"owned-files\"]");
    let mut run = bench.console.start(&["build", "--json", bench.path()]);
    run.wait_for(|e| e["progress"]["kind"] == "started" && e["progress"]["stage"] == "squash");
    // A moment later it has unpacked what it will pack.
    let end = Instant::now() + Duration::from_secs(60);
    while lent_files(&bench) == 0 {
        assert!(Instant::now() < end, "it was packed too quickly to be killed");
    }
    run.signal(Signal::KILL);
    run.wait();
    processes_end(&bench);
    assert_eq!(bench.console.run(&["eject", "--json"]).code, 0);
    bench.console.assert_clean();
    rebuilds(&bench);
}
