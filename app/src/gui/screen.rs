//! The centre: the guest's screen, who has the keyboard, and what is said instead of a picture when there is none.

use std::sync::Arc;

use egui::{CursorIcon, EventFilter, Rect, Sense, Ui, pos2};
use vmtools::display::{InputEvent, Screen};

use super::keyboard::{Chord, KeyTap, Stroke};
use super::overlays;
use super::pointer::Pointer;
use super::screen_picture::Picture;
use super::screen_toolbar::{self, ToolbarState};
use super::theme::Palette;
use super::wish::Wishes;
use crate::session::state::{Goal, Outcome, Phase};
use crate::session::{Command, Model};

/// What the panel remembers between frames.
#[derive(Debug)]
pub struct ScreenPanel {
    picture: Picture,
    pointer: Pointer,
    chord: Chord,
    keys: Arc<KeyTap>,
    toolbar: ToolbarState,
    /// The guest that the picture is of: its process id and when it was started.
    guest: Option<(u32, u64)>,
    /// The full screen's hint: who had the keyboard, and until when it is shown, in egui's seconds.
    hint: Option<(bool, f64)>,
}

/// Height of the toolbar, points.
pub(super) const TOOLBAR: f32 = 40.0;
/// How long the hint of the full screen is shown, seconds.
const HINT: f64 = 4.0;

impl ScreenPanel {
    /// A panel that takes its keys from `keys`.
    #[must_use]
    pub fn new(keys: Arc<KeyTap>) -> Self {
        Self {
            picture: Picture::default(),
            pointer: Pointer::default(),
            chord: Chord::default(),
            keys,
            toolbar: ToolbarState::default(),
            guest: None,
            hint: None,
        }
    }

    /// Draws the panel.
    pub fn show(
        &mut self,
        ui: &mut Ui,
        model: &Model,
        screen: &Screen,
        now_ms: u64,
        window: Around,
        wishes: &mut Wishes,
    ) {
        let palette = Palette::of(ui);
        self.follow(ui.ctx(), model, screen);
        let whole = ui.max_rect();
        ui.painter().rect_filled(whole, 0.0, palette.sunken);
        let mut area = whole;
        if !window.full_screen {
            let bar = Rect::from_min_max(whole.min, pos2(whole.max.x, whole.min.y + TOOLBAR));
            area.min.y = bar.max.y;
            ui.painter().rect_filled(bar, 0.0, palette.window);
            ui.painter().hline(bar.x_range(), bar.max.y - 0.5, egui::Stroke::new(1.0, palette.line));
            let mut bar =
                ui.new_child(egui::UiBuilder::new().id_salt("toolbar").max_rect(bar.shrink2(egui::vec2(8.0, 5.0))));
            let live = model.guest_runs() && screen.live();
            screen_toolbar::show(&mut bar, &mut self.toolbar, model.guest_runs(), live, self.keys.captured(), wishes);
        }
        let live = model.guest_runs() && screen.live();
        let picture = if self.shows_picture(model) {
            // Only what is not live is dimmed, and then a label says what it is.
            self.picture.paint(ui, area.shrink(if window.full_screen { 0.0 } else { 8.0 }), !live)
        } else {
            None
        };
        let response = ui.interact(area, ui.scope_id().with("guest"), Sense::click_and_drag());
        response.widget_info(|| {
            let what = if live { "Guest screen" } else { "Guest screen, not live" };
            egui::WidgetInfo::labeled(egui::Role::Canvas, true, what)
        });
        match (live, picture, self.picture.size()) {
            (true, Some(rect), Some(size)) => self.touch(ui, &response, rect, size, screen, window, wishes),
            _ => self.give_back(ui.ctx(), wishes),
        }
        let mut over = ui.new_child(egui::UiBuilder::new().id_salt("over").max_rect(area));
        over.set_clip_rect(area);
        let over_what = overlays::Over { now_ms, live, picture: picture.is_some(), goal: window.goal };
        overlays::show(&mut over, model, over_what, wishes);
        if window.full_screen {
            self.full_screen_hint(ui, area, live);
        } else {
            self.hint = None;
        }
    }

