//! Slots: running guests kept by name and brought back in the blink of an eye, and layers plugged into them.
//!
//! A slot is a folder that holds everything of one moment: the guest's memory and devices as QEMU writes them when it
//! moves a guest to another machine, copies of its disks and of its firmware variables, what it had booted from, and the
//! picture that its screen showed. It is written beside and put in place at once, so that a full disk or a kill in the
//! middle leaves the slot of that name that was there before. Restoring copies what a guest writes to: a slot never
//! changes, and any number of guests can come out of it.
//!
//! ```text
//! save:     stop ─▶ memory ─▶ disks, variables ─▶ cont ─▶ manifest, sync, rename
//! restore:  compare ─▶ copies ─▶ QEMU with the same machine, waiting ─▶ memory ─▶ cont
//! ```
//!
//! What comes back is the guest as it was, not its surroundings: network connections to elsewhere are as good as cut. Its
//! processor's random seed is renewed (the machine has a `vmgenid`), and its battery clock shows the present; the system's
//! clock is set from that by our program in the guest when a layer is plugged, and where Linux (6.10 and later) tells
//! programs that the machine is another one.

mod copy;
mod error;
mod inputs;
mod keep;
mod manifest;
mod memory;
mod name;
mod plug;
mod restore;
mod save;
mod store;
mod words;

pub(crate) use copy::copy_content;
pub use error::{PlugError, SlotError, existing};
pub(crate) use inputs::look_at_files as files_of;
pub(crate) use memory::{LoadError, blocked, leave_out_shared, load as load_memory, save as save_memory};

pub use inputs::{InputFile, Mismatch, SlotInputs, qemu_version};
pub use manifest::{Manifest, Plugged};
pub use name::{BadName, SlotName};
pub use plug::{LAYER_SERIAL, plug_layer, unplug};
pub use restore::{Restoring, check, restore};
pub use save::{Saving, save};
pub use store::{Slot, list, remove, rename};
