//! The command line, as `--help`, the man page and the completions show it.

mod attach;
mod deploy;
mod goals;
mod kept;
mod misspelt;
mod watch;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::session::logs::Pane;

pub use attach::AttachArgs;
pub use deploy::DeployArgs;
pub use goals::{AccessName, BootArgs, BuildArgs, DirectArgs, GoalArgs, TestArgs, TestWish};
pub use kept::{DisksArgs, SlotsArgs};
pub use watch::WatchArgs;

const EXIT_CODES: &str = "\
Exit codes:
    0  all went well
    1  something of Cartridge's own went wrong
    2  the command line was wrong: an option, its value, or what it names
    3  the cartridge has errors, or there is none
    4  this host lacks something: see `cartridge doctor`
    5  the build failed
    6  the guest could not be started, or crashed
    7  the guest did not report, or found another tree than the one injected; or an image that cannot report
       (a release build, engine mkarchiso) has shown no login prompt or shell on its serial line
    8  another session works on this cartridge
    9  something could not be removed
   10  a test has failed
   11  an image was not written to a disk, or what was read back is not what was written
  130  cancelled, by you or by a signal

`cartridge diff` has those of diff(1): 0 the images hold the same, 1 they differ, 2 there was trouble; and 130.";
const DIFF_EXIT_CODES: &str = "\
Exit codes, as of diff(1):
    0  the images hold the same; how large they are and when they were made does not count
    1  they differ
    2  one of them could not be read, or the command line was wrong
  130  cancelled, by you or by a signal";

/// Build a repository into a bootable image, boot it, see it, eject it.
#[derive(Parser, Debug)]
#[command(name = "cartridge", version, after_help = EXIT_CODES, args_conflicts_with_subcommands = true)]
pub struct Cli {
    /// A repository, or a cartridge.toml, to insert. Without one the window opens on the last cartridge
    pub path: Option<PathBuf>,
    /// Insert the built-in cartridge
    #[arg(long)]
    pub builtin: bool,
    /// Build, without a window (as `cartridge build`; with -l as `cartridge up`)
    #[arg(short = 'b', long = "build")]
    pub build: bool,
    /// Launch the image of the last build, without a window (as `cartridge boot`)
    #[arg(short = 'l', long = "launch")]
    pub launch: bool,
    /// Build afresh: use nothing that an earlier build left in the cache
    #[arg(short = 'f', long = "fresh")]
    pub fresh: bool,
    /// Eject: remove what dead sessions left, without a window (as `cartridge eject`)
    #[arg(short = 'e', long = "eject", conflicts_with_all = ["build", "launch", "path"])]
    pub eject: bool,
    #[command(subcommand)]
    verb: Option<Verb>,
}

impl Cli {
    /// The verb that was asked for, by its name or by the short flags; `None` for the window.
    #[must_use]
    pub fn verb(&self) -> Option<Verb> {
        let (path, builtin, fresh) = (self.path.clone(), self.builtin, self.fresh);
        let build = || BuildArgs { path: path.clone(), builtin, fresh, ..BuildArgs::default() };
        let goal = || GoalArgs { build: build(), ..GoalArgs::default() };
        match (&self.verb, self.build, self.launch, self.eject) {
            (Some(verb), ..) => Some(verb.clone()),
            (None, true, true, _) => Some(Verb::Up(goal())),
            (None, true, false, _) => Some(Verb::Build(build())),
            (None, false, true, _) => Some(Verb::Boot(BootArgs { goal: goal(), ..BootArgs::default() })),
            (None, false, false, true) => Some(Verb::Eject(EjectArgs::default())),
            (None, false, false, false) => None,
        }
    }
}

