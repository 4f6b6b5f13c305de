//! A real PulseAudio without a sound card, and what it was made to play.
#![allow(dead_code, clippy::unwrap_used, clippy::panic, missing_docs)]

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use cartridge_supervise::{CommandLine, Exit, Observer, ProcessHandle, spawn};
use vmtools::display::{SOUND_FRAME, SOUND_RATE};

use crate::xvnc::Said;

const SOON: Duration = Duration::from_secs(120);

/// A PulseAudio whose only sink is nowhere.
pub struct Pulse {
    dir: tempfile::TempDir,
    socket: PathBuf,
    said: Said,
    server: ProcessHandle,
}

impl Pulse {
    pub fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("native");
        Self::listen(dir, socket)
    }

    /// One at `socket`, where nothing is yet.
    pub fn at(socket: PathBuf) -> Self {
        std::fs::create_dir_all(socket.parent().unwrap()).unwrap();
        Self::listen(tempfile::tempdir().unwrap(), socket)
    }

    fn listen(dir: tempfile::TempDir, socket: PathBuf) -> Self {
        let protocol = format!("module-native-protocol-unix socket={} auth-anonymous=1", socket.display());
        let words = ["-n", "--daemonize=no", "--use-pid-file=no", "--exit-idle-time=-1", "--disable-shm=yes"];
        let line = CommandLine::new("pulseaudio").args(words);
        let line = line.args(["--load=module-null-sink sink_name=nowhere", &format!("--load={protocol}")]);
        let line = ["HOME", "XDG_RUNTIME_DIR", "PULSE_RUNTIME_PATH", "PULSE_STATE_PATH"]
            .iter()
            .fold(line, |line, name| line.env(name, dir.path()));
        let said = Said::default();
        let server = spawn(&line, said.clone()).unwrap();
        let pulse = Self { dir, socket, said, server };
        pulse.until("its socket", || pulse.socket.exists());
        pulse
    }

    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Ends it; what it was started with stays.
    pub fn end(self) {
        drop(self.server);
    }

    /// Hears for as long as the handle lives.
    pub fn hear(&self) -> (ProcessHandle, Heard) {
        let line = CommandLine::new("parec").arg(format!("--server={}", self.socket.display()));
        let line =
            line.args(["--device=nowhere.monitor", "--raw", "--format=s16le", "--channels=2", "--latency-msec=50"]);
        let heard = Heard::default();
        (spawn(&line.arg(format!("--rate={SOUND_RATE}")).env("HOME", self.dir.path()), heard.clone()).unwrap(), heard)
    }

    pub fn until(&self, what: &str, mut done: impl FnMut() -> bool) {
        let end = Instant::now() + SOON;
        while !done() {
            assert!(Instant::now() < end, "waiting for {what}; the sound server says {}", self.said.text());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// What was heard last, of the left side.
#[derive(Clone, Default)]
pub struct Heard(Arc<Mutex<Vec<u8>>>);

impl Observer for Heard {
    fn output(&mut self, channel: cartridge_supervise::Channel, bytes: &[u8]) {
        if channel == cartridge_supervise::Channel::Stdout {
            self.0.lock().unwrap().extend_from_slice(bytes);
        }
    }

    fn exited(&mut self, _: &Exit) {}
}

impl Heard {
    /// The last half second, once there is one.
    fn last(&self) -> Option<Vec<i16>> {
        let bytes = self.0.lock().unwrap();
        let whole = bytes.len() / SOUND_FRAME * SOUND_FRAME;
        let from = whole.checked_sub(SOUND_RATE as usize / 2 * SOUND_FRAME)?;
        let left = bytes[from..whole].chunks_exact(SOUND_FRAME);
        Some(left.map(|moment| i16::from_le_bytes([moment[0], moment[1]])).collect())
    }

    /// How often the last half second goes up through the middle, a second; `None` where it is silent all or part of the time.
    pub fn pitch(&self) -> Option<usize> {
        let last = self.last()?;
        let loud =
            last.chunks(SOUND_RATE as usize / 100).all(|part| part.iter().any(|sample| sample.unsigned_abs() > 500));
        loud.then(|| last.windows(2).filter(|two| two[0] <= 0 && two[1] > 0).count() * 2)
    }

    pub fn is_silent(&self) -> bool {
        self.last().is_some_and(|last| last.iter().all(|sample| *sample == 0))
    }
}
