//! The slim bar above the guest's screen: keys, text, screenshot, reset, power, size, full screen.

use egui::{Align, Layout, Popup, PopupCloseBehavior, RichText, TextEdit, Ui, vec2};
use lucide_icons::Icon;
use vmtools::display::CTRL_ALT_DEL;

use super::controls;
use super::scaling::Scaling;
use super::theme::Palette;
use super::wish::{Wish, Wishes};
use crate::session::Command;

/// What the bar remembers between frames.
#[derive(Debug, Default)]
pub struct ToolbarState {
    text: String,
    /// Why the guest's screen has not the panel's size, where it is to follow.
    pub why: Option<String>,
}

/// What the bar shows.
#[derive(Clone, Copy, Debug)]
pub struct Bar {
    /// A guest runs.
    pub runs: bool,
    /// Its picture is of this moment.
    pub live: bool,
    /// It has the keyboard.
    pub captured: bool,
    /// The window is full screen.
    pub full_screen: bool,
    /// How large its screen is shown.
    pub scaling: Scaling,
}

/// Key combinations that a desktop or a window manager would keep for itself: name and XT set-1 scancodes.
pub const COMBOS: [(&str, &[u16]); 12] = [
    ("Ctrl-Alt-F1", &[0x1d, 0x38, 0x3b]),
    ("Ctrl-Alt-F2", &[0x1d, 0x38, 0x3c]),
    ("Ctrl-Alt-F3", &[0x1d, 0x38, 0x3d]),
    ("Ctrl-Alt-F7", &[0x1d, 0x38, 0x41]),
    ("Ctrl-Alt-Backspace", &[0x1d, 0x38, 0x0e]),
    ("Ctrl-Alt-T", &[0x1d, 0x38, 0x14]),
    ("Alt-Tab", &[0x38, 0x0f]),
    ("Alt-F4", &[0x38, 0x3e]),
    ("Super", &[0xe05b]),
    ("Super-Enter", &[0xe05b, 0x1c]),
    ("Print", &[0xe037]),
    ("Magic SysRq: sync", &[0x38, 0xe037, 0x1f]),
];

/// Draws the bar's contents.
pub fn show(ui: &mut Ui, state: &mut ToolbarState, bar: Bar, wishes: &mut Wishes) {
    let palette = Palette::of(ui);
    let Bar { runs, live, captured, .. } = bar;
    ui.horizontal_centered(|ui| {
        ui.spacing_mut().item_spacing.x = 4.0;
        keys(ui, runs, wishes);
        type_text(ui, state, runs, wishes);
        let hint = "Saves the guest's screen as PNG in your pictures folder.";
        if controls::icon_button(ui, live, Icon::Camera, "Screenshot", hint).clicked() {
            wishes.send(Command::Screenshot(None));
        }
        divider(ui);
        if controls::icon_button(ui, runs, Icon::RotateCw, "Reset", "Presses the guest's reset button.").clicked() {
            wishes.send(Command::ResetGuest);
        }
        let hint = "Presses the guest's power button; the guest decides what it does.";
        if controls::icon_button(ui, runs, Icon::Power, "Power", hint).clicked() {
            wishes.send(Command::PressPower);
        }
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            let (glyph, name) = match bar.full_screen {
                true => (Icon::Minimize, "Leave full screen"),
                false => (Icon::Maximize, "Full screen"),
            };
            if controls::icon_button(ui, true, glyph, name, "F11").clicked() {
                wishes.add(Wish::FullScreen(!bar.full_screen));
            }
            scalings(ui, state, bar.scaling, wishes);
            ui.add_space(4.0);
            let (words, colour) = match (live, captured) {
                (true, true) => ("Keyboard captured — Ctrl+Alt releases", palette.accent),
                (true, false) => ("Click the screen to type into the guest", palette.dim),
                (false, _) => return,
            };
            ui.add(egui::Label::new(RichText::new(words).small().color(colour)).truncate());
            if captured {
                ui.label(controls::icon(Icon::Keyboard, 14.0).color(colour));
            }
        });
    });
}