/// What to do without a window.
#[derive(Subcommand, Clone, Debug)]
#[allow(clippy::large_enum_variant, reason = "there is one in a run")]
pub enum Verb {
    /// Build the cartridge into an image
    Build(BuildArgs),
    /// Boot the image of the last build, or a kernel without a boot loader
    ///
    /// Without --direct, --kernel or --iso the cartridge says how (field boot.way). --kernel and --iso need no cartridge: the
    /// guest is the default one, or what --memory and --set make of it.
    Boot(BootArgs),
    /// Build, then boot
    Up(GoalArgs),
    /// Test the repository as it is: from a saved guest (a slot), in seconds, or with --prove from a cold boot
    ///
    /// The steps are those of the section [test] of the cartridge. Without the slot that it names the guest is booted cold, and
    /// saved as that slot on the way. Exit code 10 where a test has failed.
    Test(TestArgs),
    /// Watch what another session does with a cartridge, a window or a command, until it lets the cartridge go
    ///
    /// Prints what that one prints, and changes nothing. Exit code 0 where it went well, else that of what failed; 2 where nobody
    /// works on the cartridge, 1 where nothing more can be seen, because that session was killed or does not answer.
    Watch(WatchArgs),
    /// Say what would fail late or silently in a build, with the line and what mends it; builds nothing
    ///
    /// For the engines archiso and mkarchiso. Exit code 0 without errors (warnings and notes may be there), 3 with errors.
    Lint(LookArgs),
    /// Show the archiso profile that would be built, with where each file came from; builds nothing
    Tree(LookArgs),
    /// Show what is proposed for a repository without a cartridge.toml, with the reasons; --write writes it
    Propose(ProposeArgs),
    /// Show the slots of a cartridge, or with --all of every one: guests that were saved; --remove removes one
    Slots(SlotsArgs),
    /// Show what the cache holds
    Cache(CacheArgs),
    /// Attach to a VNC server of somebody else's: in the window, or with --shot, --record or --json without one
    ///
    /// Its screen takes the place of a guest's: keyboard, pointer, pictures, recordings, clipboard and text are as there. With
    /// --ssh or an ssh:// address it is reached through the system's ssh, which is to get there without a question (a key, and
    /// ssh-agent for its passphrase). What a server with TLS is trusted by is remembered.
    Attach(AttachArgs),
    /// Write an image to a USB stick or an SD card, read it back, and eject it; all that was on it is lost
    ///
    /// Refused are the running system's disk, disks of which anything is mounted, swap or held by another device, partitions, what
    /// is built in, write-protected or too small. The disk's name has to be typed, or given with --confirm. Until all of the image
    /// was read back the disk cannot be started from, so one whose writing was cancelled or has failed is plainly empty.
    Deploy(DeployArgs),
    /// Say in what two images differ: packages, files and their sizes, boot entries
    #[command(after_help = DIFF_EXIT_CODES)]
    Diff(DiffArgs),
    /// Remove what sessions left; caches and images stay unless --everything, and kept disks (see `cartridge disks`) always
    Eject(EjectArgs),
    /// Show the disks of guests that outlive the eject (disks = { NAME = "20G keep" }), or remove some by name
    Disks(DisksArgs),
    /// Look whether this host has what Cartridge needs, and how to get it
    Doctor(DoctorArgs),
    /// Save the screen of a running guest as PNG
    Shot(ShotArgs),
    /// Show the logs of a session
    Logs(LogsArgs),
}

impl Verb {
    /// What the program does when it is asked for a window and there is no display.
    #[must_use]
    pub fn headless_default(cli: &Cli) -> Self {
        let builtin = cli.builtin || cli.path.is_none();
        let path = cli.path.clone().filter(|_| !builtin);
        let build = BuildArgs { builtin, path, fresh: cli.fresh, ..BuildArgs::default() };
        Self::Up(GoalArgs { build, ..GoalArgs::default() })
    }
}

/// What `lint` and `tree` take.
#[derive(Args, Clone, Debug, Default)]
pub struct LookArgs {
    /// The repository, or its cartridge.toml; without it the current folder
    pub path: Option<PathBuf>,
    /// Change a field for this run, for example --set image.build=release; --set FIELD= leaves it out
    #[arg(long = "set", value_name = "FIELD=VALUE")]
    pub set: Vec<String>,
    /// One JSON object an event, instead of text
    #[arg(long)]
    pub json: bool,
}

/// What `propose` takes.
#[derive(Args, Clone, Debug, Default)]
pub struct ProposeArgs {
    /// The repository; without it the current folder
    pub path: Option<PathBuf>,
    /// Write the cartridge.toml, unless there is one; nothing else of the repository is touched
    #[arg(long)]
    pub write: bool,
    /// Change a field of the proposal, for example --set image.engine=mkarchiso
    #[arg(long = "set", value_name = "FIELD=VALUE")]
    pub set: Vec<String>,
    /// One JSON object an event, instead of text
    #[arg(long)]
    pub json: bool,
}

/// What `cache` takes.
#[derive(Args, Clone, Debug, Default)]
pub struct CacheArgs {
    /// Empty it, unless a build uses it; images stay
    #[arg(long)]
    pub clean: bool,
    /// One JSON object an event, instead of text
    #[arg(long)]
    pub json: bool,
}

