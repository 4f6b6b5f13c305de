//! Plays a guest's sound on this host, by the protocol of PulseAudio, which PipeWire speaks as well.
//!
//! A guest that is silent costs nothing: the sound server asks for more, and is answered when there is more.

use std::ffi::{CStr, CString};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use pulseaudio::protocol::stream::{BufferAttr, StreamFlags};
use pulseaudio::protocol::{ChannelMap, ChannelVolume, PlaybackStreamParams, SampleFormat, SampleSpec};
use pulseaudio::{Client, ClientError, PlaybackSource};
use tokio::sync::watch;

use crate::display::{SOUND_FRAME, SOUND_RATE, Screen};

/// How long the sound server may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a cookie is, bytes (PulseAudio, `PA_NATIVE_COOKIE_LENGTH`).
const COOKIE: usize = 256;
/// How much the sound server keeps ahead, milliseconds.
const AHEAD: u32 = 80;
/// After how much it begins to play, milliseconds.
const FIRST: u32 = 20;

/// Why nothing is heard.
#[derive(Debug, thiserror::Error)]
pub enum SoundError {
    /// The environment names none, and there is none at its usual place.
    #[error("no sound server was found: start PulseAudio or PipeWire (with pipewire-pulse), or set PULSE_SERVER")]
    NoServer,
    /// It does not answer.
    #[error("the sound server at {} cannot be reached: {source}", path.display())]
    Connect {
        /// Its socket.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It refuses, or went away.
    #[error("the sound server at {} does not play: {source}", path.display())]
    Refused {
        /// Its socket.
        path: PathBuf,
        /// What it said.
        source: ClientError,
    },
    /// No thread for it.
    #[error("the guest's sound cannot be played: {0}")]
    Thread(std::io::Error),
}

/// A sound server of this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SoundServer {
    socket: PathBuf,
    cookie: Option<PathBuf>,
}

impl SoundServer {
    /// The user's own, where the environment or its usual place says (`PULSE_SERVER`, `$XDG_RUNTIME_DIR/pulse/native`); whether it
    /// answers is known when it is asked to play.
    fn find() -> Option<Self> {
        let socket = pulseaudio::socket_path_from_env()?;
        Some(Self { socket, cookie: pulseaudio::cookie_path_from_env() })
    }

    /// The one at `socket`, which takes everybody.
    #[must_use]
    pub fn at(socket: &Path) -> Self {
        Self { socket: socket.to_owned(), cookie: None }
    }
}

/// Plays for as long as it lives.
#[derive(Debug)]
pub struct PlayerHandle {
    _ends: watch::Sender<()>,
}

/// Lets `server`, or the user's own where that is `None`, play what the guest on `screen` plays, on a thread of its own; `on_end` is
/// told when that ends by itself, and why. Whether the guest is heard at all is [`Screen::want_sound`]'s to say.
///
/// # Errors
/// [`SoundError::Thread`]; what happens on that thread comes by `on_end`.
pub fn play(
    screen: Arc<Screen>,
    server: Option<SoundServer>,
    name: &str,
    on_end: impl FnOnce(SoundError) + Send + 'static,
) -> Result<PlayerHandle, SoundError> {
    let (ends, ended) = watch::channel(());
    let name = CString::new(name).unwrap_or_default();
    let run = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        let outcome = match runtime {
            Ok(runtime) => runtime.block_on(stream(screen, server, &name, ended)),
            Err(error) => Err(SoundError::Thread(error)),
        };
        if let Err(error) = outcome {
            on_end(error);
        }
    };
    std::thread::Builder::new().name("sound".into()).spawn(run).map_err(SoundError::Thread)?;
    Ok(PlayerHandle { _ends: ends })
}

async fn stream(
    screen: Arc<Screen>,
    server: Option<SoundServer>,
    name: &CStr,
    mut ended: watch::Receiver<()>,
) -> Result<(), SoundError> {
    let found = server.or_else(SoundServer::find).ok_or(SoundError::NoServer)?;
    let SoundServer { socket: path, cookie } = found;
    let failed = |source| SoundError::Connect { path: path.clone(), source };
    let refused = |source| SoundError::Refused { path: path.clone(), source };
    let socket = UnixStream::connect(&path).map_err(failed)?;
    socket.set_read_timeout(Some(PATIENCE)).and_then(|()| socket.set_write_timeout(Some(PATIENCE))).map_err(failed)?;
    // Who is known by the socket alone has none, and still has to show one.
    let cookie = cookie.and_then(|path| std::fs::read(path).ok()).unwrap_or_else(|| vec![0; COOKIE]);
    let client = Client::new_unix(name, socket, Some(cookie)).map_err(refused)?;
    let playing = tokio::time::timeout(PATIENCE, client.create_playback_stream(parameters(), Taking(screen))).await;
    let silent = |_| refused(ClientError::Io(std::io::ErrorKind::TimedOut.into()));
    let playing = playing.map_err(silent)?.map_err(refused)?;
    tokio::select! {
        // Its other end is dropped with the handle.
        _ = ended.changed() => Ok(()),
        // The source never ends, so that this comes when the server has gone.
        _ = playing.source_eof() => Err(refused(ClientError::Disconnected)),
    }
}

fn parameters() -> PlaybackStreamParams {
    let bytes = |milliseconds: u32| SOUND_RATE * SOUND_FRAME as u32 / 1000 * milliseconds;
    PlaybackStreamParams {
        sample_spec: SampleSpec { format: SampleFormat::S16Le, channels: 2, sample_rate: SOUND_RATE },
        channel_map: ChannelMap::stereo(),
        cvolume: Some(ChannelVolume::norm(2)),
        buffer_attr: BufferAttr {
            target_length: bytes(AHEAD),
            pre_buffering: bytes(FIRST),
            minimum_request_length: bytes(FIRST),
            ..BufferAttr::default()
        },
        flags: StreamFlags { adjust_latency: true, ..StreamFlags::default() },
        ..PlaybackStreamParams::default()
    }
}

/// The guest's sound as the sound server asks for it.
struct Taking(Arc<Screen>);

impl PlaybackSource for Taking {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, to: &mut [u8]) -> Poll<usize> {
        self.0.sound().poll_take(context, to)
    }
}
