//! Choosing the part of the guest's screen that text is read from: drag over it, or click for all of it. While that lasts
//! nothing goes to the guest.

use egui::{Color32, CursorIcon, Pos2, Rect, Response, Stroke, StrokeKind, Ui};
use vmtools::display::Rect as Pixels;

use super::scaling::Placement;
use super::theme::Palette;

/// A drag that is shorter is a click, points.
const CLICK: f32 = 6.0;
/// What is said meanwhile.
pub(super) const WORDS: &str = "Drag over the text to copy, or click for all of the screen. Esc cancels";

/// A choice under way.
#[derive(Debug, Default)]
pub(super) struct Selection {
    from: Option<Pos2>,
    began: bool,
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Chosen {
    /// Nothing is wanted any more.
    Nothing,
    /// The whole screen.
    Whole,
    /// A part of it, in the guest's pixels.
    Part(Pixels),
}

impl Selection {
    /// One frame: draws the choice over the picture, and says how it has ended.
    pub(super) fn step(&mut self, ui: &Ui, response: &Response, placed: &Placement) -> Option<Chosen> {
        if !self.began {
            self.began = true;
            response.request_focus();
        } else if !response.has_focus() {
            // Esc and a click elsewhere take the focus away.
            return Some(Chosen::Nothing);
        }
        if ui.input(|input| input.key_pressed(egui::Key::Enter)) {
            return Some(Chosen::Whole);
        }
        if response.hovered() {
            ui.ctx().set_cursor_icon(CursorIcon::Crosshair);
        }
        let (at, down, up) = ui.input(|input| {
            let pointer = &input.pointer;
            (pointer.interact_pos(), pointer.primary_pressed(), pointer.primary_released())
        });
        let at = at.map(|at| placed.rect.clamp(at));
        if down && response.contains_pointer() {
            self.from = at;
        }
        let part = self.from.zip(at).map(|(from, to)| Rect::from_two_pos(from, to));
        draw(ui, placed.rect, part);
        let part = part.filter(|_| up)?;
        if part.width().max(part.height()) < CLICK {
            return Some(Chosen::Whole);
        }
        Some(Chosen::Part(pixels(placed, part)))
    }
}

/// The guest's pixels that `part` touches.
fn pixels(placed: &Placement, part: Rect) -> Pixels {
    let ((left, top), (right, bottom)) = (placed.pixel(part.min), placed.pixel(part.max));
    Pixels {
        x: usize::from(left),
        y: usize::from(top),
        width: usize::from(right - left.min(right)) + 1,
        height: usize::from(bottom - top.min(bottom)) + 1,
    }
}

/// What is not chosen is dimmed.
fn draw(ui: &Ui, picture: Rect, part: Option<Rect>) {
    let (painter, dim) = (ui.painter(), Color32::from_black_alpha(110));
    let Some(part) = part else {
        painter.rect_filled(picture, 0.0, dim);
        return;
    };
    for (min, max) in [
        (picture.min, Pos2::new(picture.max.x, part.min.y)),
        (Pos2::new(picture.min.x, part.max.y), picture.max),
        (Pos2::new(picture.min.x, part.min.y), Pos2::new(part.min.x, part.max.y)),
        (Pos2::new(part.max.x, part.min.y), Pos2::new(picture.max.x, part.max.y)),
    ] {
        painter.rect_filled(Rect::from_min_max(min, max), 0.0, dim);
    }
    painter.rect_stroke(part, 0.0, Stroke::new(1.5, Palette::of(ui).accent), StrokeKind::Outside);
}
