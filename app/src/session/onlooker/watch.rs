//! The side of the one that watches: what another session tells, as a session of one's own that can change nothing.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use cartridge_supervise::ProcessStat;
use tokio::io::AsyncReadExt as _;
use tokio::net::UnixStream;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};
use vmtools::RuntimeDir;
use vmtools::display::{DisplayLink, DisplaySource as _, RfbSource, Screen};

use super::WatchEnd;
use super::line::{BadLine, Line, Lines, VERSION, shown};
use super::tail::LogTail;
use crate::paths::Paths;
use crate::session::cartridge_lock;
use crate::session::command::Command;
use crate::session::event::{EVENT_VERSION, Event, Level, Told};
use crate::session::failure;
use crate::session::handle::{SessionHandle, Waker};
use crate::session::holder::Holder;
use crate::session::logs::LogHub;
use crate::session::model::Model;
use crate::session::record;
use crate::session::state::Denied;

/// How long the other one may take to answer, and to say what is so: it may have much to do.
const LIMIT: Duration = Duration::from_secs(60);
/// How long it may be stopped before it is not waited for.
const STOPPED: Duration = Duration::from_secs(3);
/// How often is looked whether it is stopped.
const BEAT: Duration = Duration::from_secs(1);
/// How long the guest's display may take to let us in.
const LOGIN: Duration = Duration::from_secs(10);
/// No session is older, milliseconds.
const LATEST: u64 = 1 << 48;

/// Begins to watch: what is needed for that, kept where a front end is.
#[derive(Clone, Debug)]
pub struct Watcher {
    paths: Paths,
    runtime: tokio::runtime::Handle,
}

impl Watcher {
    /// One of this tokio runtime, inside which it must be called.
    #[must_use]
    pub fn here(paths: Paths) -> Self {
        Self { paths, runtime: tokio::runtime::Handle::current() }
    }

    /// Who works on the cartridge at `root`, if somebody does.
    #[must_use]
    pub fn holder_of(&self, root: &Path) -> Option<Holder> {
        cartridge_lock::holder(&self.paths.locks(), root)
    }

    /// Watches what `holder` does, as a session that refuses what would change something.
    /// [`Event::Joined`] is told once it can be seen, [`Event::WatchEnded`] when nothing more is. It stays until it is asked to quit.
    #[must_use]
    pub fn watch(&self, holder: Holder) -> SessionHandle {
        let (commands, queue) = channel(256);
        let (sender, events) = channel(1024);
        let (logs, screen, wake) = (LogHub::in_memory(), Arc::new(Screen::new()), Arc::new(Waker::default()));
        screen.set_view_only(true);
        let watching = Watching {
            holder,
            paths: self.paths.clone(),
            events: sender,
            logs: Arc::clone(&logs),
            screen: Arc::clone(&screen),
            wake: Arc::clone(&wake),
            model: Model::default(),
            at_ms: 0,
            joined: false,
            stopped: false,
            puzzled: false,
            display: None,
            tail: None,
        };
        self.runtime.spawn(watching.run(queue));
        SessionHandle { commands, events, logs, screen, wake, watcher: None }
    }
}

struct Watching {
    holder: Holder,
    paths: Paths,
    events: Sender<Told>,
    logs: Arc<LogHub>,
    screen: Arc<Screen>,
    wake: Arc<Waker>,
    /// What the other session's front end knows.
    model: Model,
    at_ms: u64,
    joined: bool,
    stopped: bool,
    /// It was said that something was not understood.
    puzzled: bool,
    display: Option<Display>,
    tail: Option<LogTail>,
}

/// The guest's screen. Dropping it lets go of it.
struct Display {
    /// The guest's process.
    guest: u32,
    gone: watch::Sender<bool>,
}

impl Drop for Display {
    fn drop(&mut self) {
        self.gone.send_replace(true);
    }
}

