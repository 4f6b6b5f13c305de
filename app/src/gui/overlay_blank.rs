//! What is said over the screen of a guest that is up and shows one colour: what it may be, and the setting that mends it.

use egui::{Label, RichText, Ui};
use lucide_icons::Icon;

use super::controls;
use super::overlay_cards::card_above;
use super::theme::Palette;
use super::watching;
use super::wish::{Wish, Wishes};
use super::words;
use crate::session::blank::BlankCure;
use crate::session::logs::Pane;
use crate::session::state::Goal;
use crate::session::{Command, Model};

/// Shows the card, unless it was put away for this guest.
pub(super) fn show(ui: &mut Ui, model: &Model, wishes: &mut Wishes) {
    let palette = Palette::of(ui);
    let Some(guest) = &model.guest else { return };
    let away = ui.scope_id().with("blank put away");
    let put_away: Option<u32> = ui.data(|data| data.get_temp(away));
    let Some((seconds, cure)) = guest.blank.as_ref().filter(|_| put_away != Some(guest.pid)) else { return };
    let subtitle = format!("The guest is up, and its screen has shown one colour for {seconds} s.");
    card_above(ui, (Icon::MonitorX, palette.warning), "Nothing is drawn", &subtitle, |ui| {
        ui.add(Label::new(RichText::new(words::sentence(&cure.advice())).color(palette.text)).wrap().selectable(true));
        ui.add_space(2.0);
        ui.horizontal_wrapped(|ui| {
            if *cure == BlankCure::Give3d {
                give_3d(ui, model, wishes);
            }
            if controls::button(ui, true, Icon::ScrollText, "Show log", "The Serial log").clicked() {
                wishes.add(Wish::ShowLog(Pane::Serial));
            }
            if controls::button(ui, true, Icon::X, "Put away", "Not said again of this guest").clicked() {
                ui.data_mut(|data| data.insert_temp(away, guest.pid));
            }
        });
    });
}

fn give_3d(ui: &mut Ui, model: &Model, wishes: &mut Wishes) {
    let again = model.state.image && matches!(model.state.goal, Some(Goal::Up | Goal::Boot));
    let (words, hint) = match again {
        true => ("Give it 3D and boot again", "Sets guest.gpu to virtio-gl, ends this guest and boots the image again"),
        false => ("Give it 3D", "Sets guest.gpu to virtio-gl for the next boot"),
    };
    let (may, hint) = watching::may(model, hint);
    if controls::button(ui, may, Icon::Box, words, &hint).clicked() {
        wishes.send(Command::SetField { key: "guest.gpu".into(), value: "virtio-gl".into() });
        if again {
            wishes.send(Command::Ask(Goal::Boot));
        }
    }
}
