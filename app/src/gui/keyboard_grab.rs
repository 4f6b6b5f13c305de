//! The keys that a desktop keeps for itself, for the guest: on an X server the keyboard is grabbed while the guest has it,
//! through a connection of our own, because the one that grabs is the only one who is told of keys. On Wayland winit offers
//! no way to inhibit the compositor's shortcuts; there the menu of keys stays.

use std::sync::Arc;

use raw_window_handle::{HasWindowHandle, RawWindowHandle};
use vmtools::display::HostLocks;
use winit::keyboard::PhysicalKey;
use winit::platform::scancode::PhysicalKeyExtScancode as _;
use x11rb::connection::Connection as _;
use x11rb::protocol::Event;
use x11rb::protocol::xkb::{self, ConnectionExt as _};
use x11rb::protocol::xproto::{
    ChangeWindowAttributesAux, ConnectionExt as _, EventMask, FocusOutEvent, GrabMode, GrabStatus, NotifyDetail,
    NotifyMode,
};
use x11rb::rust_connection::{ConnectError, ReplyError, RustConnection};

use super::keyboard::{Grip, KeyTap};

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
    window: u32,
    /// The names of its lights: Num Lock, Caps Lock.
    lights: [u32; 2],
}

/// Lets `keys` grab the keyboard while the guest has it; `wake` is called from a thread when there are keys.
///
/// # Errors
/// When the window is not an X server's, or that does not let us.
pub fn attach(
    window: &dyn HasWindowHandle,
    keys: &Arc<KeyTap>,
    wake: impl Fn() + Send + 'static,
) -> Result<(), NoGrab> {
    let window = match window.window_handle().map(|handle| handle.as_raw()) {
        Ok(RawWindowHandle::Xlib(handle)) => u32::try_from(handle.window).map_err(|_| NoGrab::NotX)?,
        Ok(RawWindowHandle::Xcb(handle)) => handle.window.get(),
        _ => return Err(NoGrab::NotX),
    };
    let (connection, _) = x11rb::connect(None)?;
    let connection = Arc::new(connection);
    // A key that repeats goes down again and again, without going up between.
    connection.xkb_use_extension(1, 0)?.reply()?;
    let repeats = xkb::PerClientFlag::DETECTABLE_AUTO_REPEAT;
    let none = xkb::BoolCtrl::from(0_u32);
    let keyboard = xkb::ID::USE_CORE_KBD.into();
    connection.xkb_per_client_flags(keyboard, repeats, repeats, none, none, none)?.reply()?;
    // The grab takes the focus events of the window's own connection apart: only here a real loss is told from the grab.
    let focus = ChangeWindowAttributesAux::new().event_mask(EventMask::FOCUS_CHANGE);
    connection.change_window_attributes(window, &focus)?.check()?;
    // As xkeyboard-config names them.
    let named = |name: &[u8]| -> Result<u32, NoGrab> { Ok(connection.intern_atom(false, name)?.reply()?.atom) };
    let lights = [named(b"Num Lock")?, named(b"Caps Lock")?];
    let (read, tap) = (Arc::clone(&connection), Arc::clone(keys));
    std::thread::Builder::new().name("grabbed keys".to_owned()).spawn(move || follow(&read, &tap, &wake))?;
    keys.set_grip(Box::new(XGrip { connection, window, lights }));
    Ok(())
}

impl Grip for XGrip {
    fn take(&self) -> bool {
        let grab =
            self.connection.grab_keyboard(false, self.window, x11rb::CURRENT_TIME, GrabMode::ASYNC, GrabMode::ASYNC);
        let reply = grab.ok().and_then(|cookie| cookie.reply().ok());
        reply.is_some_and(|reply| reply.status == GrabStatus::SUCCESS)
    }

    fn give(&self) {
        // A server that is gone holds no grab.
        let _ = self.connection.ungrab_keyboard(x11rb::CURRENT_TIME);
        let _ = self.connection.flush();
    }

    fn locks(&self) -> HostLocks {
        let [num, caps] = self.lights.map(|name| self.light(name));
        HostLocks { num, caps }
    }
}

impl XGrip {
    /// Whether the keyboard has that light, and it is on.
    fn light(&self, name: u32) -> Option<bool> {
        let keyboard = xkb::ID::USE_CORE_KBD.into();
        let asked = self.connection.xkb_get_named_indicator(keyboard, xkb::LedClass::DFLT_XI_CLASS, DEFAULT_LED, name);
        let told = asked.ok()?.reply().ok()?;
        told.found.then_some(told.on)
    }
}

/// Passes on what the server tells, until it is gone.
fn follow(connection: &RustConnection, keys: &KeyTap, wake: &dyn Fn()) {
    while let Ok(event) = connection.wait_for_event() {
        let (code, down) = match event {
            Event::KeyPress(key) => (key.detail, true),
            Event::KeyRelease(key) => (key.detail, false),
            Event::FocusOut(lost) if really(&lost) => {
                keys.lose_focus();
                wake();
                continue;
            }
            _ => continue,
        };
        if let PhysicalKey::Code(key) = PhysicalKey::from_scancode(u32::from(code.saturating_sub(FIRST_KEY))) {
            keys.push(key, down);
            wake();
        }
    }
    keys.lose_focus();
    wake();
}

/// Whether the focus went to another window, not only its keys to us.
fn really(lost: &FocusOutEvent) -> bool {
    matches!(lost.mode, NotifyMode::NORMAL | NotifyMode::WHILE_GRABBED)
        && !matches!(lost.detail, NotifyDetail::INFERIOR | NotifyDetail::POINTER)
}
