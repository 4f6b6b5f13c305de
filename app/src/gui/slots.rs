//! The panel of slots: the guest that runs is saved by a name, and each slot is restored or removed. Only the cards in sight
//! are laid out, and only their pictures are read.

use egui::{Align, Key as Keyboard, Label, Layout, Modifiers, Rect, RichText, ScrollArea, TextEdit, Ui, pos2, vec2};
use lucide_icons::Icon;
use vmtools::slot::SlotName;

use super::clock::Clock;
use super::controls;
use super::list_keys;
use super::slots_row::{self, Around, Asked, ROW};
use super::slots_test;
use super::slots_words::{self, Fit};
use super::theme::Palette;
use super::thumbnails::Thumbnails;
use super::wish::{Dialog, Wish, Wishes};
use super::words;
use crate::session::event::SlotView;
use crate::session::state::{Goal, Input};
use crate::session::{Command, Model};

/// Height of the bar in which a guest is saved, points.
const BAR: f32 = 46.0;

/// What the panel remembers between frames.
#[derive(Debug, Default)]
pub struct SlotsPanel {
    /// What the next slot is to be called.
    name: String,
    /// The card that the keyboard is at.
    cursor: usize,
    /// The field of the name wants the keyboard.
    pub focus_name: bool,
    thumbnails: Thumbnails,
    laid_out: usize,
}

impl SlotsPanel {
    /// How many cards were laid out in the last frame, and how many pictures are kept.
    #[must_use]
    pub fn laid_out(&self) -> (usize, usize) {
        (self.laid_out, self.thumbnails.kept())
    }

    /// The tools beside the tabs, right to left.
    pub fn tools(&self, ui: &mut Ui, model: &Model, wishes: &mut Wishes) {
        let some = model.cartridge.is_some();
        if controls::icon_button(ui, some, Icon::RefreshCw, "Look at slots again", "").clicked() {
            wishes.send(Command::ListSlots);
        }
        let Some(sum) = model.slots.as_deref().and_then(slots_words::sum) else { return };
        ui.add_space(4.0);
        let text = RichText::new(sum).small().color(Palette::of(ui).dim);
        ui.add(Label::new(text).truncate());
    }

    /// Draws the bar and the cards, or why there are none.
    pub fn show(&mut self, ui: &mut Ui, model: &Model, clock: Clock, wishes: &mut Wishes) {
        let palette = Palette::of(ui);
        let area = ui.available_rect_before_wrap();
        ui.painter().rect_filled(area, 0.0, palette.sunken);
        if model.cartridge.as_ref().is_none_or(|it| !it.findings.is_empty()) {
            let words = match model.cartridge {
                None => "Insert one: its slots are shown here.",
                Some(_) => "The cartridge has to be corrected first.",
            };
            return controls::empty(ui, Icon::Bookmark, palette.dim, "No slots to show", words);
        }
        self.bar(ui, model, clock, wishes);
        if let Some(failure) = &model.slot_failure {
            failed(ui, failure);
        }
        match model.slots.as_deref() {
            None => {
                let words = "Slots are looked for.";
                controls::empty(ui, Icon::Hourglass, palette.accent, "Looking at what there is…", words);
            }
            Some([]) => none(ui, model),
            Some(slots) => self.cards(ui, model, slots, clock, wishes),
        }
    }

