//! Hands on the guest's screen: pointer and keys on their way to the guest while it has them, and how it loses them.

use egui::{CursorIcon, EventFilter, Rect, Ui};
use vmtools::display::{HostLocks, InputEvent, Screen};

use super::{Around, SAID, ScreenPanel};
use crate::gui::keyboard::TappedKey;
use crate::gui::keyboard_chord::Stroke;
use crate::gui::keyboard_learn::{Learned, Learner};
use crate::gui::pointer_lock::PointerLock;
use crate::gui::scaling::Placement;
use crate::gui::screen_pan;
use crate::gui::wish::{Wish, Wishes};
use crate::session::Command;

impl ScreenPanel {
    #[allow(clippy::too_many_arguments, reason = "one frame's worth of facts")]
    pub(super) fn touch(
        &mut self,
        ui: &Ui,
        response: &egui::Response,
        room: Rect,
        placed: &Placement,
        screen: &Screen,
        window: Around,
        wishes: &mut Wishes,
    ) {
        let on_bar = |pos: egui::Pos2| screen_pan::covers(room, placed.over, pos);
        if std::mem::take(&mut self.unfocus) {
            response.surrender_focus();
        }
        let pos = ui.input(|input| input.pointer.latest_pos());
        // A picture that is larger than its room reaches, unseen, into the frame around that.
        let shown = pos.is_some_and(|pos| room.contains(pos) && !on_bar(pos));
        let inside = response.contains_pointer() && !window.covered && shown;
        let over = pos.filter(|pos| inside && placed.rect.contains(*pos));
        if self.learner.is_some() && ui.input(|input| input.pointer.any_pressed()) {
            self.give_back(ui.ctx(), wishes);
            return;
        }
        let pressed = over.is_some() && ui.input(|input| input.pointer.any_pressed());
        let captured = self.keys.captured();
        let before = self.lock;
        self.lock_pointer(ui.ctx(), before.next(screen.relative(), captured, captured && pressed));
        let events = ui.input(|input| input.events.clone());
        let sent = match (before, self.lock) {
            (_, PointerLock::Needless) => self.pointer.events(&events, inside, placed),
            (PointerLock::Locked, PointerLock::Locked) => self.pointer.movements(&events, self.keys.take_moved()),
            // Where its own pointer is, nobody knows: a press would hit something else.
            _ => Vec::new(),
        };
        // egui does not tell of a button that goes up where the pointer is outside, and no longer moves.
        let gone = events.iter().any(|event| matches!(event, egui::Event::PointerGone));
        let held = self.keys.buttons().unwrap_or(if gone { 0 } else { u16::MAX });
        let lifted = self.pointer.lift(held);
        for event in sent.into_iter().chain(lifted) {
            if let InputEvent::Pointer { buttons, .. } | InputEvent::Motion { buttons, .. } = event
                && buttons != 0
            {
                self.chord.spoil();
            }
            wishes.send(Command::Input(event));
        }
        let came = events.iter().rev().find_map(|event| match event {
            egui::Event::PointerMoved(at) => Some(*at),
            _ => None,
        });
        // On an X server a pointer is only confined.
        let strayed = came.filter(|_| self.keys.told_apart());
        self.lock.hold(ui.ctx(), strayed, placed.rect.intersect(room).center());
        if let Some(pos) = over
            && self.lock == PointerLock::Needless
            && self.picture.paint_cursor(ui, screen, room, placed, pos)
        {
            ui.ctx().set_cursor_icon(CursorIcon::None);
        }
        let learns = !window.covered && std::mem::take(&mut self.toolbar.learn);
        if learns {
            self.learner = Some(Learner::default());
        }
        if !self.keys.captured() && (pressed || learns) {
            self.keys.capture(true);
            let locks = self.keys.host_locks();
            if !learns && locks != HostLocks::default() {
                wishes.send(Command::Input(InputEvent::Locks(locks)));
            }
            response.request_focus();
        }
        let focused = ui.input(|input| input.focused);
        // Who scrolls goes on typing.
        let elsewhere = ui.input(|input| input.pointer.any_pressed())
            && over.is_none()
            && !pos.is_some_and(on_bar)
            && self.lock != PointerLock::Locked;
        let away = !focused || elsewhere || window.covered || self.keys.take_lost();
        if self.keys.captured() && away || !focused && !self.toolbar.held.is_empty() {
            self.give_back(ui.ctx(), wishes);
            return;
        }
        if self.keys.captured() {
            response.request_focus();
            // Tab, arrows and Escape are the guest's: egui must not move its focus with them.
            let filter = EventFilter { tab: true, horizontal_arrows: true, vertical_arrows: true, escape: true };
            ui.memory_mut(|memory| memory.set_focus_lock_filter(response.id, filter));
            self.type_keys(ui.ctx(), wishes);
        }
    }

    fn lock_pointer(&mut self, ctx: &egui::Context, next: PointerLock) {
        self.lock.change(next, ctx, self.keys.told_apart());
        self.keys.set_moving(next == PointerLock::Locked);
    }

    fn type_keys(&mut self, ctx: &egui::Context, wishes: &mut Wishes) {
        for TappedKey { key, keysym, down } in self.keys.take() {
            if let Some(learner) = &mut self.learner {
                if let Some(learned) = learner.key(key, down) {
                    self.give_back(ctx, wishes);
                    self.learned(ctx, learned, wishes);
                    return;
                }
                continue;
            }
            match self.chord.key(key, down) {
                Some(Stroke::Guest(scancode, down)) => {
                    wishes.send(Command::Input(InputEvent::Key { scancode, keysym, down }));
                }
                Some(Stroke::GiveBack) => {
                    self.give_back(ctx, wishes);
                    return;
                }
                None => {}
            }
        }
    }

    fn learned(&mut self, ctx: &egui::Context, learned: Learned, wishes: &mut Wishes) {
        let words = match learned {
            Learned::Keys(keys) => {
                wishes.add(Wish::Release(keys));
                format!("{} gives the keyboard back from now on.", keys.label())
            }
            Learned::Refused(words) => words,
            Learned::Nothing => return,
        };
        self.said = Some((words, ctx.input(|input| input.time) + SAID));
    }

    /// The screen goes to another window.
    pub fn let_go(&mut self, ctx: &egui::Context, wishes: &mut Wishes) {
        self.give_back(ctx, wishes);
        self.selection = None;
        self.full.leave();
    }

    /// Takes the keyboard back if the focus was lost, also where the window that had it is painted no more.
    pub fn follow_focus(&mut self, ctx: &egui::Context, wishes: &mut Wishes) {
        if self.keys.take_lost() {
            self.give_back(ctx, wishes);
        }
    }

    /// Takes the keyboard back; no key and no button stays down in the guest.
    pub(super) fn give_back(&mut self, ctx: &egui::Context, wishes: &mut Wishes) {
        let had = self.keys.captured();
        if had {
            self.keys.capture(false);
            self.unfocus = ctx.viewport_id() != self.keys.place.viewport();
            if !self.unfocus {
                ctx.memory_mut(|memory| {
                    if let Some(focused) = memory.focused() {
                        memory.surrender_focus(focused);
                    }
                });
            }
        }
        if had || self.pointer.pressed() || !self.toolbar.held.is_empty() {
            self.toolbar.held.forget();
            wishes.send(Command::Input(InputEvent::ReleaseAll));
        }
        self.learner = None;
        self.chord.forget();
        self.pointer.forget();
        let lock = if self.lock == PointerLock::Locked { PointerLock::Open } else { self.lock };
        self.lock_pointer(ctx, lock);
    }
}
