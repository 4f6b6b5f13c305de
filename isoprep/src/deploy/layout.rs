//! What is written where: the head first cleared and last written, the body between, and the end of the disk cleared, where an
//! older partition table or RAID has its copy. Pure.

use std::ops::Range;

/// Bytes of one request: the size of an erase block of most sticks, and far above what a USB request carries.
pub(super) const CHUNK: u64 = 4 << 20;
/// How much of the end of a disk is cleared: GPT's copy, RAID's and ZFS's labels lie within.
const TAIL: u64 = 1 << 20;

/// How much of the beginning firmware looks at before anything else: 64 KiB, as an ISO's descriptors begin at 32 KiB (ECMA-119, 6.2.1).
const STARTS: u64 = 64 << 10;

/// The places of one image on one disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    /// What firmware and kernels look at: boot sector, partition table, the volume's descriptor.
    pub head: Range<u64>,
    /// The rest of the image, to a whole block.
    pub body: Range<u64>,
    /// What is cleared at the disk's end; empty where the image reaches it.
    pub tail: Range<u64>,
}

impl Layout {
    /// For an image of `image` bytes, at most the disk's, on a disk of `disk` bytes and blocks of `block` bytes.
    pub fn new(image: u64, disk: u64, block: u32) -> Self {
        // A disk is whole blocks: what fits it fits with its last block filled up.
        let end = image.next_multiple_of(u64::from(block.max(1))).min(disk);
        let head = CHUNK.min(end);
        let tail = disk.saturating_sub(TAIL).max(end);
        Self { head: 0..head, body: head..end, tail: tail..disk }
    }

    /// The part of the head that firmware begins with, written last of all: boot sector, partition table, the volume's descriptor.
    pub fn starts(&self) -> Range<u64> {
        0..STARTS.min(self.head.end)
    }

    /// The image's bytes, to a whole block.
    pub fn total(&self) -> u64 {
        self.body.end
    }
}

/// A range in requests.
pub(super) fn chunks(range: &Range<u64>) -> impl Iterator<Item = Range<u64>> + use<> {
    let Range { start, end } = *range;
    (0..)
        .map(move |index| start + index * CHUNK)
        .take_while(move |at| *at < end)
        .map(move |at| at..(at + CHUNK).min(end))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_small_image_is_all_head() {
        let it = Layout::new(700, 8 << 20, 512);
        assert_eq!(it, Layout { head: 0..1024, body: 1024..1024, tail: (7 << 20)..(8 << 20) });
        assert_eq!(chunks(&it.body).count(), 0);
        assert_eq!((it.starts(), Layout::new(9 << 20, 16 << 20, 4096).starts()), (0..1024, 0..65_536));
    }

    proptest! {
        #[test]
        fn everything_is_whole_blocks_in_order_and_on_the_disk(
            image in 1_u64..40_000_000, blocks in 1_u64..100_000, shift in 9_u32..13,
        ) {
            let block = 1_u32 << shift;
            let disk = blocks * u64::from(block);
            let image = image.min(disk);
            let it = Layout::new(image, disk, block);
            prop_assert!(it.head.start == 0 && it.head.end > 0 && it.head.end == it.body.start);
            prop_assert!(it.total() >= image && it.total() - image < u64::from(block));
            prop_assert!(it.body.end <= it.tail.start && it.tail.end == disk);
            let mut at = it.body.start;
            for chunk in chunks(&it.body).chain(chunks(&it.tail)) {
                prop_assert!(chunk.start == at || chunk.start == it.tail.start);
                prop_assert!(chunk.end > chunk.start && chunk.end - chunk.start <= CHUNK);
                prop_assert!(chunk.start % u64::from(block) == 0 && chunk.end % u64::from(block) == 0);
                at = chunk.end;
            }
            prop_assert!(at == disk || it.tail.is_empty());
        }
    }
}
