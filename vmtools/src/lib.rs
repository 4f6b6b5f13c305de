//! Turns an image or a kernel into a running, observable guest: QEMU, QMP, serial line, display.
#![allow(missing_docs)]
use serde::Serialize;
#[derive(Serialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum GuestStatus {
    Starting,
    Running,
    Paused,
    Rebooting,
    PoweredOff,
    Panicked,
    Crashed { how: String },
}
#[derive(Serialize, Clone, Debug, PartialEq, Eq)]
pub struct GuestReport {
    pub name: String,
    pub kernel: String,
    pub firmware: String,
    pub accelerator: String,
    pub files: u64,
    pub tree: String,
    pub path: String,
}
pub mod display {
    use std::sync::Mutex;
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum InputEvent {
        Key { scancode: u16, down: bool },
        Pointer { x: u16, y: u16, buttons: u8 },
        ReleaseAll,
    }
    pub const CTRL_ALT_DEL: &[u16] = &[0x1d, 0x38, 0xe053];
    #[derive(Clone, Copy, Debug)]
    pub struct Rect {
        pub x: usize,
        pub y: usize,
        pub width: usize,
        pub height: usize,
    }
    pub struct FrameView<'a> {
        pub width: usize,
        pub height: usize,
        pub pixels: &'a [u8],
        pub damage: &'a [Rect],
        pub resized: bool,
    }
    #[derive(Clone, Debug)]
    pub struct Cursor {
        pub width: usize,
        pub height: usize,
        pub hot_x: usize,
        pub hot_y: usize,
        pub rgba: Vec<u8>,
    }
    #[derive(Default)]
    struct State {
        width: usize,
        height: usize,
        pixels: Vec<u8>,
        fresh: bool,
        live: bool,
        generation: u64,
        cursor: Option<Cursor>,
    }
    #[derive(Default)]
    pub struct Screen {
        state: Mutex<State>,
        waker: Mutex<Option<Box<dyn Fn() + Send + Sync>>>,
    }
    impl std::fmt::Debug for Screen {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("Screen")
        }
    }
    impl Screen {
        pub fn new() -> Self {
            Self::default()
        }
        pub fn set_waker(&self, wake: Box<dyn Fn() + Send + Sync>) {
            *self.waker.lock().unwrap() = Some(wake);
        }
        pub fn live(&self) -> bool {
            self.state.lock().unwrap().live
        }
        pub fn generation(&self) -> u64 {
            self.state.lock().unwrap().generation
        }
        pub fn try_take(&self, f: &mut dyn FnMut(FrameView<'_>)) -> bool {
            let mut s = self.state.lock().unwrap();
            if !s.fresh {
                return false;
            }
            s.fresh = false;
            let whole = [Rect { x: 0, y: 0, width: s.width, height: s.height }];
            f(FrameView { width: s.width, height: s.height, pixels: &s.pixels, damage: &whole, resized: true });
            true
        }
        pub fn cursor(&self) -> Option<Cursor> {
            self.state.lock().unwrap().cursor.clone()
        }
        pub fn set_visible(&self, _: bool) {}
        pub fn test_publish(&self, width: usize, height: usize, pixels: Vec<u8>, live: bool) {
            let mut s = self.state.lock().unwrap();
            s.width = width;
            s.height = height;
            s.pixels = pixels;
            s.fresh = true;
            s.live = live;
            s.generation += 1;
        }
    }
}
