//! The whole job through the real window: on an X server and on a Wayland compositor, pressed by accessible names, typed into, photographed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]
#![cfg(feature = "gui")]

mod attach;
#[path = "../../../vmtools/tests/support/boot_sector.rs"]
mod boot_sector;
mod desktop;
mod detached;
mod fingers;
mod job;
mod keys;
mod layouts;
mod pointer;
#[path = "../../../vmtools/tests/support/pulse.rs"]
mod pulse;
#[path = "../support/screen.rs"]
mod screen;
#[path = "../support/mod.rs"]
mod support;
mod sway;
mod watch;
mod wayland;
#[path = "../../../vmtools/tests/support/xvnc.rs"]
mod xvnc;
