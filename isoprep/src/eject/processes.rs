//! Who a process is, whether it is ours, and how it is ended: by a pidfd, which no other process can come to have.

use std::fs;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{Duration, Instant};

use cartridge_supervise::{Cancel, ProcessStat};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::holders::Holder;

/// Longest command that is shown, characters.
const COMMAND: usize = 200;
/// How many parents are asked whether they are us.
const GENERATIONS: usize = 64;
/// How long processes may take to end.
const GRACE: Duration = Duration::from_secs(2);
/// How often it is looked whether all was cancelled.
const BEAT_NS: i64 = 50_000_000;

/// All process ids in `proc`, ascending.
pub(super) fn all(proc: &Path) -> Vec<u32> {
    let entries = fs::read_dir(proc).into_iter().flatten().flatten();
    let mut pids: Vec<u32> = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    pids.sort_unstable();
    pids
}

/// When a process started. With its number this is a name that no other process ever has.
pub(super) fn started(proc: &Path, pid: u32) -> Option<u64> {
    ProcessStat::in_proc(proc, pid).map(|it| it.started)
}

/// Whether a process descends from this one, or from one of `known`, which did. Whoever lost a parent on the way does not.
pub(super) fn is_ours(proc: &Path, pid: u32, known: &[Name]) -> bool {
    let own = std::process::id();
    let mut at = pid;
    for _ in 0..GENERATIONS {
        let Some(ProcessStat { parent, started, .. }) = ProcessStat::in_proc(proc, at) else { return false };
        if known.contains(&Name { pid: at, started }) || (parent == own && at != own) {
            return true;
        }
        if parent <= 1 {
            return false;
        }
        at = parent;
    }
    false
}

/// Whose a process is: its user, where the real, the effective, the saved and that of the file system are the same one (proc(5),
/// /proc/pid/status). A program that acts for another user than it was started by is nobody's.
pub(super) fn user(proc: &Path, pid: u32) -> Option<u32> {
    let text = fs::read(proc.join(pid.to_string()).join("status")).ok()?;
    let text = String::from_utf8_lossy(&text);
    let line = text.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    let ids: Vec<u32> = line.split_ascii_whitespace().filter_map(|word| word.parse().ok()).collect();
    let first = *ids.first()?;
    (ids.len() == 4 && ids.iter().all(|id| *id == first)).then_some(first)
}

/// Why this process is never ended, even if somebody has agreed to it; `None` if it may be.
pub(super) fn spared(proc: &Path, pid: u32) -> Option<String> {
    let own = rustix::process::geteuid().as_raw();
    match user(proc, pid) {
        _ if pid <= 1 => return Some("it is the first process of the system".to_owned()),
        _ if pid == std::process::id() => return Some("it is this program".to_owned()),
        None => return Some("it acts for another user".to_owned()),
        Some(user) if user != own => return Some(format!("it belongs to user {user}")),
        Some(_) => {}
    }
    // A terminal's shell, a desktop: this program would go with it.
    let mut at = std::process::id();
    for _ in 0..GENERATIONS {
        let parent = ProcessStat::in_proc(proc, at)?.parent;
        if parent == pid {
            return Some("this program was started from it".to_owned());
        }
        if parent <= 1 {
            break;
        }
        at = parent;
    }
    None
}

/// What no other process ever is: a number and the time of its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Name {
    pub pid: u32,
    pub started: u64,
}

/// A process's command line, or its name in brackets where it has none. It is text of somebody else's: nothing in it moves a
/// cursor or begins a line.
pub(super) fn command(process: &Path) -> String {
    let words = fs::read(process.join("cmdline")).unwrap_or_default();
    let words = String::from_utf8_lossy(words.trim_ascii_end()).replace('\0', " ");
    let words = words.trim();
    let text = if words.is_empty() {
        let name = fs::read(process.join("comm")).unwrap_or_default();
        format!("[{}]", String::from_utf8_lossy(name.trim_ascii()))
    } else {
        words.to_owned()
    };
    plain(&text)
}

/// Text of somebody else's on one line, without control characters, at most 200 characters of it.
pub(super) fn plain(text: &str) -> String {
    let mut chars = text.chars().map(|c| if is_plain(c) { c } else { '\u{fffd}' });
    let mut shown: String = chars.by_ref().take(COMMAND).collect();
    if chars.next().is_some() {
        shown.push('…');
    }
    shown
}

