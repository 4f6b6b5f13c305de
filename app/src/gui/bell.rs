//! The guest's bell, seen: a frame around its screen for a moment, and a hint to the desktop where another window is in front.

use std::time::Duration;

use egui::{Ui, UserAttentionType, ViewportCommand};

/// How long the frame is there, seconds.
const FLASH: f64 = 0.15;
/// A guest that rings on and on is shown so often, seconds from one to the next.
const PAUSE: f64 = 1.0;

/// What was heard of the bell.
#[derive(Debug, Default)]
pub struct Bell {
    heard: u64,
    /// When the last one that is shown began, egui's seconds.
    began: Option<f64>,
}

impl Bell {
    /// Whether the frame is to be drawn now, where the guest has rung `bells` times so far.
    pub fn rings(&mut self, ui: &Ui, bells: u64) -> bool {
        let (now, focused) = ui.input(|input| (input.time, input.focused));
        let shown = self.hear(bells, now);
        if shown.begins && !focused {
            ui.ctx().send_viewport_cmd(ViewportCommand::RequestUserAttention(UserAttentionType::Informational));
        }
        if let Some(rest) = shown.rest {
            ui.ctx().request_repaint_after(Duration::from_secs_f64(rest));
        }
        shown.rest.is_some()
    }

    fn hear(&mut self, bells: u64, now: f64) -> Shown {
        let new = bells > self.heard;
        self.heard = bells;
        let begins = new && self.began.is_none_or(|began| now - began >= PAUSE);
        if begins {
            self.began = Some(now);
        }
        let rest = self.began.map(|began| began + FLASH - now).filter(|rest| *rest > 0.0);
        Shown { begins, rest }
    }
}

struct Shown {
    begins: bool,
    /// For how long the frame stays, seconds.
    rest: Option<f64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bell_is_shown_for_a_moment_and_a_storm_of_them_once_a_second() {
        let mut bell = Bell::default();
        assert!(bell.hear(0, 5.0).rest.is_none());
        let first = bell.hear(1, 6.0);
        assert!(first.begins && first.rest.is_some());
        let then = bell.hear(1, 6.1);
        assert!(!then.begins && then.rest.is_some());
        assert!(bell.hear(1, 6.2).rest.is_none());
        let flashes = (0..300_u64).filter(|step| bell.hear(2 + step, 7.5 + *step as f64 / 100.0).begins).count();
        assert_eq!(flashes, 3);
        // A screen that begins anew counts from nothing.
        assert!(bell.hear(0, 20.0).rest.is_none() && bell.hear(1, 21.0).begins);
    }
}
