//! SIGINT, SIGTERM and SIGHUP: what ends a command early. The first one is told, so that it cleans up.

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::print;
use crate::session::failure::exit_code;
use crate::session::{Command, SessionHandle, Told};

/// The three of them.
pub(super) struct Signals([Signal; 3]);

impl Signals {
    /// Begins to catch them; says why on standard error where that cannot be.
    pub(super) fn catch() -> Option<Self> {
        let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
        match kinds.map(signal) {
            [Ok(interrupts), Ok(terms), Ok(hangups)] => Some(Self([interrupts, terms, hangups])),
            _ => {
                print::err("cartridge: signals cannot be caught on this system");
                None
            }
        }
    }

    /// Waits for one.
    pub(super) async fn any(&mut self) {
        let [interrupts, terms, hangups] = &mut self.0;
        tokio::select! {
            _ = interrupts.recv() => {}
            _ = terms.recv() => {}
            _ = hangups.recv() => {}
        }
    }
    /// The next event of the session, until it has ended. A signal asks it to end, and `code` says so.
    pub(super) async fn next_event(&mut self, session: &mut SessionHandle, code: &mut u8) -> Option<Told> {
        loop {
            tokio::select! {
                told = session.events.recv() => return told,
                () = self.any() => {
                    *code = exit_code::CANCELLED;
                    let _ = session.commands.send(Command::Quit).await;
                }
            }
        }
    }
}
