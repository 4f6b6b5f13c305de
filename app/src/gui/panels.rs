//! The panes at the bottom: a tab a log, then a tab for each panel about the cartridge (its lint, the files of its
//! profile, what the last build changed, its slots), the tools of the one in front, and its contents.

use egui::{Align, Layout, RichText, Ui, vec2};
use lucide_icons::Icon;

use super::changes::ChangesPanel;
use super::clock::Clock;
use super::controls;
use super::files::FilesPanel;
use super::lint::LintPanel;
use super::log_copy::CopyRequest;
use super::logs::LogsPanel;
use super::slots::SlotsPanel;
use super::theme::Palette;
use super::wish::{Wish, Wishes};
use crate::session::logs::{LogHub, Pane};
use crate::session::{Command, Model};

/// Height of the bar with the tabs, points.
pub const BAR: f32 = 38.0;
/// Below this width the tabs of panels are icons alone, points.
const NARROW: f32 = 760.0;

/// A panel about the cartridge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Panel {
    /// What would fail late.
    Lint,
    /// The assembled profile.
    Files,
    /// In what the last two images differ.
    Changes,
    /// Saved guests.
    Slots,
}

impl Panel {
    /// All of them, in the order of their tabs.
    pub const ALL: [Self; 4] = [Self::Lint, Self::Files, Self::Changes, Self::Slots];

    fn title(self) -> &'static str {
        match self {
            Self::Lint => "Lint",
            Self::Files => "Files",
            Self::Changes => "Changes",
            Self::Slots => "Slots",
        }
    }

    fn icon(self) -> Icon {
        match self {
            Self::Lint => Icon::ListChecks,
            Self::Files => Icon::FolderTree,
            Self::Changes => Icon::FileDiff,
            Self::Slots => Icon::Bookmark,
        }
    }

    fn hint(self) -> &'static str {
        match self {
            Self::Lint => "What would fail late or silently, and the edits that mend it.\nCtrl+5",
            Self::Files => "The profile that will be built, and where each file of it came from.\nCtrl+6",
            Self::Changes => "In what the last image differs from the one before it.\nCtrl+7",
            Self::Slots => "Guests that were saved as they ran, to be restored in a moment.\nCtrl+8",
        }
    }
}

/// What the panels remember between frames.
#[derive(Debug, Default)]
pub struct Panels {
    /// The panel in front of the logs, if one is.
    pub front: Option<Panel>,
    /// What would fail late.
    pub lint: LintPanel,
    /// The assembled profile.
    pub files: FilesPanel,
    /// In what the last two images differ.
    pub changes: ChangesPanel,
    /// Saved guests.
    pub slots: SlotsPanel,
    /// Whether slots were in front in the last frame.
    slots_shown: bool,
}

/// What the panes are shown with.
pub struct Shown<'a> {
    /// The session's logs.
    pub hub: &'a LogHub,
    /// Everything that was told.
    pub model: &'a Model,
    /// The session's time.
    pub clock: Clock,
    /// Whether the panes have most of the window.
    pub tall: bool,
}

