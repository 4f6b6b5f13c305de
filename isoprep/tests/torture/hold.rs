//! What a layout keeps alive while it is ejected: processes and racing threads.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::room::Skip;

/// A process of somebody else's: not a descendant of ours. It is killed when this goes.
pub struct Process(u32);

impl Process {
    /// Starts `sh -c SCRIPT`, which prints "ready" once it is where it should be, and then stays.
    pub fn ready(script: &str, words: &[&OsStr]) -> Result<Self, Skip> {
        Self::start(Command::new("/bin/sh").args(["-c", script, "holder"]).args(words))
    }

    /// Starts a command that prints "ready". A shell in between goes at once, so that nobody of ours is its parent.
    pub fn start(command: &Command) -> Result<Self, Skip> {
        let mut between = Command::new("/bin/sh");
        between.args(["-c", "\"$@\" & echo \"pid $!\"", "sh"]).arg(command.get_program()).args(command.get_args());
        if let Some(dir) = command.get_current_dir() {
            between.current_dir(dir);
        }
        let child = between.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
        let mut child = child.map_err(|error| Skip(error.to_string()))?;
        let (mut pid, mut ready) = (None, false);
        let out = child.stdout.take().expect("it is piped");
        for line in BufReader::new(out).lines().map_while(Result::ok) {
            match line.strip_prefix("pid ") {
                Some(number) => pid = number.parse().ok(),
                None => ready |= line == "ready",
            }
            if ready && pid.is_some() {
                break;
            }
        }
        let _ = child.wait();
        match pid {
            Some(pid) if ready => {
                has_become(pid);
                Ok(Self(pid))
            }
            _ => Err(Skip(format!("{command:?} was not ready"))),
        }
    }

    pub fn pid(&self) -> u32 {
        self.0
    }
}

/// Waits until a shell that says it is ready has become the program that it is for.
fn has_become(pid: u32) {
    for _ in 0..2000 {
        let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        // It has its words a moment after its name.
        let words = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        if !["sh", "bash", "dash", "env", "unshare", "chroot"].contains(&name.trim()) && !words.is_empty() {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let Some(pid) = i32::try_from(self.0).ok().and_then(Pid::from_raw) else { return };
        let Ok(open) = pidfd_open(pid, PidfdFlags::empty()) else { return };
        let _ = pidfd_send_signal(&open, Signal::KILL);
        let mut fds = [PollFd::new(&open, PollFlags::IN)];
        let _ = poll(&mut fds, Some(&Timespec { tv_sec: 5, tv_nsec: 0 }));
    }
}

/// A child of ours, which is killed when this goes.
pub struct Child(std::process::Child);

impl Child {
    pub fn start(command: &mut Command) -> Self {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("it is piped")).read_line(&mut line).unwrap();
        Self(child)
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A thread that does the same over and over until this goes.
pub struct Racer {
    done: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Racer {
    pub fn start(mut step: impl FnMut() + Send + 'static) -> Self {
        let done = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&done);
        let thread = std::thread::spawn(move || {
            while !told.load(Ordering::Relaxed) {
                step();
            }
        });
        Self { done, thread: Some(thread) }
    }
}

impl Drop for Racer {
    fn drop(&mut self) {
        self.done.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
