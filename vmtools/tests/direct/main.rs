//! Direct kernel boot with real kernels and a real QEMU: the three ways to a root, and what cannot work.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../guests/harness.rs"]
#[allow(dead_code)]
mod harness;

mod bench;
mod cloud;
mod folder;
mod initramfs;
mod layers;
mod refused;
mod user;
