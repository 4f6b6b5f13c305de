//! A reader of ISO 9660 with Rock Ridge: without root, without mounting, and without a tool to be started and its output
//! to be parsed. Written here because the crates at hand follow what an image claims without bounds.
//!
//! ECMA-119 names the fields (in brackets: its sections), El Torito 1.0 the boot catalogue.

mod directory;
mod rock_ridge;

use cartridge_treehash::TreeHash;

use super::error::Fault;
use super::fields::Fields;
use super::region::Region;
use super::volume::{Listing, Node, Volume, Wanted, hash_reader, in_parallel};
use super::watch::{Counter, Watch};

/// The size of a sector and of a logical block, bytes. Others are allowed and never seen.
pub(super) const BLOCK: u64 = 2048;
/// The first volume descriptor's sector (6.2.1).
const DESCRIPTORS: u64 = 16;
/// How many descriptors are looked at.
const MOST_DESCRIPTORS: u64 = 32;
/// How many sections of the boot catalogue are looked at: two a section, one sector.
const CATALOGUE_ENTRIES: usize = 64;
/// The platform of UEFI in a boot catalogue (UEFI specification, 13.3.2.1).
const EFI: u8 = 0xef;

/// An ISO 9660 file system.
pub(super) struct Iso {
    region: Region,
    /// The volume identifier, without the blanks at its end.
    pub(super) label: String,
    /// The date of the last change, else of the making, as blkid writes it.
    pub(super) uuid: String,
    root: directory::Extent,
    /// The sector where the EFI boot image begins.
    efi: Option<u32>,
    /// The pieces of each file, by its node.
    files: std::cell::OnceCell<Vec<Vec<(u64, u64)>>>,
}

impl Iso {
    pub(super) fn open(region: Region) -> Result<Self, Fault> {
        let mut found = None;
        let mut catalogue = None;
        for sector in DESCRIPTORS..DESCRIPTORS + MOST_DESCRIPTORS {
            let mut bytes = [0; BLOCK as usize];
            let past = (sector + 1) * BLOCK > region.len();
            if past && sector == DESCRIPTORS {
                return Err(foreign("it is too short"));
            }
            region.read_at(&mut bytes, sector * BLOCK)?;
            if bytes.get(1..6) != Some(b"CD001") {
                if sector == DESCRIPTORS {
                    return Err(foreign("sector 16 has no volume descriptor"));
                }
                break;
            }
            match bytes[0] {
                0 if bytes[7..].starts_with(b"EL TORITO SPECIFICATION\0") => {
                    catalogue = Some(Fields::new(&bytes[0x47..], "the boot record").u32()?);
                }
                1 if found.is_none() => found = Some(Primary::parse(&bytes)?),
                255 => break,
                _ => {}
            }
        }
        let primary = found.ok_or_else(|| foreign("it has no primary volume descriptor"))?;
        if primary.blocks * BLOCK > region.len() {
            let why = format!("it is cut short: {} bytes of {}", region.len(), primary.blocks * BLOCK);
            return Err(Fault::damaged(why));
        }
        let efi = match catalogue {
            Some(sector) => {
                let mut bytes = [0; BLOCK as usize];
                region.read_at(&mut bytes, u64::from(sector) * BLOCK)?;
                efi_sector(&bytes)
            }
            None => None,
        };
        let Primary { label, uuid, root, .. } = primary;
        Ok(Self { region, label, uuid, root, efi, files: std::cell::OnceCell::new() })
    }

    /// Where the EFI boot image begins; it may lie past the ISO 9660 file system, in a partition of its own. It goes on
    /// to the end of the file: the file system in it knows its size.
    pub(super) fn efi_image(&self) -> Result<Option<Region>, Fault> {
        let Some(sector) = self.efi else { return Ok(None) };
        let at = u64::from(sector) * BLOCK;
        let len = self.region.len().checked_sub(at).ok_or_else(|| Fault::damaged("the EFI image lies past its end"))?;
        self.region.part(&[(at, len)]).map(Some)
    }

