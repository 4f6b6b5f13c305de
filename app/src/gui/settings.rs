//! The cartridge's settings: a form made from the documentation of the fields, the file's text, save and revert.

use std::collections::BTreeMap;

use egui::{Align, Layout, RichText, ScrollArea, Ui};
use isoprep::FIELDS;
use lucide_icons::Icon;

use super::controls;
use super::settings_field::{Around, Draft, field};
use super::settings_sections::{engine, sections};
use super::theme::{self, Palette};
use super::wish::{Dialog, Wish, Wishes};
use super::words;
use crate::session::event::CartridgeView;
use crate::session::{Command, Model};

/// What the form remembers between frames.
#[derive(Debug, Default)]
pub struct SettingsPanel {
    drafts: BTreeMap<&'static str, Draft>,
    /// Grows when the cartridge was told anew.
    generation: u64,
    /// Which cartridge the drafts are of.
    file: std::path::PathBuf,
    as_text: bool,
    /// Whether the fields that are seldom asked for are shown.
    unfolded: bool,
}

impl SettingsPanel {
    /// The cartridge was told anew.
    pub fn refresh(&mut self) {
        self.generation += 1;
    }

    /// Draws the panel.
    pub fn show(&mut self, ui: &mut Ui, model: &Model, picker: bool, wishes: &mut Wishes) {
        ui.set_min_width(ui.available_width());
        let Some(cartridge) = &model.cartridge else {
            empty(ui, model, wishes);
            return;
        };
        if self.file != cartridge.file {
            self.drafts.clear();
            self.file.clone_from(&cartridge.file);
        }
        self.head(ui, cartridge);
        let foot = if cartridge.dirty || !cartridge.exists { 58.0 } else { 0.0 };
        let height = (ui.available_height() - foot).max(80.0);
        ui.allocate_ui(egui::vec2(ui.available_width(), height), |ui| {
            ScrollArea::vertical().id_salt("settings").auto_shrink(false).show(ui, |ui| {
                // The floating bar gets room of its own, so that it never covers a field.
                ui.set_width(ui.available_width() - 10.0);
                if self.as_text {
                    text(ui, cartridge);
                } else {
                    self.form(ui, cartridge, picker, wishes);
                }
                ui.add_space(12.0);
            });
        });
        if foot > 0.0 {
            save_bar(ui, cartridge, wishes);
        }
    }

    fn head(&mut self, ui: &mut Ui, cartridge: &CartridgeView) {
        let palette = Palette::of(ui);
        ui.horizontal(|ui| {
            ui.label(RichText::new("Settings").text_style(theme::title()).color(palette.strong));
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                let hint = "The file's text, with the changes.";
                if controls::toggle_icon(ui, true, self.as_text, Icon::FileCode, "View as text", hint).clicked() {
                    self.as_text = !self.as_text;
                }
            });
        });
        let place = if cartridge.builtin { "Built-in cartridge".to_owned() } else { words::path(&cartridge.file) };
        ui.add(egui::Label::new(RichText::new(&place).small().color(palette.dim)).truncate()).on_hover_text(place);
        ui.add_space(2.0);
    }

    fn form(&mut self, ui: &mut Ui, cartridge: &CartridgeView, picker: bool, wishes: &mut Wishes) {
        let palette = Palette::of(ui);
        findings(ui, cartridge);
        let around =
            Around { root: picker.then_some(&cartridge.root), engine: engine(cartridge), generation: self.generation };
        for (at, (title, folded, fields)) in sections(cartridge).enumerate() {
            if fields.clone().next().is_none() {
                continue;
            }
            ui.add_space(if at == 0 { 2.0 } else { 12.0 });
            if folded {
                // What is set is seen, whatever was folded.
                let set = fields.clone().any(|(_, view)| !view.is_default || view.error.is_some());
                if unfold(ui, title, &mut self.unfolded, set) {
                    continue;
                }
            } else {
                ui.label(RichText::new(title).text_style(theme::section()).color(palette.accent));
            }
            for (doc, view) in fields {
                field(ui, doc, view, self.drafts.entry(doc.key).or_default(), around, wishes);
            }
        }
    }
}

