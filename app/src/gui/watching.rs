//! The bar of a window that watches: whose session is seen, how that stands, and the way out.

use egui::{Align, Layout, RichText, Ui};
use lucide_icons::Icon;

use super::controls;
use super::theme::Palette;
use super::wish::{Wish, Wishes};
use super::words;
use crate::session::Model;
use crate::session::onlooker::{WatchEnd, WatchedView};

/// Its height, points.
pub(super) const BAR: f32 = 40.0;

/// Draws the bar's contents.
pub(super) fn bar(ui: &mut Ui, watched: &WatchedView, wishes: &mut Wishes) {
    let palette = Palette::of(ui);
    let (glyph, colour) = match (&watched.ended, watched.stopped) {
        (Some(WatchEnd::LetGo), _) => (Icon::CircleCheck, palette.success),
        (Some(WatchEnd::Gone { .. }), _) | (None, true) => (Icon::TriangleAlert, palette.warning),
        (None, false) => (Icon::Eye, palette.accent),
    };
    ui.horizontal_centered(|ui| {
        ui.label(controls::icon(glyph, 16.0).color(colour));
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            let (glyph, name, hint) = match watched.ended {
                None => (Icon::EyeOff, "Stop watching", "Shows your own session again; what you watched goes on."),
                Some(_) => (
                    Icon::CircleArrowDown,
                    "Use it here",
                    "Shows your own session again, with the cartridge to be used.",
                ),
            };
            if controls::button(ui, true, glyph, name, hint).clicked() {
                wishes.add(Wish::Watch(false));
            }
            ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
                let text = words::sentence(&format!("{}.", watched.words()));
                let shown = RichText::new(&text).size(13.0).color(palette.text);
                ui.add(egui::Label::new(shown).truncate()).on_hover_text(text);
            });
        });
    });
}

/// What is said in place of what is done there: it is not seen yet, or nothing more of it is.
pub(super) fn unseen(model: &Model, watched: &WatchedView) -> Option<(&'static str, String)> {
    match &watched.ended {
        Some(WatchEnd::Gone { why }) => Some(("Nothing more is to be seen", words::sentence(&format!("{why}.")))),
        None if model.logs.as_os_str().is_empty() => {
            Some(("Nothing is to be seen yet", format!("Waiting for {} to show what it does.", watched.holder.name())))
        }
        _ => None,
    }
}

/// Whether what would change something can be pressed, and what is said of it: `hint`, or why not.
pub(super) fn may(model: &Model, hint: &str) -> (bool, String) {
    match &model.watched {
        None => (true, hint.to_owned()),
        Some(watched) => (false, words::sentence(&format!("{}.", watched.why_not()))),
    }
}

/// The button on the card of a cartridge that is in use.
pub(super) fn offer(ui: &mut Ui, model: &Model, wishes: &mut Wishes) {
    let Some(holder) = &model.in_use else { return };
    let can = holder.socket.is_some();
    let hint = match can {
        true => "Shows in this window what is done there: stages, logs and the guest's screen. Nothing can be changed.",
        false => "It is an older Cartridge, or has no private runtime folder.",
    };
    if controls::button(ui, can, Icon::Eye, "Watch", hint).clicked() {
        wishes.add(Wish::Watch(true));
    }
}
