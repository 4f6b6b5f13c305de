//! Template guests with real kernels and a real QEMU: made, resumed, and everything that must not go wrong in between.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../direct/bench.rs"]
#[allow(dead_code)]
mod bench;
#[path = "../guests/harness.rs"]
#[allow(dead_code)]
mod harness;

mod faults;
mod resumed;
mod stage;
