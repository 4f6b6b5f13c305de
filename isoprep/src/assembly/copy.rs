//! Copies the content of one file the quickest way that the file systems allow: shared blocks, a copy within the
//! kernel, or reading and writing.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use crate::build::{BuildError, room_for};
use crate::cache::stat_index::Look;
use crate::progress::{Meter, Reporter};
use crate::stage::hashing;

/// How much is copied between two looks at whether to stop, bytes.
const STEP: usize = 8 << 20;

/// The ways, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Way {
    /// Both files share their blocks (`FICLONE`): Btrfs, XFS, bcachefs.
    Clone,
    /// `copy_file_range(2)`.
    Kernel,
    /// Read and write.
    Plain,
}

/// Copies files into one file system.
pub(super) struct Copier<'a> {
    target: &'a Path,
    reporter: &'a Reporter<'a>,
    /// The file that is being written, relative to the target.
    at: PathBuf,
    meter: Meter<'a>,
    /// The best way that worked, by the device that is copied from.
    ways: BTreeMap<u64, Way>,
    best: Way,
    /// Bytes still to come, at most.
    left: u64,
    /// Whether room for them was asked for: cloned files need none.
    asked: bool,
}

impl<'a> Copier<'a> {
    /// For `total` bytes that go into `target`.
    pub(super) fn new(target: &'a Path, total: u64, best: Way, reporter: &'a Reporter<'a>) -> Self {
        let (meter, ways) = (Meter::new(reporter, total), BTreeMap::new());
        Self { target, reporter, at: PathBuf::new(), meter, ways, best, left: total, asked: false }
    }

    /// Copies `from`, which has to look like `look`, before and afterwards: it is what was hashed, or an error.
    /// `to` is `path` in the target.
    pub(super) fn copy(&mut self, from: &Path, look: Look, (to, path): (&File, &Path)) -> Result<(), BuildError> {
        let stage = self.reporter.stage;
        let changed = || BuildError::Changed { stage, path: from.to_path_buf() };
        let source = hashing::open(from).map_err(BuildError::io(stage, "read", from))?;
        let looks = || source.metadata().map_err(BuildError::io(stage, "look at", from));
        let meta = looks()?;
        if Look::of(&meta) != look {
            return Err(changed());
        }
        path.clone_into(&mut self.at);
        let copied = if meta.len() == 0 { 0 } else { self.bytes(&source, (from, meta.dev(), meta.len()), to)? };
        self.left = self.left.saturating_sub(meta.len());
        if copied == meta.len() && Look::of(&looks()?) == look { Ok(()) } else { Err(changed()) }
    }

    /// Writes a text to `to`, which is `path` in the target.
    pub(super) fn text(&mut self, text: &[u8], (mut to, path): (&File, &Path)) -> Result<(), BuildError> {
        path.clone_into(&mut self.at);
        to.write_all(text).map_err(self.failed(&self.at))?;
        self.meter.add(text.len() as u64);
        self.left = self.left.saturating_sub(text.len() as u64);
        Ok(())
    }

    fn bytes(&mut self, source: &File, (from, device, size): (&Path, u64, u64), to: &File) -> Result<u64, BuildError> {
        let mut way = *self.ways.entry(device).or_insert(self.best);
        if way == Way::Clone {
            match rustix::fs::ioctl_ficlone(to, source) {
                Ok(()) => {
                    self.meter.add(size);
                    return Ok(size);
                }
                Err(e @ (Errno::NOSPC | Errno::DQUOT)) => return Err(self.failed(&self.at)(e.into())),
                Err(_) => way = Way::Kernel,
            }
        }
        self.ask()?;
        let mut done = 0;
        if way == Way::Kernel {
            (done, way) = self.within_kernel(source, size, to)?;
        }
        self.ways.insert(device, way);
        if done < size {
            done += self.by_reading(source, (from, done), to)?;
        }
        Ok(done)
    }

