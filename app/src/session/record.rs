//! The record of a session on disk, so that a killed app leaves a state which the next start repairs: what it made is
//! written down before it is made, and a lock says whether its process lives.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::process::{Pid, PidfdFlags, Signal};
use serde::{Deserialize, Serialize};

use super::removal::{Removal, Terms};
use super::{dying, strays};
use crate::paths::Paths;

/// How many sessions' logs are kept.
const KEPT: usize = 40;
const RECORD: &str = "open.json";
const LOCK: &str = "alive.lock";

/// What a session has made and has to remove, besides its work directories, which are found by their names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Made {
    /// Its runtime directory.
    pub runtime: Option<PathBuf>,
    /// Its guest's process.
    pub guest: Option<u32>,
    /// Who runs it: "the window (process 4711)".
    pub who: String,
    /// Its process.
    #[serde(default)]
    pub process: u32,
}

/// This session's directory and record. Dropping it marks the session as closed.
#[derive(Debug)]
pub(crate) struct Record {
    dir: PathBuf,
    work: PathBuf,
    made: Made,
    /// The guest's private directory, which nobody sweeps while it is held.
    runtime: Option<vmtools::RuntimeDir>,
    /// Where the disk of the sessions had no room: the directory, which goes with the session.
    refuge: Option<vmtools::RuntimeDir>,
    _alive: File,
}

/// A session whose process lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Living {
    /// Its id, which is the name of its directory.
    pub id: String,
    /// What it has made.
    pub made: Made,
}

impl Record {
    /// Begins a session's record; beside the sockets, which are in memory, where its disk has no room: what makes room on it
    /// must be possible.
    pub(crate) fn begin(paths: &Paths, id: &str, who: &str) -> io::Result<Self> {
        let dir = paths.sessions().join(id);
        let kept = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir);
        let full = match kept.and_then(|()| Self::begin_in(paths, dir.clone(), who, None)) {
            Err(error) if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) => error,
            begun => return begun,
        };
        let _ = std::fs::remove_file(dir.join(RECORD));
        remove_logs(&dir);
        let place = paths.runtime.join(id);
        let made = vmtools::RuntimeDir::prepare(&paths.runtime).and_then(|()| vmtools::RuntimeDir::create_at(&place));
        // Which disk is full is what the user can mend.
        let Ok(made) = made else { return Err(full) };
        Self::begin_in(paths, place.clone(), who, Some(made)).map_err(|_| {
            let _ = std::fs::remove_file(place.join(RECORD));
            remove_logs(&place);
            full
        })
    }

    fn begin_in(paths: &Paths, dir: PathBuf, who: &str, refuge: Option<vmtools::RuntimeDir>) -> io::Result<Self> {
        let alive = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(dir.join(LOCK))?;
        alive.try_lock().map_err(io::Error::from)?;
        let record = Self {
            dir,
            work: paths.work(),
            made: Made { who: who.to_owned(), process: std::process::id(), ..Made::default() },
            runtime: None,
            refuge,
            _alive: alive,
        };
        record.save()?;
        strays::write_down(&record.dir)?;
        Ok(record)
    }

    pub(crate) fn made(&self) -> &Made {
        &self.made
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Whether it, and what is logged, are kept in memory and go with the session.
    pub(crate) fn is_in_memory(&self) -> bool {
        self.refuge.is_some()
    }

    /// This session's work directories.
    pub(crate) fn works(&self) -> Vec<PathBuf> {
        works_of(&self.work, &self.dir.file_name().unwrap_or_default().to_string_lossy())
    }

    /// Changes what was made, and writes it down.
    pub(crate) fn note(&mut self, change: impl FnOnce(&mut Made)) -> io::Result<()> {
        change(&mut self.made);
        if self.made.runtime.is_none() {
            self.runtime = None;
        }
        self.save()
    }

    /// Keeps the guest's private directory from being swept, until it is said to be gone.
    pub(crate) fn hold(&mut self, runtime: vmtools::RuntimeDir) {
        self.runtime = Some(runtime);
    }

    fn save(&self) -> io::Result<()> {
        let text = serde_json::to_string_pretty(&self.made).map_err(io::Error::other)?;
        isoprep::save_atomically(&self.dir.join(RECORD), &text)
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        // Kept while something of it is left: the next start will try again.
        if self.made.runtime.is_none() && self.works().is_empty() {
            let _ = std::fs::remove_file(self.dir.join(RECORD));
            if self.refuge.is_some() {
                remove_logs(&self.dir);
            }
        }
    }
}

