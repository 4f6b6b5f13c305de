//! The stages, one file each. A stage reads its inputs, writes one cache entry, and tells how far it is.

pub(crate) mod assemble;
pub(crate) mod base;
pub(crate) mod bootloader;
pub(crate) mod debian;
pub(crate) mod disc;
pub(crate) mod esp;
pub(crate) mod fat_file;
pub(crate) mod hashing;
pub(crate) mod initramfs;
pub mod inject;
pub(crate) mod iso;
pub(crate) mod layer;
pub(crate) mod live_hook;
pub(crate) mod loaders;
pub(crate) mod manifest;
pub(crate) mod modules_wanted;
pub(crate) mod packages;
pub(crate) mod settings;
pub(crate) mod tracked;
pub(crate) mod tree;
pub(crate) mod walk;
