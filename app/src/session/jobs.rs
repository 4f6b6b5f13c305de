//! The work behind the phases, each a function from what it needs to what it leaves. Blocking ones run on the blocking
//! pool; none of them knows the driver's state.

mod attach;
mod compare;
pub(super) mod direct;
mod eject;
mod hardware;
mod look;
mod slots;
mod source;
mod start;
pub(super) mod templates;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use cartridge_supervise::IdMap;
use isoprep::{BuildError, BuildRequest, Cancel, EngineKind, Finding, Host, HostSearch, Image, Live, Progress, Recipe};
use tokio::sync::mpsc::Sender;
use vmtools::{AcceleratorChoice, Access, GuestHandle, SharedFolder, Sharing};

use super::cartridge_lock::{self, CartridgeLock, LockError};
use super::event::{Failure, Level};
use super::examination::LintView;
use super::failure;
use super::holder::Holder;
use super::logs::{LogHub, Pane, stage_tag};
use super::onlooker::Gallery;
use super::record::{self, Recovered};
use super::removal::Terms;
use super::run_field::RunField;
use super::state::Goal;
use crate::paths::Paths;

pub(super) use attach::{Joined, NotAttached, join};
pub(super) use compare::{Compared, compare};
pub(super) use eject::{Ejected, Tally, What, remove};
pub(super) use hardware::{Hardware, machine_of, place_disks};
pub(super) use look::{Look, look};
pub(super) use slots::{Layered, Present, layer, of_slot, restore, slots};
pub(super) use source::{Base, SourceLook, look_at_source};
pub(super) use start::{complete, start, start_direct};

/// How often a build's progress is told at most.
const PROGRESS_EVERY: Duration = Duration::from_millis(50);

/// The mount tag of the repository's live folder.
const LIVE_TAG: &str = "repository";

/// What a job leaves. Its failure, if it has one, is ready to be shown.
pub(super) enum Outcome {
    Prepared(Result<Box<Prepared>, NotPrepared>),
    Built(Result<Box<Image>, Box<NotBuilt>>),
    Started(Result<Box<GuestHandle>, Failure>),
    Attached(Result<Box<Joined>, Box<NotAttached>>),
    Ejected(Box<Ejected>),
}

/// Why there is no image.
pub(super) struct NotBuilt {
    pub(super) failure: Failure,
    /// If it is errors of the lint alone: everything that it found.
    pub(super) lint: Vec<LintView>,
}

/// Why nothing can begin.
pub(super) struct NotPrepared {
    pub(super) failure: Failure,
    /// Who holds the cartridge, if that is why.
    pub(super) holder: Option<Box<Holder>>,
}

impl From<Failure> for NotPrepared {
    fn from(failure: Failure) -> Self {
        Self { failure, holder: None }
    }
}

/// Everything that the next phases need.
pub(super) struct Prepared {
    pub(super) recipe: Recipe,
    /// What it was parsed from.
    pub(super) text: String,
    pub(super) host: Option<Host>,
    /// What the guest will really get of this host's memory.
    pub(super) memory_mib: u64,
    pub(super) machine: Option<Hardware>,
    pub(super) accelerator: Option<AcceleratorChoice>,
    /// Held until the session is idle again.
    pub(super) _lock: Option<CartridgeLock>,
    pub(super) recovered: Recovered,
    pub(super) notices: Vec<(Level, String)>,
}

impl NotPrepared {
    fn of_lock(error: LockError, root: &Path) -> Self {
        let failure = failure::of_lock(&error, root);
        let LockError::Held { holder } = error else { return failure.into() };
        Self { failure, holder: Some(holder) }
    }
}

/// Lets others watch what is done with the cartridge that `lock` is of.
fn let_watch(
    lock: &mut CartridgeLock,
    (paths, mut holder, gallery): (&Paths, Holder, &Gallery),
) -> Result<Option<(Level, String)>, LockError> {
    match gallery.open(&paths.runtime) {
        Ok(socket) => {
            holder.socket = Some(socket);
            lock.say(&holder).map(|()| None)
        }
        Err(error) => Ok(Some((Level::Info, format!("Nobody else can watch this session: {error}")))),
    }
}

