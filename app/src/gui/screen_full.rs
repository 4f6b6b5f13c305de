//! What lies over a guest's screen that fills the whole display: a bar that comes when the pointer is at the upper edge,
//! and for a moment the words that say how to get out.

use egui::{Frame, Id, Order, Pos2, Rect, Stroke, Ui, vec2};

use super::overlays;
use super::release_key::ReleaseKey;
use super::screen::TOOLBAR;
use super::theme::Palette;

/// How long the hint is shown, seconds.
const HINT: f64 = 4.0;
/// How near the upper edge the pointer must be for the bar to come, points.
const EDGE: f32 = 2.0;
/// How long the bar stays when the pointer has left it, seconds.
const STAYS: f64 = 0.8;
/// How far below the bar the pointer still counts as on it, points.
const AROUND: f32 = 12.0;
/// The widest bar, points.
const WIDEST: f32 = 860.0;

/// What is remembered between frames.
#[derive(Debug, Default)]
pub struct FullScreen {
    /// Who had the keyboard, and until when the hint is shown, in egui's seconds.
    hint: Option<(Option<ReleaseKey>, f64)>,
    /// Until when the bar is shown.
    bar: Option<f64>,
}

impl FullScreen {
    /// Whether the bar is to be seen at `now`, where the pointer is at `pointer`; `open`: a menu of it is open.
    pub fn bar_shown(&mut self, area: Rect, pointer: Option<Pos2>, open: bool, now: f64) -> bool {
        let shown = self.bar.is_some_and(|until| now < until);
        let near =
            |height: f32| pointer.is_some_and(|pos| pos.y <= area.min.y + height && area.x_range().contains(pos.x));
        if near(EDGE) || shown && (open || near(TOOLBAR + AROUND)) {
            self.bar = Some(now + STAYS);
        }
        self.bar.is_some_and(|until| now < until)
    }

    /// Draws the bar over the guest's screen, if it is to be seen.
    pub fn bar(&mut self, ui: &Ui, area: Rect, add: impl FnOnce(&mut Ui)) {
        let ctx = ui.ctx();
        let (now, pointer) = ctx.input(|input| (input.time, input.pointer.latest_pos()));
        if !self.bar_shown(area, pointer, egui::Popup::is_any_open(ctx), now) {
            return;
        }
        ctx.request_repaint_after(std::time::Duration::from_secs_f64(STAYS));
        let palette = Palette::of(ui);
        let width = area.width().min(WIDEST);
        let at = Pos2::new(area.center().x - width / 2.0, area.min.y);
        let frame =
            Frame::new().fill(palette.window).stroke(Stroke::new(1.0, palette.line)).inner_margin(vec2(8.0, 5.0));
        egui::Area::new(Id::unique("full screen bar")).order(Order::Middle).fixed_pos(at).show(ctx, |ui| {
            frame.show(ui, |ui| {
                ui.set_width(width - 18.0);
                ui.set_height(TOOLBAR - 10.0);
                add(ui);
            });
        });
    }

    /// Says how to leave, for a while after who has the keyboard has changed: it covers the guest.
    pub fn hint(&mut self, ui: &Ui, area: Rect, captured: Option<ReleaseKey>, live: bool) {
        let now = ui.input(|input| input.time);
        let until = match self.hint {
            Some((of, until)) if of == captured => until,
            _ => now + HINT,
        };
        self.hint = Some((captured, until));
        if now >= until || self.bar.is_some_and(|until| now < until) {
            return;
        }
        ui.ctx().request_repaint_after(std::time::Duration::from_secs_f64(until - now));
        let words = match (captured, live) {
            (Some(keys), _) => {
                &*format!("The guest has the keyboard. {} gives it back; then F11 leaves full screen.", keys.label())
            }
            (None, true) => "F11 leaves full screen. A click gives the guest the keyboard. A bar is at the upper edge.",
            (None, false) => "F11 leaves full screen.",
        };
        overlays::chip(ui, area, words);
    }

    /// The window is one among others again.
    pub fn leave(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use egui::pos2;

    use super::*;

    #[test]
    fn the_bar_comes_at_the_edge_and_goes_a_while_after_the_pointer() {
        let area = Rect::from_min_size(pos2(0.0, 0.0), vec2(1000.0, 600.0));
        let mut full = FullScreen::default();
        let at = |y: f32| Some(pos2(500.0, y));
        assert!(!full.bar_shown(area, at(20.0), false, 0.0), "not where it would be");
        assert!(full.bar_shown(area, at(0.0), false, 1.0));
        assert!(full.bar_shown(area, at(45.0), false, 1.5), "stays under the pointer");
        assert!(full.bar_shown(area, at(300.0), false, 2.2));
        assert!(!full.bar_shown(area, at(300.0), false, 2.4));
        assert!(full.bar_shown(area, at(1.0), false, 3.0));
        assert!(full.bar_shown(area, at(300.0), true, 3.7), "a menu of it is open");
        assert!(full.bar_shown(area, at(300.0), false, 4.4));
        assert!(!full.bar_shown(area, None, false, 5.3));
    }
}