fn divider(ui: &mut Ui) {
    let (rect, _) = ui.allocate_exact_size(vec2(9.0, 18.0), egui::Sense::hover());
    let stroke = egui::Stroke::new(1.0, Palette::of(ui).line);
    ui.painter().vline(rect.center().x, rect.y_range(), stroke);
}

fn keys(ui: &mut Ui, runs: bool, wishes: &mut Wishes) {
    ui.scope(|ui| {
        ui.spacing_mut().button_padding = vec2(9.0, 4.0);
        ui.spacing_mut().interact_size.y = 28.0;
        ui.spacing_mut().item_spacing.x = 2.0;
        let text = RichText::new("Ctrl-Alt-Del").size(13.0);
        let button = egui::Button::new(text).frame(true).frame_when_inactive(false);
        let response = ui.add_enabled(runs, button);
        response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Button, runs, "Send Ctrl-Alt-Del"));
        if response.on_hover_text("Sends Ctrl-Alt-Del to the guest.").clicked() {
            wishes.send(Command::SendCombo(CTRL_ALT_DEL.to_vec()));
        }
        ui.spacing_mut().button_padding.x = 4.0;
        ui.add_enabled_ui(runs, |ui| {
            let chevron =
                egui::Button::new(controls::icon(Icon::ChevronDown, 13.0)).frame(true).frame_when_inactive(false);
            let (response, _) = egui::containers::menu::MenuButton::from_button(chevron).ui(ui, |ui| {
                ui.set_min_width(190.0);
                for (name, scancodes) in COMBOS {
                    if controls::menu_item(ui, true, None, name, "").clicked() {
                        wishes.send(Command::SendCombo(scancodes.to_vec()));
                    }
                }
            });
            response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Button, runs, "Send other keys"));
        });
    });
}

/// The menu of the ways of scaling.
fn scalings(ui: &mut Ui, state: &ToolbarState, scaling: Scaling, wishes: &mut Wishes) {
    let response =
        controls::icon_button(ui, true, Icon::Monitor, "How the screen is shown", "Ctrl+Shift+D: the next size");
    Popup::menu(&response).gap(6.0).show(|ui| {
        ui.set_min_width(220.0);
        for way in Scaling::ALL {
            let on = way == scaling;
            let glyph = Some(if on { Icon::CircleDot } else { Icon::Circle });
            let item = controls::menu_item(ui, true, glyph, way.label(), "").on_hover_text(way.hint());
            item.widget_info(|| {
                egui::WidgetInfo::selected(egui::Role::RadioButton, true, on, format!("Screen: {}", way.label()))
            });
            if item.clicked() {
                wishes.add(Wish::Scale(way));
            }
        }
        if let Some(why) = &state.why {
            ui.separator();
            ui.scope(|ui| {
                ui.set_max_width(240.0);
                ui.add(egui::Label::new(RichText::new(why).small().color(Palette::of(ui).dim)).wrap());
            });
        }
    });
}

fn type_text(ui: &mut Ui, state: &mut ToolbarState, runs: bool, wishes: &mut Wishes) {
    let hint = "Types text into the guest, key by key.";
    let response = controls::icon_button(ui, runs, Icon::TextCursorInput, "Type text", hint);
    let popup = Popup::from_toggle_button_response(&response).close_behavior(PopupCloseBehavior::CloseOnClickOutside);
    popup.gap(6.0).show(|ui| {
        ui.set_width(320.0);
        ui.add_space(2.0);
        let edit = TextEdit::multiline(&mut state.text)
            .desired_rows(4)
            .desired_width(f32::INFINITY)
            .font(egui::TextStyle::Monospace)
            .hint_text("Text for the guest");
        let edit = ui.add(edit).accessible_name("Text to type");
        if response.clicked() {
            edit.request_focus();
        }
        ui.horizontal(|ui| {
            let dim = Palette::of(ui).dim;
            ui.label(RichText::new("Characters of a US keyboard").small().color(dim));
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                let ready = !state.text.is_empty();
                if controls::button(ui, ready, Icon::CornerDownLeft, "Type", "").clicked() {
                    wishes.send(Command::TypeText(std::mem::take(&mut state.text)));
                    ui.close();
                }
            });
        });
    });
}
