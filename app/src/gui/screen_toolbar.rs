//! The slim bar above the guest's screen: keys, text, screenshot, reset, power, size, full screen.

use egui::{Align, Popup, PopupCloseBehavior, RichText, TextEdit, Ui, vec2};
use lucide_icons::Icon;
use vmtools::display::{CTRL_ALT_DEL, InputEvent, Layout};

use super::controls;
use super::guest_sound::{self, Heard};
use super::pointer_lock::PointerLock;
use super::scaling::Scaling;
use super::screen::Around;
use super::screen_clipboard::{self, Press, Sharing};
use super::screen_keys::{self, Held, KeysMenu};
use super::screen_layout::Layouts;
use super::theme::Palette;
use super::wish::{Wish, Wishes};
use crate::session::Command;

/// The room that an icon needs beside words, points.
const ICON: f32 = 22.0;
/// How high the field of text for the guest is, points: eight lines.
const TEXT_HEIGHT: f32 = 136.0;
/// With less room than that *Stop typing* is an icon alone, points.
const STOP_TYPING: f32 = 220.0;
/// With less room than that nothing is said in the bar, points: it would be three dots.
const WORDS: f32 = 90.0;
/// Why a server that is attached has no buttons.
const NOT_OURS: &str = "An attached VNC server is somebody else's machine: it has no reset and no power button here.";

/// Why a session that is only watched has none that would do something.
const WATCHED: &str = "You are watching: this is done where the session is.";

/// What the bar remembers between frames.
#[derive(Debug, Default)]
pub struct ToolbarState {
    text: String,
    /// Why the guest's screen has not the panel's size, where it is to follow.
    pub why: Option<String>,
    /// Why nothing is heard of the guest although it should be.
    pub silent: Option<String>,
    /// Modifiers that are kept down in the guest.
    pub held: Held,
    /// Which layout it has.
    pub layouts: Layouts,
    /// Text is to be read off the screen.
    pub read_text: bool,
    /// Keys are to be pressed that give the keyboard back.
    pub learn: bool,
    /// How the screen is shown was chosen.
    pub scaled: bool,
    /// What was pressed of clipboards.
    pub clipboard: Option<Press>,
}

/// What the bar shows.
#[derive(Clone, Copy, Debug)]
pub struct Bar {
    /// A guest runs, or a server is attached.
    pub runs: bool,
    /// It is such a server, whose machine is not ours.
    pub attached: bool,
    /// Its picture is of this moment.
    pub live: bool,
    /// For how long it has been recorded, milliseconds.
    pub recorded: Option<u64>,
    /// It has the keyboard.
    pub captured: bool,
    /// Its Caps Lock is on.
    pub caps: bool,
    /// Whether it has the pointer too.
    pub pointer: PointerLock,
    /// While it has, the host's own keys are its too.
    pub grabs: bool,
    /// Text is being typed into the guest.
    pub typing: bool,
    /// How long that still takes, milliseconds.
    pub typing_left_ms: Option<u64>,
    /// Keys are being pressed that shall give the keyboard back.
    pub learns: bool,
    /// Whether its clipboard meets the desktop's.
    pub sharing: Sharing,
    /// Whether it is heard.
    pub heard: Heard,
    /// How it is shown and typed into.
    pub window: Around,
}

