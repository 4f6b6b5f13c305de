//! The display over RFB (RFC 6143) on QEMU's unix socket, decoded by the `vnc-rs` crate.
//!
//! What that crate leaves to us:
//! - It has no event for the end of an update. We gather until nothing has come for [`QUIET`], then publish.
//! - Waiting for an event holds the lock that sending input needs. Here one task does both, and a wait that is given up
//!   for an input has let go of the lock: so input never waits for a picture, and a still screen costs nothing.
//! - Some updates (a rectangle of no size, a size that it does not like) end the connection. We connect again soon, as
//!   long as the guest is there.
//! - It takes no more than 8,294,400 pixels, and its error does not say so: we do.
//!
//! QEMU looks at the guest's screen less and less often while it is still, down to every three seconds. Only a message
//! of type 4 or above resets that, so while somebody looks we release a key that is not down, 25 times a second: QEMU
//! drops that before the guest. It has to be a key that its keyboard map knows, or it prints a warning each time.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout};
use vnc::{PixelFormat, VncClient, VncConnector, VncEncoding, VncError, VncEvent, X11Event};

use crate::display::framebuffer::Framebuffer;
use crate::display::pace::{ASK_AGAIN, BEAT, BURST, KEY_PACE, PATIENCE, is_gone, next_input, next_wait};
use crate::display::{Cursor, DisplayLink, DisplaySource, InputEvent, Keyboard, Rect, Screen, keysym};

/// An update is taken for finished when nothing more of it has come for so long.
const QUIET: Duration = Duration::from_millis(3);
/// A guest that never stops painting is shown at least so often.
const LONGEST_BATCH: Duration = Duration::from_millis(40);
/// The key that is released to say that somebody looks: Scroll Lock, unless the user holds it down.
const UNPRESSED: u16 = 0x46;
/// After so many connections in a row that came to nothing because of what QEMU sent, it is said.
const REFUSALS: u32 = 5;
/// What is said then.
const REFUSED: &str = "The guest's screen cannot be shown: what QEMU sends of it is refused. The usual cause is its size: \
                       more than 8,294,400 pixels (3840x2160) cannot be shown. Choose a smaller one in the guest.";

/// A guest's display on a unix socket.
#[derive(Clone, Debug)]
pub struct VncSource {
    socket: PathBuf,
}

impl VncSource {
    /// The display that listens at `socket`, which lies in a [runtime directory](crate::RuntimeDir): that is looked at once more at each
    /// connection, and who answers must be this user.
    #[must_use]
    pub fn new(socket: &Path) -> Self {
        Self { socket: socket.to_owned() }
    }
}

impl DisplaySource for VncSource {
    fn run(self: Box<Self>, link: DisplayLink) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async move {
            let DisplayLink { screen, mut inputs, mut gone } = link;
            let mut keyboard = Keyboard::default();
            let mut wait = Duration::ZERO;
            let mut refusals = 0;
            // A link whose other end is dropped has no guest either.
            while !*gone.borrow() && gone.has_changed().is_ok() {
                let started = Instant::now();
                let mut published = false;
                // Why it ends matters little: if QEMU lives we come back, and if not its own end is told.
                let end = match connect(&self.socket).await {
                    Ok(client) => {
                        let mut session = Session::new(client, Arc::clone(&screen), &mut keyboard);
                        let end = session.serve(&mut inputs, &mut gone).await;
                        published = session.published;
                        let _ = session.client.close().await;
                        end
                    }
                    Err(error) => Err(error),
                };
                screen.lost();
                refusals =
                    if published { 0 } else { refusals + u32::from(matches!(end, Err(VncError::InvalidImageData))) };
                if refusals >= REFUSALS {
                    screen.set_trouble(REFUSED);
                }
                wait = next_wait(wait, started.elapsed());
                let _ = timeout(wait, is_gone(&mut gone)).await;
            }
            screen.lost();
        })
    }
}

async fn connect(socket: &Path) -> Result<VncClient, VncError> {
    let handshake = async {
        let stream = crate::machine::connect(socket).await?;
        // No password is ever asked for on this socket; the directory around it is private.
        VncConnector::<_, std::future::Pending<Result<String, VncError>>>::new(stream)
            .add_encoding(VncEncoding::Raw)
            .add_encoding(VncEncoding::DesktopSizePseudo)
            .add_encoding(VncEncoding::CursorPseudo)
            .allow_shared(true)
            .set_pixel_format(PixelFormat::bgra())
            .build()?
            .try_start()
            .await?
            .finish()
    };
    timeout(PATIENCE, handshake).await.unwrap_or(Err(VncError::ConnectError))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    Publish,
    Beat,
    Ask,
}

