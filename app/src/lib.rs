//! The app: one session, two front ends. `session` owns everything that happens; `cli` and `gui` send it commands and
//! show its events.
#![cfg_attr(not(test), deny(clippy::print_stderr, clippy::print_stdout, reason = "they panic where nobody reads"))]

pub mod builtin;
pub mod cli;
pub mod doctor;
#[cfg(feature = "gui")]
pub mod gui;
pub mod paths;
pub mod session;
mod start;

pub use start::{running_ms, start};

/// The reverse-DNS id of the app: of its window, its desktop file, its metainfo and its icons.
pub const APP_ID: &str = "io.github.cartridge_console.Cartridge";
