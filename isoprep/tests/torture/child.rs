//! A layout in a process of its own: this test program, started again in mount and pid namespaces. It makes its room, builds
//! the layout, deletes it, and prints a verdict.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Instant;

use cartridge_supervise::{Cancel, CommandLine, run as run_line};
use isoprep::eject::{EjectError, EjectReport, Untouched};
use rustix::fs::{IFlags, Mode, OFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use crate::hold::Racer;
use crate::judge::{World, leaves};
use crate::layouts::{self, Layout};
use crate::method::Method;
use crate::room::{Expect, Room, Skip};

const TASK: &str = "CARTRIDGE_TORTURE_TASK";
const FOLDER: &str = "CARTRIDGE_TORTURE_FOLDER";
/// How the line with the verdict begins.
const SAID: &str = "VERDICT ";
const TEST: &str = "every_precious_file_survives_and_what_should_be_gone_is_gone_or_named";

/// What became of a layout.
#[derive(Serialize, Deserialize, Debug, Default, Clone)]
pub struct Verdict {
    /// Why it could not be made here.
    pub skipped: Option<String>,
    /// What is not as it was.
    pub lost: Vec<String>,
    /// How many entries are left of the work directory, leaves only.
    pub left: usize,
    /// Whether it was right that something is left, or that nothing is.
    pub right: bool,
    /// Whether somebody worked against it, who may have made it leave something.
    pub raced: bool,
    /// What Eject said.
    pub said: String,
    /// What Eject did wrong.
    pub faults: Vec<String>,
    pub ms: u128,
}

impl Verdict {
    fn fault(fault: impl Into<String>) -> Self {
        Self { faults: vec![fault.into()], ..Self::default() }
    }

    /// Nothing precious was touched, and the tree is gone, or is kept where it should be.
    pub fn is_right(&self) -> bool {
        self.lost.is_empty() && self.right
    }

    /// A line for people.
    pub fn line(&self, name: &str) -> String {
        match &self.skipped {
            Some(why) => format!("skip  {name}: {why}"),
            None => {
                let said = self.said.lines().next().unwrap_or_default();
                format!("{}  {name} ({} ms) {said}", if self.faults.is_empty() { "well" } else { "BAD " }, self.ms)
            }
        }
    }

    /// The first faults; a layout that goes wrong can have thousands.
    pub fn told(&self) -> String {
        let shown: Vec<String> = self.faults.iter().take(8).map(|fault| fault.chars().take(2000).collect()).collect();
        let more = self.faults.len() - shown.len();
        shown.join("\n  ") + &if more > 0 { format!("\n  and {more} more") } else { String::new() }
    }

    /// In a table: what was lost, or what is left.
    pub fn cell(&self) -> String {
        match (self.lost.len(), self.right, self.left) {
            (0, true, 0) => "gone".into(),
            (0, true, _) if self.raced => "some left".into(),
            (0, true, _) => "kept, rightly".into(),
            (0, false, 0) => "gone, wrongly".into(),
            (0, false, left) => format!("{left} left"),
            (lost, ..) => format!("**{lost} lost**"),
        }
    }
}

/// How layouts are started here.
pub struct Ways {
    program: PathBuf,
    _copy: TempDir,
}

impl Ways {
    pub fn find() -> Self {
        // The room does not have the build directory.
        let copy = tempfile::tempdir().unwrap();
        fs::set_permissions(copy.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let program = copy.path().join("torture");
        fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
        Self { program, _copy: copy }
    }

    fn start(&self, layout: &Layout, method: Method) -> Verdict {
        let folder = tempfile::tempdir().unwrap();
        let namespaces = if rustix::process::geteuid().is_root() { "-mpf" } else { "-Urmpf" };
        // Process 1 is a shell, so that who loses his parent is not given to the test.
        let line = CommandLine::new("unshare")
            .args([namespaces, "--kill-child", "--propagation", "private", "--"])
            .args(["sh", "-c", "\"$@\"; exit $?", "sh"])
            .arg(&self.program)
            .args([TEST, "--exact", "--nocapture", "--test-threads=1"])
            .env(TASK, format!("{method:?} {}", layout.name))
            .env(FOLDER, folder.path());
        let cancel = Cancel::new();
        let (done, told) = std::sync::mpsc::channel::<()>();
        let verdict = std::thread::scope(|scope| {
            let late = &cancel;
            scope.spawn(move || {
                if told.recv_timeout(crate::LIMIT) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
                    late.cancel();
                }
            });
            let output = run_line(&line, &cancel, |_, _| {});
            drop(done);
            match output {
                Ok(output) => {
                    let text = String::from_utf8_lossy(&output.stdout).into_owned();
                    let said = text.lines().find_map(|line| line.split_once(SAID)).map(|(_, json)| json);
                    said.and_then(|json| serde_json::from_str(json).ok())
                        .unwrap_or_else(|| Verdict::fault(format!("no verdict:\n{text}")))
                }
                Err(error) => Verdict::fault(error.to_string()),
            }
        });
        // What a layout has made immutable would stay for ever.
        unlock(folder.path());
        verdict
    }
}

/// Clears the attributes that keep files from being deleted.
fn unlock(dir: &Path) {
    for path in fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path()) {
        let Ok(kind) = fs::symlink_metadata(&path) else { continue };
        if kind.is_dir() || kind.is_file() {
            set_flags(&path, IFlags::empty()).ok();
        }
        if kind.is_dir() {
            unlock(&path);
        }
    }
}

