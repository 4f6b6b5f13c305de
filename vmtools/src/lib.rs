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
    #[derive(Clone, Copy, Debug)]
    pub enum InputEvent {
        Key { scancode: u16, down: bool },
        Pointer { x: u16, y: u16, buttons: u8 },
        ReleaseAll,
    }
}
