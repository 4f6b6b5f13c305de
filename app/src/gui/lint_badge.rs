//! What the lint says in two numbers, beside the buttons that build.

use egui::{Atoms, Button, RichText, Ui, vec2};
use lucide_icons::Icon;

use super::controls;
use super::lint_rows::Counts;
use super::panels::Panel;
use super::theme::Palette;
use super::wish::{Wish, Wishes};
use crate::session::Model;

/// Draws the badge, where there is something to say. A click opens the findings.
pub(super) fn show(ui: &mut Ui, model: &Model, counts: Counts, wishes: &mut Wishes) {
    let palette = Palette::of(ui);
    let failed = model.examination.as_ref().is_some_and(|seen| seen.failure.is_some());
    if model.examination.is_none() && !model.examining {
        return;
    }
    let mut atoms = Atoms::default();
    let mut add = |glyph: Icon, colour, count: u64| {
        atoms.push_right(controls::icon(glyph, 14.0).color(colour));
        if count > 0 {
            atoms.push_right(RichText::new(count.to_string()).size(13.0).color(colour));
        }
    };
    let words = if model.examination.is_none() {
        add(Icon::Hourglass, palette.dim, 0);
        "looking".to_owned()
    } else if failed {
        add(Icon::TriangleAlert, palette.warning, 0);
        "could not look".to_owned()
    } else {
        for (glyph, colour, count) in
            [(Icon::CircleX, palette.error, counts.errors), (Icon::TriangleAlert, palette.warning, counts.warnings)]
        {
            if count > 0 {
                add(glyph, colour, count);
            }
        }
        if counts.errors + counts.warnings == 0 {
            add(Icon::ShieldCheck, palette.success, 0);
        }
        counts.words()
    };
    let response = ui
        .scope(|ui| {
            ui.spacing_mut().button_padding = vec2(8.0, 6.0);
            ui.spacing_mut().icon_spacing = 4.0;
            ui.add(Button::new(atoms).frame(true).frame_when_inactive(false))
        })
        .inner;
    response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Button, true, format!("Lint: {words}")));
    if response.on_hover_text(format!("Lint: {words}\nCtrl+5")).clicked() {
        wishes.add(Wish::ShowPanel(Panel::Lint));
    }
}
