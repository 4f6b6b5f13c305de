//! The native archiso engine: real pacman, real hooks, real discs, and guests that tell what they found.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod agrees;
#[path = "../arch/mod.rs"]
mod arch;
mod bench;
mod boots;
mod checkouts;
mod customize;
mod faults;
mod hostile;
mod keys;
mod kill;
mod mirrors;
mod reuse;
mod stale;
mod users;
