//! What `deploy` takes.

use std::path::PathBuf;

use clap::Args;

/// What `deploy` takes.
#[derive(Args, Clone, Debug, Default)]
pub struct DeployArgs {
    /// An ISO, or the image of a whole disk
    #[arg(required_unless_present = "list")]
    pub image: Option<PathBuf>,
    /// The disk to write it to; without it the disks are shown, and one is asked for
    #[arg(long, value_name = "DEVICE", conflicts_with = "list")]
    pub to: Option<String>,
    /// The disk's name, for example sdb: says yes to losing all that is on it, instead of typing it
    #[arg(long, value_name = "NAME", requires = "to")]
    pub confirm: Option<String>,
    /// Only show the disks, and why some are refused
    #[arg(long)]
    pub list: bool,
    /// Leave the disk plugged in as it is, instead of ejecting it
    #[arg(long)]
    pub no_eject: bool,
    /// One JSON object an event, instead of text
    #[arg(long)]
    pub json: bool,
}
