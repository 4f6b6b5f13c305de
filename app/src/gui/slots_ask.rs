//! The questions about slots: whether one is to be restored although something has changed since, and whether one is to go.

use egui::{Align, Label, Layout, RichText, Ui};
use lucide_icons::Icon;

use super::controls;
use super::dialogs::danger_button;
use super::theme::Palette;
use super::wish::{Wish, Wishes};
use super::words;
use crate::session::event::SlotView;
use crate::session::{Command, Model};

/// Draws the question before a slot is restored on other inputs.
pub(super) fn restore(ui: &mut Ui, model: &Model, name: &str, wishes: &mut Wishes) {
    let Some(slot) = find(ui, model, name, wishes) else { return };
    let palette = Palette::of(ui);
    ui.add_space(2.0);
    let words = format!("\"{name}\" can be restored. This is not as it was when it was saved:");
    ui.add(Label::new(RichText::new(words).color(palette.text)).wrap());
    ui.add_space(4.0);
    egui::Frame::new().fill(palette.sunken).corner_radius(6).inner_margin(12).show(ui, |ui| {
        ui.set_width(ui.available_width());
        ui.spacing_mut().item_spacing.y = 6.0;
        egui::ScrollArea::vertical().id_salt("differs").max_height(200.0).show(ui, |ui| {
            for change in slot.changes() {
                ui.horizontal_top(|ui| {
                    ui.label(controls::icon(Icon::TriangleAlert, 14.0).color(palette.warning));
                    let says = words::sentence(&format!("{}.", change.says));
                    ui.add(Label::new(RichText::new(says).color(palette.text)).wrap().selectable(true));
                });
            }
        });
    });
    ui.add_space(10.0);
    ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
        let hint = "The guest has what it had then.";
        let restore = controls::accent_button(ui, true, Icon::RotateCcw, "Restore anyway", hint);
        begin_with(ui, &restore);
        if restore.clicked() {
            wishes.send(Command::RestoreSlot { name: name.to_owned(), anyway: true });
            wishes.add(Wish::CloseDialog);
        }
        if ui.button("Not now").clicked() {
            wishes.add(Wish::CloseDialog);
        }
    });
}

/// Draws the question before a slot is removed.
pub(super) fn remove(ui: &mut Ui, model: &Model, name: &str, wishes: &mut Wishes) {
    let Some(slot) = find(ui, model, name, wishes) else { return };
    let palette = Palette::of(ui);
    ui.add_space(2.0);
    let words = format!(
        "\"{name}\" is removed for good: its memory, its disks and its picture, {} in all. A guest that came from it goes on.",
        words::bytes(slot.bytes)
    );
    ui.add(Label::new(RichText::new(words).color(palette.text)).wrap());
    ui.add_space(10.0);
    ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
        if danger_button(ui, Icon::Trash2, "Remove the slot").clicked() {
            wishes.send(Command::RemoveSlot { name: name.to_owned() });
            wishes.add(Wish::CloseDialog);
        }
        let keep = ui.button("Keep it");
        begin_with(ui, &keep);
        if keep.clicked() {
            wishes.add(Wish::CloseDialog);
        }
    });
}

/// The keyboard begins here, unless it is somewhere else in the dialog.
fn begin_with(ui: &Ui, response: &egui::Response) {
    if ui.memory(|memory| memory.focused()).is_none() {
        response.request_focus();
    }
}

fn find<'a>(ui: &mut Ui, model: &'a Model, name: &str, wishes: &mut Wishes) -> Option<&'a SlotView> {
    let found = model.slots.iter().flatten().find(|slot| slot.name == name);
    if found.is_none() {
        ui.add_space(4.0);
        ui.label(RichText::new("This slot is not there any more.").color(Palette::of(ui).text));
        ui.add_space(8.0);
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            if ui.button("Good").clicked() {
                wishes.add(Wish::CloseDialog);
            }
        });
    }
    found
}
