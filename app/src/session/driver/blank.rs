//! Looks now and then whether the screen of a guest that is up shows anything but one colour, and says it if not.

use std::path::Path;
use std::time::{Duration, Instant};

use isoprep::Cancel;

use super::Driver;
use crate::session::blank::{BlankCure, BlankWatch, Seen, patience};
use crate::session::event::{Event, Level};
use crate::session::jobs;
use crate::session::state::{Goal, Phase};

/// How often the screen is looked at.
const BEAT: Duration = Duration::from_secs(5);

/// What is known of the screen of the guest that is up.
#[derive(Default)]
pub(super) struct Blank {
    watch: Option<BlankWatch>,
    /// When it is looked at next.
    pub(super) due: Option<tokio::time::Instant>,
    /// The last look, and the screen's generation then: a picture that has not changed is not looked at again.
    last: Option<(u64, bool)>,
    /// Why there is no picture, as far as it was told.
    told: Option<&'static str>,
    /// Ends the look at this host that a finding waits for.
    cancel: Cancel,
}

impl Blank {
    /// Somebody works with the guest.
    pub(super) fn stir(&mut self) {
        if let Some(watch) = &mut self.watch {
            watch.stir(Instant::now());
        }
    }

    /// Whether the screen is still as it was when that was said: the answer of this host may come later.
    pub(super) fn says(&self) -> bool {
        self.watch.is_some_and(|watch| watch.says())
    }
}

impl Driver {
    /// The session's phase is another one: only the screen of a guest that is up is looked at.
    pub(super) fn watch_screen(&mut self) {
        std::mem::take(&mut self.blank).cancel.cancel();
        // What somebody else's server shows is nothing that our machine could change.
        if self.state.phase == Phase::Running && self.state.goal != Some(Goal::Attach) {
            let accelerator = self.prepared.as_ref().and_then(|it| it.accelerator.as_ref());
            let emulated = accelerator.is_none_or(|it| it.accelerator != vmtools::Accelerator::Kvm);
            let patience = self.blank_after.unwrap_or_else(|| patience(emulated));
            self.blank.watch = Some(BlankWatch::new(Instant::now(), patience));
            self.blank.due = Some(tokio::time::Instant::now() + BEAT.min(patience));
        }
    }

    /// It is time to look.
    pub(super) async fn look_at_screen(&mut self) {
        let Some(mut watch) = self.blank.watch else { return self.blank.due = None };
        self.blank.due = Some(tokio::time::Instant::now() + BEAT);
        if !self.screen.visible() {
            // The picture of now is looked at the next time: nobody waits for it.
            self.screen.wish_fresh();
        }
        let trouble = self.screen.trouble();
        if self.blank.told != trouble {
            self.blank.told = trouble;
            if let Some(why) = trouble {
                self.notice(Level::Warning, why.to_owned()).await;
            }
        }
        let generation = self.screen.generation();
        let known = self.blank.last.filter(|it| it.0 == generation).map(|it| it.1);
        // A picture that is not live says nothing about the guest.
        let Some(uniform) = known.or_else(|| self.screen.uniform()).filter(|_| self.screen.live()) else { return };
        self.blank.last = Some((generation, uniform));
        let seen = watch.look(Instant::now(), uniform);
        self.blank.watch = Some(watch);
        match seen {
            Some(Seen::Blank(lasted)) => self.say_blank(lasted),
            Some(Seen::Drawn) => self.tell(Event::ScreenDrawn).await,
            None => {}
        }
    }

    fn say_blank(&mut self, lasted: Duration) {
        let gpu = self.prepared.as_ref().and_then(|it| it.machine.as_ref()).map(|it| it.machine.gpu);
        let cancel = self.blank.cancel.clone();
        let (side, guest, seconds) = (self.guest_side.0.clone(), self.boots, lasted.as_secs());
        tokio::task::spawn_blocking(move || {
            let cure = match gpu {
                Some(vmtools::Gpu::VirtioGl) => BlankCure::Has3d,
                _ => jobs::find_qemu().map_or_else(
                    || BlankCure::No3d("QEMU is not in PATH any more".to_owned()),
                    |qemu| match vmtools::find_render_node(Path::new("/"), &qemu, &cancel) {
                        Ok(_) => BlankCure::Give3d,
                        Err(error) => BlankCure::No3d(error.to_string()),
                    },
                ),
            };
            // The session may have ended meanwhile.
            let _ = side.blocking_send((guest, Event::ScreenBlank { seconds, cure }));
        });
    }
}
