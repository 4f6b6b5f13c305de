//! The native archiso engine: real pacman, real hooks, real discs, and guests that tell what they found.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod agrees;
#[path = "../arch/mod.rs"]
mod arch;
mod bench;
mod boots;
mod customize;
mod faults;
mod keys;
mod kill;
mod reuse;
mod users;
