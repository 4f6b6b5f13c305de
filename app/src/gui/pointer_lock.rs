//! The pointer in the hands of a guest that takes movements: it stays in the window, unseen, and is given back with the
//! keyboard. The first press gives such a guest the keyboard alone, for many only type; the next one the pointer as well.

use egui::viewport::CursorGrab;
use egui::{Context, CursorIcon, Pos2, ViewportCommand};

/// How far the pointer may stray from where it is kept, points: far from the window's edges, where it would stop.
const STRAY: f32 = 60.0;

/// Whether the guest has the pointer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PointerLock {
    /// It takes places, and needs no lock.
    #[default]
    Needless,
    /// It takes movements, and gets them after a press.
    Open,
    /// It has it.
    Locked,
}

impl PointerLock {
    /// What follows when the guest takes movements or no longer (`relative`), and the picture was `pressed` while the guest
    /// had the keyboard (`captured`).
    #[must_use]
    pub fn next(self, relative: bool, captured: bool, pressed: bool) -> Self {
        match (relative, captured) {
            (false, _) => Self::Needless,
            (true, false) => Self::Open,
            (true, true) if pressed => Self::Locked,
            (true, true) => {
                if self == Self::Locked {
                    Self::Locked
                } else {
                    Self::Open
                }
            }
        }
    }

    /// Tells the window of a change. An X server cannot lock a pointer to its place: there it is `confined` to the window.
    pub fn change(&mut self, next: Self, ctx: &Context, confined: bool) {
        let (was, is) = (*self == Self::Locked, next == Self::Locked);
        *self = next;
        if was != is {
            let grab = match (is, confined) {
                (true, true) => CursorGrab::Confined,
                (true, false) => CursorGrab::Locked,
                (false, _) => CursorGrab::None,
            };
            ctx.send_viewport_cmd(ViewportCommand::CursorGrab(grab));
        }
    }

    /// Hides a pointer that the guest has. One that is only confined, and came to `strayed`, is put back to `place`.
    pub fn hold(self, ctx: &Context, strayed: Option<Pos2>, place: Pos2) {
        if self == Self::Locked {
            ctx.set_cursor_icon(CursorIcon::None);
            if strayed.is_some_and(|at| at.distance(place) > STRAY) {
                ctx.send_viewport_cmd(ViewportCommand::CursorPosition(place));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_press_gives_it_and_whatever_ends_the_hold_takes_it_back() {
        use PointerLock::{Locked, Needless, Open};
        assert_eq!(Needless.next(true, false, true), Open, "the press that gives the keyboard");
        assert_eq!(Open.next(true, true, false), Open);
        assert_eq!(Open.next(true, true, true), Locked);
        assert_eq!(Locked.next(true, true, false), Locked);
        assert_eq!(Locked.next(true, false, false), Open, "the keyboard was given back");
        assert_eq!(Locked.next(false, true, true), Needless, "its tablet works now");
    }

    #[test]
    fn the_window_is_told_once_of_each_change() {
        let ctx = Context::default();
        let mut lock = PointerLock::default();
        let mut told = Vec::new();
        for next in [PointerLock::Open, PointerLock::Locked, PointerLock::Locked, PointerLock::Needless] {
            let mut output = ctx.run_ui(egui::RawInput::default(), |ui| lock.change(next, ui.ctx(), true));
            output.textures_delta.clear();
            let commands = output.viewport_output.into_values().flat_map(|viewport| viewport.commands);
            told.extend(commands.filter(|command| matches!(command, ViewportCommand::CursorGrab(_))));
        }
        let grab = ViewportCommand::CursorGrab;
        assert_eq!(told, [grab(CursorGrab::Confined), grab(CursorGrab::None)]);
    }
}
