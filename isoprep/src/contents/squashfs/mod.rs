//! A reader of squashfs 4.0: lists a root image in a moment, tells which files are equal without unpacking them, and hashes
//! the rest on all processors. Nothing is mounted and nothing is written.
//!
//! Written here because the crate at hand (backhand) reads no extended attributes, where file capabilities are, recurses as
//! deep as an image asks it to, and unpacks everything. The format is described by the kernel's
//! `Documentation/filesystems/squashfs.rst` and field by field in <https://dr-emann.github.io/squashfs/>.

mod attributes;
mod codec;
mod data;
mod directory;
mod inode;
mod metadata;
mod superblock;

pub(super) use attributes::shown as shown_attribute;
pub(super) use data::Layout;

use std::collections::HashMap;

use cartridge_treehash::TreeHash;

use self::attributes::AttributeTable;
use self::data::Data;
use self::inode::{Inode, Shape};
use self::metadata::{Metadata, Table};
use self::superblock::Superblock;
use super::error::Fault;
use super::model::{Content, Entry, Kind};
use super::region::Region;
use super::tree_path::{LONGEST_PATH, TreePath};
use super::volume::{Listing, Node, Volume, Wanted, in_parallel};
use super::watch::{Counter, Reading, Watch};

/// The largest fragment table that is read, entries.
const MOST_FRAGMENTS: u32 = 4 << 20;

/// A squashfs in an image.
pub(super) struct Squashfs {
    superblock: Superblock,
    metadata: Metadata,
    /// Users and groups, by index.
    ids: Vec<u32>,
    attributes: Option<AttributeTable>,
    data: Data,
}

impl Squashfs {
    /// Whether a file that begins like this is one.
    pub(super) fn is_one(head: &[u8]) -> bool {
        head.starts_with(&superblock::MAGIC)
    }

    pub(super) fn open(region: Region) -> Result<Self, Fault> {
        let head = region.head(superblock::SIZE)?;
        let superblock = Superblock::parse(&head)?;
        if superblock.bytes_used > region.len() {
            let why = format!("it is cut short: {} bytes of {}", region.len(), superblock.bytes_used);
            return Err(Fault::damaged(why));
        }
        let metadata = Metadata::new(region.clone(), superblock.compressor);
        let table = |what, start, entry_size, count| Table { what, start, entry_size, count };
        let ids =
            metadata.table(&table("the table of owners", superblock.id_table, 4, u32::from(superblock.id_count)))?;
        let ids = ids.chunks_exact(4).map(|id| u32::from_le_bytes([id[0], id[1], id[2], id[3]])).collect();
        if superblock.fragment_count > MOST_FRAGMENTS {
            return Err(Fault::TooMuch { what: "fragments", limit: MOST_FRAGMENTS.into() });
        }
        let fragments = table("the table of fragments", superblock.fragment_table, 16, superblock.fragment_count);
        let fragments = metadata.table(&fragments)?;
        let attributes = AttributeTable::read(&region, &metadata, superblock.attribute_table)?;
        let data = Data::new(region, &superblock, &fragments)?;
        Ok(Self { superblock, metadata, ids, attributes, data })
    }

    /// How it is compressed, for people.
    pub(super) fn compression(&self) -> String {
        format!("{}, blocks of {} KiB", self.superblock.compressor.word(), self.superblock.block_size >> 10)
    }

    /// Its size, bytes.
    pub(super) fn packed(&self) -> u64 {
        self.superblock.bytes_used
    }

    /// Fills `buffer` with the content of a file from `offset` on.
    pub(super) fn read_at(&self, layout: &Layout, buffer: &mut [u8], offset: u64) -> Result<(), Fault> {
        self.data.read_at(layout, buffer, offset)
    }

    /// Where the content of a file lies.
    pub(super) fn layout(&self, node: Node) -> Result<Layout, Fault> {
        let (inode, mut rest) = Inode::read(&self.metadata, self.superblock.inode_table, node)?;
        match inode.shape {
            Shape::File(file) => Layout::read(file, &mut rest, self.superblock.block_size),
            _ => Err(Fault::damaged("an entry that was a file is none")),
        }
    }

    fn entry(&self, inode: &Inode, kind: Kind) -> Result<Entry, Fault> {
        let id = |index: u16| {
            let id = self.ids.get(usize::from(index)).copied();
            id.ok_or_else(|| Fault::damaged("an entry has an owner that the table of owners has not"))
        };
        let attributes = match (&self.attributes, inode.attributes) {
            (Some(table), Some(index)) => table.get(&self.metadata, index)?,
            _ => std::collections::BTreeMap::new(),
        };
        let (uid, gid) = (id(inode.uid)?, id(inode.gid)?);
        Ok(Entry { uid, gid, attributes: Some(attributes), ..Entry::new(kind, u32::from(inode.mode)) })
    }