impl Watching {
    async fn run(mut self, mut commands: Receiver<Command>) {
        let end = self.watch(&mut commands).await;
        self.display = None;
        // Its logs are whole before it is said that it is over.
        if let Some(tail) = self.tail.take() {
            let _ = tokio::task::spawn_blocking(move || drop(tail)).await;
        }
        if let Some(end) = end {
            if let (false, WatchEnd::Gone { why }) = (self.joined, &end) {
                let failure = failure::of_watch(&self.holder, why, self.stops());
                self.tell(Event::Failed { failure }).await;
            }
            self.tell(Event::WatchEnded { end }).await;
            while !matches!(commands.recv().await, None | Some(Command::Quit | Command::QuitUnlessHeld)) {}
        }
        self.tell(Event::Closed).await;
    }

    /// Watches until nothing more is to be seen, and says why; `None` if it is asked to quit.
    async fn watch(&mut self, commands: &mut Receiver<Command>) -> Option<WatchEnd> {
        let gone = |why: String| Some(WatchEnd::Gone { why });
        let Some(socket) = self.holder.socket.clone() else {
            return gone(format!("{} cannot be watched: it has no socket for that", self.holder.name()));
        };
        let mut stream = tokio::select! {
            stream = timeout(LIMIT, vmtools::machine::connect(&socket)) => match stream {
                Ok(Ok(stream)) => stream,
                Ok(Err(error)) => return gone(format!("{} cannot be reached at {}: {error}", self.holder.name(), socket.display())),
                Err(_) => return gone(self.silent()),
            },
            () = asked_to_quit(commands) => return None,
        };
        let begun = Instant::now();
        let (mut lines, mut chunk) = (Lines::default(), vec![0; 64 * 1024]);
        let mut beat = interval(BEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                command = commands.recv() => match command {
                    None | Some(Command::Quit | Command::QuitUnlessHeld) => return None,
                    Some(command) => self.refuse(&command).await,
                },
                read = read(&mut stream, &mut chunk) => {
                    let Some(count) = read else { return Some(self.cut().await) };
                    for line in lines.push(&chunk[..count]) {
                        if let Some(end) = self.hear(line).await {
                            return Some(end);
                        }
                    }
                }
                _ = beat.tick() => {
                    if !self.joined && begun.elapsed() > STOPPED && self.stops() {
                        return gone(self.silent());
                    }
                    self.look_whether_stopped().await;
                }
                () = sleep_until(begun + LIMIT), if !self.joined => return gone(self.silent()),
            }
        }
    }

    async fn hear(&mut self, line: Result<Line, BadLine>) -> Option<WatchEnd> {
        let gone = |why: String| Some(WatchEnd::Gone { why });
        match line {
            Ok(Line::Hello { watch, app, session }) if self.tail.is_none() && !self.joined => {
                let this = env!("CARGO_PKG_VERSION");
                if watch != VERSION || app != this {
                    let (name, app) = (self.holder.name(), plain(&app));
                    return gone(format!("{name} is Cartridge {app} and this is {this}: watch it with that version"));
                }
                let Some(dir) = session_dir(&self.paths, &session) else {
                    return gone(format!("{} told a session that is none", self.holder.name()));
                };
                self.holder.session = session;
                // Without them there is still all the rest.
                self.tail = LogTail::begin(dir, Arc::clone(&self.logs), Arc::clone(&self.wake)).ok();
            }
            Ok(Line::Start { at_ms, missed, said, model }) => {
                self.joined = true;
                self.at_ms = at_ms.min(LATEST);
                self.model = (*model).clone();
                let holder = self.holder.clone();
                self.tell(Event::Joined { holder, missed, said, model }).await;
                self.follow_guest();
            }
            Ok(Line::Told(told)) if self.joined => {
                // Whatever it says: what is not for those who watch is not heard.
                let told = shown(&told)?;
                self.at_ms = told.at_ms.min(LATEST).max(self.at_ms);
                self.model.fold(&told);
                self.tell(told.event).await;
                self.follow_guest();
            }
            Ok(Line::LetGo) => return Some(WatchEnd::LetGo),
            Ok(Line::Refused { why }) => {
                return gone(format!("{} cannot be watched: {}", self.holder.name(), plain(&why)));
            }
            Err(_) | Ok(Line::Told(_) | Line::Hello { .. }) if !self.joined => {
                return gone(format!("{} told something that is not understood", self.holder.name()));
            }
            // What is known stays true as far as it goes.
            Err(_) | Ok(Line::Hello { .. }) if !std::mem::replace(&mut self.puzzled, true) => {
                let text = "Something was told that is not understood here: what you see may not be all".to_owned();
                self.tell(Event::Noticed { level: Level::Warning, text }).await;
            }
            Err(_) | Ok(Line::Told(_) | Line::Hello { .. }) => {}
        }
        None
    }

    /// The guest's screen, with a viewer of our own that sends nothing.
    fn follow_guest(&mut self) {
        let guest = self.model.guest.as_ref().filter(|_| self.model.guest_runs()).map(|guest| guest.pid);
        if self.display.as_ref().map(|display| display.guest) == guest {
            return;
        }
        self.display = None;
        let Some(guest) = guest else { return };
        self.screen.forget();
        let Some(socket) = self.display_socket() else { return };
        let (gone, is_gone) = watch::channel(false);
        let (_, inputs) = channel(1);
        let link = DisplayLink { screen: Arc::clone(&self.screen), inputs, gone: is_gone };
        tokio::spawn(Box::new(RfbSource::ours(&socket).of_others(LOGIN)).run(link));
        self.display = Some(Display { guest, gone });
    }

    fn display_socket(&self) -> Option<PathBuf> {
        let runtime = record::runtime_of(&self.paths, &self.holder.session)?;
        Some(RuntimeDir::open(&runtime).ok()?.paths().vnc)
    }

    /// Says so where something would be changed. What a front end asks for by itself is passed over.
    async fn refuse(&self, command: &Command) {
        if command.is_for_show() {
            return;
        }
        let denied = Denied::Watching;
        self.tell(Event::Refused { denied, reason: denied.to_string() }).await;
    }

    async fn look_whether_stopped(&mut self) {
        let stopped = self.stops();
        if self.joined && std::mem::replace(&mut self.stopped, stopped) != stopped {
            self.tell(Event::HolderStopped { stopped }).await;
        }
    }

    /// Whether its process is stopped.
    fn stops(&self) -> bool {
        self.holder.process != 0 && ProcessStat::of(self.holder.process).is_some_and(|it| it.is_stopped())
    }

    fn silent(&self) -> String {
        let name = self.holder.name();
        match self.stops() {
            true => format!("{name} does not answer: it is stopped (SIGSTOP)"),
            false => format!("{name} does not answer within {} s", LIMIT.as_secs()),
        }
    }

    /// It has hung up without a word.
    async fn cut(&self) -> WatchEnd {
        let (name, process) = (self.holder.name(), self.holder.process);
        let lives = || ProcessStat::of(process).is_some_and(|it| !it.ends());
        // Its descriptors are closed before it is gone.
        for _ in 0..50 {
            if process == 0 || !lives() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let why = match process != 0 && !lives() {
            // Of one whose number means nothing here it is not known whether it lives.
            false => format!("{name} has hung up, or this was too slow for it: watch it again"),
            true => format!(
                "{name} was killed, or has crashed. The cartridge is free: the next start of a job cleans what it left"
            ),
        };
        WatchEnd::Gone { why }
    }

    async fn tell(&self, event: Event) {
        let told = Told { v: EVENT_VERSION, at_ms: self.at_ms, event };
        let _ = self.events.send(told).await;
        self.wake.wake();
    }
}

async fn read(stream: &mut UnixStream, chunk: &mut [u8]) -> Option<usize> {
    stream.read(chunk).await.ok().filter(|count| *count > 0)
}

async fn asked_to_quit(commands: &mut Receiver<Command>) {
    while !matches!(commands.recv().await, None | Some(Command::Quit | Command::QuitUnlessHeld)) {}
}

/// The directory of a session's logs: a session's id is one plain name.
fn session_dir(paths: &Paths, id: &str) -> Option<PathBuf> {
    let is_plain = !id.is_empty() && id.len() < 64 && id.chars().all(|c| c.is_ascii_digit() || c == '-' || c == '.');
    (is_plain && id.starts_with(|c: char| c.is_ascii_digit())).then(|| record::find(paths, id))
}

/// On one line, whatever it is.
fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}

#[cfg(test)]
#[path = "watch_tests.rs"]
mod tests;
