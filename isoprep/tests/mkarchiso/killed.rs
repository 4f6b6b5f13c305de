//! A process that builds and is killed: the build goes with it, and the next one clears what it left.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use cartridge_supervise::{Cancel, Channel, CommandLine, Exit, Observer, spawn};
use isoprep::mkarchiso::{MkarchisoNews, Way, remove_scratch, run};

use crate::arch::{Repository, TestProfile, mkarchiso};
use crate::place::{Place, processes};
use crate::real::place;

/// Tells the test process that it is the one to be killed: the place's folder, the way and the image.
const JOB: &str = "CARTRIDGE_TEST_BUILD_UNTIL_KILLED";

struct Wait(std::sync::mpsc::Sender<()>);

impl Observer for Wait {
    fn output(&mut self, _: Channel, bytes: &[u8]) {
        if String::from_utf8_lossy(bytes).contains("slow-hook: waiting") {
            let _ = self.0.send(());
        }
    }

    fn exited(&mut self, _: &Exit) {}
}

/// Starts a process that builds the place's profile, which has a slow hook, and kills it with SIGKILL in the hook. Then
/// nothing runs, and what it left can be removed.
pub fn builds_until_killed(place: &Place) {
    let job = format!(
        "{}\n{}\n{}\n{}",
        place.job.tool.display(),
        place.top.path().display(),
        place.job.image,
        place.job.work.display()
    );
    let way = if place.job.way == Way::Podman { "podman" } else { "namespace" };
    let line = CommandLine::new(std::env::current_exe().unwrap())
        .args(["--exact", "killed::the_process_that_is_killed", "--nocapture"])
        .env(JOB, format!("{way}\n{job}"));
    let (sender, waiting) = std::sync::mpsc::channel();
    let child = spawn(&line, Wait(sender)).unwrap();
    waiting.recv_timeout(Duration::from_secs(120)).expect("the hook ran");
    child.kill();
    child.wait(Duration::from_secs(2)).expect("it is gone");
    let top = place.top.path().to_str().unwrap();
    let end = Instant::now() + Duration::from_secs(5);
    while !processes(top).is_empty() {
        assert!(Instant::now() < end, "{:?}", processes(top));
        std::thread::sleep(Duration::from_millis(20));
    }
    let left: Vec<PathBuf> =
        std::fs::read_dir(&place.job.work).unwrap().map(|it| it.unwrap().path()).filter(|it| it.is_dir()).collect();
    assert_eq!(left.len(), 1, "{left:?}");
    remove_scratch(place.job.way, &left[0]).unwrap_or_else(|e| panic!("{e}"));
    place.assert_clean();
}

#[test]
fn the_process_that_is_killed() {
    let Ok(text) = std::env::var(JOB) else { return };
    let words: Vec<&str> = text.split('\n').collect();
    let [way, tool, top, image, work] = words[..] else { panic!("{text}") };
    let top = PathBuf::from(top);
    let job = isoprep::mkarchiso::MkarchisoJob {
        way: if way == "podman" { Way::Podman } else { Way::Namespace },
        tool: tool.into(),
        image: image.to_owned(),
        profile: top.join("profile"),
        work: work.into(),
        cache: top.join("cache"),
        readable: vec![Repository::get().path().to_path_buf()],
        out: top.join("images"),
        source_date_epoch: 1_700_000_000,
        boot_files: Vec::new(),
        path: std::env::var_os("PATH").unwrap(),
    };
    let result = run(&job, &Cancel::new(), &mut |news| {
        if let MkarchisoNews::Line { text, .. } = news {
            println!("{text}");
        }
    });
    panic!("{result:?}");
}

#[test]
fn a_build_dies_with_us_and_what_it_left_can_be_removed() {
    let Some(tool) = mkarchiso::find() else { return mkarchiso::skipped("killed") };
    let place = place(&tool, &TestProfile::releng(Repository::get()).packages(&["slow-hook"]));
    builds_until_killed(&place);
    // And the next build succeeds.
    let fresh = crate::real::place(&tool, &TestProfile::releng(Repository::get()));
    let mut next = place.job.clone();
    next.profile.clone_from(&fresh.job.profile);
    run(&next, &Cancel::new(), &mut |_| ()).unwrap_or_else(|e| panic!("{e}"));
}
