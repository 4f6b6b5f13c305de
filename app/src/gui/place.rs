//! Where the guest's screen is shown: in the main window, or in a window of its own. Shared by the panel that draws it, the
//! event handler that sees which window keys come from, and whoever wakes the window that has it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use egui::{Context, ViewportId};

/// A window by winit's number; an X server's is the window's own, on Wayland it is its surface's address. 0 is none.
pub type WindowNumber = u64;

/// The viewport of the window of its own.
#[must_use]
pub fn detached_viewport() -> ViewportId {
    ViewportId::from_hash_of("the guest's screen")
}

/// Which window has the guest's screen, and what is known of the windows.
#[derive(Debug, Default)]
pub struct ScreenPlace {
    detached: AtomicBool,
    main: AtomicU64,
    own: AtomicU64,
    /// The window system shows nothing of it: it is on another desktop, or an icon.
    main_unmapped: AtomicBool,
    own_unmapped: AtomicBool,
    /// Left, top, right and bottom of each display, device pixels.
    displays: Mutex<Vec<[i32; 4]>>,
}

impl ScreenPlace {
    /// Whether it is in a window of its own.
    #[must_use]
    pub fn detached(&self) -> bool {
        self.detached.load(Ordering::Acquire)
    }

    /// Says where it is from now on.
    pub fn set_detached(&self, detached: bool) {
        self.detached.store(detached, Ordering::Release);
    }

    /// The viewport that shows it.
    #[must_use]
    pub fn viewport(&self) -> ViewportId {
        if self.detached() { detached_viewport() } else { ViewportId::ROOT }
    }

    /// The window that shows it; 0 where that is not known (yet).
    #[must_use]
    pub fn window(&self) -> WindowNumber {
        let window = if self.detached() { &self.own } else { &self.main };
        window.load(Ordering::Acquire)
    }

    /// A window was heard of: the first one is the main window. True where it is a new one.
    pub fn hear_of(&self, window: WindowNumber) -> bool {
        if window == self.main.load(Ordering::Acquire) || window == self.own.load(Ordering::Acquire) {
            return false;
        }
        let (known, unmapped) = match self.main.load(Ordering::Acquire) {
            0 => (&self.main, &self.main_unmapped),
            _ => (&self.own, &self.own_unmapped),
        };
        known.store(window, Ordering::Release);
        unmapped.store(false, Ordering::Release);
        true
    }

    /// A window is gone.
    pub fn forget(&self, window: WindowNumber) {
        // Nothing to do where it is another one that is known by now.
        let _ = self.own.compare_exchange(window, 0, Ordering::AcqRel, Ordering::Acquire);
    }

    /// The window system shows a window, or nothing of it. True where that is news.
    pub fn set_mapped(&self, window: WindowNumber, mapped: bool) -> bool {
        let unmapped = if window == self.main.load(Ordering::Acquire) {
            &self.main_unmapped
        } else if window == self.own.load(Ordering::Acquire) {
            &self.own_unmapped
        } else {
            return false;
        };
        unmapped.swap(!mapped, Ordering::AcqRel) == mapped
    }

    /// Whether nobody can see the guest's screen.
    #[must_use]
    pub fn hidden(&self, ctx: &Context) -> bool {
        let (viewport, unmapped) = match self.detached() {
            true => (detached_viewport(), &self.own_unmapped),
            false => (ViewportId::ROOT, &self.main_unmapped),
        };
        let told = ctx.input(|input| {
            // A window that is only just made has told nothing.
            input.raw.viewports.get(&viewport).and_then(|info| {
                let hides = info.minimized == Some(true) || info.occluded == Some(true);
                hides.then_some(())
            })
        });
        told.is_some() || unmapped.load(Ordering::Acquire)
    }

    /// Has the window that shows it painted within this time.
    pub fn wake(&self, ctx: &Context, within: Duration) {
        ctx.request_repaint_after_for(within, self.viewport());
    }

    /// Sets where the displays are: left, top, right and bottom in device pixels.
    pub fn set_displays(&self, displays: Vec<[i32; 4]>) {
        *self.displays.lock().unwrap_or_else(PoisonError::into_inner) = displays;
    }

    /// Whether a window whose upper left corner is at `corner`, device pixels, could be grabbed there. A display that was
    /// taken away since must not keep it.
    #[must_use]
    pub fn reachable(&self, corner: [f32; 2]) -> bool {
        /// What must be seen of it, pixels: a part of its title.
        const SEEN: f32 = 80.0;
        let displays = self.displays.lock().unwrap_or_else(PoisonError::into_inner);
        displays.iter().any(|display| {
            #[allow(clippy::cast_precision_loss, reason = "displays have less than 2^24 pixels a side")]
            let [left, top, right, bottom] = display.map(|side| side as f32);
            (left - SEEN..=right - SEEN).contains(&corner[0]) && (top..=bottom - SEEN).contains(&corner[1])
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_window_is_the_main_one_and_a_new_one_takes_the_place_of_one_that_is_gone() {
        let place = ScreenPlace::default();
        assert!(place.hear_of(7) && !place.hear_of(7) && place.hear_of(9) && !place.hear_of(9));
        assert_eq!((place.window(), place.viewport()), (7, ViewportId::ROOT));
        place.set_detached(true);
        assert_eq!((place.window(), place.viewport()), (9, detached_viewport()));
        place.forget(7);
        place.forget(9);
        assert_eq!(place.window(), 0);
        assert!(place.hear_of(11));
        place.forget(9);
        assert_eq!(place.window(), 11);
        place.set_detached(false);
        assert_eq!(place.window(), 7);
    }

    #[test]
    fn what_the_window_system_does_not_show_is_hidden() {
        let (place, ctx) = (ScreenPlace::default(), Context::default());
        assert!(!place.hidden(&ctx));
        place.hear_of(7);
        place.hear_of(9);
        assert!(place.set_mapped(7, false) && !place.set_mapped(7, false) && !place.set_mapped(8, false));
        assert!(place.hidden(&ctx));
        place.set_detached(true);
        assert!(!place.hidden(&ctx), "the other window is seen");
        assert!(place.set_mapped(9, false) && place.hidden(&ctx));
        assert!(place.set_mapped(9, true) && !place.hidden(&ctx));
    }

    #[test]
    fn a_place_on_a_display_that_is_gone_is_none() {
        let place = ScreenPlace::default();
        assert!(!place.reachable([10.0, 10.0]), "nothing is known");
        place.set_displays(vec![[0, 0, 1920, 1080], [1920, 200, 3200, 1224]]);
        for (corner, reachable) in [
            ([0.0, 0.0], true),
            ([-40.0, 5.0], true),
            ([-100.0, 5.0], false),
            ([1900.0, 100.0], false),
            ([2000.0, 300.0], true),
            ([3190.0, 300.0], false),
            ([100.0, 1070.0], false),
            ([f32::NAN, 0.0], false),
        ] {
            assert_eq!(place.reachable(corner), reachable, "{corner:?}");
        }
    }
}
