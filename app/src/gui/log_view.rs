//! A log as a list of rows of which only the visible ones are read, parsed and laid out. It scrolls in rows, not in
//! points: a million rows of 18 points are more than an `f32` can tell apart.

use egui::{Event, Key, Rect, Sense, Ui, pos2, vec2};

use super::ansi::{self, Line};
use super::log_copy::CopyRequest;
use super::log_search::Finder;
use super::theme::Palette;
use crate::session::logs::{Level, LogPane, LogRing};

/// Height of a row, points.
pub const ROW: f32 = 18.0;
const BAR: f32 = 12.0;

/// A place in a log: a line's number, and a byte in its shown text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The line's number.
    pub line: u64,
    /// The byte in its shown text.
    pub byte: usize,
}

/// One visible row.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) line: u64,
    pub(super) level: Level,
    pub(super) text: Line,
}

/// What a view of one log remembers between frames.
#[derive(Debug)]
pub struct LogView {
    /// Show the newest line.
    pub follow: bool,
    /// Only lines that hold this are shown.
    pub filter_text: String,
    /// Only lines of this stage of a build are shown.
    pub stage: Option<String>,
    /// Lines that hold this are marked and counted.
    pub search_text: String,
    /// Whether the search field is shown.
    pub search_open: bool,
    /// The found line that was last jumped to.
    pub current: Option<u64>,
    filter: Finder,
    search: Finder,
    /// The row at the top: counted from the log's, or the filter's, very first row, dropped ones included.
    pub(super) top: f64,
    /// Points that the text is moved to the left.
    pub(super) shift: f32,
    pub(super) selection: Option<(Place, Place)>,
    pub(super) rows: Vec<Row>,
    pub(super) first: u64,
    pub(super) len: u64,
    /// Lines that were dropped, lines that there ever were, lines that look like errors, the first of those.
    pub facts: Facts,
    jump: Option<Jump>,
    pub(super) visible: f64,
}

/// What is known of a log as a whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Lines dropped so far.
    pub dropped: u64,
    /// Lines ever.
    pub lines: u64,
    /// Lines that look like errors.
    pub errors: u64,
    /// The first of them.
    pub first_error: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
enum Jump {
    Line(u64),
    Next,
    Previous,
    /// To the first found line below the top, as soon as there is one.
    Nearest,
}

impl Default for LogView {
    fn default() -> Self {
        Self {
            follow: true,
            filter_text: String::new(),
            stage: None,
            search_text: String::new(),
            search_open: false,
            current: None,
            filter: Finder::default(),
            search: Finder::default(),
            top: 0.0,
            shift: 0.0,
            selection: None,
            rows: Vec::new(),
            first: 0,
            len: 0,
            facts: Facts::default(),
            jump: None,
            visible: 1.0,
        }
    }
}

impl LogView {
    /// How many rows were read and laid out for the last frame.
    #[must_use]
    pub fn laid_out(&self) -> usize {
        self.rows.len()
    }

    /// How many lines the search has found so far, and the place of the current one among them, from 1.
    #[must_use]
    pub fn found(&self) -> (usize, Option<usize>) {
        let found = self.search.found();
        (found.len(), self.current.and_then(|line| found.binary_search(&line).ok()).map(|at| at + 1))
    }

    /// What the lines begin with that are shown; nothing if those of all stages are.
    #[must_use]
    pub fn stage_mark(&self) -> String {
        self.stage.as_deref().map_or_else(String::new, crate::session::logs::stage_tag)
    }

    /// Goes to the next or the previous found line at the next frame.
    pub fn go(&mut self, forward: bool) {
        self.jump = Some(if forward { Jump::Next } else { Jump::Previous });
    }

    /// The searched text was edited.
    pub fn search_changed(&mut self) {
        self.current = None;
        self.jump = (!self.search_text.is_empty()).then_some(Jump::Nearest);
    }

    /// Goes to the first line that looks like an error.
    pub fn go_to_first_error(&mut self) {
        if let Some(line) = self.facts.first_error {
            self.jump = Some(Jump::Line(line));
        }
    }

    /// The visible text.
    #[must_use]
    pub fn visible_text(&self) -> String {
        self.rows.iter().map(|row| format!("{}\n", row.text.text)).collect()
    }

