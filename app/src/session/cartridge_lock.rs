//! One session works on one cartridge at a time: a lock file a cartridge, held with flock(2) while a goal is worked
//! towards. The kernel drops it with the process, so a killed app never keeps a cartridge.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::holder::Holder;

/// How long a lock that this very process holds is waited for: what held it is on its way out.
const OWN: Duration = Duration::from_secs(3);
/// How long any lock is: somebody may only be [looking](holder) whether it is held.
const GLANCE: Duration = Duration::from_millis(100);
/// How much of a lock file is read, bytes.
const LONGEST: u64 = 4096;

/// The held lock. Dropping it lets the next session in.
#[derive(Debug)]
pub(super) struct CartridgeLock {
    file: File,
}

impl Drop for CartridgeLock {
    fn drop(&mut self) {
        // Who held it is nobody's business any more.
        let _ = self.file.set_len(0);
        // Closing is not enough: a child that was forked meanwhile shares the lock until it execs.
        let _ = self.file.unlock();
    }
}

/// Why the lock could not be had.
#[derive(Debug, thiserror::Error)]
pub(super) enum LockError {
    /// Another session has it.
    #[error("this cartridge is in use by {holder}")]
    Held {
        /// Who that is.
        holder: Box<Holder>,
    },
    /// The lock file could not be used.
    #[error("could not lock the cartridge with {file}: {source}")]
    Io {
        /// The lock file.
        file: String,
        /// What the system said.
        source: io::Error,
    },
}

impl CartridgeLock {
    /// Says who has it, in other words than before.
    pub(super) fn say(&mut self, holder: &Holder) -> Result<(), LockError> {
        let failed = |source| LockError::Io { file: "its lock file".into(), source };
        let text = serde_json::to_string(holder).map_err(|error| failed(error.into()))?;
        self.file
            .set_len(0)
            .and_then(|()| self.file.rewind())
            .and_then(|()| self.file.write_all(text.as_bytes()))
            .map_err(failed)
    }
}

/// Who holds the cartridge at `root`: whoever has its lock, whatever numbers processes have. One that was killed has none, though its file
/// may still name it.
pub(crate) fn holder(locks: &Path, root: &Path) -> Option<Holder> {
    let file = File::open(file_of(locks, root)).ok()?;
    // Let go of at once, by closing the file.
    if !matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)) {
        return None;
    }
    let mut text = String::new();
    file.take(LONGEST).read_to_string(&mut text).ok()?;
    Holder::parse(&text).map(Holder::from_here)
}

fn file_of(locks: &Path, root: &Path) -> PathBuf {
    locks.join(format!("{}.lock", &blake3::hash(root.as_os_str().as_bytes()).to_hex()[..16]))
}

/// Locks the cartridge at `root`; `who` is told to whoever comes second. Blocks for a moment where it is `who` that has it.
pub(super) fn lock(locks: &Path, root: &Path, who: &Holder) -> Result<CartridgeLock, LockError> {
    lock_within(locks, root, who, GLANCE)
}

fn lock_within(locks: &Path, root: &Path, who: &Holder, glance: Duration) -> Result<CartridgeLock, LockError> {
    let began = Instant::now();
    loop {
        match try_lock(locks, root, who) {
            Err(LockError::Held { holder }) if began.elapsed() < if is_own(&holder, who) { OWN } else { glance } => {
                std::thread::sleep(Duration::from_millis(20));
            }
            answer => return answer,
        }
    }
}

/// Whether it is this one itself, or somebody who has not said yet who it is, or says it no more: that passes at once.
fn is_own(holder: &Holder, who: &Holder) -> bool {
    (holder.process, &holder.who) == (who.process, &who.who) || (holder.process, holder.since) == (0, 0)
}

