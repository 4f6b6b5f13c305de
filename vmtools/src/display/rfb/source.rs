//! The guest's screen and input devices, by our own client: connects again for as long as the guest is there.
//!
//! QEMU looks at the guest's screen less and less often while it is still, down to every three seconds. Only a message
//! of type 4 or above resets that, so while somebody looks we release a key that is not down, 25 times a second: QEMU
//! drops that before the guest.

use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout};

use super::address::Address;
use super::connection::{self, Facts, Outbox, Said, lock};
use super::handshake::Credentials;
use super::news::Reporter;
use super::{Encoding, News, RfbError, Trust, outgoing};
use crate::display::locks::LockStep;
use crate::display::pace::{ASK_AGAIN, BEAT, BURST, PATIENCE, is_gone, next_input, next_wait};
use crate::display::{DisplayLink, DisplaySource, InputEvent, Keyboard, Screen};

/// F24, which no keyboard has: released by its scan code to say that somebody looks.
const F24: u16 = 0x76;
/// Where scan codes are not known, a key that QEMU's keyboard map has, or it prints a warning: Scroll Lock.
const UNPRESSED: u16 = 0x46;
/// After so many connections in a row that came to nothing for the same kind of reason, it is said.
const REFUSALS: u32 = 5;

/// A guest's display, wherever it is.
#[derive(Clone, Debug)]
pub struct RfbSource {
    address: Address,
    credentials: Credentials,
    trust: Trust,
    encoding: Encoding,
    reporter: Reporter,
}

impl RfbSource {
    /// The display that listens at `socket`: pixels come as they are.
    #[must_use]
    pub fn new(socket: &Path) -> Self {
        Self::of(Address::Unix(socket.to_owned()), Encoding::Raw)
    }

    /// The display at `address`, as `host:5900`: pixels come packed.
    #[must_use]
    pub fn tcp(address: &str) -> Self {
        Self::of(Address::Tcp(address.to_owned()), Encoding::Tight)
    }

    /// Connects, logs in and hangs up, waiting for it: what the display would meet, said as what it is.
    ///
    /// # Errors
    /// [`RfbError`].
    pub fn meet(&self) -> Result<(), RfbError> {
        connection::meet(&self.address, &self.credentials, &self.trust)
    }

    /// The display at `address`, in the way that fits it.
    #[must_use]
    pub fn at(address: &Address) -> Self {
        match address {
            Address::Unix(socket) => Self::new(socket),
            Address::Tcp(address) => Self::tcp(address),
        }
    }

    fn of(address: Address, encoding: Encoding) -> Self {
        let reporter = Reporter::default();
        Self { address, credentials: Credentials::default(), trust: Trust::Nobody, encoding, reporter }
    }

    /// With a user of the server, for those that ask for one (X509Plain).
    #[must_use]
    pub fn with_user(mut self, user: &str) -> Self {
        self.credentials.user = Some(user.to_owned());
        self
    }

    /// With TLS alone, and only if the server proves who it is.
    #[must_use]
    pub fn with_trust(mut self, trust: Trust) -> Self {
        self.credentials.only_tls = trust != Trust::Nobody;
        self.trust = trust;
        self
    }

    /// With the password that it wants; VNC uses its first 8 bytes.
    #[must_use]
    pub fn with_password(mut self, password: &str) -> Self {
        self.credentials.password = Some(password.to_owned());
        self
    }

    /// With somebody who is told how its connections begin and end, and reads that.
    #[must_use]
    pub fn with_news(mut self, news: mpsc::Sender<News>) -> Self {
        self.reporter = Reporter::to(news);
        self
    }

    /// With another encoding preferred.
    #[must_use]
    pub fn with_encoding(mut self, encoding: Encoding) -> Self {
        self.encoding = encoding;
        self
    }
}

impl DisplaySource for RfbSource {
    fn run(self: Box<Self>, link: DisplayLink) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async move {
            let DisplayLink { screen, mut inputs, mut gone } = link;
            let mut keyboard = Keyboard::default();
            let mut locks = LockStep::default();
            let mut wait = Duration::ZERO;
            let mut refusals = 0;
            // A link whose other end is dropped has no guest either.
            while !*gone.borrow() && gone.has_changed().is_ok() {
                let started = Instant::now();
                let mut session = Session::new(&self, Arc::clone(&screen), &mut keyboard, &mut locks);
                // Why it ends matters little: if QEMU lives we come back, and if not its own end is told.
                let end = session.serve(&mut inputs, &mut gone, &self.reporter).await;
                let shown = session.facts.shown.load(Ordering::SeqCst);
                session.end().await;
                screen.lost();
                let trouble = end.as_ref().and_then(RfbError::trouble).filter(|_| !*gone.borrow());
                refusals = if shown || trouble.is_none() { 0 } else { refusals + 1 };
                if let Some(why) = trouble.filter(|_| refusals >= REFUSALS) {
                    screen.set_trouble(why);
                }
                if let Some(error) = end {
                    self.reporter.tell(News::Lost(error), &mut gone).await;
                }
                wait = next_wait(wait, started.elapsed());
                let _ = timeout(wait, is_gone(&mut gone)).await;
            }
            screen.lost();
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    Beat,
    Ask,
}

pub(super) struct Session<'a> {
    pub(super) facts: Arc<Facts>,
    said: mpsc::Receiver<Said>,
    pub(super) screen: Arc<Screen>,
    pub(super) keyboard: &'a mut Keyboard,
    pub(super) locks: &'a mut LockStep,
    asked: Instant,
    beat: Instant,
    /// Until when the keyboard has used up its pace.
    pub(super) keys_until: Instant,
    /// Where the pointer was, for movements.
    pub(super) pointer: Option<(u16, u16)>,
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        self.facts.shut();
    }
}

