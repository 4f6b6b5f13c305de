//! Turns a repository and a recipe into a bootable image, and ejects what that left.
//!
//! The repository is only ever read. Everything is decided in pure functions and done by the stages; processes are
//! started through `cartridge-supervise` alone.

pub use cartridge_supervise::Cancel;

pub mod recipe;
