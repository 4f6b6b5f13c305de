//! A long-lived child: started, watched, ended. Its group dies with it.

use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, Signal, WaitId, WaitIdOptions};

use crate::CommandLine;
use crate::input::Input;
use crate::isolation::Steps;
use crate::marks::MARK;
use crate::tail::Tail;

/// How much of a child's output is kept as evidence, bytes.
const EVIDENCE: usize = 64 * 1024;
/// How long we wait for the pipes to close once the child has ended: a grandchild that left the group may hold them.
const DRAIN: Duration = Duration::from_millis(500);

/// Which pipe of the child something came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// Is told what a child prints and how it ended. Called from the threads that drain it; must not block for long.
pub trait Observer: Send + 'static {
    /// Raw bytes as they arrive, not cut into lines.
    fn output(&mut self, channel: Channel, bytes: &[u8]);
    /// The child has ended and its pipes are drained. Called once, last.
    fn exited(&mut self, exit: &Exit);
}

/// How a child ended.
#[derive(Clone, Debug)]
pub struct Exit {
    /// Its status: a code, or the signal that killed it.
    pub status: ExitStatus,
    /// The last 64 KiB of its output, both pipes in the order they arrived.
    pub evidence: Vec<u8>,
    /// How long it ran.
    pub took: Duration,
}

impl Exit {
    /// Says in words how it ended: "exit code 1", "killed by signal 9".
    #[must_use]
    pub fn describe(&self) -> String {
        match (self.status.code(), self.status.signal()) {
            (Some(code), _) => format!("exit code {code}"),
            (None, Some(signal)) => format!("killed by signal {signal}"),
            (None, None) => self.status.to_string(),
        }
    }

    /// The evidence as text, for people.
    #[must_use]
    pub fn evidence_text(&self) -> String {
        String::from_utf8_lossy(&self.evidence).into_owned()
    }
}

/// Which step ended a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndStep {
    /// It had ended before it was asked to.
    Already,
    /// SIGTERM was enough.
    Term,
    /// It took SIGKILL to the whole group.
    Kill,
}

/// How a child was ended by [`ProcessHandle::end`].
#[derive(Clone, Debug)]
pub struct End {
    /// The step that did it.
    pub step: EndStep,
    /// How long it took.
    pub took: Duration,
    /// What the child left; `None` if even SIGKILL did not end it in time (a process stuck in the kernel).
    pub exit: Option<Exit>,
}

/// A child could not be started.
#[derive(Debug, thiserror::Error)]
#[error("could not start {program}: {source}\n  command: {command}")]
pub struct SpawnError {
    /// The program that was tried.
    pub program: String,
    /// The whole command, to be copied.
    pub command: String,
    /// What the system said.
    pub source: io::Error,
}

#[derive(Debug, Default)]
struct Shared {
    /// Set under its lock together with the reap: while it is false the group id cannot have been used again.
    reaped: Mutex<bool>,
    exit: Mutex<Option<Exit>>,
    bell: Condvar,
    stdin: Input,
}

/// Owns a running child. Dropping it kills the whole group.
#[derive(Debug)]
pub struct ProcessHandle {
    pid: Pid,
    pidfd: OwnedFd,
    shared: Arc<Shared>,
    command: String,
}

/// Starts `line` and reports to `observer` until it ends.
///
/// # Errors
/// [`SpawnError`] when the program is missing, may not be executed, or the system is out of processes.
pub fn spawn(line: &CommandLine, observer: impl Observer) -> Result<ProcessHandle, SpawnError> {
    let shown = line.to_string();
    let failed = |source: io::Error| SpawnError {
        program: line.program.to_string_lossy().into_owned(),
        command: shown.clone(),
        source,
    };
    let mut command = Command::new(&line.program);
    if let Some(kept) = &line.kept {
        command.env_clear().envs(kept.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
    }
    command.args(&line.args).envs(line.env.iter().map(|(k, v)| (k, v)));
    if line.unmarked {
        command.env_remove(MARK);
    }
    if let Some(dir) = &line.cwd {
        command.current_dir(dir);
    }
    command.stdin(match &line.stdin_from {
        Some(lent) => lent.0.try_clone().map_err(&failed)?.into(),
        None if line.stdin.is_empty() => Stdio::null(),
        None => Stdio::piped(),
    });
    let both = if line.one_pipe {
        let (reader, writer) = io::pipe().map_err(&failed)?;
        command.stdout(writer.try_clone().map_err(&failed)?).stderr(writer);
        Some(reader)
    } else {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        None
    };
    let started = Instant::now();
    let steps =
        line.isolation.as_ref().map(|plan| Steps::of(plan, line.cwd.as_deref())).transpose().map_err(&failed)?;
    let mut child = crate::spawner::spawn(command, steps).map_err(&failed)?;
    let handle = adopt(&mut child, &shown).inspect_err(|_| {
        let _ = child.kill();
    });
    let handle = handle.map_err(&failed)?;
    handle.shared.stdin.feed(child.stdin.take(), line).map_err(&failed)?;
    watch(child, both, observer, started, &handle).map_err(&failed)?;
    Ok(handle)
}

fn adopt(child: &mut Child, shown: &str) -> io::Result<ProcessHandle> {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).ok_or_else(|| io::Error::other("no such pid"))?;
    let pidfd = rustix::process::pidfd_open(pid, PidfdFlags::empty())?;
    Ok(ProcessHandle { pid, pidfd, shared: Arc::default(), command: shown.to_owned() })
}