/// Checks the recipe, looks at the host, cleans what dead sessions left, and takes the cartridge's lock.
pub(super) fn prepare(
    ((recipe, text), fields): ((Recipe, String), &[RunField]),
    goal: Goal,
    (paths, holder, gallery): (&Paths, Holder, &Gallery),
    cancel: &Cancel,
) -> Result<Box<Prepared>, NotPrepared> {
    let not = |error| NotPrepared::of_lock(error, &recipe.root);
    // A direct boot touches no cartridge.
    let mut lock = match goal {
        Goal::Direct => None,
        _ => Some(cartridge_lock::lock(&paths.locks(), &recipe.root, &holder).map_err(not)?),
    };
    // Before the directory for those who watch is made, which sweeps what others left without a word.
    let recovered = record::recover(paths, &Terms { agreed: &[], cancel, progress: &|_, _| {} });
    let mut notices = Vec::new();
    if let Some(lock) = &mut lock {
        notices.extend(let_watch(lock, (paths, holder, gallery)).map_err(not)?);
    }
    let mut host = None;
    let boot = if matches!(goal, Goal::Boot | Goal::Up) { isoprep::check_boot(&recipe) } else { Vec::new() };
    let guest = if goal == Goal::Build { Vec::new() } else { isoprep::check_guest(&recipe) };
    let findings: Vec<Finding> = boot.into_iter().chain(guest).collect();
    if !findings.is_empty() {
        return Err(failure::of_run_findings(&findings, fields).into());
    }
    if matches!(goal, Goal::Build | Goal::Up) {
        let engine = recipe.image.engine;
        let mut findings: Vec<Finding> = isoprep::check_places(&recipe, &paths.apart());
        if findings.is_empty() {
            findings = isoprep::check(&recipe);
        }
        if !findings.is_empty() {
            return Err(failure::of_run_findings(&findings, fields).into());
        }
        let found = isoprep::host(&host_search(paths, &recipe), engine);
        host = Some(found.map_err(|e| failure::of_missing_parts(&e))?);
        // mkarchiso has other ways, and says itself which one it takes.
        if matches!(engine, EngineKind::Archiso | EngineKind::Debian | EngineKind::Tree) {
            match cartridge_supervise::isolation_support() {
                Ok(IdMap::Single { why }) => notices.push((
                    Level::Warning,
                    format!("Files of the image can belong to nobody but root, and packages with others fail: {why}"),
                )),
                Ok(IdMap::Same | IdMap::Lent { .. }) => {}
                Err(error) => return Err(failure::of_isolation(&error).into()),
            }
        }
    }
    let mut accelerator = None;
    let mut machine = None;
    if goal != Goal::Build {
        let (found, choice) = hardware(&recipe, paths, cancel, &mut notices)?;
        machine = Some(found);
        accelerator = Some(choice);
    }
    Ok(Box::new(Prepared {
        memory_mib: guest_memory_mib(&recipe),
        recipe,
        text,
        host,
        machine,
        accelerator,
        _lock: lock,
        recovered,
        notices,
    }))
}

/// The machine that `recipe` asks for, cut down to this host, and what runs it. Disks that are kept are made.
pub(super) fn hardware(
    recipe: &Recipe,
    paths: &Paths,
    cancel: &Cancel,
    notices: &mut Vec<(Level, String)>,
) -> Result<(Hardware, AcceleratorChoice), Failure> {
    let choice = vmtools::choose_accelerator(accelerator_wish(recipe), &paths.accelerator());
    let wished = machine_of(recipe, choice.accelerator);
    let (clamped, told) = vmtools::clamp(wished, &vmtools::host_capacity());
    notices.extend(told.into_iter().map(|text| (Level::Info, text)));
    Ok((hardware::find(clamped, recipe, paths, cancel, notices)?, choice))
}

/// Where parts are looked for on this host.
pub(crate) fn host_search(paths: &Paths, recipe: &Recipe) -> HostSearch {
    HostSearch {
        root: PathBuf::from("/"),
        kernel_stores: vec![paths.kernels(), PathBuf::from("/usr/share/cartridge/kernels")],
        kernel: recipe.image.kernel.clone(),
        path: search_path(),
    }
}

