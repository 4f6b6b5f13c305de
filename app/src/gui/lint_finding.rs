//! One finding as it is drawn: its line, what is there, what will happen, the edit that mends it, and its button.

use std::path::Path;

use egui::{Align, Label, Layout, RichText, Ui, vec2};
use isoprep::lint::Severity;
use lucide_icons::Icon;

use super::controls;
use super::lint_rows::look;
use super::theme::{self, Palette};
use super::wish::{Dialog, Wish, Wishes};
use crate::session::Command;
use crate::session::examination::LintView;

/// Width of the column with the line's number, points.
const LINE: f32 = 38.0;
/// Width of the column with the button, points.
const BUTTON: f32 = 84.0;

/// The title of a group.
pub(super) fn group(ui: &mut Ui, severity: Severity, count: usize) {
    let palette = Palette::of(ui);
    let (word, glyph, colour) = look(severity, palette);
    ui.add_space(8.0);
    ui.horizontal(|ui| {
        ui.set_height(20.0);
        ui.spacing_mut().item_spacing.x = 7.0;
        ui.label(controls::icon(glyph, 14.0).color(colour));
        ui.label(RichText::new(word).text_style(theme::section()).color(colour));
        ui.label(RichText::new(count.to_string()).small().color(palette.dim));
    });
}

/// The file of the findings that follow.
pub(super) fn file(ui: &mut Ui, file: &Path, wishes: &mut Wishes) {
    let palette = Palette::of(ui);
    ui.add_space(4.0);
    let shown = file.display().to_string();
    ui.scope(|ui| {
        ui.spacing_mut().button_padding = vec2(4.0, 1.0);
        ui.spacing_mut().interact_size.y = 22.0;
        ui.spacing_mut().icon_spacing = 7.0;
        let text = RichText::new(&shown).monospace().size(12.5).color(palette.text);
        let button = egui::Button::new((controls::icon(Icon::File, 13.0).color(palette.dim), text));
        let response = ui.add(button.frame(true).frame_when_inactive(false).truncate());
        response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Button, true, format!("Copy path {shown}")));
        if response.on_hover_text("Copies the path.").clicked() {
            wishes.add(Wish::Copy(shown.clone()));
        }
    });
}

/// Something strange about the assembled profile.
pub(super) fn strange(ui: &mut Ui, words: &str) {
    let palette = Palette::of(ui);
    ui.horizontal_top(|ui| {
        ui.add_space(LINE + 8.0);
        ui.add(Label::new(RichText::new(words).size(13.5).color(palette.text)).wrap().selectable(true));
    });
    ui.add_space(7.0);
}

/// A finding.
pub(super) fn finding(ui: &mut Ui, view: &LintView, building: bool, wishes: &mut Wishes) {
    let palette = Palette::of(ui);
    let finding = &view.finding;
    ui.with_layout(Layout::right_to_left(Align::TOP), |ui| {
        ui.allocate_ui_with_layout(vec2(BUTTON, 28.0), Layout::right_to_left(Align::TOP), |ui| {
            ui.set_width(BUTTON);
            mend(ui, view, building, wishes);
        });
        let width = ui.available_width();
        ui.allocate_ui_with_layout(vec2(width, 20.0), Layout::left_to_right(Align::TOP), |ui| {
            ui.set_width(width);
            let line = finding.line.map_or_else(String::new, |line| line.to_string());
            ui.allocate_ui_with_layout(vec2(LINE, 18.0), Layout::right_to_left(Align::TOP), |ui| {
                ui.set_width(LINE);
                ui.add_space(2.0);
                ui.label(RichText::new(line).monospace().size(12.5).color(palette.dim));
            });
            ui.vertical(|ui| {
                ui.spacing_mut().item_spacing.y = 3.0;
                let words = |ui: &mut Ui, text: RichText| ui.add(Label::new(text).wrap().selectable(true));
                words(ui, RichText::new(&finding.what).size(13.5).color(palette.strong))
                    .on_hover_text(format!("Rule {}", finding.rule));
                words(ui, RichText::new(&finding.consequence).size(12.5).color(palette.dim));
                if !finding.also.is_empty() {
                    let places: Vec<String> = finding.also.iter().map(ToString::to_string).collect();
                    words(ui, RichText::new(format!("See also {}", places.join(", "))).size(12.5).color(palette.dim));
                }
                if let Some(fix) = &finding.fix {
                    ui.horizontal_top(|ui| {
                        ui.spacing_mut().item_spacing.x = 6.0;
                        ui.label(controls::icon(Icon::Lightbulb, 12.0).color(palette.success));
                        words(ui, RichText::new(&fix.says).size(12.5).color(palette.text));
                    });
                }
            });
        });
    });
    ui.add_space(9.0);
}

fn mend(ui: &mut Ui, view: &LintView, building: bool, wishes: &mut Wishes) {
    let Some(fix) = &view.finding.fix else { return };
    ui.spacing_mut().button_padding = vec2(10.0, 3.0);
    ui.spacing_mut().interact_size.y = 26.0;
    // On a deep surface a button at rest needs more than its usual fill to be seen.
    let palette = Palette::of(ui);
    ui.visuals_mut().widgets.inactive.weak_bg_fill = palette.hover;
    let enabled = !(view.asks && building);
    let (word, hint) = if !enabled {
        ("Fix…", "This changes a file of your repository, which a build is reading. Wait until it is over.")
    } else if view.asks {
        ("Fix…", "This changes a file of your repository: you see the change first.")
    } else {
        ("Fix", "This changes the cartridge. It is not saved until you save it.")
    };
    let button = egui::Button::new((controls::icon(Icon::Wrench, 13.0), RichText::new(word).size(13.0)));
    let response = ui.add_enabled(enabled, button);
    response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Button, enabled, format!("{word} {}", fix.says)));
    if response.gained_focus() {
        response.scroll_to_me(None);
    }
    let hint = format!("{}\n{hint}", fix.says);
    if response.on_hover_text(&hint).on_disabled_hover_text(&hint).clicked() {
        let id = view.id.clone();
        if view.asks {
            wishes.add(Wish::Open(Dialog::Mend { id }));
        } else {
            wishes.send(Command::ApplyFix { id, asked: false });
        }
    }
}
