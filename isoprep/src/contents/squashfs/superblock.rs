//! The first 96 bytes of a squashfs.

use super::codec::Compressor;
use crate::contents::error::Fault;
use crate::contents::fields::Fields;

/// What a squashfs begins with.
pub(super) const MAGIC: [u8; 4] = *b"hsqs";
/// The size of a superblock, bytes.
pub(super) const SIZE: usize = 96;
/// Stands for a table that is not there.
const NONE: u64 = u64::MAX;

/// Sizes and places; all places are bytes from the beginning.
#[derive(Debug)]
pub(super) struct Superblock {
    pub(super) inode_count: u32,
    /// A power of two from 4 KiB to 1 MiB.
    pub(super) block_size: u32,
    pub(super) fragment_count: u32,
    pub(super) compressor: Compressor,
    pub(super) id_count: u16,
    /// The root's inode: block and offset.
    pub(super) root: u64,
    pub(super) bytes_used: u64,
    pub(super) id_table: u64,
    pub(super) attribute_table: Option<u64>,
    pub(super) inode_table: u64,
    pub(super) directory_table: u64,
    pub(super) fragment_table: u64,
}

impl Superblock {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Fault> {
        let mut fields = Fields::new(bytes, "the superblock");
        if fields.array()? != MAGIC {
            return Err(Fault::Foreign { expected: "a squashfs", why: "it does not begin like one".into() });
        }
        let inode_count = fields.u32()?;
        let _made = fields.u32()?;
        let block_size = fields.u32()?;
        let fragment_count = fields.u32()?;
        let compressor = fields.u16()?;
        let block_log = fields.u16()?;
        let _flags = fields.u16()?;
        let id_count = fields.u16()?;
        let (major, minor) = (fields.u16()?, fields.u16()?);
        if (major, minor) != (4, 0) {
            return Err(Fault::unsupported(format!("it is a squashfs {major}.{minor}: only 4.0 is read")));
        }
        let sound = (12..=20).contains(&block_log) && block_size == 1 << block_log;
        if !sound {
            return Err(Fault::damaged(format!("its blocks have {block_size} bytes, and two to the {block_log}")));
        }
        let root = fields.u64()?;
        let bytes_used = fields.u64()?;
        let id_table = fields.u64()?;
        let attribute_table = Some(fields.u64()?).filter(|table| *table != NONE);
        let inode_table = fields.u64()?;
        let directory_table = fields.u64()?;
        let fragment_table = fields.u64()?;
        let _export_table = fields.u64()?;
        Ok(Self {
            inode_count,
            block_size,
            fragment_count,
            compressor: Compressor::of(compressor)?,
            id_count,
            root,
            bytes_used,
            id_table,
            attribute_table,
            inode_table,
            directory_table,
            fragment_table,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn superblock() -> Vec<u8> {
        let mut bytes = vec![0; SIZE];
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[12..16].copy_from_slice(&(1_u32 << 17).to_le_bytes());
        bytes[20] = 6;
        bytes[22] = 17;
        bytes[28] = 4;
        bytes
    }

    #[test]
    fn contradictions_and_other_versions_are_told_apart() {
        let parsed = Superblock::parse(&superblock()).unwrap();
        assert_eq!((parsed.block_size, parsed.compressor), (1 << 17, Compressor::Zstd));
        let with = |at: usize, byte: u8| {
            let mut bytes = superblock();
            bytes[at] = byte;
            Superblock::parse(&bytes).unwrap_err()
        };
        assert!(matches!(with(0, b'x'), Fault::Foreign { .. }));
        assert!(matches!(with(22, 16), Fault::Damaged(_)));
        assert!(matches!(with(22, 200), Fault::Damaged(_)));
        assert!(matches!(with(28, 3), Fault::Unsupported(_)));
        assert!(matches!(with(20, 3), Fault::Unsupported(_)), "lzo");
        assert!(matches!(with(20, 9), Fault::Damaged(_)));
        assert!(Superblock::parse(&superblock()[..90]).is_err());
    }
}
