//! What an eject has left because somebody uses it: who that is, and whether they are to be ended.

use std::path::Path;

use egui::{Align, Label, Layout, RichText, Ui};
use isoprep::{Holder, Remaining};
use lucide_icons::Icon;

use super::app::App;
use super::controls;
use super::dialogs::danger_button;
use super::theme::Palette;
use super::wish::{Dialog, Wish, Wishes};
use super::words;
use crate::session::state::Phase;
use crate::session::{Command, Event, Model};

/// Draws the question; `closing` where it is asked because the window was to be closed.
pub(super) fn show(ui: &mut Ui, model: &Model, closing: bool, wishes: &mut Wishes) {
    let palette = Palette::of(ui);
    let Some(unfinished) = model.unfinished.as_ref().filter(|it| !it.held.is_empty()) else {
        // An eject is under way again, or has removed it.
        return wishes.add(Wish::CloseDialog);
    };
    let agreed = unfinished.endable();
    ui.add_space(2.0);
    let words = match agreed.len() {
        0 => "Something uses what was to be removed, and Cartridge may not end it. Nothing in it was deleted.",
        1 => {
            "A program uses what was to be removed. Nothing in it was deleted. It may be yours, and have unsaved work."
        }
        _ => {
            "Programs use what was to be removed. Nothing in it was deleted. They may be yours, and have unsaved work."
        }
    };
    ui.add(Label::new(RichText::new(words).color(palette.text)).wrap());
    ui.add_space(4.0);
    egui::Frame::new().fill(palette.sunken).corner_radius(6).inner_margin(12).show(ui, |ui| {
        ui.set_width(ui.available_width());
        egui::ScrollArea::vertical().id_salt("held").max_height(300.0).show(ui, |ui| {
            ui.spacing_mut().item_spacing.y = 3.0;
            for (index, held) in unfinished.held.iter().enumerate() {
                if index > 0 {
                    ui.add_space(8.0);
                }
                one(ui, palette, held);
            }
        });
    });
    ui.add_space(10.0);
    if closing {
        let words = "Close the window again to leave it where it is. The next start of Cartridge goes on with it, and so does: cartridge eject";
        ui.add(Label::new(RichText::new(words).small().color(palette.dim)).wrap().selectable(true));
        ui.add_space(4.0);
    }
    ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
        if !agreed.is_empty() {
            let name = match (agreed.len(), closing) {
                (1, false) => "End it and eject again",
                (1, true) => "End it and close",
                (_, false) => "End them and eject again",
                (_, true) => "End them and close",
            };
            if danger_button(ui, Icon::OctagonX, name).clicked() {
                wishes.send(Command::EjectEnding { agreed });
                answered(closing, wishes);
            }
        }
        let again = controls::button(ui, true, Icon::RotateCcw, "Try again", "Ejects again, and ends nobody else.");
        if ui.memory(|memory| memory.focused()).is_none() {
            again.request_focus();
        }
        if again.clicked() {
            wishes.send(Command::Eject(unfinished.scope));
            answered(closing, wishes);
        }
        if ui.button(if closing { "Leave it and close" } else { "Leave it" }).clicked() {
            wishes.add(if closing { Wish::LeaveHeld } else { Wish::CloseDialog });
        }
    });
}

/// The dialog goes; whoever was closing the window still is.
fn answered(closing: bool, wishes: &mut Wishes) {
    wishes.add(Wish::CloseDialog);
    if closing {
        wishes.add(Wish::GoOnClosing);
    }
}

/// A mount or a loop device, and its holders.
fn one(ui: &mut Ui, palette: &Palette, held: &Remaining) {
    let path = RichText::new(words::path(&held.path)).monospace().size(12.0).color(palette.strong);
    ui.add(Label::new(path).wrap().selectable(true));
    let why = format!("{}: {}", held.what, held.why);
    ui.add(Label::new(RichText::new(why).small().color(palette.dim)).wrap().selectable(true));
    for holder in &held.holders {
        ui.horizontal_top(|ui| {
            let (glyph, colour) = match holder.spared {
                None => (Icon::TriangleAlert, palette.warning),
                Some(_) => (Icon::Lock, palette.dim),
            };
            ui.label(controls::icon(glyph, 14.0).color(colour));
            ui.add(Label::new(RichText::new(named(holder, &held.path)).color(palette.text)).wrap().selectable(true));
        });
    }
    if let Some(advice) = held.advice.as_ref().filter(|_| held.holders.is_empty()) {
        let words = format!("No program that you may look at holds it. Try: {advice}");
        ui.add(Label::new(RichText::new(words).small().color(palette.text)).wrap().selectable(true));
    }
}

/// A holder in words: "bash, process 4711, works in it". Where it is is said above.
fn named(holder: &Holder, at: &Path) -> String {
    let spared = holder.spared.as_ref().map_or_else(String::new, |why| format!(". It is not ended: {why}"));
    let at = at.display().to_string();
    let how = holder.how.replace(&format!("{at}/"), "…/").replace(&at, "it");
    format!("{}, process {}, {how}{spared}", holder.command, holder.pid)
}

impl App {
    /// Who started the window in a terminal reads there what it has left.
    pub(super) fn say_what_is_left(&self) {
        for held in self.model.unfinished.iter().flat_map(|it| &it.held) {
            crate::cli::print::err(&format!("Left, since it is in use: {held}"));
        }
    }

    /// Who holds something is asked about once the session is idle again: what is waiting behind an eject goes first.
    /// Whoever was closing the window is asked the same.
    pub(super) fn follow_held(&mut self, event: &Event) {
        let held = self.model.unfinished.as_ref().is_some_and(|it| !it.held.is_empty());
        if !matches!(event, Event::StateChanged { state } if state.phase == Phase::Idle) {
            return;
        }
        if held {
            self.leaving |= self.closing.take().is_some();
            self.dialog = Some(Dialog::Held);
        } else if std::mem::take(&mut self.leaving) {
            self.end_with(Command::QuitUnlessHeld);
        }
    }
}
