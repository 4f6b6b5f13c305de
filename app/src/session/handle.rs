//! What a front end holds of a session: commands go in, events come out, logs and screen are shared.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc;
use vmtools::display::Screen;

use super::command::Command;
use super::event::Told;
use super::logs::LogHub;

/// One running session, seen from its front end.
#[derive(Debug)]
pub struct SessionHandle {
    /// Bounded: a front end that must not wait uses `try_send`.
    pub commands: mpsc::Sender<Command>,
    /// Every event, in order; closed when the driver is gone.
    pub events: mpsc::Receiver<Told>,
    /// The logs.
    pub logs: Arc<LogHub>,
    /// The guest's display.
    pub screen: Arc<Screen>,
    /// Called by the driver after each event and each batch of log lines.
    pub wake: Arc<Waker>,
}

/// A slot for what wakes the front end; empty until there is one.
#[derive(Default)]
pub struct Waker(Mutex<Option<Box<dyn Fn() + Send + Sync>>>);

impl std::fmt::Debug for Waker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Waker")
    }
}

impl Waker {
    /// Sets what wakes the front end. It must be quick and must not call the session.
    pub fn set(&self, wake: Box<dyn Fn() + Send + Sync>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(wake);
    }

    /// Wakes the front end, if there is one.
    pub fn wake(&self) {
        if let Some(wake) = self.0.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
            wake();
        }
    }
}