fn search_path() -> Vec<PathBuf> {
    std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect()).unwrap_or_default()
}

pub(super) fn find_qemu() -> Option<PathBuf> {
    search_path()
        .into_iter()
        .map(|dir| dir.join("qemu-system-x86_64"))
        .find(|file| rustix::fs::access(file, rustix::fs::Access::EXEC_OK).is_ok())
}

fn host_failure(title: &str, error: &dyn std::fmt::Display) -> Failure {
    Failure {
        title: title.into(),
        detail: error.to_string(),
        advice: Some("Run the checks, each with the command that mends it".into()),
        command: Some("cartridge doctor".into()),
        pane: None,
        exit_code: failure::exit_code::HOST,
    }
}

/// What the guest will really get of this host's memory, MiB.
fn guest_memory_mib(recipe: &Recipe) -> u64 {
    vmtools::clamp(machine_of(recipe, vmtools::Accelerator::Tcg), &vmtools::host_capacity()).0.memory_mib
}

/// The time that the user's environment asks for (reproducible-builds.org, `SOURCE_DATE_EPOCH`).
pub(super) fn epoch() -> Option<u64> {
    std::env::var("SOURCE_DATE_EPOCH").ok()?.trim().parse().ok()
}

fn accelerator_wish(recipe: &Recipe) -> vmtools::AcceleratorWish {
    match recipe.guest.accelerator {
        isoprep::AcceleratorWish::Auto => vmtools::AcceleratorWish::Auto,
        isoprep::AcceleratorWish::Kvm => vmtools::AcceleratorWish::Kvm,
        isoprep::AcceleratorWish::Tcg => vmtools::AcceleratorWish::Tcg,
    }
}

/// What of this host the guest sees live.
pub(super) fn sharing_of(recipe: &Recipe) -> Sharing {
    let access = match recipe.source.live {
        Live::Off => return Sharing::default(),
        Live::ReadOnly => Access::ReadOnly,
        Live::Overlaid => Access::Overlaid,
        Live::Writable => Access::Writable,
    };
    let (dir, at) = (recipe.source.path.clone(), recipe.source.into.clone());
    let folders = vec![SharedFolder { tag: LIVE_TAG.to_owned(), dir, at, access }];
    Sharing { folders, ..Sharing::default() }
}

/// Runs the stages. Lines go to the build log at once; the rest is told at most every 50 ms.
pub(super) fn build(
    request: &BuildRequest,
    cancel: &Cancel,
    logs: &Arc<LogHub>,
    told: &Sender<Progress>,
) -> Result<Box<Image>, Box<NotBuilt>> {
    let last = std::sync::Mutex::new(Instant::now());
    let progress = |progress: Progress| match progress {
        Progress::Line { stage, text } => {
            text.lines().for_each(|line| logs.pane(Pane::Build).line(&format!("{}{line}", stage_tag(stage.0))));
        }
        Progress::Warned { stage, text } => {
            logs.pane(Pane::Build).line(&format!("{}warning: {text}", stage_tag(stage.0)));
            let _ = told.blocking_send(Progress::Warned { stage, text });
        }
        Progress::Advanced { .. } => {
            let mut last = last.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            if last.elapsed() >= PROGRESS_EVERY {
                *last = Instant::now();
                // A full channel means that the front end is behind: it will see the next one.
                let _ = told.try_send(progress);
            }
        }
        Progress::Planned { .. } | Progress::Started { .. } | Progress::Finished { .. } | Progress::Way { .. } => {
            if let Progress::Finished { stage, reused, took } = &progress {
                let how = if *reused { "unchanged" } else { "done" };
                logs.pane(Pane::Build).line(&format!("{}{how} in {:.2} s", stage_tag(stage.0), took.as_secs_f64()));
            }
            let _ = told.blocking_send(progress);
        }
    };
    isoprep::build(request, cancel, &progress).map(Box::new).map_err(|error| not_built(&error))
}

fn not_built(error: &BuildError) -> Box<NotBuilt> {
    let lint = match error {
        BuildError::Lint { findings, .. } => findings.iter().cloned().map(LintView::new).collect(),
        _ => Vec::new(),
    };
    Box::new(NotBuilt { failure: failure::of_build(error), lint })
}
