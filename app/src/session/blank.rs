//! A guest that is up and shows nothing but one colour: when that is said, and what to do about it. Pure.
//!
//! A desktop that needs 3D and has none leaves its screen black and says so in a log that nobody looks at. A screen that
//! was switched off because nobody touched it looks the same: so only what began soon after something happened counts.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// How long the screen must stay of one colour: a desktop is slow to start.
const AFTER: Duration = Duration::from_secs(45);
/// By so much slower is an emulated guest.
const EMULATED: u32 = 3;
/// It counts when it began so many times [`AFTER`] after the guest was up or touched, at most: screens are switched off
/// after ten minutes, as a rule.
const SOON: u32 = 4;

/// How long a screen of one colour is looked at until something is said.
#[must_use]
pub(super) fn patience(emulated: bool) -> Duration {
    if emulated { AFTER * EMULATED } else { AFTER }
}

/// What a look at the screen has shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// One colour, for so long.
    Blank(Duration),
    /// Something again, after a [`Seen::Blank`].
    Drawn,
}

/// Watches one guest's screen.
#[derive(Clone, Copy, Debug)]
pub(super) struct BlankWatch {
    patience: Duration,
    /// When the guest was up, or last touched.
    stirred: Instant,
    /// Since when there is one colour, and whether that began soon after something happened.
    blank: Option<(Instant, bool)>,
    said: bool,
}

impl BlankWatch {
    /// A guest is up `now`; its screen must be of one colour for `patience`.
    pub(super) fn new(now: Instant, patience: Duration) -> Self {
        Self { patience, stirred: now, blank: None, said: false }
    }

    /// Somebody has pressed a key or moved the pointer.
    pub(super) fn stir(&mut self, now: Instant) {
        self.stirred = now;
    }

    /// Whether it was said, and not taken back.
    pub(super) fn says(&self) -> bool {
        self.said
    }

    /// The screen is of one colour `now`, or not. Says what is new about that.
    pub(super) fn look(&mut self, now: Instant, uniform: bool) -> Option<Seen> {
        if !uniform {
            self.blank = None;
            return std::mem::take(&mut self.said).then_some(Seen::Drawn);
        }
        let soon = now.saturating_duration_since(self.stirred) <= self.patience.saturating_mul(SOON);
        let (since, counts) = *self.blank.get_or_insert((now, soon));
        let lasted = now.saturating_duration_since(since);
        if !counts || self.said || lasted < self.patience {
            return None;
        }
        self.said = true;
        Some(Seen::Blank(lasted))
    }
}

/// What can be done about a screen of one colour.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BlankCure {
    /// `guest.gpu = "virtio-gl"` gives the guest 3D.
    Give3d,
    /// It has none, and this host cannot give it, for this reason.
    No3d(String),
    /// It has 3D: it is something else.
    Has3d,
}

impl BlankCure {
    /// What it may be, and what to do.
    #[must_use]
    pub fn advice(&self) -> String {
        const NEEDS: &str =
            "Hyprland and other Wayland desktops draw nothing without 3D, which this guest does not have";
        const LOOK: &str = "If a desktop should be there, the guest's log says why it is not: journalctl -b -p err, on \
                            another console (Ctrl+Alt+F2) or on the serial line";
        match self {
            Self::Give3d => format!("{NEEDS}. Set guest.gpu to virtio-gl and boot again. {LOOK}"),
            Self::No3d(why) => format!("{NEEDS}, and this host cannot give it: {why}. {LOOK}"),
            Self::Has3d => LOOK.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks every five seconds from `from` to `to`, seconds; what was said, and when.
    fn looks(watch: &mut BlankWatch, began: Instant, (from, to): (u64, u64), uniform: bool) -> Vec<(u64, Seen)> {
        let at = |second: &u64| began + Duration::from_secs(*second);
        (from..to).step_by(5).filter_map(|it| watch.look(at(&it), uniform).map(|seen| (it, seen))).collect()
    }

    fn watch() -> (BlankWatch, Instant) {
        let now = Instant::now();
        (BlankWatch::new(now, patience(false)), now)
    }

    #[test]
    fn it_is_said_once_and_taken_back_when_something_is_drawn() {
        let (mut watch, began) = watch();
        assert_eq!(looks(&mut watch, began, (5, 20), false), []);
        let said = looks(&mut watch, began, (20, 600), true);
        assert_eq!(said, [(65, Seen::Blank(Duration::from_secs(45)))]);
        assert_eq!(looks(&mut watch, began, (600, 620), false), [(600, Seen::Drawn)]);
    }

    #[test]
    fn a_screen_that_was_switched_off_because_nobody_touched_it_is_none() {
        let (mut watch, began) = watch();
        assert_eq!(looks(&mut watch, began, (5, 700), false), []);
        assert_eq!(looks(&mut watch, began, (700, 2000), true), []);
        // Touched, it shows something; then a desktop is started that draws nothing.
        watch.stir(began + Duration::from_secs(2000));
        assert_eq!(looks(&mut watch, began, (2000, 2010), false), []);
        assert_eq!(looks(&mut watch, began, (2010, 2100), true).len(), 1);
    }

    #[test]
    fn a_short_one_is_none_and_an_emulated_guest_has_more_time() {
        let (mut watch, began) = watch();
        for turn in 0..8 {
            assert_eq!(looks(&mut watch, began, (turn * 60, turn * 60 + 40), true), []);
            assert_eq!(looks(&mut watch, began, (turn * 60 + 40, turn * 60 + 60), false), []);
        }
        assert!(patience(true) > patience(false));
    }

    #[test]
    fn only_what_helps_is_proposed() {
        assert!(BlankCure::Give3d.advice().contains("Set guest.gpu to virtio-gl"));
        let none = BlankCure::No3d("there is no card".into()).advice();
        assert!(none.contains("there is no card") && !none.contains("Set guest.gpu"), "{none}");
        assert!(!BlankCure::Has3d.advice().contains("3D"));
    }
}
