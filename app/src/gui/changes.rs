//! The panel of what the last build changed: packages, boot entries, files. Only the rows in sight are laid out.

use egui::{Align2, Color32, FontId, Rect, ScrollArea, Sense, Ui, pos2, vec2};
use isoprep::contents::Difference;
use lucide_icons::Icon;

use super::changes_rows::{self, Mark, Row};
use super::changes_words;
use super::controls;
use super::list_keys;
use super::theme::{Palette, semibold};
use super::wish::{Wish, Wishes};
use crate::session::Model;

/// Height of a row, points.
pub const ROW: f32 = 22.0;

/// Where what happened stands beside names, as a share of the width.
const COLUMN: f32 = 0.56;

/// What the panel remembers between frames.
#[derive(Debug, Default)]
pub struct ChangesPanel {
    filter: String,
    /// The filter that `rows` were made for; `None` if they are to be made.
    made_for: Option<String>,
    rows: Vec<Row>,
    count: u64,
    /// The row that the keyboard is at.
    cursor: usize,
    /// The filter wants the keyboard.
    pub focus_filter: bool,
    laid_out: usize,
}

impl ChangesPanel {
    /// Two other images were compared, or none are any more.
    pub fn refresh(&mut self, difference: Option<&Difference>) {
        self.made_for = None;
        self.count = difference.map_or(0, |it| {
            let packages = &it.packages;
            let files: u64 = [&it.root, &it.iso, &it.efi]
                .iter()
                .map(|tree| tree.changed.total + tree.added.total + tree.removed.total)
                .sum();
            packages.changed.total + packages.added.total + packages.removed.total + files
        });
    }

    /// How many packages and files changed.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// How many rows there are, and how many of them were laid out in the last frame.
    #[must_use]
    pub fn rows(&self) -> (usize, usize) {
        (self.rows.len(), self.laid_out)
    }

    /// The tools beside the tabs, right to left.
    pub fn tools(&mut self, ui: &mut Ui, wishes: &mut Wishes) {
        if controls::icon_button(ui, self.count > 0, Icon::Copy, "Copy changes", "").clicked() {
            wishes.add(Wish::CopyChanges);
        }
        let hint = "Shows only packages, files and boot entries whose name holds this.";
        if let Some(field) = controls::filter_field(ui, &mut self.filter, "filter of changes", hint)
            && std::mem::take(&mut self.focus_filter)
        {
            field.request_focus();
        }
    }

    /// Draws the changes, or why there are none.
    pub fn show(&mut self, ui: &mut Ui, model: &Model) {
        let palette = Palette::of(ui);
        let area = ui.available_rect_before_wrap();
        ui.painter().rect_filled(area, 0.0, palette.sunken);
        let Some(difference) = model.comparison.as_ref().and_then(|it| it.difference.as_deref()) else {
            self.rows.clear();
            return none(ui, model);
        };
        if self.made_for.as_ref() != Some(&self.filter) {
            self.rows = changes_rows::rows(difference, &self.filter);
            self.made_for = Some(self.filter.clone());
        }
        if self.rows.is_empty() {
            return if self.filter.trim().is_empty() {
                let words = "The new image holds the very same packages, files and boot entries.";
                controls::empty(ui, Icon::Equal, palette.success, "Nothing changed", words);
            } else {
                controls::empty(
                    ui,
                    Icon::ListFilter,
                    palette.dim,
                    "Nothing fits",
                    "No name of a change holds this text.",
                );
            };
        }
        let list = list_keys::stop(ui, area, "list", egui::Role::List, "Changes");
        let count = self.rows.len();
        self.cursor = self.cursor.min(count - 1);
        let to = list_keys::moved(ui, &list, self.cursor, count, ROW);
        self.cursor = to.unwrap_or(self.cursor);
        let marked = list.has_focus().then_some(self.cursor);
        ui.spacing_mut().item_spacing.y = 0.0;
        ui.add_space(4.0);
        ScrollArea::vertical().id_salt("changes").auto_shrink(false).show_rows(ui, ROW, count, |ui, seen| {
            self.laid_out = seen.len();
            let (corner, width) = (ui.max_rect().min, ui.available_width());
            for (at, row) in self.rows[seen.clone()].iter().enumerate() {
                #[allow(clippy::cast_precision_loss, reason = "a screenful")]
                let y = corner.y + at as f32 * ROW;
                let rect = Rect::from_min_size(pos2(corner.x, y), vec2(width, ROW));
                if marked == Some(seen.start + at) {
                    ui.painter().rect_filled(rect.shrink2(vec2(6.0, 0.0)), 4.0, palette.selection);
                }
                draw(ui, rect, difference, *row);
            }
            if let Some(to) = to {
                #[allow(clippy::cast_precision_loss, reason = "less than 2^24 rows")]
                let y = corner.y + (to as f32 - seen.start as f32) * ROW;
                ui.scroll_to_rect(Rect::from_min_size(pos2(corner.x, y), vec2(1.0, ROW)), None);
            }
        });
    }
}

