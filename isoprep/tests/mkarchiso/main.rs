//! The engine `mkarchiso`: with the real tool where it is installed, and with fakes for what the real one does seldom.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../arch/mod.rs"]
mod arch;
mod asked;
mod fake;
mod helper;
mod killed;
mod place;
mod podman;
mod real;
