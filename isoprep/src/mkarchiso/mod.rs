//! The engine `mkarchiso`: the installed tool, unmodified, for those who want exactly it.
//!
//! - `ways` decides which way it is run: in a user namespace, in a rootless container, or by a helper that polkit
//!   guards.
//! - `facts` finds out what this host offers for that.
//! - `command` makes the command line of a way.
//! - `log` reads what mkarchiso and its tools print: how far it is, and the first real error.
//! - `product` looks at the image that was made: an exit code of 0 is not trusted.
//! - `names` knows what a misspelt package was meant to be.
//! - `run` does it, in a directory that `scratch` makes and removes; `watch` ends it when it was cancelled.
//! - `left` finds what a helper that was killed left: only the helper can remove it.

mod command;
mod error;
mod facts;
mod left;
mod log;
mod log_patterns;
mod names;
mod product;
mod run;
mod scratch;
mod watch;
mod ways;

/// The container image that is used where there is no better way: one with archiso in it, made by the user.
pub const CONTAINER: &str = "localhost/archiso:latest";

pub(crate) use command::PROFILE_INSIDE;
pub use command::{CACHE_INSIDE, HELPER, HelperBuild, HelperRequest};
pub use error::MkarchisoError;
pub use facts::{find, look_around};
pub use log::{MkarchisoLog, MkarchisoNews, MkarchisoStage};
pub use product::{BootFile, Shortfall, boot_files, shortfalls};
pub use run::{MkarchisoJob, Product, run};
pub use scratch::remove_scratch;
pub use ways::{Chosen, Facts, HelperFact, Mend, NamespaceFact, NoWay, PodmanFact, Way, choose};
