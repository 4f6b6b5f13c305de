//! Whether a process that was killed is still on its way out: its memory goes before its locks do, and that may take a while.

use std::time::{Duration, Instant};

/// How long such a process is waited for.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often it is looked at.
const LOOK: Duration = Duration::from_millis(50);
/// Set of a process that ends (Linux, include/linux/sched.h, `PF_EXITING`).
const EXITING: u64 = 4;

/// Whether the process of this `/proc/<pid>/stat` ends or has ended (proc(5): its state is the third field, its flags the ninth).
fn ends(stat: &str) -> bool {
    // The name before may have anything in it.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let gone = fields.first().is_none_or(|state| matches!(*state, "Z" | "X" | "x"));
    gone || fields.get(6).and_then(|flags| flags.parse::<u64>().ok()).is_some_and(|flags| flags & EXITING != 0)
}

/// Waits for `done` as long as process `pid` is on its way out, a few seconds at most. Says whether it came.
pub(super) fn wait<T>(pid: u32, mut done: impl FnMut() -> Option<T>) -> Option<T> {
    let until = Instant::now() + PATIENCE;
    loop {
        // Looked at first: what ends afterwards is waited for the next time.
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let found = done();
        if found.is_some() || !ends(&stat) || Instant::now() > until {
            return found;
        }
        std::thread::sleep(LOOK);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_ends_is_told_from_one_that_lives() {
        let stat = |state: &str, flags: u64| format!("7 (a) S 4) {state} 1 7 7 0 -1 {flags} 100 0\n");
        assert!(!ends(&stat("S", 4_194_304)) && !ends(&stat("D", 0)));
        assert!(ends(&stat("Z", 0)) && ends(&stat("R", 4_194_308)) && ends(""));
        assert!(!ends(&std::fs::read_to_string("/proc/self/stat").unwrap()));
    }

    #[test]
    fn who_lives_is_not_waited_for_and_who_ends_is() {
        let began = Instant::now();
        assert_eq!(wait(std::process::id(), || None::<()>), None);
        let mut left = 3;
        let tries = || {
            left -= 1;
            (left == 0).then_some(())
        };
        // No process has this number (proc(5), pid_max).
        assert_eq!(wait(u32::MAX, tries), Some(()));
        assert!(began.elapsed() < PATIENCE);
    }
}
