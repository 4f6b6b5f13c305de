//! The EFI system partition: FAT, read with the crate fatfs, whose reads are counted because a damaged table can lead it in
//! a circle.

use std::cell::{Cell, RefCell};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::rc::Rc;

use cartridge_treehash::TreeHash;
use fatfs::{FileSystem, FsOptions};

use super::error::Fault;
use super::fields::Fields;
use super::model::{Entry, Kind};
use super::region::{self, Region, RegionReader};
use super::tree_path::TreePath;
use super::volume::{Listing, Node, Volume, Wanted, guarded, hash_reader};
use super::watch::{Counter, Reading, Watch};

/// How often the whole partition may be read through in one listing before it is a circle.
const ROUNDS: u64 = 4;
/// What a listing may read in any case, bytes.
const ALLOWED: u64 = 64 << 20;
/// The modes that Linux shows, by default, for what has none.
const DIRECTORY: u32 = 0o755;
const FILE: u32 = 0o755;

/// An EFI system partition.
pub(super) struct Esp {
    volume: FileSystem<Counted>,
    /// How many bytes may still be read.
    left: Rc<Cell<u64>>,
    size: u64,
    /// Paths of files, by node.
    files: RefCell<Vec<String>>,
}

/// Reads a region, but not for ever.
struct Counted {
    reader: io::BufReader<RegionReader>,
    left: Rc<Cell<u64>>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(buffer)?;
        let left = self.left.get().checked_sub(read as u64);
        self.left.set(left.ok_or_else(|| io::Error::other(Fault::damaged("its table leads in a circle")))?);
        Ok(read)
    }
}

impl Seek for Counted {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let SeekFrom::Start(to) = to else { return self.reader.seek(to) };
        // Keeps what is in the buffer where that is possible.
        let now = self.reader.stream_position()?;
        self.reader.seek_relative(to.cast_signed().wrapping_sub(now.cast_signed()))?;
        Ok(to)
    }
}

impl Write for Counted {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::PermissionDenied.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Esp {
    /// Opens the partition at the beginning of `region`, which may go on behind it.
    pub(super) fn open(region: &Region) -> Result<Self, Fault> {
        let size = size(&region.head(512)?)?;
        if size > region.len() {
            return Err(Fault::damaged(format!("it is cut short: {} bytes of {size}", region.len())));
        }
        let left = Rc::new(Cell::new(ALLOWED));
        let reader = io::BufReader::with_capacity(64 << 10, region.part(&[(0, size)])?.reader());
        let counted = Counted { reader, left: Rc::clone(&left) };
        let options = FsOptions::new().update_accessed_date(false);
        let volume = guarded(|| FileSystem::new(counted, options).map_err(fault))?;
        Ok(Self { volume, left, size, files: RefCell::default() })
    }

    fn allow(&self, bytes: u64) {
        self.left.set(bytes.saturating_add(ALLOWED));
    }

    /// Up to `count` bytes of the beginning of a file.
    pub(super) fn head(&self, node: Node, count: usize) -> Result<Vec<u8>, Fault> {
        guarded(|| {
            let mut bytes = Vec::new();
            self.file(node)?.take(count as u64).read_to_end(&mut bytes).map_err(fault)?;
            Ok(bytes)
        })
    }

    /// The content of a file. The crate that reads it may panic on what is damaged.
    pub(super) fn file(&self, node: Node) -> Result<impl Read + '_, Fault> {
        self.allow(self.size.saturating_mul(ROUNDS));
        let path = self.files.borrow().get(usize::try_from(node).unwrap_or(usize::MAX)).cloned();
        let path = path.ok_or_else(|| Fault::damaged("no such file"))?;
        self.volume.root_dir().open_file(&path).map_err(fault)
    }
}

/// The size that a FAT volume says it has, bytes: sectors of some size (Microsoft's FAT specification, 3.1).
fn size(boot_sector: &[u8]) -> Result<u64, Fault> {
    let mut fields = Fields::new(boot_sector, "its boot sector");
    fields.take(11)?;
    let sector = u64::from(fields.u16()?);
    fields.take(6)?;
    let few = u64::from(fields.u16()?);
    fields.take(11)?;
    let many = u64::from(fields.u32()?);
    Ok(sector * if few > 0 { few } else { many })
}

/// What an error of the crate means: one of ours, one of the system's, or that it does not like what it sees.
fn fault(error: io::Error) -> Fault {
    match region::fault(error) {
        Fault::Io(error) if error.raw_os_error().is_none() => Fault::damaged(error.to_string()),
        fault => fault,
    }
}

impl Volume for Esp {
    fn list(&self, watch: &Watch<'_>) -> Result<Listing, Fault> {
        guarded(|| {
            self.allow(self.size.saturating_mul(ROUNDS));
            let counter = watch.counter(Reading::Listing, None);
            let mut listing = Listing::of(self.size);
            let mut files = Vec::new();
            let mut todo = vec![(TreePath::default(), self.volume.root_dir())];
            while let Some((path, dir)) = todo.pop() {
                for found in dir.iter() {
                    counter.add(1)?;
                    let found = found.map_err(fault)?;
                    let name = found.file_name();
                    if name == "." || name == ".." {
                        continue;
                    }
                    let child = Listing::path(&path, name.as_bytes())?;
                    if found.is_dir() {
                        listing.add(child.clone(), Entry::new(Kind::Directory, DIRECTORY), 0)?;
                        todo.push((child, found.to_dir()));
                        continue;
                    }
                    let node = files.len() as u64;
                    files.push(String::from_utf8_lossy(child.as_bytes()).into_owned());
                    listing.add(child, Entry::new(Kind::file(found.len()), FILE), node)?;
                }
            }
            *self.files.borrow_mut() = files;
            Ok(listing)
        })
    }

    fn read(&self, node: Node, limit: u64) -> Result<Vec<u8>, Fault> {
        guarded(|| {
            self.allow(limit.saturating_mul(ROUNDS));
            let mut bytes = Vec::new();
            self.file(node)?.take(limit + 1).read_to_end(&mut bytes).map_err(fault)?;
            if bytes.len() as u64 > limit {
                return Err(Fault::TooMuch { what: "bytes in a file that is read whole", limit });
            }
            Ok(bytes)
        })
    }

    fn hash(&self, files: &[Wanted], counter: &Counter<'_>) -> Result<Vec<TreeHash>, Fault> {
        // The crate reads with one thread.
        let one = |file: &Wanted| {
            self.allow(file.size.saturating_mul(ROUNDS));
            guarded(|| hash_reader(self.file(file.node)?, file.size, counter))
        };
        files.iter().map(one).collect()
    }
}
