//! Runs mkarchiso once, in a scratch directory of its own, and looks at what came out. Whatever happens, nothing is
//! left mounted, running or half done.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use cartridge_supervise::{Cancel, CommandLine, Exit, RunError, run as tool};
use rustix::fs::FlockOperation;

use super::command::{Plan, podman_can_name};
use super::error::MkarchisoError;
use super::left;
use super::log::{MkarchisoLog, MkarchisoNews, MkarchisoStage};
use super::names::known_names;
use super::product::{BootFile, Shortfall, not_whole, parse_list, shortfalls};
use super::scratch::{self, Scratch, remove_scratch};
use super::watch::watch;
use super::ways::Way;
use crate::pacman_log::{FaultKind, LogFinding, Weight, nearest_names};

/// How often we look whether another build has fetched.
const BEAT: Duration = Duration::from_millis(100);

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
    /// Why the scratch directory is still there, if it is.
    pub leftover: Option<String>,
    /// How long mkarchiso ran.
    pub took: Duration,
}

/// Runs mkarchiso and blocks until it ended. `tell` is called from this thread.
///
/// The scratch directory is gone afterwards, whether or not there is an image; where it cannot be removed,
/// [`Product::leftover`] says so, or, after an error, a last line of the log.
///
/// # Errors
/// [`MkarchisoError`]. After [`MkarchisoError::Cancelled`], which comes within two seconds of `cancel`, nothing is left
/// running or mounted, but a helper of root's that still removes what it made. An image that was at its place before is as
/// it was after every error.
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
    let removed = match &built {
        // Nobody is asked for a password who wants to be left alone.
        Err(MkarchisoError::Cancelled) => scratch::remove(job.way, &scratch.dir, String::new()),
        _ => remove_scratch(job.way, &scratch.dir),
    };
    let leftover = removed.err().map(|error| error.to_string());
    // What went wrong first is worth more than what could not be cleaned after it, but both are told.
    if let (Err(_), Some(why)) = (&built, &leftover) {
        tell(MkarchisoNews::Line { number: 0, text: format!("warning: {why}") });
    }
    built.map(|product| Product { leftover, ..product })
}

fn build(
    job: &MkarchisoJob,
    scratch: &Scratch,
    cancel: &Cancel,
    tell: &mut dyn FnMut(MkarchisoNews),
) -> Result<Product, MkarchisoError> {
    let container = container_name(&scratch.dir);
    let clear = if job.way == Way::Helper { left::by_dead_ones(&job.work) } else { Vec::new() };
    let plan = Plan {
        way: job.way,
        tool: &job.tool,
        image: &job.image,
        container: &container,
        profile: &job.profile,
        scratch: &scratch.dir,
        cache: &job.cache,
        readable: &job.readable,
        clear: &clear,
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
    judge(job, &plan, &exit, &log)?;
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
    Ok(Product { iso: target, bytes, doubts, shortfalls, leftover: None, took })
}

/// Waits until no other build fetches into the cache: two would write into the same unfinished files. The lock lies
/// beside the cache; nobody else begins for as long as the answer lives.
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
fn judge(job: &MkarchisoJob, plan: &Plan<'_>, exit: &Exit, log: &MkarchisoLog) -> Result<(), MkarchisoError> {
    let (succeeded, code) = (exit.status.success(), exit.status.code());
    if let Some(finding) = log.findings().first_error(succeeded) {
        let mut finding = Box::new(finding.clone());
        if let (FaultKind::PackageNotFound, Some(name)) = (finding.kind, finding.subject.clone()) {
            let known = known_names(&plan.work());
            finding.suggest(&nearest_names(&name, known.iter().map(String::as_str)));
        }
        return Err(MkarchisoError::Found { finding, exit: code });
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

/// A name that no other build on this machine has.
fn container_name(scratch: &Path) -> String {
    let tail = scratch.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    format!("cartridge-{}-{tail}", std::process::id())
}

/// The one image in `dir`.
fn only_image(dir: &Path) -> Result<PathBuf, MkarchisoError> {
    // What ran inside could have put a link in its place.
    if !fs::symlink_metadata(dir).is_ok_and(|meta| meta.is_dir()) {
        return Err(MkarchisoError::NoImage { dir: dir.to_path_buf(), found: Vec::new() });
    }
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
fn list(iso: &Path, cancel: &Cancel) -> Result<BTreeSet<String>, MkarchisoError> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_behind_a_link_is_somebody_elses() {
        let top = tempfile::tempdir().unwrap();
        let (real, link) = (top.path().join("real"), top.path().join("out"));
        fs::create_dir(&real).unwrap();
        fs::write(real.join("theirs.iso"), "theirs").unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        assert!(matches!(only_image(&link), Err(MkarchisoError::NoImage { .. })));
        assert_eq!(only_image(&real).unwrap(), real.join("theirs.iso"));
    }
}
