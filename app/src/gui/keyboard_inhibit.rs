//! The keys that a desktop keeps for itself, for the guest, on Wayland: the compositor is asked to leave its own shortcuts alone
//! while the guest has the keyboard (keyboard-shortcuts-inhibit-unstable-v1, which winit 0.30 does not speak). It may refuse,
//! ask the user first, or take its yes back. Keys come from the window's own events as ever. The connection is winit's, because
//! the window's surface is known to that alone; it is heard on a queue of our own, once winit has read what came. The same
//! queue hears which lock keys are on.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use raw_window_handle::{HasDisplayHandle as _, HasWindowHandle as _, RawDisplayHandle, RawWindowHandle};
use vmtools::display::HostLocks;
use wayland_client::backend::{Backend, ObjectId};
use wayland_client::globals::{GlobalError, GlobalListContents, registry_queue_init};
use wayland_client::protocol::wl_keyboard::{self, WlKeyboard};
use wayland_client::protocol::wl_registry::{self, WlRegistry};
use wayland_client::protocol::wl_seat::{self, WlSeat};
use wayland_client::protocol::wl_surface::WlSurface;
use wayland_client::{Connection, Dispatch, EventQueue, Proxy as _, QueueHandle, WEnum, delegate_noop};
use wayland_protocols::wp::keyboard_shortcuts_inhibit::zv1::client::zwp_keyboard_shortcuts_inhibit_manager_v1::ZwpKeyboardShortcutsInhibitManagerV1 as Manager;
use wayland_protocols::wp::keyboard_shortcuts_inhibit::zv1::client::zwp_keyboard_shortcuts_inhibitor_v1::{
    self as inhibitor, ZwpKeyboardShortcutsInhibitorV1 as Inhibitor,
};
use winit::event_loop::OwnedDisplayHandle;
use winit::window::Window;

use super::keyboard::{Grip, KeyTap, Taken};
use super::place::WindowNumber;

/// The seat's version that lets its keyboards be released, and nothing of later ones is needed.
const SEAT: u32 = 3;
/// Bits of the modifiers that are locked: the second and the fifth of the eight that X has always had, which every keymap has
/// first (xkbcommon.h, `XKB_MOD_NAME_CAPS` and `XKB_MOD_NAME_NUM`).
const CAPS: u32 = 1 << 1;
const NUM: u32 = 1 << 4;

/// Why a compositor cannot be asked for its keys.
#[derive(Debug, thiserror::Error)]
pub enum NoInhibit {
    /// The window is not a Wayland compositor's.
    #[error("the window is not one of a Wayland compositor")]
    NotWayland,
    /// winit has another number for the window than its surface.
    #[error("the window's number is not its surface")]
    Number,
    /// The compositor did not list what it has.
    #[error("asking the compositor for what it offers: {0}")]
    Listed(#[from] GlobalError),
}

/// Asks a compositor for its keys.
struct Inhibit(Mutex<Inner>);

/// In the order that it is dropped in: the display, which all else lives on, is the last.
struct Inner {
    queue: EventQueue<Heard>,
    heard: Heard,
    /// What is asked, where the compositor can be.
    manager: Option<Manager>,
    /// What keeps it from its shortcuts, one a seat.
    held: Vec<Inhibitor>,
    connection: Connection,
    _display: OwnedDisplayHandle,
}

/// What the compositor has told.
#[derive(Default)]
struct Heard {
    seats: Vec<Seat>,
    /// Those of the inhibitors that work.
    working: HashSet<ObjectId>,
    /// Something was told of them since that was looked at.
    news: bool,
    /// The modifiers that are locked.
    locked: Option<u32>,
}

struct Seat {
    /// Its number among what the compositor has.
    name: u32,
    seat: WlSeat,
    keyboard: Option<WlKeyboard>,
}

/// Lets `keys` ask the compositor for its keys while the guest has the keyboard.
///
/// # Errors
/// When the window is not a compositor's, or that does not tell what it has.
pub fn attach(display: OwnedDisplayHandle, window: &Window, keys: &KeyTap) -> Result<(), NoInhibit> {
    let (Ok(RawDisplayHandle::Wayland(raw)), Ok(RawWindowHandle::Wayland(surface))) =
        (display.display_handle().map(|handle| handle.as_raw()), window.window_handle().map(|handle| handle.as_raw()))
    else {
        return Err(NoInhibit::NotWayland);
    };
    // `surface_of` takes a number for what winit 0.30 makes it of.
    if surface.surface.as_ptr() as u64 != u64::from(window.id()) {
        return Err(NoInhibit::Number);
    }
    #[allow(unsafe_code, reason = "a display that another library has opened")]
    // SAFETY: winit gives a `wl_display` of libwayland, and closes it when the last of its owned handles is gone: ours is
    // dropped after everything that was made of the display.
    let backend = unsafe { Backend::from_foreign_display(raw.display.as_ptr().cast()) };
    let connection = Connection::from_backend(backend);
    let (globals, queue) = registry_queue_init::<Heard>(&connection)?;
    let mut heard = Heard::default();
    let handle = queue.handle();
    for global in globals.contents().clone_list() {
        if global.interface == WlSeat::interface().name {
            heard.add(globals.registry(), &handle, global.name, global.version);
        }
    }
    // Where there is none the menu of keys says so.
    let manager = globals.bind::<Manager, _, _>(&handle, 1..=1, ()).ok();
    let inner = Inner { queue, heard, manager, held: Vec::new(), connection, _display: display };
    keys.set_grip(Box::new(Inhibit(Mutex::new(inner))));
    Ok(())
}

impl Inhibit {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Grip for Inhibit {
    fn apart(&self) -> bool {
        false
    }

