//! The menu of keys for the guest: combinations that the host would keep for itself, modifiers that stay down, the magic
//! SysRq key, and which keys give the keyboard back.

use egui::{Button, RichText, Role, Ui, WidgetInfo, vec2};
use lucide_icons::Icon;
use vmtools::display::InputEvent;

use super::controls;
use super::release_key::ReleaseKey;
use super::theme::Palette;
use super::wish::{Wish, Wishes};
use crate::session::Command;

/// Key combinations that a desktop or a window manager would keep for itself: name and XT set-1 scan codes.
pub const COMBOS: [(&str, &[u16]); 9] = [
    ("Ctrl-Alt-Backspace", &[0x1d, 0x38, 0x0e]),
    ("Ctrl-Alt-T", &[0x1d, 0x38, 0x14]),
    ("Alt-Tab", &[0x38, 0x0f]),
    ("Alt-F4", &[0x38, 0x3e]),
    ("Super", &[0xe05b]),
    ("Super-Enter", &[0xe05b, 0x1c]),
    ("Print", &[0xe037]),
    ("Pause", &[0xe11d]),
    ("Menu", &[0xe05d]),
];

/// What Linux does on Alt, SysRq and a letter (Documentation/admin-guide/sysrq.rst), and that letter's scan code.
pub const SYSRQ: [(&str, u16); 9] = [
    ("r: keyboard back from raw mode", 0x13),
    ("e: end all processes", 0x12),
    ("i: kill all processes", 0x17),
    ("s: sync all file systems", 0x1f),
    ("u: remount all read-only", 0x16),
    ("b: reboot at once", 0x30),
    ("t: list all tasks", 0x14),
    ("w: list blocked tasks", 0x11),
    ("c: crash the kernel", 0x2e),
];

/// Modifiers that can be kept down: name and scan code of the left key.
pub const MODIFIERS: [(&str, u16); 4] = [("Ctrl", 0x1d), ("Shift", 0x2a), ("Alt", 0x38), ("Super", 0xe05b)];

/// The scan code of F1 to F12.
#[must_use]
pub fn function_key(number: u16) -> u16 {
    match number {
        11 => 0x57,
        12 => 0x58,
        _ => 0x3a + number,
    }
}

/// Modifiers that are kept down in the guest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Held(Vec<u16>);

