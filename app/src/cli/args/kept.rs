//! What the verbs take that show and remove what a user keeps: slots and disks.

use std::path::PathBuf;

use clap::Args;
use vmtools::slot::SlotName;

/// What `slots` takes.
#[derive(Args, Clone, Debug, Default)]
pub struct SlotsArgs {
    /// The repository, or its cartridge.toml, or where it was; without it the current folder
    pub path: Option<PathBuf>,
    /// The built-in cartridge's
    #[arg(long, conflicts_with = "path")]
    pub builtin: bool,
    /// Those of all cartridges, also of those whose folder is not there any more
    #[arg(long, conflicts_with_all = ["path", "builtin"])]
    pub all: bool,
    /// Take over the slots of the cartridge that was in this folder before it was moved
    #[arg(long, value_name = "FOLDER", conflicts_with_all = ["all", "builtin", "remove"])]
    pub take_from: Option<PathBuf>,
    /// Remove this one
    #[arg(long, value_name = "NAME", value_parser = SlotName::new)]
    pub remove: Option<SlotName>,
    /// One JSON object an event, instead of text
    #[arg(long)]
    pub json: bool,
}

/// What `disks` takes.
#[derive(Args, Clone, Debug, Default)]
pub struct DisksArgs {
    /// The repository, or its cartridge.toml; without it all cartridges, or with --remove the current folder
    pub path: Option<PathBuf>,
    /// Remove this kept disk of the cartridge, and what is on it
    #[arg(long, value_name = "NAME")]
    pub remove: Vec<String>,
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
    /// One JSON object a disk
    #[arg(long)]
    pub json: bool,
}
