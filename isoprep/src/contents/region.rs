//! A stretch of a file, perhaps in several pieces: what a file of an ISO is on the disk. Everything that is read of an
//! image is read here, and nothing past its end.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use cartridge_supervise::Cancel;

use super::error::Fault;

/// A stretch of a file. Clones share the open file.
#[derive(Clone, Debug)]
pub(super) struct Region {
    file: Arc<File>,
    cancel: Cancel,
    /// Each with its first byte in the file; none is empty.
    pieces: Arc<[Piece]>,
    len: u64,
}

#[derive(Clone, Copy, Debug)]
struct Piece {
    at: u64,
    len: u64,
    /// Where it begins in the region.
    begin: u64,
}

impl Region {
    /// The whole of a file.
    pub(super) fn whole(file: File, cancel: &Cancel) -> io::Result<Self> {
        let len = file.metadata()?.len();
        let pieces = if len == 0 { Vec::new() } else { vec![Piece { at: 0, len, begin: 0 }] };
        Ok(Self { file: Arc::new(file), cancel: cancel.clone(), pieces: pieces.into(), len })
    }

    /// Its size, bytes.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// The pieces `(first byte, length)` of it, one after the other, as a region of their own.
    pub(super) fn part(&self, pieces: &[(u64, u64)]) -> Result<Self, Fault> {
        let mut found = Vec::new();
        let mut begin = 0_u64;
        for (from, len) in pieces.iter().copied().filter(|(_, len)| *len > 0) {
            let end = from.checked_add(len).filter(|end| *end <= self.len).ok_or_else(past_the_end)?;
            let mut at = from;
            while at < end {
                let (piece, within) = self.piece_at(at).ok_or_else(past_the_end)?;
                let len = (piece.len - within).min(end - at);
                found.push(Piece { at: piece.at + within, len, begin });
                begin = begin.checked_add(len).ok_or_else(past_the_end)?;
                at += len;
            }
        }
        Ok(Self { file: Arc::clone(&self.file), cancel: self.cancel.clone(), pieces: found.into(), len: begin })
    }

    /// Fills `buffer` from `offset` on.
    pub(super) fn read_at(&self, mut buffer: &mut [u8], mut offset: u64) -> Result<(), Fault> {
        if self.cancel.is_cancelled() {
            return Err(Fault::Cancelled);
        }
        while !buffer.is_empty() {
            let (piece, within) = self.piece_at(offset).ok_or_else(past_the_end)?;
            let len = usize::try_from(piece.len - within).unwrap_or(usize::MAX).min(buffer.len());
            let (now, later) = buffer.split_at_mut(len);
            match self.file.read_exact_at(now, piece.at + within) {
                Ok(()) => {}
                // It was longer when it was opened.
                Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Err(past_the_end()),
                Err(e) => return Err(e.into()),
            }
            offset += len as u64;
            buffer = later;
        }
        Ok(())
    }

    /// All of it, if it has at most `limit` bytes.
    pub(super) fn bytes(&self, limit: u64) -> Result<Vec<u8>, Fault> {
        if self.len > limit {
            return Err(Fault::TooMuch { what: "bytes in a file that is read whole", limit });
        }
        let mut bytes = vec![0; usize::try_from(self.len).unwrap_or(0)];
        self.read_at(&mut bytes, 0)?;
        Ok(bytes)
    }

    /// Up to `count` bytes of its beginning.
    pub(super) fn head(&self, count: usize) -> Result<Vec<u8>, Fault> {
        let mut bytes = vec![0; usize::try_from(self.len).unwrap_or(usize::MAX).min(count)];
        self.read_at(&mut bytes, 0)?;
        Ok(bytes)
    }

    /// Reads it from front to back.
    pub(super) fn reader(&self) -> RegionReader {
        RegionReader { region: self.clone(), at: 0 }
    }

    fn piece_at(&self, offset: u64) -> Option<(Piece, u64)> {
        let index = self.pieces.partition_point(|piece| piece.begin <= offset).checked_sub(1)?;
        let piece = self.pieces.get(index)?;
        let within = offset - piece.begin;
        (within < piece.len).then_some((*piece, within))
    }
}

fn past_the_end() -> Fault {
    Fault::damaged("something in it lies past its end; it may be cut short")
}

/// A place in a region. Fails with an error that [`fault`] turns back.
#[derive(Debug)]
pub(super) struct RegionReader {
    region: Region,
    at: u64,
}

impl io::Read for RegionReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.region.len.saturating_sub(self.at);
        let len = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        self.region.read_at(&mut buffer[..len], self.at).map_err(io::Error::other)?;
        self.at += len as u64;
        Ok(len)
    }
}

impl io::Seek for RegionReader {
    fn seek(&mut self, to: io::SeekFrom) -> io::Result<u64> {
        let (base, offset) = match to {
            io::SeekFrom::Start(at) => (at, 0),
            io::SeekFrom::End(offset) => (self.region.len, offset),
            io::SeekFrom::Current(offset) => (self.at, offset),
        };
        let before = || io::Error::new(io::ErrorKind::InvalidInput, "a seek to before the beginning");
        self.at = base.checked_add_signed(offset).ok_or_else(before)?;
        Ok(self.at)
    }
}

/// The fault behind an error that came through a reader: one of ours, or the system's.
pub(super) fn fault(error: io::Error) -> Fault {
    match error.downcast::<Fault>() {
        Ok(fault) => fault,
        Err(error) => Fault::Io(error),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Seek, SeekFrom, Write};

    use super::*;

    fn region(bytes: &[u8]) -> Region {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        Region::whole(file, &Cancel::new()).unwrap()
    }

    #[test]
    fn pieces_read_as_one_and_parts_of_parts_too() {
        let part = region(b"0123456789").part(&[(7, 3), (0, 0), (2, 4)]).unwrap();
        assert_eq!(part.bytes(7).unwrap(), b"7892345");
        let inner = part.part(&[(1, 5)]).unwrap();
        assert_eq!(inner.bytes(9).unwrap(), b"89234");
        let mut reader = inner.reader();
        let mut text = String::new();
        reader.seek(SeekFrom::End(-3)).unwrap();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "234");
        assert_eq!(inner.head(2).unwrap(), b"89");
        assert_eq!(region(b"").head(9).unwrap(), b"");
    }

    #[test]
    fn nothing_past_the_end_is_read() {
        let all = region(b"0123456789");
        assert!(all.part(&[(7, 4)]).is_err() && all.part(&[(u64::MAX, 2)]).is_err());
        assert!(all.read_at(&mut [0; 2], 9).is_err() && all.read_at(&mut [0; 1], u64::MAX).is_err());
        assert!(all.bytes(9).is_err());
        let mut reader = all.reader();
        reader.seek(SeekFrom::Start(u64::MAX)).unwrap();
        assert_eq!(reader.read(&mut [0; 4]).unwrap(), 0);
        assert!(reader.seek(SeekFrom::Current(1)).is_err() && reader.seek(SeekFrom::End(-11)).is_err());
    }

    #[test]
    fn a_cancelled_read_says_so_through_a_reader_too() {
        let cancel = Cancel::new();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"x").unwrap();
        let region = Region::whole(file, &cancel).unwrap();
        cancel.cancel();
        let error = region.reader().read(&mut [0; 1]).unwrap_err();
        assert!(matches!(fault(error), Fault::Cancelled));
        assert!(matches!(fault(io::Error::from_raw_os_error(5)), Fault::Io(_)));
    }
}
