//! What a front end holds of a session: the two channels, the logs, the guest's screen, and the bell.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc::{Receiver, Sender};
use vmtools::display::Screen;

use super::command::Command;
use super::event::Told;
use super::logs::LogHub;
use super::onlooker::Watcher;

/// A front end's end of a session. Dropping it ends the session.
pub struct SessionHandle {
    /// Requests to the driver; bounded, so a front end that must not wait uses `try_send`.
    pub commands: Sender<Command>,
    /// What the driver tells; must be drained.
    pub events: Receiver<Told>,
    /// The session's logs.
    pub logs: Arc<LogHub>,
    /// The guest's screen: one for the whole session, live only while a guest is shown.
    pub screen: Arc<Screen>,
    /// Rung when there is something new in `events` or `logs`.
    pub wake: Arc<Waker>,
    /// Begins to watch what another session does; `None` for a session that does that.
    pub watcher: Option<Watcher>,
}

type Bell = Box<dyn Fn() + Send + Sync>;

/// A bell that a front end hangs up and the driver rings.
#[derive(Default)]
pub struct Waker {
    bell: Mutex<Option<Bell>>,
}

impl std::fmt::Debug for Waker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Waker")
    }
}

impl Waker {
    /// Hangs up the bell.
    pub fn set(&self, bell: Bell) {
        *self.bell.lock().unwrap_or_else(PoisonError::into_inner) = Some(bell);
    }

    /// Rings it, if there is one.
    pub fn wake(&self) {
        if let Some(bell) = &*self.bell.lock().unwrap_or_else(PoisonError::into_inner) {
            bell();
        }
    }
}