    /// Whether text is selected.
    #[must_use]
    pub fn has_selection(&self) -> bool {
        self.selection.is_some_and(|(a, b)| a != b)
    }

    /// What is selected: from, to.
    #[must_use]
    pub fn selected(&self) -> Option<(Place, Place)> {
        self.selection.map(|(a, b)| (a.min(b), a.max(b))).filter(|(a, b)| a != b)
    }

    /// Reads what this frame shows: at most `rows` rows, and a bounded piece of the search. Does not wait for a
    /// writer; returns false if the log was being written and the rows are those of the last frame.
    fn read(&mut self, pane: &LogPane, rows: f64, again: &mut bool) -> bool {
        let stage = self.stage_mark();
        self.filter.set(&[&self.filter_text], &stage);
        let search = if self.search_open { self.search_text.as_str() } else { "" };
        if search.is_empty() {
            self.search.set(&[], "");
        } else {
            self.search.set(&[search, &self.filter_text], &stage);
        }
        let fresh = pane.try_read(|ring| {
            *again |= self.filter.advance(ring);
            *again |= self.search.advance(ring);
            self.facts = Facts {
                dropped: ring.begin(),
                lines: ring.end(),
                errors: ring.errors(),
                first_error: ring.first_error(),
            };
            self.measure(ring);
            self.leap(rows);
            self.settle(rows);
            self.take(ring, rows);
        });
        fresh.is_some()
    }

    fn measure(&mut self, ring: &LogRing) {
        if self.filter.active() {
            self.first = self.filter.dropped();
            self.len = self.filter.found().len() as u64;
        } else {
            self.first = ring.begin();
            self.len = ring.end() - ring.begin();
        }
    }

    #[allow(clippy::cast_precision_loss, reason = "rows are below 2^53")]
    fn leap(&mut self, rows: f64) {
        let Some(jump) = self.jump else { return };
        let found = self.search.found();
        let top = self.line_at_top();
        let line = match jump {
            Jump::Line(line) => Some(line),
            Jump::Next => {
                let from = self.current.map_or(top, |line| line + 1);
                found.get(found.partition_point(|line| *line < from)).or(found.first()).copied()
            }
            Jump::Previous => {
                let from = self.current.unwrap_or(top);
                found
                    .partition_point(|line| *line < from)
                    .checked_sub(1)
                    .map_or(found.last(), |at| found.get(at))
                    .copied()
            }
            Jump::Nearest => match found.get(found.partition_point(|line| *line < top)).or(found.last()) {
                Some(line) => Some(*line),
                None => return,
            },
        };
        self.jump = None;
        let Some(line) = line else { return };
        if !matches!(jump, Jump::Line(_)) {
            self.current = Some(line);
        }
        let row = if self.filter.active() {
            self.first + self.filter.found().partition_point(|found| *found < line) as u64
        } else {
            line
        };
        self.follow = false;
        // In the upper third, so that what follows is seen too; a line that is in view already does not move.
        let row = row as f64;
        if row < self.top || row > self.top + rows - 2.0 {
            self.top = row - (rows / 3.0).floor();
        }
    }

    fn line_at_top(&self) -> u64 {
        self.rows.first().map_or(0, |row| row.line)
    }

