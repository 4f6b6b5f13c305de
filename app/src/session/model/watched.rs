//! What a front end knows of another session: that it holds the cartridge, or all of it, where it is watched.

use super::Model;
use crate::session::event::Event;
use crate::session::onlooker::WatchedView;

impl Model {
    pub(super) fn fold_watch(&mut self, event: &Event) {
        match event {
            Event::InUse { holder } => self.in_use = Some(holder.clone()),
            Event::Joined { holder, model, .. } => {
                *self = Self::clone(model);
                self.watched = Some(WatchedView { holder: holder.clone(), stopped: false, ended: None });
            }
            Event::HolderStopped { stopped } => {
                if let Some(watched) = &mut self.watched {
                    watched.stopped = *stopped;
                }
            }
            Event::WatchEnded { end } => {
                if let Some(watched) = &mut self.watched {
                    watched.ended = Some(end.clone());
                }
                // It may go on without us, and is not seen.
                if let Some(guest) = &mut self.guest {
                    guest.ended = true;
                }
            }
            _ => {}
        }
    }
}
