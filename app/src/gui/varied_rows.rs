//! A list of rows of different heights, of which only those in sight are laid out. A row that was never in sight is taken
//! to be as high as a guess, until it is seen.

use egui::{Layout, Rect, ScrollArea, Ui, UiBuilder, pos2, vec2};

/// Rows this far out of sight are laid out too, points: so that the Tab key finds what comes next.
const MARGIN: f32 = 60.0;

/// The heights of the rows of one list.
#[derive(Debug, Default)]
pub struct VariedRows {
    heights: Vec<f32>,
    width: f32,
    generation: u64,
    laid_out: usize,
    /// How far the keyboard scrolls in the next frame, points.
    pub scroll: f32,
}

impl VariedRows {
    /// How many rows were laid out in the last frame.
    #[must_use]
    pub fn laid_out(&self) -> usize {
        self.laid_out
    }

    /// Draws `count` rows into the rest of `ui`, each by `row`, which gets as much width as there is. `generation` grows
    /// when the rows are others.
    pub fn show(
        &mut self,
        ui: &mut Ui,
        id: &str,
        (count, generation): (usize, u64),
        guess: f32,
        mut row: impl FnMut(&mut Ui, usize),
    ) {
        let width = ui.available_width();
        if generation != self.generation || (width - self.width).abs() > 0.5 || count != self.heights.len() {
            *self = Self { heights: vec![guess; count], width, generation, laid_out: 0, scroll: self.scroll };
        }
        let mut changed = false;
        self.laid_out = 0;
        ScrollArea::vertical().id_salt(id).auto_shrink(false).show_viewport(ui, |ui, viewport| {
            ui.scroll_with_delta(vec2(0.0, -std::mem::take(&mut self.scroll)));
            let corner = ui.max_rect().min;
            let width = ui.available_width();
            let mut y = 0.0;
            for (at, height) in self.heights.iter_mut().enumerate() {
                if y + *height >= viewport.min.y - MARGIN && y <= viewport.max.y + MARGIN {
                    self.laid_out += 1;
                    let place = Rect::from_min_size(pos2(corner.x, corner.y + y), vec2(width, *height));
                    let layout = Layout::top_down(egui::Align::LEFT);
                    let mut ui = ui.new_child(UiBuilder::new().id_salt(at).max_rect(place).layout(layout));
                    row(&mut ui, at);
                    let real = ui.min_rect().height();
                    changed |= (real - *height).abs() > 0.5;
                    *height = real;
                }
                y += *height;
            }
            ui.set_height(y);
        });
        if changed {
            ui.ctx().request_discard("rows have other heights than was thought");
        }
    }
}