impl<'a> Session<'a> {
    fn new(source: &RfbSource, screen: Arc<Screen>, keyboard: &'a mut Keyboard, locks: &'a mut LockStep) -> Self {
        let facts = Arc::new(Facts::default());
        let RfbSource { address, credentials, trust, encoding, .. } = source.clone();
        let said = connection::begin(address, credentials, trust, encoding, Arc::clone(&screen), Arc::clone(&facts));
        let now = Instant::now();
        Self { facts, said, screen, keyboard, locks, asked: now, beat: now, keys_until: now, pointer: None }
    }

    /// Waits until the reading thread has shown its last picture.
    async fn end(&mut self) {
        self.facts.shut();
        while self.said.recv().await.is_some() {}
    }

    /// Serves until the connection ends, and says why; `None` when the guest is gone.
    async fn serve(
        &mut self,
        inputs: &mut mpsc::Receiver<InputEvent>,
        gone: &mut watch::Receiver<bool>,
        reporter: &Reporter,
    ) -> Option<RfbError> {
        let said = tokio::select! {
            said = timeout(PATIENCE, self.said.recv()) => said,
            () = is_gone(gone) => return None,
        };
        let (outbox, news) = match said {
            Ok(Some(Said::Ready { outbox, name, tls })) => (outbox, News::Connected { name, tls }),
            Ok(Some(Said::Ended(error))) => return Some(error),
            Ok(None) => return Some(RfbError::Closed { doing: "connecting" }),
            Err(_) => return Some(RfbError::Stalled { doing: "shaking hands", limit: PATIENCE }),
        };
        reporter.tell(news, gone).await;
        self.talk(&outbox, inputs, gone).await.err()
    }

    async fn talk(
        &mut self,
        outbox: &Outbox,
        inputs: &mut mpsc::Receiver<InputEvent>,
        gone: &mut watch::Receiver<bool>,
    ) -> Result<(), RfbError> {
        let screen = Arc::clone(&self.screen);
        let facts = Arc::clone(&self.facts);
        self.locks.reconnect();
        let mut listening = true;
        let mut lifting = Vec::new();
        self.keyboard.reconnect(|event| lifting.push(event));
        self.pass_on(outbox, lifting).await?;
        loop {
            let (at, due) = self.next_due();
            let keys_from = self.keys_until.checked_sub(BURST).unwrap_or(self.keys_until);
            tokio::select! {
                said = self.said.recv() => match said {
                    Some(Said::Ended(error)) => return Err(error),
                    _ => return Err(RfbError::Closed { doing: "sending a picture" }),
                },
                input = next_input(inputs, keys_from), if listening => match input {
                    Some(input) => self.take_inputs(outbox, input, inputs).await?,
                    None => listening = false,
                },
                () = sleep_until(at) => self.act(outbox, due).await?,
                () = screen.wish_changed() => {
                    self.hand_over(outbox).await?;
                    self.hear(outbox).await?;
                    self.act(outbox, Due::Ask).await?;
                }
                () = facts.news.notified() => {
                    self.lights(outbox).await?;
                    self.hear(outbox).await?;
                }
                () = is_gone(gone) => return Ok(()),
            }
        }
    }

    fn next_due(&self) -> (Instant, Due) {
        let ask = (self.asked + ASK_AGAIN, Due::Ask);
        if self.screen.visible() { ask.min((self.beat + BEAT, Due::Beat)) } else { ask }
    }

    /// Asks for the guest's sound, or for no more of it, where that is another than before.
    async fn hear(&self, outbox: &Outbox) -> Result<(), RfbError> {
        match self.facts.hearing(&self.screen) {
            Some(asking) => send(outbox, asking).await,
            None => Ok(()),
        }
    }

    async fn act(&mut self, outbox: &Outbox, due: Due) -> Result<(), RfbError> {
        match due {
            Due::Beat => {
                self.beat = Instant::now();
                let extended = self.facts.extended_keys.load(Ordering::SeqCst);
                let unpressed = if extended { F24 } else { UNPRESSED };
                // A server that does not read need not be told more often.
                if !self.keyboard.is_down(unpressed) && outbox.capacity() > 1 {
                    send(outbox, self.key(unpressed, false)).await?;
                }
            }
            Due::Ask => {
                let due_again = self.asked.elapsed() >= ASK_AGAIN;
                self.asked = Instant::now();
                // What has not come whole within the time is asked for anew.
                let whole = self.facts.whole.load(Ordering::SeqCst);
                if self.facts.may_ask() || !whole && due_again {
                    let size = *lock(&self.facts.size);
                    send(outbox, outgoing::request(whole, size)).await?;
                }
                let monitor = *lock(&self.facts.monitor);
                if let Some(monitor) = monitor
                    && let Some((width, height)) = self.screen.take_wished_size()
                {
                    send(outbox, outgoing::desktop_size(width, height, monitor)).await?;
                }
            }
        }
        Ok(())
    }
}

pub(super) async fn send(outbox: &Outbox, message: Vec<u8>) -> Result<(), RfbError> {
    match timeout(PATIENCE, outbox.send(message)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(RfbError::Closed { doing: "taking what we say" }),
        Err(_) => Err(RfbError::Stalled { doing: "taking what we say", limit: PATIENCE }),
    }
}
