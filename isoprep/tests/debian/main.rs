//! The engines debian and tree: real mmdebstrap from the configured mirror, real systemd, and guests that tell what
//! they found.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../arch/mod.rs"]
mod arch;
mod bench;
mod boots;
mod facts;
mod faults;
mod init;
mod trees;
mod users;
