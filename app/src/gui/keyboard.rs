//! Physical keys on their way to the guest. `egui::Key` merges the numpad with the main row and turns Ctrl+C into a
//! clipboard event, so the window's event handler puts winit's physical keys here while the guest has the keyboard.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use egui::Vec2;
use vmtools::display::HostLocks;
use winit::keyboard::KeyCode;

use super::place::{ScreenPlace, WindowNumber};

/// How many keys wait at most: a frame drains them, and nobody types faster.
const WAITING: usize = 256;

/// In [`KeyTap::buttons`]'s own number: something is known of them.
const BUTTONS_KNOWN: u32 = 1 << 16;

/// What became of taking all keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// They are the guest's.
    All,
    /// The desktop was asked; [`Grip::news`] brings its answer.
    Asked,
    /// Another program has them, or the desktop gives them to nobody.
    Nothing,
}

/// Something that keeps the host from acting on keys itself.
pub trait Grip: Send + Sync {
    /// Whether it tells keys, movements and the loss of the focus itself while it has the keys, in place of the window.
    fn apart(&self) -> bool {
        true
    }
    /// Whether this desktop can be kept from acting on keys at all.
    fn able(&self) -> bool {
        true
    }
    /// A window of ours is new: it is told of its focus, and of whether it is shown.
    fn watch(&self, window: WindowNumber);
    /// Takes all keys for that window, which is there: called while it or one of its events is handled, on the main thread.
    fn take(&self, window: WindowNumber) -> Taken;
    /// Gives them back.
    fn give(&self);
    /// Whether they are the guest's, where the desktop has told that since the last call.
    fn news(&self) -> Option<bool> {
        None
    }
    /// Which lock keys are on.
    fn locks(&self) -> HostLocks;
    /// Tells the pointer's movements from now on, or no longer.
    fn follow_pointer(&self, follow: bool);
}

/// A key that moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TappedKey {
    /// The physical key.
    pub key: KeyCode,
    /// What it yields with the user's layout, Shift and AltGr, as X11's keysym, where that is known.
    pub keysym: Option<u32>,
    /// It went down.
    pub down: bool,
}

/// Where the event handler puts keys and the screen panel takes them.
#[derive(Default)]
pub struct KeyTap {
    /// Which window the guest's screen is in.
    pub place: ScreenPlace,
    captured: AtomicBool,
    /// The host acts on no key itself, or was asked for that.
    grabbed: AtomicBool,
    /// It acts on its own keys for all that, or did when the guest had the keyboard last.
    kept: AtomicBool,
    /// The pointer's movements are wanted, wherever the pointer is.
    moving: AtomicBool,
    /// The focus went to another window while the guest had the keyboard.
    lost: AtomicBool,
    /// Which buttons of the pointer are down, once the window's event handler has told of any.
    buttons: AtomicU32,
    grip: OnceLock<Box<dyn Grip>>,
    waiting: Mutex<VecDeque<TappedKey>>,
    /// How far the pointer has moved, device pixels, where the grip tells it.
    moved: Mutex<Vec2>,
}

impl std::fmt::Debug for KeyTap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyTap")
            .field("captured", &self.captured())
            .field("grabbed", &self.grabbed())
            .finish_non_exhaustive()
    }
}

impl KeyTap {
    /// Sets what keeps the host from acting on keys; the first one counts.
    pub fn set_grip(&self, grip: Box<dyn Grip>) {
        // There is one window, which is made once.
        let _ = self.grip.set(grip);
    }

    /// A window of ours is heard of.
    pub fn hear_of(&self, window: WindowNumber) {
        if self.place.hear_of(window)
            && let Some(grip) = self.grip.get()
        {
            grip.watch(window);
        }
    }

    /// Whether the guest has the keyboard.
    #[must_use]
    pub fn captured(&self) -> bool {
        self.captured.load(Ordering::Acquire)
    }

    /// Whether the host can be kept from acting on keys, and did not refuse that when it was asked last.
    #[must_use]
    pub fn can_grab(&self) -> bool {
        self.grip.get().is_some_and(|grip| grip.able()) && !self.kept.load(Ordering::Acquire)
    }

    /// Whether keys, movements and the loss of the focus are told apart from the window's own events while the guest has the
    /// keyboard. That is so on an X server.
    #[must_use]
    pub fn told_apart(&self) -> bool {
        self.grip.get().is_some_and(|grip| grip.apart())
    }

    /// Whether only what it lets a window paint tells whether that is seen: on Wayland.
    #[must_use]
    pub fn only_paint_tells(&self) -> bool {
        self.grip.get().is_some_and(|grip| !grip.apart())
    }

    /// Takes what the desktop has told of its keys since.
    pub fn listen(&self) {
        if let Some(taken) = self.grip.get().and_then(|grip| grip.news()) {
            self.kept.store(!taken, Ordering::Release);
        }
    }

    /// Which lock keys are on at this host, where that is known.
    #[must_use]
    pub fn host_locks(&self) -> HostLocks {
        self.grip.get().map(|grip| grip.locks()).unwrap_or_default()
    }

    /// Whether the guest gets those keys too that the host would keep.
    #[must_use]
    pub fn grabbed(&self) -> bool {
        self.grabbed.load(Ordering::Acquire)
    }

    /// Whether the guest takes movements of the pointer.
    #[must_use]
    pub fn moving(&self) -> bool {
        self.moving.load(Ordering::Acquire)
    }

    /// Says that the guest takes movements of the pointer, or that it no longer does.
    pub fn set_moving(&self, moving: bool) {
        if self.moving.swap(moving, Ordering::AcqRel) == moving {
            return;
        }
        let _ = self.take_moved();
        if let Some(grip) = self.grip.get() {
            grip.follow_pointer(moving);
        }
    }

