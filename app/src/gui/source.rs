//! What changed in the repository since the guest saw it, and the button that brings it there.

use egui::Ui;
use lucide_icons::Icon;

use super::status::quiet_button;
use super::theme::Palette;
use super::wish::Wishes;
use super::words;
use crate::session::model::SourceView;
use crate::session::state::{Goal, Input};
use crate::session::way::Way;
use crate::session::{Command, Model};

/// How many changes the hint names.
const NAMED: usize = 12;

/// Whether something has changed that could be brought to the guest now.
#[must_use]
pub fn waiting(model: &Model) -> bool {
    model.source.as_ref().is_some_and(|source| {
        source.total > 0 && source.way != Way::Live && model.denied(Input::Ask(Goal::Up)).is_none()
    })
}

/// Draws it, where there is something.
pub fn show(ui: &mut Ui, model: &Model, wishes: &mut Wishes) {
    let Some((source, text)) = model.source.as_ref().and_then(|source| Some((source, source.words()?))) else { return };
    let palette = Palette::of(ui);
    let hint = hint(source);
    let waits = waiting(model);
    let colour = if waits { palette.accent } else { palette.dim };
    let response = quiet_button(ui, Icon::FilePenLine, &text, colour, &hint);
    if response.clicked() && waits {
        wishes.send(Command::BringIn);
    }
}

fn hint(source: &SourceView) -> String {
    let mut hint = format!("Press to bring them to the guest: {}. Ctrl+Shift+Enter", source.way.words());
    if source.way == Way::Live {
        hint = words::sentence(&format!("{}.", source.way.words()));
    }
    for change in source.changes.iter().take(NAMED) {
        let sign = match change.kind {
            isoprep::ChangeKind::Added => '+',
            isoprep::ChangeKind::Removed => '−',
            isoprep::ChangeKind::Changed => '~',
        };
        hint.push_str(&format!("\n{sign} {}", words::path(&change.path)));
    }
    let more = source.total.saturating_sub(NAMED);
    if more > 0 {
        hint.push_str(&format!("\n… and {} more", words::count(more as u64)));
    }
    hint
}
