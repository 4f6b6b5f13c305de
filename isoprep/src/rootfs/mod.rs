//! A root file system that is being made: a folder in the work directory, filled by processes that are its root in a user
//! namespace, and packed from there. Nothing but that folder can be written by them, unless they are given more: what we write
//! beside it, such as their scripts, they only read.

mod away;
mod pack;
mod reclaim;
mod script;

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use cartridge_supervise::{Channel, CommandLine, Isolation, Output, RunError, run};

pub(crate) use pack::{Packing, clamp_times, ext4_command, ext4_times, pack_command, packed_name};
pub use reclaim::reclaim;
pub(crate) use script::Script;

use crate::Cancel;
use crate::build::{BuildError, room_for};
use crate::cache::atomic;
use crate::pacman_log::{LineCutter, Piece};
use crate::progress::{Reporter, StageName};

/// What processes inside find as their search path: wherever a distribution keeps programs.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// What they keep of our environment: how to reach the network.
pub(crate) const KEPT: [&str; 8] =
    ["http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY"];
/// Folders that are mounted over while processes run inside, and that are empty afterwards.
const MOUNTED: [(u32, &[&str]); 3] = [(0o555, &["proc", "sys"]), (0o755, &["dev", "run"]), (0o1777, &["tmp"])];

/// A file system with less room than this counts as full, bytes.
const LEAST: u64 = 1 << 20;

/// A root file system in the making.
pub(crate) struct RootTree<'a> {
    /// The work directory, which processes read.
    work: PathBuf,
    /// The root itself, inside `work`: all that they may write.
    root: PathBuf,
    /// More folders that may be written.
    writable: Vec<PathBuf>,
    /// What must be seen although it lies where everything is private.
    shown: Vec<PathBuf>,
    epoch: u64,
    reporter: &'a Reporter<'a>,
    scripts: usize,
}

impl<'a> RootTree<'a> {
    /// An empty root below `work`, a directory of ours; what an earlier try left there is removed first.
    pub(crate) fn create(work: &Path, epoch: u64, reporter: &'a Reporter<'a>) -> Result<Self, BuildError> {
        let mut tree = Self::bare(work, epoch, reporter);
        if tree.root.symlink_metadata().is_ok() {
            tree.discard()?;
        }
        fs::create_dir(&tree.root).map_err(BuildError::write(reporter.stage, &tree.root, 0))?;
        Ok(tree)
    }

    fn bare(work: &Path, epoch: u64, reporter: &'a Reporter<'a>) -> Self {
        let (work, root) = (work.to_path_buf(), work.join("root"));
        Self { work, root, writable: Vec::new(), shown: Vec::new(), epoch, reporter, scripts: 0 }
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.root
    }

    /// Which stage makes it.
    pub(crate) fn stage(&self) -> StageName {
        self.reporter.stage
    }

    /// Lets processes write this folder of ours too.
    pub(crate) fn also_writable(&mut self, dir: &Path) {
        self.writable.push(dir.to_path_buf());
    }

    /// Lets processes read this folder, wherever it lies.
    pub(crate) fn also_shown(&mut self, dir: &Path) {
        self.shown.push(dir.to_path_buf());
    }

    /// The sandbox: the host's programs, the root to write. Programs of packages run in it, so that nothing that we write by
    /// its path may lie where it can be written from there: a link in its place would lead us anywhere.
    pub(crate) fn isolation(&self) -> Isolation {
        let mut isolation = Isolation::new().shown(&self.work, &self.work).writable(&self.root);
        // A package's script has no business with the keys and letters of whoever builds.
        if let Some(home) = std::env::home_dir().filter(|it| it.is_dir() && it.parent().is_some()) {
            isolation = isolation.hidden(home);
        }
        for dir in &self.writable {
            isolation = isolation.writable(dir);
        }
        for dir in &self.shown {
            isolation = isolation.shown(dir, dir);
        }
        isolation
    }

    /// Makes the folders that are mounted over when programs of the root itself run.
    pub(crate) fn mount_points(script: &mut Script, root: &Path) {
        for (mode, names) in MOUNTED {
            let words = [OsString::from("install"), "-d".into(), "-m".into(), format!("{mode:o}").into()];
            script.run(words.into_iter().chain(names.iter().map(|name| root.join(name).into())));
        }
    }

    /// Runs a script of ours with the host's programs, as root of the tree.
    pub(crate) fn script(&mut self, what: &str, script: &Script) -> Result<Output, BuildError> {
        let isolation = self.isolation();
        self.script_in(what, script, isolation)
    }

    /// As [`script`](Self::script), for one that also writes into the result `entry`.
    pub(crate) fn script_into(&mut self, entry: &Path, what: &str, script: &Script) -> Result<Output, BuildError> {
        let isolation = self.isolation().writable(entry);
        self.script_in(what, script, isolation)
    }

