//! Processes that a session has started and that outlived it: written down when they are started, and ended when the session is
//! found dead. Most die with it anyway, and its warden ends what its children had started; both may be killed in one.
//!
//! A process is known by its number and the time of its start. What such a process has started is ours too, wherever it has gone: it
//! has the mark of that run of the program in its environment.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use cartridge_supervise::{ProcessStat, has_mark, mark};
use isoprep::Cancel;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// The list, in a session's directory.
pub(super) const CHILDREN: &str = "children";
/// How long a process may take to end at SIGTERM, and how long at SIGKILL.
const GRACE: Duration = Duration::from_secs(2);

/// What is known of a process (proc(5), /proc/pid/stat).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Process {
    pid: u32,
    parent: u32,
    /// In ticks since the system's start.
    started: u64,
}

/// Which run of the system this is, and in which pid namespace: what numbers of processes mean. `None` where that cannot be
/// known, or where /proc is that of another pid namespace.
pub(super) fn world() -> Option<String> {
    let own = fs::read_link("/proc/self").ok()?;
    if own.to_str()? != std::process::id().to_string() {
        return None;
    }
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let space = fs::read_link("/proc/self/ns/pid").ok()?;
    Some(format!("{} {}", boot.trim(), space.display()))
}

/// Whether a file or a process belongs to this user.
fn is_own(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|it| it.uid() == rustix::process::geteuid().as_raw())
}

/// Has a [warden](cartridge_supervise::post_warden) beside this process, and another one if a program is started after that was
/// killed. `tell` gets a line when that fails: what a child had started is left to the next start then.
pub(super) fn post_warden(tell: impl Fn(&str) + Send + Sync + 'static) {
    let failed = AtomicBool::new(false);
    let post = move || match cartridge_supervise::post_warden() {
        Ok(()) => failed.store(false, Ordering::Relaxed),
        // Each program that is started tries again.
        Err(_) if failed.swap(true, Ordering::Relaxed) => {}
        Err(error) => tell(&format!(
            "warning: nobody watches over what programs start, should Cartridge be killed: no warden could be posted: {error}"
        )),
    };
    post();
    cartridge_supervise::tell_of_children(move |_| post());
}

/// Begins the list of a session's children in its directory; every process that is started from here on is written there.
pub(super) fn write_down(dir: &Path) -> io::Result<()> {
    let Some(world) = world() else { return Ok(()) };
    let mut list = OpenOptions::new().append(true).create(true).mode(0o600).open(dir.join(CHILDREN))?;
    writeln!(list, "{world}\n{}", mark())?;
    cartridge_supervise::tell_of_children(move |pid| {
        // A list that cannot be written leaves the next start with less to go by.
        let _ = note(&list, pid);
    });
    Ok(())
}

fn note(mut list: &File, pid: u32) -> io::Result<()> {
    let Some(child) = process(pid) else { return Ok(()) };
    // One write each: what is killed in between leaves whole lines.
    list.write_all(format!("{} {}\n", child.pid, child.started).as_bytes())
}

fn process(pid: u32) -> Option<Process> {
    let ProcessStat { parent, started, .. } = ProcessStat::of(pid)?;
    Some(Process { pid, parent, started })
}

/// The mark of a list, and its processes; none if numbers mean others by now.
fn listed<'a>(text: &'a str, world: &str) -> (&'a str, Vec<(u32, u64)>) {
    let mut lines = text.lines();
    if lines.next() != Some(world) {
        return ("", Vec::new());
    }
    let mark = lines.next().unwrap_or_default();
    let one = |line: &str| {
        let mut words = line.split(' ');
        Some((words.next()?.parse().ok()?, words.next()?.parse().ok()?))
    };
    (mark, lines.filter_map(one).collect())
}

/// Which of the processes are those of the list, or are marked. Never `own` or what that came from.
fn ours(list: &[(u32, u64)], all: &[Process], own: u32, marked: impl Fn(u32) -> bool) -> Vec<Process> {
    let find = |pid: u32| all.iter().find(|it| it.pid == pid);
    let mut above = vec![own];
    while let Some(parent) =
        above.last().and_then(|pid| find(*pid)).map(|it| it.parent).filter(|it| !above.contains(it))
    {
        above.push(parent);
    }
    let is = |it: &Process| list.contains(&(it.pid, it.started)) || marked(it.pid);
    all.iter().filter(|it| it.pid > 1 && !above.contains(&it.pid) && is(it)).copied().collect()
}