    fn able(&self) -> bool {
        self.inner().manager.is_some()
    }

    fn watch(&self, _: WindowNumber) {}

    fn take(&self, window: WindowNumber) -> Taken {
        let inner = &mut *self.inner();
        inner.give();
        let (Some(manager), Some(surface)) = (&inner.manager, surface_of(&inner.connection, window)) else {
            return Taken::Nothing;
        };
        let handle = inner.queue.handle();
        let seats = inner.heard.seats.iter();
        inner.held = seats.map(|it| manager.inhibit_shortcuts(&surface, &it.seat, &handle, ())).collect();
        // What could not be written now goes with what winit writes next; one that is gone ends the window.
        let _ = inner.connection.flush();
        if inner.held.is_empty() { Taken::Nothing } else { Taken::Asked }
    }

    fn give(&self) {
        self.inner().give();
    }

    fn news(&self) -> Option<bool> {
        let inner = &mut *self.inner();
        // winit sees the same error and ends the window.
        let _ = inner.queue.dispatch_pending(&mut inner.heard);
        let news = std::mem::take(&mut inner.heard.news) && !inner.held.is_empty();
        news.then_some(!inner.heard.working.is_empty())
    }

    fn locks(&self) -> HostLocks {
        let inner = &mut *self.inner();
        // What came with the click that is being handled counts.
        let _ = inner.queue.dispatch_pending(&mut inner.heard);
        let locked = inner.heard.locked;
        let is = |bit: u32| locked.map(|locked| locked & bit != 0);
        // Which modifier Scroll Lock is, if any, differs from keyboard to keyboard.
        HostLocks { num: is(NUM), caps: is(CAPS), scroll: None }
    }

    // The window's own events tell it, and only once.
    fn follow_pointer(&self, _: bool) {}
}

impl Inner {
    fn give(&mut self) {
        for held in self.held.drain(..) {
            held.destroy();
        }
        self.heard.working.clear();
        self.heard.news = false;
        let _ = self.connection.flush();
    }
}

/// The surface that winit 0.30 has made that number of.
fn surface_of(connection: &Connection, window: WindowNumber) -> Option<WlSurface> {
    let pointer = std::ptr::with_exposed_provenance_mut(usize::try_from(window).ok().filter(|it| *it != 0)?);
    #[allow(unsafe_code, reason = "winit 0.30 gives the surface of a second window only by its number")]
    // SAFETY: the number is a surface's address (`attach` has compared them), and the surface lives: `ScreenPlace` takes a
    // number from a frame that winit wants drawn of it, and forgets it at `Destroyed`, which is the very next thing that winit
    // tells once it has let go of the surface. Both are told, and keys are taken, on the main thread.
    let id = unsafe { ObjectId::from_ptr(WlSurface::interface(), pointer) };
    WlSurface::from_id(connection, id.ok()?).ok()
}

impl Heard {
    fn add(&mut self, registry: &WlRegistry, handle: &QueueHandle<Self>, name: u32, version: u32) {
        let seat = registry.bind(name, version.min(SEAT), handle, ());
        self.seats.push(Seat { name, seat, keyboard: None });
    }
}

impl Dispatch<WlRegistry, GlobalListContents> for Heard {
    fn event(
        heard: &mut Self,
        registry: &WlRegistry,
        event: wl_registry::Event,
        _: &GlobalListContents,
        _: &Connection,
        handle: &QueueHandle<Self>,
    ) {
        match event {
            wl_registry::Event::Global { name, interface, version } if interface == WlSeat::interface().name => {
                heard.add(registry, handle, name, version);
            }
            wl_registry::Event::GlobalRemove { name } => heard.seats.retain(|seat| seat.name != name),
            _ => {}
        }
    }
}

impl Dispatch<WlSeat, ()> for Heard {
    fn event(
        heard: &mut Self,
        proxy: &WlSeat,
        event: wl_seat::Event,
        (): &(),
        _: &Connection,
        handle: &QueueHandle<Self>,
    ) {
        let wl_seat::Event::Capabilities { capabilities: WEnum::Value(has) } = event else { return };
        let Some(seat) = heard.seats.iter_mut().find(|it| it.seat == *proxy) else { return };
        match (has.contains(wl_seat::Capability::Keyboard), seat.keyboard.take()) {
            (true, known) => seat.keyboard = Some(known.unwrap_or_else(|| proxy.get_keyboard(handle, ()))),
            (false, Some(gone)) if proxy.version() >= 3 => gone.release(),
            (false, _) => {}
        }
    }
}

impl Dispatch<WlKeyboard, ()> for Heard {
    fn event(
        heard: &mut Self,
        _: &WlKeyboard,
        event: wl_keyboard::Event,
        (): &(),
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        if let wl_keyboard::Event::Modifiers { mods_locked, .. } = event {
            heard.locked = Some(mods_locked);
        }
    }
}

impl Dispatch<Inhibitor, ()> for Heard {
    fn event(
        heard: &mut Self,
        proxy: &Inhibitor,
        event: inhibitor::Event,
        (): &(),
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
        match event {
            inhibitor::Event::Active => drop(heard.working.insert(proxy.id())),
            inhibitor::Event::Inactive => drop(heard.working.remove(&proxy.id())),
            _ => return,
        }
        heard.news = true;
    }
}

delegate_noop!(Heard: Manager);
