//! Walks a work directory by file descriptors, counting or deleting, without leaving its mount.
//!
//! Directories are opened one name at a time with `openat2(2)`, so no path is ever followed; at most [`OPEN`] are held
//! open, however deep the tree is: those above are opened again through `..` and must then be the same.

use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use cartridge_supervise::Cancel;
use rustix::fs::{AtFlags, Dir, FileType};
use rustix::io::Errno;

use super::ahead::Ahead;
use super::error::EjectError;
use super::guard::Target;
use super::level::{Level, open_above, open_below};
use super::marker::MARKER;
use super::reasons::{LOCKED_AROUND, MOUNTED, MOVED, describe};
use super::stat::{Found, look};
use super::{Advance, EjectReport, Removed, Untouched};

/// How many directories are held open at once.
const OPEN: usize = 64;
/// How often a directory is read again because something appeared in it.
const PASSES: u32 = 8;
/// How many untouched entries are named; the rest is counted.
const NAMED: usize = 10_000;
/// How often progress is told: after this time,
const BEAT: Duration = Duration::from_millis(50);
/// or after so many entries, whichever comes first.
const STRIDE: u64 = 1024;

/// Counts what is in the directory, itself included. Mounts are counted as one entry and not entered.
pub(super) fn count(target: &Target) -> Result<Removed, EjectError> {
    let cancel = Cancel::new();
    let mut sweep = Sweep::new(target, false, &cancel, &|_| {});
    sweep.run()?;
    Ok(Removed { files: sweep.counted.files + 1, bytes: sweep.counted.bytes })
}

/// Deletes what is in the directory, then its marker, then itself.
pub(super) fn remove(target: &Target, cancel: &Cancel, progress: &dyn Fn(Advance)) -> Result<EjectReport, EjectError> {
    let mut sweep = Sweep::new(target, true, cancel, progress);
    sweep.run()?;
    if sweep.untouched.is_empty() {
        sweep.finish();
    }
    if sweep.unnamed > 0 {
        let reason = format!("{} more entries in it were left for such reasons", sweep.unnamed);
        sweep.untouched.push(Untouched { path: target.path.clone(), reason });
    }
    sweep.tell();
    let Removed { files, bytes } = sweep.counted;
    Ok(EjectReport { removed: files, bytes, untouched: sweep.untouched })
}

struct Sweep<'a> {
    target: &'a Target,
    delete: bool,
    cancel: &'a Cancel,
    progress: &'a dyn Fn(Advance),
    /// Counts what there is to delete.
    ahead: Option<Ahead>,
    told: (Instant, u64),
    counted: Removed,
    untouched: Vec<Untouched>,
    unnamed: u64,
    stack: Vec<Level>,
}

impl<'a> Sweep<'a> {
    fn new(target: &'a Target, delete: bool, cancel: &'a Cancel, progress: &'a dyn Fn(Advance)) -> Self {
        Self {
            target,
            delete,
            cancel,
            progress,
            ahead: delete.then(|| Ahead::begin(target)),
            told: (Instant::now(), 0),
            counted: Removed::default(),
            untouched: Vec::new(),
            unnamed: 0,
            stack: Vec::new(),
        }
    }

    fn run(&mut self) -> Result<(), EjectError> {
        let root = self.target.root.try_clone();
        let root = root.map_err(|error| EjectError::system("open", &self.target.path, error))?;
        self.stack.push(Level::new(root, self.target.identity, OsString::new()));
        self.scan()?;
        while let Some(level) = self.stack.last_mut() {
            if let Some(name) = level.pending.pop() {
                self.descend(name)?;
            } else if self.delete && level.removed && level.passes < PASSES && (self.stack.len() == 1 || self.kept()) {
                // Deleting while reading may hide entries from the reading; without it rmdir will tell.
                self.scan()?;
            } else if self.stack.len() == 1 {
                break;
            } else {
                self.ascend()?;
            }
        }
        Ok(())
    }

    fn kept(&self) -> bool {
        self.stack.last().is_some_and(|level| !level.kept.is_empty())
    }

    /// Reads the directory we are in: notes its directories, counts or deletes all else.
    fn scan(&mut self) -> Result<(), EjectError> {
        let Some(level) = self.stack.last_mut() else { return Ok(()) };
        (level.removed, level.passes) = (false, level.passes + 1);
        if let Some(ahead) = self.ahead.as_mut().filter(|_| level.passes == 1) {
            ahead.enters();
        }
        // Taken out for the time of the loop, and put back.
        let Some(fd) = level.fd.take() else { return Ok(()) };
        let result = self.scan_in(&fd);
        if let Some(level) = self.stack.last_mut() {
            level.fd = Some(fd);
        }
        result
    }

