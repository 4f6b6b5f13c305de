//! The shells: one on the screen, one on the serial line, each the leader of a session that owns its terminal, started
//! again when it ends.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{WaitOptions, wait};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};

use crate::console::{Console, SCREEN, SERIAL};
use crate::guest_file::Guest;

/// A shell that lived this long ended by choice, and the next one starts at once.
const LIVED: Duration = Duration::from_secs(5);
/// The longest pause before another try.
const LONGEST: Duration = Duration::from_secs(30);
/// How long process 1 sleeps when nothing is due; SIGCHLD wakes it earlier.
const IDLE: Duration = Duration::from_secs(60);

/// The program that is the shell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Program {
    path: &'static str,
    /// What it is called; the dash makes it a login shell.
    name: &'static str,
}

impl Program {
    /// Busybox of the initramfs, if it is there.
    pub(crate) fn busybox() -> Option<Self> {
        let busybox = Self { path: "/bin/busybox", name: "-sh" };
        Path::new(busybox.path).exists().then_some(busybox)
    }

    /// The best shell of a root that is not ours.
    pub(crate) fn of_the_root() -> Option<Self> {
        let known = [("/bin/bash", "-bash"), ("/usr/bin/bash", "-bash"), ("/bin/sh", "-sh"), ("/usr/bin/sh", "-sh")];
        let found = known.into_iter().find(|(path, _)| Path::new(path).exists());
        found.map(|(path, name)| Self { path, name }).or_else(Self::busybox)
    }
}

/// All shells of the guest.
pub(crate) struct Shells {
    program: Option<Program>,
    shells: Vec<Shell>,
    home: PathBuf,
    env: Vec<(String, String)>,
}

struct Shell {
    terminal: &'static str,
    term: &'static str,
    modes: Option<Termios>,
    pid: Option<i32>,
    started: Instant,
    due: Instant,
    pause: Duration,
    complained: bool,
}

impl Shells {
    /// Shells that are due at once; none without a program.
    pub(crate) fn new(guest: &Guest, program: Option<Program>) -> Self {
        let now = Instant::now();
        let shell = |terminal, term| Shell {
            terminal,
            term,
            modes: None,
            pid: None,
            started: now,
            due: now,
            pause: Duration::ZERO,
            complained: false,
        };
        let home = if guest.into.is_dir() { guest.into.clone() } else { PathBuf::from("/root") };
        let shells = if program.is_some() { vec![shell(SERIAL, "vt100"), shell(SCREEN, "linux")] } else { Vec::new() };
        Self { program, shells, home, env: guest.env.clone() }
    }

    /// Collects every process that ended: ours, and the orphans that process 1 inherits.
    pub(crate) fn reap(&mut self) {
        while let Ok(Some((pid, _))) = wait(WaitOptions::NOHANG) {
            let pid = pid.as_raw_nonzero().get();
            if let Some(shell) = self.shells.iter_mut().find(|shell| shell.pid == Some(pid)) {
                shell.pid = None;
                shell.postpone(Instant::now());
            }
        }
    }

    /// Starts the shells whose time has come.
    pub(crate) fn start_due(&mut self, now: Instant) {
        let Self { program, shells, home, env } = self;
        let Some(program) = program else { return };
        for shell in shells.iter_mut().filter(|shell| shell.pid.is_none() && shell.due <= now) {
            shell.started = now;
            match shell.start(program, home, env) {
                Ok(pid) => shell.pid = Some(pid),
                Err(e) => shell.failed(&e),
            }
        }
    }

    /// Starts the one on the serial line alone: a screen takes its time.
    pub(crate) fn start_on_the_serial_line(&mut self, now: Instant) {
        let screen = self.shells.split_off(self.shells.len().min(1));
        self.start_due(now);
        self.shells.extend(screen);
    }

    /// How long until a shell is due.
    pub(crate) fn next_due(&self, now: Instant) -> Duration {
        let waiting = self.shells.iter().filter(|shell| shell.pid.is_none());
        waiting.map(|shell| shell.due.saturating_duration_since(now)).min().unwrap_or(IDLE)
    }
}

