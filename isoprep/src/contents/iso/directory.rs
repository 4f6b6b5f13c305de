//! Directory records of ISO 9660 (ECMA-119, 9.1), walked without recursion.

use super::rock_ridge::{self, Facts};
use super::{BLOCK, Region};
use crate::contents::error::Fault;
use crate::contents::fields::Fields;
use crate::contents::model::{Entry, Kind};
use crate::contents::tree_path::TreePath;
use crate::contents::volume::Listing;
use crate::contents::watch::{Reading, Watch};

/// The largest directory that is read, bytes: more than 100,000 entries.
const LARGEST_DIRECTORY: u64 = 64 << 20;
/// Flags of a record (9.1.6).
const DIRECTORY: u8 = 0x02;
const MORE_EXTENTS: u8 = 0x80;

/// Where something lies in the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    /// Bytes from the beginning.
    pub(super) at: u64,
    /// Bytes.
    pub(super) len: u64,
}

impl Extent {
    pub(super) fn of_record(record: &[u8]) -> Result<Self, Fault> {
        let mut fields = Fields::new(record, "a directory record");
        fields.u8()?;
        let attributes = fields.u8()?;
        let block = fields.both_u32()?;
        let len = fields.both_u32()?;
        Ok(Self { at: (u64::from(block) + u64::from(attributes)) * BLOCK, len: u64::from(len) })
    }
}

/// One record, taken apart.
struct Record<'a> {
    extent: Extent,
    flags: u8,
    name: &'a [u8],
    system_use: &'a [u8],
}

impl<'a> Record<'a> {
    fn parse(bytes: &'a [u8]) -> Result<Self, Fault> {
        let extent = Extent::of_record(bytes)?;
        let mut fields = Fields::new(bytes, "a directory record");
        fields.take(25)?;
        let flags = fields.u8()?;
        fields.take(6)?;
        let len = usize::from(fields.u8()?);
        let name = fields.take(len)?;
        // A byte of padding follows a name of even length (9.1.12).
        let system_use = bytes.get(33 + len + usize::from(len % 2 == 0)..).unwrap_or_default();
        Ok(Self { extent, flags, name, system_use })
    }
}

/// Lists everything below `root`. The pieces of each file go to `files`, in the order of the nodes.
pub(super) fn list(
    region: &Region,
    root: Extent,
    files: &mut Vec<Vec<(u64, u64)>>,
    watch: &Watch<'_>,
) -> Result<Listing, Fault> {
    let counter = watch.counter(Reading::Listing, None);
    let mut listing = Listing::of(region.len());
    // How many bytes to pass over in each system use area, if the image has Rock Ridge at all.
    let mut skip = None;
    let mut todo = vec![(TreePath::default(), root)];
    while let Some((path, extent)) = todo.pop() {
        let bytes = read(region, extent)?;
        let mut open: Option<(TreePath, Vec<(u64, u64)>)> = None;
        for (number, record) in records(&bytes).enumerate() {
            let record = Record::parse(record?)?;
            counter.add(1)?;
            if number < 2 {
                // The directory itself, and its parent.
                if number == 0 && path.as_bytes().is_empty() {
                    skip = rock_ridge::skip(record.system_use);
                    let facts = facts(region, skip, &record)?;
                    listing.add(path.clone(), entry(&facts, Kind::Directory), 0)?;
                }
                continue;
            }
            let facts = facts(region, skip, &record)?;
            if facts.relocated {
                continue;
            }
            let child = Listing::path(&path, &name(&facts, record.name))?;
            let is_directory = record.flags & DIRECTORY != 0 || facts.child.is_some();
            if let Some(block) = facts.child {
                let at = u64::from(block) * BLOCK;
                // Its size stands in its own first record.
                let sector = read(region, Extent { at, len: BLOCK })?;
                let own = records(&sector).next().unwrap_or(Ok(&[]))?;
                todo.push((child.clone(), Record::parse(own)?.extent));
            } else if is_directory {
                todo.push((child.clone(), record.extent));
            }
            if is_directory {
                listing.add(child, entry(&facts, Kind::Directory), 0)?;
                continue;
            }
            // A large file has several records of one name, all but the last with the flag.
            let mut pieces = match open.take() {
                Some((name, pieces)) if name == child => pieces,
                Some(_) => {
                    return Err(Fault::damaged(format!("\"{child}\" stands between the pieces of another file")));
                }
                None => Vec::new(),
            };
            pieces.push((record.extent.at, record.extent.len));
            if record.flags & MORE_EXTENTS != 0 {
                open = Some((child, pieces));
                continue;
            }
            let size = pieces.iter().fold(0_u64, |sum, (_, len)| sum.saturating_add(*len));
            let kind = facts.kind.clone().unwrap_or(Kind::file(size));
            let kind = if let Kind::File { .. } = kind { Kind::file(size) } else { kind };
            if let Kind::File { .. } = kind {
                region.part(&pieces)?;
            }
            listing.add(child, entry(&facts, kind), files.len() as u64)?;
            files.push(pieces);
        }
        if let Some((name, _)) = open {
            return Err(Fault::damaged(format!("the last piece of \"{name}\" is missing")));
        }
    }
    Ok(listing)
}

