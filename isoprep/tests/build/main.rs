//! Builds real images from real repositories with the real xorriso, and takes them apart again.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod bench;
mod cancel;
mod contents;
mod disk;
mod git;
mod host;
mod kill;
mod refusals;
mod reuse;
