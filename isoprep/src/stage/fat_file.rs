//! The file that a FAT is written to. A FAT is written in clusters, with an entry of each in two tables at the beginning: here
//! the tables stay in memory until the end, and the clusters, which follow one another, reach the file in large pieces.

use std::io::{self, Read, Seek, SeekFrom, Write};

use crate::cache::steady::SteadyFile;

/// How much of the clusters waits, bytes.
const PIECE: usize = 1 << 20;

/// What lies before the first cluster of a FAT of `size` bytes, at most: two tables of 4 bytes for a sector of 512, and
/// 32 reserved sectors or a FAT16's root directory.
fn head_of(size: u64) -> u64 {
    (size / 64 + (64 << 10)).min(size)
}

/// A file of a fixed size, empty at first.
pub(crate) struct FatFile {
    file: SteadyFile,
    size: u64,
    at: u64,
    head: Vec<u8>,
    /// Bytes that are not in the file yet, and where they belong.
    piece: Vec<u8>,
    piece_at: u64,
}

impl FatFile {
    /// `file` is new and has `size` bytes.
    pub(crate) fn new(file: std::fs::File, size: u64) -> io::Result<Self> {
        let head = usize::try_from(head_of(size)).map_err(io::Error::other)?;
        let piece = Vec::with_capacity(PIECE);
        Ok(Self { file: SteadyFile::new(file), size, at: 0, head: vec![0; head], piece, piece_at: 0 })
    }

    /// Writes what waits, and syncs.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        self.put()?;
        self.file.rewind()?;
        self.file.write_all(&self.head)?;
        self.file.finish()
    }

    fn put(&mut self) -> io::Result<()> {
        if !self.piece.is_empty() {
            self.file.seek(SeekFrom::Start(self.piece_at))?;
            self.file.write_all(&self.piece)?;
            self.piece.clear();
        }
        Ok(())
    }

    /// Where `at` is in the head; then, where it is in the piece.
    fn in_head(&self) -> Option<usize> {
        usize::try_from(self.at).ok().filter(|at| *at < self.head.len())
    }

    fn in_piece(&self) -> Option<usize> {
        let at = usize::try_from(self.at.checked_sub(self.piece_at)?).ok()?;
        (at <= self.piece.len()).then_some(at)
    }

    fn room(&self) -> usize {
        usize::try_from(self.size.saturating_sub(self.at)).unwrap_or(usize::MAX)
    }

    fn passed(&mut self, bytes: usize) -> usize {
        self.at += bytes as u64;
        bytes
    }
}

impl Write for FatFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let bytes = &bytes[..bytes.len().min(self.room())];
        if let Some(at) = self.in_head() {
            let end = (at + bytes.len()).min(self.head.len());
            self.head[at..end].copy_from_slice(&bytes[..end - at]);
            return Ok(self.passed(end - at));
        }
        if self.in_piece().is_none_or(|at| at >= PIECE) {
            self.put()?;
            self.piece_at = self.at;
        }
        let at = self.in_piece().unwrap_or(0);
        let end = (at + bytes.len()).min(PIECE);
        if end > self.piece.len() {
            self.piece.resize(end, 0);
        }
        self.piece[at..end].copy_from_slice(&bytes[..end - at]);
        Ok(self.passed(end - at))
    }

    /// Nothing waits for long: [`finish`](Self::finish) writes it.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for FatFile {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let length = bytes.len().min(self.room());
        let bytes = &mut bytes[..length];
        let known = match (self.in_head(), self.in_piece()) {
            (Some(at), _) => &self.head[at..],
            (_, Some(at)) if at < self.piece.len() => &self.piece[at..],
            _ => {
                self.put()?;
                self.file.seek(SeekFrom::Start(self.at))?;
                let read = self.file.read(bytes)?;
                return Ok(self.passed(read));
            }
        };
        let read = known.len().min(bytes.len());
        bytes[..read].copy_from_slice(&known[..read]);
        Ok(self.passed(read))
    }
}

impl Seek for FatFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.size.checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at =
            at.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "a place before the file's beginning"))?;
        Ok(self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn it_reads_and_keeps_what_a_file_would(
            steps in proptest::collection::vec((0_u64..400_000, 1_usize..3000, 0_u8..3), 1..200),
        ) {
            const SIZE: u64 = 390_000;
            let file = tempfile::NamedTempFile::new().unwrap();
            file.as_file().set_len(SIZE).unwrap();
            let mut fat = FatFile::new(file.reopen().unwrap(), SIZE).unwrap();
            let mut plain = vec![0_u8; usize::try_from(SIZE).unwrap()];
            for (number, (at, length, kind)) in steps.into_iter().enumerate() {
                // Half of them go on where the last one ended.
                let at = if number % 2 == 0 { fat.seek(SeekFrom::Start(at)).unwrap() } else { fat.stream_position().unwrap() };
                let from = usize::try_from(at.min(SIZE)).unwrap();
                let end = (from + length).min(plain.len());
                if kind == 0 {
                    let mut read = vec![0; end - from];
                    fat.read_exact(&mut read).unwrap();
                    proptest::prop_assert_eq!(&read, &plain[from..end]);
                } else {
                    let byte = u8::try_from(number % 250).unwrap() + 1;
                    fat.write_all(&vec![byte; end - from]).unwrap();
                    plain[from..end].fill(byte);
                }
            }
            fat.finish().unwrap();
            let kept = std::fs::read(file.path()).unwrap();
            proptest::prop_assert!(kept == plain);
        }
    }
}
