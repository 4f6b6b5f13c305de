//! Whether a process that was killed is still on its way out: its memory goes before its locks do, and that may take a while.

use std::time::{Duration, Instant};

use isoprep::Cancel;

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
    let gone = fields.first().is_some_and(|state| matches!(*state, "Z" | "X" | "x"));
    gone || fields.get(6).and_then(|flags| flags.parse::<u64>().ok()).is_some_and(|flags| flags & EXITING != 0)
}

/// Waits for `done` as long as process `pid` is on its way out, a few seconds at most, and says what came. One that is not there is
/// not waited for: it has let go of everything, or is none that can be seen from here.
pub(super) fn wait<T>(pid: u32, cancel: &Cancel, mut done: impl FnMut() -> Option<T>) -> Option<T> {
    let until = Instant::now() + PATIENCE;
    loop {
        // Looked at first: one that is gone by then has let go.
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let found = done();
        if found.is_some() || !ends(&stat) || Instant::now() > until || cancel.is_cancelled() {
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
        assert!(ends(&stat("Z", 0)) && ends(&stat("R", 4_194_308)) && !ends(""));
        assert!(!ends(&std::fs::read_to_string("/proc/self/stat").unwrap()));
    }

    #[test]
    fn who_lives_is_not_waited_for_and_who_ends_is() {
        let mut tried = 0;
        let mut tries = |pid, cancel: &Cancel| {
            tried = 0;
            let tries = || {
                tried += 1;
                (tried == 3).then_some(())
            };
            (wait(pid, cancel, tries), tried)
        };
        // No process has the last number (proc(5), pid_max).
        for pid in [std::process::id(), 0, u32::MAX] {
            assert_eq!(tries(pid, &Cancel::new()), (None, 1), "{pid}");
        }
        // It has ended, and nobody has asked for its exit code.
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let zombie = |pid| std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| ends(&stat));
        while !zombie(child.id()) {
            std::thread::sleep(LOOK);
        }
        assert_eq!(tries(child.id(), &Cancel::new()), (Some(()), 3));
        let cancel = Cancel::new();
        cancel.cancel();
        assert_eq!(tries(child.id(), &cancel), (None, 1));
        child.wait().unwrap();
    }
}
