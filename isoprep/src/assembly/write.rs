//! Writes an assembled profile. Folders are held open and everything is made by name within them, so that no link, from
//! whatever overlay, leads anywhere.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use cartridge_initramfs::cpio;
use rustix::fs::{AtFlags, Dir, Mode, OFlags, Timespec, Timestamps};
use rustix::io::Errno;

use super::copy::{Copier, Way};
use super::model::{Assembly, DEFINITION, Kind, Piece};
use super::problem::AssemblyError;
use crate::build::BuildError;
use crate::cache::stat_index::Look;
use crate::progress::{Reporter, StageName};

/// How a folder is opened.
const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
/// How a file is made: only ever a new one.
const NEW: OFlags =
    OFlags::WRONLY.union(OFlags::CREATE).union(OFlags::EXCL).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
/// The largest `profiledef.sh` that is extended, bytes.
const DEFINITION_SIZE: u64 = 1 << 20;
/// The extended `profiledef.sh` before it takes the other's place.
const DRAFT: &str = ".profiledef.sh.new";

/// Writes `assembly` into the empty directory `target`.
pub(super) fn write(assembly: &Assembly, target: &Path, reporter: &Reporter<'_>) -> Result<(), BuildError> {
    write_by(assembly, target, Way::Clone, reporter)
}

/// The same, with the best way of copying that may be tried.
pub(super) fn write_by(
    assembly: &Assembly,
    target: &Path,
    best: Way,
    reporter: &Reporter<'_>,
) -> Result<(), BuildError> {
    let stage = reporter.stage;
    if !assembly.problems.is_empty() {
        let problems = assembly.problems.clone();
        return Err(BuildError::assembly(stage)(AssemblyError::Problems { problems }));
    }
    let opened = |e: Errno| BuildError::io(stage, "open", target)(e.into());
    let root = rustix::fs::open(target, FOLDER, Mode::empty()).map_err(opened)?;
    if !is_empty(&root).map_err(opened)? {
        return Err(BuildError::assembly(stage)(AssemblyError::NotEmpty { target: target.to_path_buf() }));
    }
    let copier = Copier::new(target, assembly.bytes(), best, reporter);
    let mut writer = Writer { copier, root, open: Vec::new() };
    for (path, piece) in &assembly.pieces {
        reporter.go_on()?;
        writer.put(path, piece)?;
    }
    writer.leave_to(Path::new(""))
}

fn is_empty(folder: &OwnedFd) -> Result<bool, Errno> {
    let mut entries = Dir::read_from(folder)?;
    while let Some(entry) = entries.read() {
        if !matches!(entry?.file_name().to_bytes(), b"." | b"..") {
            return Ok(false);
        }
    }
    Ok(true)
}

/// A folder that is being filled.
struct Open<'a> {
    path: &'a Path,
    piece: &'a Piece,
    fd: OwnedFd,
}

struct Writer<'a> {
    copier: Copier<'a>,
    root: OwnedFd,
    /// The folders from the root to where we are, without the root.
    open: Vec<Open<'a>>,
}

impl<'a> Writer<'a> {
    fn put(&mut self, path: &'a Path, piece: &'a Piece) -> Result<(), BuildError> {
        let (parent, name) = (path.parent().unwrap_or(Path::new("")), path.file_name().unwrap_or_default());
        self.leave_to(parent)?;
        let above = self.open.last().map_or(&self.root, |it| &it.fd);
        let failed = |e: Errno| self.failed(path)(e.into());
        match &piece.kind {
            Kind::Dir => {
                rustix::fs::mkdirat(above, name, Mode::RWXU).map_err(failed)?;
                let fd = rustix::fs::openat(above, name, FOLDER, Mode::empty()).map_err(failed)?;
                self.open.push(Open { path, piece, fd });
            }
            Kind::Link { target } => {
                rustix::fs::symlinkat(target, above, name).map_err(failed)?;
                let times = times(piece.look);
                rustix::fs::utimensat(above, name, &times, AtFlags::SYMLINK_NOFOLLOW).map_err(failed)?;
            }
            Kind::File { .. } => {
                let file = File::from(rustix::fs::openat(above, name, NEW, Mode::RUSR | Mode::WUSR).map_err(failed)?);
                match (&piece.text, &piece.from) {
                    (Some(text), _) => self.copier.text(text, (&file, path))?,
                    (None, Some(from)) => self.copier.copy(from, piece.look, (&file, path))?,
                    (None, None) => {}
                }
                dress(&file, piece).map_err(|e| self.failed(path)(e.into()))?;
            }
        }
        Ok(())
    }

