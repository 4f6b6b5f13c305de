//! One field of the form: label, control, unit, error, back to default. What is typed is a draft until the user pauses,
//! presses Enter or leaves the field; then the session is asked, and its answer replaces the draft.

use std::path::{Path, PathBuf};

use egui::{Align, Layout, RichText, TextEdit, Ui};
use isoprep::{EngineKind, FieldDoc, FieldKind};
use lucide_icons::Icon;

use super::controls;
use super::settings_engine;
use super::settings_items::{self, Items};
use super::settings_sections::ENGINE;
use super::theme::Palette;
use super::wish::{PickFor, Wish, Wishes};
use crate::session::Command;
use crate::session::event::FieldView;

/// A pause in typing after which the draft is sent, seconds.
const PAUSE: f64 = 0.4;

/// What is typed into one field.
#[derive(Debug, Default)]
pub struct Draft {
    text: String,
    /// When it was last typed into and not sent since, in egui's seconds.
    typed: Option<f64>,
    focused: bool,
    /// Of fields that hold several things.
    items: Items,
}

/// What is around a field.
#[derive(Clone, Copy, Debug)]
pub struct Around<'a> {
    /// Where paths are relative to; `None` when no picker can be opened.
    pub root: Option<&'a PathBuf>,
    /// The chosen engine.
    pub engine: Option<EngineKind>,
    /// Grows when the cartridge was told anew.
    pub generation: u64,
}

impl Draft {
    /// Whether it is typed and not sent yet.
    #[must_use]
    pub fn waiting(&self) -> bool {
        self.typed.is_some()
    }
}

/// Draws one field.
pub fn field(
    ui: &mut Ui,
    doc: &FieldDoc,
    view: &FieldView,
    draft: &mut Draft,
    around: Around<'_>,
    wishes: &mut Wishes,
) {
    let palette = Palette::of(ui);
    ui.push_id(doc.key, |ui| {
        ui.spacing_mut().item_spacing.y = 2.0;
        label(ui, doc, view, wishes);
        if !draft.focused && !draft.waiting() {
            draft.text.clone_from(&view.value);
        }
        let set = |value: String, wishes: &mut Wishes| {
            wishes.send(Command::SetField { key: doc.key.to_owned(), value });
        };
        match &doc.kind {
            FieldKind::Choice(options) if doc.key == ENGINE => {
                settings_engine::choice(ui, doc, options, view, wishes);
            }
            FieldKind::Choice(options) if options.len() <= 4 => {
                let chosen = options.iter().position(|option| *option == view.value);
                if let Some(at) = controls::segments(ui, doc.label, options, chosen) {
                    set(options[at].to_owned(), wishes);
                }
            }
            FieldKind::Choice(options) => {
                let mut value = view.value.clone();
                let shown = egui::ComboBox::from_id_salt("choice").selected_text(&view.value).icon(controls::chevron);
                let shown = shown.width(ui.available_width()).show_ui(ui, |ui| {
                    for option in *options {
                        if ui.selectable_value(&mut value, (*option).to_owned(), *option).clicked() {
                            // Enter closes it too, and not only a click.
                            ui.close();
                        }
                    }
                });
                shown.response.widget_info(|| {
                    let mut info = egui::WidgetInfo::labeled(egui::Role::ComboBox, true, doc.label);
                    info.current_text_value = Some(view.value.clone());
                    info
                });
                if value != view.value {
                    set(value, wishes);
                }
            }
            FieldKind::Switch => {
                let chosen = ["false", "true"].iter().position(|it| *it == view.value);
                if let Some(at) = controls::segments(ui, doc.label, &["off", "on"], chosen) {
                    // What is not set is off already.
                    set(if at == 1 { "true".to_owned() } else { String::new() }, wishes);
                }
            }
            FieldKind::Integer { min, max } => integer(ui, doc, view, draft, *min..=*max, wishes),
            FieldKind::Folder | FieldKind::File => path(ui, doc, view, draft, around, wishes),
            FieldKind::List | FieldKind::Map => {
                ui.spacing_mut().item_spacing.y = 3.0;
                settings_items::items(ui, (doc, view), &mut draft.items, around.generation, around.root, wishes);
            }
            FieldKind::Text | FieldKind::Size => {
                let width = ui.available_width().floor();
                typed(ui, doc, view, draft, width, wishes);
            }
        }
        if let Some(error) = &view.error {
            ui.add(egui::Label::new(RichText::new(error).small().color(palette.error)).wrap().selectable(true));
        }
    });
}

