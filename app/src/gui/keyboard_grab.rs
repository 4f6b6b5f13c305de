//! The keys that a desktop keeps for itself, for the guest: on an X server the keyboard is grabbed while the guest has it,
//! through a connection of our own, because the one that grabs is the only one who is told of keys. The connection also hears
//! which windows the window manager has put away, which winit does not tell, and how far the pointer goes, which winit is told
//! twice of while it has grabbed the pointer: an X server tells raw movements to whoever has the grab and, once more, to whoever
//! listens at its root.
//! `keyboard_inhibit` is the same for Wayland.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use egui::ViewportId;
use raw_window_handle::{HasWindowHandle, RawWindowHandle};
use vmtools::display::HostLocks;
use winit::keyboard::PhysicalKey;
use winit::platform::scancode::PhysicalKeyExtScancode as _;
use x11rb::connection::Connection as _;
use x11rb::protocol::Event;
use x11rb::protocol::xinput::{self, ConnectionExt as _, Fp3232, XIEventMask};
use x11rb::protocol::xkb::{self, ConnectionExt as _};
use x11rb::protocol::xproto::{
    ChangeWindowAttributesAux, ConnectionExt as _, EventMask, FocusOutEvent, GrabMode, GrabStatus, NotifyDetail,
    NotifyMode,
};
use x11rb::rust_connection::{ConnectError, ReplyError, RustConnection};

use super::keyboard::{Grip, KeyTap, Taken};
use super::keyboard_layout::Layout;
use super::place::WindowNumber;

/// X key codes are the kernel's and 8 (the evdev rules of xkeyboard-config).
const FIRST_KEY: u8 = 8;
/// XKB's `DfltXIId`: the keyboard's own lights.
const DEFAULT_LED: u16 = 0x400;

