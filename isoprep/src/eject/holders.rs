//! Which processes hold a mount: a directory, program, mapped file, open file or socket of theirs is on it, in whatever mount
//! namespace they live.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::namespaces;
use super::processes::{self, Name, command, is_ours, plain, spared, started, user};
use super::stat::{Disk, disks_of, mount_of};

/// Most holders that are named for a mount.
const NAMED: usize = 32;
/// How long one process may keep us from looking at it. One that waits for a file system that never answers can do so for ever.
const PATIENCE: Duration = Duration::from_secs(2);

/// What is said of a process that cannot be looked at.
const STUCK: &str = "is stuck in the kernel and may hold it";

/// A process that holds a mount.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Its process id.
    pub pid: u32,
    /// Its command line, without control characters.
    pub command: String,
    /// How it holds the mount: "works in /a", "has /a/b open".
    pub how: String,
    /// When it started, in ticks since the system's start: with the id a name that no other process has.
    pub started: u64,
    /// Whether it descends from this process, which may then end it.
    pub ours: bool,
    /// Whose it is, a user id; `None` where it acts for more than one, or that cannot be known.
    pub user: Option<u32>,
    /// Why it is never ended, whoever agrees: "it belongs to user 1000". `None` where [`eject_ending`](super::eject_ending) may.
    pub spared: Option<String>,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {} ({}), which {}", self.pid, self.command, self.how)?;
        match &self.spared {
            Some(why) => write!(f, "; not ours to end: {why}"),
            None => Ok(()),
        }
    }
}

/// A mount whose holders are wanted.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    /// Its ids, one in each mount namespace that has it.
    pub ids: Vec<u64>,
    /// Where it is, as we see it. `None` for one of another mount namespace, whose paths mean nothing here.
    pub point: Option<PathBuf>,
    /// The minor number of a FUSE's device, which is the number of its connection.
    pub fuse: Option<u64>,
    /// Numbers of disks: whoever has one open, or something on it, holds it, whatever the mount.
    pub disks: Vec<Disk>,
}

/// The holders of each of the mounts; those of `known` and their children are ours too. Processes that end meanwhile, or that we
/// may not look at, are left out.
pub(super) fn of(proc: &Path, wanted: &[Wanted], known: &[Name]) -> Vec<Vec<Holder>> {
    let mut held: Vec<Vec<Holder>> = vec![Vec::new(); wanted.len()];
    let mut left = processes::all(proc);
    while !left.is_empty() {
        let (tell, told) = channel();
        let (root, mounts, pids) = (proc.to_owned(), wanted.to_vec(), left.clone());
        // A thread that is not waited for: looking at a process that hangs can hang as well.
        std::thread::spawn(move || {
            let look = Look::new(&root, &mounts);
            for pid in pids {
                if tell.send((pid, look.at(pid))).is_err() {
                    return;
                }
            }
        });
        let mut stuck = None;
        while let Some(&next) = left.first() {
            match told.recv_timeout(PATIENCE) {
                Ok((pid, found)) => {
                    left.retain(|&other| other != pid);
                    for (index, how) in found {
                        add(proc, &mut held, known, index, (pid, how));
                    }
                }
                Err(RecvTimeoutError::Timeout) => {
                    stuck = Some(next);
                    break;
                }
                Err(RecvTimeoutError::Disconnected) => return held,
            }
        }
        if let Some(pid) = stuck {
            left.retain(|&other| other != pid);
            for index in 0..wanted.len() {
                add(proc, &mut held, known, index, (pid, STUCK.to_owned()));
            }
        }
    }
    held
}

impl Holder {
    /// Whether it was seen to hold the mount, not only thought to.
    pub(super) fn certain(&self) -> bool {
        self.how != STUCK
    }
}

/// Whether a process that sleeps there (proc(5), /proc/pid/wchan) waits for an answer of a FUSE; a server of one waits for
/// questions.
fn waits_for_fuse(wchan: &str) -> bool {
    wchan.contains("request_wait") || (wchan.contains("fuse") && !wchan.contains("dev"))
}

/// A process that is known to hold something, and how.
pub(super) fn named(proc: &Path, pid: u32, how: &str, known: &[Name]) -> Option<Holder> {
    let command = command(&proc.join(pid.to_string()));
    let (started, ours) = (started(proc, pid)?, is_ours(proc, pid, known));
    let spared = if ours { None } else { spared(proc, pid) };
    Some(Holder { pid, command, how: how.to_owned(), started, ours, user: user(proc, pid), spared })
}

