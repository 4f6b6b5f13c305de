//! The headless front end: the same session, driven by a command line and shown as text or as JSON lines.

mod args;
mod attach;
mod boot_command;
mod cache;
mod confirm;
mod deploy;
mod diff;
mod direct;
mod disks;
mod drive;
mod eject;
mod fields;
mod held;
mod logs;
mod look;
pub(crate) mod print;
mod propose;
mod secret;
mod shot;
mod signals;
mod slots;
mod slots_all;
mod still;
mod vnc;
mod watch;

pub use args::{
    AccessName, AttachArgs, BootArgs, BuildArgs, CacheArgs, Cli, Colour, DeployArgs, DiffArgs, DirectArgs, DisksArgs,
    DoctorArgs, EjectArgs, GoalArgs, LogsArgs, LookArgs, ProposeArgs, ShotArgs, SlotsArgs, TestArgs, TestWish, Verb,
    WatchArgs,
};

pub(crate) use vnc::wish as attach_wish;

use std::time::Duration;

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
    let plain = |who: &str| SessionConfig {
        paths: paths.clone(),
        who: format!("cartridge {who}"),
        fresh: false,
        lint: true,
        examines: false,
        watches: false,
        patience: None,
        blank_after: None,
    };
    let towards = |who: &str, args: &BuildArgs, wait: Option<u64>| SessionConfig {
        fresh: args.fresh,
        lint: !args.no_lint,
        patience: wait.map(Duration::from_secs),
        ..plain(who)
    };
    let watching = |config: SessionConfig, watches: bool| SessionConfig { watches, ..config };
    Ok(match verb {
        Verb::Build(build) => {
            let session = crate::session::begin(towards("build", &build, None))?;
            drive::to(Goal::Build, GoalArgs { build, ..GoalArgs::default() }, session).await
        }
        Verb::Boot(args @ BootArgs { print_command: true, .. }) => boot_command::print(args, &paths),
        Verb::Boot(BootArgs { goal, direct: DirectArgs { iso: Some(iso), list: true, .. }, .. }) => {
            direct::list(&iso, goal.build.json).await
        }
        Verb::Boot(mut args) => {
            let wish = match direct::wish(&mut args) {
                Ok(wish) => wish,
                Err(why) => {
                    print::err(&format!("cartridge: {why}"));
                    return Ok(exit_code::USAGE);
                }
            };
            let session =
                crate::session::begin(watching(towards("boot", &args.goal.build, args.goal.wait), args.goal.watch))?;
            drive::boot(wish, args.goal, session).await
        }
        Verb::Up(args) => {
            let session = crate::session::begin(watching(towards("up", &args.build, args.wait), args.watch))?;
            drive::to(Goal::Up, args, session).await
        }
        Verb::Test(args) => {
            let (watches, args) = (args.live, GoalArgs::from(args));
            let session = crate::session::begin(watching(towards("test", &args.build, args.wait), watches))?;
            drive::to(Goal::Up, args, session).await
        }
        Verb::Attach(args) => match vnc::wish(&args) {
            Ok(wish) => vnc::run(args, wish, crate::session::begin(plain("attach"))?).await,
            Err(why) => {
                print::wrong(args.json, "The command line is wrong", &why, exit_code::USAGE);
                if args.json {
                    print::finished(exit_code::USAGE);
                }
                exit_code::USAGE
            }
        },
        Verb::Watch(args) => watch::run(&args, &paths).await,
        Verb::Lint(args) => look::lint(args, crate::session::begin(plain("lint"))?).await,
        Verb::Tree(args) => look::tree(args, crate::session::begin(plain("tree"))?).await,
        Verb::Propose(args) => propose::run(args, crate::session::begin(plain("propose"))?).await,
        Verb::Slots(args) => {
            let path = args.path.as_deref().map(slots_all::place);
            match (&args.take_from, slots_all::whose(args.all, path.as_deref(), &paths)) {
                (Some(from), _) => slots_all::take(&args, from, &paths),
                (None, Some(whose)) => slots_all::run(&args, &whose, &paths),
                (None, None) => slots::run(args, crate::session::begin(plain("slots"))?).await,
            }
        }
        Verb::Cache(args) => cache::run(&args, crate::session::begin(plain("cache"))?).await,
        Verb::Deploy(args) => deploy::run(args, crate::session::begin(plain("deploy"))?).await,
        Verb::Diff(args) => diff::run(args, &paths).await,
        Verb::Eject(args) => eject::run(&args, crate::session::begin(plain("eject"))?).await,
        Verb::Doctor(DoctorArgs { path, json }) => {
            let purpose = match path.as_deref().map(look::purpose).transpose() {
                Ok(purpose) => purpose.unwrap_or_default(),
                Err(why) => {
                    print::wrong(json, "The cartridge could not be read", &why, exit_code::CARTRIDGE);
                    if json {
                        print::finished(exit_code::CARTRIDGE);
                    }
                    return Ok(exit_code::CARTRIDGE);
                }
            };
            let checks = crate::doctor::run(&paths, &purpose);
            let missing = crate::doctor::worst(&checks) == crate::doctor::Status::Missing;
            print::checks(checks, json);
            let code = if missing { exit_code::HOST } else { exit_code::GOOD };
            if json {
                print::finished(code);
            }
            code
        }
        Verb::Disks(args) => disks::run(&args, &paths),
        Verb::Shot(args) => shot::run(&args, &paths).await,
        Verb::Logs(args) => logs::run(&args, &paths).await,
    })
}