impl Panels {
    /// Draws the bar and what is in front. Returns what was asked to be copied.
    pub fn show(
        &mut self,
        ui: &mut Ui,
        logs: &mut LogsPanel,
        shown: &Shown<'_>,
        wishes: &mut Wishes,
    ) -> Option<CopyRequest> {
        ui.spacing_mut().item_spacing.y = 0.0;
        // A panel is as large as its contents: without this it would shrink to its smallest.
        ui.set_min_size(ui.available_size());
        let slots = self.front == Some(Panel::Slots);
        if slots && !std::mem::replace(&mut self.slots_shown, slots) {
            // Another session may have saved one.
            wishes.send(Command::ListSlots);
        }
        self.slots_shown = slots;
        // What is only watched is not changed here.
        let mine = shown.model.watched.is_none();
        let mut copy = None;
        let bar = vec2(ui.available_width(), BAR);
        let narrow = bar.x < NARROW;
        ui.allocate_ui_with_layout(bar, Layout::left_to_right(Align::Center), |ui| {
            ui.set_height(BAR);
            ui.spacing_mut().item_spacing.x = 2.0;
            ui.add_space(8.0);
            self.tabs(ui, logs, shown, narrow);
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                ui.add_space(8.0);
                sizes(ui, shown.tall, wishes);
                copy = self.tools(ui, logs, shown, wishes);
            });
        });
        match self.front {
            None => {
                let alive = shown.model.guest_runs() && mine;
                return logs.show(ui, shown.hub, alive, wishes).or(copy);
            }
            Some(Panel::Lint) => {
                ui.add_enabled_ui(mine, |ui| self.lint.show(ui, shown.model, wishes));
            }
            Some(Panel::Files) => self.files.show(ui, shown.model, wishes),
            Some(Panel::Changes) => self.changes.show(ui, shown.model),
            Some(Panel::Slots) => {
                ui.add_enabled_ui(mine, |ui| self.slots.show(ui, shown.model, shown.clock, wishes));
            }
        }
        copy
    }

    /// Brings the field to the front that searches or filters what is in front.
    pub fn search(&mut self, logs: &mut LogsPanel) {
        match self.front {
            Some(Panel::Files) => self.files.focus_filter = true,
            Some(Panel::Changes) => self.changes.focus_filter = true,
            Some(Panel::Slots) => self.slots.focus_name = true,
            Some(Panel::Lint) | None => {
                self.front = None;
                logs.search();
            }
        }
    }

    fn tools(
        &mut self,
        ui: &mut Ui,
        logs: &mut LogsPanel,
        shown: &Shown<'_>,
        wishes: &mut Wishes,
    ) -> Option<CopyRequest> {
        match self.front {
            None => return logs.tools(ui, shown.hub, shown.model, wishes),
            Some(Panel::Lint | Panel::Slots) if shown.model.watched.is_some() => {}
            Some(Panel::Lint) => self.lint.tools(ui, shown.model, wishes),
            Some(Panel::Files) => self.files.tools(ui),
            Some(Panel::Changes) => self.changes.tools(ui, wishes),
            Some(Panel::Slots) => self.slots.tools(ui, shown.model, wishes),
        }
        None
    }

    fn tabs(&mut self, ui: &mut Ui, logs: &mut LogsPanel, shown: &Shown<'_>, narrow: bool) {
        let palette = Palette::of(ui);
        for pane in Pane::ALL {
            let on = self.front.is_none() && logs.pane == pane;
            if logs.tab(ui, shown.hub, pane, on).clicked() {
                logs.pane = pane;
                self.front = None;
            }
        }
        ui.add_space(5.0);
        let (line, _) = ui.allocate_exact_size(vec2(1.0, 18.0), egui::Sense::hover());
        ui.painter().rect_filled(line, 0.0, palette.line);
        ui.add_space(5.0);
        for panel in Panel::ALL {
            let on = self.front == Some(panel);
            let (count, colour) = match panel {
                Panel::Lint => self.lint.counts().badge(palette),
                Panel::Files => (0, palette.dim),
                Panel::Changes => (self.changes.count(), palette.dim),
                Panel::Slots => (shown.model.slots.as_ref().map_or(0, Vec::len) as u64, palette.dim),
            };
            let text = RichText::new(panel.title()).size(13.0);
            let words =
                if narrow { controls::icon(panel.icon(), 15.0) } else { text }.color(controls::tab_colour(on, palette));
            let name = format!("{} panel", panel.title());
            if controls::tab(ui, on, words, count, colour, &name).on_hover_text(panel.hint()).clicked() {
                self.front = Some(panel);
            }
        }
    }
}

/// How much of the window the panes have, right to left.
fn sizes(ui: &mut Ui, tall: bool, wishes: &mut Wishes) {
    if controls::icon_button(ui, true, Icon::PanelBottomClose, "Hide logs", "Ctrl+Shift+L").clicked() {
        wishes.add(Wish::ToggleLogs);
    }
    let (glyph, name) = if tall { (Icon::Minimize2, "As before") } else { (Icon::Maximize2, "Tall") };
    if controls::icon_button(ui, true, glyph, name, "Ctrl+Shift+M").clicked() {
        wishes.add(Wish::ToggleTall);
    }
}