    /// Leaves the open folders that are not `parent` or above it. Modes and times come last: filling a folder changes
    /// its time, and one without write permission could not be filled.
    fn leave_to(&mut self, parent: &Path) -> Result<(), BuildError> {
        while let Some(last) = self.open.pop_if(|last| !parent.starts_with(last.path)) {
            dress(&last.fd, last.piece).map_err(|e| self.failed(last.path)(e.into()))?;
        }
        // A plan that is not ours could name a piece without its folder.
        if self.open.last().map_or(Path::new(""), |last| last.path) == parent {
            return Ok(());
        }
        Err(self.failed(parent)(io::Error::other("the plan has no such folder")))
    }

    fn failed(&self, path: &Path) -> impl FnOnce(io::Error) -> BuildError + use<> {
        self.copier.failed(path)
    }
}

/// Gives an open file or folder its mode and time.
fn dress(fd: impl AsFd, piece: &Piece) -> Result<(), Errno> {
    rustix::fs::fchmod(&fd, Mode::from_raw_mode(piece.mode & 0o7777))?;
    rustix::fs::futimens(&fd, &times(piece.look))
}

/// The time of what was listed; what we made has the same in every build.
fn times(look: Look) -> Timestamps {
    let made = (i64::try_from(cpio::EPOCH).unwrap_or(0), 0);
    let (tv_sec, tv_nsec) = if look == Look::default() { made } else { look.modified() };
    let time = Timespec { tv_sec, tv_nsec };
    Timestamps { last_access: time, last_modification: time }
}

/// Puts `block` behind the `profiledef.sh` in `profile`, or in its place.
pub(super) fn extend(profile: &Path, block: &[u8], keep: bool, stage: StageName) -> Result<(), BuildError> {
    if block.is_empty() {
        return Ok(());
    }
    let file = profile.join(DEFINITION);
    let refuse = |why| BuildError::assembly(stage)(AssemblyError::NotExtended { file: file.clone(), why });
    let opened = |e: Errno| BuildError::io(stage, "open", &file)(e.into());
    let folder = rustix::fs::open(profile, FOLDER, Mode::empty()).map_err(opened)?;
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let old = match rustix::fs::openat(&folder, DEFINITION, flags, Mode::empty()) {
        Err(Errno::LOOP) => return Err(refuse("is a link")),
        other => File::from(other.map_err(opened)?),
    };
    let reading = || BuildError::io(stage, "read", &file);
    let meta = old.metadata().map_err(reading())?;
    if !meta.is_file() {
        return Err(refuse("is no regular file"));
    }
    let mut text = Vec::new();
    (&old).take(DEFINITION_SIZE + 1).read_to_end(&mut text).map_err(reading())?;
    if text.len() as u64 > DEFINITION_SIZE {
        return Err(refuse("is larger than 1 MiB"));
    }
    if !keep {
        text.clear();
    }
    text.extend(block);
    // A file of its own takes the other's place: that one may be write-protected.
    let replace = || -> io::Result<()> {
        let new = File::from(rustix::fs::openat(&folder, DRAFT, NEW, Mode::RUSR | Mode::WUSR)?);
        (&new).write_all(&text)?;
        rustix::fs::fchmod(&new, Mode::from_raw_mode(meta.mode() & 0o7777))?;
        let time = Timespec { tv_sec: meta.mtime(), tv_nsec: meta.mtime_nsec() };
        rustix::fs::futimens(&new, &Timestamps { last_access: time, last_modification: time })?;
        Ok(rustix::fs::renameat(&folder, DRAFT, &folder, DEFINITION)?)
    };
    replace().map_err(|e| {
        let _ = rustix::fs::unlinkat(&folder, DRAFT, AtFlags::empty());
        BuildError::write(stage, &file, text.len() as u64)(e)
    })
}
