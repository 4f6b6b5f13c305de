//! initramfs archives as they lie on the image of engine `micro`: cpio in the "newc" format, not compressed, one or more in
//! a file (`Documentation/driver-api/early-userspace/buffer-format.rst` of the kernel).

use std::cell::RefCell;
use std::collections::BTreeMap;

use cartridge_treehash::TreeHash;

use super::error::Fault;
use super::model::{Entry, Kind};
use super::region::Region;
use super::tree_path::{LONGEST_PATH, TreePath};
use super::volume::{Listing, Node, Volume, Wanted, hash_reader, in_parallel};
use super::watch::{Counter, Reading, Watch};

/// What a header begins with: without and with a checksum.
const MAGICS: [&[u8; 6]; 2] = [b"070701", b"070702"];
/// The size of a header, bytes.
const HEADER: u64 = 110;
/// The name that ends an archive.
const TRAILER: &[u8] = b"TRAILER!!!";

/// An initramfs file.
pub(super) struct Initramfs {
    region: Region,
    /// Where the content of each file begins, and its size, by node.
    files: RefCell<Vec<(u64, u64)>>,
}

/// The numbers of a header that count.
struct Header {
    mode: u32,
    uid: u32,
    gid: u32,
    size: u64,
    device: (u32, u32),
    /// The length of the name, with the NUL at its end.
    name: u64,
    /// What hard links have in common.
    inode: (u32, u32, u32),
    links: u32,
}

impl Header {
    fn parse(bytes: &[u8]) -> Result<Self, Fault> {
        let bad = || Fault::damaged("an initramfs has something else where a header should be");
        if !MAGICS.iter().any(|magic| bytes.starts_with(*magic)) {
            return Err(bad());
        }
        let field = |number: usize| {
            let digits = bytes.get(6 + number * 8..14 + number * 8).ok_or_else(bad)?;
            let text = std::str::from_utf8(digits).map_err(|_| bad())?;
            if text.starts_with('+') { Err(bad()) } else { u32::from_str_radix(text, 16).map_err(|_| bad()) }
        };
        Ok(Self {
            mode: field(1)?,
            uid: field(2)?,
            gid: field(3)?,
            size: field(6)?.into(),
            device: (field(9)?, field(10)?),
            name: field(11)?.into(),
            inode: (field(0)?, field(7)?, field(8)?),
            links: field(4)?,
        })
    }
}

impl Initramfs {
    /// Whether a file that begins like this is one.
    pub(super) fn is_one(head: &[u8]) -> bool {
        MAGICS.iter().any(|magic| head.starts_with(*magic))
    }

    pub(super) fn new(region: Region) -> Self {
        Self { region, files: RefCell::default() }
    }

    /// The place of the next header, if one follows: archives are padded with zeros.
    fn next(&self, mut at: u64) -> Result<Option<u64>, Fault> {
        let mut chunk = [0; 4096];
        while at < self.region.len() {
            let len = usize::try_from(self.region.len() - at).unwrap_or(usize::MAX).min(chunk.len());
            self.region.read_at(&mut chunk[..len], at)?;
            if let Some(zeros) = chunk[..len].iter().position(|byte| *byte != 0) {
                return Ok(Some(at + zeros as u64));
            }
            at += len as u64;
        }
        Ok(None)
    }
}

