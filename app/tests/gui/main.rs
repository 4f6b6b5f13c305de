//! The window, driven without a display: states as pictures, behaviour by accessible names, and a flood of lines.
#![cfg(feature = "gui")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod attach;
mod behaviour;
mod blank;
mod boot;
mod clipboard;
mod deploy;
mod detached;
mod display;
mod distribution;
mod ejecting;
mod flood;
mod host;
mod panels;
mod pictures;
mod pictures_distribution;
mod pointer;
mod screen_keys;
mod screen_size;
mod slots;
mod sound;
mod source;
mod stage;
mod states;
mod story;
mod text;
mod watch;