fn label(ui: &mut Ui, doc: &FieldDoc, view: &FieldView, wishes: &mut Wishes) {
    let palette = Palette::of(ui);
    let bad = view.error.is_some();
    ui.horizontal(|ui| {
        ui.set_height(18.0);
        ui.spacing_mut().interact_size.y = 18.0;
        let text = RichText::new(doc.label).size(13.0).color(if bad { palette.error } else { palette.text });
        let mut help = doc.doc.to_owned();
        for (what, words) in [("Default", doc.default), ("Range", doc.range), ("Unit", doc.unit)] {
            if !words.is_empty() {
                help.push_str(&format!("\n{what}: {words}"));
            }
        }
        help.push_str(&format!("\n{}", doc.key));
        ui.label(text).on_hover_text(help);
        if !doc.unit.is_empty() {
            ui.label(RichText::new(doc.unit).small().color(palette.dim));
        }
        if !view.is_default {
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                let name = format!("Reset {}", doc.label);
                let hint = if doc.default.is_empty() {
                    "Back to the default".to_owned()
                } else {
                    format!("Back to {}", doc.default)
                };
                ui.spacing_mut().button_padding.x = 3.0;
                let button = egui::Button::new(controls::icon(Icon::RotateCcw, 12.0).color(palette.dim))
                    .frame(true)
                    .frame_when_inactive(false)
                    .small();
                let response = ui.add(button).on_hover_text(hint);
                response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Button, true, name.as_str()));
                if response.clicked() {
                    wishes.send(Command::SetField { key: doc.key.to_owned(), value: String::new() });
                }
            });
        }
    });
}

fn typed(ui: &mut Ui, doc: &FieldDoc, view: &FieldView, draft: &mut Draft, width: f32, wishes: &mut Wishes) {
    let palette = Palette::of(ui);
    let hint = if doc.default.is_empty() { doc.range } else { doc.default };
    let response = ui
        .scope(|ui| {
            ui.spacing_mut().button_padding = egui::vec2(9.0, 6.0);
            if view.error.is_some() {
                let edge = egui::Stroke::new(1.0, palette.error);
                ui.visuals_mut().widgets.inactive.bg_stroke = edge;
                ui.visuals_mut().widgets.hovered.bg_stroke = edge;
            }
            let colour = if view.is_default { palette.dim } else { palette.text };
            let edit = TextEdit::singleline(&mut draft.text)
                .id_salt(doc.key)
                .hint_text(RichText::new(hint).color(palette.dim))
                .text_color(if draft.focused { palette.text } else { colour })
                .align(egui::Align2::LEFT_CENTER)
                .desired_width(width);
            ui.add(edit)
        })
        .inner
        .accessible_name(doc.label);
    let now = ui.input(|input| input.time);
    draft.focused = response.has_focus();
    if response.changed() {
        draft.typed = Some(now);
    }
    if let Some(at) = draft.typed {
        let left = at + PAUSE - now;
        if response.lost_focus() || left <= 0.0 {
            draft.typed = None;
            if draft.text != view.value {
                wishes.send(Command::SetField { key: doc.key.to_owned(), value: draft.text.clone() });
            }
        } else {
            ui.ctx().request_repaint_after(std::time::Duration::from_secs_f64(left.max(0.02)));
        }
    }
}

fn integer(
    ui: &mut Ui,
    doc: &FieldDoc,
    view: &FieldView,
    draft: &mut Draft,
    range: std::ops::RangeInclusive<i64>,
    wishes: &mut Wishes,
) {
    let value: Option<i64> = view.value.trim().parse().ok();
    ui.horizontal(|ui| {
        ui.spacing_mut().item_spacing.x = 4.0;
        let width = ui.available_width().floor() - 2.0 * 33.0;
        typed(ui, doc, view, draft, width, wishes);
        let mut nudge = |ui: &mut Ui, glyph, name: String, by: i64| {
            let next = value.map(|value| value.saturating_add(by)).filter(|value| range.contains(value));
            if controls::icon_button(ui, next.is_some(), glyph, &name, "").clicked()
                && let Some(next) = next
            {
                draft.typed = None;
                draft.focused = false;
                wishes.send(Command::SetField { key: doc.key.to_owned(), value: next.to_string() });
            }
        };
        nudge(ui, Icon::Minus, format!("{}: less", doc.label), -1);
        nudge(ui, Icon::Plus, format!("{}: more", doc.label), 1);
    });
}

fn path(ui: &mut Ui, doc: &FieldDoc, view: &FieldView, draft: &mut Draft, around: Around<'_>, wishes: &mut Wishes) {
    let Around { root, engine, .. } = around;
    let base = doc.key == "image.base";
    let by_name = base && !settings_engine::base_words(engine).is_empty();
    // A suite of Debian is no folder.
    let picked = !(base && engine == Some(EngineKind::Debian));
    ui.horizontal(|ui| {
        ui.spacing_mut().item_spacing.x = 4.0;
        let buttons = f32::from(u8::from(by_name) + u8::from(picked));
        let width = ui.available_width().floor() - 33.0 * buttons;
        typed(ui, doc, view, draft, width, wishes);
        if by_name {
            settings_engine::base_menu(ui, doc, engine, wishes);
        }
        if !picked {
            return;
        }
        let folder = matches!(doc.kind, FieldKind::Folder);
        let name = format!("Choose {}", doc.label);
        let hint = if root.is_some() { "" } else { super::picker::NO_PORTAL };
        let glyph = if folder { Icon::FolderOpen } else { Icon::FileSearch };
        if controls::icon_button(ui, root.is_some(), glyph, &name, hint).clicked() {
            let start = root.map(|root| root.join(Path::new(&view.value)));
            wishes.add(Wish::Pick(PickFor::Field { key: doc.key.to_owned(), folder, start }));
        }
    });
}
