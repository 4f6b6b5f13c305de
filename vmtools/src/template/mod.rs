//! Template guests: a directly booted guest is kept as it is when its modules are loaded and before anything is mounted,
//! and later guests of the same kernel and machine are resumed from it instead of booted.
//!
//! ```text
//! make:    boot with a mark in the initramfs ─▶ "ready" on the serial line ─▶ stop ─▶ devices ─▶ sync, rename
//! resume:  QEMU with the same machine, waiting ─▶ devices ─▶ cont ─▶ the time and a seed on the serial line
//! ```
//!
//! - `key` (pure but for looking at files) decides whether a plan can have a template, and which one: that of its kernel,
//!   initramfs, command line, QEMU, processor and machine. Folders and disks may be others each time: a 9p folder is
//!   this host's affair until it is mounted, and the guest looks at its disks only when it was resumed. QEMU keeps no
//!   guest with a virtiofs device: there the folders come with the resumed machine, and the guest looks for new devices.
//! - `store` keeps them in a folder of a cache: each appears whole or not at all, the last few stay.
//! - [`make`] and [`resume`] do it; `wake` is what a resumed guest is told (pure). The guest's half is
//!   `vmtools/guest/src/boot/template.rs`.
//!
//! The memory is a file. A guest that is resumed maps it privately, or a copy of it that a virtiofsd can be lent: it has
//! pages of its own for what it writes, so that a template never changes and any number of guests come out of it. They have their kernel's addresses in common, which
//! a kernel chooses anew at each boot: a template serves its user's own experiments, no strangers.

mod error;
mod key;
mod make;
mod resume;
mod store;
mod wake;

pub use error::TemplateError;
pub use key::{Key, NoTemplate, key};
pub use make::make;
pub use resume::resume;
pub use store::{ROOM, Template, find, list, remove};
