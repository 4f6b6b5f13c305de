//! Boots without a boot loader, with the real binary and the real QEMU: the image's own kernel, an ISO's entry, a kernel of
//! this host.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod image;
mod kernel;
mod looks;
mod parts;
mod refusals;
mod silent;
mod stays;
#[path = "../support/mod.rs"]
mod support;
mod template;
