//! What goes wrong is told in words that say what to do, and nothing is left.

use std::io::Read;
use std::net::TcpListener;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use isoprep::pacman_log::FaultKind;
use isoprep::{BuildError, Cancel, Progress};

use crate::bench::{Bench, lines};

/// The kind of failure, and its words.
fn fault(settings: &str) -> (FaultKind, String) {
    let bench = Bench::without_base("debian", settings);
    let (result, _, told) = bench.build_telling();
    match result {
        Err(BuildError::Packages { finding, .. }) => (finding.kind, finding.to_string()),
        other => panic!("{other:?}\n{}", lines(&told)),
    }
}

#[test]
fn what_cannot_be_had_is_told_before_anything_is_installed() {
    for (settings, kind, words) in [
        ("packages = [\"htopp\"]", FaultKind::PackageNotFound, "Did you mean \"htop\""),
        ("packages = [\"postfix\", \"exim4-daemon-light\"]", FaultKind::Dependency, "Conflicts"),
        ("base = \"nosuchsuite\"", FaultKind::BadDatabase, "nosuchsuite"),
        ("mirror = \"http://127.0.0.1:9/debian\"", FaultKind::Download, "127.0.0.1"),
    ] {
        let (found, text) = fault(settings);
        assert_eq!(found, kind, "{settings}: {text}");
        assert!(text.contains(words) && text.contains("image."), "{settings}: {text}");
    }
}

/// Programs that see a folder below `mark` in a place of its own, without those that remove it, and without our own
/// children that wait for such programs.
fn running(mark: &str) -> Vec<String> {
    let text =
        |file: std::path::PathBuf| String::from_utf8_lossy(&std::fs::read(file).unwrap_or_default()).into_owned();
    let processes = std::fs::read_dir("/proc").unwrap().flatten().map(|it| it.path());
    let inside = processes.filter(|it| text(it.join("mountinfo")).contains(mark));
    let (own, removing) = (text("/proc/self/cmdline".into()), "rm\0");
    inside.map(|it| text(it.join("cmdline"))).filter(|line| *line != own && !line.starts_with(removing)).collect()
}

#[test]
fn a_build_can_be_cancelled_while_packages_are_installed() {
    // Other packages than the base's, so that they are installed here.
    let bench = Bench::new("debian", "packages = [\"hello\"]");
    let mark = bench.dir.path().join("work").to_str().unwrap().to_owned();
    let cancel = Cancel::new();
    let installing = |progress: &Progress| matches!(progress, Progress::Advanced { what: Some(what), .. } if what.starts_with("setting up "));
    let (begun, seen) = std::sync::mpsc::channel();
    let gone = std::thread::scope(|scope| {
        let (mark, cancel) = (&mark, &cancel);
        let gone = scope.spawn(move || {
            seen.recv().unwrap();
            assert!(!running(mark).is_empty());
            let asked = Instant::now();
            cancel.cancel();
            while !running(mark).is_empty() {
                std::thread::sleep(Duration::from_millis(20));
            }
            asked.elapsed()
        });
        let told = Mutex::new(Some(begun));
        let result = bench.build_with(cancel, &|progress| {
            if installing(&progress)
                && let Some(begun) = told.lock().unwrap().take()
            {
                begun.send(()).unwrap();
            }
        });
        assert!(matches!(result, Err(BuildError::Cancelled { .. })), "{result:?}");
        gone.join().unwrap()
    });
    assert!(gone < Duration::from_secs(2), "{gone:?}");
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains(&mark) && running(&mark).is_empty());
}

#[test]
fn a_mirror_that_never_answers_can_be_cancelled() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let bench = Bench::without_base("debian", &format!("mirror = \"http://{}/debian\"", silent.local_addr().unwrap()));
    let asked = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let seen = std::sync::Arc::clone(&asked);
    std::thread::spawn(move || {
        let (mut stream, _) = silent.accept().unwrap();
        let _ = stream.read(&mut [0; 64]);
        seen.store(true, std::sync::atomic::Ordering::SeqCst);
        std::thread::sleep(Duration::from_secs(30));
    });
    let cancel = Cancel::new();
    let token = cancel.clone();
    let waiter = std::thread::spawn(move || {
        while !asked.load(std::sync::atomic::Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(20));
        }
        token.cancel();
        Instant::now()
    });
    let result = bench.build_with(&cancel, &|_| ());
    assert!(matches!(result, Err(BuildError::Cancelled { .. })), "{result:?}");
    assert!(waiter.join().unwrap().elapsed() < Duration::from_secs(5));
}