    /// Runs a script of ours in a sandbox of its own making.
    pub(crate) fn script_in(
        &mut self,
        what: &str,
        script: &Script,
        isolation: Isolation,
    ) -> Result<Output, BuildError> {
        let line = self.scripted(what, script)?;
        self.run(line, isolation)
    }

    /// Writes a script of ours into the work directory; the command runs it.
    pub(crate) fn scripted(&mut self, what: &str, script: &Script) -> Result<CommandLine, BuildError> {
        self.scripts += 1;
        let file = self.work.join(format!("{}-{:02}-{what}.sh", self.reporter.stage, self.scripts));
        atomic::write_new(&file, script.bytes()).map_err(BuildError::write(self.reporter.stage, &file, 0))?;
        Ok(CommandLine::new("bash").arg(&file))
    }

    /// Runs a program; what it prints goes to the log, line by line.
    pub(crate) fn run(&self, line: CommandLine, isolation: Isolation) -> Result<Output, BuildError> {
        let line = self.prepared(line, isolation);
        run_in_lines(&line, self.reporter).map_err(|e| self.failed(e))
    }

    /// A tool's own words for a full disk are many; ours say where and how much.
    pub(crate) fn failed(&self, error: RunError) -> BuildError {
        let stage = self.reporter.stage;
        if matches!(error, RunError::Failed { .. }) {
            for dir in [&self.work].into_iter().chain(&self.writable) {
                if let Err(full) = room_for(stage, dir, LEAST) {
                    return full;
                }
            }
        }
        BuildError::tool(stage)(error)
    }

    /// `line` in the sandbox, with an environment of its own.
    pub(crate) fn prepared(&self, line: CommandLine, isolation: Isolation) -> CommandLine {
        line.only_env(KEPT)
            .env("PATH", PATH)
            .env("HOME", "/tmp")
            .env("LC_ALL", "C.UTF-8")
            .env("SOURCE_DATE_EPOCH", self.epoch.to_string())
            .isolated(isolation)
    }

    /// Removes it, or leaves that to the eject of the work directory where somebody waits for a cancelled build to end.
    pub(crate) fn discard(&mut self) -> Result<(), BuildError> {
        away::put(&self.work, &self.root, self.reporter.cancel).map_err(BuildError::tool(self.reporter.stage))
    }
}

/// A root that stays for the next stage; dropped, it is gone.
pub(crate) struct KeptRoot {
    work: PathBuf,
    root: PathBuf,
    cancel: Cancel,
}

impl KeptRoot {
    /// Keeps the root of `tree` for as long as this lives.
    pub(crate) fn new(tree: &RootTree<'_>) -> Self {
        Self { work: tree.work.clone(), root: tree.root.clone(), cancel: tree.reporter.cancel.clone() }
    }

    /// The root as a tree of another stage, which keeps it no longer than `self`.
    pub(crate) fn tree<'a>(&self, epoch: u64, reporter: &'a Reporter<'a>) -> RootTree<'a> {
        RootTree::bare(&self.work, epoch, reporter)
    }
}

impl Drop for KeptRoot {
    fn drop(&mut self) {
        if self.root.symlink_metadata().is_ok() {
            // What cannot be removed here, `reclaim` takes back with the work directory.
            let _ = away::put(&self.work, &self.root, &self.cancel);
        }
    }
}

/// Runs `line`; what it prints is handed over on a thread of ours, so that borrowed things may be told.
pub(crate) fn relay(
    line: &CommandLine,
    reporter: &Reporter<'_>,
    mut take: impl FnMut(Channel, &[u8]) + Send,
) -> Result<Output, RunError> {
    let (sender, pieces) = std::sync::mpsc::sync_channel::<(Channel, Vec<u8>)>(256);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for (channel, bytes) in pieces {
                take(channel, &bytes);
            }
        });
        run(line, reporter.cancel, move |channel: Channel, bytes: &[u8]| {
            // The receiver lives as long as the scope.
            let _ = sender.send((channel, bytes.to_vec()));
        })
    })
}

/// Runs `line` and tells every line that it prints.
pub(crate) fn run_in_lines(line: &CommandLine, reporter: &Reporter<'_>) -> Result<Output, RunError> {
    let mut cutters = [LineCutter::new(), LineCutter::new()];
    let tell = |piece| {
        if let Piece::Line(text) = piece {
            reporter.line(text);
        }
    };
    let output =
        relay(line, reporter, |channel, bytes| cutters[usize::from(channel == Channel::Stderr)].feed(bytes, tell));
    for cutter in &mut cutters {
        cutter.finish(tell);
    }
    output
}