    fn scan_in(&mut self, fd: &OwnedFd) -> Result<(), EjectError> {
        if !self.is_in_place(fd) {
            self.keep_here(MOVED);
            return Ok(());
        }
        let mut entries = match Dir::read_from(fd) {
            Ok(entries) => entries,
            Err(error) => {
                self.keep_here(&describe(error, None));
                return Ok(());
            }
        };
        while let Some(entry) = entries.read() {
            // Somebody who takes a folder out of the tree may put things into it that are not ours.
            if self.beat()? && self.moved_away(Some(fd)) {
                break;
            }
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => {
                    self.keep_here(&describe(error, None));
                    break;
                }
            };
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            let marker = self.stack.len() == 1 && name == MARKER;
            if name == "." || name == ".." || (marker && self.delete) {
                continue;
            }
            if !self.stack.last().is_some_and(|level| level.kept.contains(name)) {
                self.entry(fd, name);
            }
        }
        Ok(())
    }

    /// Whether the directory we are in is still in the one that it was found in. The work directory itself may be anywhere.
    fn is_in_place(&self, fd: &OwnedFd) -> bool {
        let above = self.stack.len().checked_sub(2).and_then(|index| self.stack.get(index));
        above.is_none_or(|above| look(fd, "..").is_ok_and(|found| found.identity == above.identity))
    }

    /// Leaves everything in a directory that was taken out of the tree, whichever on our way down that is. Whether there is one;
    /// `here` is the directory we are in, where its level has it not.
    fn moved_away(&mut self, here: Option<&OwnedFd>) -> bool {
        let ways = self.stack.iter().zip(self.stack.iter().skip(1)).enumerate();
        let last = self.stack.len().saturating_sub(1);
        let moved = ways.map(|(index, (above, level))| (index + 1, above, level)).find(|(index, above, level)| {
            let open = level.fd.as_ref().or(here.filter(|_| *index == last));
            // Those that are not open are looked at on the way up.
            open.is_some_and(|fd| !look(fd, "..").is_ok_and(|found| found.identity == above.identity))
        });
        let Some(index) = moved.map(|(index, ..)| index) else { return false };
        let mut path = self.target.path.clone();
        path.extend(self.stack.iter().take(index + 1).skip(1).map(|level| level.name.as_os_str()));
        for level in self.stack.iter_mut().skip(index) {
            level.pending.clear();
            level.kept.insert(OsString::from("."));
            (level.removed, level.passes) = (false, PASSES);
        }
        self.note(path, MOVED);
        true
    }

    fn entry(&mut self, fd: &OwnedFd, name: &OsStr) {
        let found = match look(fd, name) {
            Ok(found) => found,
            Err(Errno::NOENT) => return,
            Err(error) => return self.keep(name, &describe(error, None)),
        };
        if found.identity.mount != self.target.identity.mount {
            return self.keep(name, MOUNTED);
        }
        if found.kind == FileType::Directory {
            if let Some(level) = self.stack.last_mut() {
                level.pending.push(name.to_owned());
            }
            return;
        }
        if !self.delete {
            self.count_one(found.bytes);
            return;
        }
        match rustix::fs::unlinkat(fd, name, AtFlags::empty()) {
            Ok(()) => self.count_one(found.bytes),
            Err(Errno::NOENT) => {}
            Err(error) => self.keep(name, &self.why(error, fd, name)),
        }
    }

    /// Why the entry `name` of the directory `fd` could not be deleted: it, or the directory, may be immutable.
    fn why(&self, error: Errno, fd: &OwnedFd, name: &OsStr) -> String {
        let found = look(fd, name).ok();
        let locked = |found: &Found| found.immutable;
        if error == Errno::PERM && !found.as_ref().is_some_and(locked) && look(fd, "").as_ref().is_ok_and(locked) {
            return LOCKED_AROUND.to_owned();
        }
        describe(error, found.as_ref())
    }

    fn why_not_folder(&self, error: Errno, child: &Level) -> String {
        match self.stack.last().and_then(|level| level.fd.as_ref()) {
            Some(above) => self.why(error, above, &child.name),
            None => describe(error, None),
        }
    }

    fn descend(&mut self, name: OsString) -> Result<(), EjectError> {
        if self.beat()? && self.moved_away(None) {
            return Ok(());
        }
        let Some(fd) = self.stack.last().and_then(|level| level.fd.as_ref()) else { return Ok(()) };
        if !self.is_in_place(fd) {
            self.keep(&name, MOVED);
            return Ok(());
        }
        match open_below(fd, &name, self.target.identity.mount, self.delete) {
            Ok((fd, identity)) => {
                self.stack.push(Level::new(fd, identity, name));
                if let Some(above) = self.stack.len().checked_sub(OPEN).and_then(|index| self.stack.get_mut(index)) {
                    above.fd = None;
                }
                self.scan()
            }
            Err(Errno::NOENT) => Ok(()),
            Err(error) => {
                self.keep(&name, &describe(error, None));
                Ok(())
            }
        }
    }

    /// Leaves a directory that is done, and deletes it.
    fn ascend(&mut self) -> Result<(), EjectError> {
        let path = self.path(None);
        let Some(child) = self.stack.pop() else { return Ok(()) };
        let Some(parent) = self.stack.last_mut() else { return Ok(()) };
        if let (None, Some(fd)) = (&parent.fd, &child.fd) {
            let above = open_above(fd, parent.identity);
            parent.fd = Some(above.map_err(|error| EjectError::system("go back up from", path, error))?);
        }
        let Some(above) = parent.fd.as_ref() else { return Ok(()) };
        if !self.delete {
            self.count_one(0);
            return Ok(());
        }
        if !child.kept.is_empty() {
            // Why it stays was said where it stays.
            if let Some(parent) = self.stack.last_mut() {
                parent.kept.insert(child.name);
            }
            return Ok(());
        }
        match rustix::fs::unlinkat(above, &child.name, AtFlags::REMOVEDIR) {
            Ok(()) => self.count_one(0),
            Err(Errno::NOENT) => {}
            Err(Errno::NOTEMPTY | Errno::EXIST) if child.passes < PASSES => {
                self.stack.push(child);
                return self.scan();
            }
            Err(error) => {
                let why = self.why_not_folder(error, &child);
                self.keep(&child.name, &why);
            }
        }
        Ok(())
    }

    /// Deletes the marker and the directory itself; everything else is gone.
    fn finish(&mut self) {
        let target = self.target;
        let marker = look(&target.root, MARKER).map_or(0, |found| found.bytes);
        if let Err(error) = target.marker.remove(&target.root) {
            let found = look(&target.root, MARKER).ok();
            return self.keep(OsStr::new(MARKER), &describe(error, found.as_ref()));
        }
        let removed = match look(&target.parent, &target.name) {
            Ok(found) if found.identity == target.identity => {
                rustix::fs::unlinkat(&target.parent, &target.name, AtFlags::REMOVEDIR)
            }
            Ok(_) => Err(Errno::STALE),
            Err(error) => Err(error),
        };
        match removed {
            Ok(()) => {
                self.counted.files += 2;
                self.counted.bytes = self.counted.bytes.saturating_add(marker);
            }
            Err(error) => {
                // Whoever filled it again must be able to eject it again.
                let _ = target.marker.marker.write(&target.root);
                self.untouched.push(Untouched { path: target.path.clone(), reason: describe(error, None) });
            }
        }
    }

    /// Obeys a cancel and tells the progress now and then; whether it was told now.
    fn beat(&mut self) -> Result<bool, EjectError> {
        if self.cancel.is_cancelled() {
            return Err(EjectError::Cancelled { path: self.target.path.clone(), removed: self.counted });
        }
        let entries = self.counted.files;
        if self.delete && (entries - self.told.1 >= STRIDE || self.told.0.elapsed() >= BEAT) {
            self.tell();
            return Ok(true);
        }
        Ok(false)
    }

    fn tell(&mut self) {
        self.told = (Instant::now(), self.counted.files);
        let total = self.ahead.as_ref().and_then(Ahead::total);
        // Who goes on writing into it makes it more.
        let total = total.map(|total| total.max(self.counted.files));
        (self.progress)(Advance { removed: self.counted, total });
    }

    fn count_one(&mut self, bytes: u64) {
        self.counted.files += 1;
        self.counted.bytes = self.counted.bytes.saturating_add(bytes);
        if let Some(level) = self.stack.last_mut() {
            level.removed = true;
        }
    }

    /// Notes that `name`, in the directory we are in, stays; counting, it is an entry like any other.
    fn keep(&mut self, name: &OsStr, reason: &str) {
        let path = self.path(Some(name));
        if let Some(level) = self.stack.last_mut() {
            level.kept.insert(name.to_owned());
        }
        if !self.delete {
            self.count_one(0);
        }
        self.note(path, reason);
    }

    /// Notes that the directory we are in stays: it could not be read.
    fn keep_here(&mut self, reason: &str) {
        let path = self.path(None);
        if let Some(level) = self.stack.last_mut() {
            level.kept.insert(OsString::from("."));
        }
        self.note(path, reason);
    }

    fn note(&mut self, path: PathBuf, reason: &str) {
        if self.untouched.len() < NAMED {
            self.untouched.push(Untouched { path, reason: reason.to_owned() });
        } else {
            self.unnamed += 1;
        }
    }

    fn path(&self, name: Option<&OsStr>) -> PathBuf {
        let mut path = self.target.path.clone();
        path.extend(self.stack.iter().skip(1).map(|level| level.name.as_os_str()));
        path.extend(name);
        path
    }
}
