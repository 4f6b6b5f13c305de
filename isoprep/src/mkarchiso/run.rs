//! Runs mkarchiso once, in a scratch directory of its own, and looks at what came out. Whatever happens, nothing is left
//! mounted, running or half done.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use cartridge_supervise::{
    Cancel, Channel, CommandLine, Exit, Isolation, Observer, ProcessHandle, RunError, SpawnError, run as tool, spawn,
};
use rustix::fs::FlockOperation;

use super::command::{Plan, SHIMS, podman_can_name};
use super::log::{MkarchisoLog, MkarchisoNews, MkarchisoStage};
use super::product::{BootFile, Shortfall, not_whole, parse_list, shortfalls};
use super::ways::Way;
use crate::eject::{EjectError, WorkDir, eject};
use crate::pacman_log::{LogFinding, Weight};

/// How often we look whether somebody cancelled.
const BEAT: Duration = Duration::from_millis(20);
/// How long a cancelled way may take to end by itself before it is killed: the container, and the helper, which is root's
/// and cannot be signalled.
const GRACE: Duration = Duration::from_millis(1000);
/// How much output waits to be read.
const QUEUE: usize = 256;
/// The file in the output directory that tells the helper to stop.
const STOP: &str = "stop";

/// One build.
#[derive(Clone, Debug)]
pub struct MkarchisoJob {
    /// How it is run: what [`choose`](super::choose) chose.
    pub way: Way,
    /// The installed mkarchiso, absolute. A container has its own.
    pub tool: PathBuf,
    /// The image's name, for [`Way::Podman`].
    pub image: String,
    /// The assembled copy of the profile, absolute. It is only read.
    pub profile: PathBuf,
    /// A work directory with our marker, absolute. The build takes place in a new directory inside it.
    pub work: PathBuf,
    /// The package cache, absolute. The profile's `pacman.conf` names it by [`CACHE_INSIDE`](super::CACHE_INSIDE).
    pub cache: PathBuf,
    /// More directories that pacman must see: those of `file://` repositories.
    pub readable: Vec<PathBuf>,
    /// Where the image is put in the end, absolute. An image of the same name there is replaced.
    pub out: PathBuf,
    /// The time stamp of everything that is made, seconds since 1970.
    pub source_date_epoch: u64,
    /// What the boot entries name: [`boot_files`](super::boot_files) of the profile.
    pub boot_files: Vec<BootFile>,
    /// The `PATH` in which tools are looked up.
    pub path: OsString,
}

