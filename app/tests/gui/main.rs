//! The window, driven without a display: states as pictures, behaviour by accessible names, and a flood of lines.
#![cfg(feature = "gui")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod behaviour;
mod display;
mod flood;
mod pictures;
mod stage;
mod story;
