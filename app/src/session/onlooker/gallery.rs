//! The side of the session that is watched. What is told is folded here too, so that whoever comes late begins with all that is so;
//! each line goes to a ring that nobody is waited for at, and whoever does not follow gets a fresh start, or is dropped.

use std::collections::VecDeque;
use std::io::{self, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::AbortHandle;
use vmtools::RuntimeDir;

use super::line::{Line, VERSION, shown};
use super::ring::{Found, Item, Ring};
use crate::session::event::{Event, Level, Told};
use crate::session::model::Model;

/// How many may watch at a time.
const SEATS: usize = 8;
/// How long somebody may take for one line, however he drips; then he is dropped.
const STUCK: Duration = Duration::from_secs(30);
/// How long the end of the program waits until those who watch have its last words.
const FAREWELL: Duration = Duration::from_secs(1);
/// How many sentences of the log a late-comer gets.
const SAID: usize = 200;
/// How much of a sentence, characters.
const SENTENCE: usize = 2000;
/// The name of the socket's directory, before its process.
const NAME: &str = "watch";

/// Where a session is watched from.
#[derive(Clone)]
pub(in crate::session) struct Gallery {
    shared: Arc<Shared>,
}

struct Shared {
    session: String,
    stage: Mutex<Stage>,
    /// Rings when the ring of the stage has got something. Each who watches listens.
    news: watch::Sender<()>,
    /// [`STUCK`].
    patience: Duration,
    seats: Arc<Semaphore>,
    /// One of it is held by each who watches.
    present: mpsc::Sender<()>,
}

struct Stage {
    model: Arc<Model>,
    at_ms: u64,
    said: VecDeque<String>,
    /// For those who watch; empty while nobody does.
    ring: Ring,
    open: Option<Open>,
    gone: Option<mpsc::Receiver<()>>,
}

/// The socket. Dropping it lets nobody else in, and removes it.
struct Open {
    dir: Option<RuntimeDir>,
    accepts: AbortHandle,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.accepts.abort();
        // What cannot be removed is swept by the next start.
        let _ = self.dir.take().map(RuntimeDir::remove);
    }
}

impl Open {
    fn socket(&self) -> PathBuf {
        self.dir.as_ref().map(|dir| dir.paths().watch).unwrap_or_default()
    }
}

impl Gallery {
    pub(in crate::session) fn new(session: &str) -> Self {
        Self::patient(session, STUCK)
    }

    fn patient(session: &str, patience: Duration) -> Self {
        let (session, news) = (session.to_owned(), watch::Sender::new(()));
        let (present, gone) = mpsc::channel(1);
        let (model, said, ring) = (Arc::default(), VecDeque::new(), Ring::default());
        let stage = Mutex::new(Stage { model, at_ms: 0, said, ring, open: None, gone: Some(gone) });
        let seats = Arc::new(Semaphore::new(SEATS));
        Self { shared: Arc::new(Shared { session, stage, news, patience, seats, present }) }
    }

    /// Lets people in, by a socket in a private directory below `base`; returns its place. Blocks for a moment. Must be called inside
    /// a tokio runtime.
    ///
    /// # Errors
    /// The directory is not ours alone, or the socket cannot be made.
    pub(in crate::session) fn open(&self, base: &Path) -> io::Result<PathBuf> {
        let mut stage = self.shared.lock();
        if let Some(open) = &stage.open {
            return Ok(open.socket());
        }
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(base)?;
        let dir = RuntimeDir::create_in(base, NAME).map_err(io::Error::other)?;
        let socket = dir.paths().watch;
        let listener = match UnixListener::bind(&socket) {
            Ok(listener) => listener,
            Err(error) => {
                let _ = dir.remove();
                return Err(error);
            }
        };
        let accepts = tokio::spawn(accept(listener, Arc::clone(&self.shared))).abort_handle();
        stage.open = Some(Open { dir: Some(dir), accepts });
        Ok(socket)
    }

    /// Tells those who watch. Never waits for them.
    pub(in crate::session) fn tell(&self, told: &Told, sentence: Option<&str>) {
        let mut line = self.shared.is_watched().then(|| line(told));
        // Whoever begins has seen it, or gets it: never both.
        let mut stage = self.shared.lock();
        stage.at_ms = stage.at_ms.max(told.at_ms);
        // A copy is made at most once for each who begins, while what he begins with is being written.
        Arc::make_mut(&mut stage.model).fold(told);
        if let Some(sentence) = sentence {
            if stage.said.len() == SAID {
                stage.said.pop_front();
            }
            stage.said.push_back(sentence.chars().take(SENTENCE).collect());
        }
        if self.shared.is_watched()
            && let Some(line) = line.get_or_insert_with(|| self::line(told)).take()
        {
            self.shared.push(&mut stage, Item::Line(line));
        }
    }

    /// The cartridge was let go of: those who watch are told so, and nobody else is let in.
    pub(in crate::session) fn close(&self) {
        let mut stage = self.shared.lock();
        if stage.open.take().is_some() {
            self.shared.push(&mut stage, Item::End);
        }
    }

