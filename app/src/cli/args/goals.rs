//! What the verbs take that build an image, start a guest or run a test.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use vmtools::slot::SlotName;

/// What `build` takes.
#[derive(Args, Clone, Debug, Default)]
pub struct BuildArgs {
    /// The repository, or its cartridge.toml; without it the current folder
    pub path: Option<PathBuf>,
    /// Use the built-in cartridge
    #[arg(long, conflicts_with = "path")]
    pub builtin: bool,
    /// Change a field for this run, for example --set guest.firmware=uefi; --set FIELD= leaves it out
    #[arg(long = "set", value_name = "FIELD=VALUE")]
    pub set: Vec<String>,
    /// Build afresh: use nothing that an earlier build left in the cache
    #[arg(short, long)]
    pub fresh: bool,
    /// Build in spite of errors of the lint
    #[arg(long)]
    pub no_lint: bool,
    /// One JSON object an event, instead of text
    #[arg(long)]
    pub json: bool,
}

/// What `boot` and `up` take.
#[derive(Args, Clone, Debug, Default)]
pub struct GoalArgs {
    /// What is built or was.
    #[command(flatten)]
    pub build: BuildArgs,
    /// Save the guest's screen as PNG once it has reported
    #[arg(long, value_name = "FILE")]
    pub shot: Option<PathBuf>,
    /// Record the guest's screen from its first picture to its end: H.264 in a new MP4 file, which browsers play
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,
    /// Start the guest from this slot instead of booting it
    #[arg(long, value_name = "NAME", value_parser = SlotName::new)]
    pub slot: Option<SlotName>,
    /// With --slot: restore it although its image or its repository has changed since (as with --plug)
    #[arg(long, requires = "slot")]
    pub anyway: bool,
    /// Plug the repository, as it is now, into the guest once it is up
    #[arg(long)]
    pub plug: bool,
    /// Save the guest as this slot once it is up (and has what --plug brings)
    #[arg(long, value_name = "NAME", value_parser = SlotName::new)]
    pub save_slot: Option<SlotName>,
    /// Keep the guest, with this terminal on its serial line, until it ends or Ctrl-] is pressed (the default at a terminal)
    #[arg(long, conflicts_with = "until_report")]
    pub stay: bool,
    /// Keep the guest, and bring in what changes in the repository, until Ctrl-C
    ///
    /// Each time that files were changed, the guest gets them by the quickest way that there is for it; which one, and how
    /// long it took, is said.
    #[arg(long, conflicts_with_all = ["until_report", "stay"])]
    pub watch: bool,
    /// End when the guest has reported (the default without a terminal)
    ///
    /// An image that cannot report (build = "release", engine = "mkarchiso") has come up when its serial line shows a login
    /// prompt, a shell, or that systemd has reached its target. Without such a sign the run ends after a while (3 minutes
    /// with KVM, 10 emulated), says so, and exits with 7.
    #[arg(long)]
    pub until_report: bool,
    /// How long to wait for the guest to come up (by itself: 3 to 20 minutes, by the engine and the accelerator)
    #[arg(long, value_name = "SECONDS")]
    pub wait: Option<u64>,
    /// The test that is to be run, of the verb `test`.
    #[arg(skip)]
    pub test: Option<TestWish>,
}

/// Which test is to be run, and how often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TestWish {
    /// From a slot; else cold.
    pub warm: bool,
    /// Again on every save, until Ctrl-C.
    pub live: bool,
}

/// What `test` takes.
#[derive(Args, Clone, Debug, Default)]
pub struct TestArgs {
    /// What is tested.
    #[command(flatten)]
    pub build: BuildArgs,
    /// Start from this slot instead of the one that the cartridge names (as --set test.slot=NAME)
    #[arg(long, value_name = "NAME", value_parser = SlotName::new)]
    pub slot: Option<SlotName>,
    /// Prove it: build, boot cold, and do the steps before the slot's moment too
    #[arg(long)]
    pub prove: bool,
    /// Run the test again on every save of a file, until Ctrl-C
    #[arg(long, conflicts_with = "prove")]
    pub live: bool,
    /// Keep the guest after the test, with this terminal on its serial line, until it ends or Ctrl-] is pressed
    #[arg(long, conflicts_with = "live")]
    pub stay: bool,
    /// Save the guest's screen as PNG at the end of the test
    #[arg(long, value_name = "FILE", conflicts_with = "live")]
    pub shot: Option<PathBuf>,
    /// How long to wait for a guest that is booted cold to come up
    #[arg(long, value_name = "SECONDS")]
    pub wait: Option<u64>,
}

