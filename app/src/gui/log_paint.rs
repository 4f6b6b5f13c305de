//! How a log is drawn: visible rows, marks of the search, the selection, the scroll bar.

use egui::{Rect, Sense, Ui, pos2, vec2};

use super::log_search::positions;
use super::log_view::{LogView, Place, ROW};
use super::theme::Palette;
use crate::session::logs::Level;

const FONT: f32 = 12.5;
const LEFT: f32 = 12.0;

impl LogView {
    #[allow(clippy::cast_possible_truncation, reason = "less than a row")]
    pub(super) fn paint(&mut self, ui: &Ui, response: &egui::Response, text: Rect) {
        let palette = Palette::of(ui);
        let dark = ui.visuals().dark_mode;
        let painter = ui.painter().with_clip_rect(text.intersect(ui.clip_rect()));
        let offset = self.top.fract() as f32 * ROW;
        let pointer = response.interact_pointer_pos();
        let (from, to) = self.selected().unzip();
        let mut widest: f32 = 0.0;
        let mut under: Option<Place> = None;
        let searched = self.search_open && !self.search_text.is_empty();
        for (at, row) in self.rows.iter().enumerate() {
            #[allow(clippy::cast_precision_loss, reason = "a screenful")]
            let y = text.min.y + at as f32 * ROW - offset;
            let rect = Rect::from_min_size(pos2(text.min.x, y), vec2(text.width(), ROW));
            let plain = match row.level {
                Level::Plain => palette.text,
                Level::Warning => palette.warning,
                Level::Error => palette.error,
            };
            if row.level == Level::Error {
                painter.rect_filled(Rect::from_min_size(rect.min, vec2(3.0, ROW)), 0.0, palette.error);
            }
            if searched && self.current == Some(row.line) {
                painter.rect_filled(rect, 0.0, palette.hover);
            }
            let marks = if searched { positions(&row.text.text, &self.search_text) } else { Vec::new() };
            let job = row.text.job(FONT, plain, dark, &marks, palette.selection);
            let galley = painter.layout_job(job);
            let origin = pos2(rect.min.x + LEFT - self.shift, y + (ROW - galley.size().y) / 2.0);
            widest = widest.max(galley.size().x);
            let x_of = |byte: usize| {
                let chars = row.text.text.get(..byte).unwrap_or(&row.text.text).chars().count();
                galley.pos_from_cursor(egui::text::CCursor::new(egui::text::CharIndex(chars))).min.x
            };
            if let (Some(from), Some(to)) = (from, to)
                && (from.line..=to.line).contains(&row.line)
            {
                let start = if from.line == row.line { x_of(from.byte) } else { 0.0 };
                let stop = if to.line == row.line { x_of(to.byte) } else { galley.size().x + 6.0 };
                let selected = Rect::from_min_max(pos2(origin.x + start, y), pos2(origin.x + stop, y + ROW));
                painter.rect_filled(selected, 2.0, palette.selection);
            }
            if let Some(pos) = pointer
                && (rect.y_range().contains(pos.y)
                    || (at == 0 && pos.y < rect.min.y)
                    || (at + 1 == self.rows.len() && pos.y > rect.max.y))
            {
                let cursor = galley.cursor_from_pos(vec2(pos.x - origin.x, ROW / 2.0));
                let byte =
                    row.text.text.char_indices().nth(cursor.index.0).map_or(row.text.text.len(), |(byte, _)| byte);
                under = Some(Place { line: row.line, byte });
            }
            painter.galley(origin, galley, plain);
            let label = ui.interact(rect.intersect(text), response.id.with(row.line), Sense::empty());
            label.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Label, true, row.text.text.as_str()));
        }
        self.shift = self.shift.min((widest + LEFT + 8.0 - text.width()).max(0.0));
        if let Some(under) = under {
            self.select(ui, response, under);
        }
        if response.hovered() {
            ui.ctx().set_cursor_icon(egui::CursorIcon::Text);
        }
    }

    fn select(&mut self, ui: &Ui, response: &egui::Response, under: Place) {
        let shift = ui.input(|input| input.modifiers.shift);
        if response.triple_clicked() || response.double_clicked() {
            let end = self.rows.iter().find(|row| row.line == under.line).map_or(0, |row| row.text.text.len());
            self.selection = Some((Place { byte: 0, ..under }, Place { byte: end, ..under }));
        } else if response.drag_started() || (response.clicked() && !shift) {
            self.selection = Some((under, under));
        } else if response.dragged() || (response.clicked() && shift) {
            let start = self.selection.map_or(under, |(start, _)| start);
            self.selection = Some((start, under));
            if response.dragged() {
                self.follow = false;
            }
        }
    }

    #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "points on a screen")]
    pub(super) fn bar(&mut self, ui: &Ui, track: Rect) {
        let total = self.len as f64;
        if total <= self.visible {
            return;
        }
        let palette = Palette::of(ui);
        let response = ui.interact(track, ui.scope_id().with("bar"), Sense::drag());
        response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::ScrollBar, true, "Scroll the log"));
        let room = track.height() - 4.0;
        let length = ((self.visible / total) as f32 * room).max(28.0);
        let span = f64::from(room - length);
        let most = total - self.visible;
        if response.dragged()
            && let Some(pos) = response.interact_pointer_pos()
        {
            let share = (f64::from(pos.y - track.min.y - length / 2.0 - 2.0) / span.max(1.0)).clamp(0.0, 1.0);
            self.top = self.first as f64 + share * most;
            self.follow = share >= 1.0;
        }
        let share = ((self.top - self.first as f64) / most).clamp(0.0, 1.0);
        let y = track.min.y + 2.0 + (share * span) as f32;
        let handle = Rect::from_min_size(pos2(track.center().x - 3.0, y), vec2(6.0, length));
        let colour = if response.hovered() || response.dragged() { palette.dim } else { palette.line };
        ui.painter().rect_filled(handle, 3.0, colour);
    }
}
