//! The logs at the bottom: a log's tab, its tools beside the tabs, its lines or the terminal below.

use egui::{RichText, Ui};
use lucide_icons::Icon;

use super::controls;
use super::log_copy::CopyRequest;
use super::log_tools;
use super::log_view::LogView;
use super::terminal::TerminalView;
use super::theme::Palette;
use super::wish::Wishes;
use super::words;
use crate::session::Model;
use crate::session::logs::{LogHub, Pane};

/// What the logs remember between frames.
#[derive(Debug)]
pub struct LogsPanel {
    /// The log in front.
    pub pane: Pane,
    views: [LogView; 4],
    terminal: TerminalView,
    /// The serial log as lines, not as a terminal.
    raw: bool,
    focus_search: bool,
}

impl Default for LogsPanel {
    fn default() -> Self {
        Self {
            pane: Pane::Session,
            views: Default::default(),
            terminal: TerminalView::default(),
            raw: false,
            focus_search: false,
        }
    }
}

impl LogsPanel {
    /// The view of a log.
    #[must_use]
    pub fn view(&self, pane: Pane) -> &LogView {
        &self.views[index(pane)]
    }

    /// Whether keys go to the guest's serial line.
    #[must_use]
    pub fn typing(&self) -> bool {
        self.is_terminal() && self.terminal.focused()
    }

    /// Opens the search field of the log in front.
    pub fn search(&mut self) {
        if self.is_terminal() {
            self.raw = true;
        }
        self.views[index(self.pane)].search_open = true;
        self.focus_search = true;
    }

    /// Closes the search field. False if none was open.
    pub fn close_search(&mut self) -> bool {
        std::mem::take(&mut self.views[index(self.pane)].search_open)
    }

    /// What copying the selection of the log in front would copy.
    #[must_use]
    pub fn selection(&self) -> Option<CopyRequest> {
        CopyRequest::selection(self.view(self.pane))
    }

    fn is_terminal(&self) -> bool {
        self.pane == Pane::Serial && !self.raw
    }

    /// Draws the log in front. `alive`: a guest listens to the serial line. Returns what was asked to be copied.
    pub fn show(&mut self, ui: &mut Ui, logs: &LogHub, alive: bool, wishes: &mut Wishes) -> Option<CopyRequest> {
        let pane = self.pane;
        if self.is_terminal() {
            self.terminal.show(ui, &logs.terminal, alive, wishes);
            return None;
        }
        let area = ui.available_rect_before_wrap();
        let view = &mut self.views[index(pane)];
        let copy = view.show(ui, logs.pane(pane), &format!("{} lines", pane.title()));
        if view.search_open {
            log_tools::search_field(ui, view, area, std::mem::take(&mut self.focus_search));
        }
        copy
    }

    /// Draws the tab of a log.
    pub fn tab(&mut self, ui: &mut Ui, logs: &LogHub, pane: Pane, on: bool) -> egui::Response {
        let palette = Palette::of(ui);
        let errors = logs.pane(pane).try_read(crate::session::logs::LogRing::errors);
        let errors = errors.unwrap_or(self.views[index(pane)].facts.errors);
        self.views[index(pane)].facts.errors = errors;
        let text = RichText::new(pane.title()).size(13.0).color(controls::tab_colour(on, palette));
        let response = controls::tab(ui, on, text, errors, palette.error, &format!("{} log", pane.title()));
        response.on_hover_text(match errors {
            0 => format!("Ctrl+{}", index(pane) + 1),
            1 => format!("One line looks like an error.\nCtrl+{}", index(pane) + 1),
            n => format!("{} lines look like errors.\nCtrl+{}", words::count(n), index(pane) + 1),
        })
    }

    /// The tools of the log in front, right to left. Returns what was asked to be copied.
    pub fn tools(&mut self, ui: &mut Ui, logs: &LogHub, model: &Model, wishes: &mut Wishes) -> Option<CopyRequest> {
        let terminal = self.is_terminal();
        let pane = self.pane;
        let mut copy = None;
        log_tools::copy_menu(ui, self.view(pane), terminal.then_some(&self.terminal), logs, pane, &mut copy, wishes);
        let at_end = self.terminal.at_end();
        let view = &mut self.views[index(pane)];
        let follows = if terminal { at_end } else { view.follow };
        let hint = "Shows the newest line, also when more come.";
        if controls::toggle_icon(ui, true, follows, Icon::ArrowDownToLine, "Follow", hint).clicked() {
            if terminal {
                self.terminal.show_end();
            } else {
                view.follow = !view.follow;
            }
        }
        if pane == Pane::Serial {
            let hint = if terminal { "Shows the lines as they came." } else { "Shows the terminal." };
            if controls::toggle_icon(ui, true, terminal, Icon::SquareTerminal, "Terminal", hint).clicked() {
                self.raw = !self.raw;
            }
        }
        if terminal {
            return copy;
        }
        let view = &mut self.views[index(pane)];
        if controls::toggle_icon(ui, true, view.search_open, Icon::Search, "Search", "Ctrl+F").clicked() {
            view.search_open = !view.search_open;
            self.focus_search = view.search_open;
        }
        let first = view.facts.first_error.is_some();
        let hint = "Jumps to the first line that looks like an error.";
        if controls::icon_button(ui, first, Icon::CircleAlert, "First error", hint).clicked() {
            view.go_to_first_error();
        }
        if pane == Pane::Build {
            log_tools::stage_menu(ui, view, &model.stages);
        }
        if view.facts.dropped > 0 {
            dropped(ui, view.facts.dropped);
        }
        controls::filter_field(
            ui,
            &mut view.filter_text,
            ("filter", index(pane)),
            "Shows only lines that hold this text.",
        );
        copy
    }
}

/// Says that the log is longer than what is shown of it: a mark, because there is little room.
fn dropped(ui: &mut Ui, lines: u64) {
    let text = format!("{} older lines dropped", words::count(lines));
    let hint = "Only the newest lines are kept in memory. The log's file has them all, up to its limit.";
    let mark = ui.label(controls::icon(Icon::Scissors, 14.0).color(Palette::of(ui).warning));
    mark.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Label, true, text.as_str()));
    mark.on_hover_text(format!("{text}.\n{hint}"));
}

fn index(pane: Pane) -> usize {
    Pane::ALL.iter().position(|other| *other == pane).unwrap_or(0)
}