/// Draws the bar's contents.
pub fn show(ui: &mut Ui, state: &mut ToolbarState, bar: Bar, wishes: &mut Wishes) {
    let palette = Palette::of(ui);
    let Bar { runs, live, captured, caps, pointer, grabs, sharing, window, .. } = bar;
    let takes = runs && !window.view_only && !bar.typing;
    // What the session would do is done where the session is.
    let (does, seen) = (runs && !window.watched, live && !window.watched);
    let told = |hint| if window.watched { WATCHED } else { hint };
    ui.horizontal_centered(|ui| {
        ui.spacing_mut().item_spacing.x = 4.0;
        keys(ui, state, takes, KeysMenu { release: window.release, grabs, captures: live }, wishes);
        type_text(ui, state, takes, window.layout, sharing, wishes);
        let hint = "Saves the guest's screen as PNG in your pictures folder.";
        if controls::icon_button(ui, seen, Icon::Camera, "Screenshot", told(hint)).clicked() {
            wishes.send(Command::Screenshot(None));
        }
        let hint = "Copies the guest's screen as a picture.\nCtrl+Shift+P";
        if controls::icon_button(ui, live, Icon::ClipboardCopy, "Copy the picture", hint).clicked() {
            wishes.add(Wish::CopyScreen);
        }
        let hint = "Copies text off the guest's screen, read by tesseract.\nCtrl+Shift+T";
        if controls::icon_button(ui, seen, Icon::ScanText, "Copy text from the screen", told(hint)).clicked() {
            state.read_text = true;
        }
        ui.add_enabled_ui(!window.watched, |ui| record(ui, seen, bar.recorded, wishes));
        guest_sound::button(ui, bar.heard, state.silent.as_deref(), wishes);
        divider(ui);
        let hint = if bar.attached { NOT_OURS } else { "Presses the guest's reset button." };
        if controls::icon_button(ui, does && !bar.attached, Icon::RotateCw, "Reset", told(hint)).clicked() {
            wishes.send(Command::ResetGuest);
        }
        let hint = "Presses the guest's power button; the guest decides what it does.";
        let hint = if bar.attached { NOT_OURS } else { hint };
        if controls::icon_button(ui, does && !bar.attached, Icon::Power, "Power", told(hint)).clicked() {
            wishes.send(Command::PressPower);
        }
        ui.with_layout(egui::Layout::right_to_left(Align::Center), |ui| {
            let (glyph, name) = match window.full_screen {
                true => (Icon::Minimize, "Leave full screen"),
                false => (Icon::Maximize, "Full screen"),
            };
            if controls::icon_button(ui, true, glyph, name, "F11").clicked() {
                wishes.add(Wish::FullScreen(!window.full_screen));
            }
            match window.detached {
                true => bring_back(ui, wishes),
                false => {
                    let hint = "Gives the guest's screen a window of its own.\nCtrl+Shift+W";
                    if controls::icon_button(ui, true, Icon::PictureInPicture2, "Detach the screen", hint).clicked() {
                        wishes.add(Wish::Detach(true));
                    }
                }
            }
            shown(ui, state, window, wishes);
            ui.add_space(4.0);
            if bar.typing {
                let hint =
                    "Text is being typed into the guest, and keys and pointer are not sent. This types no more of it.";
                let narrow = ui.available_width() < STOP_TYPING;
                let button = if narrow { controls::icon_button } else { controls::button };
                if button(ui, !window.watched, Icon::CircleStop, "Stop typing", told(hint)).clicked() {
                    wishes.send(Command::StopTyping);
                }
                ui.add_space(4.0);
            }
            let release = window.release.label();
            let (words, colour) = match (live, captured) {
                (true, _) if window.watched => ("You are watching: nothing is sent".to_owned(), palette.dim),
                (true, _) if window.view_only => {
                    ("View only: keys and pointer are not sent".to_owned(), palette.warning)
                }
                (true, _) if bar.typing => (typing_words(bar.typing_left_ms), palette.accent),
                (true, true) if bar.learns => ("Keys are waited for".to_owned(), palette.accent),
                (true, true) if state.held.is_empty() => {
                    let (words, more) = match pointer {
                        PointerLock::Needless => ("Keyboard captured", ""),
                        PointerLock::Open => ("Keyboard captured", ", click again for the pointer"),
                        PointerLock::Locked => ("Keyboard and pointer captured", ""),
                    };
                    let caps = if caps { ", Caps Lock is on" } else { "" };
                    // What must be read comes before what may be cut off.
                    (format!("{words}{caps} — {release} releases{more}"), palette.accent)
                }
                (true, true) => {
                    (format!("Keyboard captured, {} held — {release} releases", state.held.names()), palette.accent)
                }
                (true, false) if state.held.is_empty() => {
                    ("Click the screen to type into the guest".to_owned(), palette.dim)
                }
                (true, false) => (format!("{} held down in the guest", state.held.names()), palette.accent),
                (false, _) => return,
            };
            let room = ui.available_width();
            if room < WORDS {
                return;
            }
            let label = ui.add(egui::Label::new(RichText::new(words).small().color(colour)).truncate());
            if captured && room - label.rect.width() > ICON {
                ui.label(controls::icon(Icon::Keyboard, 14.0).color(colour));
            }
        });
    });
}

/// What is said while text is typed.
fn typing_words(left_ms: Option<u64>) -> String {
    match left_ms.map(|left| left.div_ceil(1000)) {
        None => "Typing…".to_owned(),
        Some(seconds @ ..60) => format!("Typing, {seconds} s left; keys and pointer are not sent"),
        Some(seconds) => format!("Typing, {} min left; keys and pointer are not sent", seconds.div_ceil(60)),
    }
}

/// Draws the bar's contents in the main window while the screen is in its own.
pub fn elsewhere(ui: &mut Ui, wishes: &mut Wishes) {
    let dim = Palette::of(ui).dim;
    ui.horizontal_centered(|ui| {
        ui.spacing_mut().item_spacing.x = 4.0;
        ui.add_space(6.0);
        ui.label(RichText::new("Guest screen: in its own window").small().color(dim));
        ui.with_layout(egui::Layout::right_to_left(Align::Center), |ui| bring_back(ui, wishes));
    });
}

