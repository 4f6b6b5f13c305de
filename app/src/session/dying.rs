//! Whether a process that was killed is still on its way out: its memory goes before its locks do, and that may take a while.

use std::time::{Duration, Instant};

use cartridge_supervise::ProcessStat;
use isoprep::Cancel;

/// How long such a process is waited for.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often it is looked at.
const LOOK: Duration = Duration::from_millis(50);
/// Waits for `done` as long as process `pid` is on its way out, a few seconds at most, and says what came. One that is not there is
/// not waited for: it has let go of everything, or is none that can be seen from here.
pub(super) fn wait<T>(pid: u32, cancel: &Cancel, mut done: impl FnMut() -> Option<T>) -> Option<T> {
    let until = Instant::now() + PATIENCE;
    loop {
        // Looked at first: one that is gone by then has let go.
        let ends = ProcessStat::of(pid).is_some_and(|it| it.ends());
        let found = done();
        if found.is_some() || !ends || Instant::now() > until || cancel.is_cancelled() {
            return found;
        }
        std::thread::sleep(LOOK);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let zombie = |pid| ProcessStat::of(pid).is_some_and(|it| it.ends());
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