/// Where a session's directory is.
pub(super) fn find(paths: &Paths, id: &str) -> PathBuf {
    refuges(paths).into_iter().find(|dir| id_of(dir) == id).unwrap_or_else(|| paths.sessions().join(id))
}

/// What may be directories of sessions whose disk had no room. In /tmp somebody else may have made their place, or one of them: what
/// is not ours alone is not believed.
fn refuges(paths: &Paths) -> Vec<PathBuf> {
    let ours = |dir: &Path| vmtools::RuntimeDir::open(dir).is_ok();
    let all = if ours(&paths.runtime) { inside(&paths.runtime) } else { Vec::new() };
    all.into_iter().filter(|dir| ours(dir) && dir.join(RECORD).exists()).collect()
}

/// Directories of all sessions whose logs are still there, the oldest first.
pub(crate) fn directories(paths: &Paths) -> Vec<PathBuf> {
    let mut all = inside(&paths.sessions());
    all.extend(refuges(paths));
    all.sort_by_key(|dir| id_of(dir));
    all
}

fn inside(place: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(place).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

/// Sessions whose process lives, newest first.
pub(crate) fn living(paths: &Paths) -> Vec<Living> {
    let living = open_records(paths).into_iter().filter(|dir| is_alive(dir));
    let mut found: Vec<Living> = living.filter_map(|dir| Some(Living { id: id_of(&dir), made: read(&dir)? })).collect();
    found.sort_by(|a, b| b.id.cmp(&a.id));
    found
}

/// The runtime directory of a session's guest, as its record has it.
pub(super) fn runtime_of(paths: &Paths, id: &str) -> Option<PathBuf> {
    read(&find(paths, id))?.runtime
}

/// What [`recover`] did.
#[derive(Debug, Default)]
pub(crate) struct Recovered {
    /// What was done, a sentence each; nothing when there was nothing.
    pub said: Vec<String>,
    /// What was removed, and what was not.
    pub(super) removal: Removal,
}

/// Ends and removes what dead sessions left.
pub(super) fn recover(paths: &Paths, terms: &Terms<'_>) -> Recovered {
    let mut done = Recovered::default();
    for dir in open_records(paths) {
        // Who was killed just now may not have let go of it yet.
        let process = read(&dir).map_or(0, |made| made.process);
        let Some(_held) = dying::wait(process, terms.cancel, || claim(&dir)) else { continue };
        // Read under the lock: what a session wrote just before it died counts.
        let made = read(&dir).unwrap_or_default();
        let id = id_of(&dir);
        if let (Some(pid), Some(runtime)) = (made.guest, &made.runtime)
            && end_stray(pid, runtime)
        {
            done.said.push(format!("Ended QEMU (process {pid}) that session {id} had left running"));
        }
        let ended = strays::end(&dir, terms.cancel);
        if !ended.is_empty() {
            done.said.push(format!("Ended what session {id} had left running: {}", ended.join(", ")));
        }
        let mut clean = true;
        for path in works_of(&paths.work(), &id) {
            // Killed between making it and marking it: an empty directory of this name is ours.
            if !isoprep::is_marked(&path) && isoprep::remove_unmarked(&path) {
                done.removal.report.removed += 1;
            } else if done.removal.remove(&path, terms) {
                let text = format!("Removed the work of session {id}, which had been killed: {}", path.display());
                done.said.push(text);
            } else {
                clean = false;
            }
        }
        if let Some(path) = made.runtime.as_ref().filter(|path| path.symlink_metadata().is_ok()) {
            match vmtools::RuntimeDir::open(path).and_then(vmtools::RuntimeDir::remove) {
                Ok(()) => {
                    done.removal.report.removed += 1;
                    done.said.push(format!("Removed the sockets of session {id}, which had been killed"));
                }
                Err(error) => {
                    clean = false;
                    done.removal.problems.push(error.to_string());
                }
            }
        }
        if clean {
            let _ = std::fs::remove_file(dir.join(RECORD));
            if dir.starts_with(&paths.runtime) {
                remove_logs(&dir);
            }
        }
    }
    // The guests that were to be templates have no record: what they leave is told by the names.
    vmtools::RuntimeDir::sweep(&paths.runtime);
    let drafts = isoprep::sweep_drafts(&paths.stages(), &paths.images());
    if !drafts.is_empty() {
        done.removal.report.removed += drafts.len() as u64;
        done.said.push(format!("Removed {} unfinished results of builds that had been killed", drafts.len()));
    }
    prune(paths);
    done
}

/// Work directories that dead sessions left.
pub(super) fn left_behind(paths: &Paths) -> Vec<PathBuf> {
    let dead = open_records(paths).into_iter().filter(|dir| claim(dir).is_some());
    dead.flat_map(|dir| works_of(&paths.work(), &id_of(&dir))).collect()
}

/// The work directories of a session: their names begin with its id.
fn works_of(work: &Path, id: &str) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(work) else { return Vec::new() };
    let prefix = format!("{id}-");
    entries.flatten().filter(|e| e.file_name().to_string_lossy().starts_with(&prefix)).map(|e| e.path()).collect()
}

