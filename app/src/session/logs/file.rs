//! The file of one log: append only, bounded, and never in the way of the session.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

/// How large one log file may grow, bytes: a guest that floods its serial line must not fill the disk.
pub const FILE_LIMIT: u64 = 256 * 1024 * 1024;
/// The same where logs are kept beside the sockets, in memory that the desktop needs.
pub const FILE_LIMIT_IN_MEMORY: u64 = 4 * 1024 * 1024;

#[derive(Debug)]
pub(super) struct LogFile {
    file: Option<File>,
    written: u64,
    limit: u64,
}

impl LogFile {
    pub(super) fn create(path: &Path, limit: u64) -> io::Result<Self> {
        Ok(Self { file: Some(File::create(path)?), written: 0, limit })
    }

    /// Appends; stops for good at the limit or at the first error (a full disk), saying so in the file if it can.
    pub(super) fn append(&mut self, bytes: &[u8]) {
        let Some(file) = &mut self.file else { return };
        let room = usize::try_from(self.limit.saturating_sub(self.written)).unwrap_or(usize::MAX);
        let part = &bytes[..bytes.len().min(room)];
        let wrote = file.write_all(part).is_ok();
        self.written += part.len() as u64;
        if !wrote || part.len() < bytes.len() {
            let _ = file.write_all(b"\n[this log ends here: the file is full; newer lines are in the window only]\n");
            self.file = None;
        }
    }
}
