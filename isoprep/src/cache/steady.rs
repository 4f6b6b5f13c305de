//! A file whose content reaches the disk while it is written: the flush at the end, which nothing can interrupt, is short.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};

/// After how many bytes the disk catches up: a slow disk takes a second or so for as much.
pub(crate) const STEP: u64 = 64 << 20;

/// A file that is synced after every [`STEP`] bytes.
pub(crate) struct SteadyFile {
    file: File,
    /// Bytes written since the last sync.
    pending: u64,
    /// How often it was synced.
    synced: u64,
}

impl SteadyFile {
    pub(crate) fn new(file: File) -> Self {
        Self { file, pending: 0, synced: 0 }
    }

    /// Syncs what is left, and the file's size.
    pub(crate) fn finish(self) -> io::Result<()> {
        self.file.sync_all()
    }
}

impl Write for SteadyFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.pending += written as u64;
        if self.pending >= STEP {
            self.file.sync_data()?;
            (self.pending, self.synced) = (0, self.synced + 1);
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Read for SteadyFile {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.file.read(bytes)
    }
}

impl Seek for SteadyFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_disk_never_lags_by_more_than_a_step() {
        let mut steady = SteadyFile::new(tempfile::tempfile().unwrap());
        let chunk = vec![1; 1 << 20];
        let chunks = 2 * STEP / (1 << 20) + 1;
        for _ in 0..chunks {
            steady.write_all(&chunk).unwrap();
            assert!(steady.pending < STEP);
        }
        assert_eq!(steady.synced, 2);
        assert_eq!(steady.seek(SeekFrom::End(0)).unwrap(), chunks << 20);
    }
}
