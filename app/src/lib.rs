//! The app: one session, two front ends. `session` owns everything that happens; `cli` and `gui` show it.

pub mod doctor;
pub mod session;