impl From<TestArgs> for GoalArgs {
    fn from(args: TestArgs) -> Self {
        let TestArgs { mut build, slot, prove, live, stay, shot, wait } = args;
        build.set.extend(slot.map(|name| format!("test.slot={name}")));
        let test = Some(TestWish { warm: !prove, live });
        Self { build, shot, stay, until_report: !stay && !live, wait, test, ..Self::default() }
    }
}

/// What `boot` takes.
#[derive(Args, Clone, Debug, Default)]
pub struct BootArgs {
    /// How it is watched.
    #[command(flatten)]
    pub goal: GoalArgs,
    /// Print the command that boots it by itself in a terminal, and boot nothing
    #[arg(long, conflicts_with_all = ["shot", "stay", "until_report", "wait", "list", "slot"])]
    pub print_command: bool,
    /// What is booted without a boot loader.
    #[command(flatten)]
    pub direct: DirectArgs,
}

/// What a boot without a boot loader takes.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Without a boot loader")]
pub struct DirectArgs {
    /// Boot the kernel and the initramfs of the last build's image; the image is a CD of the guest
    #[arg(long, group = "source")]
    pub direct: bool,
    /// Boot this kernel: a bzImage or a vmlinux
    #[arg(long, value_name = "FILE", group = "source", conflicts_with_all = ["path", "builtin"])]
    pub kernel: Option<PathBuf>,
    /// An initramfs for it, to be booted as it is; several are joined. Without one, one of Cartridge's
    #[arg(long, value_name = "FILE", requires = "kernel", conflicts_with_all = ["root", "disk"])]
    pub initrd: Vec<PathBuf>,
    /// A folder of this machine as its root
    #[arg(long, value_name = "DIR", requires = "kernel", conflicts_with = "disk")]
    pub root: Option<PathBuf>,
    /// An ISO, a squashfs, an EROFS or a disk image whose layers are its root
    #[arg(long, value_name = "IMAGE", requires = "kernel")]
    pub disk: Option<PathBuf>,
    /// With --disk: keep what the guest writes in this disk image, for the next boot; made where there is none
    #[arg(long, value_name = "IMAGE", requires = "disk")]
    pub keep: Option<PathBuf>,
    /// Its modules, if they are not at /lib/modules/RELEASE
    #[arg(long, value_name = "DIR", requires = "kernel")]
    pub modules: Option<PathBuf>,
    /// What the guest may do with the folder of --root; without it what the guest writes stays in its memory
    #[arg(long, value_enum, requires = "root")]
    pub access: Option<AccessName>,
    /// Boot the kernel, initramfs and command line that a boot entry of this ISO names; the ISO is a CD of the guest
    #[arg(long, value_name = "FILE", group = "source", conflicts_with_all = ["path", "builtin"])]
    pub iso: Option<PathBuf>,
    /// Which entry: its number in --list, or its title. Without it the best one
    #[arg(long, value_name = "N|TITLE", requires = "iso")]
    pub entry: Option<String>,
    /// Only list the entries of the ISO
    #[arg(long, requires = "iso", conflicts_with = "entry")]
    pub list: bool,
    /// Words to add to the kernel's command line
    #[arg(long, value_name = "WORDS", requires = "source", allow_hyphen_values = true)]
    pub append: Vec<String>,
    /// The whole command line, in place of the one that goes with it
    #[arg(long, value_name = "WORDS", requires = "source", allow_hyphen_values = true)]
    pub cmdline: Option<String>,
    /// How much memory the guest has, for example 512M or 4G
    #[arg(long, value_name = "SIZE", requires = "source")]
    pub memory: Option<String>,
}

/// What a guest may do with a folder, by its names on the command line.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessName {
    /// What it writes stays in its memory
    Overlaid,
    /// It cannot write
    ReadOnly,
    /// What it writes is in the folder
    Writable,
}
