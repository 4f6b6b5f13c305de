//! The list of a directory: headers, each followed by entries whose inodes lie in one block.

use super::inode::Directory;
use super::metadata::Metadata;
use crate::contents::error::Fault;
use crate::contents::fields::Fields;

/// What a directory's size counts besides its list.
const DOTS: u32 = 3;

/// Calls `found` with the name and the inode of every entry.
pub(super) fn entries(
    metadata: &Metadata,
    table: u64,
    dir: &Directory,
    mut found: impl FnMut(&[u8], u64) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let mut cursor = metadata.at(table.saturating_add(u64::from(dir.block)), dir.offset);
    let mut left = dir.size.saturating_sub(DOTS);
    let short = || Fault::damaged("a directory's list is longer than the directory");
    while left > 0 {
        let head = cursor.array::<12>()?;
        left = left.checked_sub(12).ok_or_else(short)?;
        let mut head = Fields::new(&head, "the list of a directory");
        let (count, block) = (head.u32()?, head.u32()?);
        for _ in 0..=count {
            let entry = cursor.array::<8>()?;
            let mut entry = Fields::new(&entry, "the list of a directory");
            let (offset, _number, _shape, len) = (entry.u16()?, entry.u16()?, entry.u16()?, entry.u16()?);
            let len = u32::from(len) + 1;
            left = left.checked_sub(8 + len).ok_or_else(short)?;
            let mut name = vec![0; usize::try_from(len).unwrap_or(0)];
            cursor.fill(&mut name)?;
            found(&name, u64::from(block) << 16 | u64::from(offset))?;
        }
    }
    Ok(())
}