    /// Waits a moment until those who watch have heard the last words.
    pub(in crate::session) async fn farewell(self) {
        self.close();
        let gone = self.shared.lock().gone.take();
        let Some(mut gone) = gone else { return };
        if self.shared.seats.available_permits() == SEATS {
            return;
        }
        drop(self);
        // Each who watches holds the other end.
        let _ = tokio::time::timeout(FAREWELL, gone.recv()).await;
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Stage> {
        self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_watched(&self) -> bool {
        self.news.receiver_count() > 0
    }

    fn push(&self, stage: &mut Stage, item: Item) {
        if self.is_watched() {
            stage.ring.push(item);
            self.news.send_replace(());
        }
    }

    /// Nothing is kept for nobody.
    fn tidy(&self) {
        let mut stage = self.lock();
        if !self.is_watched() {
            stage.ring.clear();
        }
    }
}

/// What those who watch are sent of it, if it is for them. What cannot be written is not passed over in silence.
fn line(told: &Told) -> Option<Arc<str>> {
    let shown = shown(told)?;
    let text = "Something was told that is no text, or too long, and cannot be shown here: what you see may not be all";
    let instead = || Told { event: Event::Noticed { level: Level::Warning, text: text.to_owned() }, ..*told };
    let line = Line::Told(Box::new(shown)).encode();
    Some(line.or_else(|| Line::Told(Box::new(instead())).encode())?.into())
}

async fn accept(listener: UnixListener, shared: Arc<Shared>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // No descriptor is free: not for long.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        // The directory is ours alone; who came in all the same is sent away.
        if stream.peer_cred().map(|peer| peer.uid()).ok() != Some(rustix::process::geteuid().as_raw()) {
            continue;
        }
        match Arc::clone(&shared.seats).try_acquire_owned() {
            Ok(seat) => {
                let shared = Arc::clone(&shared);
                tokio::spawn(async move {
                    let _present = shared.present.clone();
                    serve(stream, &shared).await;
                    shared.tidy();
                    drop(seat);
                });
            }
            Err(_) => refuse(stream),
        }
    }
}

/// Says that there is no room, to somebody who is not waited for.
fn refuse(stream: UnixStream) {
    let why = format!("{SEATS} are watching already");
    if let (Some(line), Ok(mut stream)) = (Line::Refused { why }.encode(), stream.into_std()) {
        let _ = stream.write_all(line.as_bytes());
    }
}

/// Shows somebody all that is so, and then what is told, until he goes or the cartridge is let go of.
async fn serve(stream: UnixStream, shared: &Shared) {
    let (mut reader, writer) = stream.into_split();
    let mut visitor = Visitor { writer, patience: shared.patience };
    let hello = Line::Hello { watch: VERSION, app: env!("CARGO_PKG_VERSION").into(), session: shared.session.clone() };
    if !visitor.send(hello.encode().as_deref()).await {
        return;
    }
    let mut missed = 0;
    loop {
        let (now, mut follower, over) = now(shared, missed);
        // A large one takes a while.
        let start = tokio::task::spawn_blocking(move || now.encode()).await.ok().flatten();
        let why = || "something of it is no text, or too long, and cannot be shown elsewhere".to_owned();
        let Some(start) = start else {
            let _ = visitor.send(Line::Refused { why: why() }.encode().as_deref()).await;
            return;
        };
        if !visitor.send(Some(&start)).await {
            return;
        }
        if over {
            return visitor.let_go().await;
        }
        drop(start);
        missed = loop {
            let found = tokio::select! {
                found = follower.next(shared) => found,
                () = ends(&mut reader) => return,
            };
            match found {
                Found::Item(Item::Line(line)) if visitor.send(Some(&line)).await => {}
                Found::Item(Item::Line(_)) | Found::NotYet => return,
                Found::Item(Item::End) => return visitor.let_go().await,
                Found::Missed(missed) => break missed,
            }
        };
    }
}

/// Where somebody is in the ring.
struct Follower {
    number: u64,
    news: watch::Receiver<()>,
}

impl Follower {
    /// Waits for what comes next; [`Found::NotYet`] if nothing ever does.
    async fn next(&mut self, shared: &Shared) -> Found {
        loop {
            self.news.mark_unchanged();
            let found = shared.lock().ring.at(self.number);
            if found != Found::NotYet {
                self.number += 1;
                return found;
            }
            if self.news.changed().await.is_err() {
                return Found::NotYet;
            }
        }
    }
}

/// All that is so at a moment.
struct Now {
    model: Arc<Model>,
    at_ms: u64,
    missed: u64,
    said: Vec<String>,
}

impl Now {
    fn encode(self) -> Option<String> {
        let Self { model, at_ms, missed, said } = self;
        Line::Start { at_ms, missed, said, model: Box::new(Arc::unwrap_or_clone(model)) }.encode()
    }
}

/// All that is so, what comes next, and whether nothing does. The driver waits for no more than this.
fn now(shared: &Shared, missed: u64) -> (Now, Follower, bool) {
    let stage = shared.lock();
    let said = stage.said.iter().cloned().collect();
    let now = Now { model: Arc::clone(&stage.model), at_ms: stage.at_ms, missed, said };
    let follower = Follower { number: stage.ring.next(), news: shared.news.subscribe() };
    (now, follower, stage.open.is_none())
}

/// The way to somebody who watches.
struct Visitor {
    writer: OwnedWriteHalf,
    patience: Duration,
}

impl Visitor {
    /// Whether it was taken, in time and whole.
    async fn send(&mut self, line: Option<&str>) -> bool {
        let Some(line) = line else { return false };
        matches!(tokio::time::timeout(self.patience, self.writer.write_all(line.as_bytes())).await, Ok(Ok(())))
    }

    async fn let_go(mut self) {
        self.send(Line::LetGo.encode().as_deref()).await;
    }
}

/// Waits until whoever watches goes. He has nothing to say: one who does is sent away.
async fn ends(reader: &mut OwnedReadHalf) {
    let _ = reader.read(&mut [0; 1]).await;
}

#[cfg(test)]
#[path = "gallery_tests.rs"]
mod tests;