/// The title of a section that can be folded away; says whether it is. One with something `set` stays open.
fn unfold(ui: &mut Ui, title: &str, unfolded: &mut bool, set: bool) -> bool {
    let palette = Palette::of(ui);
    let open = *unfolded || set;
    let glyph = controls::icon(if open { Icon::ChevronDown } else { Icon::ChevronRight }, 13.0).color(palette.dim);
    let words = RichText::new(title).text_style(theme::section()).color(palette.accent);
    let button = egui::Button::new((glyph, words)).frame(true).frame_when_inactive(false);
    let response = ui
        .scope(|ui| {
            ui.spacing_mut().button_padding = egui::vec2(0.0, 2.0);
            ui.add_enabled(!set, button)
        })
        .inner;
    response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Button, !set, title));
    if response.clicked() {
        *unfolded = !*unfolded;
    }
    !open
}

/// What is wrong, in one box at the top: the field itself may be scrolled out of sight.
fn findings(ui: &mut Ui, cartridge: &CartridgeView) {
    if cartridge.findings.is_empty() {
        return;
    }
    let palette = Palette::of(ui);
    let frame = egui::Frame::new().fill(palette.error.gamma_multiply(0.1)).corner_radius(6).inner_margin(10);
    frame.show(ui, |ui| {
        ui.set_width(ui.available_width());
        ui.spacing_mut().item_spacing.y = 4.0;
        for finding in &cartridge.findings {
            let label = FIELDS.iter().find(|doc| doc.key == finding.key).map_or(finding.key.as_str(), |doc| doc.label);
            let line = finding.line.map(|line| format!(" (line {line})")).unwrap_or_default();
            let text = RichText::new(format!("{label}{line}: {}", finding.message)).small().color(palette.error);
            ui.add(egui::Label::new(text).wrap().selectable(true)).on_hover_text(words::sentence(&finding.advice));
        }
    });
}

fn text(ui: &mut Ui, cartridge: &CartridgeView) {
    let palette = Palette::of(ui);
    findings(ui, cartridge);
    egui::Frame::new().fill(palette.sunken).corner_radius(6).inner_margin(8).show(ui, |ui| {
        ui.set_width(ui.available_width());
        let text = RichText::new(&cartridge.text).monospace().size(12.0).color(palette.text);
        ui.add(egui::Label::new(text).wrap().selectable(true));
    });
}

fn save_bar(ui: &mut Ui, cartridge: &CartridgeView, wishes: &mut Wishes) {
    let palette = Palette::of(ui);
    ui.separator();
    ui.horizontal(|ui| {
        let (words, hint) = match (cartridge.builtin, cartridge.exists) {
            (true, _) => ("Changes are for this run", "The built-in cartridge cannot be saved."),
            (false, false) => ("Not written yet", "The folder has no cartridge.toml; Save writes this one."),
            (false, true) => ("Changed, not saved", "Your comments in the file are kept."),
        };
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            if !cartridge.builtin && controls::button(ui, true, Icon::Save, "Save", &format!("{hint} Ctrl+S")).clicked()
            {
                wishes.send(Command::Save);
            }
            if cartridge.dirty
                && controls::icon_button(ui, true, Icon::Undo2, "Revert", "Forget the changes.").clicked()
            {
                wishes.send(Command::Revert);
            }
            ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
                let text = RichText::new(words).small().color(palette.dim);
                ui.add(egui::Label::new(text).truncate()).on_hover_text(hint);
            });
        });
    });
}

fn empty(ui: &mut Ui, model: &Model, wishes: &mut Wishes) {
    let palette = Palette::of(ui);
    ui.add_space(6.0);
    ui.label(RichText::new("Cartridges").text_style(theme::title()).color(palette.strong));
    ui.label(RichText::new("Open the folder of a repository, or begin with the built-in one.").color(palette.dim));
    ui.add_space(4.0);
    if controls::button(ui, true, Icon::FolderOpen, "Open a repository…", "Ctrl+O").clicked() {
        wishes.add(Wish::Open(Dialog::OpenRepository));
    }
    if controls::button(ui, true, Icon::Gamepad2, "Built-in", "A small cartridge that needs no network.").clicked() {
        wishes.send(Command::InsertBuiltin);
    }
    if !model.recent.is_empty() {
        ui.add_space(8.0);
        ui.label(RichText::new("Recent").text_style(theme::section()).color(palette.accent));
        for recent in model.recent.iter().take(8) {
            super::topbar::recent_line(ui, recent, wishes);
        }
    }
}
