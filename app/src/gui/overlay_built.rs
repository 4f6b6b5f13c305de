//! The card of a build that is done: the image, and in what it differs from the one before.

use egui::{Label, RichText, Ui};
use isoprep::mkarchiso::Chosen;
use lucide_icons::Icon;

use super::changes_words;
use super::controls;
use super::deploy;
use super::overlay_cards::card;
use super::panels::Panel;
use super::theme::{self, Palette};
use super::watching;
use super::wish::{Wish, Wishes};
use super::words;
use crate::session::Model;
use crate::session::model::Comparison;

/// The image that a build left.
pub fn built(ui: &mut Ui, model: &Model, wishes: &mut Wishes) {
    let palette = Palette::of(ui);
    let Some(image) = &model.image else {
        card(
            ui,
            Icon::CircleCheck,
            palette.success,
            "The image is ready",
            "Press Boot to start a guest from it.",
            |ui| write(ui, model, wishes),
        );
        return;
    };
    let took = model.build_took_ms.map(|ms| format!(" in {}", words::took(ms))).unwrap_or_default();
    let how = if image.reused { "Nothing had changed: the image of the last build is used again." } else { "" };
    let title = if image.reused { "The image is up to date".to_owned() } else { format!("The image was built{took}") };
    card(ui, Icon::CircleCheck, palette.success, &title, how, |ui| {
        let mut facts = vec![
            ("Image", words::path(&image.iso)),
            ("Size", words::bytes(image.bytes)),
            ("Repository", format!("{}, tree {}", words::number(image.files, "file", "files"), tree(&image.tree_hash))),
        ];
        // Of an image that another tool made nothing is known of its inside but what a comparison reads.
        if !image.kernel_version.is_empty() {
            facts.push(("Kernel", image.kernel_version.clone()));
        }
        if let Some(chosen) = &model.way {
            facts.push(("mkarchiso", way(chosen)));
        }
        egui::Grid::new("image").num_columns(2).spacing([16.0, 4.0]).min_row_height(20.0).show(ui, |ui| {
            for (what, value) in facts {
                ui.label(RichText::new(what).small().color(palette.dim));
                ui.add(Label::new(RichText::new(value).small().color(palette.text)).truncate().selectable(true));
                ui.end_row();
            }
        });
        if let Some(comparison) = model.comparison.as_ref().filter(|_| !image.reused) {
            since(ui, comparison);
        } else if let Some(error) = &model.comparison_error {
            uncompared(ui, error);
        } else if model.comparing {
            ui.label(RichText::new("Comparing it with the image before…").small().color(palette.dim));
        }
        ui.add_space(2.0);
        ui.horizontal(|ui| {
            let changed =
                model.comparison.as_ref().is_some_and(|it| it.difference.as_ref().is_some_and(|it| !it.is_empty()));
            if changed
                && controls::button(ui, true, Icon::FileDiff, "Show changes", "All of them, in a panel. Ctrl+7")
                    .clicked()
            {
                wishes.add(Wish::ShowPanel(Panel::Changes));
            }
            write(ui, model, wishes);
            if controls::button(ui, true, Icon::Copy, "Copy path", "").clicked() {
                wishes.add(Wish::Copy(image.iso.display().to_string()));
            }
        });
    });
}

/// The button that puts it onto a stick.
fn write(ui: &mut Ui, model: &Model, wishes: &mut Wishes) {
    let hint = "Writes the image to a USB stick or a card that you choose, and reads it back.";
    let (may, hint) = watching::may(model, hint);
    if controls::button(ui, may, Icon::Usb, "Write to USB…", &hint).clicked() {
        deploy::open(wishes);
    }
}

/// How mkarchiso was run, and what is worse about that, in a line.
pub(super) fn way(chosen: &Chosen) -> String {
    let with = chosen.with.as_ref().map_or(String::new(), |it| format!(" ({it})"));
    let but = chosen.but.as_ref().map_or(String::new(), |but| format!(". {but}"));
    words::sentence(&format!("{}{with}{but}", chosen.way))
}

fn tree(hash: &str) -> String {
    hash.chars().take(16).collect()
}

/// Why it is not known in what it differs.
fn uncompared(ui: &mut Ui, error: &str) {
    let palette = Palette::of(ui);
    ui.horizontal_top(|ui| {
        ui.label(controls::icon(Icon::TriangleAlert, 14.0).color(palette.warning));
        let words = format!("It could not be compared with the image before: {error}");
        ui.add(Label::new(RichText::new(words).small().color(palette.text)).wrap().selectable(true));
    });
}

/// In what the image differs from the one before it: packages, files, size.
fn since(ui: &mut Ui, comparison: &Comparison) {
    let palette = Palette::of(ui);
    let Some(it) = comparison.difference.as_deref() else {
        ui.add(Label::new(RichText::new(&comparison.summary).small().color(palette.dim)).wrap());
        return;
    };
    ui.add_space(2.0);
    ui.label(RichText::new("Since the image before").text_style(theme::section()).color(palette.accent));
    if it.is_empty() {
        let words = format!("The same packages, files and boot entries ({}).", words::growth_of(it.bytes));
        ui.label(RichText::new(words).small().color(palette.dim));
        return;
    }
    let facts = [
        ("Packages", changes_words::packages(it)),
        ("Files", changes_words::files(it)),
        ("Image size", words::growth_of(it.bytes)),
    ];
    ui.columns_const(|columns: &mut [Ui; 3]| {
        for (ui, (what, value)) in columns.iter_mut().zip(facts) {
            egui::Frame::new().fill(palette.sunken).corner_radius(6).inner_margin(egui::Margin::symmetric(10, 7)).show(
                ui,
                |ui| {
                    // Columns are justified, and so would the words in them be.
                    ui.with_layout(egui::Layout::top_down(egui::Align::LEFT), |ui| {
                        ui.set_width(ui.available_width());
                        ui.set_min_height(51.0);
                        ui.spacing_mut().item_spacing.y = 2.0;
                        ui.label(RichText::new(what).small().color(palette.dim));
                        ui.add(Label::new(RichText::new(value).size(13.0).color(palette.strong)).wrap());
                    });
                },
            );
        }
    });
}
