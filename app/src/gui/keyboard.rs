//! Physical keys on their way to the guest. `egui::Key` merges the numpad with the main row and turns Ctrl+C into a
//! clipboard event, so the window's event handler puts winit's physical keys here while the guest has the keyboard.

use std::collections::{BTreeSet, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use egui::Vec2;
use vmtools::display::HostLocks;
use winit::keyboard::KeyCode;

use super::place::{ScreenPlace, WindowNumber};
use super::release_key::ReleaseKey;

/// How many keys wait at most: a frame drains them, and nobody types faster.
const WAITING: usize = 256;

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

/// What a key means while the guest has the keyboard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stroke {
    /// For the guest: XT set-1 scancode, and whether the key went down.
    Guest(u16, bool),
    /// The keys for it were pressed and released alone: the user wants the keyboard back.
    GiveBack,
}

/// Follows which keys are down, and finds the chord that gives the keyboard back.
#[derive(Debug, Default)]
pub struct Chord {
    down: BTreeSet<u16>,
    /// Another key came while those of the chord were down: then they are meant for the guest.
    spoiled: bool,
    /// The keys of the chord.
    pub release: ReleaseKey,
}

impl Chord {
    /// One key. `None` when the guest's keyboard has no such key.
    pub fn key(&mut self, key: KeyCode, down: bool) -> Option<Stroke> {
        let code = scancode(key)?;
        let groups = self.release.groups();
        let all = groups.iter().all(|keys| keys.iter().any(|key| self.down.contains(key)));
        let own = groups.iter().any(|keys| keys.contains(&code));
        if down {
            self.down.insert(code);
            if !own {
                self.spoiled = true;
            }
        } else {
            self.down.remove(&code);
            if all && own && !self.spoiled {
                self.forget();
                return Some(Stroke::GiveBack);
            }
            if self.down.is_empty() {
                self.spoiled = false;
            }
        }
        Some(Stroke::Guest(code, down))
    }

    /// All keys are up.
    pub fn forget(&mut self) {
        self.down.clear();
        self.spoiled = false;
    }
}

