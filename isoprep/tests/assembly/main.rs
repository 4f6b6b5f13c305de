//! Assembles real folders into profiles, and looks at what came out.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod bench;
mod disk;
mod hostile;
mod layers;
mod shells;
mod writing;
