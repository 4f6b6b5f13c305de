//! This terminal on the guest's serial line: raw keys in, raw bytes out, Ctrl-] to leave.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};
use tokio::sync::mpsc::Sender;

use super::print;
use crate::session::Command;
use crate::session::logs::Pane;

/// Ctrl-], as telnet has it.
const LEAVE: u8 = 0x1d;
/// How many chunks of 16 KiB are shown at most before something else has its turn.
const CHUNKS: usize = 16;

/// The terminal in raw mode; dropping it puts it back.
pub(super) struct Attached {
    log: File,
    leave: Arc<AtomicBool>,
    before: Option<Termios>,
    /// Once it is closed, nothing more is read: what is typed then answers a question.
    _reads: OwnedFd,
}

impl Attached {
    /// Follows the serial log from its beginning, and sends what is typed. `None` if the log cannot be read.
    pub(super) fn begin(logs: &Path, commands: Sender<Command>) -> Option<Self> {
        let log = File::open(logs.join(Pane::Serial.file_name())).ok()?;
        print::err("Serial line of the guest; Ctrl-] ejects and leaves.");
        let before = tcgetattr(std::io::stdin()).ok();
        if let Some(before) = &before {
            let mut raw = before.clone();
            raw.make_raw();
            // Our own lines still want their carriage returns.
            raw.output_modes |= rustix::termios::OutputModes::OPOST | rustix::termios::OutputModes::ONLCR;
            let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, &raw);
        }
        let leave = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&leave);
        let (over, reads) = pipe_with(PipeFlags::CLOEXEC).ok()?;
        std::thread::spawn(move || {
            let mut keys = [0; 256];
            while let Some(n) = read_until(&over, &mut keys) {
                let keys = &keys[..n];
                if n == 0 || keys.contains(&LEAVE) {
                    flag.store(n != 0, Ordering::Release);
                    break;
                }
                if commands.blocking_send(Command::SendSerial(keys.to_vec())).is_err() {
                    break;
                }
            }
        });
        Some(Self { log, leave, before, _reads: reads })
    }

    /// Shows what has come since the last call. Says whether the user wants to leave.
    pub(super) fn pump(&mut self) -> bool {
        let mut chunk = [0; 16 * 1024];
        let mut out = std::io::stdout();
        // Bounded: a guest that writes faster than this terminal shows must not keep us from anything else.
        for _ in 0..CHUNKS {
            let Ok(n @ 1..) = self.log.read(&mut chunk) else { break };
            let _ = out.write_all(&chunk[..n]);
        }
        let _ = out.flush();
        self.leave.load(Ordering::Acquire)
    }
}

/// Reads what is typed, as it is; `None` once the other end of `over` is closed, or nothing can be read.
fn read_until(over: &OwnedFd, keys: &mut [u8]) -> Option<usize> {
    let stdin = std::io::stdin();
    loop {
        let mut fds = [PollFd::new(&stdin, PollFlags::IN), PollFd::new(over, PollFlags::IN)];
        match poll(&mut fds, None) {
            Ok(_) if !fds[1].revents().is_empty() => return None,
            Ok(_) => return rustix::io::read(&stdin, keys).ok(),
            Err(Errno::INTR) => {}
            Err(_) => return None,
        }
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        self.pump();
        if let Some(before) = &self.before {
            let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, before);
        }
        let _ = writeln!(std::io::stdout());
    }
}