/// What `doctor` takes.
#[derive(Args, Clone, Debug, Default)]
pub struct DoctorArgs {
    /// A repository, or its cartridge.toml: what its engine and its guest cannot do without is missing where it is not there
    pub path: Option<PathBuf>,
    /// One JSON object a check
    #[arg(long)]
    pub json: bool,
}

/// What `eject` takes.
#[derive(Args, Clone, Debug, Default)]
pub struct EjectArgs {
    /// Remove caches and images too
    #[arg(long)]
    pub everything: bool,
    /// End processes of yours that hold what is removed, and eject again; without it a terminal is asked
    #[arg(long)]
    pub end_holders: bool,
    /// Only say what --everything would remove, and who holds something of it
    #[arg(short = 'n', long)]
    pub dry_run: bool,
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
    /// One JSON object an event, instead of text
    #[arg(long)]
    pub json: bool,
}

/// What `shot` takes.
#[derive(Args, Clone, Debug)]
pub struct ShotArgs {
    /// Where to save it
    #[arg(required_unless_present = "text")]
    pub file: Option<PathBuf>,
    /// Print the text that is on the screen, read by tesseract
    #[arg(long)]
    pub text: bool,
    /// The session whose guest is meant; without it the newest that runs
    #[arg(long)]
    pub session: Option<String>,
    /// One JSON object an event, instead of text
    #[arg(long)]
    pub json: bool,
}

/// What `logs` takes.
#[derive(Args, Clone, Debug)]
pub struct LogsArgs {
    /// Which log: that of the session, or with --stage that of the build
    #[arg(value_enum)]
    pub log: Option<LogName>,
    /// The session; without it the newest
    #[arg(long)]
    pub session: Option<String>,
    /// Only the lines of one stage: of the build log
    #[arg(long, value_name = "STAGE")]
    pub stage: Option<String>,
    /// List the sessions that have logs
    #[arg(long)]
    pub list: bool,
    /// Go on showing what is added, until Ctrl-C
    #[arg(short = 'F', long)]
    pub follow: bool,
    /// One JSON object a line of the log, instead of its raw bytes
    #[arg(long, conflicts_with_all = ["follow", "list"])]
    pub json: bool,
}

/// What `diff` takes.
#[derive(Args, Clone, Debug)]
pub struct DiffArgs {
    /// An ISO image, the record that a build left beside one (NAME.record, NAME.previous.record), or a cartridge: then its
    /// last build is meant
    pub from: PathBuf,
    /// Another one; without it the build before the one at FROM is compared with that
    pub to: Option<PathBuf>,
    /// One JSON object with everything, instead of text
    #[arg(long)]
    pub json: bool,
    /// Show all that is listed, not only the first 50 lines of each kind
    #[arg(long)]
    pub all: bool,
    /// When the text has colours
    #[arg(long = "color", value_enum, value_name = "WHEN", default_value_t = Colour::Auto)]
    pub colour: Colour,
}

/// When text has colours.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    /// At a terminal, unless NO_COLOR is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// The logs by their names on the command line.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogName {
    /// What the stages and their tools print
    Build,
    /// What the guest sends on its serial line
    Serial,
    /// What QEMU itself prints
    Qemu,
    /// What the session does
    Session,
}

impl From<LogName> for Pane {
    fn from(name: LogName) -> Self {
        match name {
            LogName::Build => Self::Build,
            LogName::Serial => Self::Serial,
            LogName::Qemu => Self::Qemu,
            LogName::Session => Self::Session,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verb(args: &[&str]) -> Option<Verb> {
        Cli::parse_from(std::iter::once("cartridge").chain(args.iter().copied())).verb()
    }

    #[test]
    fn the_definition_is_sound() {
        <Cli as clap::CommandFactory>::command().debug_assert();
    }

    #[test]
    fn the_old_flags_mean_the_new_verbs() {
        assert!(verb(&[]).is_none());
        assert!(verb(&["some/repo"]).is_none());
        assert!(matches!(verb(&["-b", "some/repo"]), Some(Verb::Build(a)) if a.path == Some("some/repo".into())));
        assert!(matches!(verb(&["-b", "-l"]), Some(Verb::Up(_))));
        assert!(matches!(verb(&["-bf"]), Some(Verb::Build(a)) if a.fresh));
        assert!(matches!(verb(&["-l"]), Some(Verb::Boot(_))));
        assert!(matches!(verb(&["-e"]), Some(Verb::Eject(_))));
        assert!(matches!(verb(&["diff", "a", "b"]), Some(Verb::Diff(a)) if a.to == Some("b".into())));
    }
}