fn bring_back(ui: &mut Ui, wishes: &mut Wishes) {
    let hint = "Shows the guest's screen in the main window again.\nCtrl+Shift+W, or close its window";
    if controls::icon_button(ui, true, Icon::Undo2, "Bring the screen back", hint).clicked() {
        wishes.add(Wish::Detach(false));
    }
}

/// The button that records and, while it does, a red dot and the time.
fn record(ui: &mut Ui, live: bool, recorded: Option<u64>, wishes: &mut Wishes) {
    let Some(since) = recorded else {
        let hint = "Records the guest's screen as a video, in your videos folder.";
        if controls::icon_button(ui, live, Icon::Video, "Record", hint).clicked() {
            wishes.send(Command::StartRecording(None));
        }
        ui.scope(|ui| {
            ui.spacing_mut().button_padding = vec2(2.0, 4.0);
            ui.spacing_mut().interact_size = vec2(0.0, 28.0);
            let chevron = egui::Button::new(controls::icon(Icon::ChevronDown, 13.0));
            let response = ui.add_enabled(live, chevron.frame(true).frame_when_inactive(false));
            response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Button, live, "Record to a file"));
            if response.on_hover_text("Records it to a file that you choose.").clicked() {
                wishes.add(Wish::RecordTo);
            }
        });
        return;
    };
    let seconds = since / 1000;
    let time = format!("{}:{:02}", seconds / 60, seconds % 60);
    let colour = Palette::of(ui).error;
    ui.scope(|ui| {
        ui.spacing_mut().button_padding = vec2(8.0, 4.0);
        ui.spacing_mut().interact_size.y = 28.0;
        let text = RichText::new(format!("    {time}")).size(13.0).color(colour);
        let response = ui.add(egui::Button::new(text).frame(true).frame_when_inactive(false));
        response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Button, true, "Stop recording"));
        ui.painter().circle_filled(response.rect.left_center() + vec2(13.0, 0.0), 4.5, colour);
        if response.on_hover_text("Ends the recording.").clicked() {
            wishes.send(Command::StopRecording);
        }
    });
    ui.ctx().request_repaint_after(std::time::Duration::from_millis(1000 - since % 1000));
}

fn divider(ui: &mut Ui) {
    let (rect, _) = ui.allocate_exact_size(vec2(9.0, 18.0), egui::Sense::hover());
    let stroke = egui::Stroke::new(1.0, Palette::of(ui).line);
    ui.painter().vline(rect.center().x, rect.y_range(), stroke);
}

fn keys(ui: &mut Ui, state: &mut ToolbarState, runs: bool, menu: KeysMenu, wishes: &mut Wishes) {
    ui.scope(|ui| {
        ui.spacing_mut().button_padding = vec2(9.0, 4.0);
        ui.spacing_mut().interact_size.y = 28.0;
        ui.spacing_mut().item_spacing.x = 2.0;
        let text = RichText::new("Ctrl-Alt-Del").size(13.0);
        let button = egui::Button::new(text).frame(true).frame_when_inactive(false);
        let response = ui.add_enabled(runs, button);
        response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Button, runs, "Send Ctrl-Alt-Del"));
        if response.on_hover_text("Sends Ctrl-Alt-Del to the guest.").clicked() {
            state.held.combo(CTRL_ALT_DEL, wishes);
        }
        ui.spacing_mut().button_padding.x = 4.0;
        ui.add_enabled_ui(runs, |ui| {
            let chevron =
                egui::Button::new(controls::icon(Icon::ChevronDown, 13.0)).frame(true).frame_when_inactive(false);
            let (response, _) = egui::containers::menu::MenuButton::from_button(chevron)
                .config(
                    egui::containers::menu::MenuConfig::new().close_behavior(PopupCloseBehavior::CloseOnClickOutside),
                )
                .ui(ui, |ui| screen_keys::show(ui, &mut state.held, &mut state.learn, menu, wishes));
            response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Button, runs, "Send other keys"));
        });
    });
}

