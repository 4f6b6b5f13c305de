//! The session's logs: each line goes to a file first, then into a bounded ring that front ends read; what the guest says raw, what
//! programs of this machine say line by line and without the secrets in it.

mod file;
mod ring;
mod stage;
mod terminal;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

pub use file::{FILE_LIMIT, FILE_LIMIT_IN_MEMORY};
pub use ring::{LINE_LIMIT, Level, LogRing, RING_BYTES, RING_LINES};
pub use stage::{stage_of, stage_tag};
pub use terminal::{COLUMNS, ROWS, Terminal};

use file::LogFile;

/// Which log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pane {
    /// What the stages and their tools print.
    Build,
    /// What the guest sends on its serial line.
    Serial,
    /// What QEMU itself prints.
    Qemu,
    /// What the session does.
    Session,
}

impl Pane {
    /// All panes, in the order of their tabs.
    pub const ALL: [Self; 4] = [Self::Build, Self::Serial, Self::Qemu, Self::Session];

    /// The name on its tab.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Build => "Build",
            Self::Serial => "Serial",
            Self::Qemu => "QEMU",
            Self::Session => "Session",
        }
    }

    /// The name of its file in the session's log directory.
    #[must_use]
    pub fn file_name(self) -> &'static str {
        match self {
            Self::Build => "build.log",
            Self::Serial => "serial.log",
            Self::Qemu => "qemu.log",
            Self::Session => "session.log",
        }
    }
}

/// So much of a line is waited for, bytes.
const LONGEST_BEGUN: usize = 16 * 1024;

/// One log: its file, and the ring of its newest lines.
#[derive(Debug)]
pub struct LogPane {
    ring: Mutex<LogRing>,
    file: Mutex<Option<LogFile>>,
    /// The beginning of a line of a program's, until the rest of it comes.
    begun: Mutex<Vec<u8>>,
    version: AtomicU64,
}

impl LogPane {
    fn new(file: Option<LogFile>) -> Self {
        Self {
            ring: Mutex::new(LogRing::new(RING_LINES, RING_BYTES)),
            file: Mutex::new(file),
            begun: Mutex::default(),
            version: AtomicU64::new(0),
        }
    }

