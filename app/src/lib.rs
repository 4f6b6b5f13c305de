//! The app: one session, two front ends. `session` owns everything that happens; `cli` and `gui` show it.

pub mod doctor;
#[cfg(feature = "gui")]
pub mod gui;
pub mod session;
