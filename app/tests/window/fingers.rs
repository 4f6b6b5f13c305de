//! Fingers on a keyboard and a pointer of a Wayland compositor: keys by Linux's numbers, as a real keyboard has them, on any
//! layout (virtual-keyboard-unstable-v1, wlr-virtual-pointer-unstable-v1).

use std::io::Write as _;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use wayland_client::globals::{GlobalListContents, registry_queue_init};
use wayland_client::protocol::wl_keyboard::{KeyState, KeymapFormat};
use wayland_client::protocol::wl_pointer::ButtonState;
use wayland_client::protocol::wl_registry::{self, WlRegistry};
use wayland_client::protocol::wl_seat::WlSeat;
use wayland_client::{Connection, Dispatch, EventQueue, QueueHandle, delegate_noop};
use wayland_protocols_misc::zwp_virtual_keyboard_v1::client::zwp_virtual_keyboard_manager_v1::ZwpVirtualKeyboardManagerV1;
use wayland_protocols_misc::zwp_virtual_keyboard_v1::client::zwp_virtual_keyboard_v1::ZwpVirtualKeyboardV1;
use wayland_protocols_wlr::virtual_pointer::v1::client::zwlr_virtual_pointer_manager_v1::ZwlrVirtualPointerManagerV1;
use wayland_protocols_wlr::virtual_pointer::v1::client::zwlr_virtual_pointer_v1::ZwlrVirtualPointerV1;

/// Linux's numbers of keys (input-event-codes.h).
pub const TAB: u32 = 15;
pub const ENTER: u32 = 28;
pub const CTRL: u32 = 29;
pub const A: u32 = 30;
pub const SHIFT: u32 = 42;
pub const X: u32 = 45;
pub const ALT: u32 = 56;
pub const CAPS_LOCK: u32 = 58;
pub const F11: u32 = 87;
pub const SUPER: u32 = 125;
const NUM_LOCK: u32 = 69;
/// The left button of a mouse.
const BUTTON: u32 = 0x110;

/// Between two keys: a guest without speed reads one after the other.
const PACE: Duration = Duration::from_millis(60);

pub struct Fingers {
    queue: EventQueue<Nothing>,
    keyboard: ZwpVirtualKeyboardV1,
    pointer: ZwlrVirtualPointerV1,
    since: Instant,
    down: Vec<u32>,
    locked: u32,
}

struct Nothing;

impl Dispatch<WlRegistry, GlobalListContents> for Nothing {
    fn event(
        _: &mut Self,
        _: &WlRegistry,
        _: wl_registry::Event,
        _: &GlobalListContents,
        _: &Connection,
        _: &QueueHandle<Self>,
    ) {
    }
}
delegate_noop!(Nothing: ignore WlSeat);
delegate_noop!(Nothing: ZwpVirtualKeyboardManagerV1);
delegate_noop!(Nothing: ZwpVirtualKeyboardV1);
delegate_noop!(Nothing: ZwlrVirtualPointerManagerV1);
delegate_noop!(Nothing: ZwlrVirtualPointerV1);

impl Fingers {
    pub fn on(socket: &Path, layout: &str) -> Self {
        let connection = Connection::from_socket(UnixStream::connect(socket).unwrap()).unwrap();
        let (globals, queue) = registry_queue_init::<Nothing>(&connection).unwrap();
        let handle = queue.handle();
        let seat: WlSeat = globals.bind(&handle, 1..=1, ()).unwrap();
        let keyboards: ZwpVirtualKeyboardManagerV1 = globals.bind(&handle, 1..=1, ()).unwrap();
        let pointers: ZwlrVirtualPointerManagerV1 = globals.bind(&handle, 1..=1, ()).unwrap();
        let keyboard = keyboards.create_virtual_keyboard(&seat, &handle, ());
        let pointer = pointers.create_virtual_pointer(Some(&seat), &handle, ());
        let mut fingers = Self { queue, keyboard, pointer, since: Instant::now(), down: Vec::new(), locked: 0 };
        fingers.layout(layout);
        fingers
    }