impl Held {
    /// Whether the key is.
    #[must_use]
    pub fn has(&self, scancode: u16) -> bool {
        self.0.contains(&scancode)
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All were released.
    pub fn forget(&mut self) {
        self.0.clear();
    }

    /// Their names.
    #[must_use]
    pub fn names(&self) -> String {
        let names = MODIFIERS.iter().filter(|(_, code)| self.has(*code)).map(|(name, _)| *name);
        names.collect::<Vec<_>>().join("+")
    }

    /// Presses the key, or releases it.
    fn toggle(&mut self, scancode: u16, wishes: &mut Wishes) {
        let down = !self.has(scancode);
        self.0.retain(|held| *held != scancode);
        if down {
            self.0.push(scancode);
        }
        wishes.send(Command::Input(InputEvent::key(scancode, down)));
    }

    /// Presses keys together; those of them that were held are released with the rest.
    pub fn combo(&mut self, keys: &[u16], wishes: &mut Wishes) {
        self.0.retain(|held| !keys.contains(held));
        wishes.send(Command::SendCombo(keys.to_vec()));
    }
}

/// What the menu shows.
#[derive(Clone, Copy, Debug)]
pub struct KeysMenu {
    /// Which keys give the keyboard back.
    pub release: ReleaseKey,
    /// The host's own keys are the guest's while it has the keyboard.
    pub grabs: bool,
    /// The guest's picture is live, so that it can have the keyboard.
    pub captures: bool,
}

/// Draws the menu's contents. `learn` says then that keys are to be pressed that give the keyboard back.
pub fn show(ui: &mut Ui, held: &mut Held, learn: &mut bool, menu: KeysMenu, wishes: &mut Wishes) {
    let KeysMenu { release, grabs, captures } = menu;
    ui.set_min_width(302.0);
    if !grabs {
        let words = "This desktop keeps its own keys, such as Super and Alt-Tab, also while the guest has the keyboard. \
                     From here they reach it.";
        ui.set_max_width(302.0);
        ui.with_layout(egui::Layout::top_down(egui::Align::LEFT), |ui| {
            ui.add(egui::Label::new(RichText::new(words).small().color(Palette::of(ui).dim)).wrap());
        });
    }
    heading(ui, "Keep down");
    ui.horizontal(|ui| {
        ui.spacing_mut().item_spacing.x = 4.0;
        for (name, scancode) in MODIFIERS {
            let on = held.has(scancode);
            let response = small(ui, name, 72.5, on);
            response.widget_info(|| WidgetInfo::selected(Role::CheckBox, true, on, format!("Hold {name}")));
            if response.clicked() {
                held.toggle(scancode, wishes);
            }
        }
    });
    heading(ui, "Ctrl-Alt with");
    for row in [1..=6, 7..=12] {
        ui.horizontal(|ui| {
            ui.spacing_mut().item_spacing.x = 4.0;
            for number in row {
                let response = small(ui, &format!("F{number}"), 47.0, false);
                response.widget_info(|| WidgetInfo::labeled(Role::Button, true, format!("Ctrl-Alt-F{number}")));
                if response.clicked() {
                    held.combo(&[0x1d, 0x38, function_key(number)], wishes);
                    ui.close();
                }
            }
        });
    }
    ui.add_space(4.0);
    ui.separator();
    for row in COMBOS.chunks(3) {
        ui.horizontal(|ui| {
            ui.spacing_mut().item_spacing.x = 4.0;
            ui.style_mut().wrap_mode = Some(egui::TextWrapMode::Extend);
            for (name, scancodes) in row {
                let response = small(ui, name, 72.5, false);
                response.widget_info(|| WidgetInfo::labeled(Role::Button, true, *name));
                if response.clicked() {
                    held.combo(scancodes, wishes);
                    ui.close();
                }
            }
        });
    }
    ui.add_space(4.0);
    ui.separator();
    ui.menu_button("Magic SysRq", |ui| {
        ui.set_min_width(230.0);
        for (name, letter) in SYSRQ {
            if controls::menu_item(ui, true, None, name, "").clicked() {
                held.combo(&[0x38, 0xe037, letter], wishes);
                ui.close();
            }
        }
    });
    ui.menu_button("Give the keyboard back by", |ui| {
        ui.set_min_width(200.0);
        let chosen = matches!(release, ReleaseKey::Pressed(_)).then(|| (release, release.label()));
        let offered = ReleaseKey::OFFERED.map(|(way, _, label)| (way, label.into()));
        for (way, label) in offered.into_iter().chain(chosen) {
            let on = way == release;
            let glyph = Some(if on { Icon::CircleDot } else { Icon::Circle });
            let item = controls::menu_item(ui, true, glyph, &label, "");
            item.widget_info(|| WidgetInfo::selected(Role::RadioButton, true, on, format!("Release: {label}")));
            if item.clicked() {
                wishes.add(Wish::Release(way));
                ui.close();
            }
        }
        if controls::menu_item(ui, captures, Some(Icon::Keyboard), "Keys that you press…", "").clicked() {
            *learn = true;
            ui.close();
        }
    });
}

fn heading(ui: &mut Ui, words: &str) {
    ui.add_space(4.0);
    ui.label(RichText::new(words).small().color(Palette::of(ui).dim));
}

fn small(ui: &mut Ui, name: &str, width: f32, on: bool) -> egui::Response {
    let palette = Palette::of(ui);
    ui.scope(|ui| {
        ui.spacing_mut().button_padding = vec2(4.0, 2.0);
        ui.spacing_mut().interact_size.y = 26.0;
        let text = RichText::new(name).size(13.0).color(if on { palette.on_accent } else { palette.text });
        let mut button = Button::new(text).min_size(vec2(width, 26.0));
        if on {
            button = button.fill(palette.accent_fill);
        }
        ui.add(button)
    })
    .inner
}

#[cfg(test)]
mod tests {
    use vmtools::display::keysym;

    use super::*;

    #[test]
    fn every_combination_is_of_keys_that_can_be_sent() {
        let combos = COMBOS.iter().flat_map(|(_, keys)| keys.iter().copied());
        let letters = SYSRQ.iter().map(|(_, letter)| *letter);
        let rest = MODIFIERS.iter().map(|(_, code)| *code).chain((1..=12).map(function_key));
        for code in combos.chain(letters).chain(rest) {
            assert!(keysym(code).is_some(), "{code:#x}");
        }
        for (name, letter) in SYSRQ {
            assert_eq!(keysym(letter), name.chars().next().map(u32::from), "{name}");
        }
        assert_eq!((keysym(function_key(1)), keysym(function_key(12))), (Some(0xffbe), Some(0xffc9)));
    }

    #[test]
    fn a_modifier_is_held_until_it_is_let_go_or_goes_with_a_combination() {
        let (mut held, mut wishes) = (Held::default(), Wishes::default());
        held.toggle(0x1d, &mut wishes);
        held.toggle(0x38, &mut wishes);
        assert_eq!(held.names(), "Ctrl+Alt");
        held.toggle(0x1d, &mut wishes);
        assert_eq!((held.names().as_str(), wishes.0.len()), ("Alt", 3));
        held.combo(&[0x38, 0x0f], &mut wishes);
        assert!(held.is_empty());
    }
}
