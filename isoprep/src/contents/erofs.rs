//! EROFS root images, read with the crate erofs-rs: it bounds what it reads, and knows every compressor that archiso may
//! be told to use. Its asynchronous side is used because it reads through a function of ours instead of a mapping, which a
//! file that is cut while it is read would turn into a SIGBUS.

use std::collections::BTreeMap;
use std::future::Future;
use std::io::{self, Read};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use cartridge_treehash::TreeHash;
use erofs_rs::r#async::{EroFS, File};
use erofs_rs::backend::AsyncImage;
use erofs_rs::types::{Inode, MAGIC_NUMBER, SUPER_BLOCK_OFFSET};

use super::error::Fault;
use super::model::{Entry, Kind};
use super::region::{Region, fault};
use super::squashfs::shown_attribute;
use super::tree_path::{LONGEST_PATH, TreePath};
use super::volume::{Listing, Node, Volume, Wanted, guarded, hash_reader, in_parallel};
use super::watch::{Counter, Reading, Watch};

/// An EROFS in an image.
pub(super) struct Erofs {
    image: EroFS<Image>,
    /// Its size, bytes.
    packed: u64,
}

struct Image(Region);

impl AsyncImage for Image {
    async fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> erofs_rs::Result<()> {
        self.0.read_at(buffer, offset).map_err(|fault| io::Error::other(fault).into())
    }
}

/// What a future of the crate gives: nothing in it ever waits, since our reads do not.
fn now<T>(future: impl Future<Output = erofs_rs::Result<T>>) -> Result<T, Fault> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result.map_err(told),
        Poll::Pending => Err(Fault::Io(io::Error::other("a read that cannot wait waits"))),
    }
}

fn told(error: erofs_rs::Error) -> Fault {
    match error {
        erofs_rs::Error::Io(error) => fault(error),
        erofs_rs::Error::NotSupported(what) => {
            Fault::unsupported(format!("it uses what is not read: {what}; its files are not compared"))
        }
        other => Fault::damaged(other.to_string()),
    }
}

impl Erofs {
    /// Whether a file that begins like this is one.
    pub(super) fn is_one(head: &[u8]) -> bool {
        let at = usize::try_from(SUPER_BLOCK_OFFSET).unwrap_or(usize::MAX);
        head.get(at..).is_some_and(|rest| rest.starts_with(&MAGIC_NUMBER.to_le_bytes()))
    }

    pub(super) fn open(region: Region) -> Result<Self, Fault> {
        let packed = region.len();
        guarded(|| now(EroFS::new(Image(region)))).map(|image| Self { image, packed })
    }

    /// How it is compressed, for people.
    pub(super) fn compression(&self) -> String {
        /// The flag of an image that tells its algorithms (`EROFS_FEATURE_INCOMPAT_COMPR_CFGS`); one without has lz4,
        /// if it says that its lz4 blocks have no padding in front, else none.
        const ALGORITHMS: u32 = 2;
        const LZ4: u32 = 1;
        let superblock = self.image.super_block();
        let names = ["lz4", "lzma", "deflate", "zstd"];
        let known = if superblock.feature_incompat & ALGORITHMS != 0 {
            superblock.compr_algs
        } else {
            u16::from(superblock.feature_incompat & LZ4 != 0)
        };
        let named: Vec<_> = (0..names.len()).filter(|bit| known >> bit & 1 != 0).map(|bit| names[bit]).collect();
        if named.is_empty() { "not compressed".to_owned() } else { named.join(" and ") }
    }

    fn entry(&self, inode: Inode) -> Result<Entry, Fault> {
        let numbers = inode.device();
        let kind = inode.file_type();
        let kind = if kind.is_dir() {
            Kind::Directory
        } else if kind.is_file() {
            Kind::file(inode.data_size())
        } else if kind.is_symlink() {
            if inode.data_size() > LONGEST_PATH as u64 {
                return Err(Fault::damaged("a link goes further than any path"));
            }
            let target = now(self.image.read_link_inode(inode))?;
            Kind::Symlink { target: TreePath::new(target.as_bytes()) }
        } else if kind.is_char_device() {
            Kind::Character(numbers)
        } else if kind.is_block_device() {
            Kind::Block(numbers)
        } else if kind.is_fifo() {
            Kind::Fifo
        } else {
            Kind::Socket
        };
        let attributes: BTreeMap<_, _> = if inode.xattr_size() == 0 {
            BTreeMap::new()
        } else {
            let found = now(self.image.xattrs_inode(inode))?;
            found.into_iter().map(|(name, value)| (TreePath::new(name).to_string(), shown_attribute(&value))).collect()
        };
        let mode = std::os::unix::fs::PermissionsExt::mode(&inode.permissions());
        Ok(Entry { uid: inode.uid(), gid: inode.gid(), attributes: Some(attributes), ..Entry::new(kind, mode) })
    }

    fn file(&self, node: Node) -> Result<Content<'_>, Fault> {
        let inode = now(self.image.get_inode(node))?;
        Ok(Content(self.image.open_inode_file(inode).map_err(told)?))
    }
}

/// Reads a file from front to back.
struct Content<'a>(File<'a, Image>);

impl Read for Content<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        now(self.0.read(buffer)).map_err(io::Error::other)
    }
}

impl Volume for Erofs {
    fn list(&self, watch: &Watch<'_>) -> Result<Listing, Fault> {
        guarded(|| {
            let counter = watch.counter(Reading::Listing, Some(self.image.super_block().inos));
            let mut listing = Listing::of(self.packed);
            let root = now(self.image.get_inode(self.image.super_block().root_inode_id()))?;
            listing.add(TreePath::default(), self.entry(root)?, root.id())?;
            let mut walk = now(self.image.walk_dir("/"))?;
            while let Some(found) = now(async { walk.next_entry().await.transpose() })? {
                counter.add(1)?;
                let path = TreePath::new(found.dir_entry.path().as_bytes().strip_prefix(b"/").unwrap_or_default());
                let path = Listing::path(&path.parent(), path.name())?;
                listing.add(path, self.entry(found.inode)?, found.inode.id())?;
            }
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
        in_parallel(files.len(), |at| guarded(|| hash_reader(self.file(files[at].node)?, files[at].size, counter)))
    }
}
