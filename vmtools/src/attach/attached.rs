//! Attaching, and the task that keeps a server attached: connections as our own client makes them, and the way that they take.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use super::error::stays;
use super::tunnel::{Tunnel, socket_in};
use super::{AttachError, AttachEvent, AttachPlan, TunnelError};
use crate::display::rfb::{Encoding, News, RfbError, RfbSource, Trust};
use crate::display::{DisplayLink, DisplaySource as _, InputEvent, InputQueue, Screen};

/// News that may wait.
const NEWS: usize = 16;
/// How long a socket may take from when it is there until it takes connections.
const LISTENING: Duration = Duration::from_secs(2);
/// A connection that has lasted for so long is a good one.
const STEADY: Duration = Duration::from_secs(5);
/// How long between two attempts to open the way anew.
const AGAIN: Duration = Duration::from_secs(2);
/// Who comes back sooner was not lost before.
const AT_ONCE: Duration = Duration::from_millis(100);
/// How long the display may take to end.
const DARK: Duration = Duration::from_secs(1);
/// How long everything may take to end.
const END: Duration = Duration::from_secs(5);

/// A server that is attached. Dropping it lets go of it.
#[derive(Debug)]
pub struct Attached {
    inputs: InputQueue,
    gone: watch::Sender<bool>,
    watching: JoinHandle<()>,
    name: String,
    tls: bool,
}

impl Drop for Attached {
    fn drop(&mut self) {
        self.gone.send_replace(true);
    }
}

impl Attached {
    /// What the server calls itself.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether the connection is inside TLS.
    #[must_use]
    pub fn tls(&self) -> bool {
        self.tls
    }

    /// Passes input on, as [`GuestHandle::input`](crate::GuestHandle::input) does.
    pub fn input(&self, event: InputEvent) {
        let _ = self.inputs.push(event);
    }

    /// Lets go of the server, and of the way to it. The screen is not live then.
    pub async fn end(mut self) {
        self.gone.send_replace(true);
        let _ = timeout(END, &mut self.watching).await;
    }
}

/// The way to a server and the display at its end.
struct Line {
    plan: AttachPlan,
    tunnel: Option<Tunnel>,
    news: mpsc::Receiver<News>,
    gone: watch::Sender<bool>,
    display: JoinHandle<()>,
    events: mpsc::Sender<AttachEvent>,
}

/// Attaches to the server of `plan`. What happens goes to `events`, its picture to `screen`.
///
/// On return we are logged in; the picture follows. Dropping the future ends what it has begun. Must be called inside a tokio
/// runtime.
///
/// # Errors
/// [`AttachError`], of which [`AttachError::want`] says what could be answered; nothing is left running.
pub async fn attach(
    plan: AttachPlan,
    events: mpsc::Sender<AttachEvent>,
    screen: Arc<Screen>,
) -> Result<Attached, AttachError> {
    let tunnel = match &plan.place.ssh {
        Some(host) => Some(Tunnel::open(&plan.ssh, (host, &plan.place.at), &socket_in(&plan.runtime), &events).await?),
        None => None,
    };
    let (sender, news) = mpsc::channel(NEWS);
    let (inputs, receiver) = InputQueue::new();
    let (gone, is_gone) = watch::channel(false);
    let link = DisplayLink { screen, inputs: receiver, gone: is_gone };
    let display = tokio::spawn(Box::new(source(&plan).with_news(sender)).run(link));
    let mut line = Line { plan, tunnel, news, gone: gone.clone(), display, events };
    match line.first().await {
        Ok((name, tls)) => {
            let watching = tokio::spawn(line.keep());
            Ok(Attached { inputs, gone, watching, name, tls })
        }
        Err(error) => {
            line.end().await;
            Err(error)
        }
    }
}

