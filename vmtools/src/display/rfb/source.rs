//! The guest's screen and input devices, by our own client: connects again for as long as the guest is there.
//!
//! QEMU looks at the guest's screen less and less often while it is still, down to every three seconds. Only a message
//! of type 4 or above resets that, so while somebody looks we release a key that is not down, 25 times a second: QEMU
//! drops that before the guest. No other server is told, and none of somebody else's that is only looked at.
//!
//! While nobody looks nothing is asked for at all. Who needs a picture of now all the same says so, [`Screen::fresh`].

use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout};

use super::address::Address;
use super::connection::{self, Facts, Fresh, Outbox, Said, lock};
use super::handshake::Credentials;
use super::meeting::{self, Server};
use super::news::Reporter;
use super::{Encoding, News, RfbError, Trust, outgoing};
use crate::display::locks::LockStep;
use crate::display::pace::{ASK_AGAIN, BEAT, BURST, CONNECTING, PATIENCE, is_gone, next_input, next_wait};
use crate::display::{DisplayLink, DisplaySource, InputEvent, Keyboard, Screen};

/// F24, which no keyboard has: released by its scan code to say that somebody looks.
const F24: u16 = 0x76;
/// Where scan codes are not known, a key that QEMU's keyboard map has, or it prints a warning: Scroll Lock.
const UNPRESSED: u16 = 0x46;
/// Who has not let us in so soon may be asking somebody.
const ASKING: Duration = Duration::from_secs(3);
/// After so many connections in a row that came to nothing for the same kind of reason, it is said.
const REFUSALS: u32 = 5;

/// A guest's display, wherever it is.
#[derive(Clone, Debug)]
pub struct RfbSource {
    server: Server,
    reporter: Reporter,
}

impl RfbSource {
    /// The display that listens at `socket`: pixels come as they are.
    #[must_use]
    pub fn new(socket: &Path) -> Self {
        Self::of(Address::Unix(socket.to_owned()), Encoding::Raw)
    }

    /// The display of what we have started ourselves, at `socket` in a [runtime directory](crate::RuntimeDir): at each connection that
    /// must be ours alone, and who answers this user.
    #[must_use]
    pub fn ours(socket: &Path) -> Self {
        let mut source = Self::new(socket);
        source.server.ours = true;
        source
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
        meeting::meet(&self.server)
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
        let (credentials, trust) = (Credentials::default(), Trust::Nobody);
        let server = Server { address, ours: false, credentials, trust, encoding, login: None };
        Self { server, reporter: Reporter::default() }
    }

    /// As a server of somebody else's: its user may take so long to let us in, and after some seconds without a word, while somebody
    /// looks, it is asked whether it is there.
    #[must_use]
    pub fn of_others(mut self, login: Duration) -> Self {
        self.server.login = Some(login);
        self
    }

    /// With a user of the server, for those that ask for one (X509Plain).
    #[must_use]
    pub fn with_user(mut self, user: &str) -> Self {
        self.server.credentials.user = Some(user.to_owned());
        self
    }

    /// With TLS alone, and only if the server proves who it is.
    #[must_use]
    pub fn with_trust(mut self, trust: Trust) -> Self {
        self.server.credentials.only_tls = trust != Trust::Nobody;
        self.server.trust = trust;
        self
    }

    /// With the password that it wants; VNC uses its first 8 bytes.
    #[must_use]
    pub fn with_password(mut self, password: &str) -> Self {
        self.server.credentials.password = Some(password.to_owned());
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
        self.server.encoding = encoding;
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
    /// How long somebody else's server may take to let us in.
    login: Option<Duration>,
    asked: Instant,
    beat: Instant,
    /// Until when the keyboard has used up its pace.
    pub(super) keys_until: Instant,
    /// Where the pointer was, for movements.
    pub(super) pointer: Option<(u16, u16)>,
    /// The buttons that the server was told last.
    pub(super) buttons: u16,
    /// Keys that are down as what they yield.
    pub(super) by_keysym: Vec<u16>,
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        self.facts.shut();
    }
}

impl<'a> Session<'a> {
    fn new(source: &RfbSource, screen: Arc<Screen>, keyboard: &'a mut Keyboard, locks: &'a mut LockStep) -> Self {
        let facts = Arc::new(Facts::default());
        let said = connection::begin(source.server.clone(), Arc::clone(&screen), Arc::clone(&facts));
        let (now, login) = (Instant::now(), source.server.login);
        Self {
            facts,
            said,
            screen,
            keyboard,
            locks,
            login,
            asked: now,
            beat: now,
            keys_until: now,
            pointer: None,
            buttons: 0,
            by_keysym: Vec::new(),
        }
    }

    /// Waits until the reading thread has shown its last picture. One that is looking for its server has shown none, will see
    /// that it is over, and may take its time.
    async fn end(&mut self) {
        self.facts.shut();
        while self.facts.is_reached() && self.said.recv().await.is_some() {}
    }

    /// What the reading thread says next, within `limit`, while it is `doing` that.
    async fn said(&mut self, doing: &'static str, limit: Duration) -> Result<Said, RfbError> {
        match timeout(limit, self.said.recv()).await {
            Ok(Some(Said::Ended(error))) => Err(error),
            Ok(Some(said)) => Ok(said),
            Ok(None) => Err(RfbError::Closed { doing }),
            Err(_) => Err(RfbError::Stalled { doing, limit }),
        }
    }

