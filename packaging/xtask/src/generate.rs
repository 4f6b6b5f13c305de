//! The man page and the completions, from the program's own description of its arguments.

use std::fs;
use std::path::Path;

use clap_complete::Shell;

use crate::Failure;

/// Writes `cartridge.1`, and one page for each subcommand, into `folder`.
pub fn man(folder: &Path) -> Result<String, Failure> {
    fs::create_dir_all(folder)?;
    clap_mangen::generate_to(cartridge::cli::command(), folder)?;
    Ok(format!("man pages are in {}", folder.display()))
}

/// Writes `cartridge.bash`, `_cartridge` (zsh) and `cartridge.fish` into `folder`.
pub fn completions(folder: &Path) -> Result<String, Failure> {
    fs::create_dir_all(folder)?;
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        clap_complete::generate_to(shell, &mut cartridge::cli::command(), "cartridge", folder)?;
    }
    Ok(format!("completions are in {}", folder.display()))
}