    /// The field and the button that save, or how far saving is; beside them the tests.
    fn bar(&mut self, ui: &mut Ui, model: &Model, clock: Clock, wishes: &mut Wishes) {
        let size = vec2(ui.available_width(), BAR);
        let bar = Rect::from_min_size(ui.cursor().min, size);
        let palette = Palette::of(ui);
        ui.painter().rect_filled(bar, 0.0, palette.window);
        ui.painter().hline(bar.x_range(), bar.max.y - 0.5, egui::Stroke::new(1.0, palette.line));
        ui.allocate_ui_with_layout(size, Layout::left_to_right(Align::Center), |ui| {
            ui.set_height(BAR);
            ui.spacing_mut().item_spacing.x = 8.0;
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                ui.add_space(14.0);
                // How far saving is needs the room.
                if model.saving_slot.is_none() {
                    slots_test::buttons(ui, model, wishes);
                    ui.add_space(8.0);
                }
                let left = Layout::left_to_right(Align::Center);
                ui.with_layout(left, |ui| self.save(ui, model, clock, wishes));
            });
        });
        slots_test::line(ui, model);
    }

    /// The field and the button that save, or how far saving is.
    fn save(&mut self, ui: &mut Ui, model: &Model, clock: Clock, wishes: &mut Wishes) {
        ui.add_space(14.0);
        if model.saving_slot.is_some() {
            return saving(ui, model, clock, wishes);
        }
        let slots = model.slots.as_deref().unwrap_or_default();
        let name = SlotName::new(&self.name);
        let replaces = name.as_ref().is_ok_and(|name| slots.iter().any(|slot| slot.name == name.as_str()));
        let refused = match (&name, can_save(model)) {
            (_, Err(why)) => Some(why.to_owned()),
            (Err(_), _) if self.name.trim().is_empty() => Some("Give it a name first.".to_owned()),
            (Err(error), _) => Some(words::sentence(&format!("{error}."))),
            (Ok(_), Ok(())) => None,
        };
        let entered = self.field(ui);
        let (glyph, word, hint) = match replaces {
            true => (Icon::Replace, "Replace", "Saves the guest in place of the slot of that name. Enter"),
            false => (Icon::BookmarkPlus, "Save", "Saves the guest that runs: memory, disks and screen. Enter"),
        };
        let hint = refused.as_deref().unwrap_or(hint);
        let clicked = controls::button(ui, refused.is_none(), glyph, word, hint).clicked();
        if (clicked || entered) && refused.is_none() {
            wishes.send(Command::SaveSlot { name: std::mem::take(&mut self.name).trim().to_owned() });
        } else if let Some(why) = refused.filter(|_| can_save(model).is_err() || !self.name.trim().is_empty()) {
            ui.add(Label::new(RichText::new(why).small().color(Palette::of(ui).dim)).truncate());
        }
    }

    /// The field of the name. Says whether Enter was pressed in it.
    fn field(&mut self, ui: &mut Ui) -> bool {
        let hint = RichText::new("Name of a new slot").color(Palette::of(ui).dim);
        let width = (ui.available_width() - 130.0).clamp(90.0, 240.0);
        let field = ui.add(TextEdit::singleline(&mut self.name).hint_text(hint).desired_width(width));
        let field = field.accessible_name("Name of the slot");
        if std::mem::take(&mut self.focus_name) {
            field.request_focus();
        }
        field.lost_focus() && ui.input(|input| input.key_pressed(Keyboard::Enter))
    }

    fn cards(&mut self, ui: &mut Ui, model: &Model, slots: &[SlotView], clock: Clock, wishes: &mut Wishes) {
        let area = ui.available_rect_before_wrap();
        let list = list_keys::stop(ui, area, "list", egui::Role::List, "Slots");
        let count = slots.len();
        self.cursor = self.cursor.min(count - 1);
        let to = list_keys::moved(ui, &list, self.cursor, count, ROW);
        self.cursor = to.unwrap_or(self.cursor);
        let focused = list.has_focus();
        let mut asked = focused.then(|| keys(ui, self.cursor)).flatten();
        let denied = denied(model);
        let now = clock.unix_s();
        let tests = slots_test::slot(model);
        let came_from = model.guest.as_ref().and_then(|guest| guest.slot.as_ref());
        ui.spacing_mut().item_spacing.y = 0.0;
        ui.add_space(8.0);
        ScrollArea::vertical().id_salt("slots").auto_shrink(false).show_rows(ui, ROW, count, |ui, seen| {
            self.laid_out = seen.len();
            let (corner, width) = (ui.max_rect().min, ui.available_width());
            let place = |at: usize| {
                #[allow(clippy::cast_precision_loss, reason = "less than 2^24 rows")]
                let y = corner.y + (at as f32 - seen.start as f32) * ROW;
                Rect::from_min_size(pos2(corner.x + 14.0, y), vec2(width - 28.0, ROW))
            };
            for at in seen.clone() {
                let slot = &slots[at];
                let on_screen = model.guest_runs() && came_from == Some(&slot.name);
                let marked = focused && self.cursor == at;
                let tested = tests == Some(slot.name.as_str());
                let around = Around { now, marked, on_screen, tested, denied: denied.as_deref() };
                match slots_row::show(ui, place(at), slot, around, &mut self.thumbnails) {
                    Some(Asked::Marked) => {
                        self.cursor = at;
                        list.request_focus();
                    }
                    Some(what) => asked = Some((at, what)),
                    None => {}
                }
            }
            if let Some(to) = to {
                ui.scroll_to_rect(place(to), None);
            }
        });
        if let Some((slot, what)) = asked.and_then(|(at, what)| Some((slots.get(at)?, what))) {
            self.obey(slot, what, denied.is_none(), wishes);
        }
        if let Some(after) = clock.tick(std::time::Duration::from_secs(30)) {
            // Their ages go on.
            ui.ctx().request_repaint_after(after);
        }
    }

    fn obey(&mut self, slot: &SlotView, what: Asked, can_restore: bool, wishes: &mut Wishes) {
        let name = slot.name.clone();
        match (what, slots_words::fit(slot).0) {
            (Asked::Test(on), _) => {
                let value = if on { name } else { String::new() };
                wishes.send(Command::SetField { key: "test.slot".to_owned(), value });
            }
            (Asked::Remove, _) => wishes.add(Wish::Open(Dialog::RemoveSlot { name })),
            (Asked::Restore, _) if !can_restore => {}
            (Asked::Restore, Fit::Not) | (Asked::Marked, _) => {}
            (Asked::Restore, Fit::Changed) => wishes.add(Wish::Open(Dialog::RestoreSlot { name })),
            (Asked::Restore, Fit::Same | Fit::Unknown) => wishes.send(Command::RestoreSlot { name, anyway: false }),
        }
    }
}

