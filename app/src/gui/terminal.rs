//! The serial line as a terminal: the cells of the emulator, its cursor, what was scrolled away, and the keyboard.

use std::ops::Range;

use egui::text::LayoutJob;
use egui::{Event, EventFilter, FontId, Rect, Sense, Ui, pos2, vec2};

use super::ansi::Look;
use super::terminal_keys;
use super::theme::Palette;
use super::wish::Wishes;
use crate::session::Command;
use crate::session::logs::Terminal;

const FONT: f32 = 12.5;
const ROW: f32 = 17.0;

/// A part of a row that looks the same.
#[derive(Clone, Debug)]
struct Run {
    column: u16,
    text: String,
    look: Look,
}

#[derive(Debug, Default)]
struct Shown {
    version: u64,
    back: usize,
    rows: usize,
    lines: Vec<Vec<Run>>,
    /// Row on the view and column of the cursor.
    cursor: Option<(usize, u16)>,
    application_cursor: bool,
    bracketed_paste: bool,
}

/// What the view remembers between frames.
#[derive(Debug, Default)]
pub struct TerminalView {
    /// Rows that the view is scrolled up.
    back: usize,
    wheel: f32,
    scrollback: usize,
    shown: Option<Shown>,
    focused: bool,
}

impl TerminalView {
    /// Whether the terminal has the keyboard.
    #[must_use]
    pub fn focused(&self) -> bool {
        self.focused
    }

    /// Shows the newest row again.
    pub fn show_end(&mut self) {
        self.back = 0;
    }

    /// Whether the newest row is shown.
    #[must_use]
    pub fn at_end(&self) -> bool {
        self.back == 0
    }

    /// What is shown, as text.
    #[must_use]
    pub fn visible_text(&self) -> String {
        let Some(shown) = &self.shown else { return String::new() };
        let mut out = String::new();
        for line in &shown.lines {
            let mut columns = 0;
            for run in line {
                out.extend(std::iter::repeat_n(' ', usize::from(run.column).saturating_sub(columns)));
                out.push_str(&run.text);
                columns = usize::from(run.column) + run.text.chars().count();
            }
            out.truncate(out.trim_end_matches(' ').len());
            out.push('\n');
        }
        out
    }

