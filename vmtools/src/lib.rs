//! Turns an image or a kernel into a running, observable guest: QEMU, QMP, serial line, display.
//!
//! | room | what is there |
//! |---|---|
//! | [`machine`] | a guest's hardware as QEMU arguments (pure), its limits, firmware, disk and private directory |
//! | [`boot`] | a kernel booted directly: what QEMU and the guest's init need for it |
//! | [`accelerator`] | KVM or TCG, measured, with the reason |
//! | [`guest`] | starting, watching and ending QEMU: the only room that knows all others |
//! | [`qmp`] | QEMU's control line |
//! | [`slot`] | running guests kept by name and restored; layers plugged into them |
//! | [`template`] | guests kept as they are just before their root is mounted, and resumed instead of booted |
//! | [`init`] | the guest's static init, as bytes |
//! | [`serial`] | the guest's serial line, and what is to be found in it |
//! | [`share`] | folders of this host in the guest, live: virtiofs or 9p |
//! | [`attach`] | a VNC server of somebody else's in place of a guest, also through ssh |
//! | [`display`] | the guest's screen, keyboard and pointer, and pictures as evidence |
//! | [`ocr`] | text read off the guest's screen |
//! | [`record`] | the guest's screen as a video |
//!
//! Everything that comes from a guest, from QEMU or from a file is bounded in size and cannot panic us. Processes are
//! spawned by `cartridge-supervise` only. Functions that wait are `async` on tokio; those that block say so.

pub mod accelerator;
pub mod attach;
pub mod boot;
pub mod display;
pub mod guest;
pub mod init;
pub mod machine;
mod numbered;
pub mod ocr;
pub mod qmp;
pub mod record;
pub mod serial;
pub mod share;
pub mod slot;
pub mod sound;
pub mod template;

pub use accelerator::{AcceleratorChoice, AcceleratorWish, choose_accelerator, choose_accelerator_with, probe_main};
pub use cartridge_supervise::{Cancel, CommandLine};
pub use display::{
    CTRL_ALT_DEL, Cursor, DisplaySource, EvidenceError, Frame, FrameView, InputEvent, Rect, Screen, Stroke,
    keys_for_text,
};
pub use guest::{EndStep, GuestEnd, GuestError, GuestEvent, GuestHandle, GuestPlan, GuestStatus, Monitor, start};
pub use init::INIT;
pub use machine::{
    Accelerator, Boot, Disk, DiskError, DiskFormat, EnrolError, EnrolledKeys, Firmware, FirmwareFiles, Forward, Gpu,
    HostCapacity, Machine, Made, Medium, MissingFirmware, Network, NoRenderNode, RuntimeDir, RuntimeError,
    RuntimePaths, Share, Transport, UsbId, UsbProblem, clamp, create_disk, enrol_test_key, find_firmware,
    find_render_node, find_secure_firmware, has_audio, has_clipboard, host_capacity, look_for_usb, make_disk,
    qemu_arguments, standalone, sweep_new_disks,
};
pub use serial::{BootStep, EscapeFilter, GuestReport, GuestShare, ReportScanner, ShareProblem};
pub use share::{Access, Chosen, GuestKernel, ShareError, SharedFolder, Sharing};
