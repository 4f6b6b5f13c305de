//! Closing the window: what would be lost is said first, then everything is ejected, and the window goes when the session is over.
//! Where somebody holds what is to be removed it is asked about that first; whoever closes the window once more leaves it.

use std::time::{Duration, Instant};

use egui::{Context, ViewportCommand};

use super::app::App;
use crate::session::Command;
use crate::session::event::Level;

/// After this long a second wish to close the window is obeyed although the session has not ended.
const CLOSE_ANYWAY: Duration = Duration::from_secs(15);

/// Of what the user was warned, who tried to close the window.
#[derive(Clone, Copy, Debug, Default)]
pub struct Warned {
    unsaved: bool,
    writing: bool,
}

impl App {
    /// Closing the window ejects first; the window goes when the session is over.
    pub(super) fn close(&mut self, ctx: &Context) {
        let over = self.model.closed || self.driver_gone;
        let asked = ctx.input(|input| input.viewport().close_requested());
        let unsaved = self.model.cartridge.as_ref().is_some_and(|it| it.dirty && !it.builtin);
        let writing = self.model.deploy.running().map(|run| run.disk.clone());
        // What is over needs another warning when it begins again.
        self.warned.unsaved &= unsaved;
        self.warned.writing &= writing.is_some();
        if asked && !over {
            let text = if unsaved && !std::mem::replace(&mut self.warned.unsaved, true) {
                Some(
                    "Your changes of the settings are not saved. Save them (Ctrl+S), or close again to drop them."
                        .to_owned(),
                )
            } else if let Some(disk) = writing
                && !std::mem::replace(&mut self.warned.writing, true)
            {
                Some(format!(
                    "The image is still being written to {disk}. Close again to stop that: nothing starts from it then."
                ))
            } else {
                None
            };
            if let Some(text) = text {
                ctx.send_viewport_cmd(ViewportCommand::CancelClose);
                return self.toasts.add(Level::Warning, text);
            }
            match self.closing {
                Some(since) if since.elapsed() > CLOSE_ANYWAY => return,
                Some(_) => {}
                // Asked, and answered by closing it once more.
                None if self.leaving => self.leave_held(),
                None => self.end_with(Command::QuitUnlessHeld),
            }
            ctx.send_viewport_cmd(ViewportCommand::CancelClose);
        }
        if self.model.closed || self.closing.is_some() && over {
            ctx.send_viewport_cmd(ViewportCommand::Close);
        }
    }

    /// Closes the window, whatever somebody holds.
    pub(super) fn leave_held(&mut self) {
        self.leaving = false;
        self.dialog = None;
        self.end_with(Command::Quit);
    }

    /// Ends the session, and with it the window.
    pub(super) fn end_with(&mut self, command: Command) {
        self.closing = Some(Instant::now());
        self.send(command);
    }
}
