//! The host's checks as a list: what is there, what is not, what it is for, and the command that mends it.

use egui::{Align, Label, Layout, RichText, Ui, vec2};
use lucide_icons::Icon;

use super::controls;
use super::theme::Palette;
use super::wish::{Wish, Wishes};
use super::words;
use crate::doctor::{Check, Status};
use crate::session::{Command, Model};

/// The longest finding that stands beside its name, characters.
const BESIDE: usize = 48;

/// Draws the dialog's contents.
pub fn show(ui: &mut Ui, model: &Model, wishes: &mut Wishes) {
    let palette = Palette::of(ui);
    let Some(checks) = &model.checks else {
        ui.label(RichText::new("Looking at this host…").color(palette.dim));
        ui.add_space(80.0);
        return;
    };
    let missing = checks.iter().filter(|check| check.status == Status::Missing).count();
    let summary = match missing {
        0 => "Everything that is needed is here.".to_owned(),
        1 => "One thing is missing.".to_owned(),
        n => format!("{n} things are missing."),
    };
    ui.label(RichText::new(summary).color(if missing == 0 { palette.success } else { palette.error }));
    let height = (ui.ctx().content_rect().height() - 260.0).clamp(160.0, 460.0);
    egui::ScrollArea::vertical().id_salt("checks").max_height(height).show(ui, |ui| {
        ui.spacing_mut().item_spacing.y = 2.0;
        // What needs the user comes first.
        let rank = |check: &&Check| match check.status {
            Status::Missing => 0,
            Status::Warning => 1,
            Status::Good => 2,
        };
        let mut sorted: Vec<&Check> = checks.iter().collect();
        sorted.sort_by_key(rank);
        // The floating bar gets room of its own.
        egui::Frame::new().inner_margin(egui::Margin { right: 16, ..Default::default() }).show(ui, |ui| {
            for check in sorted {
                one(ui, check, wishes);
            }
        });
    });
    ui.add_space(6.0);
    ui.horizontal(|ui| {
        if controls::button(ui, true, Icon::RefreshCw, "Check again", "").clicked() {
            wishes.send(Command::Diagnose);
        }
        let fixes: Vec<&str> = checks.iter().filter_map(|check| check.fix.as_deref()).collect();
        if !fixes.is_empty() && controls::button(ui, true, Icon::Copy, "Copy all fixes", &fixes.join("\n")).clicked() {
            wishes.add(Wish::Copy(fixes.join("\n")));
        }
    });
}

fn one(ui: &mut Ui, check: &Check, wishes: &mut Wishes) {
    let palette = Palette::of(ui);
    let (glyph, colour) = match check.status {
        Status::Good => (Icon::CircleCheck, palette.success),
        Status::Warning => (Icon::TriangleAlert, palette.warning),
        Status::Missing => (Icon::CircleX, palette.error),
    };
    ui.horizontal_top(|ui| {
        let (mark, _) = ui.allocate_exact_size(vec2(18.0, 24.0), egui::Sense::hover());
        let font = egui::FontId::new(16.0, super::theme::icons());
        ui.painter().text(mark.center(), egui::Align2::CENTER_CENTER, char::from(glyph), font, colour);
        ui.vertical(|ui| {
            ui.set_width(ui.available_width());
            ui.spacing_mut().interact_size.y = 24.0;
            // What was found stands beside the name, or below it where it is long: none of it is cut.
            let long = check.found.chars().count() > BESIDE || check.found.contains('\n');
            ui.horizontal(|ui| {
                ui.label(RichText::new(&check.name).color(palette.strong));
                if !long {
                    ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                        ui.label(RichText::new(&check.found).small().color(palette.dim));
                    });
                }
            });
            if long {
                let found = RichText::new(words::sentence(&check.found)).small().color(palette.dim);
                ui.add(Label::new(found).wrap().selectable(true));
            }
            if check.status != Status::Good {
                ui.add(Label::new(RichText::new(words::sentence(&check.why)).small().color(palette.dim)).wrap());
            }
            if let Some(fix) = check.fix.as_deref().filter(|_| check.status != Status::Good) {
                ui.horizontal(|ui| {
                    ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                        let name = format!("Copy the fix for {}", check.name);
                        if controls::icon_button(ui, true, Icon::Copy, &name, "").clicked() {
                            wishes.add(Wish::Copy(fix.to_owned()));
                        }
                        ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
                            egui::Frame::new()
                                .fill(palette.sunken)
                                .corner_radius(5)
                                .inner_margin(egui::Margin::symmetric(8, 4))
                                .show(ui, |ui| {
                                    ui.set_width(ui.available_width());
                                    let text = RichText::new(fix).monospace().size(12.0).color(palette.text);
                                    ui.add(Label::new(text).wrap().selectable(true));
                                });
                        });
                    });
                });
            }
        });
    });
    ui.add_space(6.0);
}
