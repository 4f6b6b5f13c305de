//! What was found in a repository without a `cartridge.toml`, before it is written: a line for each setting as in a diff,
//! with the reason and the files that say so, and what should be known first.

use std::path::PathBuf;

use egui::{Align, Frame, Label, Layout, Margin, RichText, ScrollArea, Ui, vec2};
use isoprep::{Proposed, ProposedKind};
use lucide_icons::Icon;

use super::controls;
use super::list_keys;
use super::theme::{self, Palette};
use super::wish::{Wish, Wishes};
use super::words;
use crate::session::Command;
use crate::session::event::CartridgeView;

/// The widest list, points: longer lines are hard to read.
const WIDEST: f32 = 860.0;

const ASSUMED: &str = "Likely, or the best that there is; the repository does not say it outright.";
const EDITED: &str = "Not what was proposed: this is what is written.";
const DROPPED: &str = "It was proposed, and is not written.";

/// Whether this cartridge is a proposal with something to show.
#[must_use]
pub(super) fn waits(cartridge: &CartridgeView) -> bool {
    !cartridge.exists && !cartridge.builtin && !cartridge.proposed.is_empty()
}

/// Draws the proposal over the whole area.
pub(super) fn show(ui: &mut Ui, cartridge: &CartridgeView, wishes: &mut Wishes) {
    let area = ui.max_rect();
    let width = area.width().min(WIDEST);
    let place = egui::Rect::from_center_size(area.center(), vec2(width, area.height())).shrink2(vec2(20.0, 12.0));
    let mut ui = ui.new_child(egui::UiBuilder::new().id_salt("proposal").max_rect(place));
    head(&mut ui, cartridge, wishes);
    let ui = &mut ui;
    ui.add_space(4.0);
    let list = list_keys::stop(ui, ui.available_rect_before_wrap().expand(6.0), "list", egui::Role::List, "Proposal");
    list_keys::outline(ui, &list);
    let scroll = list_keys::scrolled(ui, &list);
    ScrollArea::vertical().id_salt("proposed").auto_shrink(false).show(ui, |ui| {
        ui.scroll_with_delta(vec2(0.0, -scroll));
        ui.set_width(ui.available_width() - 10.0);
        ui.spacing_mut().item_spacing.y = 6.0;
        for warning in cartridge.proposed.iter().filter(|it| it.kind == ProposedKind::Warning) {
            known(ui, warning, wishes);
        }
        for finding in &cartridge.findings {
            let words = format!("{}: {}", finding.key, finding.message);
            boxed(ui, Icon::CircleX, Palette::of(ui).error, &words, &sentence(&finding.advice, &[]));
        }
        ui.add_space(2.0);
        for group in cartridge.proposed.chunk_by(same).filter(|it| it[0].kind != ProposedKind::Warning) {
            setting(ui, group);
        }
        ui.add_space(8.0);
    });
}

fn head(ui: &mut Ui, cartridge: &CartridgeView, wishes: &mut Wishes) {
    let palette = Palette::of(ui);
    ui.horizontal(|ui| {
        controls::badge(ui, Icon::FilePlus2, palette.accent);
        ui.add_space(4.0);
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            let hint =
                format!("Writes {}. Nothing else of the repository is touched. Ctrl+S", cartridge.file.display());
            if controls::accent_button(ui, true, Icon::Save, "Save cartridge.toml", &hint).clicked() {
                wishes.send(Command::Save);
            }
            ui.with_layout(Layout::top_down(Align::LEFT), |ui| {
                ui.spacing_mut().item_spacing.y = 2.0;
                let title = RichText::new("This cartridge.toml is proposed").text_style(theme::title());
                ui.add(Label::new(title.color(palette.strong)).truncate());
                let words = "Found in the repository. Nothing is written until you save it; change it on the left.";
                ui.add(Label::new(RichText::new(words).small().color(palette.dim)).wrap());
            });
        });
    });
}

/// Items of one list that have one reason are one entry.
fn same(a: &Proposed, b: &Proposed) -> bool {
    (&a.key, &a.item, &a.why, a.kind) == (&b.key, &b.item, &b.why, b.kind) && a.kind != ProposedKind::Warning
}

