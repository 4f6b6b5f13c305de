//! What became of what a dialog asked for: it is waited for, and what has failed is said beside what was typed.

use egui::{Label, RichText, Ui};
use lucide_icons::Icon;

use super::controls;
use super::theme::Palette;
use super::words;
use crate::session::event::Failure;

/// How far that is.
#[derive(Debug, Default)]
pub(super) enum Asked {
    /// Nothing was asked for.
    #[default]
    Nothing,
    /// It has not come yet.
    Waiting,
    /// It came to nothing.
    Failed(Box<Failure>),
}

impl Asked {
    /// Whether it is waited for.
    pub(super) fn waits(&self) -> bool {
        matches!(self, Self::Waiting)
    }

    /// It has failed. Says whether it was waited for.
    pub(super) fn failed(&mut self, failure: &Failure) -> bool {
        let waits = self.waits();
        if waits {
            *self = Self::Failed(Box::new(failure.clone()));
        }
        waits
    }

    /// It is there, or everything has ended. Says whether it was waited for.
    pub(super) fn over(&mut self) -> bool {
        let waits = self.waits();
        if waits {
            *self = Self::Nothing;
        }
        waits
    }

    /// Says what has failed, if anything; `id` is of what is scrolled in it.
    pub(super) fn show(&self, ui: &mut Ui, id: &str) {
        let Self::Failed(failure) = self else { return };
        let palette = Palette::of(ui);
        ui.add_space(8.0);
        ui.horizontal(|ui| {
            ui.label(controls::icon(Icon::CircleX, 15.0).color(palette.error));
            ui.add(Label::new(RichText::new(&failure.title).color(palette.strong)).wrap());
        });
        if !failure.detail.is_empty() {
            controls::quote(ui, id, &failure.detail, 90.0);
        }
        if let Some(advice) = &failure.advice {
            ui.horizontal_top(|ui| {
                ui.label(controls::icon(Icon::Lightbulb, 14.0).color(palette.warning));
                let advice = RichText::new(words::sentence(advice)).color(palette.text);
                ui.add(Label::new(advice).wrap().selectable(true));
            });
        }
    }
}
