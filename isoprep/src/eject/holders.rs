//! Which processes hold a mount: a directory, program or open file of theirs is on it.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, StatxFlags};
use serde::Serialize;

use super::mountinfo::Mount;

/// Most holders that are named for a mount.
const NAMED: usize = 32;
/// Longest command that is shown, characters.
const COMMAND: usize = 200;

/// A process that holds a mount.
#[derive(Serialize, Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Its process id.
    pub pid: u32,
    /// Its command line.
    pub command: String,
    /// How it holds the mount: "works in /a", "has /a/b open".
    pub how: String,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {} ({}), which {}", self.pid, self.command, self.how)
    }
}

/// The holders of each mount, by the mount's id. Processes that end meanwhile, or that we may not look at, are left out.
pub(super) fn of(proc: &Path, mounts: &[&Mount]) -> BTreeMap<u64, Vec<Holder>> {
    let mut held: BTreeMap<u64, Vec<Holder>> = BTreeMap::new();
    let entries = fs::read_dir(proc).into_iter().flatten().flatten();
    let mut pids: Vec<u32> = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    pids.sort_unstable();
    for pid in pids {
        let process = proc.join(pid.to_string());
        for (id, how) in holds(&process, mounts) {
            let holders = held.entry(id).or_default();
            if holders.len() < NAMED && holders.last().is_none_or(|last| last.pid != pid) {
                holders.push(Holder { pid, command: command(&process), how });
            }
        }
    }
    held
}

/// What the process at `process` holds: ids of mounts and how.
fn holds(process: &Path, mounts: &[&Mount]) -> Vec<(u64, String)> {
    let mut links: Vec<(PathBuf, &str, &str)> = vec![
        (process.join("cwd"), "works in", ""),
        (process.join("root"), "has", "as its root"),
        (process.join("exe"), "runs", ""),
    ];
    let open = fs::read_dir(process.join("fd")).into_iter().flatten().flatten();
    links.extend(open.map(|entry| (entry.path(), "has", "open")));
    let mut found = Vec::new();
    for (link, before, after) in links {
        // The kernel's own links lead to the object itself, in whatever namespace: its mount id is exact.
        let Ok(stat) = rustix::fs::statx(CWD, &link, AtFlags::NO_AUTOMOUNT, StatxFlags::MNT_ID) else { continue };
        if mounts.iter().any(|mount| mount.id == stat.stx_mnt_id) {
            let target = fs::read_link(&link).unwrap_or_default();
            found.push((stat.stx_mnt_id, format!("{before} {} {after}", target.display()).trim_end().to_owned()));
        }
    }
    let maps = fs::read(process.join("maps")).unwrap_or_default();
    let maps = String::from_utf8_lossy(&maps);
    for mount in mounts {
        let point = mount.point.to_string_lossy();
        let mut mapped = maps.lines().filter_map(|line| line.find('/').map(|at| &line[at..]));
        if let Some(path) = mapped.find(|path| Path::new(path).starts_with(point.as_ref())) {
            found.push((mount.id, format!("has {path} mapped")));
        }
    }
    found
}

fn command(process: &Path) -> String {
    let words = fs::read(process.join("cmdline")).unwrap_or_default();
    let words = String::from_utf8_lossy(&words).replace('\0', " ");
    let words =
        if words.trim().is_empty() { fs::read_to_string(process.join("comm")).unwrap_or_default() } else { words };
    let words = words.trim();
    if words.chars().count() <= COMMAND {
        words.to_owned()
    } else {
        words.chars().take(COMMAND).chain(['…']).collect()
    }
}
