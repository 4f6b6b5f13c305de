//! Evaluates `profiledef.sh` with the real bash, shut in: no network, nothing to write to but a private `/tmp`, an empty home
//! folder, no capability, and bounds on all that it may use. It is code, so it is never run any other way.
//!
//! What cannot be promised: a profile that looks for it can tell that it is evaluated here and not by mkarchiso, and say
//! something else. It can do no more than that.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use cartridge_supervise::{
    Cancel, Channel, CommandLine, Exit, Isolation, IsolationError, Limits, Observer, SpawnError, spawn,
};

use super::answer::Answer;
use super::checkout::{CHECKOUT, repository_of};
use super::complaint::{OWN_NAME, Remains, Said};
use super::error::ProfileError;
use super::outcome::outcome;

/// What bash runs.
const SCRIPT: &str = include_str!("evaluate.sh");
/// Where programs are looked for by the profile (the default of Arch's and Debian's root).
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// How often a running evaluation looks whether it is over.
const BEAT: Duration = Duration::from_millis(20);

/// Bounds on what a profile's own code may use. The defaults are a hundred times what known profiles need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EvaluationLimits {
    /// Time until it is stopped.
    pub time: Duration,
    /// Processor time of each process, seconds.
    pub cpu_seconds: u64,
    /// Address space of each process, bytes.
    pub memory_bytes: u64,
    /// Processes at once.
    pub processes: u64,
    /// Size of its private `/tmp` and of each file in it, bytes.
    pub file_bytes: u64,
    /// What it may print and its variables may hold together, bytes.
    pub output_bytes: usize,
}

impl Default for EvaluationLimits {
    fn default() -> Self {
        Self {
            time: Duration::from_secs(20),
            cpu_seconds: 10,
            memory_bytes: 512 << 20,
            processes: 32,
            file_bytes: 16 << 20,
            output_bytes: 8 << 20,
        }
    }
}

/// What is evaluated, and what its code sees.
#[derive(Clone, Debug)]
pub(super) struct Request<'a> {
    /// Where the profile lies, to its own code; canonical.
    pub(super) dir: &'a Path,
    /// The assembled copy that its code finds there instead, with everything that is laid over it.
    pub(super) copy: Option<&'a Path>,
    /// Where `profiledef.sh` really is, canonical.
    pub(super) target: &'a Path,
    /// Its text, which says where it leaves.
    pub(super) source: &'a str,
    /// Seconds since 1970.
    pub(super) source_date_epoch: u64,
    /// Folders that it sees although they are in the home folder or in `/tmp`.
    pub(super) seen: &'a [PathBuf],
    /// Seen empty.
    pub(super) home: Option<&'a Path>,
    /// Where bash is looked for.
    pub(super) search: &'a [PathBuf],
    pub(super) limits: &'a EvaluationLimits,
}

/// Evaluates a profile. Gives its variables, and what bash complained about on the way.
pub(super) fn evaluate(request: &Request<'_>, cancel: &Cancel) -> Result<(Answer, Said), ProfileError> {
    let file = request.dir.join("profiledef.sh");
    let bash = find_bash(request.search)?;
    let marker = marker();
    let line = command(request, &bash, &marker);
    let (remains, output) =
        run(&line, request, cancel).map_err(|error| error.into_profile_error(request.dir, &file))?;
    outcome(&output, &remains, &marker, &file, request.source, request.limits)
}

/// The command with everything that it sees.
fn command(request: &Request<'_>, bash: &Path, marker: &str) -> CommandLine {
    CommandLine::new(bash)
        .args(["--norc", "--noprofile", "-O", "extglob", "-c", SCRIPT, OWN_NAME])
        .only_env::<[&str; 0], &str>([])
        .env("LC_ALL", "C.UTF-8")
        .env("SOURCE_DATE_EPOCH", request.source_date_epoch.to_string())
        .env("PATH", PATH)
        .env("HOME", request.home.unwrap_or(Path::new("/root")))
        .env("USER", "root")
        .env("LOGNAME", "root")
        .env("SHELL", "/bin/bash")
        .env("TERM", "dumb")
        // The repository belongs to whoever wrote it, which git would refuse to the user that this runs as.
        .env("GIT_CONFIG_COUNT", "1")
        .env("GIT_CONFIG_KEY_0", "safe.directory")
        .env("GIT_CONFIG_VALUE_0", "*")
        .cwd(request.dir)
        .stdin(format!("{marker}\n"))
        .isolated(isolation(request))
}