/// What a build left.
#[derive(Clone, Debug)]
pub struct Product {
    /// The image.
    pub iso: PathBuf,
    /// Its size, bytes.
    pub bytes: u64,
    /// What the log has that may matter and stopped nothing: a hook that failed, owners that were lost.
    pub doubts: Vec<LogFinding>,
    /// Boot entries that name what is not on the image, but do not start the live system.
    pub shortfalls: Vec<Shortfall>,
    /// How long mkarchiso ran.
    pub took: Duration,
}

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MkarchisoError {
    /// Somebody asked to stop; nothing is left running or mounted.
    #[error("mkarchiso was cancelled")]
    Cancelled,
    /// It could not be started.
    #[error("mkarchiso could not be started {way}: {source}")]
    Start {
        /// The way that was tried.
        way: Way,
        /// What the system said.
        source: SpawnError,
    },
    /// The log has a failure, whatever the exit code says.
    #[error("{finding}{}", after(*exit))]
    Found {
        /// The first real error.
        finding: Box<LogFinding>,
        /// The exit code; `None` for a signal.
        exit: Option<i32>,
    },
    /// It failed, and no line of the log says why.
    #[error("mkarchiso failed ({how}) without saying why. The log ends with:\n  {}", tail.join("\n  "))]
    Unexplained {
        /// "exit code 1", "killed by signal 9".
        how: String,
        /// The last lines of the log.
        tail: Vec<String>,
    },
    /// polkit did not let the helper run.
    #[error(
        "the helper was not allowed to run: {said}\n  Give an administrator's password when you are asked, or lend ids to this user so that no password is needed: sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 $USER"
    )]
    NotAuthorized {
        /// What pkexec said.
        said: String,
    },
    /// It says that it succeeded, but there is not exactly one image.
    #[error("mkarchiso says that it succeeded, but left {} images in {}\n  buildmodes in profiledef.sh must have \"iso\".", found.len(), dir.display())]
    NoImage {
        /// Where it should be.
        dir: PathBuf,
        /// The images that are there.
        found: Vec<PathBuf>,
    },
    /// The image is not whole.
    #[error("mkarchiso says that it succeeded, but {} is not whole: {why}", iso.display())]
    NotWhole {
        /// The image.
        iso: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// What a boot entry names is not on the image.
    #[error("mkarchiso says that it succeeded, but the image will not boot:{}\n  List the package of that kernel, or correct the boot entry.", .0.iter().map(|it| format!("\n  {it}")).collect::<String>())]
    Unbootable(
        /// What is missing.
        Vec<Shortfall>,
    ),
    /// The list of the image's files could not be read.
    #[error("the image's files could not be listed: {0}")]
    List(
        /// What xorriso said.
        RunError,
    ),
    /// podman cannot be told of a path.
    #[error("podman cannot be given {}: the path has a comma, a quote or a line's end\n  Choose another directory, or another way to run mkarchiso.", .0.display())]
    Path(
        /// The path.
        PathBuf,
    ),
    /// The scratch directory could not be made.
    #[error(transparent)]
    Scratch(#[from] EjectError),
    /// A file operation failed.
    #[error("could not {doing} {}: {source}", path.display())]
    Io {
        /// A verb: "make", "move".
        doing: &'static str,
        /// What it was about.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// What the build left could not be removed.
    #[error("the build's scratch directory {} could not be removed: {why}", dir.display())]
    Leftover {
        /// The directory.
        dir: PathBuf,
        /// What the system said.
        why: String,
    },
}

fn after(exit: Option<i32>) -> String {
    match exit {
        Some(0) => "\n  mkarchiso itself says that it succeeded.".to_owned(),
        _ => String::new(),
    }
}

impl MkarchisoError {
    fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { doing, path: path.to_path_buf(), source }
    }
}

/// Runs mkarchiso and blocks until it ended. `tell` is called from this thread.
///
/// The scratch directory is gone afterwards, whether or not there is an image.
///
/// # Errors
/// [`MkarchisoError`]. After [`MkarchisoError::Cancelled`], which comes within two seconds of `cancel`, nothing is left
/// running or mounted. An image that was at its place before is as it was after every error.
pub fn run(
    job: &MkarchisoJob,
    cancel: &Cancel,
    tell: &mut dyn FnMut(MkarchisoNews),
) -> Result<Product, MkarchisoError> {
    if job.way == Way::Podman {
        let paths = [&job.profile, &job.work, &job.cache].into_iter().chain(&job.readable);
        if let Some(path) = paths.into_iter().find(|path| !podman_can_name(path)) {
            return Err(MkarchisoError::Path(path.clone()));
        }
    }
    let scratch = Scratch::create(job)?;
    let built = build(job, &scratch, cancel, tell);
    let removed = remove_scratch(job.way, &scratch.dir);
    match (built, removed) {
        // What went wrong first is worth more than what could not be cleaned after it.
        (Err(error), _) => Err(error),
        (Ok(product), Ok(())) => Ok(product),
        (Ok(_), Err(error)) => Err(error),
    }
}

/// A directory for one build.
struct Scratch {
    dir: PathBuf,
    /// Held for as long as the build is wanted; a container ends itself when it is free.
    lock: File,
}

impl Scratch {
    fn create(job: &MkarchisoJob) -> Result<Self, MkarchisoError> {
        let dir = WorkDir::create(&job.work, "mkarchiso")?.path().to_path_buf();
        let filled = || -> io::Result<File> {
            for name in ["out", "bin"] {
                DirBuilder::new().mode(0o755).create(dir.join(name))?;
            }
            for (name, text) in SHIMS {
                let path = dir.join("bin").join(name);
                fs::write(&path, text)?;
                fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
            }
            let lock = File::create_new(dir.join("lock"))?;
            rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
            Ok(lock)
        };
        match filled() {
            Ok(lock) => Ok(Self { dir, lock }),
            Err(error) => {
                // Why it could not be filled is what matters.
                let _ = eject(&dir, &Cancel::new(), &|_| ());
                Err(MkarchisoError::io("fill", &dir)(error))
            }
        }
    }
}

fn build(
    job: &MkarchisoJob,
    scratch: &Scratch,
    cancel: &Cancel,
    tell: &mut dyn FnMut(MkarchisoNews),
) -> Result<Product, MkarchisoError> {
    let container = container_name(&scratch.dir);
    let plan = Plan {
        way: job.way,
        tool: &job.tool,
        image: &job.image,
        container: &container,
        profile: &job.profile,
        scratch: &scratch.dir,
        cache: &job.cache,
        readable: &job.readable,
        source_date_epoch: job.source_date_epoch,
        path: &job.path,
    };
    let mut fetching = Some(fetch_alone(job, cancel, tell)?);
    let mut log = MkarchisoLog::new();
    let started = Instant::now();
    let exit = watch(&plan, scratch, cancel, &mut |channel, bytes| {
        for news in log.feed(channel, bytes) {
            if matches!(&news, MkarchisoNews::Stage { stage } if *stage > MkarchisoStage::Packages) {
                fetching = None;
            }
            tell(news);
        }
    });
    let exit = exit?;
    let succeeded = exit.status.success();
    log.finish(succeeded).into_iter().for_each(&mut *tell);
    judge(job, &exit, &log)?;
    let took = started.elapsed();
    let dir = plan.out();
    let iso = only_image(&dir)?;
    if let Some(why) = not_whole(&iso).map_err(MkarchisoError::io("read", &iso))? {
        return Err(MkarchisoError::NotWhole { iso, why });
    }
    let (fatal, shortfalls): (Vec<_>, Vec<_>) =
        shortfalls(&job.boot_files, &list(&iso, cancel)?).into_iter().partition(|it| it.missing.live);
    if !fatal.is_empty() {
        return Err(MkarchisoError::Unbootable(fatal));
    }
    let target = place(&iso, &job.out)?;
    let bytes = fs::metadata(&target).map_err(MkarchisoError::io("look at", &target))?.len();
    let doubts = log.findings().iter().filter(|it| it.weight == Weight::Doubt).cloned().collect();
    Ok(Product { iso: target, bytes, doubts, shortfalls, took })
}

/// Waits until no other build fetches into the cache: two would write into the same unfinished files. The lock lies beside the
/// cache; nobody else begins for as long as the answer lives.
fn fetch_alone(
    job: &MkarchisoJob,
    cancel: &Cancel,
    tell: &mut dyn FnMut(MkarchisoNews),
) -> Result<File, MkarchisoError> {
    let place = job.cache.with_extension("lock");
    let lock = File::options().create(true).truncate(false).write(true).open(&place);
    let lock = lock.map_err(MkarchisoError::io("open", &place))?;
    let mut told = false;
    while rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
        if !std::mem::replace(&mut told, true) {
            tell(MkarchisoNews::Waiting);
        }
        if cancel.wait(BEAT) {
            return Err(MkarchisoError::Cancelled);
        }
    }
    Ok(lock)
}