/// The menu of how the screen is shown.
fn shown(ui: &mut Ui, state: &mut ToolbarState, window: Around, wishes: &mut Wishes) {
    let response =
        controls::icon_button(ui, true, Icon::Monitor, "How the screen is shown", "Ctrl+Shift+D: the next size");
    Popup::menu(&response).gap(6.0).show(|ui| {
        ui.set_min_width(220.0);
        for way in Scaling::ALL {
            let on = way == window.scaling;
            let glyph = Some(if on { Icon::CircleDot } else { Icon::Circle });
            let item = controls::menu_item(ui, true, glyph, way.label(), "").on_hover_text(way.hint());
            item.widget_info(|| {
                egui::WidgetInfo::selected(egui::Role::RadioButton, true, on, format!("Screen: {}", way.label()))
            });
            if item.clicked() {
                wishes.add(Wish::Scale(way));
                state.scaled = true;
                // A click by keys or by a screen reader is none of the pointer's, which closes menus.
                ui.close();
            }
        }
        ui.separator();
        let on = window.view_only;
        let item = controls::menu_item(ui, !window.watched, on.then_some(Icon::Check), "View only", "Ctrl+Shift+O")
            .on_hover_text("No keys and no pointer go to the guest.");
        item.widget_info(|| egui::WidgetInfo::selected(egui::Role::CheckBox, true, on, "View only"));
        if item.clicked() {
            wishes.add(Wish::ViewOnly(!on));
            ui.close();
        }
        if let Some(why) = &state.why {
            ui.separator();
            ui.scope(|ui| {
                ui.set_max_width(240.0);
                ui.with_layout(egui::Layout::top_down(Align::LEFT), |ui| {
                    ui.add(egui::Label::new(RichText::new(why).small().color(Palette::of(ui).dim)).wrap());
                });
            });
        }
    });
}

fn type_text(ui: &mut Ui, state: &mut ToolbarState, runs: bool, layout: Layout, sharing: Sharing, wishes: &mut Wishes) {
    let hint = "Types text into the guest, key by key; and the guest's clipboard.";
    let response = controls::icon_button(ui, runs, Icon::TextCursorInput, "Type text", hint);
    let popup = Popup::from_toggle_button_response(&response).close_behavior(PopupCloseBehavior::CloseOnClickOutside);
    popup.gap(6.0).show(|ui| {
        ui.set_width(340.0);
        ui.add_space(2.0);
        let palette = Palette::of(ui);
        // Before the field takes it for a new line.
        let enter = ui.input_mut(|input| input.consume_key(egui::Modifiers::COMMAND, egui::Key::Enter));
        let edit = TextEdit::multiline(&mut state.text)
            .frame(egui::Frame::NONE)
            .min_size(vec2(0.0, TEXT_HEIGHT))
            .desired_width(f32::INFINITY)
            .font(egui::TextStyle::Monospace)
            .hint_text("Text for the guest");
        // As high with much text as with none: what is below it stays under the pointer.
        let edit = egui::Frame::new()
            .fill(palette.raised)
            .corner_radius(ui.visuals().widgets.inactive.corner_radius)
            .inner_margin(8)
            .show(ui, |ui| {
                let area = egui::ScrollArea::vertical().id_salt("text").max_height(TEXT_HEIGHT).auto_shrink(false);
                area.show(ui, |ui| ui.add(edit).accessible_name("Text to type")).inner
            })
            .inner;
        if response.clicked() {
            edit.request_focus();
        }
        let chosen = state.layouts.show(ui, layout, wishes);
        let missing = chosen.as_ref().map(|layout| layout.strokes(&state.text).1).unwrap_or_default();
        if let Err(why) = &chosen {
            ui.add(egui::Label::new(RichText::new(why).small().color(palette.warning)).wrap());
        }
        ui.horizontal(|ui| {
            if !missing.is_empty() {
                let words = format!("This layout cannot type: {}", missing.iter().collect::<String>());
                ui.set_max_width(340.0);
                ui.add(egui::Label::new(RichText::new(words).small().color(palette.warning)).wrap());
            }
        });
        ui.horizontal(|ui| {
            if controls::button(ui, true, Icon::ClipboardPaste, "Paste", "Puts the clipboard's text here.").clicked() {
                edit.request_focus();
                ui.ctx().send_viewport_cmd(egui::ViewportCommand::RequestPaste);
            }
            ui.with_layout(egui::Layout::right_to_left(Align::Center), |ui| {
                let ready = !state.text.is_empty() && chosen.is_ok();
                let name = if missing.is_empty() { "Type" } else { "Type the rest" };
                let hint = "Types it into the guest (Ctrl+Enter).";
                if (controls::button(ui, ready, Icon::CornerDownLeft, name, hint).clicked() || (enter && ready))
                    && let Ok(layout) = chosen
                {
                    if !state.held.is_empty() {
                        state.held.forget();
                        wishes.send(Command::Input(InputEvent::ReleaseAll));
                    }
                    wishes.send(Command::TypeText { text: std::mem::take(&mut state.text), layout });
                    ui.close();
                }
            });
        });
        ui.separator();
        if let Some(press) = screen_clipboard::show(ui, sharing, wishes) {
            state.clipboard = Some(press);
            ui.close();
        }
    });
}