fn isolation(request: &Request<'_>) -> Isolation {
    let limits = request.limits;
    let mut isolation = Isolation::new().unprivileged().limits(Limits {
        memory_bytes: Some(limits.memory_bytes),
        cpu_seconds: Some(limits.cpu_seconds),
        processes: Some(limits.processes),
        file_bytes: Some(limits.file_bytes),
        private_bytes: Some(limits.file_bytes),
    });
    if let Some(home) = request.home.filter(|home| home.is_dir() && home.parent().is_some()) {
        isolation = isolation.hidden(home);
    }
    let visible = repository_of(request.dir, request.home);
    let seen: Vec<&Path> =
        std::iter::once(visible.as_path()).chain(request.seen.iter().map(PathBuf::as_path)).collect();
    for dir in &seen {
        // A copy may stand for a folder that is not there.
        if dir.parent().is_some() && (request.copy.is_none() || dir.exists()) {
            isolation = isolation.shown(dir, dir);
        }
    }
    if !seen.iter().any(|dir| request.target.starts_with(dir)) {
        isolation = isolation.shown(request.target, request.target);
    }
    if let Some(copy) = request.copy {
        isolation = isolation.shown(copy, request.dir);
        // A copy has no checkout of its own: the folder's is seen where somebody made a place for it.
        let checkout = request.dir.join(CHECKOUT);
        if copy.join(CHECKOUT).exists() && checkout.exists() {
            isolation = isolation.shown(&checkout, &checkout);
        }
    }
    isolation
}

fn find_bash(search: &[PathBuf]) -> Result<PathBuf, ProfileError> {
    use std::os::unix::fs::PermissionsExt;
    let is_program = |path: &PathBuf| {
        std::fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
    };
    // Resolved, because the folder of PATH may be one that is hidden.
    let found = search.iter().map(|dir| dir.join("bash")).find(is_program).and_then(|path| path.canonicalize().ok());
    found.ok_or_else(|| ProfileError::NoBash { looked: search.to_vec() })
}

/// A word that a profile cannot guess.
fn marker() -> String {
    let random = || RandomState::new().build_hasher().finish();
    format!("{:016x}{:016x}", random(), random())
}

enum Failure {
    Spawn(SpawnError),
    Cancelled,
}

impl Failure {
    fn into_profile_error(self, dir: &Path, file: &Path) -> ProfileError {
        let Self::Spawn(error) = self else { return ProfileError::Cancelled { dir: dir.to_path_buf() } };
        let found = error.source.get_ref().and_then(|inner| inner.downcast_ref::<IsolationError>()).cloned();
        match found {
            Some(source) => ProfileError::NoSandbox { file: file.to_path_buf(), source },
            None => ProfileError::NotStarted { file: file.to_path_buf(), source: error },
        }
    }
}

#[derive(Default)]
struct Gathered {
    output: Vec<u8>,
    errors: Vec<u8>,
    total: usize,
}

struct Gatherer {
    limit: usize,
    gathered: Arc<Mutex<Gathered>>,
}

impl Observer for Gatherer {
    fn output(&mut self, channel: Channel, bytes: &[u8]) {
        let mut gathered = self.gathered.lock().unwrap_or_else(PoisonError::into_inner);
        let room = self.limit.saturating_sub(gathered.total).min(bytes.len());
        gathered.total = gathered.total.saturating_add(bytes.len());
        match channel {
            Channel::Stdout => gathered.output.extend_from_slice(&bytes[..room]),
            Channel::Stderr => gathered.errors.extend_from_slice(&bytes[..room]),
        }
    }

    fn exited(&mut self, _exit: &Exit) {}
}

/// Runs it to its end or to its bounds. The second value is its standard output.
fn run(line: &CommandLine, request: &Request<'_>, cancel: &Cancel) -> Result<(Remains, Vec<u8>), Failure> {
    let limit = request.limits.output_bytes;
    let gathered = Arc::<Mutex<Gathered>>::default();
    if cancel.is_cancelled() {
        return Err(Failure::Cancelled);
    }
    let began = Instant::now();
    let child = spawn(line, Gatherer { limit, gathered: Arc::clone(&gathered) }).map_err(Failure::Spawn)?;
    let look = || gathered.lock().unwrap_or_else(PoisonError::into_inner);
    let (mut timed_out, mut overflowed) = (false, false);
    let exit = loop {
        if let Some(exit) = child.wait(BEAT) {
            break Some(exit);
        }
        overflowed = look().total > limit;
        timed_out = began.elapsed() >= request.limits.time;
        if overflowed || timed_out || cancel.is_cancelled() {
            // No grace: nothing of it is ours, and all of it dies with the first process of its namespace.
            break child.end(Duration::ZERO).exit;
        }
    };
    if cancel.is_cancelled() && !timed_out && !overflowed {
        return Err(Failure::Cancelled);
    }
    let took = began.elapsed();
    let mut gathered = look();
    overflowed |= gathered.total > limit;
    let status = exit.map_or(Err(9), |exit| exit.status.code().ok_or_else(|| signal_of(&exit)));
    let (errors, output) = (std::mem::take(&mut gathered.errors), std::mem::take(&mut gathered.output));
    Ok((Remains { status, errors, took, timed_out, overflowed }, output))
}

fn signal_of(exit: &Exit) -> i32 {
    use std::os::unix::process::ExitStatusExt;
    exit.status.signal().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markers_differ() {
        let (one, two) = (marker(), marker());
        assert!(one != two && one.len() == 32 && one.bytes().all(|byte| byte.is_ascii_hexdigit()));
    }

    #[test]
    fn a_bash_that_is_no_program_is_none() {
        let top = tempfile::tempdir().unwrap();
        std::fs::write(top.path().join("bash"), "no program").unwrap();
        let error = find_bash(&[top.path().to_path_buf()]).unwrap_err();
        assert!(error.to_string().contains(top.path().to_str().unwrap()), "{error}");
    }
}