struct Session<'a> {
    client: VncClient,
    screen: Arc<Screen>,
    buffer: Option<Framebuffer>,
    /// When the first and the last piece of what is being gathered came.
    batch: Option<(Instant, Instant)>,
    asked: Instant,
    beat: Instant,
    keyboard: &'a mut Keyboard,
    /// Until when the keyboard has used up its pace.
    keys_until: Instant,
    published: bool,
    /// The newest wish for a picture of now that was passed on.
    fresh: u64,
}

impl<'a> Session<'a> {
    fn new(client: VncClient, screen: Arc<Screen>, keyboard: &'a mut Keyboard) -> Self {
        let now = Instant::now();
        Self {
            client,
            screen,
            buffer: None,
            batch: None,
            asked: now,
            beat: now,
            keyboard,
            keys_until: now,
            published: false,
            fresh: 0,
        }
    }

    async fn serve(
        &mut self,
        inputs: &mut mpsc::Receiver<InputEvent>,
        gone: &mut watch::Receiver<bool>,
    ) -> Result<(), VncError> {
        let screen = Arc::clone(&self.screen);
        let mut listening = true;
        let mut lifting = Vec::new();
        self.keyboard.reconnect(|event| lifting.push(event));
        self.pass_on(lifting).await?;
        loop {
            let next = self.next_due();
            let due = async {
                match next {
                    Some((at, due)) => {
                        sleep_until(at).await;
                        due
                    }
                    None => std::future::pending().await,
                }
            };
            let keys_from = self.keys_until.checked_sub(BURST).unwrap_or(self.keys_until);
            tokio::select! {
                event = self.client.recv_event() => self.take(event?)?,
                input = next_input(inputs, keys_from), if listening => match input {
                    Some(input) => self.send_inputs(input, inputs).await?,
                    None => listening = false,
                },
                due = due => self.act(due).await?,
                () = screen.wish_changed() => self.wished().await?,
                () = is_gone(gone) => return Ok(()),
            }
        }
    }

    fn next_due(&self) -> Option<(Instant, Due)> {
        let gathered = self.batch.map(|(first, last)| ((last + QUIET).min(first + LONGEST_BATCH), Due::Publish));
        let looked_at = [(self.asked + ASK_AGAIN, Due::Ask), (self.beat + BEAT, Due::Beat)];
        let looked_at = looked_at.into_iter().filter(|_| self.screen.visible());
        looked_at.chain(gathered).min()
    }

    /// Somebody looks from now on, or needs a picture of now.
    async fn wished(&mut self) -> Result<(), VncError> {
        if let Some(wish) = self.screen.fresh_wish(self.fresh) {
            self.fresh = wish;
            self.act(Due::Beat).await?;
            return self.send(X11Event::FullRefresh).await;
        }
        if self.screen.visible() { self.act(Due::Ask).await } else { Ok(()) }
    }

    async fn act(&mut self, due: Due) -> Result<(), VncError> {
        match due {
            Due::Publish => {
                self.batch = None;
                if let Some(buffer) = self.buffer.as_mut().filter(|b| b.is_whole() && b.is_damaged()) {
                    self.screen.publish(buffer);
                    self.published = true;
                    self.screen.answer_fresh(self.fresh);
                }
                if self.screen.visible() {
                    self.ask().await?;
                }
            }
            Due::Beat => {
                self.beat = Instant::now();
                if let Some(keysym) = keysym(UNPRESSED).filter(|_| !self.keyboard.is_down(UNPRESSED)) {
                    self.send(X11Event::KeyEvent((keysym, false).into())).await?;
                }
            }
            Due::Ask => self.ask().await?,
        }
        Ok(())
    }

    /// Asks for what has changed; for everything when something was missed.
    async fn ask(&mut self) -> Result<(), VncError> {
        let late = self.asked.elapsed() >= ASK_AGAIN;
        self.asked = Instant::now();
        let whole = self.buffer.as_ref().is_some_and(Framebuffer::is_whole);
        self.send(if whole || !late { X11Event::Refresh } else { X11Event::FullRefresh }).await
    }

    async fn send(&self, event: X11Event) -> Result<(), VncError> {
        timeout(PATIENCE, self.client.input(event)).await.unwrap_or(Err(VncError::ConnectError))
    }

