//! Fields that hold several things: a list as rows that can be moved, or as chips where items are short words; a table as
//! rows of name and value. What is changed is sent whole; what is typed, after a pause.

use std::path::PathBuf;

use egui::{RichText, TextEdit, Ui, vec2};
use isoprep::{FieldDoc, FieldKind};
use lucide_icons::Icon;

use super::controls;
use super::settings_values::{Act, Item, done, read, written};
use super::theme::Palette;
use super::wish::{PickFor, Wish, Wishes};
use crate::session::Command;
use crate::session::event::FieldView;

/// A pause in typing after which the items are sent, seconds.
const PAUSE: f64 = 0.6;
/// Width of the small buttons of a row, points.
const SMALL: f32 = 24.0;

/// What is shown of a field with several things.
#[derive(Debug, Default)]
pub struct Items {
    items: Vec<Item>,
    /// The row under the list, which becomes an item.
    fresh: Item,
    /// When they were last typed into and not sent since, in egui's seconds.
    typed: Option<f64>,
    focused: bool,
    /// The generation of the cartridge that they were read from.
    read: Option<u64>,
    /// The value is written in a way that is no plain list or table.
    strange: bool,
}

/// Draws a list or a table. `generation` grows when the cartridge was told anew; `root` is where a picked folder is
/// relative to, `None` where none can be picked.
pub fn items(
    ui: &mut Ui,
    (doc, view): (&FieldDoc, &FieldView),
    state: &mut Items,
    generation: u64,
    root: Option<&PathBuf>,
    wishes: &mut Wishes,
) {
    if state.read != Some(generation) && !state.focused && state.typed.is_none() {
        match read(doc.kind, if view.is_default { "" } else { &view.value }) {
            Some(items) => (state.items, state.strange) = (items, false),
            None => state.strange = true,
        }
        state.read = Some(generation);
    }
    let palette = Palette::of(ui);
    if state.strange {
        let words = "Written in a way that is no plain list: change it in the text.";
        ui.add(egui::Label::new(RichText::new(&view.value).monospace().size(12.0).color(palette.text)).wrap());
        ui.label(RichText::new(words).small().color(palette.dim));
        return;
    }
    let mut act = None;
    let before = std::mem::take(&mut state.focused);
    let chips = doc.key == "image.packages";
    if chips {
        self::chips(ui, doc, &state.items, &mut act);
    } else {
        for at in 0..state.items.len() {
            row(ui, doc, state, at, &mut act);
        }
    }
    fresh(ui, doc, view, state, root, chips, &mut act, wishes);
    let now = ui.input(|input| input.time);
    let send = match act {
        Some(act) => {
            done(&mut state.items, act);
            true
        }
        None => state.typed.is_some_and(|at| now - at >= PAUSE) || (before && !state.focused && state.typed.is_some()),
    };
    if send {
        state.typed = None;
        wishes.send(Command::SetField { key: doc.key.to_owned(), value: written(doc, &state.items) });
    } else if let Some(at) = state.typed {
        let left = (at + PAUSE - now).max(0.02);
        ui.ctx().request_repaint_after(std::time::Duration::from_secs_f64(left));
    }
}

/// Items as small words with a cross.
fn chips(ui: &mut Ui, doc: &FieldDoc, items: &[Item], act: &mut Option<Act>) {
    let palette = Palette::of(ui);
    if items.is_empty() {
        return;
    }
    ui.add_space(2.0);
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing = vec2(4.0, 4.0);
        ui.spacing_mut().button_padding = vec2(7.0, 2.0);
        ui.spacing_mut().interact_size.y = 24.0;
        ui.spacing_mut().icon_spacing = 5.0;
        for (at, (_, value)) in items.iter().enumerate() {
            let cross = controls::icon(Icon::X, 11.0).color(palette.dim);
            let response = ui.add(egui::Button::new((RichText::new(value).size(13.0), cross)));
            let name = format!("Remove {value} from {}", doc.label);
            response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Button, true, name.as_str()));
            if response.on_hover_text(name).clicked() {
                *act = Some(Act::Remove(at));
            }
        }
    });
    ui.add_space(2.0);
}

/// An item that can be edited, moved where the order counts, and removed.
fn row(ui: &mut Ui, doc: &FieldDoc, state: &mut Items, at: usize, act: &mut Option<Act>) {
    let ordered = matches!(doc.key, "image.overlays" | "guest.qemu_args") && state.items.len() > 1;
    let map = doc.kind == FieldKind::Map;
    ui.horizontal(|ui| {
        ui.spacing_mut().item_spacing.x = 3.0;
        let buttons = if ordered { 2.0 } else { 1.0 };
        let width = (ui.available_width() - buttons * (SMALL + 3.0)).floor() - 2.0;
        let (name, value) = &mut state.items[at];
        let number = at + 1;
        let mut changed = false;
        let mut touched = |response: &egui::Response| {
            changed |= response.changed();
            state.focused |= response.has_focus();
        };
        if map {
            let half = ((width - 3.0) * name_share(doc)).floor();
            touched(&edit(ui, name, half, "", &format!("{} {number}: name", doc.label)));
            touched(&edit(ui, value, width - 3.0 - half, "", &format!("{} {number}: value", doc.label)));
        } else {
            touched(&edit(ui, value, width, "", &format!("{} {number}", doc.label)));
        }
        if changed {
            state.typed = Some(ui.input(|input| input.time));
        }
        if ordered {
            let name = format!("{} {number}: earlier", doc.label);
            if small(ui, at > 0, Icon::ArrowUp, &name, hint_of_order(doc)) {
                *act = Some(Act::Up(at));
            }
        }
        if small(ui, true, Icon::X, &format!("{} {number}: remove", doc.label), "") {
            *act = Some(Act::Remove(at));
        }
    });
}