/// Why the keyboard cannot be grabbed.
#[derive(Debug, thiserror::Error)]
pub enum NoGrab {
    /// The window is not an X server's.
    #[error("the window is not one of an X server")]
    NotX,
    /// The X server took no second connection.
    #[error("connecting to the X server a second time: {0}")]
    Connect(#[from] ConnectError),
    /// It did not do what was asked.
    #[error("asking the X server for what a grab needs: {0}")]
    Asked(#[from] ReplyError),
    /// No thread could be started.
    #[error("starting a thread for grabbed keys: {0}")]
    Thread(#[from] std::io::Error),
}

impl From<x11rb::errors::ConnectionError> for NoGrab {
    fn from(error: x11rb::errors::ConnectionError) -> Self {
        Self::Asked(error.into())
    }
}

/// Grabs the keyboard of an X server for a window.
struct XGrip {
    connection: Arc<RustConnection>,
    root: u32,
    /// The window that it was grabbed for last.
    grabbed: Arc<AtomicU32>,
    /// Which locks are on, as the thread that reads has learned it: of all that is asked of the server a frame waits for the grab alone.
    locks: Arc<Mutex<HostLocks>>,
}

/// The lights of the keyboard.
struct Lights {
    /// Their names: Num Lock, Caps Lock, Scroll Lock.
    names: [u32; 3],
    told: Arc<Mutex<HostLocks>>,
}

/// Lets `keys` grab the keyboard while the guest has it; `wake` is called from a thread with the viewport to look at when
/// there are keys, and when a window was put away or comes back.
///
/// # Errors
/// When the window is not an X server's, or that does not let us.
pub fn attach(
    window: &dyn HasWindowHandle,
    keys: &Arc<KeyTap>,
    wake: impl Fn(ViewportId) + Send + 'static,
) -> Result<(), NoGrab> {
    let window = match window.window_handle().map(|handle| handle.as_raw()) {
        Ok(RawWindowHandle::Xlib(handle)) => u32::try_from(handle.window).map_err(|_| NoGrab::NotX)?,
        Ok(RawWindowHandle::Xcb(handle)) => handle.window.get(),
        _ => return Err(NoGrab::NotX),
    };
    let (connection, screen) = x11rb::connect(None)?;
    let root = connection.setup().roots.get(screen).map_or(0, |screen| screen.root);
    let connection = Arc::new(connection);
    // 2.2: movements are told whoever has grabbed the pointer.
    connection.xinput_xi_query_version(2, 2)?.reply()?;
    // A key that repeats goes down again and again, without going up between.
    connection.xkb_use_extension(1, 0)?.reply()?;
    let repeats = xkb::PerClientFlag::DETECTABLE_AUTO_REPEAT;
    let none = xkb::BoolCtrl::from(0_u32);
    let keyboard = xkb::ID::USE_CORE_KBD.into();
    connection.xkb_per_client_flags(keyboard, repeats, repeats, none, none, none)?.reply()?;
    // Another layout, or another keyboard.
    let changes = xkb::EventType::MAP_NOTIFY
        | xkb::EventType::NEW_KEYBOARD_NOTIFY
        | xkb::EventType::INDICATOR_STATE_NOTIFY
        | xkb::EventType::INDICATOR_MAP_NOTIFY;
    let parts = xkb::MapPart::KEY_TYPES | xkb::MapPart::KEY_SYMS;
    let all = xkb::SelectEventsAux::new();
    connection.xkb_select_events(keyboard, xkb::EventType::from(0_u16), changes, parts, parts, &all)?.check()?;
    connection.change_window_attributes(window, &watched())?.check()?;
    // As xkeyboard-config names them.
    let named = |name: &[u8]| -> Result<u32, NoGrab> { Ok(connection.intern_atom(false, name)?.reply()?.atom) };
    let names = [named(b"Num Lock")?, named(b"Caps Lock")?, named(b"Scroll Lock")?];
    let locks = Arc::default();
    let lights = Lights { names, told: Arc::clone(&locks) };
    lights.learn(&connection);
    let grabbed = Arc::new(AtomicU32::new(window));
    let (read, tap, of) = (Arc::clone(&connection), Arc::clone(keys), Arc::clone(&grabbed));
    std::thread::Builder::new()
        .name("grabbed keys".to_owned())
        .spawn(move || follow(&read, &tap, &of, &lights, &wake))?;
    keys.set_grip(Box::new(XGrip { connection, root, grabbed, locks }));
    Ok(())
}

/// What is heard of a window. A grab takes the focus events of the window's own connection apart: only here a real loss is told
/// from the grab.
fn watched() -> ChangeWindowAttributesAux {
    ChangeWindowAttributesAux::new().event_mask(EventMask::FOCUS_CHANGE | EventMask::STRUCTURE_NOTIFY)
}

impl Grip for XGrip {
    fn watch(&self, window: WindowNumber) {
        let Ok(window) = u32::try_from(window) else { return };
        // A window that is gone by now has nothing to tell.
        let _ = self.connection.change_window_attributes(window, &watched());
        let _ = self.connection.flush();
    }

    fn take(&self, window: WindowNumber) -> Taken {
        let Ok(window) = u32::try_from(window) else { return Taken::Nothing };
        self.grabbed.store(window, Ordering::Release);
        let grab = self.connection.grab_keyboard(false, window, x11rb::CURRENT_TIME, GrabMode::ASYNC, GrabMode::ASYNC);
        let reply = grab.ok().and_then(|cookie| cookie.reply().ok());
        match reply.is_some_and(|reply| reply.status == GrabStatus::SUCCESS) {
            true => Taken::All,
            false => Taken::Nothing,
        }
    }

    fn give(&self) {
        // A server that is gone holds no grab.
        let _ = self.connection.ungrab_keyboard(x11rb::CURRENT_TIME);
        let _ = self.connection.flush();
    }

    fn follow_pointer(&self, follow: bool) {
        let told = if follow { XIEventMask::RAW_MOTION } else { XIEventMask::from(0_u32) };
        let mask = xinput::EventMask { deviceid: xinput::Device::ALL_MASTER.into(), mask: vec![told] };
        // A server that is gone tells nothing.
        let _ = self.connection.xinput_xi_select_events(self.root, &[mask]);
        let _ = self.connection.flush();
    }

    fn locks(&self) -> HostLocks {
        *self.locks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lights {
    /// Asks which are on.
    fn learn(&self, connection: &RustConnection) {
        let keyboard = || xkb::ID::USE_CORE_KBD.into();
        let class = xkb::LedClass::DFLT_XI_CLASS;
        // All are asked before the first answer is waited for.
        let asked =
            self.names.map(|name| connection.xkb_get_named_indicator(keyboard(), class, DEFAULT_LED, name).ok());
        let [num, caps, scroll] = asked.map(|asked| asked?.reply().ok().and_then(|told| light(&told)));
        *self.told.lock().unwrap_or_else(PoisonError::into_inner) = HostLocks { num, caps, scroll };
    }
}

/// Whether the keyboard has that light, for a lock that it can have, and it is on. Most have a light of Scroll Lock and no lock.
fn light(told: &xkb::GetNamedIndicatorReply) -> Option<bool> {
    let locks = u16::from(told.map_mods) != 0;
    (told.found && locks).then_some(told.on)
}

/// Passes on what the server tells, until it is gone.
fn follow(connection: &RustConnection, keys: &KeyTap, grabbed: &AtomicU32, lights: &Lights, wake: &dyn Fn(ViewportId)) {
    let mut layout = Layout::of(connection);
    while let Ok(event) = connection.wait_for_event() {
        let (code, state, down) = match event {
            Event::KeyPress(key) => (key.detail, key.state, true),
            Event::KeyRelease(key) => (key.detail, key.state, false),
            Event::MappingNotify(_) | Event::XkbMapNotify(_) | Event::XkbNewKeyboardNotify(_) => {
                layout = Layout::of(connection);
                lights.learn(connection);
                continue;
            }
            Event::XkbIndicatorStateNotify(_) | Event::XkbIndicatorMapNotify(_) => {
                lights.learn(connection);
                continue;
            }
            Event::FocusOut(lost) if lost.event == grabbed.load(Ordering::Acquire) && really(&lost) => {
                keys.lose_focus();
                wake(keys.place.viewport());
                continue;
            }
            Event::XinputRawMotion(moved) => {
                keys.push_moved(way(&moved));
                wake(keys.place.viewport());
                continue;
            }
            Event::UnmapNotify(window) => {
                mapped(keys, window.window, false, wake);
                continue;
            }
            Event::MapNotify(window) => {
                mapped(keys, window.window, true, wake);
                continue;
            }
            _ => continue,
        };
        if let PhysicalKey::Code(key) = PhysicalKey::from_scancode(u32::from(code.saturating_sub(FIRST_KEY))) {
            let yields = layout.as_ref().and_then(|layout| layout.keysym(code, state.into()));
            keys.push_yielding(key, yields, down);
            wake(keys.place.viewport());
        }
    }
    keys.lose_focus();
    wake(keys.place.viewport());
}

/// How far the pointer went: the first two axes, before the server has accelerated it.
fn way(moved: &xinput::RawMotionEvent) -> egui::Vec2 {
    let axis = |n: u32| {
        let bits = moved.valuator_mask.first().copied().unwrap_or_default();
        // Only axes that moved have a value.
        let at = (bits & ((1 << n) - 1)).count_ones() as usize;
        let value = moved.axisvalues_raw.get(at).filter(|_| bits & (1 << n) != 0);
        value.map_or(0.0, number)
    };
    egui::vec2(axis(0), axis(1))
}

/// A number with 32 bits of fraction.
#[allow(clippy::cast_possible_truncation, reason = "a movement has few digits")]
fn number(value: &Fp3232) -> f32 {
    (f64::from(value.integral) + f64::from(value.frac) / 4_294_967_296.0) as f32
}

fn mapped(keys: &KeyTap, window: u32, mapped: bool, wake: &dyn Fn(ViewportId)) {
    if keys.place.set_mapped(window.into(), mapped) {
        // What nobody sees is told to the session by the main window's frames.
        wake(ViewportId::ROOT);
    }
}

/// Whether the focus went to another window, not only its keys to us.
fn really(lost: &FocusOutEvent) -> bool {
    matches!(lost.mode, NotifyMode::NORMAL | NotifyMode::WHILE_GRABBED)
        && !matches!(lost.detail, NotifyDetail::INFERIOR | NotifyDetail::POINTER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_movement_has_values_for_those_axes_that_moved() {
        let moved = |bits: u32, values: &[(i32, u32)]| {
            let axisvalues_raw = values.iter().map(|(integral, frac)| Fp3232 { integral: *integral, frac: *frac });
            let axisvalues_raw = axisvalues_raw.collect();
            way(&xinput::RawMotionEvent { valuator_mask: vec![bits], axisvalues_raw, ..Default::default() })
        };
        assert_eq!(moved(0b11, &[(-3, 0), (2, 0x8000_0000)]), egui::vec2(-3.0, 2.5));
        assert_eq!(moved(0b10, &[(7, 0)]), egui::vec2(0.0, 7.0));
        assert_eq!(moved(0b1100, &[(7, 0), (8, 0)]), egui::Vec2::ZERO, "a wheel");
        assert_eq!(moved(0b11, &[(-1, 0x8000_0000)]), egui::vec2(-0.5, 0.0), "cut short");
        assert_eq!(way(&xinput::RawMotionEvent::default()), egui::Vec2::ZERO);
    }
}
