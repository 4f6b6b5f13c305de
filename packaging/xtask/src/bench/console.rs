//! The release program with every XDG directory in a temporary place, and what it tells as JSON.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::Value;

/// A console of its own for one measurement.
pub struct Console {
    /// Holds all its directories; gone with it.
    pub home: tempfile::TempDir,
}

/// A run that has ended.
pub struct Finished {
    /// Its exit code.
    pub code: i32,
    /// What it told.
    pub events: Vec<Value>,
    /// What else it said.
    pub stderr: String,
}

impl Finished {
    /// The last event of a name.
    pub fn event(&self, name: &str) -> &Value {
        let found = self.events.iter().rfind(|event| event["event"] == name);
        found.unwrap_or_else(|| panic!("no event {name}: {}", self.stderr))
    }
}

impl Console {
    /// Empty directories, but for the user's own kernels.
    pub fn new() -> Self {
        let home = tempfile::Builder::new().prefix("cb").tempdir_in("/tmp").unwrap();
        for dir in ["cache", "state", "data/cartridge", "config", "run"] {
            fs::create_dir_all(home.path().join(dir)).unwrap();
        }
        fs::set_permissions(home.path().join("run"), fs::Permissions::from_mode(0o700)).unwrap();
        let data = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from);
        let data = data.unwrap_or_else(|| PathBuf::from(std::env::var_os("HOME").unwrap()).join(".local/share"));
        let store = data.join("cartridge/kernels");
        if store.exists() {
            symlink(store, home.path().join("data/cartridge/kernels")).unwrap();
        }
        Self { home }
    }

    /// A small repository.
    pub fn repository(&self, name: &str) -> PathBuf {
        let dir = self.home.path().join(name);
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("hello.txt"), "hello\n").unwrap();
        dir
    }

    /// The release program with `args`.
    pub fn command(&self, args: &[&str]) -> Command {
        let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
        let target = target.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target"));
        let home = self.home.path();
        let mut command = Command::new(target.join("release/cartridge"));
        command
            .args(args)
            .env("XDG_CACHE_HOME", home.join("cache"))
            .env("XDG_STATE_HOME", home.join("state"))
            .env("XDG_DATA_HOME", home.join("data"))
            .env("XDG_CONFIG_HOME", home.join("config"))
            .env("XDG_RUNTIME_DIR", home.join("run"))
            .env_remove("WAYLAND_DISPLAY")
            .stdin(Stdio::null());
        command
    }

    /// Whether a process has this console in its command or its surroundings, or something is mounted in it.
    pub fn is_busy(&self) -> bool {
        let home = self.home.path().to_str().unwrap().as_bytes();
        let has = |file: PathBuf| fs::read(file).is_ok_and(|text| text.windows(home.len()).any(|it| it == home));
        let mut all = fs::read_dir("/proc").unwrap().flatten().map(|it| it.path());
        all.any(|it| has(it.join("cmdline")) || has(it.join("environ"))) || has("/proc/self/mountinfo".into())
    }

    /// Runs it to its end; with `--json` among `args` its events are read.
    pub fn run(&self, args: &[&str]) -> Finished {
        let out = self.command(args).output().unwrap();
        Finished {
            code: out.status.code().unwrap_or(-1),
            events: String::from_utf8_lossy(&out.stdout).lines().filter_map(|l| serde_json::from_str(l).ok()).collect(),
            stderr: String::from_utf8_lossy(&out.stderr).into_owned(),
        }
    }
}

/// No single event may take longer: a cold boot of a distribution, emulated.
const LONGEST: Duration = Duration::from_secs(1200);

/// A run with `--json` that goes on.
pub struct Running {
    child: Child,
    events: Receiver<(Instant, Value)>,
}

impl Running {
    /// Starts it.
    pub fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let (sender, events) = channel();
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                if let Ok(event) = serde_json::from_str(&line) {
                    let _ = sender.send((Instant::now(), event));
                }
            }
        });
        Self { child, events }
    }

    /// The next event of a name, and when it came.
    pub fn until(&self, name: &str) -> (Instant, Value) {
        let end = Instant::now() + LONGEST;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let (at, event) = self.events.recv_timeout(left).unwrap_or_else(|e| panic!("no event {name}: {e}"));
            assert!(event["event"] != "failed" && event["event"] != "side_failed", "{event}");
            if event["event"] == name {
                return (at, event);
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Asked to end it ejects; what it has started ends with it all the same.
        let _ = Command::new("kill").arg("-INT").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
    }
}