/// The row that becomes an item.
#[allow(clippy::too_many_arguments, reason = "one field's worth of facts")]
fn fresh(
    ui: &mut Ui,
    doc: &FieldDoc,
    view: &FieldView,
    state: &mut Items,
    root: Option<&PathBuf>,
    chips: bool,
    act: &mut Option<Act>,
    wishes: &mut Wishes,
) {
    let map = doc.kind == FieldKind::Map;
    let folders = doc.key == "image.overlays";
    ui.horizontal(|ui| {
        ui.spacing_mut().item_spacing.x = 3.0;
        let buttons = if folders { 2.0 } else { 1.0 };
        let width = (ui.available_width() - buttons * (SMALL + 3.0)).floor() - 2.0;
        let (name, value) = &mut state.fresh;
        let mut entered = false;
        let mut heard = |ui: &Ui, response: &egui::Response| {
            entered |= response.lost_focus() && ui.input(|input| input.key_pressed(egui::Key::Enter));
        };
        let (hint_name, hint_value) = hints(doc);
        if map {
            let half = ((width - 3.0) * name_share(doc)).floor();
            let response = edit(ui, name, half, hint_name, &format!("New name for {}", doc.label));
            heard(ui, &response);
            let response = edit(ui, value, width - 3.0 - half, hint_value, &format!("New value for {}", doc.label));
            heard(ui, &response);
        } else {
            let response = edit(ui, value, width, hint_value, &format!("New item for {}", doc.label));
            heard(ui, &response);
        }
        let ready = !value.trim().is_empty() && (!map || !name.trim().is_empty());
        entered |= small(ui, ready, Icon::Plus, &format!("Add to {}", doc.label), "Enter");
        if entered && ready {
            let words = std::mem::take(value);
            let name = std::mem::take(name).trim().to_owned();
            *act = Some(Act::Add(if chips {
                let split = words.split([',', ' ', '\n', '\t']).filter(|word| !word.is_empty());
                split.map(|word| (String::new(), word.to_owned())).collect()
            } else {
                vec![(name, words.trim().to_owned())]
            }));
        }
        if folders {
            let hint = if root.is_some() { "" } else { super::picker::NO_PORTAL };
            if small(ui, root.is_some(), Icon::FolderOpen, &format!("Choose {}", doc.label), hint) {
                let last = state.items.last().map_or("", |(_, value)| value.as_str());
                let start = root.map(|root| root.join(last));
                wishes.add(Wish::Pick(PickFor::Item { key: view.key.clone(), start }));
            }
        }
    });
}

/// What the order of the items means.
fn hint_of_order(doc: &FieldDoc) -> &'static str {
    if doc.key == "image.overlays" {
        "Later ones replace files of earlier ones."
    } else {
        "The words go to QEMU in this order."
    }
}

/// What the row for a new item shows while it is empty.
fn hints(doc: &FieldDoc) -> (&'static str, &'static str) {
    match doc.key {
        "image.overlays" => ("", "a folder to lay over the base"),
        "image.remove" => ("", "a path like airootfs/etc/motd"),
        "image.packages" => ("", "names, with a space between"),
        "source.exclude" => ("", "a pattern, as in .gitignore"),
        "image.files" => ("/in/the/guest", "file"),
        "image.env" => ("NAME", "value"),
        "guest.forward" => ("ssh", "auto or a port"),
        "guest.disks" => ("name", "20G, 20G keep or a file"),
        "guest.usb" => ("", "vendor:product, as lsusb shows it"),
        "guest.qemu_args" => ("", "one word, like -device"),
        _ => ("name", "value"),
    }
}

/// How much of a row the name has.
fn name_share(doc: &FieldDoc) -> f32 {
    match doc.key {
        "image.env" => 0.6,
        "guest.forward" => 0.4,
        "guest.disks" => 0.35,
        _ => 0.5,
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "some tens of letters")]
fn edit(ui: &mut Ui, text: &mut String, width: f32, hint: &str, name: &str) -> egui::Response {
    let palette = Palette::of(ui);
    ui.scope(|ui| {
        ui.spacing_mut().button_padding = vec2(7.0, 4.0);
        ui.spacing_mut().interact_size.y = 27.0;
        let edit = TextEdit::singleline(text)
            .id_salt(name)
            .hint_text(RichText::new(hint).size(12.5).color(palette.dim))
            .font(egui::FontId::proportional(12.5))
            .text_color(palette.text)
            .align(egui::Align2::LEFT_CENTER)
            .desired_width(width);
        let response = ui.add(edit);
        // What is longer than its field is seen without scrolling in it.
        let long = text.chars().count() > (width / 7.0) as usize;
        if response.hovered() && long { response.on_hover_text(text.as_str()) } else { response }
    })
    .inner
    .accessible_name(name)
}

fn small(ui: &mut Ui, enabled: bool, glyph: Icon, name: &str, hint: &str) -> bool {
    let palette = Palette::of(ui);
    ui.scope(|ui| {
        ui.spacing_mut().button_padding = vec2(4.0, 4.0);
        ui.spacing_mut().interact_size = vec2(SMALL, 26.0);
        let text = controls::icon(glyph, 13.0).color(palette.dim);
        let button = egui::Button::new(text).min_size(vec2(SMALL, 26.0)).frame(true).frame_when_inactive(false);
        let response = ui.add_enabled(enabled, button);
        response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Button, enabled, name));
        let hint = if hint.is_empty() { name.to_owned() } else { format!("{name}\n{hint}") };
        response.on_hover_text(hint).clicked()
    })
    .inner
}
