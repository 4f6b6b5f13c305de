//! The guest's sound in the window: played while a guest that has sound runs, and nobody has turned it off. Everything that may
//! take time is done on the player's own thread.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use egui::{Context, Ui};
use lucide_icons::Icon;
use vmtools::display::Screen;
use vmtools::has_audio;
use vmtools::sound::{PlayerHandle, play};

use super::controls;
use super::wish::{Wish, Wishes};
use crate::session::Model;

/// How soon a sound server that was not there is looked for again, while the window is painted.
const AGAIN: Duration = Duration::from_secs(10);

/// What the bar shows of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// The guest has none.
    Nothing,
    /// It is played.
    On,
    /// The user has turned it off.
    Off,
}

impl Heard {
    /// Of the guest that runs, whose devices are known; of a server that is attached, if it passes sound on.
    #[must_use]
    pub fn of(model: &Model, screen: &Screen, muted: bool) -> Self {
        let has = model.guest_runs() && model.guest.as_ref().is_some_and(|guest| has_audio(&guest.command));
        let offered = model.attached().is_some() && screen.sound().offered();
        match (has || offered, muted) {
            (false, _) => Self::Nothing,
            (true, false) => Self::On,
            (true, true) => Self::Off,
        }
    }
}

/// Plays it.
#[derive(Debug, Default)]
pub struct GuestSound {
    playing: Option<Playing>,
}

#[derive(Debug)]
struct Playing {
    begun: Instant,
    /// `None` where there could be none.
    _player: Option<PlayerHandle>,
    /// Why nothing is heard.
    silent: Arc<OnceLock<String>>,
}

impl GuestSound {
    /// Begins or ends to play, and says why nothing is heard although it should be.
    pub fn follow(&mut self, ctx: &Context, screen: &Arc<Screen>, heard: Heard) -> Option<&str> {
        let wanted = heard == Heard::On;
        if screen.sound().wanted() != wanted {
            screen.want_sound(wanted);
        }
        // A sound server that was started anew is found again.
        let stale = |it: &Playing| it.silent.get().is_some() && it.begun.elapsed() >= AGAIN;
        if !wanted || self.playing.as_ref().is_some_and(stale) {
            self.playing = None;
        }
        let playing = wanted.then(|| self.playing.get_or_insert_with(|| begin(ctx, screen)))?;
        playing.silent.get().map(String::as_str)
    }
}

fn begin(ctx: &Context, screen: &Arc<Screen>) -> Playing {
    let (silent, begun) = (Arc::new(OnceLock::new()), Instant::now());
    let (why, ctx) = (Arc::clone(&silent), ctx.clone());
    let player = play(Arc::clone(screen), None, "Cartridge", move |error| {
        let _ = why.set(error.to_string());
        ctx.request_repaint();
    });
    match player {
        Ok(player) => Playing { begun, _player: Some(player), silent },
        Err(error) => {
            let _ = silent.set(error.to_string());
            Playing { begun, _player: None, silent }
        }
    }
}

/// The button in the screen's bar, where the guest has sound.
pub fn button(ui: &mut Ui, heard: Heard, silent: Option<&str>, wishes: &mut Wishes) {
    let (glyph, hint) = match (heard, silent) {
        (Heard::Nothing, _) => return,
        (Heard::Off, _) => (Icon::VolumeX, "The guest is not heard. A click plays its sound."),
        (Heard::On, None) => (Icon::Volume2, "The guest is heard. A click turns its sound off."),
        (Heard::On, Some(why)) => (Icon::VolumeOff, why),
    };
    let on = heard == Heard::On && silent.is_none();
    if controls::toggle_icon(ui, true, on, glyph, "Sound", hint).clicked() {
        wishes.add(Wish::Mute(heard == Heard::On));
    }
}