/// Directories of sessions that have not closed.
fn open_records(paths: &Paths) -> Vec<PathBuf> {
    let kept = inside(&paths.sessions()).into_iter().filter(|dir| dir.join(RECORD).exists());
    kept.chain(refuges(paths)).collect()
}

/// A record, if it is there and whole.
fn read(dir: &Path) -> Option<Made> {
    serde_json::from_str(&std::fs::read_to_string(dir.join(RECORD)).ok()?).ok()
}

fn id_of(dir: &Path) -> String {
    dir.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn claim(dir: &Path) -> Option<File> {
    let lock = OpenOptions::new().write(true).create(true).truncate(false).open(dir.join(LOCK)).ok()?;
    lock.try_lock().ok()?;
    Some(lock)
}

fn is_alive(dir: &Path) -> bool {
    claim(dir).is_none()
}

/// Kills a QEMU only if its command line names the dead session's own runtime directory: process ids are used again.
fn end_stray(pid: u32, runtime: &Path) -> bool {
    let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return false };
    let Ok(pidfd) = rustix::process::pidfd_open(pid, PidfdFlags::empty()) else { return false };
    let cmdline = std::fs::read(format!("/proc/{}/cmdline", pid.as_raw_nonzero())).unwrap_or_default();
    let needle = runtime.as_os_str().as_encoded_bytes();
    if needle.is_empty() || !cmdline.windows(needle.len()).any(|window| window == needle) {
        return false;
    }
    if rustix::process::pidfd_send_signal(&pidfd, Signal::KILL).is_err() {
        return false;
    }
    // A pidfd becomes readable when its process has ended (pidfd_open(2)).
    let mut fds = [rustix::event::PollFd::new(&pidfd, rustix::event::PollFlags::IN)];
    let limit = rustix::event::Timespec { tv_sec: 3, tv_nsec: 0 };
    rustix::event::poll(&mut fds, Some(&limit)).is_ok_and(|ready| ready > 0)
}

/// Keeps the logs of the newest sessions only. Ids begin with the time, so names sort by age.
fn prune(paths: &Paths) {
    let Ok(entries) = std::fs::read_dir(paths.sessions()) else { return };
    let mut closed: Vec<PathBuf> =
        entries.flatten().map(|entry| entry.path()).filter(|dir| !dir.join(RECORD).exists()).collect();
    closed.sort();
    let over = closed.len().saturating_sub(KEPT);
    for dir in closed.into_iter().take(over) {
        if claim(&dir).is_none() {
            continue;
        }
        remove_logs(&dir);
    }
}