fn source(plan: &AttachPlan) -> RfbSource {
    let mut source = match &plan.place.ssh {
        // What goes over a network is packed, whatever is at this end.
        Some(_) => RfbSource::ours(&socket_in(&plan.runtime)).with_encoding(Encoding::Tight),
        None => RfbSource::at(&plan.place.at),
    };
    if let Some(user) = &plan.place.user {
        source = source.with_user(user);
    }
    if let Some(password) = &plan.password {
        source = source.with_password(password.text());
    }
    source.of_others(plan.login).with_trust(plan.fingerprint.map_or(Trust::Nobody, Trust::Certificate))
}

impl Line {
    /// How the first connection begins.
    async fn first(&mut self) -> Result<(String, bool), AttachError> {
        let begun = Instant::now();
        loop {
            match self.news.recv().await {
                Some(News::Connected { name, tls }) => return Ok((name, tls)),
                Some(News::Waiting) => self.tell(AttachEvent::Waiting).await,
                // A socket is there a moment before ssh listens at it.
                Some(News::Lost(RfbError::Connect { .. }))
                    if begun.elapsed() < LISTENING && self.tunnel.as_ref().is_some_and(|it| it.ended().is_none()) => {}
                Some(News::Lost(error)) => return Err(self.met(error).await),
                None => return Err(AttachError::Server(RfbError::Closed { doing: "connecting" })),
            }
        }
    }

    /// Keeps it attached until it is let go of or does not come back.
    async fn keep(mut self) {
        let (mut asked, events) = (self.gone.subscribe(), self.events.clone());
        let ended = tokio::select! {
            _ = asked.wait_for(|gone| *gone) => None,
            // Nobody holds it any more.
            () = events.closed() => None,
            error = self.watch() => Some(error),
        };
        self.end().await;
        if let Some(error) = ended {
            let _ = events.send(AttachEvent::Ended(error)).await;
        }
    }

    /// Hears how it goes, until it is over; says why it is.
    async fn watch(&mut self) -> AttachError {
        let mut trouble = Trouble::new(Instant::now());
        loop {
            let news = tokio::select! {
                news = self.news.recv() => match news {
                    Some(news) => news,
                    None => return AttachError::Server(RfbError::Closed { doing: "connecting" }),
                },
                () = tunnel_gone(self.tunnel.as_mut()) => {
                    let words = self.tunnel.take().map(|tunnel| tunnel.words()).unwrap_or_default();
                    let why = words.lines().last().unwrap_or("ssh has ended").trim().to_owned();
                    let (since, news) = trouble.lost(Instant::now());
                    if news {
                        self.tell(AttachEvent::Lost { why }).await;
                    }
                    if let Err(error) = self.reopen(since, &words).await {
                        return error;
                    }
                    continue;
                }
            };
            match news {
                News::Waiting => {}
                News::Connected { .. } => {
                    if trouble.connected(Instant::now()) {
                        self.tell(AttachEvent::Back).await;
                    }
                }
                News::Lost(error) if stays(&error) => return self.met(error).await,
                News::Lost(error) => {
                    let why = self.met(error).await.to_string();
                    let (since, news) = trouble.lost(Instant::now());
                    if since.elapsed() >= self.plan.patience {
                        return self.not_back(why);
                    }
                    if news {
                        self.tell(AttachEvent::Lost { why }).await;
                    }
                }
            }
        }
    }

    /// Opens the way anew after ssh has ended, for as long as we are patient.
    async fn reopen(&mut self, since: Instant, words: &str) -> Result<(), AttachError> {
        let Some(host) = self.plan.place.ssh.clone() else { return Ok(()) };
        // One that opens and ends at once is not opened in a hurry: hosts shut out who logs in too often.
        if since.elapsed() >= AT_ONCE {
            if since.elapsed() >= self.plan.patience {
                return Err(self.not_back(words.to_owned()));
            }
            sleep(AGAIN).await;
        }
        loop {
            let (ssh, socket) = (self.plan.ssh.clone(), self.socket());
            let left = self.plan.patience.saturating_sub(since.elapsed()).max(AGAIN);
            let opening = Tunnel::open(&ssh, (&host, &self.plan.place.at), &socket, &self.events);
            let Ok(opened) = timeout(left, opening).await else {
                return Err(self.not_back("ssh does not get there".to_owned()));
            };
            match opened {
                Ok(tunnel) => {
                    self.tunnel = Some(tunnel);
                    // What was met while there was no way says nothing of this one.
                    while self.news.try_recv().is_ok() {}
                    return Ok(());
                }
                Err(error @ (TunnelError::HostChanged { .. } | TunnelError::Denied { .. })) => return Err(error.into()),
                Err(error) if since.elapsed() >= self.plan.patience => return Err(self.not_back(error.to_string())),
                Err(_) => sleep(AGAIN).await,
            }
            // Nobody reads them meanwhile, and the display would wait.
            while self.news.try_recv().is_ok() {}
        }
    }

