//! Looks at a room before and after, and tells the difference.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, StatxAttributes, StatxFlags};

use crate::room::{NOT_PRECIOUS, Room};

/// All that is known of an entry: kind and mode, owner, group, device, and its bytes or what it points to.
type Seen = (u32, u32, u32, u64, Vec<u8>);

/// Everything in the room that must not change: entries, and what is mounted where.
#[derive(PartialEq, Eq)]
pub struct World {
    entries: BTreeMap<PathBuf, Seen>,
    mounts: BTreeSet<String>,
}

impl World {
    pub fn look(room: &Room) -> Self {
        let mut skip: Vec<PathBuf> = NOT_PRECIOUS.iter().map(PathBuf::from).collect();
        skip.push(room.work.clone());
        skip.extend(room.passed_over.iter().cloned());
        let mut entries = BTreeMap::new();
        walk(Path::new("/"), &skip, &mut entries);
        let work = room.work.to_string_lossy().into_owned();
        let inside =
            |point: &str| point.strip_prefix(&work).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        let table = String::from_utf8_lossy(&fs::read("/proc/self/mountinfo").unwrap()).into_owned();
        let mounts = table.lines().filter_map(|line| {
            let words: Vec<_> = line.split(' ').collect();
            (!inside(words[4]) && !room.passed_over.iter().any(|it| Path::new(words[4]).starts_with(it)))
                .then(|| words[2..6].join(" "))
        });
        Self { entries, mounts: mounts.collect() }
    }

    /// What is not as it was, a line each.
    pub fn lost(&self, after: &Self) -> Vec<String> {
        let mut lost = Vec::new();
        for (path, seen) in &self.entries {
            match after.entries.get(path) {
                None => lost.push(format!("lost {}", path.display())),
                Some(now) if now.0 != seen.0 => {
                    lost.push(format!("mode of {} was {:o} and is {:o}", path.display(), seen.0, now.0));
                }
                Some(now) if now != seen => lost.push(format!("changed {}", path.display())),
                Some(_) => {}
            }
        }
        lost.extend(self.mounts.difference(&after.mounts).map(|mount| format!("unmounted {mount}")));
        lost
    }
}

fn walk(dir: &Path, skip: &[PathBuf], found: &mut BTreeMap<PathBuf, Seen>) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if skip.contains(&path) {
            continue;
        }
        let Ok(meta) = fs::symlink_metadata(&path) else { continue };
        let bytes = if meta.is_symlink() {
            fs::read_link(&path).map(|to| to.as_os_str().as_bytes().to_vec()).unwrap_or_default()
        } else if meta.is_file() {
            fs::read(&path).unwrap_or_default()
        } else {
            Vec::new()
        };
        if meta.is_dir() {
            walk(&path, skip, found);
        }
        found.insert(path, (meta.mode(), meta.uid(), meta.gid(), meta.rdev(), bytes));
    }
}

/// What is in `dir`, leaves only: files, empty directories and what something is mounted on. Nothing of a mount is read.
pub fn leaves(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut todo = vec![dir.to_owned()];
    while let Some(path) = todo.pop() {
        let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
        let flags = flags | AtFlags::from_bits_retain(0x4000); // AT_STATX_DONT_SYNC: a FUSE that hangs is not asked.
        let Ok(stat) = rustix::fs::statx(CWD, &path, flags, StatxFlags::TYPE) else { continue };
        let is_dir = stat.stx_mode & 0o170_000 == 0o040_000;
        let mounted = path != dir && stat.stx_attributes.contains(StatxAttributes::MOUNT_ROOT);
        let inside: Vec<_> = if is_dir && !mounted {
            fs::read_dir(&path).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
        } else {
            Vec::new()
        };
        if inside.is_empty() {
            found.push(path);
        } else {
            todo.extend(inside);
        }
    }
    found.sort();
    found
}
