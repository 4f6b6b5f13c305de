//! The project's own chores: `xtask man DIR`, `completions DIR`, `layers`, `licences`, `notices FILE`, `bench`.
//!
//! Each chore has its own file; what a chore decides is a pure function over text, and `cargo` is asked in one place.

mod bench;
mod cargo;
mod generate;
mod layers;
mod licences;
mod notices;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The project's chores.
#[derive(Parser)]
#[command(name = "xtask")]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Writes the man page into a folder.
    Man {
        /// The folder; made if it is not there.
        folder: PathBuf,
    },
    /// Writes the completions for bash, zsh and fish into a folder.
    Completions {
        /// The folder; made if it is not there.
        folder: PathBuf,
    },
    /// Checks that no part imports upwards, and that the headless build holds no window.
    Layers,
    /// Checks that every dependency's licence is one that we may ship.
    Licences,
    /// Writes the licences of everything that is compiled in, for packages to ship.
    Notices {
        /// The file.
        file: PathBuf,
    },
    /// Builds the release program and measures it: the table of the README.
    Bench {
        /// Only these parts of it.
        parts: Vec<bench::Part>,
        /// What of Eject: files, ext4, bytes, table; `--files N`, `--gigabytes N` and `--pairs N` for a slow disk.
        #[arg(last = true)]
        rest: Vec<String>,
    },
}

/// A chore's failure, in words for the terminal.
type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let done = match Arguments::parse().chore {
        Chore::Man { folder } => generate::man(&folder),
        Chore::Completions { folder } => generate::completions(&folder),
        Chore::Layers => layers::check(),
        Chore::Licences => licences::check(),
        Chore::Notices { file } => notices::write(&file),
        Chore::Bench { parts, rest } => bench::run_benches(&parts, &rest),
    };
    match done {
        Ok(said) => {
            println!("{said}");
            ExitCode::SUCCESS
        }
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::FAILURE
        }
    }
}
