//! What could be left of a console's run: processes, and what is mounted, here or in a namespace that the app has made.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::process::Pid;

use super::{Console, number};

/// For a loaded machine; what it takes is printed.
const LIMIT: Duration = Duration::from_secs(240);

pub fn until(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + LIMIT;
    while !done() {
        assert!(Instant::now() < end, "waiting for {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

pub fn runs(console: &Console, word: &str) -> bool {
    console.processes().iter().any(|it| it.contains(word))
}

/// The process that ends what the app's children had started, where there is one.
pub fn warden(console: &Console) -> Option<Pid> {
    let all = console.processes();
    number(all.iter().find(|it| it.contains("__warden"))?)
}

/// The mount namespaces that processes of the app have made for themselves, by their numbers (namespaces(7)).
pub fn mount_namespaces(console: &Console) -> Vec<PathBuf> {
    let of = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/mnt")).ok();
    let all = console.processes();
    let all = all.iter().filter_map(|it| of(&number(it)?.as_raw_nonzero().to_string()));
    all.filter(|it| Some(it) != of("self").as_ref()).collect()
}

/// Who is in one of them keeps what is mounted there.
fn is_in_use(namespaces: &[PathBuf]) -> bool {
    let mut all =
        fs::read_dir("/proc").unwrap().flatten().filter_map(|it| fs::read_link(it.path().join("ns/mnt")).ok());
    all.any(|it| namespaces.contains(&it))
}

/// Soon nothing of the console's runs or is mounted, here or in those namespaces.
pub fn nothing_stays(console: &Console, namespaces: &[PathBuf]) {
    let began = Instant::now();
    until("the end of everything", || console.processes().is_empty());
    eprintln!("nothing ran any more after {:?}", began.elapsed());
    until("the end of what was mounted elsewhere", || !is_in_use(namespaces));
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains(console.home.path().to_str().unwrap()), "{mounts}");
}
