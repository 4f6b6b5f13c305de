//! Makes real images with the real tools, reads them, compares them, and damages them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

// What the tests of builds make, images of engine `micro` are made with too.
#[allow(dead_code)]
#[path = "../build/bench.rs"]
mod bench;
mod choices;
mod compared;
mod formats;
mod hostile;
mod loaders;
mod micro;
mod records;
mod studio;
