//! A console of its own for each test: the real binary with every XDG directory in a temporary place.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

pub mod alone;
pub mod remains;
pub mod session;
mod told;
pub mod user;

pub use told::Events;

pub struct Console {
    pub home: tempfile::TempDir,
    /// Who runs the program, if not whoever runs the test.
    user: Option<user::User>,
}

pub struct Finished {
    pub code: i32,
    pub stdout: String,
    pub events: Events,
    pub stderr: String,
}

impl Finished {
    pub fn event(&self, name: &str) -> &Value {
        self.events.iter().rfind(|e| e["event"] == name).unwrap_or_else(|| {
            panic!("no event {name} (exit code {}) in {:?}\n{}", self.code, self.events, self.stderr)
        })
    }

    pub fn failure(&self) -> &Value {
        &self.event("failed")["failure"]
    }

    pub fn phases(&self) -> Vec<&str> {
        self.events
            .iter()
            .filter(|e| e["event"] == "state_changed")
            .filter_map(|e| e["state"]["phase"].as_str())
            .collect()
    }
}

impl Console {
    pub fn new() -> Self {
        // Short, because socket paths have 108 bytes.
        let home = tempfile::Builder::new().prefix("cc").tempdir_in("/tmp").unwrap();
        for dir in ["cache", "state", "data/cartridge", "config", "run"] {
            fs::create_dir_all(home.path().join(dir)).unwrap();
        }
        fs::set_permissions(home.path().join("run"), fs::Permissions::from_mode(0o700)).unwrap();
        let store = std::env::var_os("XDG_DATA_HOME")
            .map_or_else(|| PathBuf::from(std::env::var_os("HOME").unwrap()).join(".local/share"), PathBuf::from)
            .join("cartridge/kernels");
        if store.exists() {
            symlink(store, home.path().join("data/cartridge/kernels")).unwrap();
        }
        Self { home, user: None }
    }

    /// One whose programs are run by somebody who is not root. What the test writes into it has to be [given](Self::give).
    pub fn of_somebody_else() -> Self {
        let console = Self { user: Some(user::User::ordinary()), ..Self::new() };
        console.give();
        console
    }

    /// Gives everything in it to whoever runs its programs.
    pub fn give(&self) {
        if let Some(user) = &self.user {
            user.own(self.home.path());
        }
    }

    pub fn dir(&self, name: &str) -> PathBuf {
        let dir = self.home.path().join(name);
        fs::create_dir_all(&dir).unwrap();
        dir
    }

    /// A repository with one file, and a small guest so that boots are quick.
    pub fn repository(&self, name: &str) -> PathBuf {
        let dir = self.dir(name);
        fs::write(dir.join("hello.txt"), "hello\n").unwrap();
        fs::write(dir.join("cartridge.toml"), "[guest]\nmemory = \"1G\"\ncpus = 2\naccelerator = \"tcg\"\n").unwrap();
        dir
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let program = env!("CARGO_BIN_EXE_cartridge");
        let mut command = self.user.as_ref().map_or_else(|| Command::new(program), |user| user.command(program));
        let home = self.home.path();
        if self.user.is_some() {
            command.env("HOME", home);
        }
        command
            .args(args)
            .env("XDG_CACHE_HOME", home.join("cache"))
            .env("XDG_STATE_HOME", home.join("state"))
            .env("XDG_DATA_HOME", home.join("data"))
            .env("XDG_CONFIG_HOME", home.join("config"))
            .env("XDG_RUNTIME_DIR", home.join("run"))
            .env_remove("DISPLAY")
            .env_remove("WAYLAND_DISPLAY")
            .current_dir(home)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    pub fn run(&self, args: &[&str]) -> Finished {
        finish(self.command(args))
    }

    pub fn start(&self, args: &[&str]) -> Running {
        Running::new(self.command(args))
    }

    /// Processes that have this console in their command or their surroundings, each with its number and its command.
    pub fn processes(&self) -> Vec<String> {
        let home = self.home.path().to_string_lossy().into_owned();
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            let read = |name: &str| {
                String::from_utf8_lossy(&fs::read(entry.path().join(name)).unwrap_or_default()).replace('\0', " ")
            };
            let command = read("cmdline");
            if command.contains(&home) || read("environ").contains(&home) {
                found.push(format!("process {}: {command}", entry.file_name().display()));
            }
        }
        found
    }

    /// Everything of ours that is still there: processes, mounts, work and runtime directories, open records.
    pub fn leftovers(&self) -> Vec<String> {
        let home = self.home.path().to_string_lossy().into_owned();
        let mut left = Vec::new();
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            let cmdline = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let cmdline = String::from_utf8_lossy(&cmdline).replace('\0', " ");
            if cmdline.contains(&home) {
                left.push(format!("process {}: {cmdline}", entry.file_name().display()));
            }
        }
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        left.extend(mounts.lines().filter(|line| line.contains(&home)).map(str::to_owned));
        let run = self.home.path().join("run/cartridge");
        for (dir, kept) in [(self.home.path().join("cache/cartridge/work"), ".cartridge-work"), (run, "")] {
            for entry in fs::read_dir(&dir).into_iter().flatten().flatten() {
                if entry.file_name() != *kept {
                    left.push(entry.path().display().to_string());
                }
            }
        }
        let images = self.home.path().join("cache/cartridge/images");
        let drafts =
            fs::read_dir(images).into_iter().flatten().flatten().flat_map(|dir| fs::read_dir(dir.path())).flatten();
        let drafts =
            drafts.chain(fs::read_dir(self.home.path().join("cache/cartridge/stages/drafts")).into_iter().flatten());
        for draft in drafts.flatten() {
            let path = draft.path();
            if path.parent().is_some_and(|dir| dir.ends_with("drafts"))
                || draft.file_name().to_string_lossy().starts_with('.')
            {
                left.push(path.display().to_string());
            }
        }
        for entry in fs::read_dir(self.home.path().join("state/cartridge/sessions")).into_iter().flatten().flatten() {
            if entry.path().join("open.json").exists() {
                left.push(entry.path().join("open.json").display().to_string());
            }
        }
        left
    }

    pub fn assert_clean(&self) {
        let end = Instant::now() + Duration::from_secs(5);
        while !self.leftovers().is_empty() && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(50));
        }
        assert_eq!(self.leftovers(), Vec::<String>::new());
    }
}

