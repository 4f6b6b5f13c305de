//! Metadata blocks: the 8 KiB pieces that inodes, directories and tables are packed in. Each is unpacked once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::codec::Compressor;
use crate::contents::error::Fault;
use crate::contents::fields::Fields;
use crate::contents::region::Region;

/// The size of an unpacked block, bytes; only the last of a table is shorter.
pub(super) const BLOCK: usize = 8192;
/// The bit of a block's header that says that it is stored as it is.
const STORED: u16 = 0x8000;
/// How many blocks are kept: half a gigabyte, or some ten million inodes.
const MOST_BLOCKS: usize = 65_536;

/// Reads metadata blocks of an image.
pub(super) struct Metadata {
    region: Region,
    compressor: Compressor,
    /// Blocks by their place.
    blocks: Mutex<HashMap<u64, Block>>,
}

#[derive(Clone)]
struct Block {
    bytes: Arc<[u8]>,
    /// Where the next one begins.
    next: u64,
}

/// A table that is found through a list of pointers to its blocks.
pub(super) struct Table {
    /// Named in errors.
    pub(super) what: &'static str,
    /// Where the list of pointers is.
    pub(super) start: u64,
    /// Bytes.
    pub(super) entry_size: u32,
    pub(super) count: u32,
}

impl Metadata {
    pub(super) fn new(region: Region, compressor: Compressor) -> Self {
        Self { region, compressor, blocks: Mutex::default() }
    }

    /// A place: the block that begins at `block`, `offset` bytes into it.
    pub(super) fn at(&self, block: u64, offset: u16) -> Cursor<'_> {
        Cursor { metadata: self, block, offset: usize::from(offset) }
    }

    /// All entries of a table, one after the other.
    pub(super) fn table(&self, table: &Table) -> Result<Vec<u8>, Fault> {
        let size = u64::from(table.count) * u64::from(table.entry_size);
        let blocks = size.div_ceil(BLOCK as u64);
        let pointers = self.region.part(&[(table.start.min(self.region.len()), blocks * 8)])?.bytes(blocks * 8)?;
        let mut pointers = Fields::new(&pointers, table.what);
        let mut bytes = Vec::new();
        for _ in 0..blocks {
            // Not through the store: a table is read once.
            bytes.extend_from_slice(&self.unpack(pointers.u64()?)?.bytes);
        }
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        if bytes.len() < size {
            return Err(Fault::damaged(format!("{} is shorter than its count", table.what)));
        }
        bytes.truncate(size);
        Ok(bytes)
    }

    fn block(&self, at: u64) -> Result<Block, Fault> {
        if let Some(block) = self.lock().get(&at) {
            return Ok(block.clone());
        }
        let block = self.unpack(at)?;
        let mut blocks = self.lock();
        if blocks.len() >= MOST_BLOCKS {
            return Err(Fault::TooMuch { what: "blocks of metadata", limit: MOST_BLOCKS as u64 });
        }
        blocks.insert(at, block.clone());
        Ok(block)
    }

    fn unpack(&self, at: u64) -> Result<Block, Fault> {
        let mut header = [0; 2];
        self.region.read_at(&mut header, at)?;
        let header = u16::from_le_bytes(header);
        let size = usize::from(header & !STORED);
        if size == 0 || size > BLOCK {
            return Err(Fault::damaged(format!("a block of metadata has {size} bytes")));
        }
        let mut packed = vec![0; size];
        self.region.read_at(&mut packed, at + 2)?;
        let next = at + 2 + size as u64;
        if header & STORED != 0 {
            return Ok(Block { bytes: packed.into(), next });
        }
        let mut room = vec![0; BLOCK];
        let len = self.compressor.unpack(&packed, &mut room)?;
        room.truncate(len);
        Ok(Block { bytes: room.into(), next })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<u64, Block>> {
        self.blocks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads on through the blocks that follow each other.
#[derive(Clone)]
pub(super) struct Cursor<'a> {
    metadata: &'a Metadata,
    block: u64,
    offset: usize,
}

impl Cursor<'_> {
    pub(super) fn fill(&mut self, mut buffer: &mut [u8]) -> Result<(), Fault> {
        while !buffer.is_empty() {
            let block = self.metadata.block(self.block)?;
            let Some(found) = block.bytes.get(self.offset..).filter(|found| !found.is_empty()) else {
                if self.offset > block.bytes.len() {
                    return Err(Fault::damaged("something lies outside its block of metadata"));
                }
                (self.block, self.offset) = (block.next, 0);
                continue;
            };
            let len = found.len().min(buffer.len());
            let (now, later) = buffer.split_at_mut(len);
            now.copy_from_slice(&found[..len]);
            buffer = later;
            self.offset += len;
        }
        Ok(())
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let mut array = [0; N];
        self.fill(&mut array)?;
        Ok(array)
    }
}
