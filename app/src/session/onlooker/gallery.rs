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
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{Semaphore, broadcast, mpsc};
use tokio::task::AbortHandle;
use vmtools::RuntimeDir;

use super::line::{Line, VERSION, shown};
use crate::session::event::Told;
use crate::session::model::Model;

/// How many may watch at a time.
const SEATS: usize = 8;
/// How many lines wait for whoever is slow. With more he gets a fresh start.
const BEHIND: usize = 512;
/// How long somebody may take nothing of what he is sent; then he is dropped.
const STUCK: Duration = Duration::from_secs(30);
/// How long the end of the program waits until those who watch have its last words.
const FAREWELL: Duration = Duration::from_secs(1);
/// How many sentences of the log a late-comer gets.
const SAID: usize = 200;
/// How much of a sentence, characters.
const SENTENCE: usize = 2000;
/// The name of the socket's directory, before its process.
const NAME: &str = "watch";

/// What those who watch get.
#[derive(Clone)]
enum Item {
    Line(Arc<str>),
    /// Nothing follows.
    End,
}

/// Where a session is watched from.
#[derive(Clone)]
pub(in crate::session) struct Gallery {
    shared: Arc<Shared>,
}

struct Shared {
    session: String,
    stage: Mutex<Stage>,
    items: broadcast::Sender<Item>,
    seats: Arc<Semaphore>,
    /// One of it is held by each who watches.
    present: mpsc::Sender<()>,
}

struct Stage {
    model: Arc<Model>,
    at_ms: u64,
    said: VecDeque<String>,
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
        let (items, _) = broadcast::channel(BEHIND);
        let (present, gone) = mpsc::channel(1);
        let (model, said) = (Arc::default(), VecDeque::new());
        let stage = Mutex::new(Stage { model, at_ms: 0, said, open: None, gone: Some(gone) });
        let seats = Arc::new(Semaphore::new(SEATS));
        Self { shared: Arc::new(Shared { session: session.to_owned(), stage, items, seats, present }) }
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
        let items = &self.shared.items;
        let encode = || Some(Item::Line(Line::Told(Box::new(shown(told)?)).encode()?.into()));
        let mut item = (items.receiver_count() > 0).then(encode);
        // Whoever begins has seen it, or gets it: never both.
        let mut stage = self.shared.lock();
        stage.at_ms = stage.at_ms.max(told.at_ms);
        Arc::make_mut(&mut stage.model).fold(told);
        if let Some(sentence) = sentence {
            if stage.said.len() == SAID {
                stage.said.pop_front();
            }
            stage.said.push_back(sentence.chars().take(SENTENCE).collect());
        }
        if items.receiver_count() > 0
            && let Some(item) = item.get_or_insert_with(encode).take()
        {
            let _ = items.send(item);
        }
    }

    /// The cartridge was let go of: those who watch are told so, and nobody else is let in.
    pub(in crate::session) fn close(&self) {
        let mut stage = self.shared.lock();
        if stage.open.take().is_some() {
            let _ = self.shared.items.send(Item::End);
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
                    serve(stream, shared).await;
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
async fn serve(stream: UnixStream, shared: Arc<Shared>) {
    let (mut reader, mut writer) = stream.into_split();
    let hello = Line::Hello { watch: VERSION, app: env!("CARGO_PKG_VERSION").into(), session: shared.session.clone() };
    if !send(&mut writer, hello.encode().as_deref()).await {
        return;
    }
    let mut missed = 0;
    loop {
        let (now, mut items, over) = now(&shared, missed);
        // A large one takes a while.
        let start = tokio::task::spawn_blocking(move || now.encode()).await.ok().flatten();
        let why = || "something of it is no text, or too long, and cannot be shown elsewhere".to_owned();
        let Some(start) = start else {
            let _ = send(&mut writer, Line::Refused { why: why() }.encode().as_deref()).await;
            return;
        };
        if !send(&mut writer, Some(&start)).await {
            return;
        }
        if over {
            return let_go(&mut writer).await;
        }
        missed = loop {
            let item = tokio::select! {
                item = items.recv() => item,
                () = ends(&mut reader) => return,
            };
            match item {
                Ok(Item::Line(line)) if send(&mut writer, Some(&line)).await => {}
                Ok(Item::Line(_)) | Err(RecvError::Closed) => return,
                Ok(Item::End) => return let_go(&mut writer).await,
                Err(RecvError::Lagged(missed)) => break missed,
            }
        };
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
fn now(shared: &Shared, missed: u64) -> (Now, broadcast::Receiver<Item>, bool) {
    let stage = shared.lock();
    let said = stage.said.iter().cloned().collect();
    let now = Now { model: Arc::clone(&stage.model), at_ms: stage.at_ms, missed, said };
    (now, shared.items.subscribe(), stage.open.is_none())
}

async fn let_go(writer: &mut OwnedWriteHalf) {
    send(writer, Line::LetGo.encode().as_deref()).await;
}

/// Whether it was taken.
async fn send(writer: &mut OwnedWriteHalf, line: Option<&str>) -> bool {
    let Some(line) = line else { return false };
    matches!(tokio::time::timeout(STUCK, writer.write_all(line.as_bytes())).await, Ok(Ok(())))
}

/// Waits until whoever watches goes. He has nothing to say: one who does is sent away.
async fn ends(reader: &mut OwnedReadHalf) {
    let _ = reader.read(&mut [0; 1]).await;
}

#[cfg(test)]
#[path = "gallery_tests.rs"]
mod tests;