impl Volume for Initramfs {
    fn list(&self, watch: &Watch<'_>) -> Result<Listing, Fault> {
        let counter = watch.counter(Reading::Listing, None);
        let mut entries: BTreeMap<TreePath, (Entry, Node)> = BTreeMap::new();
        let mut files = Vec::new();
        // The content of hard links stands with the last of them.
        let mut links: BTreeMap<(u32, u32, u32), Vec<TreePath>> = BTreeMap::new();
        let mut at = self.next(0)?;
        while let Some(begin) = at {
            counter.add(1)?;
            let mut bytes = [0; HEADER as usize];
            self.region.read_at(&mut bytes, begin)?;
            let header = Header::parse(&bytes)?;
            if header.name == 0 || header.name > LONGEST_PATH as u64 + 1 {
                return Err(Fault::damaged("an initramfs has a name longer than any path"));
            }
            let mut name = vec![0; usize::try_from(header.name).unwrap_or(0)];
            self.region.read_at(&mut name, begin + HEADER)?;
            name.pop();
            let content = (begin + HEADER + header.name).next_multiple_of(4);
            let end = (content + header.size).next_multiple_of(4);
            if content + header.size > self.region.len() {
                return Err(Fault::damaged("an initramfs ends within a file"));
            }
            at = self.next(end)?;
            if name == TRAILER {
                links.clear();
                continue;
            }
            let Some(path) = path(&name)? else { continue };
            let kind = match header.mode & 0o170_000 {
                0o040_000 => Kind::Directory,
                0o100_000 => Kind::file(header.size),
                0o120_000 => {
                    let target = self.region.part(&[(content, header.size)])?.bytes(LONGEST_PATH as u64)?;
                    Kind::Symlink { target: TreePath::new(target) }
                }
                0o020_000 => Kind::Character(Some(header.device)),
                0o060_000 => Kind::Block(Some(header.device)),
                0o010_000 => Kind::Fifo,
                0o140_000 => Kind::Socket,
                _ => return Err(Fault::damaged(format!("\"{path}\" has the mode {:o}", header.mode))),
            };
            let entry = Entry {
                uid: header.uid,
                gid: header.gid,
                // The format has none.
                attributes: Some(BTreeMap::new()),
                ..Entry::new(kind, header.mode & 0o7777)
            };
            let node = files.len() as u64;
            files.push((content, header.size));
            if header.links > 1 && entry.size() > 0 {
                for other in links.get(&header.inode).into_iter().flatten() {
                    entries.insert(other.clone(), (entry.clone(), node));
                }
            } else if header.links > 1 && matches!(entry.kind, Kind::File { .. }) {
                links.entry(header.inode).or_default().push(path.clone());
            }
            // What comes later replaces what came before, as in the kernel.
            entries.insert(path, (entry, node));
        }
        let mut listing = Listing::of(self.region.len());
        for (path, (entry, node)) in entries {
            listing.add(path, entry, node)?;
        }
        *self.files.borrow_mut() = files;
        Ok(listing)
    }

    fn read(&self, node: Node, limit: u64) -> Result<Vec<u8>, Fault> {
        self.file(node)?.bytes(limit)
    }

    fn hash(&self, files: &[Wanted], counter: &Counter<'_>) -> Result<Vec<TreeHash>, Fault> {
        let regions = files.iter().map(|file| self.file(file.node)).collect::<Result<Vec<_>, _>>()?;
        in_parallel(files.len(), |at| hash_reader(regions[at].reader(), files[at].size, counter))
    }
}

impl Initramfs {
    fn file(&self, node: Node) -> Result<Region, Fault> {
        let place = self.files.borrow().get(usize::try_from(node).unwrap_or(usize::MAX)).copied();
        self.region.part(&[place.ok_or_else(|| Fault::damaged("no such file"))?])
    }
}

/// A name of an archive as a path of the tree; `None` for the root itself.
fn path(name: &[u8]) -> Result<Option<TreePath>, Fault> {
    let mut path = TreePath::default();
    for part in name.split(|byte| *byte == b'/').filter(|part| !part.is_empty() && *part != b".") {
        path = Listing::path(&path, part)?;
    }
    Ok(Some(path).filter(|path| !path.as_bytes().is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_paths_or_are_refused() {
        assert_eq!(path(b"./usr//bin/").unwrap(), Some("usr/bin".into()));
        assert_eq!(path(b".").unwrap(), None);
        assert!(path(b"../etc/passwd").is_err() && path(b"a/../b").is_err());
    }

    #[test]
    fn headers_hold_hex_digits_and_nothing_else() {
        let text = format!("070701{}", "0000000A".repeat(13));
        assert_eq!(Header::parse(text.as_bytes()).unwrap().size, 10);
        assert!(Header::parse(&text.as_bytes()[..100]).is_err());
        assert!(Header::parse(text.replace("0000000A", "+000000A").as_bytes()).is_err());
        assert!(Header::parse(text.replace("070701", "070707").as_bytes()).is_err());
    }
}