fn add(proc: &Path, held: &mut [Vec<Holder>], known: &[Name], index: usize, (pid, how): (u32, String)) {
    let Some(holders) = held.get_mut(index) else { return };
    let Some(started) = started(proc, pid) else { return };
    if holders.len() >= NAMED || holders.last().is_some_and(|last| last.pid == pid) {
        return;
    }
    let process = proc.join(pid.to_string());
    let stuck = how == STUCK;
    // The command line of a stuck process is what cannot be read.
    let command = if stuck { plain(&name(&process)) } else { command(&process) };
    // Nobody is ended for what is only possible.
    let ours = !stuck && is_ours(proc, pid, known);
    let spared = match (stuck, ours) {
        (true, _) => Some("it is not known whether it holds it".to_owned()),
        (false, true) => None,
        (false, false) => spared(proc, pid),
    };
    holders.push(Holder { pid, command, how, started, ours, user: user(proc, pid), spared });
}

fn name(process: &Path) -> String {
    String::from_utf8_lossy(fs::read(process.join("comm")).unwrap_or_default().trim_ascii()).into_owned()
}

/// What is the same for every process that is looked at.
struct Look<'a> {
    proc: &'a Path,
    wanted: &'a [Wanted],
    by_id: HashMap<u64, usize>,
    by_disk: HashMap<Disk, usize>,
    /// Sockets with a name on one of the mounts, by their number, and which mount.
    sockets: HashMap<String, (usize, String)>,
}

impl<'a> Look<'a> {
    fn new(proc: &'a Path, wanted: &'a [Wanted]) -> Self {
        let ids = wanted.iter().enumerate().flat_map(|(index, it)| it.ids.iter().map(move |&id| (id, index)));
        let by_id: HashMap<u64, usize> = ids.collect();
        let disks = wanted.iter().enumerate().flat_map(|(index, it)| it.disks.iter().map(move |&disk| (disk, index)));
        let by_disk: HashMap<Disk, usize> = disks.collect();
        let table = fs::read(proc.join("self/net/unix")).unwrap_or_default();
        let sockets = sockets(&String::from_utf8_lossy(&table), |path| {
            let path = Path::new(path);
            // Others are not looked up: a file system that does not answer would hold us up.
            let below = wanted.iter().enumerate().filter_map(|(index, it)| Some((index, it, it.point.as_ref()?)));
            let below = below.filter(|(.., point)| path.starts_with(point));
            let (index, closest, _) = below.max_by_key(|(.., point)| point.components().count())?;
            if closest.fuse.is_some() {
                return Some(index);
            }
            mount_of(path, false).and_then(|id| by_id.get(&id).copied())
        });
        Self { proc, wanted, by_id, by_disk, sockets }
    }

    /// Which of the mounts a process holds, and how; the clearest reason first.
    fn at(&self, pid: u32) -> Vec<(usize, String)> {
        let process = self.proc.join(pid.to_string());
        let mut found: BTreeMap<usize, String> = BTreeMap::new();
        for (link, before, after) in [("cwd", "works in", ""), ("root", "has", "as its root"), ("exe", "runs", "")] {
            self.link(&process.join(link), before, after, &mut found);
        }
        for entry in fs::read_dir(process.join("fd")).into_iter().flatten().flatten() {
            let link = entry.path();
            let target = fs::read_link(&link).unwrap_or_default();
            if let Some((index, path)) = self.sockets.get(target.to_string_lossy().as_ref()) {
                found.entry(*index).or_insert_with(|| format!("has the socket {path}"));
            } else if target == Path::new("/dev/fuse") {
                self.served(&process.join("fdinfo").join(entry.file_name()), &mut found);
            } else {
                self.link(&link, "has", "open", &mut found);
            }
        }
        self.maps(&process, &mut found);
        if let Some((index, _)) = self.wanted.iter().enumerate().find(|(_, wanted)| wanted.fuse.is_some())
            && fs::read_to_string(process.join("wchan")).is_ok_and(|it| waits_for_fuse(&it))
        {
            found.entry(index).or_insert_with(|| "waits for a FUSE that does not answer".to_owned());
        }
        found.into_iter().collect()
    }