    /// Appends raw bytes, which need not end with a line.
    pub fn append(&self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        if let Some(file) = self.file.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            file.append(bytes);
        }
        self.ring.lock().unwrap_or_else(PoisonError::into_inner).append(bytes);
        self.version.fetch_add(1, Ordering::Release);
    }

    /// Appends one line of our own, without the secrets in it.
    pub fn line(&self, text: &str) {
        self.append(format!("{}\n", isoprep::redacted(text)).as_bytes());
    }

    /// Appends what a program of this machine printed, without the secrets in it: line by line, since a secret may come in two
    /// pieces. A line is there once it is whole, or too long to be waited for, or [`LogPane::end_words`] says that it ends so.
    pub fn words(&self, bytes: &[u8]) {
        let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        begun.extend_from_slice(bytes);
        let mut whole = begun.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        if begun.len() - whole > LONGEST_BEGUN {
            whole = begun.len();
        }
        let rest = begun.split_off(whole);
        self.append(&hidden(&std::mem::replace(&mut *begun, rest)));
    }

    /// The program prints no more.
    pub fn end_words(&self) {
        let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        self.append(&hidden(&std::mem::take(&mut *begun)));
    }

    /// Grows with every append: a reader that has seen this version has seen everything.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Reads the ring unless a writer holds it right now: the frame must not wait, the next one will succeed.
    pub fn try_read<R>(&self, read: impl FnOnce(&LogRing) -> R) -> Option<R> {
        match self.ring.try_lock() {
            Ok(ring) => Some(read(&ring)),
            Err(std::sync::TryLockError::Poisoned(ring)) => Some(read(&ring.into_inner())),
            Err(std::sync::TryLockError::WouldBlock) => None,
        }
    }

    /// Reads the ring, waiting for a writer if need be. Not for the frame.
    pub fn read<R>(&self, read: impl FnOnce(&LogRing) -> R) -> R {
        read(&self.ring.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The first of 256 characters for private use (Unicode, plane 16) that stand for bytes which are no text.
const STANDS_FOR_0: u32 = 0x10_f000;

/// The words without the secrets in them, also where bytes in them are no text; those stay as they are.
fn hidden(words: &[u8]) -> Vec<u8> {
    let stands_for = |byte: &u8| char::from_u32(STANDS_FOR_0 + u32::from(*byte));
    let mut text = String::with_capacity(words.len());
    for part in words.utf8_chunks() {
        text.push_str(part.valid());
        text.extend(part.invalid().iter().filter_map(stands_for));
    }
    let mut shown = Vec::with_capacity(words.len());
    for c in isoprep::redacted(&text).chars() {
        match u32::from(c).checked_sub(STANDS_FOR_0).and_then(|byte| u8::try_from(byte).ok()) {
            Some(byte) => shown.push(byte),
            None => shown.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    shown
}

/// All logs of a session, and the terminal that the serial line is shown on.
#[derive(Debug)]
pub struct LogHub {
    panes: [LogPane; 4],
    /// The serial line as a terminal shows it.
    pub terminal: Terminal,
    dir: Option<PathBuf>,
}

impl LogHub {
    /// Logs that are kept in memory only.
    #[must_use]
    pub fn in_memory() -> Arc<Self> {
        Arc::new(Self { panes: Pane::ALL.map(|_| LogPane::new(None)), terminal: Terminal::new(), dir: None })
    }

    /// Logs that are kept in `dir`, one file a pane, of `limit` bytes at most. A file that cannot be made is told in the session's log.
    #[must_use]
    pub fn in_dir(dir: &Path, limit: u64) -> Arc<Self> {
        let mut lost = Vec::new();
        let panes = Pane::ALL.map(|pane| {
            let path = dir.join(pane.file_name());
            LogPane::new(LogFile::create(&path, limit).map_err(|e| lost.push(format!("{}: {e}", path.display()))).ok())
        });
        let hub = Self { panes, terminal: Terminal::new(), dir: Some(dir.to_owned()) };
        for text in lost {
            hub.pane(Pane::Session).line(&format!("warning: this log is kept in memory only: {text}"));
        }
        Arc::new(hub)
    }

    /// One log.
    #[must_use]
    pub fn pane(&self, pane: Pane) -> &LogPane {
        match pane {
            Pane::Build => &self.panes[0],
            Pane::Serial => &self.panes[1],
            Pane::Qemu => &self.panes[2],
            Pane::Session => &self.panes[3],
        }
    }

    /// The directory of the files, if there is one.
    #[must_use]
    pub fn dir(&self) -> Option<&Path> {
        self.dir.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_appended_is_in_the_file_and_in_the_ring() {
        let dir = tempfile::tempdir().unwrap();
        let hub = LogHub::in_dir(dir.path(), FILE_LIMIT);
        hub.pane(Pane::Serial).append(b"one\ntw");
        hub.pane(Pane::Serial).append(b"o\n\xff\x1b[31m");
        assert_eq!(std::fs::read(dir.path().join("serial.log")).unwrap(), b"one\ntwo\n\xff\x1b[31m");
        let lines = hub
            .pane(Pane::Serial)
            .read(|ring| (0..ring.end()).map(|i| ring.line(i).unwrap().to_vec()).collect::<Vec<_>>());
        assert_eq!(lines, [b"one".to_vec(), b"two".to_vec(), b"\xff\x1b[31m".to_vec()]);
    }

    #[test]
    fn a_directory_that_cannot_be_written_loses_the_file_but_not_the_log() {
        let hub = LogHub::in_dir(Path::new("/proc/no-such-place"), FILE_LIMIT);
        hub.pane(Pane::Build).line("hello https://me:hunter2@h/");
        let hidden = hub.pane(Pane::Build).read(|ring| ring.line(0).unwrap().to_vec());
        assert_eq!(hidden, b"hello https://me:***@h/");
        assert_eq!(hub.pane(Pane::Build).read(LogRing::end), 1);
        assert!(hub.pane(Pane::Session).read(LogRing::end) > 0);
    }

    #[test]
    fn a_password_in_two_pieces_beside_what_is_no_text_is_hidden() {
        let hub = LogHub::in_memory();
        let pane = hub.pane(Pane::Qemu);
        pane.words(b"one\nqemu: https://me:hun");
        let lines = || {
            pane.read(|ring| (ring.begin()..ring.end()).map(|at| ring.line(at).unwrap().to_vec()).collect::<Vec<_>>())
        };
        assert_eq!(lines(), [b"one"]);
        pane.words(b"ter2@h/ \xff --password hunter2\nlast https://me:h\xfcnter\xfe@h/ \xfe --password hunter2");
        pane.end_words();
        let expected = [
            &b"one"[..],
            b"qemu: https://me:***@h/ \xff --password ***",
            b"last https://me:***@h/ \xfe --password ***",
        ];
        assert_eq!(lines(), expected);
    }
}
