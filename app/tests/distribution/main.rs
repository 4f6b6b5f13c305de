//! Cartridges with an archiso profile, through the real program: real pacman, real images, real guests, run by somebody
//! who is not root.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "../../../isoprep/tests/arch/mod.rs"]
mod arch;
mod bench;
mod debian;
mod direct;
mod fixes;
mod guests;
mod interrupted;
mod looks;
#[path = "../support/mod.rs"]
mod support;
mod warm;