/// Not a control character, and none that turns the direction of what follows.
fn is_plain(c: char) -> bool {
    !c.is_control() && !matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Ends processes: asks them first, and kills those that are still there when it is called again.
#[derive(Debug, Default)]
pub(super) struct Ending {
    /// Those that were ours when they were found: their own children may have lost them since.
    pub known: Vec<Name>,
    asked: Vec<Name>,
}

impl Ending {
    /// Ends those of `holders` that are ours or `agreed` to, and waits until they are gone, two seconds at most. Whether there
    /// were any.
    pub(super) fn end(&mut self, proc: &Path, holders: &[&Holder], agreed: &[Holder], cancel: &Cancel) -> bool {
        // The numbers in it are those of another pid namespace, as in a chroot with its host's `/proc`: they name others here.
        if fs::read_link(proc.join("self")).ok() != Some(std::process::id().to_string().into()) {
            return false;
        }
        let mut open = Vec::new();
        for holder in holders.iter().filter(|holder| holder.pid != std::process::id()) {
            let name = Name { pid: holder.pid, started: holder.started };
            let agreed = agreed.iter().any(|it| (it.pid, it.started) == (name.pid, name.started));
            if let Some(process) = self.open(proc, name, agreed) {
                open.push((name, process));
            }
        }
        for (name, process) in &open {
            let signal = if self.asked.contains(name) { Signal::KILL } else { Signal::TERM };
            self.asked.push(*name);
            // One that is gone already is what was wanted.
            let _ = pidfd_send_signal(process, signal);
        }
        let until = Instant::now() + GRACE;
        for (_, process) in &open {
            while Instant::now() < until && !cancel.is_cancelled() {
                // A pidfd can be read from once its process has ended (pidfd_open(2)).
                let mut fds = [PollFd::new(process, PollFlags::IN)];
                if poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: BEAT_NS })).is_ok_and(|ready| ready > 0) {
                    break;
                }
            }
        }
        !open.is_empty()
    }

    /// A pidfd of that very process, if it may be ended.
    fn open(&mut self, proc: &Path, name: Name, agreed: bool) -> Option<OwnedFd> {
        let process = pidfd_open(Pid::from_raw(i32::try_from(name.pid).ok()?)?, PidfdFlags::empty()).ok()?;
        // Asked after it was opened, so that it is this process that the answers are about.
        let same = started(proc, name.pid)? == name.started;
        let ours = same && is_ours(proc, name.pid, &self.known);
        if ours {
            self.known.push(name);
        }
        (ours || (same && agreed && spared(proc, name.pid).is_none())).then_some(process)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_one_line_and_moves_nothing() {
        assert_eq!(plain("sleep 1000"), "sleep 1000");
        assert_eq!(plain("\x1b[2J\nroot\u{202e}x"), "\u{fffd}[2J\u{fffd}root\u{fffd}x");
        assert_eq!(plain(&"x".repeat(300)).chars().count(), COMMAND + 1);
    }

    #[test]
    fn the_start_is_read_behind_any_name() {
        let proc = tempfile::tempdir().unwrap();
        fs::create_dir(proc.path().join("7")).unwrap();
        let rest: Vec<String> = (4..=22).map(|number| number.to_string()).collect();
        fs::write(proc.path().join("7/stat"), format!("7 (a) b (c) S {} 23", rest.join(" "))).unwrap();
        let stat = ProcessStat::in_proc(proc.path(), 7).unwrap();
        assert_eq!((stat.parent, stat.started), (4, 22));
        assert_eq!(ProcessStat::in_proc(proc.path(), 8), None);
    }

    #[test]
    fn whose_a_process_is_and_why_it_is_spared() {
        let proc = tempfile::tempdir().unwrap();
        let own = rustix::process::geteuid().as_raw();
        let make = |pid: u32, parent: u32, ids: [u32; 4]| {
            let dir = proc.path().join(pid.to_string());
            fs::create_dir(&dir).unwrap();
            let rest: Vec<String> = (5..=22).map(|number| number.to_string()).collect();
            fs::write(dir.join("stat"), format!("{pid} (x) S {parent} {}", rest.join(" "))).unwrap();
            let ids = ids.map(|id| id.to_string()).join("\t");
            fs::write(dir.join("status"), format!("Name:\tx\nUid:\t{ids}\nGid:\t0\t0\t0\t0\n")).unwrap();
        };
        let ours = std::process::id();
        let others = [1, 7, 8, 9, 10].map(|number| ours + number);
        let [shell, mine, foreign, setuid, broken] = others;
        make(1, 0, [own; 4]);
        make(shell, 1, [own; 4]);
        make(ours, shell, [own; 4]);
        make(mine, 1, [own; 4]);
        make(foreign, 1, [own + 1; 4]);
        make(setuid, 1, [own + 1, own, own, own]);
        assert_eq!((user(proc.path(), mine), user(proc.path(), setuid)), (Some(own), None));
        assert_eq!(spared(proc.path(), mine), None);
        for (pid, word) in [
            (1, "first process"),
            (ours, "this program"),
            (shell, "started from"),
            (foreign, "belongs to user"),
            (setuid, "another user"),
            (broken, "another user"),
        ] {
            assert!(spared(proc.path(), pid).is_some_and(|why| why.contains(word)), "{word}");
        }
    }

    #[test]
    fn only_children_are_ended_and_only_the_one_that_was_meant() {
        let proc = Path::new("/proc");
        let mut child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
        assert!(is_ours(proc, child.id(), &[]));
        assert!(!is_ours(proc, std::process::id(), &[]) && !is_ours(proc, 1, &[]));
        let holder = |pid, started| {
            let (command, how) = (String::new(), String::new());
            Holder { pid, command, how, started, ours: true, user: None, spared: None }
        };
        let (pid, began) = (child.id(), started(proc, child.id()).unwrap());
        let mut ending = Ending::default();
        let mut end = |holder: &Holder, agreed: &[Holder]| ending.end(proc, &[holder], agreed, &Cancel::new());
        // Another process of the same number is not the one that was meant.
        let other = holder(pid, began + 1);
        assert!(!end(&other, std::slice::from_ref(&other)));
        let own = holder(std::process::id(), started(proc, std::process::id()).unwrap());
        assert!(!end(&own, std::slice::from_ref(&own)));
        assert!(child.try_wait().unwrap().is_none(), "a process of another time was ended");
        assert!(end(&holder(pid, began), &[]));
        assert!(!child.wait().unwrap().success());
    }
}
