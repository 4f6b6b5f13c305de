//! Reads the names in a work directory, and nothing more: in the order in which `sweep` goes, and by the same rules.

use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{Dir, DirEntry, FileType};
use rustix::io::Errno;

use super::level::{Level, open_above, open_below};
use super::stat::look;

/// How many folders are held open at once.
const OPEN: usize = 64;
/// After how many names it is looked whether more are wanted.
const STRIDE: u64 = 1024;

/// Who is told of what is read.
pub(super) struct Visitor<'a> {
    /// Whether more is wanted.
    pub wanted: &'a dyn Fn() -> bool,
    /// A folder was read to its end.
    pub read: &'a dyn Fn(),
    /// An entry of an open folder, of which something else than a folder has the name.
    pub see: &'a mut dyn FnMut(&OwnedFd, &DirEntry),
}

/// Counts the names, that of the directory itself included; `None` if they are not wanted any more, or not all can be seen.
pub(super) fn walk(root: Level, mut visitor: Visitor<'_>) -> Option<u64> {
    let mount = root.identity.mount;
    let mut stack = vec![root];
    let mut names = 1 + scan(stack.last_mut()?, &mut visitor)?;
    loop {
        let level = stack.last_mut()?;
        let Some(name) = level.pending.pop() else {
            let child = stack.pop()?;
            let Some(parent) = stack.last_mut() else { return Some(names) };
            if parent.fd.is_none() {
                parent.fd = Some(open_above(child.fd.as_ref()?, parent.identity).ok()?);
            }
            continue;
        };
        let (fd, identity) = match open_below(level.fd.as_ref()?, &name, mount, false) {
            Ok(opened) => opened,
            // Something is mounted there, which stays and is said by others.
            Err(Errno::XDEV) => continue,
            Err(_) => return None,
        };
        stack.push(Level::new(fd, identity, name));
        if let Some(above) = stack.len().checked_sub(OPEN).and_then(|index| stack.get_mut(index)) {
            above.fd = None;
        }
        names += scan(stack.last_mut()?, &mut visitor)?;
    }
}

/// Counts the names in a folder, and notes those of folders.
fn scan(level: &mut Level, visitor: &mut Visitor<'_>) -> Option<u64> {
    let fd: &OwnedFd = level.fd.as_ref()?;
    let mut names = 0;
    let mut entries = Dir::read_from(fd).ok()?;
    while let Some(entry) = entries.read() {
        let entry = entry.ok()?;
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        if name == "." || name == ".." {
            continue;
        }
        names += 1;
        if names % STRIDE == 0 && !(visitor.wanted)() {
            return None;
        }
        let kind = match entry.file_type() {
            // Not every file system tells it with the name.
            FileType::Unknown => look(fd, name).ok()?.kind,
            kind => kind,
        };
        if kind == FileType::Directory {
            level.pending.push(name.to_owned());
        } else {
            (visitor.see)(fd, &entry);
        }
    }
    if !(visitor.wanted)() {
        return None;
    }
    (visitor.read)();
    Some(names)
}
