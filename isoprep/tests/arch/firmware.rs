//! UEFI firmware, found by the very code that finds it for the user's guests. It is taken as a file, because the image
//! builder does not know the machine room.

#[path = "../../../vmtools/src/machine/firmware.rs"]
mod finder;

pub use finder::{FirmwareFiles, find_firmware};