    /// Says how to leave full screen, for a while after who has the keyboard has changed: it covers the guest.
    fn full_screen_hint(&mut self, ui: &Ui, area: Rect, live: bool) {
        let now = ui.input(|input| input.time);
        let captured = self.keys.captured();
        let until = match self.hint {
            Some((of, until)) if of == captured => until,
            _ => now + HINT,
        };
        self.hint = Some((captured, until));
        if now >= until {
            return;
        }
        ui.ctx().request_repaint_after(std::time::Duration::from_secs_f64(until - now));
        overlays::chip(
            ui,
            area,
            match (captured, live) {
                (true, _) => "The guest has the keyboard. Ctrl+Alt gives it back; then F11 leaves full screen.",
                (false, true) => "F11 leaves full screen. A click gives the guest the keyboard.",
                (false, false) => "F11 leaves full screen.",
            },
        );
    }

    /// Takes what is new of the picture; forgets the picture of an earlier guest.
    fn follow(&mut self, ctx: &egui::Context, model: &Model, screen: &Screen) {
        let guest = model.guest.as_ref().map(|guest| (guest.pid, guest.since_ms));
        if guest != self.guest {
            self.guest = guest;
            self.picture.clear();
        }
        self.picture.refresh(ctx, screen);
    }

    fn shows_picture(&self, model: &Model) -> bool {
        let ended = model.state.outcome == Some(Outcome::GuestEnded);
        model.guest.is_some()
            && match model.state.phase {
                Phase::Booting | Phase::Running | Phase::Ejecting => true,
                // How a guest ended is seen on its last picture; what was ejected is gone.
                Phase::Idle => ended,
                Phase::Preparing | Phase::Building => false,
            }
    }

    #[allow(clippy::too_many_arguments, reason = "one frame's worth of facts")]
    fn touch(
        &mut self,
        ui: &Ui,
        response: &egui::Response,
        rect: Rect,
        size: [usize; 2],
        screen: &Screen,
        window: Around,
        wishes: &mut Wishes,
    ) {
        let inside = response.contains_pointer() && !window.covered;
        let events = ui.input(|input| input.events.clone());
        for event in self.pointer.events(&events, inside, rect, size) {
            wishes.send(Command::Input(event));
        }
        let over = ui.input(|input| input.pointer.latest_pos()).filter(|pos| inside && rect.contains(*pos));
        if let Some(pos) = over
            && self.picture.paint_cursor(ui, screen, rect, pos)
        {
            ui.ctx().set_cursor_icon(CursorIcon::None);
        }
        if !self.keys.captured() && over.is_some() && ui.input(|input| input.pointer.any_pressed()) {
            self.keys.capture(true);
            response.request_focus();
        }
        let focused = ui.input(|input| input.focused);
        let elsewhere = ui.input(|input| input.pointer.any_pressed()) && over.is_none();
        if self.keys.captured() && (!focused || elsewhere || window.covered) {
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

    fn type_keys(&mut self, ctx: &egui::Context, wishes: &mut Wishes) {
        for (key, down) in self.keys.take() {
            match self.chord.key(key, down) {
                Some(Stroke::Guest(scancode, down)) => {
                    wishes.send(Command::Input(InputEvent::Key { scancode, down }));
                }
                Some(Stroke::GiveBack) => {
                    self.give_back(ctx, wishes);
                    return;
                }
                None => {}
            }
        }
    }

    /// Takes the keyboard back; no key and no button stays down in the guest.
    fn give_back(&mut self, ctx: &egui::Context, wishes: &mut Wishes) {
        let had = self.keys.captured();
        if had {
            self.keys.capture(false);
            ctx.memory_mut(|memory| {
                if let Some(focused) = memory.focused() {
                    memory.surrender_focus(focused);
                }
            });
        }
        if had || self.pointer.pressed() {
            wishes.send(Command::Input(InputEvent::ReleaseAll));
        }
        self.chord.forget();
        self.pointer.forget();
    }
}

/// What is around the panel.
#[derive(Clone, Copy, Debug)]
pub struct Around {
    /// A dialog or a menu lies over it.
    pub covered: bool,
    /// The window is full screen and shows nothing else.
    pub full_screen: bool,
    /// What was asked for last.
    pub goal: Option<Goal>,
}