    /// The pointer has moved, as the grip tells. Ignored where nobody wants that.
    pub fn push_moved(&self, way: Vec2) {
        if self.moving() {
            *self.moved.lock().unwrap_or_else(PoisonError::into_inner) += way;
        }
    }

    /// How far it has moved since the last call; `None` where the window's own events tell it.
    #[must_use]
    pub fn take_moved(&self) -> Option<Vec2> {
        let moved = std::mem::take(&mut *self.moved.lock().unwrap_or_else(PoisonError::into_inner));
        self.told_apart().then_some(moved)
    }

    /// A button of the pointer, by its bit, went down or up over a window of ours, or up beside it.
    pub fn set_button(&self, mask: u16, down: bool) {
        let change = |all: u32| Some(BUTTONS_KNOWN | if down { all | u32::from(mask) } else { all & !u32::from(mask) });
        let _ = self.buttons.fetch_update(Ordering::AcqRel, Ordering::Acquire, change);
    }

    /// The bits of all buttons that are down, where that is known.
    #[must_use]
    pub fn buttons(&self) -> Option<u16> {
        let all = self.buttons.load(Ordering::Acquire);
        #[allow(clippy::cast_possible_truncation, reason = "the lower half")]
        (all & BUTTONS_KNOWN != 0).then_some(all as u16)
    }

    /// Gives the keyboard to the guest, or takes it back.
    pub fn capture(&self, captured: bool) {
        if captured {
            self.lost.store(false, Ordering::Release);
            // Known before the window is told that the keys have gone.
            self.grabbed.store(self.grip.get().is_some(), Ordering::Release);
            let taken = self.grip.get().map_or(Taken::Nothing, |grip| grip.take(self.place.window()));
            if taken == Taken::Nothing {
                self.grabbed.store(false, Ordering::Release);
            }
            self.kept.store(taken != Taken::All, Ordering::Release);
        } else {
            self.let_go();
        }
        self.captured.store(captured, Ordering::Release);
        if !captured {
            self.waiting.lock().unwrap_or_else(PoisonError::into_inner).clear();
        }
    }

    /// The focus is another window's now: the host has its keys again.
    pub fn lose_focus(&self) {
        if self.grabbed() || self.captured() {
            self.lost.store(true, Ordering::Release);
            self.let_go();
        }
    }

    /// Whether the focus was lost while the guest had the keyboard, once.
    #[must_use]
    pub fn take_lost(&self) -> bool {
        self.lost.swap(false, Ordering::AcqRel)
    }

    fn let_go(&self) {
        if self.grabbed.swap(false, Ordering::AcqRel)
            && let Some(grip) = self.grip.get()
        {
            grip.give();
        }
    }

    /// A key went down or up. Ignored while the guest does not have the keyboard. Where so many wait that nobody seems to
    /// take them, the host gets its keys back: a window that hangs must not keep them.
    pub fn push(&self, key: KeyCode, down: bool) {
        self.push_yielding(key, None, down);
    }

    /// The same of a key that yields `keysym`.
    pub fn push_yielding(&self, key: KeyCode, keysym: Option<u32>, down: bool) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.captured() {
            return;
        }
        if waiting.len() < WAITING {
            waiting.push_back(TappedKey { key, keysym, down });
        } else {
            drop(waiting);
            self.lose_focus();
        }
    }

    /// Takes all waiting keys, oldest first.
    #[must_use]
    pub fn take(&self) -> Vec<TappedKey> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).drain(..).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_gets_its_keys_back_in_every_case() {
        #[derive(Default)]
        struct Counted(std::sync::Arc<std::sync::atomic::AtomicI32>);
        impl Grip for Counted {
            fn watch(&self, _: WindowNumber) {}
            fn take(&self, _: WindowNumber) -> Taken {
                assert_eq!(self.0.fetch_add(1, Ordering::SeqCst), 0);
                Taken::All
            }
            fn give(&self) {
                self.0.fetch_sub(1, Ordering::SeqCst);
            }
            fn locks(&self) -> HostLocks {
                HostLocks::default()
            }
            fn follow_pointer(&self, _: bool) {}
        }
        let (tap, held) = (KeyTap::default(), std::sync::Arc::<std::sync::atomic::AtomicI32>::default());
        tap.set_grip(Box::new(Counted(held.clone())));
        let held = || held.load(Ordering::SeqCst);
        tap.capture(true);
        assert!(tap.grabbed() && held() == 1 && !tap.take_lost());
        tap.capture(false);
        tap.capture(false);
        assert!(!tap.grabbed() && held() == 0);
        // Another window has the focus.
        tap.capture(true);
        tap.lose_focus();
        tap.lose_focus();
        assert!(tap.take_lost() && !tap.take_lost() && !tap.grabbed() && held() == 0);
        tap.capture(false);
        // Nobody takes the keys.
        tap.capture(true);
        for _ in 0..=WAITING {
            tap.push(KeyCode::KeyA, true);
        }
        assert!(tap.take_lost() && !tap.grabbed() && held() == 0);
        tap.capture(false);
        assert_eq!(held(), 0);
    }

    #[test]
    fn keys_wait_only_while_captured_and_not_without_end() {
        let tap = KeyTap::default();
        tap.push(KeyCode::KeyA, true);
        assert!(tap.take().is_empty());
        tap.capture(true);
        for _ in 0..10_000 {
            tap.push(KeyCode::KeyA, true);
        }
        assert_eq!(tap.take().len(), WAITING);
        tap.push(KeyCode::KeyB, true);
        tap.capture(false);
        assert!(tap.take().is_empty());
    }
}