fn try_lock(locks: &Path, root: &Path, who: &Holder) -> Result<CartridgeLock, LockError> {
    let path = file_of(locks, root);
    let failed = |source| LockError::Io { file: path.display().to_string(), source };
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(locks).map_err(failed)?;
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(i32::try_from(rustix::fs::OFlags::NOFOLLOW.bits()).unwrap_or_default())
        .open(&path)
        .map_err(failed)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut text = String::new();
            let _ = file.take(LONGEST).read_to_string(&mut text);
            let another = || Holder { process: 0, since: 0, ..Holder::here("another session", None, "") };
            return Err(LockError::Held {
                holder: Box::new(Holder::parse(&text).map_or_else(another, Holder::from_here)),
            });
        }
        Err(TryLockError::Error(source)) => return Err(failed(source)),
    }
    let mut lock = CartridgeLock { file };
    lock.say(who)?;
    Ok(lock)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lock(locks: &Path, root: &Path, who: &str) -> Result<CartridgeLock, LockError> {
        super::lock(locks, root, &Holder::here(who, None, ""))
    }

    #[test]
    fn the_second_is_told_who_is_first_and_gets_in_afterwards() {
        let dir = tempfile::tempdir().unwrap();
        let (locks, root) = (dir.path().join("locks"), Path::new("/some/cartridge"));
        let first = lock(&locks, root, "the first").unwrap();
        let error = lock(&locks, root, "the second").unwrap_err();
        let words = format!("this cartridge is in use by the first (process {}), which has been", std::process::id());
        assert!(error.to_string().starts_with(&words), "{error}");
        assert_eq!(holder(&locks, root).unwrap().who, "the first");
        assert!(lock(&locks, Path::new("/other"), "x").is_ok());
        drop(first);
        assert_eq!(holder(&locks, root), None);
        assert!(lock(&locks, root, "the second").is_ok());
    }

    #[test]
    fn who_was_killed_holds_nothing_and_whose_number_means_nothing_here_has_none() {
        let dir = tempfile::tempdir().unwrap();
        let (locks, root) = (dir.path().join("locks"), Path::new("/some/cartridge"));
        // This process lives, and what its name stands in was left by one that was killed.
        let left = Holder::here("the first", None, "");
        drop(lock(&locks, root, "the first").unwrap());
        std::fs::write(file_of(&locks, root), serde_json::to_string(&left).unwrap()).unwrap();
        assert_eq!(holder(&locks, root), None);
        // No process here has that number, and it holds it all the same.
        let elsewhere = Holder { process: u32::MAX, world: "another boot pid:[1]".into(), ..left };
        let held = super::lock(&locks, root, &elsewhere).unwrap();
        let seen = holder(&locks, root).unwrap();
        assert_eq!((seen.who.as_str(), seen.process), ("the first", 0));
        let error = lock(&locks, root, "the second").unwrap_err().to_string();
        assert!(error.starts_with("this cartridge is in use by the first, which has been"), "{error}");
        drop(held);
    }

    #[test]
    fn who_only_looks_keeps_nobody_out() {
        let dir = tempfile::tempdir().unwrap();
        let (locks, root) = (dir.path().join("locks"), Path::new("/some/cartridge"));
        drop(lock(&locks, root, "the first").unwrap());
        std::fs::write(file_of(&locks, root), "the first (process 7)\n1700000000\n").unwrap();
        let looks = File::open(file_of(&locks, root)).unwrap();
        looks.try_lock_shared().unwrap();
        let second = Holder::here("the second", None, "");
        assert!(super::lock_within(&locks, root, &second, Duration::ZERO).is_err());
        let going = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(50));
            drop(looks);
        });
        assert!(super::lock_within(&locks, root, &second, Duration::from_secs(3600)).is_ok());
        going.join().unwrap();
    }

    #[test]
    fn a_child_that_shares_the_file_does_not_keep_the_lock() {
        let dir = tempfile::tempdir().unwrap();
        let (locks, root) = (dir.path().join("locks"), Path::new("/some/cartridge"));
        let first = lock(&locks, root, "the first").unwrap();
        let shared = first.file.try_clone().unwrap();
        drop(first);
        assert!(lock(&locks, root, "the second").is_ok());
        drop(shared);
    }

    #[test]
    fn one_that_is_let_go_soon_is_waited_for_where_it_is_ones_own() {
        let dir = tempfile::tempdir().unwrap();
        let (locks, root) = (dir.path().join("locks"), Path::new("/some/cartridge"));
        let first = lock(&locks, root, "the window (process 7)").unwrap();
        let going = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(100));
            drop(first);
        });
        assert!(lock(&locks, root, "the window (process 7)").is_ok());
        going.join().unwrap();
    }
}