fn draw(ui: &Ui, rect: Rect, difference: &Difference, row: Row) {
    let palette = Palette::of(ui);
    let line = changes_words::line(difference, row);
    let y = rect.center().y;
    let painter = ui.painter();
    let response = ui.interact(rect, ui.scope_id().with(("change", format!("{row:?}"))), Sense::hover());
    let name = format!("{}{} {}", sign(changes_rows::mark(row)), line.name.trim_start(), line.detail);
    response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Label, true, name.trim()));
    let left = rect.left() + 14.0;
    if matches!(row, Row::Title(_)) {
        let title = FontId::new(12.0, semibold());
        let words = painter.text(pos2(left, y + 2.0), Align2::LEFT_CENTER, line.name, title, palette.accent);
        let small = FontId::proportional(12.0);
        painter.text(pos2(words.right() + 10.0, y + 2.0), Align2::LEFT_CENTER, line.detail, small, palette.dim);
        return;
    }
    let mark = changes_rows::mark(row);
    let mono = FontId::monospace(12.5);
    painter.text(pos2(left, y), Align2::LEFT_CENTER, sign(mark), mono.clone(), colour(mark, palette));
    // Beside the names, not at the far end: the eye would lose the row.
    let from = rect.left() + rect.width() * COLUMN;
    let tone = if line.odd { palette.warning } else { palette.dim };
    let cut = |right: f32| painter.with_clip_rect(painter.clip_rect().intersect(Rect::everything_left_of(right)));
    let small = FontId::proportional(12.0);
    cut(rect.right() - 18.0).text(pos2(from, y), Align2::LEFT_CENTER, line.detail, small, tone);
    let text = if matches!(row, Row::More(..)) { palette.dim } else { palette.text };
    cut(from - 10.0).text(pos2(left + 18.0, y), Align2::LEFT_CENTER, line.name, mono, text);
    if response.hovered() {
        response.on_hover_text(name.trim());
    }
}

fn sign(mark: Mark) -> &'static str {
    match mark {
        Mark::Added => "+",
        Mark::Removed => "−",
        Mark::Changed => "~",
        Mark::Unknown => "?",
        Mark::Fact => "",
    }
}

fn colour(mark: Mark, palette: &Palette) -> Color32 {
    match mark {
        Mark::Added => palette.success,
        Mark::Removed => palette.error,
        Mark::Changed => palette.warning,
        Mark::Unknown | Mark::Fact => palette.dim,
    }
}

fn none(ui: &mut Ui, model: &Model) {
    let palette = Palette::of(ui);
    if model.comparing {
        let words = "What is in the new image is written down, and compared with the one before it.";
        return controls::empty(ui, Icon::Hourglass, palette.accent, "Comparing…", words);
    }
    if let Some(error) = &model.comparison_error {
        return controls::empty(ui, Icon::TriangleAlert, palette.warning, "It could not be compared", error);
    }
    match &model.comparison {
        Some(comparison) => {
            let title = "Nothing to compare with";
            controls::empty(ui, Icon::FileDiff, palette.dim, title, &comparison.summary);
        }
        None => {
            let words = "After a build, what changed since the image before it is listed here.";
            controls::empty(ui, Icon::FileDiff, palette.dim, "No build to compare yet", words);
        }
    }
}
