//! Extended attributes. File capabilities are among them: an image that loses those still boots, and `ping` fails.

use std::collections::BTreeMap;

use super::metadata::{Cursor, Metadata, Table};
use crate::contents::error::Fault;
use crate::contents::fields::Fields;
use crate::contents::region::Region;
use crate::contents::tree_path::TreePath;

/// The most attributes of one entry that are read.
const MOST: u32 = 1024;
/// The longest value, bytes (`XATTR_SIZE_MAX` of Linux).
const LONGEST: u32 = 65_536;
/// Values longer than this are told by their hash, bytes.
const SHOWN: usize = 64;
/// The most sets of attributes in an image.
const MOST_SETS: u32 = 4 << 20;
/// The bit of a key that says that its value lies elsewhere.
const ELSEWHERE: u16 = 0x100;

/// Finds an entry's attributes.
pub(super) struct AttributeTable {
    /// Where the pairs of key and value begin.
    start: u64,
    /// The sets: 16 bytes each.
    sets: Vec<u8>,
}

impl AttributeTable {
    pub(super) fn read(region: &Region, metadata: &Metadata, table: Option<u64>) -> Result<Option<Self>, Fault> {
        let Some(table) = table else { return Ok(None) };
        let mut head = [0; 16];
        region.read_at(&mut head, table)?;
        let mut head = Fields::new(&head, "the table of attributes");
        let (start, count) = (head.u64()?, head.u32()?);
        if count > MOST_SETS {
            return Err(Fault::TooMuch { what: "sets of attributes", limit: MOST_SETS.into() });
        }
        let what = "the table of attributes";
        let sets = metadata.table(&Table { what, start: table.saturating_add(16), entry_size: 16, count })?;
        Ok(Some(Self { start, sets }))
    }

    /// The set number `index`: values by full name, as hex digits, or as a hash where they are long.
    pub(super) fn get(&self, metadata: &Metadata, index: u32) -> Result<BTreeMap<String, String>, Fault> {
        let at = usize::try_from(index).unwrap_or(usize::MAX).saturating_mul(16);
        let set = self.sets.get(at..).and_then(|rest| rest.get(..16));
        let set = set.ok_or_else(|| Fault::damaged("an entry has attributes that the table has not"))?;
        let mut fields = Fields::new(set, "a set of attributes");
        let (place, count) = (fields.u64()?, fields.u32()?);
        if count > MOST {
            return Err(Fault::TooMuch { what: "attributes of one entry", limit: MOST.into() });
        }
        let mut cursor = self.at(metadata, place);
        let mut found = BTreeMap::new();
        for _ in 0..count {
            let mut fields = cursor.array::<4>()?;
            let mut head = Fields::new(&fields, "an attribute");
            let (key, len) = (head.u16()?, head.u16()?);
            let prefix = match key & !ELSEWHERE {
                0 => "user.",
                1 => "trusted.",
                2 => "security.",
                _ => return Err(Fault::damaged(format!("an attribute has the prefix {key}, which there is not"))),
            };
            let mut name = vec![0; usize::from(len)];
            cursor.fill(&mut name)?;
            fields = cursor.array()?;
            let len = u32::from_le_bytes(fields);
            let value = if key & ELSEWHERE == 0 {
                value(&mut cursor, len)?
            } else {
                let place = u64::from_le_bytes(cursor.array()?);
                let mut there = self.at(metadata, place);
                let len = u32::from_le_bytes(there.array()?);
                value(&mut there, len)?
            };
            found.insert(format!("{prefix}{}", TreePath::new(name)), shown(&value));
        }
        Ok(found)
    }

    fn at<'a>(&self, metadata: &'a Metadata, place: u64) -> Cursor<'a> {
        metadata.at(self.start.saturating_add(place >> 16), u16::try_from(place & 0xffff).unwrap_or(0))
    }
}

fn value(cursor: &mut Cursor<'_>, len: u32) -> Result<Vec<u8>, Fault> {
    if len > LONGEST {
        return Err(Fault::TooMuch { what: "bytes of an attribute", limit: LONGEST.into() });
    }
    let mut value = vec![0; usize::try_from(len).unwrap_or(0)];
    cursor.fill(&mut value)?;
    Ok(value)
}

/// The value as [`Entry::attributes`](crate::contents::model::Entry) has it.
pub(in crate::contents) fn shown(value: &[u8]) -> String {
    if value.len() > SHOWN {
        return format!("blake3:{}", blake3::hash(value).to_hex());
    }
    value.iter().map(|byte| format!("{byte:02x}")).collect()
}
