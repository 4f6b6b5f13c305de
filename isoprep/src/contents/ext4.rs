//! The ext4 image inside a squashfs that archiso's `ext4+squashfs` makes, read with the crate ext4-view.

use std::cell::RefCell;
use std::error::Error;
use std::io::{self, Read};
use std::rc::Rc;

use cartridge_treehash::TreeHash;
use ext4_view::{Ext4, Ext4Error, Ext4Read, File, FileType, PathBuf};

use super::error::Fault;
use super::model::{Entry, Kind};
use super::region::fault;
use super::squashfs::{Layout, Squashfs};
use super::tree_path::TreePath;
use super::volume::{Listing, Node, Volume, Wanted, guarded, hash_reader};
use super::watch::{Counter, Reading, Watch};

/// Where ext4 has its magic number (ext4(5)), and what it is.
const MAGIC_AT: u64 = 0x438;
const MAGIC: [u8; 2] = [0x53, 0xef];

/// An ext4 in a file of a squashfs.
pub(super) struct Ext4InSquashfs {
    ext4: Ext4,
    /// The size of the squashfs, bytes.
    packed: u64,
    /// What went wrong below the crate, which tells it as text.
    below: Rc<RefCell<Option<Fault>>>,
    /// Paths of files, by node.
    files: RefCell<Vec<PathBuf>>,
}

struct Image {
    squashfs: Squashfs,
    layout: Layout,
    below: Rc<RefCell<Option<Fault>>>,
}

impl Ext4Read for Image {
    fn read(&mut self, start: u64, buffer: &mut [u8]) -> Result<(), Box<dyn Error + Send + Sync>> {
        self.squashfs.read_at(&self.layout, buffer, start).map_err(|fault| {
            let told = fault.to_string().into();
            *self.below.borrow_mut() = Some(fault);
            told
        })
    }
}

impl Ext4InSquashfs {
    /// Opens the file `node` of a squashfs; gives the squashfs back if that is no ext4.
    pub(super) fn open(squashfs: Squashfs, node: Node) -> Result<Result<Self, Squashfs>, Fault> {
        let layout = squashfs.layout(node)?;
        let mut magic = [0; 2];
        if layout.size < MAGIC_AT + 2 {
            return Ok(Err(squashfs));
        }
        squashfs.read_at(&layout, &mut magic, MAGIC_AT)?;
        if magic != MAGIC {
            return Ok(Err(squashfs));
        }
        let (below, packed) = (Rc::default(), squashfs.packed());
        let image = Image { squashfs, layout, below: Rc::clone(&below) };
        let ext4 = guarded(|| Ext4::load(Box::new(image)).map_err(|error| told(&below, &error)))?;
        Ok(Ok(Self { ext4, packed, below, files: RefCell::default() }))
    }

    fn told(&self, error: Ext4Error) -> Fault {
        told(&self.below, &error)
    }

    fn file(&self, node: Node) -> Result<Content<'_>, Fault> {
        let path = self.files.borrow().get(usize::try_from(node).unwrap_or(usize::MAX)).cloned();
        let path = path.ok_or_else(|| Fault::damaged("no such file"))?;
        let file = self.ext4.open(&path).map_err(|error| self.told(error))?;
        Ok(Content { file, of: self })
    }
}

fn told(below: &RefCell<Option<Fault>>, error: &Ext4Error) -> Fault {
    match (below.take(), error) {
        (Some(fault), _) => fault,
        (None, Ext4Error::Incompatible(what)) => {
            Fault::unsupported(format!("its ext4 uses what is not read: {what}; its files are not compared"))
        }
        (None, other) => Fault::damaged(other.to_string()),
    }
}

/// Reads a file from front to back.
struct Content<'a> {
    file: File,
    of: &'a Ext4InSquashfs,
}

impl Read for Content<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read_bytes(buffer).map_err(|error| io::Error::other(self.of.told(error)))
    }
}

impl Volume for Ext4InSquashfs {
    fn list(&self, watch: &Watch<'_>) -> Result<Listing, Fault> {
        guarded(|| {
            let counter = watch.counter(Reading::Listing, None);
            let mut listing = Listing::of(self.packed);
            let mut files = Vec::new();
            let root = self.ext4.metadata("/").map_err(|error| self.told(error))?;
            let owned = |kind, found: &ext4_view::Metadata| Entry {
                uid: found.uid(),
                gid: found.gid(),
                ..Entry::new(kind, found.mode().into())
            };
            listing.add(TreePath::default(), owned(Kind::Directory, &root), 0)?;
            let mut todo = vec![TreePath::default()];
            while let Some(dir) = todo.pop() {
                let place = [b"/", dir.as_bytes()].concat();
                for found in self.ext4.read_dir(place.as_slice()).map_err(|error| self.told(error))? {
                    counter.add(1)?;
                    let found = found.map_err(|error| self.told(error))?;
                    let name = found.file_name();
                    let name: &[u8] = name.as_ref();
                    if name == b"." || name == b".." {
                        continue;
                    }
                    let child = Listing::path(&dir, name)?;
                    let metadata = found.metadata().map_err(|error| self.told(error))?;
                    let kind = match metadata.file_type() {
                        FileType::Directory => {
                            todo.push(child.clone());
                            Kind::Directory
                        }
                        FileType::Regular => Kind::file(metadata.len()),
                        FileType::Symlink => {
                            let target = self.ext4.read_link(&found.path()).map_err(|error| self.told(error))?;
                            Kind::Symlink { target: TreePath::new(target.as_ref() as &[u8]) }
                        }
                        FileType::CharacterDevice => Kind::Character(None),
                        FileType::BlockDevice => Kind::Block(None),
                        FileType::Fifo => Kind::Fifo,
                        FileType::Socket => Kind::Socket,
                    };
                    let entry = owned(kind, &metadata);
                    listing.add(child, entry, files.len() as u64)?;
                    files.push(found.path());
                }
            }
            *self.files.borrow_mut() = files;
            Ok(listing)
        })
    }

    fn read(&self, node: Node, limit: u64) -> Result<Vec<u8>, Fault> {
        guarded(|| {
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
        let one = |file: &Wanted| guarded(|| hash_reader(self.file(file.node)?, file.size, counter));
        files.iter().map(one).collect()
    }
}