/// What should be known, and the command that helps.
fn known(ui: &mut Ui, it: &Proposed, wishes: &mut Wishes) {
    let palette = Palette::of(ui);
    let why = it
        .command
        .as_ref()
        .map_or(it.why.clone(), |command| it.why.replace(&format!(": {command}"), " the command below"));
    boxed(ui, Icon::TriangleAlert, palette.warning, &sentence(&why, &it.from), "");
    let Some(command) = &it.command else { return };
    ui.horizontal(|ui| {
        ui.add_space(24.0);
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            let name = format!("Copy {command}");
            if controls::icon_button(ui, true, Icon::Copy, &name, "").clicked() {
                wishes.add(Wish::Copy(command.clone()));
            }
            ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
                let frame = Frame::new().fill(palette.panel).corner_radius(5).inner_margin(Margin::symmetric(9, 5));
                frame.show(ui, |ui| {
                    ui.set_width(ui.available_width());
                    let text = RichText::new(command).monospace().size(12.5).color(palette.text);
                    ui.add(Label::new(text).wrap().selectable(true));
                });
            });
        });
    });
}

fn boxed(ui: &mut Ui, glyph: Icon, colour: egui::Color32, words: &str, advice: &str) {
    let palette = Palette::of(ui);
    ui.horizontal_top(|ui| {
        ui.label(controls::icon(glyph, 14.0).color(colour));
        ui.vertical(|ui| {
            ui.spacing_mut().item_spacing.y = 2.0;
            ui.add(Label::new(RichText::new(words).size(13.5).color(palette.text)).wrap().selectable(true));
            if !advice.is_empty() {
                ui.add(Label::new(RichText::new(advice).small().color(palette.dim)).wrap());
            }
        });
    });
}

fn setting(ui: &mut Ui, group: &[Proposed]) {
    let palette = Palette::of(ui);
    let Some(first) = group.first() else { return };
    let (sign, colour, mark) = match first.kind {
        ProposedKind::Found | ProposedKind::Warning => ("+", palette.success, None),
        ProposedKind::Assumed => ("+", palette.success, Some(("assumed", palette.warning, ASSUMED))),
        ProposedKind::Edited => ("~", palette.accent, Some(("edited", palette.accent, EDITED))),
        ProposedKind::Dropped => ("−", palette.error, Some(("dropped", palette.error, DROPPED))),
    };
    let dropped = first.kind == ProposedKind::Dropped;
    ui.horizontal_top(|ui| {
        let mono = |text: &str, colour| RichText::new(text).monospace().size(13.0).color(colour);
        ui.label(mono(sign, colour));
        ui.vertical(|ui| {
            ui.spacing_mut().item_spacing.y = 1.0;
            ui.spacing_mut().interact_size.y = 17.0;
            ui.horizontal_wrapped(|ui| {
                ui.spacing_mut().item_spacing.x = 0.0;
                let key = first.item.as_ref().map_or(first.key.clone(), |item| format!("{} {item}", first.key));
                ui.label(mono(&key, palette.strong));
                ui.label(mono(" = ", palette.dim));
                let values: Vec<&str> = group.iter().map(|it| it.value.as_str()).collect();
                let values = values.join(", ");
                let shown = mono(&values, if dropped { palette.dim } else { colour });
                let shown = if dropped { shown.strikethrough() } else { shown };
                let label = ui.add(Label::new(shown).wrap().selectable(true));
                let word = match first.kind {
                    ProposedKind::Edited => "Edited",
                    ProposedKind::Dropped => "Dropped",
                    _ => "Proposed",
                };
                let name = format!("{word} {key} = {values}");
                label.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Label, true, name.as_str()));
                if let Some((word, colour, hint)) = mark {
                    ui.add_space(8.0);
                    ui.label(RichText::new(word).small().color(colour)).on_hover_text(hint);
                }
            });
            let mut why = sentence(&first.why, &first.from);
            let from: Vec<String> = first.from.iter().map(|path| path.display().to_string()).collect();
            let from: Vec<&String> = from.iter().filter(|path| !path.is_empty() && !why.contains(*path)).collect();
            if !from.is_empty() {
                let names: Vec<&str> = from.iter().map(|path| path.as_str()).collect();
                why += &format!(" ({})", names.join(", "));
            }
            ui.add(Label::new(RichText::new(why).small().color(palette.dim)).wrap().selectable(true));
        });
    });
}

/// Reasons begin small, as parts of a longer sentence. The files and folders of the reason keep their letters.
fn sentence(reason: &str, names: &[PathBuf]) -> String {
    let first = reason.split(' ').next().unwrap_or_default();
    if names.iter().any(|name| name.as_os_str() == first) { reason.to_owned() } else { words::sentence(reason) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_begin_with_a_capital_and_names_keep_theirs() {
        assert_eq!(sentence("the one for a network", &[]), "The one for a network");
        assert_eq!(sentence("themes is a submodule", &["themes".into()]), "themes is a submodule");
    }
}
