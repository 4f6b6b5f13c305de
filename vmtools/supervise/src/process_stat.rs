//! `/proc/PID/stat`, the one line that tells how a process is (proc(5)).

use std::fs;
use std::path::Path;

/// Set of a process that ends (Linux, include/linux/sched.h, `PF_EXITING`).
const EXITING: u64 = 4;

/// How a process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcessStat {
    /// One letter: `R` runs, `S` sleeps, `T` is stopped, `Z` is dead and not yet waited for.
    pub state: char,
    /// Its parent's number.
    pub parent: u32,
    /// The kernel's flags of it.
    pub flags: u64,
    /// When it started, ticks since the system did. With its number this is a name that no other process ever has.
    pub started: u64,
}

impl ProcessStat {
    /// Of a process of this pid namespace; `None` if it is not there.
    #[must_use]
    pub fn of(pid: u32) -> Option<Self> {
        Self::in_proc(Path::new("/proc"), pid)
    }

    /// As [`of`](Self::of), with another folder in place of `/proc`.
    #[must_use]
    pub fn in_proc(proc: &Path, pid: u32) -> Option<Self> {
        Self::parse(&fs::read(proc.join(pid.to_string()).join("stat")).ok()?)
    }

    /// What such a line says.
    #[must_use]
    pub fn parse(line: &[u8]) -> Option<Self> {
        // The name is in brackets, and may have brackets, blanks and any bytes of its own.
        let end = line.iter().rposition(|byte| *byte == b')')?;
        let words: Vec<&str> = std::str::from_utf8(line.get(end + 1..)?).ok()?.split_ascii_whitespace().collect();
        // The third field of the line is the first here.
        let number = |field: usize| words.get(field - 3)?.parse::<u64>().ok();
        Some(Self {
            state: words.first()?.chars().next()?,
            parent: u32::try_from(number(4)?).ok()?,
            flags: number(9)?,
            started: number(22)?,
        })
    }

    /// Whether it ends, or has ended: it is there in name only.
    #[must_use]
    pub fn ends(&self) -> bool {
        matches!(self.state, 'Z' | 'X' | 'x') || self.flags & EXITING != 0
    }

    /// Whether it was stopped, and may go on.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        matches!(self.state, 'T' | 't')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(name: &str, state: &str, flags: u64) -> Vec<u8> {
        format!("7 ({name}) {state} 23 7 7 0 -1 {flags} 100 0 0 0 0 0 0 0 20 0 1 0 4711 0 0").into_bytes()
    }

    #[test]
    fn a_line_is_read_whatever_the_process_is_called() {
        let stat = ProcessStat { state: 'S', parent: 23, flags: 4_194_304, started: 4711 };
        for name in ["a", "a) T 1 (b", "", ") Z 1"] {
            assert_eq!(ProcessStat::parse(&line(name, "S", 4_194_304)), Some(stat), "{name}");
        }
        let odd = [b"7 (\xff".as_slice(), &line("", "S", 4_194_304)[3..]].concat();
        assert_eq!(ProcessStat::parse(&odd), Some(stat));
        for none in ["", "7 (x)", "7 (x) S 1", "7 (x) S y 7 7 0 -1 0 100 0 0 0 0 0 0 0 20 0 1 0 4711"] {
            assert_eq!(ProcessStat::parse(none.as_bytes()), None, "{none}");
        }
        let own = ProcessStat::of(std::process::id()).unwrap();
        assert!(!own.ends() && !own.is_stopped() && own.started > 0);
        assert_eq!(own.parent, std::os::unix::process::parent_id());
        // No process has the last number (proc(5), pid_max).
        assert_eq!(ProcessStat::of(u32::MAX), None);
    }

    #[test]
    fn one_that_ends_and_one_that_is_stopped_are_told_from_one_that_lives() {
        let stat = |state: &str, flags| ProcessStat::parse(&line("a) S 4", state, flags)).unwrap();
        assert!(!stat("S", 4_194_304).ends() && !stat("D", 0).ends());
        assert!(stat("Z", 0).ends() && stat("X", 0).ends() && stat("R", 4_194_308).ends());
        assert!(stat("T", 0).is_stopped() && stat("t", 0).is_stopped() && !stat("S", 0).is_stopped());
    }
}