    fn take(&mut self, event: VncEvent) -> Result<(), VncError> {
        match event {
            VncEvent::SetResolution(size) => {
                let (width, height) = (usize::from(size.width), usize::from(size.height));
                // The old picture is finished: it was shown, or will never be.
                if self.buffer.as_ref().is_none_or(|b| b.size() != (width, height)) {
                    self.buffer = Some(Framebuffer::new(width, height).ok_or(VncError::InvalidImageData)?);
                }
            }
            VncEvent::RawImage(to, pixels) => {
                self.paint(|buffer| buffer.paint(rect(to), &pixels))?;
            }
            VncEvent::Copy(to, from) => {
                self.paint(|buffer| buffer.copy(rect(to), rect(from)))?;
            }
            VncEvent::SetCursor(at, pixels) => self.screen.set_cursor(cursor(at, pixels)),
            VncEvent::Error(words) => return Err(VncError::General(words)),
            _ => return Ok(()),
        }
        let now = Instant::now();
        self.batch = Some((self.batch.map_or(now, |(first, _)| first), now));
        Ok(())
    }

    fn paint(&mut self, paint: impl FnOnce(&mut Framebuffer) -> bool) -> Result<(), VncError> {
        let painted = self.buffer.as_mut().is_some_and(paint);
        if painted { Ok(()) } else { Err(VncError::InvalidImageData) }
    }

    /// Sends `first` and what else waits, leaving out pointer positions that newer ones have overtaken.
    async fn send_inputs(
        &mut self,
        first: InputEvent,
        inputs: &mut mpsc::Receiver<InputEvent>,
    ) -> Result<(), VncError> {
        let mut event = first;
        if let InputEvent::Pointer { buttons, .. } = event {
            let mut other = None;
            while let Ok(next) = inputs.try_recv() {
                match next {
                    InputEvent::Pointer { buttons: same, .. } if same == buttons => event = next,
                    _ => {
                        other = Some(next);
                        break;
                    }
                }
            }
            self.send_input(event).await?;
            match other {
                Some(other) => event = other,
                None => return Ok(()),
            }
        }
        self.send_input(event).await
    }

    async fn send_input(&mut self, event: InputEvent) -> Result<(), VncError> {
        let buttons = self.keyboard.buttons();
        let mut out = Vec::new();
        self.keyboard.follow(event, |event| out.push(event));
        let sent = self.pass_on(out).await;
        if sent.is_err() {
            self.keyboard.doubt(buttons);
        }
        sent
    }

    async fn pass_on(&mut self, events: Vec<InputEvent>) -> Result<(), VncError> {
        for event in events {
            match event {
                InputEvent::Key { scancode, down, .. } => {
                    let Some(keysym) = keysym(scancode) else { continue };
                    self.keys_until = self.keys_until.max(Instant::now()) + KEY_PACE;
                    self.send(X11Event::KeyEvent((keysym, down).into())).await?;
                }
                InputEvent::Pointer { x, y, buttons } => {
                    let buttons = (buttons & 0x7f) as u8;
                    self.screen.set_pointer(Some((x, y)));
                    self.send(X11Event::PointerEvent((x, y, buttons).into())).await?;
                }
                // The crate tells nothing of the guest's lock keys, nor that a guest takes movements.
                InputEvent::Locks(_) | InputEvent::Motion { .. } | InputEvent::ReleaseAll => {}
            }
        }
        Ok(())
    }
}

fn rect(rect: vnc::Rect) -> Rect {
    Rect {
        x: usize::from(rect.x),
        y: usize::from(rect.y),
        width: usize::from(rect.width),
        height: usize::from(rect.height),
    }
}

/// A cursor from BGRA pixels; the rectangle's place is the hot spot (RFC 6143, 7.8.1).
fn cursor(at: vnc::Rect, mut pixels: Vec<u8>) -> Cursor {
    for pixel in pixels.chunks_exact_mut(4) {
        pixel.swap(0, 2);
    }
    let (width, height) = (u32::from(at.width), u32::from(at.height));
    let whole = pixels.len() as u64 == u64::from(width) * u64::from(height) * 4;
    let (width, height) = if whole { (width, height) } else { (0, 0) };
    Cursor { width, height, hot_x: at.x.into(), hot_y: at.y.into(), rgba: if whole { pixels } else { Vec::new() } }
}
