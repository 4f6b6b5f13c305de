//! One picture of a guest that somebody else runs: another viewer on its VNC socket, for a moment.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};

use super::{DisplayLink, DisplaySource as _, Frame, RfbSource, Screen};
use crate::machine::{RuntimeDir, RuntimeError};

/// A picture counts as whole when nothing has been added for this long.
const STILL: Duration = Duration::from_millis(300);

/// A busy screen never is still, and one with a cursor that blinks hardly: after this long its newest picture will do.
const BUSY: Duration = Duration::from_secs(1);

/// No picture could be had.
#[derive(Debug, thiserror::Error)]
pub enum GrabError {
    /// The guest's directory cannot be used.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// The display said nothing.
    #[error("the guest's display at {socket} sent no picture within {} s", limit.as_secs())]
    Silent {
        /// The VNC socket.
        socket: String,
        /// How long we waited.
        limit: Duration,
    },
}

/// Takes one picture of the guest whose runtime directory is `runtime`, within `limit`.
///
/// # Errors
/// [`GrabError`] when the directory is not ours or the display stays silent.
pub async fn grab(runtime: &Path, limit: Duration) -> Result<Frame, GrabError> {
    let socket = RuntimeDir::open(runtime)?.paths().vnc;
    let screen = Arc::new(Screen::new());
    let (_inputs, queue) = mpsc::channel(1);
    let (_gone, gone) = watch::channel(false);
    let link = DisplayLink { screen: Arc::clone(&screen), inputs: queue, gone };
    let source = tokio::spawn(Box::new(RfbSource::ours(&socket)).run(link));
    let began = Instant::now();
    let (mut seen, mut since) = (0, Instant::now());
    let mut shown = None;
    while began.elapsed() < limit {
        tokio::time::sleep(Duration::from_millis(20)).await;
        let generation = screen.generation();
        if generation != seen {
            (seen, since) = (generation, Instant::now());
        }
        let live = seen > 0 && screen.live();
        let first = *shown.get_or_insert_with(Instant::now);
        if !live {
            shown = None;
        } else if since.elapsed() >= STILL || first.elapsed() >= BUSY {
            break;
        }
    }
    let frame = screen.snapshot().filter(|_| screen.live());
    source.abort();
    frame.ok_or(GrabError::Silent { socket: socket.display().to_string(), limit })
}