    /// Says how much was copied, and whether this way goes on to be taken.
    fn within_kernel(&mut self, source: &File, size: u64, to: &File) -> Result<(u64, Way), BuildError> {
        let mut done = 0;
        while done < size {
            self.reporter.go_on()?;
            let step = usize::try_from(size - done).unwrap_or(STEP).min(STEP);
            match rustix::fs::copy_file_range(source, Some(&mut done.clone()), to, Some(&mut done.clone()), step) {
                Ok(0) => return Ok((done, Way::Kernel)),
                Ok(copied) => {
                    done += copied as u64;
                    self.meter.add(copied as u64);
                }
                Err(Errno::INTR) => {}
                Err(e @ (Errno::NOSPC | Errno::DQUOT | Errno::FBIG)) => return Err(self.failed(&self.at)(e.into())),
                // Two file systems, one that cannot, or a kernel that must not: what is left is read, which tells why.
                Err(_) => return Ok((done, Way::Plain)),
            }
        }
        Ok((done, Way::Kernel))
    }

    fn by_reading(&mut self, mut source: &File, (from, at): (&Path, u64), mut to: &File) -> Result<u64, BuildError> {
        let stage = self.reporter.stage;
        if at > 0 {
            source.seek(SeekFrom::Start(at)).map_err(BuildError::io(stage, "read", from))?;
            to.seek(SeekFrom::Start(at)).map_err(self.failed(&self.at))?;
        }
        let mut chunk = vec![0; 256 << 10];
        let mut done = 0;
        loop {
            self.reporter.go_on()?;
            match source.read(&mut chunk) {
                Ok(0) => return Ok(done),
                Ok(read) => {
                    to.write_all(&chunk[..read]).map_err(self.failed(&self.at))?;
                    done += read as u64;
                    self.meter.add(read as u64);
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(BuildError::io(stage, "read", from)(e)),
            }
        }
    }

    /// Makes sure once that there is room for all that is left.
    fn ask(&mut self) -> Result<(), BuildError> {
        if std::mem::replace(&mut self.asked, true) {
            return Ok(());
        }
        room_for(self.reporter.stage, self.target, self.left)
    }

    /// For an error of writing `path`, relative to the target.
    pub(super) fn failed(&self, path: &Path) -> impl FnOnce(io::Error) -> BuildError + use<> {
        let (stage, target, left) = (self.reporter.stage, self.target.to_path_buf(), self.left);
        let path = target.join(path);
        move |error| match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                // Room is told for the whole folder, as it was asked for.
                BuildError::write(stage, &target.join("_"), left)(error)
            }
            _ => BuildError::io(stage, "write", &path)(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use cartridge_treehash::hash_tree;

    use super::*;
    use crate::Cancel;
    use crate::assembly::{Ingredients, prepare, write};

    #[test]
    fn every_way_copies_the_same_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let base = dir.path().join("base");
        fs::create_dir(&base).unwrap();
        let sizes = [0, 1, 4096, STEP - 1, STEP, 2 * STEP + 7];
        for (number, size) in sizes.into_iter().enumerate() {
            let bytes: Vec<u8> = (0..size).map(|at| u8::try_from(at % 251).unwrap()).collect();
            fs::write(base.join(number.to_string()), bytes).unwrap();
        }
        fs::write(base.join("profiledef.sh"), "").unwrap();
        let cancel = Cancel::new();
        let ingredients = Ingredients { base: base.clone(), into: "/root/x".into(), ..Ingredients::default() };
        let assembly = prepare(&ingredients, &cancel, &|_| ()).unwrap();
        for way in [Way::Clone, Way::Kernel, Way::Plain] {
            let target = dir.path().join(format!("{way:?}"));
            fs::create_dir(&target).unwrap();
            let reporter = Reporter::new(crate::engine::ASSEMBLE, &cancel, &|_| ());
            write::write_by(&assembly, &target, way, &reporter).unwrap();
            assert_eq!(hash_tree(&target).unwrap(), hash_tree(&base).unwrap(), "{way:?}");
        }
    }
}
