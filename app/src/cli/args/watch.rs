//! What `watch` takes.

use std::path::PathBuf;

use clap::Args;

/// What `watch` takes.
#[derive(Args, Clone, Debug, Default)]
pub struct WatchArgs {
    /// The repository, or its cartridge.toml; without it the current folder
    pub path: Option<PathBuf>,
    /// The built-in cartridge
    #[arg(long, conflicts_with = "path")]
    pub builtin: bool,
    /// One JSON object an event, instead of text
    #[arg(long)]
    pub json: bool,
}