    /// Which of what is wanted a link of the kernel's own leads to.
    fn index(&self, link: &Path) -> Option<usize> {
        let by_id = mount_of(link, true).and_then(|id| self.by_id.get(&id));
        // Nobody else's file system is asked for anything where no disk is wanted.
        let by_disk = || {
            let (on, disk) = if self.by_disk.is_empty() { return None } else { disks_of(link)? };
            disk.and_then(|disk| self.by_disk.get(&disk)).or_else(|| self.by_disk.get(&on))
        };
        by_id.or_else(by_disk).copied()
    }

    fn link(&self, link: &Path, before: &str, after: &str, found: &mut BTreeMap<usize, String>) {
        // The kernel's own links lead to the object itself, in whatever namespace: its mount id is exact.
        let Some(index) = self.index(link) else { return };
        let target = fs::read_link(link).unwrap_or_default();
        let how = format!("{before} {} {after}", plain(&target.to_string_lossy()));
        found.entry(index).or_insert_with(|| how.trim_end().to_owned());
    }

    /// Whoever has the other end of a FUSE open serves it (fdinfo names the connection since Linux 6.7).
    fn served(&self, info: &Path, found: &mut BTreeMap<usize, String>) {
        let info = fs::read_to_string(info).unwrap_or_default();
        let number = info.lines().find_map(|line| line.strip_prefix("fuse_connection:")?.trim().parse::<u64>().ok());
        let Some(number) = number else { return };
        if let Some(index) = self.wanted.iter().position(|wanted| wanted.fuse == Some(number)) {
            found.entry(index).or_insert_with(|| "serves it".to_owned());
        }
    }

    fn maps(&self, process: &Path, found: &mut BTreeMap<usize, String>) {
        let mut exact = false;
        for entry in fs::read_dir(process.join("map_files")).into_iter().flatten().flatten() {
            // Only root may follow these links.
            if mount_of(&entry.path(), true).is_none() {
                continue;
            }
            exact = true;
            let Some(index) = self.index(&entry.path()) else { continue };
            let target = fs::read_link(entry.path()).unwrap_or_default();
            found.entry(index).or_insert_with(|| format!("has {} mapped", plain(&target.to_string_lossy())));
        }
        if exact || namespaces::of(process) != namespaces::of(&self.proc.join("self")) {
            return;
        }
        let maps = fs::read(process.join("maps")).unwrap_or_default();
        let maps = String::from_utf8_lossy(&maps);
        let points = self.wanted.iter().enumerate().filter_map(|(index, it)| Some((index, it.point.as_ref()?)));
        for (index, point) in points {
            let mut mapped = maps.lines().filter_map(|line| line.find('/').and_then(|at| line.get(at..)));
            if let Some(path) = mapped.find(|path| Path::new(path).starts_with(point)) {
                found.entry(index).or_insert_with(|| format!("has {} mapped", plain(path)));
            }
        }
    }
}

/// The sockets of `/proc/net/unix` that have a name in the file system, as their links in `/proc/pid/fd` call them, where `find`
/// knows the name.
fn sockets(table: &str, find: impl Fn(&str) -> Option<usize>) -> HashMap<String, (usize, String)> {
    let line = |line: &str| {
        let mut words = line.splitn(8, ' ').skip(6);
        // The number is padded to five digits with blanks, so a name follows after any number of them.
        let rest = words.next().map(str::to_owned).into_iter().chain(words.map(str::to_owned)).collect::<Vec<_>>();
        let rest = rest.join(" ");
        let (number, path) = rest.trim_start().split_once(' ')?;
        let path = path.trim_start();
        path.starts_with('/').then_some(())?;
        Some((format!("socket:[{number}]"), (find(path)?, plain(path))))
    };
    table.lines().skip(1).filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_with_a_name_are_read() {
        let table = "Num       RefCount Protocol Flags    Type St Inode Path\n\
            ffff9d40: 00000002 00000000 00010000 0001 01 12345 /run/a b\n\
            ffff9d41: 00000002 00000000 00010000 0001 01    77 /w/S\n\
            ffff9d42: 00000003 00000000 00000000 0001 03 12346\n\
            ffff9d43: 00000002 00000000 00010000 0001 01 12347 @abstract\n";
        let found = sockets(table, |path| (path.starts_with("/w") || path == "/run/a b").then_some(3));
        assert_eq!(found.len(), 2, "{found:?}");
        assert_eq!(found["socket:[12345]"], (3, "/run/a b".to_owned()));
        assert_eq!(found["socket:[77]"], (3, "/w/S".to_owned()));
    }
}