    /// Draws the terminal into the rest of `ui`. `alive`: somebody listens to what is typed.
    pub fn show(&mut self, ui: &mut Ui, terminal: &Terminal, alive: bool, wishes: &mut Wishes) {
        let palette = Palette::of(ui);
        let area = ui.available_rect_before_wrap();
        let response = ui.interact(area, ui.scope_id().with("terminal"), Sense::click());
        response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Terminal, alive, "Serial terminal"));
        ui.painter().rect_filled(area, 0.0, palette.sunken);
        if response.clicked() {
            response.request_focus();
        }
        self.focused = response.has_focus();
        let text = area.shrink2(vec2(12.0, 5.0));
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a screenful")]
        let rows = (text.height() / ROW).floor().max(1.0) as usize;
        self.scroll(ui, &response);
        if !self.read(terminal, rows) {
            ui.ctx().request_repaint_after(std::time::Duration::from_millis(8));
        }
        self.paint(ui, text);
        if self.focused {
            ui.painter().rect_stroke(
                area.shrink(1.0),
                0.0,
                egui::Stroke::new(1.0, palette.accent),
                egui::StrokeKind::Inside,
            );
            self.type_keys(ui, &response, alive, wishes);
        }
        if response.hovered() {
            ui.ctx().set_cursor_icon(egui::CursorIcon::Text);
        }
    }

    fn scroll(&mut self, ui: &Ui, response: &egui::Response) {
        if !response.contains_pointer() {
            return;
        }
        self.wheel += ui.input(|input| input.smooth_scroll_delta().y) / ROW;
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few rows")]
        let steps = self.wheel.abs() as usize;
        if steps > 0 {
            self.back = if self.wheel > 0.0 { self.back + steps } else { self.back.saturating_sub(steps) };
            self.wheel = self.wheel.fract();
        }
    }

    /// Reads what this frame shows. Does not wait for a writer; false if the last frame's rows are shown again.
    fn read(&mut self, terminal: &Terminal, rows: usize) -> bool {
        let version = terminal.version();
        if self.shown.as_ref().is_some_and(|s| (s.version, s.back, s.rows) == (version, self.back, rows)) {
            return true;
        }
        let Some((used, scrollback, cursor, mut shown)) = terminal.try_read(0, |screen, _| {
            let (height, width) = screen.size();
            let (row, column) = screen.cursor_position();
            let blank = |row| (0..width.get()).all(|c| screen.cell(row, c).is_none_or(|cell| !cell.has_contents()));
            let used = (0..height.get()).rev().find(|row| !blank(*row));
            let used = used.map_or(0, |last| last + 1).max(row + 1);
            let cursor = (!screen.hide_cursor()).then_some((row, column));
            let shown = Shown {
                application_cursor: screen.application_cursor(),
                bracketed_paste: screen.bracketed_paste(),
                ..Shown::default()
            };
            (usize::from(used), screen.scrollback_len(), cursor, shown)
        }) else {
            return false;
        };
        if self.back > 0 {
            // What is being read stays where it is while new rows come.
            self.back += scrollback.saturating_sub(self.scrollback);
        }
        self.scrollback = scrollback;
        let total = scrollback + used;
        self.back = self.back.min(total.saturating_sub(rows));
        let end = total - self.back;
        let start = end.saturating_sub(rows);
        let mut next = start;
        while next < end {
            let page = next;
            let Some(lines) = terminal.try_read(scrollback.saturating_sub(page), |screen, reached| {
                // Row 0 of the page is this row of everything.
                let first = screen.scrollback_len().saturating_sub(reached);
                let height = usize::from(screen.size().0.get());
                let from = page.saturating_sub(first);
                (from..height.min(from + end - page)).map(|row| runs(screen, row)).collect::<Vec<_>>()
            }) else {
                return false;
            };
            if lines.is_empty() {
                break;
            }
            next += lines.len();
            shown.lines.extend(lines);
        }
        shown.cursor = cursor.and_then(|(row, column)| {
            (scrollback + usize::from(row)).checked_sub(start).filter(|row| *row < rows).map(|row| (row, column))
        });
        (shown.version, shown.back, shown.rows) = (version, self.back, rows);
        self.shown = Some(shown);
        true
    }

    fn paint(&self, ui: &Ui, text: Rect) {
        let Some(shown) = &self.shown else { return };
        let palette = Palette::of(ui);
        let dark = ui.visuals().dark_mode;
        let font = FontId::monospace(FONT);
        let width = ui.fonts_mut(|fonts| fonts.glyph_width(&font, 'M'));
        let painter = ui.painter().with_clip_rect(text.expand(6.0).intersect(ui.clip_rect()));
        let at = |row: usize, column: u16| {
            #[allow(clippy::cast_precision_loss, reason = "a screenful")]
            let y = text.min.y + row as f32 * ROW;
            pos2(text.min.x + f32::from(column) * width, y)
        };
        for (row, line) in shown.lines.iter().enumerate() {
            let mut spoken = String::new();
            for run in line {
                let format = run.look.format(FONT, palette.text, dark);
                let corner = at(row, run.column);
                if format.background != egui::Color32::TRANSPARENT {
                    #[allow(clippy::cast_precision_loss, reason = "a row")]
                    let size = vec2(run.text.chars().count() as f32 * width, ROW);
                    painter.rect_filled(Rect::from_min_size(corner, size), 0.0, format.background);
                }
                let plain = egui::text::TextFormat { background: egui::Color32::TRANSPARENT, ..format };
                let colour = plain.color;
                let mut job = LayoutJob::single_section(run.text.clone(), plain);
                job.wrap.max_width = f32::INFINITY;
                let galley = painter.layout_job(job);
                painter.galley(corner + vec2(0.0, (ROW - galley.size().y) / 2.0), galley, colour);
                spoken.push_str(&run.text);
            }
            if !spoken.trim().is_empty() {
                let rect = Rect::from_min_size(at(row, 0), vec2(text.width(), ROW));
                let label = ui.interact(rect, ui.scope_id().with(("terminal row", row)), Sense::empty());
                label.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Label, true, spoken.trim_end()));
            }
        }
        if let Some((row, column)) = shown.cursor {
            let cell = Rect::from_min_size(at(row, column), vec2(width, ROW));
            if self.focused {
                painter.rect_filled(cell, 1.0, palette.accent.gamma_multiply(0.7));
            } else {
                painter.rect_stroke(cell, 1.0, egui::Stroke::new(1.0, palette.dim), egui::StrokeKind::Inside);
            }
        }
    }

    fn type_keys(&mut self, ui: &Ui, response: &egui::Response, alive: bool, wishes: &mut Wishes) {
        let filter = EventFilter { tab: true, horizontal_arrows: true, vertical_arrows: true, escape: true };
        ui.memory_mut(|memory| memory.set_focus_lock_filter(response.id, filter));
        let Some((application, bracketed)) = self.shown.as_ref().map(|s| (s.application_cursor, s.bracketed_paste))
        else {
            return;
        };
        let shift = ui.input(|input| input.modifiers.shift);
        let events = ui.input(|input| input.events.clone());
        let mut bytes = Vec::new();
        for event in &events {
            match event {
                // With shift these are the window's own, as in every terminal.
                Event::Copy if shift => ui.ctx().copy_text(self.visible_text()),
                Event::Paste(text) if bracketed => {
                    bytes.extend_from_slice(b"\x1b[200~");
                    bytes.extend_from_slice(text.replace('\x1b', "").as_bytes());
                    bytes.extend_from_slice(b"\x1b[201~");
                }
                event => bytes.extend(terminal_keys::bytes(event, application)),
            }
        }
        if alive && !bytes.is_empty() {
            self.back = 0;
            wishes.send(Command::SendSerial(bytes));
        }
    }
}

fn runs(screen: &vt100::Screen, row: usize) -> Vec<Run> {
    let Ok(row) = u16::try_from(row) else { return Vec::new() };
    let columns: Range<u16> = 0..screen.size().1.get();
    let mut runs: Vec<Run> = Vec::new();
    for column in columns {
        let Some(cell) = screen.cell(row, column) else { continue };
        if cell.is_wide_continuation() {
            continue;
        }
        let look = Look::of(cell);
        if !cell.has_contents() && look == Look::default() {
            continue;
        }
        let text = if cell.has_contents() { cell.contents() } else { " " };
        // Characters of other fonts may be wider than a cell: each begins at its own column.
        let simple = text.is_ascii();
        match runs.last_mut() {
            Some(run)
                if simple
                    && run.look == look
                    && run.text.is_ascii()
                    && usize::from(run.column) + run.text.len() == usize::from(column) =>
            {
                run.text.push_str(text);
            }
            _ => runs.push(Run { column, text: text.to_owned(), look }),
        }
    }
    runs
}
