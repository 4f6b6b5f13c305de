//! The content of files: blocks of one size, and ends of files packed together in fragments.

use std::sync::{Arc, Mutex, PoisonError};

use cartridge_treehash::TreeHash;

use super::codec::Compressor;
use super::inode::File;
use super::metadata::Cursor;
use super::superblock::Superblock;
use crate::contents::error::Fault;
use crate::contents::model::Content;
use crate::contents::region::Region;
use crate::contents::watch::Counter;

/// The most blocks of one file: 64 MiB of their sizes.
const MOST_BLOCKS: u64 = 16 << 20;
/// The bits of a block's size word: its size, and that it is stored as it is.
const SIZE: u32 = 0xff_ffff;
const STORED: u32 = 1 << 24;
/// How many unpacked blocks are kept for reading here and there.
const KEPT: usize = 16;

/// Where the content of a file lies.
#[derive(Clone, Debug)]
pub(in crate::contents) struct Layout {
    /// Bytes.
    pub(in crate::contents) size: u64,
    /// The place and the size word of each block.
    blocks: Vec<(u64, u32)>,
    /// The fragment with its end, and where there.
    fragment: Option<(u32, u32)>,
}

impl Layout {
    /// Reads the block sizes that follow a file's inode.
    pub(super) fn read(file: File, rest: &mut Cursor<'_>, block_size: u32) -> Result<Self, Fault> {
        let block_size = u64::from(block_size);
        let count = if file.fragment.is_some() { file.size / block_size } else { file.size.div_ceil(block_size) };
        if count > MOST_BLOCKS {
            return Err(Fault::TooMuch { what: "blocks of one file", limit: MOST_BLOCKS });
        }
        let mut blocks = Vec::new();
        let mut at = file.start;
        for _ in 0..count {
            let word = u32::from_le_bytes(rest.array()?);
            blocks.push((at, word));
            at = at.saturating_add(u64::from(word & SIZE));
        }
        Ok(Self { size: file.size, blocks, fragment: file.fragment })
    }
}

/// One thing for a thread to do: all small files of one fragment, or one file with blocks; by their layouts' numbers.
pub(super) struct Job(Vec<usize>);

/// Divides the work so that every fragment is unpacked once, and the image is read from front to back.
pub(super) fn jobs(layouts: &[Layout]) -> Vec<Job> {
    let fragment = |at: usize| layouts[at].fragment.map(|(fragment, _)| fragment);
    let (mut small, mut large): (Vec<usize>, Vec<usize>) =
        (0..layouts.len()).partition(|at| layouts[*at].blocks.is_empty());
    small.sort_by_key(|at| (fragment(*at), layouts[*at].fragment));
    large.sort_by_key(|at| layouts[*at].blocks.first().copied());
    let small = small.chunk_by(|one, two| fragment(*one) == fragment(*two)).map(|files| Job(files.to_vec()));
    small.chain(large.into_iter().map(|at| Job(vec![at]))).collect()
}

/// Reads blocks and fragments.
pub(super) struct Data {
    region: Region,
    compressor: Compressor,
    block_size: u32,
    /// Place and size word of each.
    fragments: Vec<(u64, u32)>,
    /// Unpacked blocks by their place, the last used at the end.
    kept: Mutex<Vec<(u64, Arc<Vec<u8>>)>>,
}

impl Data {
    pub(super) fn new(region: Region, superblock: &Superblock, fragments: &[u8]) -> Result<Self, Fault> {
        let entry = |entry: &[u8]| {
            let mut fields = crate::contents::fields::Fields::new(entry, "the table of fragments");
            Ok((fields.u64()?, fields.u32()?))
        };
        let fragments = fragments.chunks_exact(16).map(entry).collect::<Result<_, Fault>>()?;
        let Superblock { compressor, block_size, .. } = *superblock;
        Ok(Self { region, compressor, block_size, fragments, kept: Mutex::default() })
    }

    /// The content hashes of a job's files.
    pub(super) fn hash(
        &self,
        layouts: &[Layout],
        job: &Job,
        counter: &Counter<'_>,
    ) -> Result<Vec<(usize, TreeHash)>, Fault> {
        let mut fragment = None;
        let mut found = Vec::with_capacity(job.0.len());
        for at in &job.0 {
            let layout = &layouts[*at];
            let mut hasher = blake3::Hasher::new();
            self.blocks(layout, |block| {
                hasher.update(block);
                counter.add(block.len() as u64)
            })?;
            let tail = self.tail(layout, &mut fragment)?;
            hasher.update(tail);
            counter.add(tail.len() as u64)?;
            found.push((*at, TreeHash(*hasher.finalize().as_bytes())));
        }
        Ok(found)
    }

    /// What can be told of a job's files without unpacking their blocks: for those that have none, everything.
    pub(super) fn fingerprint(
        &self,
        layouts: &[Layout],
        job: &Job,
        counter: &Counter<'_>,
    ) -> Result<Vec<(usize, Content)>, Fault> {
        let mut fragment = None;
        let mut found = Vec::with_capacity(job.0.len());
        for at in &job.0 {
            let layout = &layouts[*at];
            let mut hasher = blake3::Hasher::new();
            if let Some((start, _)) = layout.blocks.first() {
                hasher.update(self.compressor.word().as_bytes());
                hasher.update(&self.block_size.to_le_bytes());
                hasher.update(&layout.size.to_le_bytes());
                for (_, word) in &layout.blocks {
                    hasher.update(&word.to_le_bytes());
                }
                let packed = layout.blocks.iter().map(|(_, word)| u64::from(word & SIZE)).sum();
                let packed = self.region.part(&[((*start).min(self.region.len()), packed)])?;
                let mut chunk = vec![0; usize::try_from(packed.len().min(1 << 20)).unwrap_or(0)];
                let mut offset = 0;
                while offset < packed.len() {
                    let len = usize::try_from(packed.len() - offset).unwrap_or(usize::MAX).min(chunk.len());
                    packed.read_at(&mut chunk[..len], offset)?;
                    hasher.update(&chunk[..len]);
                    offset += len as u64;
                }
                counter.add(layout.blocks.len() as u64 * u64::from(self.block_size))?;
            }
            let tail = self.tail(layout, &mut fragment)?;
            hasher.update(tail);
            counter.add(tail.len() as u64)?;
            let hash = Some(TreeHash(*hasher.finalize().as_bytes()));
            let whole = layout.blocks.is_empty();
            let content = if whole { Content { hash, packed: None } } else { Content { hash: None, packed: hash } };
            found.push((*at, content));
        }
        Ok(found)
    }