    /// What an error of the display means, with the way that it took.
    async fn met(&mut self, error: RfbError) -> AttachError {
        let Some(ssh) = &self.plan.place.ssh else {
            return match error {
                RfbError::Connect { to, source } => AttachError::Silent { at: to, why: source.to_string() },
                error => AttachError::Server(error),
            };
        };
        let cut = matches!(error, RfbError::Connect { .. } | RfbError::Closed { .. } | RfbError::Io { .. });
        let refusal = async {
            // ssh hangs up on us before it has said why, and its words come by another thread.
            for _ in 0..20 {
                if let Some(why) = self.tunnel.as_ref().and_then(Tunnel::refusal) {
                    return Some(why);
                }
                sleep(Duration::from_millis(10)).await;
            }
            None
        };
        let (ssh, at) = (ssh.to_string(), self.plan.place.at.to_string());
        match (if cut { refusal.await } else { None }, error) {
            (Some(why), _) => AttachError::Far { ssh, at, why },
            // At the socket that ssh has here, which means nothing to anybody.
            (None, RfbError::Connect { source, .. }) => AttachError::NoWay { ssh, at, why: source.to_string() },
            (None, error) => AttachError::Server(error),
        }
    }

    fn not_back(&self, why: String) -> AttachError {
        AttachError::Gone { at: self.plan.place.server(), limit: self.plan.patience, why }
    }

    fn socket(&self) -> PathBuf {
        socket_in(&self.plan.runtime)
    }

    async fn tell(&self, event: AttachEvent) {
        let _ = self.events.send(event).await;
    }

    async fn end(self) {
        self.gone.send_replace(true);
        let _ = timeout(DARK, self.display).await;
        if let Some(tunnel) = self.tunnel {
            tunnel.end().await;
        }
    }
}

/// Since when a connection comes and goes.
#[derive(Debug)]
struct Trouble {
    since: Option<Instant>,
    /// When the connection that there is was made.
    connected: Option<Instant>,
}

impl Trouble {
    fn new(connected: Instant) -> Self {
        Self { since: None, connected: Some(connected) }
    }

    /// It is there. Says whether it was not.
    fn connected(&mut self, now: Instant) -> bool {
        self.connected.replace(now).is_none()
    }

    /// It is lost. Says since when it comes and goes, and whether it was there before.
    fn lost(&mut self, now: Instant) -> (Instant, bool) {
        let before = self.connected.take();
        // One that is lost at once is none.
        if before.is_some_and(|connected| now.saturating_duration_since(connected) >= STEADY) {
            self.since = None;
        }
        (*self.since.get_or_insert(now), before.is_some())
    }
}

/// Waits until the way has ended, where there is one.
async fn tunnel_gone(tunnel: Option<&mut Tunnel>) {
    match tunnel {
        Some(tunnel) => tunnel.gone().await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_and_goes_is_in_trouble_since_it_first_went() {
        let begun = Instant::now();
        let at = |seconds| begun + Duration::from_secs(seconds);
        let mut trouble = Trouble::new(begun);
        assert_eq!(trouble.lost(at(60)), (at(60), true));
        assert_eq!(trouble.lost(at(61)), (at(60), false));
        assert!(trouble.connected(at(62)) && !trouble.connected(at(62)));
        assert_eq!(trouble.lost(at(63)), (at(60), true), "it was no good connection");
        assert!(trouble.connected(at(64)));
        assert_eq!(trouble.lost(at(70)), (at(70), true));
    }
}
