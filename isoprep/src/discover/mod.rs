//! Finds out what a repository is made of: archiso profiles and overlays, submodules that were not fetched, pacman.conf files,
//! environment files, results of other builders, and what the repository's own build scripts add and take away.
//!
//! [`look`] lists the folder and reads a bounded number of small files; everything else is decided from that listing in pure
//! functions. Nothing is executed and no link is followed. What is made of it is for [`propose`](crate::recipe::propose()).

mod environment;
mod found;
mod ignored;
mod listing;
mod outputs;
mod pacman_conf;
mod profiles;
mod scripts;
mod shell;
mod submodules;
mod walk;

pub use environment::{Environment, Variable};
pub use found::{Discovered, Installed};
pub(crate) use ignored::Ignored;
pub use listing::{Kind, Listing};
pub(crate) use outputs::of as output;
pub use outputs::{Output, OutputKind};
pub use pacman_conf::{FoundConf, Reach};
pub use profiles::{FoundOverlay, FoundProfile};
pub(crate) use scripts::place;
pub use scripts::{Said, SaidPath, ScriptsSay};
pub use submodules::Submodule;
pub(crate) use submodules::around;
pub use walk::look;
