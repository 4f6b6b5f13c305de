//! What systemd says of the system that it runs (systemctl(1), "is-system-running"), once the boot is over.

use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Exists where systemd runs the system (sd_booted(3)).
const BOOTED: &str = "/run/systemd/system";
/// How long a boot may take until it is called unfinished.
const PATIENCE: Duration = Duration::from_secs(600);
/// How often we look.
const BEAT: Duration = Duration::from_millis(100);
/// How many failed units are named, and how long a name may be, characters.
const NAMED: usize = 16;
const LONGEST: usize = 128;

/// The state of the whole, and what failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct System {
    /// "running", "degraded", "starting" if it still is after ten minutes, …
    pub(crate) state: String,
    /// Units that failed, at most 16.
    pub(crate) failed: Vec<String>,
}

/// Waits for the end of the boot. `None` where another init runs.
pub(crate) fn settled() -> Option<System> {
    if !Path::new(BOOTED).is_dir() {
        return None;
    }
    // It waits by itself, and ends with an error for every state but one: its word counts.
    let state = word(&ask(&["is-system-running", "--wait"], PATIENCE).unwrap_or_default());
    let failed = if state == "running" {
        Vec::new()
    } else {
        names(&ask(&["list-units", "--failed", "--plain", "--no-legend", "--full"], PATIENCE / 10).unwrap_or_default())
    };
    Some(System { state: if state.is_empty() { "starting".to_owned() } else { state }, failed })
}

/// What systemctl prints; `None` if it cannot be run or does not end in time.
fn ask(words: &[&str], patience: Duration) -> Option<String> {
    let mut command = Command::new("systemctl");
    command.args(words).env("LC_ALL", "C").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().ok()?;
    let end = Instant::now() + patience;
    while child.try_wait().ok()?.is_none() {
        if Instant::now() >= end {
            let _ = child.kill();
            let _ = child.wait();
            return None;
        }
        std::thread::sleep(BEAT);
    }
    let mut text = String::new();
    // A pipe holds more than these answers (pipe(7)): nothing was waiting for us to read.
    child.stdout.take()?.take(1 << 16).read_to_string(&mut text).ok()?;
    Some(text)
}

/// The state in an answer.
fn word(answer: &str) -> String {
    answer.split_whitespace().next().unwrap_or("").chars().take(LONGEST).collect()
}

/// The units of a list: the first word of each line.
fn names(list: &str) -> Vec<String> {
    let names = list.lines().filter_map(|line| line.split_whitespace().find(|word| word.contains('.')));
    names.take(NAMED).map(|name| name.chars().take(LONGEST).collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_with_bounds() {
        assert_eq!(word("degraded\n"), "degraded");
        assert_eq!(word(""), "");
        let list = "a.service loaded failed failed A service\n\u{25cf} b.mount loaded failed failed /b\n\n";
        assert_eq!(names(list), ["a.service", "b.mount"]);
        let many: String = (0..99).map(|it| format!("{it}{}.service loaded\n", "x".repeat(200))).collect();
        assert!(names(&many).len() == NAMED && names(&many).iter().all(|it| it.len() == LONGEST));
    }
}
