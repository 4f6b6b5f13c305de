//! What an initramfs is made of, for the images that are built and for guests that boot a kernel directly: both must be
//! made alike, so there is one definition.
//!
//! | module | what is there |
//! |---|---|
//! | [`cpio`] | the archive's format |
//! | [`modules`] | which kernel modules go along, in which order (pure) |
//! | [`packing`] | how a file is compressed, and unpacking it with bounds |
//! | [`busybox`] | what a busybox offers, and whether it runs without libraries (pure) |
//! | [`system`] | the fixed part: folders, devices, configuration |

pub mod busybox;
pub mod cpio;
pub mod modules;
pub mod packing;
pub mod system;