/// What the exit and the log say together.
fn judge(job: &MkarchisoJob, exit: &Exit, log: &MkarchisoLog) -> Result<(), MkarchisoError> {
    let (succeeded, code) = (exit.status.success(), exit.status.code());
    if let Some(finding) = log.findings().first_error(succeeded) {
        return Err(MkarchisoError::Found { finding: Box::new(finding.clone()), exit: code });
    }
    // pkexec(1): 126 when the dialog was dismissed, 127 when it is not authorised or failed itself.
    if job.way == Way::Helper && matches!(code, Some(126 | 127)) {
        return Err(MkarchisoError::NotAuthorized { said: log.tail().join(" ") });
    }
    if succeeded {
        Ok(())
    } else {
        Err(MkarchisoError::Unexplained { how: exit.describe(), tail: log.tail().to_vec() })
    }
}

enum Event {
    Output(Channel, Vec<u8>),
    Exited(Exit),
}

struct Forward(SyncSender<Event>);

impl Observer for Forward {
    fn output(&mut self, channel: Channel, bytes: &[u8]) {
        // Nobody listens any more once it was cancelled.
        let _ = self.0.send(Event::Output(channel, bytes.to_vec()));
    }

    fn exited(&mut self, exit: &Exit) {
        let _ = self.0.send(Event::Exited(exit.clone()));
    }
}

/// Starts the plan's command and feeds `read` until it ended or was cancelled.
fn watch(
    plan: &Plan<'_>,
    scratch: &Scratch,
    cancel: &Cancel,
    read: &mut dyn FnMut(Channel, &[u8]),
) -> Result<Exit, MkarchisoError> {
    if cancel.is_cancelled() {
        return Err(MkarchisoError::Cancelled);
    }
    let (sender, events) = sync_channel(QUEUE);
    let child =
        spawn(&plan.command(), Forward(sender)).map_err(|source| MkarchisoError::Start { way: plan.way, source })?;
    loop {
        match events.recv_timeout(BEAT) {
            Ok(Event::Output(channel, bytes)) => read(channel, &bytes),
            Ok(Event::Exited(exit)) => return Ok(exit),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                return child.exit().ok_or(MkarchisoError::Unexplained { how: "lost".to_owned(), tail: Vec::new() });
            }
        }
        if cancel.is_cancelled() {
            stop(plan, scratch, &child, events);
            return Err(MkarchisoError::Cancelled);
        }
    }
}

