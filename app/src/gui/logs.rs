//! The logs at the bottom: one tab a log, its tools beside the tabs, its lines or the terminal below.

use egui::{Align, Layout, RichText, TextEdit, Ui, vec2};
use lucide_icons::Icon;

use super::controls;
use super::log_copy::CopyRequest;
use super::log_tools;
use super::log_view::LogView;
use super::terminal::TerminalView;
use super::theme::Palette;
use super::wish::{Wish, Wishes};
use super::words;
use crate::session::logs::{LogHub, Pane};

/// Height of the bar with the tabs, points.
pub const BAR: f32 = 38.0;

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

    /// Draws the panel. `alive`: a guest listens to the serial line. Returns what was asked to be copied.
    pub fn show(&mut self, ui: &mut Ui, logs: &LogHub, alive: bool, wishes: &mut Wishes) -> Option<CopyRequest> {
        ui.spacing_mut().item_spacing.y = 0.0;
        // A panel is as large as its contents: without this it would shrink to its smallest.
        ui.set_min_size(ui.available_size());
        let mut copy = None;
        let bar = vec2(ui.available_width(), BAR);
        ui.allocate_ui_with_layout(bar, Layout::left_to_right(Align::Center), |ui| {
            ui.set_height(BAR);
            ui.spacing_mut().item_spacing.x = 2.0;
            ui.add_space(8.0);
            self.tabs(ui, logs);
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                ui.add_space(8.0);
                copy = self.tools(ui, logs, wishes);
            });
        });
        let pane = self.pane;
        if self.is_terminal() {
            self.terminal.show(ui, &logs.terminal, alive, wishes);
        } else {
            let area = ui.available_rect_before_wrap();
            let view = &mut self.views[index(pane)];
            copy = view.show(ui, logs.pane(pane), &format!("{} lines", pane.title())).or(copy);
            if view.search_open {
                log_tools::search_field(ui, view, area, std::mem::take(&mut self.focus_search));
            }
        }
        copy
    }

    fn tabs(&mut self, ui: &mut Ui, logs: &LogHub) {
        let palette = Palette::of(ui);
        for pane in Pane::ALL {
            let on = self.pane == pane;
            let errors = logs.pane(pane).try_read(crate::session::logs::LogRing::errors);
            let errors = errors.unwrap_or(self.views[index(pane)].facts.errors);
            self.views[index(pane)].facts.errors = errors;
            let text = RichText::new(pane.title()).size(13.0).color(if on { palette.strong } else { palette.dim });
            let count = match errors {
                0 => RichText::new(""),
                1..=99 => RichText::new(errors.to_string()),
                _ => RichText::new("99+"),
            };
            let response = ui
                .scope(|ui| {
                    ui.spacing_mut().button_padding = vec2(10.0, 4.0);
                    let mut button = if errors > 0 {
                        egui::Button::new((text, count.size(11.0).color(palette.error)))
                    } else {
                        egui::Button::new(text)
                    };
                    button = button.fill(egui::Color32::TRANSPARENT).stroke(egui::Stroke::NONE);
                    ui.add(button)
                })
                .inner;
            if on {
                let line = egui::Rect::from_min_max(
                    egui::pos2(response.rect.min.x + 8.0, response.rect.max.y + 1.0),
                    egui::pos2(response.rect.max.x - 8.0, response.rect.max.y + 3.0),
                );
                ui.painter().rect_filled(line, 1.0, palette.accent);
            }
            response
                .widget_info(|| egui::WidgetInfo::selected(egui::Role::Tab, true, on, format!("{} log", pane.title())));
            let hint = match errors {
                0 => format!("Ctrl+{}", index(pane) + 1),
                1 => format!("One line looks like an error.\nCtrl+{}", index(pane) + 1),
                n => format!("{} lines look like errors.\nCtrl+{}", words::count(n), index(pane) + 1),
            };
            if response.on_hover_text(hint).clicked() {
                self.pane = pane;
            }
        }
    }

    /// Right to left.
    fn tools(&mut self, ui: &mut Ui, logs: &LogHub, wishes: &mut Wishes) -> Option<CopyRequest> {
        let palette = Palette::of(ui);
        let terminal = self.is_terminal();
        let pane = self.pane;
        let mut copy = None;
        if controls::icon_button(ui, true, Icon::PanelBottomClose, "Hide logs", "Ctrl+Shift+L").clicked() {
            wishes.add(Wish::ToggleLogs);
        }
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
        if controls::icon_button(
            ui,
            first,
            Icon::CircleAlert,
            "First error",
            "Jumps to the first line that looks like an error.",
        )
        .clicked()
        {
            view.go_to_first_error();
        }
        ui.add_space(4.0);
        ui.scope(|ui| {
            ui.spacing_mut().button_padding = vec2(8.0, 4.0);
            ui.spacing_mut().interact_size.y = 28.0;
            let glyph = controls::icon(Icon::ListFilter, 13.0).color(palette.dim);
            let edit = TextEdit::singleline(&mut view.filter_text)
                .id_salt(("filter", index(pane)))
                .hint_text(RichText::new("Filter").size(13.0).color(palette.dim))
                .font(egui::FontId::proportional(13.0))
                .prefix(glyph)
                .align(egui::Align2::LEFT_CENTER)
                .desired_width(130.0);
            ui.add(edit).accessible_name("Filter").on_hover_text("Shows only lines that hold this text.");
        });
        if view.facts.dropped > 0 {
            let text = format!("{} older lines dropped", words::count(view.facts.dropped));
            let hint = "Only the newest lines are kept in memory. The log's file has them all, up to its limit.";
            ui.add_space(4.0);
            ui.label(RichText::new(text).small().color(palette.dim)).on_hover_text(hint);
        }
        copy
    }
}

fn index(pane: Pane) -> usize {
    Pane::ALL.iter().position(|other| *other == pane).unwrap_or(0)
}
