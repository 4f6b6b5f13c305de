//! What a guest plays is heard: a boot sector's tone, through QEMU and our client, by a real PulseAudio without a sound card.

use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use cartridge_supervise::{CommandLine, Exit, Observer, ProcessHandle, spawn};
use vmtools::display::{SOUND_FRAME, SOUND_RATE};
use vmtools::sound::{SoundServer, play};
use vmtools::{Boot, Machine, Medium};

use crate::boot_sector;
use crate::harness::{Guest, SOON, machine, plan};
use crate::servers::Said;

/// A PulseAudio whose only sink is nowhere.
struct Pulse {
    dir: tempfile::TempDir,
    said: Said,
    _server: ProcessHandle,
}

impl Pulse {
    async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("native");
        let protocol = format!("module-native-protocol-unix socket={} auth-anonymous=1", socket.display());
        let words = ["-n", "--daemonize=no", "--use-pid-file=no", "--exit-idle-time=-1", "--disable-shm=yes"];
        let line = CommandLine::new("pulseaudio").args(words);
        let line = line.args(["--load=module-null-sink sink_name=nowhere", &format!("--load={protocol}")]);
        let line = ["HOME", "XDG_RUNTIME_DIR", "PULSE_RUNTIME_PATH", "PULSE_STATE_PATH"]
            .iter()
            .fold(line, |line, name| line.env(name, dir.path()));
        let said = Said::default();
        let server = spawn(&line, said.clone()).unwrap();
        let pulse = Self { dir, said, _server: server };
        pulse.until("its socket", || socket.exists()).await;
        pulse
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("native")
    }

    /// Hears for as long as the handle lives.
    fn hear(&self) -> (ProcessHandle, Heard) {
        let line = CommandLine::new("parec").arg(format!("--server={}", self.socket().display()));
        let line =
            line.args(["--device=nowhere.monitor", "--raw", "--format=s16le", "--channels=2", "--latency-msec=50"]);
        let heard = Heard::default();
        (spawn(&line.arg(format!("--rate={SOUND_RATE}")).env("HOME", self.dir.path()), heard.clone()).unwrap(), heard)
    }

    async fn until(&self, what: &str, mut done: impl FnMut() -> bool) {
        let end = Instant::now() + SOON;
        while !done() {
            assert!(Instant::now() < end, "waiting for {what}; the sound server says {}", self.said.text());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// What was heard last, of the left side.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<u8>>>);

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
    fn pitch(&self) -> Option<usize> {
        let last = self.last()?;
        let loud =
            last.chunks(SOUND_RATE as usize / 100).all(|part| part.iter().any(|sample| sample.unsigned_abs() > 500));
        loud.then(|| last.windows(2).filter(|two| two[0] <= 0 && two[1] > 0).count() * 2)
    }

    fn is_silent(&self) -> bool {
        self.last().is_some_and(|last| last.iter().all(|sample| *sample == 0))
    }
}

async fn beeping(dir: &mut Option<tempfile::TempDir>) -> Guest {
    let mut plan = plan(Machine { medium: Medium::Usb, audio: true, ..machine() }, Boot::Nothing);
    let place = dir.insert(tempfile::tempdir().unwrap()).path();
    plan.plan.boot = Boot::Iso(boot_sector::medium(Path::new(place), boot_sector::BEEP));
    plan.start().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guests_tone_is_heard_while_somebody_wants_it_and_only_then() {
    let pulse = Pulse::start().await;
    let mut dir = None;
    let guest = beeping(&mut dir).await;
    let screen = Arc::clone(&guest.screen);
    guest.wait("sound to be offered", |g| g.screen.sound().offered()).await;
    let (sender, ended) = channel();
    let player = play(Arc::clone(&screen), Some(SoundServer::at(&pulse.socket())), "test", move |why| {
        sender.send(why.to_string()).unwrap();
    });
    let (_hearing, heard) = pulse.hear();
    pulse.until("silence", || heard.is_silent()).await;
    screen.want_sound(true);
    pulse.until("the tone", || heard.pitch().is_some_and(|pitch| (960..1040).contains(&pitch))).await;
    screen.want_sound(false);
    pulse.until("silence again", || heard.is_silent()).await;
    screen.want_sound(true);
    pulse.until("the tone again", || heard.pitch().is_some_and(|pitch| (960..1040).contains(&pitch))).await;
    // The sound server goes: that is told, and disturbs nothing else.
    let Pulse { _server: server, dir: _place, .. } = pulse;
    drop(server);
    let why = tokio::task::spawn_blocking(move || ended.recv_timeout(SOON)).await.unwrap().unwrap();
    assert!(why.contains("does not play"), "{why}");
    drop(player);
    assert!(screen.live());
    guest.handle.end(|_, _| {}).await;
    assert!(!screen.sound().offered());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sound_server_that_is_none_is_named() {
    let mut dir = None;
    let guest = beeping(&mut dir).await;
    guest.wait("the picture", |g| g.screen.live()).await;
    let (sender, ended) = channel();
    let nowhere = Some(SoundServer::at(Path::new("/nowhere/native")));
    let _player = play(Arc::clone(&guest.screen), nowhere, "test", move |why| sender.send(why.to_string()).unwrap());
    let why = tokio::task::spawn_blocking(move || ended.recv_timeout(SOON)).await.unwrap().unwrap();
    assert!(why.contains("/nowhere/native cannot be reached"), "{why}");
    guest.handle.end(|_, _| {}).await;
}
