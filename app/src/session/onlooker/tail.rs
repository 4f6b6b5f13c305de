//! The log files of another session, as they grow: read from where they lie, so that whoever writes them knows nothing of it.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::fs::OFlags;

use crate::session::handle::Waker;
use crate::session::logs::{LogHub, Pane};

/// So much of a log that is there already is shown, bytes.
const OLD: u64 = 1024 * 1024;
/// How much is taken at a time, bytes.
const CHUNK: usize = 256 * 1024;
/// How often is looked while something comes.
const SOON: Duration = Duration::from_millis(100);
/// How often is looked at the least.
const LATE: Duration = Duration::from_millis(800);

/// Follows logs until it is dropped, which takes what is there yet.
#[derive(Debug)]
pub(super) struct LogTail {
    ends: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl LogTail {
    /// Follows the logs in `dir` into `logs`, and rings when there is something new.
    pub(super) fn begin(dir: PathBuf, logs: Arc<LogHub>, wake: Arc<Waker>) -> std::io::Result<Self> {
        let (ends, ended) = channel();
        let thread = std::thread::Builder::new().name("watched logs".into()).spawn(move || {
            let mut files = Pane::ALL.map(|pane| Followed { pane, file: None });
            let mut wait = SOON;
            loop {
                let over = match ended.recv_timeout(wait) {
                    Err(RecvTimeoutError::Timeout) => false,
                    Ok(()) | Err(RecvTimeoutError::Disconnected) => true,
                };
                let mut new = false;
                for followed in &mut files {
                    new |= followed.take(&dir, &logs);
                }
                if new {
                    wake.wake();
                }
                wait = if new { SOON } else { (wait * 2).min(LATE) };
                if over {
                    return;
                }
            }
        })?;
        Ok(Self { ends: Some(ends), thread: Some(thread) })
    }
}

impl Drop for LogTail {
    fn drop(&mut self) {
        self.ends = None;
        // It reads what is there and ends.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

struct Followed {
    pane: Pane,
    file: Option<File>,
}

impl Followed {
    /// Takes what is new; says whether something was.
    fn take(&mut self, dir: &Path, logs: &LogHub) -> bool {
        if self.file.is_none() {
            self.file = self.open(dir, logs);
        }
        let Some(file) = &mut self.file else { return false };
        let mut chunk = vec![0; CHUNK];
        let mut any = false;
        // A flood is followed as well as can be, and not for ever at a time.
        for _ in 0..16 {
            match file.read(&mut chunk) {
                Ok(0) | Err(_) => break,
                Ok(count) => {
                    any = true;
                    logs.pane(self.pane).append(&chunk[..count]);
                    if self.pane == Pane::Serial {
                        logs.terminal.feed(&chunk[..count]);
                    }
                }
            }
        }
        any
    }

    /// Opens the log, where the part begins that is shown.
    fn open(&self, dir: &Path, logs: &LogHub) -> Option<File> {
        let path = dir.join(self.pane.file_name());
        let flags = i32::try_from((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits()).ok()?;
        let mut file = OpenOptions::new().read(true).custom_flags(flags).open(&path).ok()?;
        let meta = file.metadata().ok().filter(std::fs::Metadata::is_file)?;
        if meta.len() > OLD {
            file.seek(SeekFrom::Start(meta.len() - OLD)).ok()?;
            let words = format!("[what was before is in {}]\n", path.display());
            logs.pane(self.pane).append(words.as_bytes());
        }
        Some(file)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn a_log_is_followed_from_its_end_and_to_its_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(Pane::Build.file_name());
        std::fs::write(&path, format!("first\n{}\nlast\n", "x".repeat(2 << 20))).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", dir.path().join(Pane::Qemu.file_name())).unwrap();
        let logs = LogHub::in_memory();
        let tail = LogTail::begin(dir.path().to_owned(), Arc::clone(&logs), Arc::default()).unwrap();
        let lines = |pane| {
            logs.pane(pane).read(|ring| {
                (ring.begin()..ring.end())
                    .map(|at| String::from_utf8_lossy(ring.line(at).unwrap()).into_owned())
                    .collect::<Vec<_>>()
            })
        };
        while !lines(Pane::Build).iter().any(|line| line == "last") {
            std::thread::sleep(Duration::from_millis(5));
        }
        assert!(lines(Pane::Build)[0].starts_with("[what was before is in "));
        assert!(!lines(Pane::Build).iter().any(|line| line == "first"));
        OpenOptions::new().append(true).open(&path).unwrap().write_all(b"added\n").unwrap();
        std::fs::write(dir.path().join(Pane::Serial.file_name()), "login: ").unwrap();
        drop(tail);
        assert_eq!(lines(Pane::Build).last().unwrap(), "added");
        assert_eq!((lines(Pane::Serial), lines(Pane::Qemu)), (vec!["login: ".to_owned()], Vec::new()));
    }
}
