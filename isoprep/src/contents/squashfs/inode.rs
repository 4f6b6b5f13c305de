//! Inodes: fourteen shapes of what an entry is.

use super::metadata::{Cursor, Metadata};
use crate::contents::error::Fault;
use crate::contents::fields::Fields;

/// Stands for no attributes and for no fragment.
const NONE: u32 = u32::MAX;

/// An inode, up to what its shape appends.
#[derive(Debug)]
pub(super) struct Inode {
    /// Permission bits.
    pub(super) mode: u16,
    /// Indexes of the table of owners.
    pub(super) uid: u16,
    pub(super) gid: u16,
    /// An index of the table of attributes.
    pub(super) attributes: Option<u32>,
    /// Whether that index is yet to come, after a link's target.
    pub(super) attributes_follow: bool,
    pub(super) shape: Shape,
}

/// What an inode is.
#[derive(Debug)]
pub(super) enum Shape {
    Directory(Directory),
    File(File),
    /// Its target, of so many bytes, follows.
    Symlink {
        target: u32,
    },
    Character((u32, u32)),
    Block((u32, u32)),
    Fifo,
    Socket,
}

/// Where a directory's list lies.
#[derive(Clone, Copy, Debug)]
pub(super) struct Directory {
    /// The block, from the beginning of the directory table.
    pub(super) block: u32,
    pub(super) offset: u16,
    /// Bytes, and three for `.` and `..`, which are not there.
    pub(super) size: u32,
}

/// Where a file's content lies; the sizes of its blocks follow.
#[derive(Clone, Copy, Debug)]
pub(super) struct File {
    /// The first block, from the beginning of the image.
    pub(super) start: u64,
    pub(super) size: u64,
    /// The fragment that its end is in, and where there.
    pub(super) fragment: Option<(u32, u32)>,
}

impl Inode {
    /// Reads the inode that `node` names: a block from the beginning of `table`, and an offset in it. The cursor stands
    /// where the inode goes on.
    pub(super) fn read(metadata: &Metadata, table: u64, node: u64) -> Result<(Self, Cursor<'_>), Fault> {
        let offset = u16::try_from(node & 0xffff).unwrap_or(0);
        let mut cursor = metadata.at(table.saturating_add(node >> 16), offset);
        let head = cursor.array::<16>()?;
        let mut head = Fields::new(&head, "an inode");
        let (shape, mode, uid, gid) = (head.u16()?, head.u16()?, head.u16()?, head.u16()?);
        let mut inode =
            Self { mode: mode & 0o7777, uid, gid, attributes: None, attributes_follow: false, shape: Shape::Fifo };
        let extended = shape > 7;
        inode.shape = match shape {
            1 => {
                let bytes = cursor.array::<16>()?;
                let mut fields = Fields::new(&bytes, "a directory");
                let (block, _links, size, offset) = (fields.u32()?, fields.u32()?, fields.u16()?, fields.u16()?);
                Shape::Directory(Directory { block, offset, size: u32::from(size) })
            }
            8 => {
                let bytes = cursor.array::<24>()?;
                let mut fields = Fields::new(&bytes, "a directory");
                let (_links, size, block, _parent) = (fields.u32()?, fields.u32()?, fields.u32()?, fields.u32()?);
                let (_indexes, offset) = (fields.u16()?, fields.u16()?);
                inode.attributes = some(fields.u32()?);
                Shape::Directory(Directory { block, offset, size })
            }
            2 => {
                let bytes = cursor.array::<16>()?;
                let mut fields = Fields::new(&bytes, "a file");
                let (start, fragment, offset) = (u64::from(fields.u32()?), fields.u32()?, fields.u32()?);
                let fragment = some(fragment).map(|fragment| (fragment, offset));
                Shape::File(File { start, size: u64::from(fields.u32()?), fragment })
            }
            9 => {
                let bytes = cursor.array::<40>()?;
                let mut fields = Fields::new(&bytes, "a file");
                let (start, size, _sparse, _links) = (fields.u64()?, fields.u64()?, fields.u64()?, fields.u32()?);
                let (fragment, offset) = (fields.u32()?, fields.u32()?);
                let fragment = some(fragment).map(|fragment| (fragment, offset));
                inode.attributes = some(fields.u32()?);
                Shape::File(File { start, size, fragment })
            }
            3 | 10 => {
                let bytes = cursor.array::<8>()?;
                let mut fields = Fields::new(&bytes, "a link");
                let _links = fields.u32()?;
                inode.attributes_follow = extended;
                Shape::Symlink { target: fields.u32()? }
            }
            4 | 5 | 11 | 12 => {
                let bytes = cursor.array::<8>()?;
                let mut fields = Fields::new(&bytes, "a device");
                let _links = fields.u32()?;
                let number = fields.u32()?;
                // As Linux encodes it: 12 bits of major between 8 and 12 of minor.
                let number = (number >> 8 & 0xfff, number & 0xff | number >> 12 & 0xfff00);
                if extended {
                    inode.attributes = attribute_index(&mut cursor)?;
                }
                if matches!(shape, 4 | 11) { Shape::Block(number) } else { Shape::Character(number) }
            }
            6 | 7 | 13 | 14 => {
                cursor.array::<4>()?;
                if extended {
                    inode.attributes = attribute_index(&mut cursor)?;
                }
                if matches!(shape, 6 | 13) { Shape::Fifo } else { Shape::Socket }
            }
            _ => return Err(Fault::damaged(format!("an inode has the kind {shape}, which there is not"))),
        };
        Ok((inode, cursor))
    }
}

/// Reads an index of the table of attributes.
pub(super) fn attribute_index(cursor: &mut Cursor<'_>) -> Result<Option<u32>, Fault> {
    cursor.array().map(u32::from_le_bytes).map(some)
}

fn some(index: u32) -> Option<u32> {
    (index != NONE).then_some(index)
}
