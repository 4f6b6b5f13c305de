//! The headless front end: the same session, driven by a command line and shown as text or as JSON lines.

mod args;
mod attach;
mod diff;
mod drive;
mod eject;
mod logs;
mod print;
mod shot;

pub use args::{Cli, Colour, DiffArgs, EjectArgs, GoalArgs, LogsArgs, ShotArgs, Verb};

use crate::paths::Paths;
use crate::session::failure::exit_code;
use crate::session::state::Goal;
use crate::session::{BeginError, SessionConfig};

/// The command line's definition, for the man page and the completions.
#[must_use]
pub fn command() -> clap::Command {
    <Cli as clap::CommandFactory>::command()
}

/// Runs one verb to its end.
///
/// # Errors
/// [`BeginError`] when no session can begin; every other failure is shown and becomes the exit code.
pub async fn run(verb: Verb, paths: Paths) -> Result<u8, BeginError> {
    let config = |who: &str, fresh| SessionConfig { paths: paths.clone(), who: format!("cartridge {who}"), fresh };
    Ok(match verb {
        Verb::Build(args) if args.shot.is_some() || args.stay || args.until_report => {
            eprintln!("cartridge: --shot, --stay and --until-report are about a guest: use `cartridge up`");
            exit_code::USAGE
        }
        Verb::Build(args) => {
            let session = crate::session::begin(config("build", args.fresh))?;
            drive::to(Goal::Build, args, session).await
        }
        Verb::Boot(args) => drive::to(Goal::Boot, args, crate::session::begin(config("boot", false))?).await,
        Verb::Up(args) => {
            let session = crate::session::begin(config("up", args.fresh))?;
            drive::to(Goal::Up, args, session).await
        }
        Verb::Eject(args) => eject::run(&args, crate::session::begin(config("eject", false))?).await,
        Verb::Doctor { json } => {
            let checks = crate::doctor::run(&paths);
            let missing = crate::doctor::worst(&checks) == crate::doctor::Status::Missing;
            print::checks(checks, json);
            let code = if missing { exit_code::HOST } else { exit_code::GOOD };
            if json {
                print::finished(code);
            }
            code
        }
        Verb::Shot(args) => shot::run(&args, &paths).await,
        Verb::Logs(args) => logs::run(&args, &paths).await,
        Verb::Diff(args) => diff::run(args, &paths).await,
    })
}