    /// The size of the whole image, bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.region.len()
    }

    /// The content of a file.
    pub(super) fn file(&self, node: Node) -> Result<Region, Fault> {
        let pieces = self.files.get().and_then(|files| files.get(usize::try_from(node).ok()?));
        self.region.part(pieces.ok_or_else(|| Fault::damaged("no such file"))?)
    }
}

impl Volume for Iso {
    fn list(&self, watch: &Watch<'_>) -> Result<Listing, Fault> {
        let mut files = Vec::new();
        let listing = directory::list(&self.region, self.root, &mut files, watch)?;
        // A second listing finds the same.
        let _ = self.files.set(files);
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

fn foreign(why: &'static str) -> Fault {
    Fault::Foreign { expected: "an ISO 9660 image", why: why.into() }
}

/// What is wanted of the primary volume descriptor (8.4).
struct Primary {
    label: String,
    uuid: String,
    /// The size of the volume, blocks.
    blocks: u64,
    root: directory::Extent,
}

impl Primary {
    fn parse(bytes: &[u8; BLOCK as usize]) -> Result<Self, Fault> {
        let mut fields = Fields::new(bytes, "the volume descriptor");
        fields.take(40)?;
        let label = String::from_utf8_lossy(fields.take(32)?).trim_end_matches([' ', '\0']).to_owned();
        fields.take(8)?;
        let blocks = fields.both_u32()?;
        fields.take(40)?;
        let size = fields.u16()?;
        if u64::from(size) != BLOCK {
            return Err(Fault::unsupported(format!("its blocks have {size} bytes: only {BLOCK} are read")));
        }
        let root = directory::Extent::of_record(&bytes[156..190])?;
        let date = |at: usize| uuid_of(&bytes[at..at + 16]);
        let uuid = date(830).or_else(|| date(813)).unwrap_or_default();
        Ok(Self { label, uuid, blocks: u64::from(blocks), root })
    }
}

/// A date of a volume descriptor, `YYYYMMDDHHMMSSCC` in digits (8.4.26.1), with its fields apart; `None` if it is not set.
fn uuid_of(digits: &[u8]) -> Option<String> {
    if !digits.iter().all(u8::is_ascii_digit) || digits.iter().all(|digit| *digit == b'0') {
        return None;
    }
    let text = std::str::from_utf8(digits).ok()?;
    let parts = [0..4, 4..6, 6..8, 8..10, 10..12, 12..14, 14..16].map(|range| text.get(range).unwrap_or_default());
    Some(parts.join("-"))
}

/// The first sector of the EFI boot image in a boot catalogue.
fn efi_sector(catalogue: &[u8]) -> Option<u32> {
    let mut platform = *catalogue.get(1)?;
    for entry in catalogue.chunks_exact(32).take(CATALOGUE_ENTRIES).skip(1) {
        match entry[0] {
            // A section header: more follow, or the last.
            0x90 | 0x91 => platform = entry[1],
            // An initial, default or section entry that boots.
            0x88 if platform == EFI => return Fields::new(&entry[8..], "a boot entry").u32().ok(),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_date_is_written_as_blkid_does() {
        assert_eq!(uuid_of(b"2026112412345600").as_deref(), Some("2026-11-24-12-34-56-00"));
        assert_eq!(uuid_of(b"0000000000000000"), None);
        assert_eq!(uuid_of(b"20261124 2345600"), None);
    }

    #[test]
    fn the_efi_image_is_found_by_its_platform() {
        let mut catalogue = [0; 2048];
        catalogue[0] = 1;
        catalogue[32] = 0x88;
        catalogue[40] = 7;
        assert_eq!(efi_sector(&catalogue), None, "that one is for BIOS");
        catalogue[64..66].copy_from_slice(&[0x91, EFI]);
        catalogue[96] = 0x88;
        catalogue[104..108].copy_from_slice(&[1, 2, 0, 0]);
        assert_eq!(efi_sector(&catalogue), Some(0x201));
        catalogue[1] = EFI;
        assert_eq!(efi_sector(&catalogue), Some(7));
        assert_eq!(efi_sector(&[]), None);
    }
}
