//! How a session begins: what it needs from who starts it, and its driver as it is at the start.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use isoprep::Cancel;
use tokio::sync::mpsc::channel;
use vmtools::display::Screen;

use super::{Driver, beside, blank, deploy, diagnose, eject, examine, slots, source, templates, testing, watching};
use crate::paths::Paths;
use crate::session::attach_recent::AttachRecent;
use crate::session::handle::{SessionHandle, Waker};
use crate::session::logs::{FILE_LIMIT, FILE_LIMIT_IN_MEMORY, LogHub, Pane};
use crate::session::onlooker::{Gallery, Watcher};
use crate::session::pace::PaceMaker;
use crate::session::recent::Recent;
use crate::session::record::Record;
use crate::session::state::State;
use crate::session::strays;

/// What a session needs from who starts it.
#[derive(Clone, Debug)]
pub struct SessionConfig {
    /// Where everything lives.
    pub paths: Paths,
    /// Who runs it, for others to read: "the window", "cartridge up".
    pub who: String,
    /// Build afresh: use nothing that an earlier build left in the cache.
    pub fresh: bool,
    /// Whether errors of the lint stop a build before its packages.
    pub lint: bool,
    /// Whether the cartridge is looked at by itself whenever it has changed: where somebody edits it.
    pub examines: bool,
    /// Whether the repository is watched for changes: where somebody is told of them.
    pub watches: bool,
    /// How long a guest is waited for until it is up; `None` for as long as its engine and this host make sensible.
    pub patience: Option<Duration>,
    /// How long the screen of a guest that is up must show one colour until that is said; `None` for as long as this host
    /// makes sensible.
    pub blank_after: Option<Duration>,
}

/// A session could not begin.
#[derive(Debug, thiserror::Error)]
#[error("could not begin a session: {path}: {source}\nThis directory must be writable; XDG_STATE_HOME chooses another")]
pub struct BeginError {
    /// The directory that was tried.
    pub path: PathBuf,
    /// What the system said.
    pub source: std::io::Error,
}

/// Begins a session: spawns its driver on the current tokio runtime and returns the front end's end.
///
/// # Errors
/// [`BeginError`] when the session's record cannot be written.
pub fn begin(config: SessionConfig) -> Result<SessionHandle, BeginError> {
    let id = new_id();
    let who = format!("{} (process {})", config.who, std::process::id());
    let record = Record::begin(&config.paths, &id, &who)
        .map_err(|source| BeginError { path: config.paths.sessions().join(&id), source })?;
    let limit = if record.is_in_memory() { FILE_LIMIT_IN_MEMORY } else { FILE_LIMIT };
    let logs = LogHub::in_dir(record.dir(), limit);
    let told = Arc::downgrade(&logs);
    strays::post_warden(move |line| {
        if let Some(logs) = told.upgrade() {
            logs.pane(Pane::Session).line(line);
        }
    });
    let (commands, command_queue) = channel(256);
    let (event_queue, events) = channel(1024);
    let (screen, wake) = (Arc::new(Screen::new()), Arc::new(Waker::default()));
    let watcher = Some(Watcher::here(config.paths.clone()));
    let driver = Driver {
        attach_recent: AttachRecent::load(&config.paths.state.join("vnc-recent")),
        recent: Recent::load(&config.paths.state.join("recent.json")),
        paths: config.paths,
        fresh: config.fresh,
        lint: config.lint,
        examines: config.examines,
        watches: config.watches,
        patience: config.patience,
        anyway: false,
        checking: None,
        wish: None,
        booted_tree: None,
        who: config.who,
        gallery: Gallery::new(&id),
        id,
        record,
        started: Instant::now(),
        state: State::default(),
        inserted: None,
        image: None,
        prepared: None,
        prepared_notices: Vec::new(),
        cancel: Cancel::new(),
        job: None,
        guest: None,
        guest_events: None,
        attach_wish: None,
        attached_to: None,
        attached: None,
        attached_events: None,
        guest_status: None,
        progress: None,
        build_began: None,
        examining: examine::Examining::default(),
        diagnosing: diagnose::Diagnosing::default(),
        pace: PaceMaker::default(),
        stage_times: Vec::new(),
        comparing: None,
        watching: watching::Watching::default(),
        watched: source::Watched::default(),
        boot_deadline: None,
        blank_after: config.blank_after,
        blank: blank::Blank::default(),
        slots: slots::Slots::default(),
        beside: beside::Beside::default(),
        deploying: deploy::Deploying::default(),
        testing: testing::Testing::default(),
        templates: templates::Templates::default(),
        reading: None,
        recording: None,
        typing: VecDeque::new(),
        typing_told: false,
        typing_told_at: tokio::time::Instant::now(),
        caps: super::guest::Caps::default(),
        next_stroke: tokio::time::Instant::now(),
        works: 0,
        boots: 0,
        standalone: String::new(),
        direct_command: Arc::default(),
        ejecting: eject::Ejecting::default(),
        quitting: false,
        closed: false,
        side: channel(16),
        guest_side: channel(16),
        events: event_queue,
        logs: Arc::clone(&logs),
        screen: Arc::clone(&screen),
        wake: Arc::clone(&wake),
    };
    tokio::spawn(driver.run(command_queue));
    Ok(SessionHandle { commands, events, logs, screen, wake, watcher })
}

/// The time, for people and for sorting; the process; and a number if this process has begun sessions before.
fn new_id() -> String {
    static BEGUN: AtomicU32 = AtomicU32::new(0);
    let id = format!("{}-{}", jiff::Zoned::now().strftime("%Y%m%d-%H%M%S"), std::process::id());
    match BEGUN.fetch_add(1, Ordering::Relaxed) {
        0 => id,
        more => format!("{id}.{more}"),
    }
}
