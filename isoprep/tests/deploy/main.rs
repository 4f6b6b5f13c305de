//! Writing images to disks: loop devices of this host where it lends them, and USB sticks of a guest with a kernel of its own, which
//! are pulled, fail and lie.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod guest;
mod inside;
mod loops;
mod pattern;
mod qemu;
mod udisks;