    /// Another layout of the same keys.
    pub fn layout(&mut self, name: &str) {
        let keymap = format!(
            "xkb_keymap {{ xkb_keycodes {{ include \"evdev+aliases(qwerty)\" }}; xkb_types {{ include \"complete\" }};\n\
             xkb_compat {{ include \"complete\" }}; xkb_symbols {{ include \"pc+{name}+inet(evdev)\" }}; }};\0"
        );
        let file = rustix::fs::memfd_create("keymap", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
        let mut file = std::fs::File::from(file);
        file.write_all(keymap.as_bytes()).unwrap();
        let size = u32::try_from(keymap.len()).unwrap();
        self.keyboard.keymap(KeymapFormat::XkbV1.into(), file.as_fd(), size);
        self.done();
    }

    /// Has the compositor do what it was told.
    fn done(&mut self) {
        self.queue.roundtrip(&mut Nothing).unwrap();
    }

    fn now(&self) -> u32 {
        u32::try_from(self.since.elapsed().as_millis()).unwrap()
    }

    pub fn down(&mut self, key: u32) {
        self.down.push(key);
        match key {
            CAPS_LOCK => self.locked ^= 1 << 1,
            NUM_LOCK => self.locked ^= 1 << 4,
            _ => {}
        }
        self.keyboard.key(self.now(), key, KeyState::Pressed.into());
        self.modifiers();
    }

    pub fn up(&mut self, key: u32) {
        self.down.retain(|down| *down != key);
        self.keyboard.key(self.now(), key, KeyState::Released.into());
        self.modifiers();
    }

    /// A virtual keyboard tells its modifiers itself: bits of those that every keymap has first.
    fn modifiers(&mut self) {
        let bit = |key: &u32| match *key {
            SHIFT | 54 => 1,
            CTRL | 97 => 1 << 2,
            ALT => 1 << 3,
            SUPER | 126 => 1 << 6,
            100 => 1 << 7,
            _ => 0,
        };
        let depressed = self.down.iter().map(bit).fold(0, |all, bit| all | bit);
        self.keyboard.modifiers(depressed, 0, self.locked, 0);
        self.done();
    }

    /// Presses keys one after the other, and releases them in the opposite order.
    pub fn press(&mut self, keys: &[u32]) {
        for key in keys {
            self.down(*key);
        }
        std::thread::sleep(PACE / 2);
        for key in keys.iter().rev() {
            self.up(*key);
        }
        std::thread::sleep(PACE);
    }

    /// Types small letters, digits and what a shell needs, by where they are on a US keyboard, and Enter.
    pub fn type_line(&mut self, line: &str) {
        const ROWS: [(u32, &str, &str); 4] = [
            (2, "1234567890-=", "!@#$%^&*()_+"),
            (16, "qwertyuiop[]", "QWERTYUIOP{}"),
            (30, "asdfghjkl;'`", "ASDFGHJKL:\"~"),
            (43, "\\zxcvbnm,./", "|ZXCVBNM<>?"),
        ];
        for letter in line.chars() {
            if letter == ' ' {
                self.press(&[57]);
                continue;
            }
            let at = |row: &str| row.chars().position(|it| it == letter).map(|at| u32::try_from(at).unwrap());
            let found = ROWS.iter().find_map(|(first, plain, shifted)| {
                at(plain).map(|at| (false, first + at)).or_else(|| at(shifted).map(|at| (true, first + at)))
            });
            match found.unwrap_or_else(|| panic!("no key for {letter:?}")) {
                (true, key) => self.press(&[SHIFT, key]),
                (false, key) => self.press(&[key]),
            }
        }
        self.press(&[ENTER]);
    }

    /// Moves the pointer to a pixel of a screen of 1280 × 800.
    pub fn point(&mut self, x: u32, y: u32) {
        self.pointer.motion_absolute(self.now(), x, y, 1280, 800);
        self.pointer.frame();
        self.done();
    }

    /// Clicks there.
    pub fn click(&mut self, x: u32, y: u32) {
        self.point(x, y);
        for state in [ButtonState::Pressed, ButtonState::Released] {
            std::thread::sleep(PACE);
            self.pointer.button(self.now(), BUTTON, state);
            self.pointer.frame();
            self.done();
        }
    }
}
