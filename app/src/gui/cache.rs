//! What the cache holds, how much of it is kept, and emptying it after a question.

use egui::{Align, Frame, Label, Layout, Margin, RichText, Ui};
use lucide_icons::Icon;

use super::controls;
use super::dialogs::danger_button;
use super::theme::Palette;
use super::wish::{Dialog, Wish, Wishes};
use super::words;
use crate::session::event::Failure;
use crate::session::state::Phase;
use crate::session::{Command, Model};

/// Draws the contents of the dialog that shows the cache.
pub(super) fn show(ui: &mut Ui, model: &Model, wishes: &mut Wishes) {
    let palette = Palette::of(ui);
    let words = "Results of earlier builds and fetched packages. They make the next build quick, and are shared by all \
                 cartridges. The least recently used go by themselves.";
    ui.add(Label::new(RichText::new(words).color(palette.dim)).wrap());
    ui.add_space(4.0);
    if let Some(failure) = &model.cache_failure {
        failed(ui, failure);
    }
    let Some(cache) = &model.cache else {
        if model.cache_failure.is_none() {
            ui.label(RichText::new("Looking at what there is…").color(palette.dim));
            ui.add_space(60.0);
            return;
        }
        return ui.with_layout(Layout::right_to_left(Align::Center), |ui| look_again(ui, wishes)).inner;
    };
    Frame::new().fill(palette.sunken).corner_radius(6).inner_margin(Margin::symmetric(12, 10)).show(ui, |ui| {
        ui.set_width(ui.available_width());
        if cache.rows.is_empty() {
            ui.label(RichText::new("The cache is empty.").color(palette.dim));
        }
        ui.spacing_mut().interact_size.y = 22.0;
        ui.spacing_mut().item_spacing.y = 5.0;
        for row in &cache.rows {
            ui.horizontal(|ui| {
                ui.label(RichText::new(&row.what).color(palette.text));
                ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                    ui.allocate_ui_with_layout(egui::vec2(84.0, 22.0), Layout::right_to_left(Align::Center), |ui| {
                        ui.set_width(84.0);
                        ui.label(RichText::new(words::bytes(row.bytes)).monospace().color(palette.text));
                    });
                    let noun = match (row.what.contains("package") && row.what.contains(' '), row.results) {
                        (true, 1) => "file",
                        (true, _) => "files",
                        (false, 1) => "result",
                        (false, _) => "results",
                    };
                    let count = format!("{} {noun}", words::count(row.results as u64));
                    ui.label(RichText::new(count).small().color(palette.dim));
                });
            });
        }
    });
    ui.add_space(6.0);
    let total = format!("{} of {}", words::bytes(cache.bytes), words::bytes(cache.limit));
    ui.horizontal(|ui| {
        ui.label(RichText::new(&total).color(palette.strong));
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            if let Some(freed) = model.cache_freed.filter(|_| cache.rows.is_empty()) {
                let text = format!("{} freed", words::bytes(freed));
                ui.label(RichText::new(text).small().color(palette.success));
            }
        });
    });
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "a bar of some pixels")]
    let share = (cache.bytes as f64 / cache.limit.max(1) as f64) as f32;
    let width = ui.available_width();
    controls::thin_bar(ui, width, Some(share), &format!("Cache: {total}"));
    ui.add_space(10.0);
    ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
        let (can, hint) = match model.state.phase {
            Phase::Preparing | Phase::Building => (false, "A build is using it: wait for that, or cancel it."),
            _ if cache.bytes == 0 => (false, "There is nothing in it."),
            _ => (true, "Asks first."),
        };
        if controls::button(ui, can, Icon::BrushCleaning, "Clean…", hint).clicked() {
            wishes.add(Wish::Open(Dialog::CleanCache));
        }
        look_again(ui, wishes);
    });
}

fn look_again(ui: &mut Ui, wishes: &mut Wishes) {
    if controls::button(ui, true, Icon::RefreshCw, "Look again", "").clicked() {
        wishes.send(Command::ViewCache);
    }
}

/// Why it could not be looked at, or emptied.
fn failed(ui: &mut Ui, failure: &Failure) {
    let palette = Palette::of(ui);
    ui.horizontal_top(|ui| {
        ui.label(controls::icon(Icon::CircleX, 15.0).color(palette.error));
        ui.vertical(|ui| {
            ui.spacing_mut().item_spacing.y = 3.0;
            let words = |ui: &mut Ui, text: &str, colour| {
                ui.add(Label::new(RichText::new(text).size(13.0).color(colour)).wrap().selectable(true))
            };
            words(ui, &failure.title, palette.strong);
            words(ui, &failure.detail, palette.text);
            if let Some(advice) = &failure.advice {
                words(ui, advice, palette.dim);
            }
        });
    });
    ui.add_space(6.0);
}

/// Draws the contents of the question.
pub(super) fn ask(ui: &mut Ui, model: &Model, wishes: &mut Wishes) {
    let palette = Palette::of(ui);
    let bytes = model.cache.as_ref().map_or(0, |cache| cache.bytes);
    ui.add_space(2.0);
    let words = format!(
        "{} are freed. The next build of every cartridge begins from nothing, and fetches its packages again. Images and \
         repositories are not touched.",
        words::bytes(bytes)
    );
    ui.add(Label::new(RichText::new(words).color(palette.text)).wrap());
    ui.add_space(10.0);
    ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
        if danger_button(ui, Icon::BrushCleaning, "Empty the cache").clicked() {
            wishes.send(Command::CleanCache);
            wishes.add(Wish::Open(Dialog::Cache));
        }
        if ui.button("Keep it").clicked() {
            wishes.add(Wish::Open(Dialog::Cache));
        }
    });
}
