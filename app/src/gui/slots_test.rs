//! Tests, in the panel of slots: running one warm, on every save, or from a cold boot, and how the last one went.

use egui::{Button, Frame, Label, Margin, RichText, Role, Ui, WidgetInfo};
use lucide_icons::Icon;

use super::controls;
use super::theme::Palette;
use super::wish::Wishes;
use super::words;
use crate::session::state::{Goal, Input};
use crate::session::{Command, Model, WRITE_STEPS};

/// The slot that the cartridge's tests start from.
#[must_use]
pub fn slot(model: &Model) -> Option<&str> {
    set(model, "test.slot")
}

/// What the cartridge sets a field to, if it does.
fn set<'a>(model: &'a Model, key: &str) -> Option<&'a str> {
    let fields = &model.cartridge.as_ref()?.fields;
    let value = fields.iter().find(|field| field.key == key)?.value.as_str();
    (!value.is_empty()).then_some(value)
}

/// Why there is nothing that a test could do, with what to write; a cold one does also what comes before the slot's moment.
fn nothing(model: &Model, warm: bool) -> Option<String> {
    let some = set(model, "test.steps").is_some() || (!warm && set(model, "test.before").is_some());
    (!some).then(|| words::sentence(&format!("there is nothing to test: {WRITE_STEPS}.")))
}

/// The buttons, right to left.
pub(super) fn buttons(ui: &mut Ui, model: &Model, wishes: &mut Wishes) {
    let denied = |goal| model.denied(Input::Ask(goal)).map(|it| words::sentence(&format!("{it}.")));
    let hint = "Builds, boots cold and does the whole test: that proves it.";
    let why = nothing(model, false).or_else(|| denied(Goal::Up));
    if controls::button(ui, why.is_none(), Icon::BadgeCheck, "Prove", why.as_deref().unwrap_or(hint)).clicked() {
        wishes.send(Command::RunTest { warm: false });
    }
    let unnamed = || "Name a slot to start from first: the flask on its card.".to_owned();
    let warm = match (nothing(model, true), slot(model)) {
        (Some(nothing), _) => Err(nothing),
        (None, None) => Err(unnamed()),
        (None, Some(_)) => denied(Goal::Restore).map_or(Ok(()), Err),
    };
    live(ui, model.live, warm.as_ref().err().map(String::as_str), wishes);
    if model.test.as_ref().is_some_and(|test| test.ended.is_none()) {
        if controls::button(ui, true, Icon::Square, "Stop", "Stops the test; a guest that is up goes on. Esc").clicked()
        {
            wishes.send(Command::Cancel);
        }
        return;
    }
    let hint = "Restores the tests' slot, brings the repository as it is now into it, and does the steps. Ctrl+R";
    let why = warm.as_ref().err().map_or(hint, String::as_str);
    if controls::button(ui, warm.is_ok(), Icon::FlaskConical, "Run", why).clicked() {
        wishes.send(Command::RunTest { warm: true });
    }
}

/// The switch for tests on every save.
fn live(ui: &mut Ui, on: bool, denied: Option<&str>, wishes: &mut Wishes) {
    let palette = Palette::of(ui);
    // What is on can always be switched off.
    let enabled = on || denied.is_none();
    let glyph = if on { Icon::ToggleRight } else { Icon::ToggleLeft };
    let icon = controls::icon(glyph, 16.0);
    let icon = if on { icon.color(palette.accent) } else { icon };
    let response = ui.add_enabled(enabled, Button::new((icon, "Live")));
    response.widget_info(|| WidgetInfo::selected(Role::Button, enabled, on, "Live tests"));
    let hint = denied.filter(|_| !enabled).unwrap_or("Runs the warm test now, and again whenever a file is saved.");
    if response.on_hover_text(hint).on_disabled_hover_text(hint).clicked() {
        wishes.send(Command::SetLive(!on));
    }
}

/// How the test goes, or how the last one went; nothing where none was run.
pub(super) fn line(ui: &mut Ui, model: &Model) {
    let Some(test) = &model.test else { return };
    let palette = Palette::of(ui);
    let (glyph, colour, text) = match (&test.ended, &test.step) {
        (Some((true, words)), _) => (Icon::CircleCheck, palette.success, words.clone()),
        (Some((false, words)), _) => (Icon::CircleX, palette.error, words.clone()),
        (None, Some((number, total, step))) => {
            (Icon::CircleDot, palette.accent, format!("Step {number} of {total}: {step}"))
        }
        (None, None) if test.warm => (Icon::CircleDot, palette.accent, "The guest is restored".to_owned()),
        (None, None) => (Icon::CircleDot, palette.accent, "The guest is built and booted".to_owned()),
    };
    let passed = test.ended.as_ref().is_some_and(|(passed, _)| *passed);
    let kind = match (test.warm, passed) {
        (true, _) => "warm",
        (false, true) => "proven",
        (false, false) => "cold",
    };
    Frame::new().inner_margin(Margin { left: 16, right: 14, top: 8, bottom: 0 }).show(ui, |ui| {
        ui.horizontal_top(|ui| {
            ui.spacing_mut().item_spacing.x = 8.0;
            ui.label(controls::icon(glyph, 15.0).color(colour));
            Frame::new().fill(palette.raised).corner_radius(4).inner_margin(Margin::symmetric(6, 1)).show(ui, |ui| {
                ui.label(RichText::new(kind).size(12.0).color(palette.strong));
            });
            ui.add(Label::new(RichText::new(text).size(13.0).color(palette.text)).wrap().selectable(true));
        });
    });
}

/// Marks a guest that came from a slot, in the bar at the top.
pub(super) fn warm(ui: &mut Ui, model: &Model) {
    let guest = model.guest.as_ref().filter(|_| model.guest_runs());
    let Some(name) = guest.and_then(|guest| guest.slot.as_ref()) else { return };
    if ui.available_width() < 84.0 {
        return;
    }
    let hint = format!("The guest came from the slot \"{name}\": what runs before that moment was not tried.");
    let name = format!("Warm: from the slot {name}");
    controls::pill(ui, Palette::of(ui).warning, "warm", &name).on_hover_text(hint);
}