/// Ends a cancelled build. A namespace dies with its first process; the container and the helper end themselves.
fn stop(plan: &Plan<'_>, scratch: &Scratch, child: &ProcessHandle, events: Receiver<Event>) {
    drop(events);
    match plan.way {
        Way::Namespace | Way::NamespaceOfOne => {}
        Way::Podman => {
            // It was locked by us; that cannot fail.
            let _ = rustix::fs::flock(&scratch.lock, FlockOperation::Unlock);
            // What podman keeps of it is removed by podman's monitor (`--rm`), with or without the client.
            let _ = child.wait(GRACE);
        }
        Way::Helper => {
            // The helper looks for it ten times a second. If it cannot be written the helper still sees us go.
            let _ = File::create_new(plan.out().join(STOP));
            let _ = child.wait(GRACE);
        }
    }
    let _ = child.end(Duration::ZERO);
}

/// A name that no other build on this machine has.
fn container_name(scratch: &Path) -> String {
    let tail = scratch.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    format!("cartridge-{}-{tail}", std::process::id())
}

/// The one image in `dir`.
fn only_image(dir: &Path) -> Result<PathBuf, MkarchisoError> {
    let entries = fs::read_dir(dir).map_err(MkarchisoError::io("read", dir))?;
    let is_image = |path: &PathBuf| {
        path.extension().is_some_and(|it| it == "iso") && fs::symlink_metadata(path).is_ok_and(|meta| meta.is_file())
    };
    let mut found: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(is_image).collect();
    found.sort();
    match found.as_slice() {
        [one] => Ok(one.clone()),
        _ => Err(MkarchisoError::NoImage { dir: dir.to_path_buf(), found }),
    }
}

/// Every file on an image.
fn list(iso: &Path, cancel: &Cancel) -> Result<std::collections::BTreeSet<String>, MkarchisoError> {
    let mut drive = OsString::from("stdio:");
    drive.push(iso);
    let line = CommandLine::new("xorriso").args(["-no_rc", "-report_about", "FAILURE", "-indev"]).arg(drive);
    let line = line.args(["-find", "/", "-type", "f"]).env("LC_ALL", "C.UTF-8");
    match tool(&line, cancel, |_, _| ()) {
        Ok(output) => Ok(parse_list(&String::from_utf8_lossy(&output.stdout))),
        Err(RunError::Cancelled { .. }) => Err(MkarchisoError::Cancelled),
        Err(error) => Err(MkarchisoError::List(error)),
    }
}

/// Moves an image to its place, whole or not at all.
fn place(iso: &Path, out: &Path) -> Result<PathBuf, MkarchisoError> {
    let name = iso.file_name().unwrap_or_default();
    let target = out.join(name);
    fs::create_dir_all(out).map_err(MkarchisoError::io("make", out))?;
    match fs::rename(iso, &target) {
        Ok(()) => return Ok(target),
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {}
        Err(error) => return Err(MkarchisoError::io("move the image to", &target)(error)),
    }
    let mut draft = tempfile::NamedTempFile::new_in(out).map_err(MkarchisoError::io("write in", out))?;
    let copied = File::open(iso).and_then(|mut from| io::copy(&mut from, &mut draft)).and_then(|_| {
        draft.as_file().set_permissions(fs::Permissions::from_mode(0o644))?;
        draft.as_file().sync_all()
    });
    copied.map_err(MkarchisoError::io("copy the image to", &target))?;
    draft.persist(&target).map_err(|error| MkarchisoError::io("move the image to", &target)(error.error))?;
    Ok(target)
}

/// Removes the scratch directory of a build, also of one that was killed. What was made in it may belong to ids that only a
/// namespace may touch; the rest is an ordinary work directory.
///
/// # Errors
/// [`MkarchisoError::Leftover`] with the reason.
pub fn remove_scratch(way: Way, dir: &Path) -> Result<(), MkarchisoError> {
    let inner = dir.join("work");
    let mut why = String::new();
    if inner.exists() {
        let words = [OsString::from("-rf"), "--one-file-system".into(), "--".into(), inner.into_os_string()];
        let isolated = CommandLine::new("rm").args(words.clone()).isolated(Isolation::new().writable(dir));
        let mut removed = tool(&isolated, &Cancel::new(), |_, _| ());
        if removed.is_err() && way == Way::Podman {
            let line = CommandLine::new("podman").args(["unshare", "rm"]).args(words);
            removed = tool(&line, &Cancel::new(), |_, _| ());
        }
        if let Err(error) = removed {
            why = format!("{error}\n  ");
        }
    }
    let leftover = |said: String| MkarchisoError::Leftover { dir: dir.to_path_buf(), why: format!("{why}{said}") };
    let report = eject(dir, &Cancel::new(), &|_| ()).map_err(|error| leftover(error.to_string()))?;
    match report.untouched.first() {
        Some(left) => Err(leftover(format!("{}: {}", left.path.display(), left.reason))),
        None => Ok(()),
    }
}