/// Sets the attributes of chattr(1).
pub fn set_flags(path: &Path, flags: IFlags) -> rustix::io::Result<()> {
    let open = rustix::fs::open(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW, Mode::empty())?;
    let kept = rustix::fs::ioctl_getflags(&open)? - (IFlags::IMMUTABLE | IFlags::APPEND);
    rustix::fs::ioctl_setflags(&open, kept | flags)
}

/// Runs each layout, two at a time.
pub fn each(ways: &Ways, layouts: &[Layout], method: Method) -> Vec<Verdict> {
    let verdicts = Mutex::new(vec![Verdict::default(); layouts.len()]);
    let next = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    let Some(layout) = layouts.get(index) else { return };
                    let verdict = ways.start(layout, method);
                    verdicts.lock().unwrap()[index] = verdict;
                }
            });
        }
    });
    verdicts.into_inner().unwrap()
}

/// What this process was started for.
pub struct Task {
    method: Method,
    layout: String,
    folder: PathBuf,
}

impl Task {
    pub fn ours() -> Option<Self> {
        let task = std::env::var(TASK).ok()?;
        let (method, layout) = task.split_once(' ')?;
        let folder = PathBuf::from(std::env::var_os(FOLDER)?);
        Some(Self { method: Method::of(method)?, layout: layout.to_owned(), folder })
    }
}

/// Runs one layout and prints its verdict.
pub fn run(task: &Task) {
    let layout = layouts::all().into_iter().find(|layout| layout.name == task.layout).expect("it is in the table");
    let verdict = match Room::enter(&task.folder) {
        Ok(mut room) => match (layout.build)(&mut room) {
            Ok(expect) => judge(&mut room, &expect, task.method),
            Err(Skip(why)) => Verdict { skipped: Some(why), ..Verdict::default() },
        },
        Err(error) => Verdict { skipped: Some(format!("no room of its own: {error}")), ..Verdict::default() },
    };
    println!("\n{SAID}{}", serde_json::to_string(&verdict).unwrap());
    // Nothing that a layout has left is waited for: its namespace ends with this process.
    use std::io::Write as _;
    std::io::stdout().flush().unwrap();
    std::process::exit(0);
}