    #[allow(clippy::cast_precision_loss, reason = "rows are below 2^53")]
    fn settle(&mut self, rows: f64) {
        self.visible = rows;
        let lowest = (self.first + self.len) as f64 - rows;
        self.top = if self.follow { lowest } else { self.top.min(lowest) }.max(self.first as f64);
    }

    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "rows are positive and few")]
    fn take(&mut self, ring: &LogRing, rows: f64) {
        self.rows.clear();
        let start = self.top.floor() as u64;
        let wanted = rows.ceil() as u64 + 1;
        for row in start..(start + wanted).min(self.first + self.len) {
            let line = if self.filter.active() {
                let found = self.filter.found();
                match usize::try_from(row - self.first).ok().and_then(|at| found.get(at)) {
                    Some(line) => *line,
                    None => break,
                }
            } else {
                row
            };
            if let Some(bytes) = ring.line(line) {
                self.rows.push(Row { line, level: ring.level(line), text: ansi::parse(bytes) });
            }
        }
    }

    /// Draws the log into the rest of `ui`. Returns text to copy, when the user pressed Ctrl+C.
    pub fn show(&mut self, ui: &mut Ui, pane: &LogPane, name: &str) -> Option<CopyRequest> {
        let palette = Palette::of(ui);
        let area = ui.available_rect_before_wrap();
        let response = ui.interact(area, ui.scope_id().with("log"), Sense::click_and_drag());
        response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Log, true, name));
        ui.painter().rect_filled(area, 0.0, palette.sunken);
        let text = Rect::from_min_max(area.min + vec2(0.0, 4.0), area.max - vec2(BAR, 2.0));
        let rows = f64::from((text.height() / ROW).max(1.0));
        self.scroll(ui, &response, rows);
        let mut again = false;
        if !self.read(pane, rows, &mut again) {
            again = true;
        }
        if again {
            ui.ctx().request_repaint_after(std::time::Duration::from_millis(8));
        }
        let copy = self.keys(ui, &response);
        self.paint(ui, &response, text);
        self.bar(ui, Rect::from_min_max(pos2(area.max.x - BAR, area.min.y), area.max));
        if self.len == 0 {
            let words = match (&self.stage, self.filter_text.is_empty(), self.filter.active()) {
                (Some(_), true, _) => "This stage has said nothing",
                (_, _, true) => "No line holds this text",
                _ => "Nothing yet",
            };
            let font = egui::FontId::proportional(13.0);
            ui.painter().text(area.center(), egui::Align2::CENTER_CENTER, words, font, palette.dim);
        }
        copy
    }

    fn scroll(&mut self, ui: &Ui, response: &egui::Response, rows: f64) {
        let mut delta = 0.0;
        if response.contains_pointer() {
            let wheel = ui.input(|input| input.smooth_scroll_delta());
            delta -= f64::from(wheel.y / ROW);
            self.shift = (self.shift - wheel.x).max(0.0);
        }
        if response.dragged()
            && let Some(pos) = response.interact_pointer_pos()
        {
            // A selection that is dragged past an edge goes on there.
            let past = (pos.y - response.rect.max.y).max(0.0) - (response.rect.min.y - pos.y).max(0.0);
            delta += f64::from(past / ROW).clamp(-3.0, 3.0);
            if past != 0.0 {
                ui.ctx().request_repaint_after(std::time::Duration::from_millis(30));
            }
        }
        if response.has_focus() {
            for (key, by) in [
                (Key::ArrowUp, -1.0),
                (Key::ArrowDown, 1.0),
                (Key::PageUp, 1.0 - rows),
                (Key::PageDown, rows - 1.0),
                (Key::Home, -1e15),
                (Key::End, 1e15),
            ] {
                if ui.input(|input| input.key_pressed(key)) {
                    delta += by;
                }
            }
            let filter = egui::EventFilter { vertical_arrows: true, ..egui::EventFilter::default() };
            ui.memory_mut(|memory| memory.set_focus_lock_filter(response.id, filter));
        }
        if delta != 0.0 {
            self.move_by(delta);
        }
    }

    #[allow(clippy::cast_precision_loss, reason = "rows are below 2^53")]
    fn move_by(&mut self, delta: f64) {
        let lowest = (self.first + self.len) as f64 - self.visible;
        self.top += delta;
        // Scrolling to the end follows again; scrolling up stops following.
        self.follow = if delta < 0.0 { self.follow && lowest <= self.first as f64 } else { self.top >= lowest - 0.01 };
    }

    fn keys(&mut self, ui: &Ui, response: &egui::Response) -> Option<CopyRequest> {
        if response.clicked() || response.drag_started() {
            response.request_focus();
        }
        if !response.has_focus() {
            return None;
        }
        if ui.input(|input| input.modifiers.command && input.key_pressed(Key::A)) {
            let end = Place { line: self.facts.lines, byte: 0 };
            self.selection = Some((Place { line: self.facts.dropped, byte: 0 }, end));
        }
        let copied = ui.input(|input| input.events.iter().any(|event| matches!(event, Event::Copy)));
        copied.then(|| CopyRequest::selection(self)).flatten()
    }
}