/// The number in a line of [`Console::processes`].
pub fn number(line: &str) -> Option<rustix::process::Pid> {
    rustix::process::Pid::from_raw(line.split(' ').nth(1)?.trim_end_matches(':').parse().ok()?)
}

/// A process that a test must end, if nobody else has.
pub struct Stray(pub Child, tempfile::TempDir);

impl Drop for Stray {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Somebody called `name` in a session of his own, with the mark of the app that runs on this console: as what a program of the app's
/// has started, and nobody but the warden knows.
pub fn stray(console: &Console, name: &str) -> Stray {
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join(name);
    fs::copy("/usr/bin/sleep", &program).unwrap();
    let sessions = fs::read_dir(console.home.path().join("state/cartridge/sessions")).unwrap().flatten();
    let open = sessions.map(|it| it.path()).find(|it| it.join("open.json").exists()).expect("a session is open");
    let list = fs::read_to_string(open.join("children")).unwrap();
    let mark = list.lines().nth(1).expect("the mark is written down");
    let mut command = Command::new("setsid");
    command.args(["--wait"]).arg(program).arg("600").env_clear().env(cartridge_supervise::MARK, mark);
    let stray = Stray(command.stdin(Stdio::null()).spawn().unwrap(), dir);
    // Until then it is called setsid.
    let end = Instant::now() + Duration::from_secs(240);
    while fs::read_to_string(format!("/proc/{}/comm", stray.0.id())).is_ok_and(|comm| comm.trim() != name) {
        assert!(Instant::now() < end, "{name} does not start");
        std::thread::sleep(Duration::from_millis(5));
    }
    stray
}

pub fn finish(command: Command) -> Finished {
    let json = command.get_args().any(|arg| arg == "--json");
    finished(command, json)
}

/// For a command that runs ours with `--json` in a shell.
pub fn finish_json(command: Command) -> Finished {
    finished(command, true)
}

fn finished(mut command: Command, json: bool) -> Finished {
    let out = command.spawn().unwrap().wait_with_output().unwrap();
    let stdout = String::from_utf8_lossy(&out.stdout).into_owned();
    let events = if json { stdout.lines().map(event).collect() } else { Vec::new() };
    let events = Events(events);
    Finished {
        code: out.status.code().unwrap_or(-1),
        stdout,
        events,
        stderr: String::from_utf8_lossy(&out.stderr).into_owned(),
    }
}

/// With `--json` every line is an object with the version in it.
fn event(line: &str) -> Value {
    let event: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("not JSON ({e}): {line}"));
    assert_eq!(event["v"], 1, "{line}");
    event
}

/// A run that is watched while it goes on.
pub struct Running {
    pub child: Child,
    events: std::sync::mpsc::Receiver<Value>,
    pub seen: Events,
}

impl Running {
    pub fn new(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let mut err = child.stderr.take().unwrap();
        std::thread::spawn(move || {
            let mut text = String::new();
            let _ = err.read_to_string(&mut text);
        });
        let (sender, events) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                let _ = sender.send(event(&line));
            }
        });
        Self { child, events, seen: Events::default() }
    }

    /// Waits for an event; the limit is for a loaded machine, not a measurement.
    pub fn wait_for(&mut self, what: impl Fn(&Value) -> bool) -> Value {
        let end = Instant::now() + Duration::from_secs(240);
        loop {
            let left = end.saturating_duration_since(Instant::now());
            match self.events.recv_timeout(left) {
                Ok(event) => {
                    self.seen.0.push(event.clone());
                    if what(&event) {
                        return event;
                    }
                }
                Err(error) => panic!("{error}; seen so far: {:?}", self.seen),
            }
        }
    }

    pub fn wait_for_phase(&mut self, phase: &str) -> Value {
        self.wait_for(|e| e["event"] == "state_changed" && e["state"]["phase"] == phase)
    }

    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// What it has told since the last event that was waited for, once it has ended.
    pub fn rest(&mut self) -> Events {
        Events(self.events.iter().collect())
    }

    pub fn wait(&mut self) -> i32 {
        self.child.wait().unwrap().code().unwrap_or(-1)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Names, modes and links that are easy to lose on the way.
pub fn nasty_tree(dir: &Path) {
    let file = |name: &str, mode: u32, content: &str| {
        let path = dir.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    };
    file("plain", 0o644, "plain\n");
    file("run me", 0o755, "#!/bin/sh\necho hi\n");
    file("secret", 0o600, "s\n");
    file("set-uid", 0o4755, "u\n");
    file("quote's \"double\" $HOME `x`", 0o644, "q\n");
    file("two\nlines", 0o644, "n\n");
    file("naïve/日本語/ünï.txt", 0o640, "utf8\n");
    file("-rf", 0o644, "dash\n");
    file(".hidden/x", 0o644, "hidden\n");
    file("empty", 0o444, "");
    fs::create_dir_all(dir.join("empty dir")).unwrap();
    symlink("plain", dir.join("link")).unwrap();
    symlink("/nowhere/at all", dir.join("dangling")).unwrap();
    symlink("naïve", dir.join("dir link")).unwrap();
}