/// The XT set-1 scancode of a physical key, `0xe0xx` for extended ones. From the table "PS/2 set 1" of the USB HID to
/// PS/2 scan code translation by Microsoft, which QEMU's `qemu_input_map_qcode_to_qnum` agrees with.
#[must_use]
#[allow(clippy::too_many_lines, reason = "a table")]
pub fn scancode(key: KeyCode) -> Option<u16> {
    use KeyCode as K;
    Some(match key {
        K::Escape => 0x01,
        K::Digit1 => 0x02,
        K::Digit2 => 0x03,
        K::Digit3 => 0x04,
        K::Digit4 => 0x05,
        K::Digit5 => 0x06,
        K::Digit6 => 0x07,
        K::Digit7 => 0x08,
        K::Digit8 => 0x09,
        K::Digit9 => 0x0a,
        K::Digit0 => 0x0b,
        K::Minus => 0x0c,
        K::Equal => 0x0d,
        K::Backspace => 0x0e,
        K::Tab => 0x0f,
        K::KeyQ => 0x10,
        K::KeyW => 0x11,
        K::KeyE => 0x12,
        K::KeyR => 0x13,
        K::KeyT => 0x14,
        K::KeyY => 0x15,
        K::KeyU => 0x16,
        K::KeyI => 0x17,
        K::KeyO => 0x18,
        K::KeyP => 0x19,
        K::BracketLeft => 0x1a,
        K::BracketRight => 0x1b,
        K::Enter => 0x1c,
        K::ControlLeft => 0x1d,
        K::KeyA => 0x1e,
        K::KeyS => 0x1f,
        K::KeyD => 0x20,
        K::KeyF => 0x21,
        K::KeyG => 0x22,
        K::KeyH => 0x23,
        K::KeyJ => 0x24,
        K::KeyK => 0x25,
        K::KeyL => 0x26,
        K::Semicolon => 0x27,
        K::Quote => 0x28,
        K::Backquote => 0x29,
        K::ShiftLeft => 0x2a,
        K::Backslash => 0x2b,
        K::KeyZ => 0x2c,
        K::KeyX => 0x2d,
        K::KeyC => 0x2e,
        K::KeyV => 0x2f,
        K::KeyB => 0x30,
        K::KeyN => 0x31,
        K::KeyM => 0x32,
        K::Comma => 0x33,
        K::Period => 0x34,
        K::Slash => 0x35,
        K::ShiftRight => 0x36,
        K::NumpadMultiply => 0x37,
        K::AltLeft => 0x38,
        K::Space => 0x39,
        K::CapsLock => 0x3a,
        K::F1 => 0x3b,
        K::F2 => 0x3c,
        K::F3 => 0x3d,
        K::F4 => 0x3e,
        K::F5 => 0x3f,
        K::F6 => 0x40,
        K::F7 => 0x41,
        K::F8 => 0x42,
        K::F9 => 0x43,
        K::F10 => 0x44,
        K::NumLock => 0x45,
        K::ScrollLock => 0x46,
        K::Numpad7 => 0x47,
        K::Numpad8 => 0x48,
        K::Numpad9 => 0x49,
        K::NumpadSubtract => 0x4a,
        K::Numpad4 => 0x4b,
        K::Numpad5 => 0x4c,
        K::Numpad6 => 0x4d,
        K::NumpadAdd => 0x4e,
        K::Numpad1 => 0x4f,
        K::Numpad2 => 0x50,
        K::Numpad3 => 0x51,
        K::Numpad0 => 0x52,
        K::NumpadDecimal => 0x53,
        K::IntlBackslash => 0x56,
        K::F11 => 0x57,
        K::F12 => 0x58,
        K::NumpadEqual => 0x59,
        K::F13 => 0x5d,
        K::F14 => 0x5e,
        K::F15 => 0x5f,
        K::KanaMode => 0x70,
        K::IntlRo => 0x73,
        K::Convert => 0x79,
        K::NonConvert => 0x7b,
        K::IntlYen => 0x7d,
        K::NumpadComma => 0x7e,
        K::MediaTrackPrevious => 0xe010,
        K::MediaTrackNext => 0xe019,
        K::NumpadEnter => 0xe01c,
        K::ControlRight => 0xe01d,
        K::AudioVolumeMute => 0xe020,
        K::MediaPlayPause => 0xe022,
        K::MediaStop => 0xe024,
        K::AudioVolumeDown => 0xe02e,
        K::AudioVolumeUp => 0xe030,
        K::NumpadDivide => 0xe035,
        K::PrintScreen => 0xe037,
        K::AltRight => 0xe038,
        K::Pause => 0xe046,
        K::Home => 0xe047,
        K::ArrowUp => 0xe048,
        K::PageUp => 0xe049,
        K::ArrowLeft => 0xe04b,
        K::ArrowRight => 0xe04d,
        K::End => 0xe04f,
        K::ArrowDown => 0xe050,
        K::PageDown => 0xe051,
        K::Insert => 0xe052,
        K::Delete => 0xe053,
        K::SuperLeft => 0xe05b,
        K::SuperRight => 0xe05c,
        K::ContextMenu => 0xe05d,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use winit::keyboard::PhysicalKey;
    use winit::platform::scancode::PhysicalKeyExtScancode as _;

    use super::*;

    #[test]
    fn the_numpad_is_not_the_main_row() {
        assert_ne!(scancode(KeyCode::Numpad1), scancode(KeyCode::Digit1));
        assert_eq!(scancode(KeyCode::NumpadEnter), Some(0xe01c));
        assert_eq!(scancode(KeyCode::Enter), Some(0x1c));
    }

    #[test]
    fn every_key_of_the_table_can_be_sent() {
        // Linux's numbers of keys, as winit has them.
        let keys = (1..=255).filter_map(|code| match PhysicalKey::from_scancode(code) {
            PhysicalKey::Code(key) => scancode(key).map(|code| (key, code)),
            PhysicalKey::Unidentified(_) => None,
        });
        let lost: Vec<_> = keys.filter(|(_, code)| vmtools::display::keysym(*code).is_none()).collect();
        assert_eq!(lost, []);
    }

    #[test]
    fn ctrl_alt_alone_gives_the_keyboard_back() {
        let mut chord = Chord::default();
        assert_eq!(chord.key(KeyCode::ControlLeft, true), Some(Stroke::Guest(0x1d, true)));
        assert_eq!(chord.key(KeyCode::AltLeft, true), Some(Stroke::Guest(0x38, true)));
        assert_eq!(chord.key(KeyCode::AltLeft, false), Some(Stroke::GiveBack));
    }

    #[test]
    fn ctrl_alt_f2_belongs_to_the_guest() {
        let mut chord = Chord::default();
        for (key, down) in [
            (KeyCode::ControlLeft, true),
            (KeyCode::AltLeft, true),
            (KeyCode::F2, true),
            (KeyCode::F2, false),
            (KeyCode::AltLeft, false),
            (KeyCode::ControlLeft, false),
        ] {
            assert!(matches!(chord.key(key, down), Some(Stroke::Guest(_, d)) if d == down));
        }
        // And afterwards the chord works again.
        chord.key(KeyCode::ControlRight, true);
        chord.key(KeyCode::AltLeft, true);
        assert_eq!(chord.key(KeyCode::ControlRight, false), Some(Stroke::GiveBack));
    }

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
    fn other_keys_can_give_the_keyboard_back() {
        let ends = |release, keys: &[(KeyCode, bool)]| {
            let mut chord = Chord { release, ..Chord::default() };
            keys.iter().filter(|(key, down)| chord.key(*key, *down) == Some(Stroke::GiveBack)).count()
        };
        use KeyCode::{AltLeft, ControlLeft, ControlRight, KeyC, ShiftRight};
        let down_up = |keys: &[KeyCode]| {
            keys.iter().map(|key| (*key, true)).chain(keys.iter().rev().map(|key| (*key, false))).collect::<Vec<_>>()
        };
        assert_eq!(ends(ReleaseKey::RightCtrl, &down_up(&[ControlRight])), 1);
        assert_eq!(ends(ReleaseKey::RightCtrl, &down_up(&[ControlRight, KeyC])), 0);
        assert_eq!(ends(ReleaseKey::RightCtrl, &down_up(&[ControlLeft, AltLeft])), 0);
        assert_eq!(ends(ReleaseKey::BothCtrl, &down_up(&[ControlLeft, ControlRight])), 1);
        assert_eq!(ends(ReleaseKey::BothCtrl, &down_up(&[ControlLeft])), 0);
        assert_eq!(ends(ReleaseKey::CtrlAltShift, &down_up(&[ControlLeft, AltLeft])), 0);
        assert_eq!(ends(ReleaseKey::CtrlAltShift, &down_up(&[ControlLeft, AltLeft, ShiftRight])), 1);
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