fn read(region: &Region, extent: Extent) -> Result<Vec<u8>, Fault> {
    region.part(&[(extent.at, extent.len)])?.bytes(LARGEST_DIRECTORY)
}

/// The records of a directory. None crosses a sector; a length of zero ends a sector's (6.8.1.1).
fn records(bytes: &[u8]) -> impl Iterator<Item = Result<&[u8], Fault>> {
    bytes.chunks(BLOCK as usize).flat_map(|mut sector| {
        std::iter::from_fn(move || {
            let len = usize::from(*sector.first()?);
            if len == 0 {
                return None;
            }
            let Some((record, rest)) = sector.split_at_checked(len) else {
                sector = &[];
                return Some(Err(Fault::damaged("a directory record crosses its sector")));
            };
            sector = rest;
            Some(Ok(record))
        })
    })
}

fn facts(region: &Region, skip: Option<usize>, record: &Record<'_>) -> Result<Facts, Fault> {
    let Some(skip) = skip else { return Ok(Facts::default()) };
    let area = record.system_use.get(skip..).unwrap_or_default();
    rock_ridge::facts(area, |block, offset, len| {
        region.part(&[(u64::from(block) * BLOCK + u64::from(offset), u64::from(len))])?.bytes(u64::from(len))
    })
}

/// The name that Rock Ridge gives, else the identifier without its version (7.5.1).
fn name(facts: &Facts, identifier: &[u8]) -> Vec<u8> {
    if !facts.name.is_empty() {
        return facts.name.clone();
    }
    let end = identifier.iter().position(|byte| *byte == b';').unwrap_or(identifier.len());
    let name = &identifier[..end];
    name.strip_suffix(b".").unwrap_or(name).to_vec()
}

fn entry(facts: &Facts, kind: Kind) -> Entry {
    // Without Rock Ridge Linux shows these.
    let mode = facts.mode.unwrap_or(if kind == Kind::Directory { 0o555 } else { 0o444 });
    Entry { uid: facts.uid, gid: facts.gid, ..Entry::new(kind, mode) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_end_with_their_sector_and_never_cross_it() {
        let mut bytes = vec![0; 4096];
        bytes[0] = 34;
        bytes[34] = 40;
        bytes[2048] = 50;
        let lengths: Vec<_> = records(&bytes).map(|record| record.unwrap().len()).collect();
        assert_eq!(lengths, [34, 40, 50]);
        let mut short = vec![0; 100];
        short[0] = 101;
        assert!(records(&short).next().unwrap().is_err());
        assert_eq!(records(&[]).count(), 0);
    }

    #[test]
    fn identifiers_lose_their_version_only() {
        let plain = Facts::default();
        assert_eq!(name(&plain, b"README.;1"), b"README");
        assert_eq!(name(&plain, b"A.TXT;1"), b"A.TXT");
        assert_eq!(name(&Facts { name: b"a.txt".to_vec(), ..Facts::default() }, b"A.TXT;1"), b"a.txt");
    }
}