/// Removes a closed session's directory. It is flat by construction: files only, and a file that is not ours keeps it.
fn remove_logs(dir: &Path) {
    for name in ["build.log", "serial.log", "qemu.log", "session.log", strays::CHILDREN, LOCK] {
        let _ = std::fs::remove_file(dir.join(name));
    }
    let _ = std::fs::remove_dir(dir);
}

#[cfg(test)]
mod tests {
    use isoprep::Cancel;

    use super::*;

    fn paths(dir: &Path) -> Paths {
        Paths {
            cache: dir.join("cache"),
            state: dir.join("state"),
            data: dir.join("data"),
            config: dir.join("config"),
            runtime: dir.join("run"),
            pictures: dir.join("pictures"),
            videos: dir.join("videos"),
        }
    }

    #[test]
    fn a_living_session_is_left_alone_and_a_dead_one_is_cleaned() {
        let dir = tempfile::tempdir().unwrap();
        let paths = paths(dir.path());
        let make = |id: &str| {
            let record = Record::begin(&paths, id, "the test").unwrap();
            std::fs::create_dir_all(paths.work()).unwrap();
            let work = isoprep::WorkDir::create(&paths.work(), id).unwrap();
            std::fs::write(work.path().join("half"), "x").unwrap();
            (record, work.path().to_owned())
        };
        let (living_record, living_work) = make("1-living");
        let (dead_record, dead_work) = make("2-dead");
        // A killed process drops its lock without running our destructor.
        let Record { _alive, dir: dead_dir, .. } = &dead_record;
        _alive.unlock().unwrap();
        assert!(dead_dir.join(RECORD).exists());

        assert_eq!(living(&paths).iter().map(|l| l.id.as_str()).collect::<Vec<_>>(), ["1-living"]);
        let terms = Terms { agreed: &[], cancel: &Cancel::new(), progress: &|_, _| {} };
        assert_eq!(left_behind(&paths), std::slice::from_ref(&dead_work));
        let said = recover(&paths, &terms).said;
        assert!(said.len() == 1 && said[0].contains("2-dead"), "{said:?}");
        assert!(living_work.exists() && !dead_work.exists());
        assert!(recover(&paths, &terms).said.is_empty() && left_behind(&paths).is_empty());
        drop(living_record);
    }

    /// In /tmp anybody may have made it before us.
    #[test]
    fn what_is_beside_the_sockets_is_believed_only_if_it_is_ours_alone() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let paths = paths(dir.path());
        let (id, place) = ("20200101", paths.runtime.join("20200101"));
        let work = isoprep::WorkDir::create(&paths.work(), "20200101-000000-1").unwrap().path().to_owned();
        let set = |path: &Path, mode| std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
        std::fs::create_dir_all(&place).unwrap();
        std::fs::write(place.join(RECORD), r#"{"who": "x"}"#).unwrap();
        let terms = Terms { agreed: &[], cancel: &Cancel::new(), progress: &|_, _| {} };
        for (base, own) in [(0o777, 0o700), (0o700, 0o755), (0o755, 0o755)] {
            set(&paths.runtime, base);
            set(&place, own);
            assert!(recover(&paths, &terms).said.is_empty() && work.exists(), "{base:o} {own:o}");
            assert_eq!(find(&paths, id), paths.sessions().join(id));
            assert_eq!((left_behind(&paths), directories(&paths)), (Vec::new(), Vec::new()));
        }
        set(&paths.runtime, 0o700);
        set(&place, 0o700);
        assert_eq!((find(&paths, id), directories(&paths)), (place.clone(), vec![place.clone()]));
        assert_eq!(recover(&paths, &terms).said.len(), 1);
        // It goes with what it had left.
        assert!(!work.exists() && !place.exists());
    }

    #[test]
    fn a_process_that_is_not_ours_is_never_killed() {
        let me = std::process::id();
        assert!(!end_stray(me, Path::new("/no/such/runtime/dir/of/ours")));
    }
}