    /// Lays out files, and says for each wanted one which layout it has: hard links share one.
    fn layouts(&self, files: &[Wanted]) -> Result<(Vec<Layout>, Vec<usize>), Fault> {
        let mut known = HashMap::new();
        let mut layouts = Vec::new();
        let mut of = Vec::with_capacity(files.len());
        for file in files {
            let index = match known.get(&file.node) {
                Some(index) => *index,
                None => {
                    layouts.push(self.layout(file.node)?);
                    known.insert(file.node, layouts.len() - 1);
                    layouts.len() - 1
                }
            };
            of.push(index);
        }
        Ok((layouts, of))
    }
}

impl Volume for Squashfs {
    fn list(&self, watch: &Watch<'_>) -> Result<Listing, Fault> {
        let counter = watch.counter(Reading::Listing, Some(u64::from(self.superblock.inode_count)));
        let mut listing = Listing::of(self.superblock.bytes_used);
        let root = self.superblock.root;
        let (inode, _) = Inode::read(&self.metadata, self.superblock.inode_table, root)?;
        let Shape::Directory(first) = inode.shape else {
            return Err(Fault::damaged("its root is no directory"));
        };
        listing.add(TreePath::default(), self.entry(&inode, Kind::Directory)?, root)?;
        let mut todo = vec![(TreePath::default(), first)];
        while let Some((path, dir)) = todo.pop() {
            directory::entries(&self.metadata, self.superblock.directory_table, &dir, |name, node| {
                counter.add(1)?;
                let child = Listing::path(&path, name)?;
                let (inode, mut rest) = Inode::read(&self.metadata, self.superblock.inode_table, node)?;
                let kind = match inode.shape {
                    Shape::Directory(dir) => {
                        todo.push((child.clone(), dir));
                        Kind::Directory
                    }
                    Shape::File(file) => Kind::file(file.size),
                    Shape::Symlink { target } => {
                        let mut bytes = vec![0; usize::try_from(target).unwrap_or(usize::MAX).min(LONGEST_PATH + 1)];
                        if bytes.len() > LONGEST_PATH {
                            return Err(Fault::damaged(format!("\"{child}\" links further than any path goes")));
                        }
                        rest.fill(&mut bytes)?;
                        Kind::Symlink { target: TreePath::new(bytes) }
                    }
                    Shape::Character(number) => Kind::Character(Some(number)),
                    Shape::Block(number) => Kind::Block(Some(number)),
                    Shape::Fifo => Kind::Fifo,
                    Shape::Socket => Kind::Socket,
                };
                // A link's attributes follow its target.
                let mut inode = inode;
                if let (Kind::Symlink { .. }, true) = (&kind, inode.attributes_follow) {
                    inode.attributes = inode::attribute_index(&mut rest)?;
                }
                listing.add(child, self.entry(&inode, kind)?, node)
            })?;
        }
        Ok(listing)
    }

    fn read(&self, node: Node, limit: u64) -> Result<Vec<u8>, Fault> {
        let layout = self.layout(node)?;
        if layout.size > limit {
            return Err(Fault::TooMuch { what: "bytes in a file that is read whole", limit });
        }
        let mut bytes = vec![0; usize::try_from(layout.size).unwrap_or(0)];
        self.data.read_at(&layout, &mut bytes, 0)?;
        Ok(bytes)
    }

    fn hash(&self, files: &[Wanted], counter: &Counter<'_>) -> Result<Vec<TreeHash>, Fault> {
        let (layouts, of) = self.layouts(files)?;
        let mut hashes = vec![TreeHash([0; 32]); layouts.len()];
        let jobs = data::jobs(&layouts);
        let done = in_parallel(jobs.len(), |at| self.data.hash(&layouts, &jobs[at], counter))?;
        for (index, hash) in done.into_iter().flatten() {
            hashes[index] = hash;
        }
        Ok(of.into_iter().map(|index| hashes[index]).collect())
    }

    fn fingerprint(&self, files: &[Wanted], counter: &Counter<'_>) -> Result<Vec<Content>, Fault> {
        let (layouts, of) = self.layouts(files)?;
        let mut contents = vec![Content::default(); layouts.len()];
        let jobs = data::jobs(&layouts);
        let done = in_parallel(jobs.len(), |at| self.data.fingerprint(&layouts, &jobs[at], counter))?;
        for (index, content) in done.into_iter().flatten() {
            contents[index] = content;
        }
        Ok(of.into_iter().map(|index| contents[index]).collect())
    }
}
