//! Signals become events: process 1 gets only those that it has handlers for.

use std::io;
use std::sync::mpsc::SyncSender;

use signal_hook::consts::{SIGCHLD, SIGINT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::iterator::Signals;

use crate::Event;

/// Forwards every signal that we understand from a thread of its own.
pub(crate) fn forward(events: SyncSender<Event>) -> io::Result<()> {
    // The kernel turns Ctrl-Alt-Del into SIGINT for us instead of resetting the machine under a mounted disk.
    let _ = rustix::system::reboot(rustix::system::RebootCommand::CadOff);
    let mut signals = Signals::new([SIGCHLD, SIGINT, SIGTERM, SIGUSR1, SIGUSR2])?;
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        for signal in signals.forever() {
            if events.send(Event::Signal(signal)).is_err() {
                return;
            }
        }
    })?;
    Ok(())
}