impl Shell {
    fn start(&mut self, program: &Program, home: &Path, env: &[(String, String)]) -> io::Result<i32> {
        let terminal = self.open()?;
        let mut command = Command::new(program.path);
        command.arg0(program.name).current_dir(place(home)).env_clear();
        command.envs([
            ("HOME", "/root"),
            ("USER", "root"),
            ("LOGNAME", "root"),
            ("SHELL", "/bin/sh"),
            ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
            ("LANG", "C.UTF-8"),
            ("TERM", self.term),
            ("PS1", r"\[\e[1;34m\]\h\[\e[0m\] \[\e[1m\]\w\[\e[0m\] \$ "),
        ]);
        command.envs(env.iter().map(|(key, value)| (key, value)));
        command.stdin(Stdio::from(terminal.try_clone()?)).stdout(Stdio::from(terminal.try_clone()?));
        command.stderr(Stdio::from(terminal));
        // SAFETY: between fork and exec only two system calls are made: no allocation, no lock.
        #[allow(unsafe_code)]
        unsafe {
            command.pre_exec(|| {
                rustix::process::setsid()?;
                rustix::process::ioctl_tiocsctty(rustix::stdio::stdin())?;
                Ok(())
            });
        }
        command.spawn().map(|child| child.id().cast_signed())
    }

    /// Opens the terminal, in the modes that it had at first: a program that died may have left it raw.
    fn open(&mut self) -> io::Result<File> {
        let no_tty = rustix::fs::OFlags::NOCTTY.bits().cast_signed();
        let terminal = OpenOptions::new().read(true).write(true).custom_flags(no_tty).open(self.terminal)?;
        match &self.modes {
            Some(modes) => drop(tcsetattr(&terminal, OptionalActions::Now, modes)),
            None => self.modes = tcgetattr(&terminal).ok(),
        }
        Ok(terminal)
    }

    fn failed(&mut self, error: &io::Error) {
        let missing = matches!(error.raw_os_error(), Some(code) if [rustix::io::Errno::NOENT, rustix::io::Errno::NODEV,
            rustix::io::Errno::NXIO, rustix::io::Errno::IO].iter().any(|e| e.raw_os_error() == code));
        self.postpone(Instant::now());
        if !self.complained {
            self.complained = true;
            let hint = if missing { " (is there such a device?)" } else { "" };
            let text = format!("\r\nNo shell on {}: {error}{hint}; trying again.\r\n", self.terminal);
            Console::both().write_at_once(&text);
        }
    }

    /// Doubles the pause after a short life, and forgets it after a long one.
    fn postpone(&mut self, now: Instant) {
        let short = now.saturating_duration_since(self.started) < LIVED;
        self.pause = if short { (self.pause * 2).clamp(Duration::from_millis(100), LONGEST) } else { Duration::ZERO };
        self.due = now + self.pause;
    }
}

/// Where a shell starts: at home as long as that is there, or else a removed repository would take the shell with it.
fn place(home: &Path) -> &Path {
    if home.is_dir() { home } else { Path::new("/") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_removed_home_leaves_a_shell() {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().join("demo");
        std::fs::create_dir(&home).unwrap();
        assert_eq!(place(&home), home);
        std::fs::remove_dir(&home).unwrap();
        assert_eq!(place(&home), Path::new("/"));
    }

    #[test]
    fn short_lives_are_spaced_out_and_long_ones_are_not() {
        let guest = Guest { name: "x".into(), into: "/".into(), env: Vec::new() };
        let program = Program { path: "/bin/busybox", name: "-sh" };
        let mut shells = Shells::new(&guest, Some(program));
        let shell = &mut shells.shells[0];
        let now = shell.started;
        for _ in 0..20 {
            shell.postpone(now);
        }
        assert_eq!(shell.pause, LONGEST);
        shell.postpone(now + LIVED);
        assert_eq!(shell.due, now + LIVED);
        assert_eq!(shells.next_due(now), Duration::ZERO);
    }
}