    /// Waits until hands are shaken. The thread has limits of its own for each word of the server.
    async fn begin(
        &mut self,
        reporter: &Reporter,
        gone: &mut watch::Receiver<bool>,
    ) -> Result<(Outbox, News), RfbError> {
        let mut said = self.said("connecting", CONNECTING + PATIENCE).await?;
        let mut limit = PATIENCE;
        if let Some(login) = self.login {
            match timeout(ASKING, self.said.recv()).await {
                Ok(Some(Said::Ended(error))) => return Err(error),
                Ok(Some(next)) => said = next,
                Ok(None) => return Err(RfbError::Closed { doing: "connecting" }),
                Err(_) => reporter.tell(News::Waiting, gone).await,
            }
            limit = login * 2 + CONNECTING;
        }
        loop {
            match said {
                Said::Ready { outbox, name, tls } => return Ok((outbox, News::Connected { name, tls })),
                // Twice where another way to log in has to be taken.
                _ => said = self.said("shaking hands", limit).await?,
            }
        }
    }

    /// Serves until the connection ends, and says why; `None` when the guest is gone.
    async fn serve(
        &mut self,
        inputs: &mut mpsc::Receiver<InputEvent>,
        gone: &mut watch::Receiver<bool>,
        reporter: &Reporter,
    ) -> Option<RfbError> {
        let mut ends = gone.clone();
        let begun = tokio::select! {
            begun = self.begin(reporter, gone) => begun,
            () = is_gone(&mut ends) => return None,
        };
        let (outbox, news) = match begun {
            Ok(begun) => begun,
            Err(error) => return Some(error),
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
                said = self.said.recv() => match said {
                    Some(Said::Ended(error)) => return Err(error),
                    _ => return Err(RfbError::Closed { doing: "sending a picture" }),
                },
                input = next_input(inputs, keys_from), if listening => match input {
                    Some(input) => self.take_inputs(outbox, input, inputs).await?,
                    None => listening = false,
                },
                due = due => self.act(outbox, due).await?,
                () = screen.wish_changed() => {
                    self.hand_over(outbox).await?;
                    self.hear(outbox).await?;
                    self.wish_size(outbox).await?;
                    self.freshen(outbox).await?;
                    if screen.visible() {
                        self.act(outbox, Due::Ask).await?;
                    }
                }
                () = facts.news.notified() => {
                    self.lights(outbox).await?;
                    self.hear(outbox).await?;
                }
                () = is_gone(gone) => return Ok(()),
            }
        }
    }

    /// What is to be done next and when: nothing while nobody looks.
    fn next_due(&self) -> Option<(Instant, Due)> {
        let ask = (self.asked + ASK_AGAIN, Due::Ask);
        let next = if self.beats() { ask.min((self.beat + BEAT, Due::Beat)) } else { ask };
        self.screen.visible().then_some(next)
    }

    /// Whether the server is one that has to be told that somebody looks.
    fn beats(&self) -> bool {
        let only_looked_at = self.login.is_some() && self.screen.view_only();
        self.facts.qemu.load(Ordering::SeqCst) && !only_looked_at
    }

    /// Somebody needs a picture of now. QEMU is asked for what has changed and for a pixel, which it answers together even if
    /// nothing has; others may answer each alone, and are asked for everything.
    async fn freshen(&mut self, outbox: &Outbox) -> Result<(), RfbError> {
        let Some(wish) = self.screen.fresh_wish(lock(&self.facts.fresh).wish) else { return Ok(()) };
        let size = *lock(&self.facts.size);
        let changes = self.facts.qemu.load(Ordering::SeqCst) && self.facts.whole.load(Ordering::SeqCst);
        *lock(&self.facts.fresh) = Fresh { wish, owed: if changes { 1 } else { (size.0 * size.1) as u64 } };
        if self.beats() {
            self.tell_of_looking(outbox).await?;
        }
        if self.facts.may_ask() || !changes {
            send(outbox, outgoing::request(changes, size)).await?;
        }
        if changes {
            send(outbox, outgoing::request(false, (1, 1))).await?;
        }
        Ok(())
    }

    /// Passes on a wish for another size, where the server can be asked.
    async fn wish_size(&self, outbox: &Outbox) -> Result<(), RfbError> {
        let monitor = *lock(&self.facts.monitor);
        if let Some(monitor) = monitor
            && let Some((width, height)) = self.screen.take_wished_size()
        {
            send(outbox, outgoing::desktop_size(width, height, monitor)).await?;
        }
        Ok(())
    }

    /// Releases a key that is not down.
    async fn tell_of_looking(&mut self, outbox: &Outbox) -> Result<(), RfbError> {
        self.beat = Instant::now();
        let extended = self.facts.extended_keys.load(Ordering::SeqCst);
        let unpressed = if extended { F24 } else { UNPRESSED };
        // A server that does not read need not be told more often.
        if !self.keyboard.is_down(unpressed)
            && outbox.capacity() > 1
            && let Some(message) = self.key(unpressed, None, false)
        {
            send(outbox, message).await?;
        }
        Ok(())
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
            Due::Beat => self.tell_of_looking(outbox).await?,
            Due::Ask => {
                let due_again = self.asked.elapsed() >= ASK_AGAIN;
                self.asked = Instant::now();
                // What has not come whole within the time is asked for anew.
                let whole = self.facts.whole.load(Ordering::SeqCst);
                if self.facts.may_ask() || !whole && due_again {
                    let size = *lock(&self.facts.size);
                    send(outbox, outgoing::request(whole, size)).await?;
                }
                self.wish_size(outbox).await?;
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