fn judge(room: &mut Room, expect: &Expect, method: Method) -> Verdict {
    let before = World::look(room);
    let tree = leaves(&room.work);
    let racers: Vec<_> = room.races.drain(..).map(Racer::start).collect();
    let began = Instant::now();
    let said = method.apply(&room.target, room.as_owner);
    let ms = began.elapsed().as_millis();
    drop(racers);
    room.settle.drain(..).for_each(|settle| settle());
    let lost = before.lost(&World::look(room));
    let left = leaves(&room.work);
    let right = match expect {
        Expect::Gone => left.is_empty(),
        Expect::Left(want) => left.iter().all(|path| want.contains(path) || path.ends_with(isoprep::eject::MARKER)),
        Expect::Kept(_) => left == tree,
        Expect::GoneOrNamed => true,
    };
    let raced = matches!(expect, Expect::GoneOrNamed);
    let mut verdict = Verdict { raced, lost, left: left.len(), right, ms, ..Verdict::default() };
    let Some(said) = said else { return verdict };
    verdict.said = match &said {
        Ok(report) if report.untouched.is_empty() => format!("removed {}", report.removed),
        Ok(report) => format!("removed {}, left {:?}", report.removed, report.untouched),
        Err(error) => error.to_string(),
    };
    verdict.faults = faults(room, expect, &said, &left, right);
    verdict.faults.extend(verdict.lost.iter().cloned());
    if verdict.faults.is_empty() && !room.release.is_empty() {
        again(room, &before, &mut verdict);
    }
    verdict
}

/// What is wrong with what Eject said and left.
fn faults(
    room: &Room,
    expect: &Expect,
    said: &Result<EjectReport, EjectError>,
    left: &[PathBuf],
    right: bool,
) -> Vec<String> {
    let mut faults = Vec::new();
    if !right {
        faults.push(format!("left: {left:?}, said: {said:?}"));
    }
    match (expect, said) {
        (Expect::Kept(words), Err(error)) => {
            let text = error.to_string();
            faults
                .extend(words.iter().filter(|word| !text.contains(*word)).map(|word| format!("no {word:?} in {text}")));
        }
        (Expect::Kept(_), Ok(report)) => faults.push(format!("it was not refused: {report:?}")),
        (Expect::Gone, Err(error)) => faults.push(format!("refused: {error}")),
        (Expect::Left(want), Ok(report)) => {
            let mut named: Vec<_> = report.untouched.iter().map(|left| left.path.clone()).collect();
            named.sort();
            let mut want = want.clone();
            want.sort();
            if named != want {
                faults.push(format!("named {named:?}, not {want:?}"));
            }
        }
        (Expect::Left(_), Err(error)) => faults.push(format!("refused: {error}")),
        (Expect::GoneOrNamed, Ok(report)) if report.removed == 0 => faults.push(format!("nothing went: {report:?}")),
        // Another directory is in its place, or something is mounted in it, just then.
        (Expect::GoneOrNamed, Err(EjectError::StillMounted { .. } | EjectError::Refused { .. })) => {}
        (Expect::GoneOrNamed, Err(EjectError::System { source, .. }))
            if [Errno::STALE, Errno::NOENT].map(|it| Some(it.raw_os_error())).contains(&source.raw_os_error()) => {}
        (Expect::GoneOrNamed, Err(error)) => faults.push(format!("it gave up: {error}")),
        _ => {}
    }
    if let Ok(report) = said {
        // What was named in a folder may have been moved out of it again, and the folder stays for it.
        let raced = matches!(expect, Expect::GoneOrNamed);
        let named = |path: &PathBuf| {
            let tells = |it: &Untouched| path.starts_with(&it.path) || (raced && it.path.starts_with(path));
            path.ends_with(isoprep::eject::MARKER) || report.untouched.iter().any(tells)
        };
        faults.extend(left.iter().filter(|path| !named(path)).map(|path| format!("left unnamed: {}", path.display())));
        if report.untouched.is_empty() && fs::symlink_metadata(&room.work).is_ok() {
            faults.push("it says that all is gone, and it is not".into());
        }
    }
    faults
}

/// Lets go of what kept it, ejects again, and then everything must be gone.
fn again(room: &mut Room, before: &World, verdict: &mut Verdict) {
    for release in room.release.drain(..) {
        release();
    }
    room.held.clear();
    match Method::Eject.apply(&room.target, room.as_owner) {
        Some(Ok(report)) if report.untouched.is_empty() => {}
        other => verdict.faults.push(format!("the second time: {other:?}")),
    }
    if fs::symlink_metadata(&room.work).is_ok() {
        verdict.faults.push("it is still there the second time".into());
    }
    verdict.faults.extend(before.lost(&World::look(room)));
}