/// What the keyboard asks of the card that it is at.
fn keys(ui: &Ui, at: usize) -> Option<(usize, Asked)> {
    ui.input_mut(|input| {
        if input.consume_key(Modifiers::NONE, Keyboard::Enter) {
            Some((at, Asked::Restore))
        } else if input.consume_key(Modifiers::NONE, Keyboard::Delete) {
            Some((at, Asked::Remove))
        } else {
            None
        }
    })
}

/// Why no guest can be restored now.
fn denied(model: &Model) -> Option<String> {
    model.denied(Input::Ask(Goal::Restore)).map(|it| words::sentence(&format!("{it}.")))
}

fn can_save(model: &Model) -> Result<(), &'static str> {
    match (model.guest_runs(), model.attached()) {
        (true, _) => Ok(()),
        (_, Some(_)) => Err("An attached VNC server is somebody else's machine: it cannot be saved."),
        _ => Err("No guest is running."),
    }
}

/// How far saving is, and the way to stop it.
fn saving(ui: &mut Ui, model: &Model, clock: Clock, wishes: &mut Wishes) {
    let Some(slot) = &model.saving_slot else { return };
    let palette = Palette::of(ui);
    let text = format!("Saving {}", slot.name);
    ui.add(Label::new(RichText::new(&text).color(palette.text)).truncate());
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "a bar of some pixels")]
    let share = (slot.total > 0).then(|| (slot.done as f64 / slot.total as f64) as f32);
    let width = (ui.available_width() - 240.0).clamp(60.0, 200.0);
    controls::thin_bar(ui, width, share, &format!("Progress: {text}"));
    let amount = match slot.total {
        0 => words::elapsed(clock.now_ms().saturating_sub(slot.since_ms)),
        total => format!("{} of {}", words::bytes(slot.done), words::bytes(total)),
    };
    ui.label(RichText::new(amount).small().color(palette.dim));
    let hint = "Stops saving; the guest goes on, and no slot is changed.";
    if controls::button(ui, true, Icon::Square, "Cancel saving", hint).clicked() {
        wishes.send(Command::CancelSlot);
    }
    if let Some(after) = clock.tick(std::time::Duration::from_millis(250)) {
        ui.ctx().request_repaint_after(after);
    }
}

/// Why a slot could not be saved or removed.
fn failed(ui: &mut Ui, failure: &crate::session::event::Failure) {
    let palette = Palette::of(ui);
    let margin = egui::Margin { left: 16, right: 14, top: 8, bottom: 2 };
    egui::Frame::new().inner_margin(margin).show(ui, |ui| {
        ui.horizontal_top(|ui| {
            ui.label(controls::icon(Icon::CircleX, 14.0).color(palette.error));
            ui.vertical(|ui| {
                ui.spacing_mut().item_spacing.y = 2.0;
                let mut words = |text: &str, colour| {
                    ui.add(Label::new(RichText::new(text).size(13.0).color(colour)).wrap().selectable(true))
                };
                words(&failure.title, palette.strong);
                words(&words::sentence(&failure.detail), palette.text);
                if let Some(advice) = &failure.advice {
                    words(&words::sentence(advice), palette.dim);
                }
            });
        });
    });
}

fn none(ui: &mut Ui, model: &Model) {
    let words = if model.guest_runs() {
        "Bring the guest to where you want to begin again, give the moment a name above, and save it: memory, disks and \
         screen together. Restoring it takes a second."
    } else {
        "A slot is a running guest, kept: memory, disks and screen. Boot a guest, bring it to where you want to begin \
         again, and save it here. Those of a cartridge that was moved: cartridge slots --all."
    };
    controls::empty(ui, Icon::Bookmark, Palette::of(ui).accent, "No slots yet", words);
}
