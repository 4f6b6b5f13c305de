//! Whether anybody can see the guest's screen. Some desktops tell of a window that is out of sight; a Wayland compositor only lets it
//! paint no more. There a guest that stands still is painted now and then all the same, and one that was not painted is not seen.

use std::time::{Duration, Instant};

use egui::{Context, ViewportId};

use super::app::App;

/// How often what stands still is painted, where only that tells whether it is seen.
const NOW_AND_THEN: Duration = Duration::from_secs(10);
/// A window that is seen has painted long before, also on a busy machine.
const OVERDUE: Duration = Duration::from_secs(2);

/// egui comes a frame too early.
const SLACK: Duration = Duration::from_millis(200);

/// When a live screen was painted last.
#[derive(Clone, Copy, Debug, Default)]
pub struct Painted(Option<Instant>);

impl Painted {
    /// How long it may go on without being painted; `None` where that is all the same.
    fn left(self, now: Instant) -> Option<Duration> {
        self.0.map(|at| (NOW_AND_THEN + OVERDUE).saturating_sub(now.saturating_duration_since(at)))
    }
}

impl App {
    /// Whether nobody can see it, as far as that is known.
    pub(super) fn unseen(&mut self, ctx: &Context) -> bool {
        let left = self.painted.left(Instant::now());
        // The main window is who notices, also of the other one; nothing else may wake it then.
        if let Some(left) = left.filter(|left| !left.is_zero()) {
            ctx.request_repaint_after_for(left + SLACK, ViewportId::ROOT);
        }
        left.is_some_and(|left| left.is_zero()) || self.keys.place.hidden(ctx)
    }

    /// The window that shows it is being painted.
    pub(super) fn paints_screen(&mut self, ctx: &Context) {
        if !self.keys.place.hidden(ctx) {
            self.session.screen.set_visible(true);
        }
        let telling = self.session.screen.live() && self.keys.only_paint_tells();
        let first = self.painted.0.is_none();
        self.painted = Painted(telling.then(Instant::now));
        if telling {
            ctx.request_repaint_after(NOW_AND_THEN);
            if first {
                ctx.request_repaint_after_for(NOW_AND_THEN, ViewportId::ROOT);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_painted_although_it_was_time_is_not_seen() {
        let began = Instant::now();
        let painted = Painted(Some(began));
        assert_eq!(painted.left(began + NOW_AND_THEN), Some(OVERDUE));
        assert_eq!(painted.left(began + NOW_AND_THEN * 2), Some(Duration::ZERO));
        assert_eq!(Painted(None).left(began + NOW_AND_THEN * 10), None, "nothing was live");
    }
}
