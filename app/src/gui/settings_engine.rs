//! The choice of the engine, with what each is for; and the words that name a base without being a folder.

use egui::{AtomExt as _, RichText, Ui};
use isoprep::{EngineKind, FieldDoc};
use lucide_icons::Icon;

use super::controls;
use super::theme::Palette;
use super::wish::Wishes;
use crate::session::Command;
use crate::session::event::FieldView;

/// What an engine makes, in one line.
fn purpose(word: &str) -> &'static str {
    match EngineKind::ALL.into_iter().find(|engine| engine.word() == word) {
        Some(EngineKind::Micro) => "This machine's kernel and busybox.",
        Some(EngineKind::Archiso) => "An archiso profile, built here without root.",
        Some(EngineKind::Mkarchiso) => "An archiso profile, by the unmodified mkarchiso.",
        Some(EngineKind::Debian) => "A Debian suite with live-boot.",
        Some(EngineKind::Tree) => "A folder or tarball that is a root already.",
        None => "",
    }
}

/// Draws the choice.
pub(super) fn choice(ui: &mut Ui, doc: &FieldDoc, options: &[&str], view: &FieldView, wishes: &mut Wishes) {
    let palette = Palette::of(ui);
    ui.spacing_mut().button_padding.x = 9.0;
    let width = ui.available_width();
    let shown = egui::ComboBox::from_id_salt("choice")
        .selected_text(RichText::new(&view.value).color(palette.strong))
        .width(width)
        .icon(controls::chevron)
        .show_ui(ui, |ui| {
            ui.set_min_width(330.0);
            for option in options {
                let on = *option == view.value;
                let words = if purpose(option).is_empty() { (*option).to_owned() } else { purpose(option).to_owned() };
                let word = RichText::new(*option).color(palette.strong);
                let word = word.atom_size(egui::vec2(76.0, 18.0)).atom_align(egui::Align2::LEFT_CENTER);
                let line = egui::Button::selectable(on, (word, RichText::new(words).small().color(palette.dim)));
                let response = ui.add(line);
                let name = format!("{}: {option}", doc.label);
                response.widget_info(|| egui::WidgetInfo::selected(egui::Role::RadioButton, true, on, name.as_str()));
                if response.clicked() {
                    if !on {
                        wishes.send(Command::SetField { key: doc.key.to_owned(), value: (*option).to_owned() });
                    }
                    ui.close();
                }
            }
        });
    let name = doc.label;
    shown.response.widget_info(|| {
        let mut info = egui::WidgetInfo::labeled(egui::Role::ComboBox, true, name);
        info.current_text_value = Some(view.value.clone());
        info
    });
    if !purpose(&view.value).is_empty() {
        ui.add_space(1.0);
        ui.add(egui::Label::new(RichText::new(purpose(&view.value)).small().color(palette.dim)).wrap());
    }
}

/// The words that name a base of this engine.
#[must_use]
pub(super) fn base_words(engine: Option<EngineKind>) -> &'static [(&'static str, &'static str)] {
    match engine {
        Some(EngineKind::Archiso | EngineKind::Mkarchiso) => &[
            ("minimal", "A small profile that comes with Cartridge"),
            ("releng", "The profile of Arch's own image, of an installed archiso"),
            ("baseline", "The smallest profile of an installed archiso"),
        ],
        Some(EngineKind::Debian) => &[
            ("stable", "Debian's stable release"),
            ("testing", "What becomes the next one"),
            ("sid", "Debian unstable"),
        ],
        _ => &[],
    }
}

/// The button whose menu names bases.
pub(super) fn base_menu(ui: &mut Ui, doc: &FieldDoc, engine: Option<EngineKind>, wishes: &mut Wishes) {
    let response = controls::icon_button(ui, true, Icon::ChevronDown, &format!("{} by name", doc.label), "");
    egui::Popup::menu(&response).show(|ui| {
        ui.set_min_width(300.0);
        for (word, what) in base_words(engine) {
            let item = controls::menu_item(ui, true, None, word, what);
            if item.clicked() {
                wishes.send(Command::SetField { key: doc.key.to_owned(), value: (*word).to_owned() });
            }
        }
    });
}
