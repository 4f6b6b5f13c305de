//! Writes an image to a disk that is open, and reads it back from the medium.
//!
//! Requests go around the page cache both ways (`O_DIRECT`), so what is read is what the disk has, not what we remember; between
//! writing and reading the disk is told to empty its own cache. Each part's hash is kept while it is written, and what is read
//! must have the same. The head comes last, when all the rest is proven (see `layout`).

use std::io;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use cartridge_disks::{Disk, Tree, Wanted};
use rustix::io::Errno;

use super::buffer::Buffer;
use super::error::DeployError;
use super::image::DiskImage;
use super::layout::{CHUNK, Layout, chunks};
use super::{DeployStage, DeployStep};
use crate::Cancel;

/// How long after an error it is watched whether the disk goes: the kernel tells of the error first.
const GOING: Duration = Duration::from_secs(3);

/// Writes `image` to `disk`, which `fd` is, and proves it.
pub(super) fn write(
    fd: &OwnedFd,
    disk: &Disk,
    image: &DiskImage,
    tree: &Tree,
    cancel: &Cancel,
    tell: &mut dyn FnMut(DeployStep),
) -> Result<(), DeployError> {
    let layout = Layout::new(image.bytes(), disk.bytes, disk.block);
    let mut buffer = Buffer::new(usize::try_from(CHUNK).unwrap_or(usize::MAX));
    let mut head = Buffer::new(usize::try_from(layout.head.end).unwrap_or(usize::MAX));
    let head = head.first(layout.head.end);
    image.read(0, head).map_err(|error| DeployError::Before(Box::new(error)))?;
    let target = Target { fd, wanted: Wanted::of(disk), tree };
    let stop = |touched| if cancel.is_cancelled() { Err(DeployError::Cancelled { touched }) } else { Ok(()) };
    stop(false)?;

    let written = (|| {
        let cleared = buffer.first(layout.head.end);
        target.write(&layout.head, cleared, 0)?;
        // What an older table or RAID has there must be gone too, however this ends.
        for chunk in chunks(&layout.tail) {
            target.write(&chunk, buffer.first(chunk.end - chunk.start), 0)?;
        }
        let mut sums = Vec::new();
        let total = layout.total();
        tell(DeployStep { stage: DeployStage::Writing, done: layout.head.end, total });
        for chunk in chunks(&layout.body) {
            stop(true)?;
            let bytes = buffer.first(chunk.end - chunk.start);
            image.read(chunk.start, bytes)?;
            sums.push(blake3::hash(bytes));
            target.write(&chunk, bytes, chunk.start)?;
            tell(DeployStep { stage: DeployStage::Writing, done: chunk.end, total });
        }
        target.sync(total)?;
        image.unchanged()?;

        let mut done = 0;
        tell(DeployStep { stage: DeployStage::Verifying, done, total });
        for (chunk, sum) in chunks(&layout.body).zip(sums) {
            stop(true)?;
            let bytes = buffer.first(chunk.end - chunk.start);
            target.read(&chunk, bytes, total)?;
            if blake3::hash(bytes) != sum {
                return Err(target.differs(&chunk));
            }
            done += chunk.end - chunk.start;
            tell(DeployStep { stage: DeployStage::Verifying, done, total });
        }
        stop(true)?;
        // Also what was not written into while the body was read back.
        image.unchanged()
    })();
    if written.is_err() {
        // What is left must be as empty as it says: also in the disk's own cache.
        let _ = rustix::fs::fsync(fd);
    }
    written?;

    // What makes it start comes alone and last: a disk that is pulled before has nothing to begin with.
    let total = layout.total();
    let (starts, rest) = head.split_at(usize::try_from(layout.starts().end).unwrap_or(usize::MAX).min(head.len()));
    let after = layout.starts().end..layout.head.end;
    let proven = target.write(&after, rest, total).and_then(|()| target.sync(total));
    let proven = proven.and_then(|()| target.write(&layout.starts(), starts, total));
    let proven = proven.and_then(|()| target.sync(total)).and_then(|()| {
        let bytes = buffer.first(layout.head.end);
        target.read(&layout.head, bytes, total)?;
        if bytes == head { Ok(()) } else { Err(target.differs(&layout.head)) }
    });
    if proven.is_err() {
        let bytes = buffer.first(layout.head.end);
        bytes.fill(0);
        let _ = target.write(&layout.head, bytes, layout.total()).and_then(|()| target.sync(layout.total()));
    }
    proven?;
    tell(DeployStep { stage: DeployStage::Verifying, done: layout.total(), total: layout.total() });
    Ok(())
}

/// The disk.
struct Target<'a> {
    fd: &'a OwnedFd,
    wanted: Wanted,
    tree: &'a Tree,
}

impl Target<'_> {
    /// Writes all of `bytes` to `range`. `written` of the image is on the disk before.
    fn write(&self, range: &Range<u64>, bytes: &[u8], written: u64) -> Result<(), DeployError> {
        let mut at = 0;
        while at < bytes.len() {
            match rustix::io::pwrite(self.fd, &bytes[at..], range.start + at as u64) {
                Ok(0) => {
                    return Err(self.write_failed(range.start + at as u64, io::ErrorKind::WriteZero.into(), written));
                }
                Ok(count) => at += count,
                Err(Errno::INTR) => {}
                Err(errno) => return Err(self.write_failed(range.start + at as u64, errno.into(), written)),
            }
        }
        Ok(())
    }

    /// Reads all of `range` into `bytes`.
    fn read(&self, range: &Range<u64>, bytes: &mut [u8], written: u64) -> Result<(), DeployError> {
        let mut at = 0;
        while at < bytes.len() {
            let source = match rustix::io::pread(self.fd, &mut bytes[at..], range.start + at as u64) {
                Ok(0) => io::ErrorKind::UnexpectedEof.into(),
                Ok(count) => {
                    at += count;
                    continue;
                }
                Err(Errno::INTR) => continue,
                Err(errno) => errno.into(),
            };
            self.not_pulled(written)?;
            return Err(DeployError::Read { name: self.wanted.name.clone(), at: range.start + at as u64, source });
        }
        Ok(())
    }

    /// Waits until the disk has everything, its own cache emptied.
    fn sync(&self, written: u64) -> Result<(), DeployError> {
        rustix::io::retry_on_intr(|| rustix::fs::fsync(self.fd))
            .map_err(|errno| self.write_failed(written, errno.into(), written))
    }

    fn write_failed(&self, at: u64, source: io::Error, written: u64) -> DeployError {
        match self.not_pulled(written) {
            Err(pulled) => pulled,
            Ok(()) => DeployError::Write { name: self.wanted.name.clone(), at, source },
        }
    }

    /// After an error: whether it is because the disk has gone.
    fn not_pulled(&self, written: u64) -> Result<(), DeployError> {
        let end = Instant::now() + GOING;
        while self.wanted.is_there(self.tree) {
            if Instant::now() >= end {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Err(DeployError::Pulled { name: self.wanted.name.clone(), written })
    }

    fn differs(&self, range: &Range<u64>) -> DeployError {
        DeployError::Differs { name: self.wanted.name.clone(), from: range.start, to: range.end }
    }
}