/// Ends what the dead session of that directory has left running, and says whom.
pub(super) fn end(dir: &Path, cancel: &Cancel) -> Vec<String> {
    let path = dir.join(CHILDREN);
    let text = fs::read_to_string(&path).ok().filter(|_| is_own(&path)).unwrap_or_default();
    let Some(world) = world() else { return Vec::new() };
    let (word, list) = listed(&text, &world);
    if list.is_empty() && word.is_empty() || cancel.is_cancelled() {
        return Vec::new();
    }
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let all: Vec<Process> = entries.filter_map(|entry| process(entry.file_name().to_str()?.parse().ok()?)).collect();
    let mut open: Vec<(Process, String, OwnedFd)> = Vec::new();
    // A session of this very process has the mark of those that live in it.
    let marked = |pid| word != mark() && has_mark(pid, word);
    for it in ours(&list, &all, std::process::id(), marked) {
        let pid = i32::try_from(it.pid).ok().and_then(Pid::from_raw);
        let Some(held) = pid.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok()) else { continue };
        let name = fs::read_to_string(format!("/proc/{}/comm", it.pid)).unwrap_or_default();
        // Looked at again once it is held: it is this very process.
        let same = process(it.pid).is_some_and(|now| now.started == it.started);
        if same && is_own(Path::new(&format!("/proc/{}", it.pid))) {
            open.push((it, name.trim().replace(|c: char| c.is_control(), "\u{fffd}"), held));
        }
    }
    for signal in [Signal::TERM, Signal::KILL] {
        // Whoever calls it off does not want it done harder.
        if cancel.is_cancelled() {
            break;
        }
        open.iter().filter(|(.., held)| !has_ended(held, Duration::ZERO)).for_each(|(.., held)| {
            let _ = pidfd_send_signal(held, signal);
        });
        let until = Instant::now() + GRACE;
        for (.., held) in &open {
            while !has_ended(held, Duration::from_millis(50)) && Instant::now() < until && !cancel.is_cancelled() {}
        }
    }
    let gone = open.iter().filter(|(.., held)| has_ended(held, Duration::ZERO));
    gone.map(|(it, name, _)| format!("{name} (process {})", it.pid)).collect()
}

/// A pidfd becomes readable when its process has ended (pidfd_open(2)).
fn has_ended(held: &OwnedFd, wait: Duration) -> bool {
    let mut fds = [PollFd::new(held, PollFlags::IN)];
    let wait = Timespec { tv_sec: 0, tv_nsec: i64::from(wait.subsec_nanos()) };
    poll(&mut fds, Some(&wait)).is_ok_and(|ready| ready > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read() {
        assert_eq!(listed("here\nword\n7 4711\n8 x\n9\n10 5 6", "here"), ("word", vec![(7, 4711), (10, 5)]));
        assert_eq!(listed("there\nword\n7 4711\n", "here"), ("", vec![]));
    }

    #[test]
    fn only_who_was_started_or_is_marked_is_ours() {
        let one = |pid, parent, started| Process { pid, parent, started };
        let all = [
            one(1, 0, 1),
            one(10, 1, 100),
            // Marked, wherever they are.
            one(11, 10, 101),
            one(21, 1, 99),
            // One whose number is somebody else's by now, and his child.
            one(30, 1, 900),
            one(31, 30, 901),
            // What we came from, and ourselves.
            one(41, 1, 130),
            one(42, 41, 131),
        ];
        let list = [(10, 100), (20, 110), (30, 200), (42, 131)];
        let marked = |pid| [11, 21, 41, 42].contains(&pid);
        assert_eq!(ours(&list, &all, 42, marked).iter().map(|it| it.pid).collect::<Vec<_>>(), [10, 11, 21]);
        assert_eq!(ours(&list, &all, 42, |_| false).iter().map(|it| it.pid).collect::<Vec<_>>(), [10]);
        assert_eq!(ours(&[(10, 99), (21, 119)], &all, 42, |_| false), []);
    }
}