fn watch(
    mut child: Child,
    both: Option<io::PipeReader>,
    observer: impl Observer,
    started: Instant,
    handle: &ProcessHandle,
) -> io::Result<()> {
    let pidfd = handle.pidfd.try_clone()?;
    let (pid, shared) = (handle.pid, Arc::clone(&handle.shared));
    let sink = Arc::new(Mutex::new((observer, Tail::new(EVIDENCE))));
    let open = Arc::new((Mutex::new(0_usize), Condvar::new()));
    let pipes: [(Channel, Option<Box<dyn Read + Send>>); 2] = [
        (Channel::Stdout, child.stdout.take().map(boxed).or_else(|| both.map(boxed))),
        (Channel::Stderr, child.stderr.take().map(boxed)),
    ];
    for (channel, pipe) in pipes {
        let Some(mut pipe) = pipe else { continue };
        let (sink, open) = (Arc::clone(&sink), Arc::clone(&open));
        *lock(&open.0) += 1;
        std::thread::Builder::new().name("drain".into()).spawn(move || {
            let mut chunk = vec![0; 64 * 1024];
            loop {
                match pipe.read(&mut chunk) {
                    Ok(0) => break,
                    Ok(n) => {
                        let mut sink = lock(&sink);
                        sink.1.push(&chunk[..n]);
                        sink.0.output(channel, &chunk[..n]);
                    }
                    Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                    Err(_) => break,
                }
            }
            *lock(&open.0) -= 1;
            open.1.notify_all();
        })?;
    }
    std::thread::Builder::new().name("reaper".into()).spawn(move || {
        let _ = rustix::io::retry_on_intr(|| {
            rustix::process::waitid(
                WaitId::PidFd(std::os::fd::AsFd::as_fd(&pidfd)),
                WaitIdOptions::EXITED | WaitIdOptions::NOWAIT,
            )
        });
        let mut reaped = lock(&shared.reaped);
        // The zombie keeps its group id from being used again while we kill what is left of the group.
        let _ = rustix::process::kill_process_group(pid, Signal::KILL);
        let status = child.wait().unwrap_or_else(|_| ExitStatus::from_raw(0xff00));
        *reaped = true;
        drop(reaped);
        let end = Instant::now() + DRAIN;
        let mut left = lock(&open.0);
        while *left > 0 && Instant::now() < end {
            left = open
                .1
                .wait_timeout(left, end.saturating_duration_since(Instant::now()))
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        drop(left);
        let mut sink = lock(&sink);
        let exit = Exit { status, evidence: sink.1.to_vec(), took: started.elapsed() };
        sink.0.exited(&exit);
        drop(sink);
        *lock(&shared.exit) = Some(exit);
        shared.bell.notify_all();
    })?;
    Ok(())
}

impl ProcessHandle {
    /// The child's process id, which is also its group's.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// The command that started it, to be copied.
    #[must_use]
    pub fn command(&self) -> &str {
        &self.command
    }

    /// How it ended, if it has.
    #[must_use]
    pub fn exit(&self) -> Option<Exit> {
        lock(&self.shared.exit).clone()
    }

    /// Waits up to `limit` for the child to end.
    #[must_use]
    pub fn wait(&self, limit: Duration) -> Option<Exit> {
        let end = Instant::now() + limit;
        let mut exit = lock(&self.shared.exit);
        while exit.is_none() {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            exit = self.shared.bell.wait_timeout(exit, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        exit.clone()
    }

    /// Asks the child to end with SIGTERM, and after `grace` kills the whole group. Blocks until it has ended, at most
    /// `grace` and two seconds.
    #[must_use]
    pub fn end(&self, grace: Duration) -> End {
        let started = Instant::now();
        let ended = |step, exit| End { step, took: started.elapsed(), exit };
        if let Some(exit) = self.exit() {
            return ended(EndStep::Already, Some(exit));
        }
        if !grace.is_zero() {
            self.signal(Signal::TERM);
            if let Some(exit) = self.wait(grace) {
                return ended(EndStep::Term, Some(exit));
            }
        }
        self.kill();
        ended(EndStep::Kill, self.wait(Duration::from_secs(2)))
    }

    /// Asks the child to end with SIGTERM, without waiting.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Kills the whole group at once, without waiting.
    pub fn kill(&self) {
        self.signal(Signal::KILL);
        let reaped = lock(&self.shared.reaped);
        if !*reaped {
            let _ = rustix::process::kill_process_group(self.pid, Signal::KILL);
        }
    }

    /// Ends a standard input that is held open.
    pub fn close_stdin(&self) {
        self.shared.stdin.close();
    }

    fn signal(&self, signal: Signal) {
        // ESRCH means that it has ended: what we wanted.
        let _ = rustix::process::pidfd_send_signal(&self.pidfd, signal);
    }
}

impl Drop for ProcessHandle {
    fn drop(&mut self) {
        self.close_stdin();
        self.kill();
    }
}

fn boxed(pipe: impl Read + Send + 'static) -> Box<dyn Read + Send> {
    Box::new(pipe)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