    /// Fills `buffer` with content from `offset` on.
    pub(super) fn read_at(&self, layout: &Layout, mut buffer: &mut [u8], mut offset: u64) -> Result<(), Fault> {
        let block_size = u64::from(self.block_size);
        let end = offset.checked_add(buffer.len() as u64).filter(|end| *end <= layout.size);
        end.ok_or_else(|| Fault::damaged("something lies past the end of a file"))?;
        while !buffer.is_empty() {
            let number = usize::try_from(offset / block_size).unwrap_or(usize::MAX);
            let within = usize::try_from(offset % block_size).unwrap_or(0);
            let len = usize::try_from(block_size).unwrap_or(0).saturating_sub(within).min(buffer.len());
            let (now, later) = buffer.split_at_mut(len);
            let short = || Fault::damaged("a block is shorter than its file");
            match layout.blocks.get(number) {
                Some((_, 0)) => now.fill(0),
                Some((at, word)) => {
                    let block = self.kept(*at, *word)?;
                    now.copy_from_slice(block.get(within..within + len).ok_or_else(short)?);
                }
                None => {
                    let mut fragment = None;
                    let tail = self.tail(layout, &mut fragment)?;
                    now.copy_from_slice(tail.get(within..within + len).ok_or_else(short)?);
                }
            }
            buffer = later;
            offset += len as u64;
        }
        Ok(())
    }

    /// Calls `each` with the content of every block.
    fn blocks(&self, layout: &Layout, mut each: impl FnMut(&[u8]) -> Result<(), Fault>) -> Result<(), Fault> {
        let mut room = Vec::new();
        let mut left = layout.size;
        for (at, word) in &layout.blocks {
            let len = left.min(u64::from(self.block_size));
            let len = usize::try_from(len).unwrap_or(0);
            self.unpack(*at, *word, len, &mut room)?;
            if room.len() != len {
                return Err(Fault::damaged("a block of a file does not have the size of a block"));
            }
            each(&room)?;
            left -= len as u64;
        }
        Ok(())
    }

    /// The end of a file that lies in a fragment. `fragment` keeps the one that was unpacked last.
    fn tail<'f>(&self, layout: &Layout, fragment: &'f mut Option<(u32, Arc<Vec<u8>>)>) -> Result<&'f [u8], Fault> {
        let blocks = layout.blocks.len() as u64 * u64::from(self.block_size);
        let len = usize::try_from(layout.size.saturating_sub(blocks)).unwrap_or(usize::MAX);
        let Some((number, offset)) = layout.fragment.filter(|_| len > 0) else { return Ok(&[]) };
        if fragment.as_ref().is_none_or(|(known, _)| *known != number) {
            let index = usize::try_from(number).unwrap_or(usize::MAX);
            let (at, word) = *self
                .fragments
                .get(index)
                .ok_or_else(|| Fault::damaged("a file ends in a fragment that there is not"))?;
            *fragment = Some((number, self.kept(at, word)?));
        }
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        let tail = fragment.as_ref().and_then(|(_, bytes)| bytes.get(offset..)?.get(..len));
        tail.ok_or_else(|| Fault::damaged("a file ends outside its fragment"))
    }

    /// An unpacked block, from the last ones if it is among them.
    fn kept(&self, at: u64, word: u32) -> Result<Arc<Vec<u8>>, Fault> {
        let lock = || self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        {
            let mut kept = lock();
            if let Some(place) = kept.iter().position(|(known, _)| *known == at) {
                let found = kept.remove(place);
                let block = Arc::clone(&found.1);
                kept.push(found);
                return Ok(block);
            }
        }
        let mut room = Vec::new();
        self.unpack(at, word, usize::try_from(self.block_size).unwrap_or(0), &mut room)?;
        let block = Arc::new(room);
        let mut kept = lock();
        if kept.len() >= KEPT {
            kept.remove(0);
        }
        kept.push((at, Arc::clone(&block)));
        Ok(block)
    }

    /// Reads the block at `at` and unpacks it into `room`, which becomes as long as the block, at most `most` bytes. A
    /// word of zero stands for a block of zeros.
    fn unpack(&self, at: u64, word: u32, most: usize, room: &mut Vec<u8>) -> Result<(), Fault> {
        room.clear();
        room.resize(most, 0);
        let size = usize::try_from(word & SIZE).unwrap_or(0);
        if size == 0 {
            return Ok(());
        }
        if size > usize::try_from(self.block_size).unwrap_or(0) {
            return Err(Fault::damaged("a packed block is larger than a block"));
        }
        if word & STORED != 0 {
            if size > most {
                return Err(Fault::damaged("a stored block is larger than it may be"));
            }
            room.truncate(size);
            return self.region.read_at(room, at);
        }
        let mut packed = vec![0; size];
        self.region.read_at(&mut packed, at)?;
        let len = self.compressor.unpack(&packed, room)?;
        room.truncate(len);
        Ok(())
    }
}
