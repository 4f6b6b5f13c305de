//! One session works on one cartridge at a time: a lock file a cartridge, held with flock(2) while a goal is worked
//! towards. The kernel drops it with the process, so a killed app never keeps a cartridge.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::time::{Duration, Instant};

/// How long a lock that this very process holds is waited for: what held it is on its way out.
const OWN: Duration = Duration::from_secs(3);

/// The held lock. Dropping it lets the next session in.
#[derive(Debug)]
pub(super) struct CartridgeLock {
    file: File,
}

impl Drop for CartridgeLock {
    fn drop(&mut self) {
        // Closing is not enough: a child that was forked meanwhile shares the lock until it execs.
        let _ = self.file.unlock();
    }
}

/// Why the lock could not be had.
#[derive(Debug, thiserror::Error)]
pub(super) enum LockError {
    /// Another session has it.
    #[error("this cartridge is in use by {holder}{}", said(*since))]
    Held {
        /// "the window (process 4711)".
        holder: String,
        /// Since when, seconds since 1970, where that is known.
        since: Option<i64>,
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

/// Locks the cartridge at `root`; `who` is told to whoever comes second. Blocks for a moment where it is `who` that has it.
pub(super) fn lock(locks: &Path, root: &Path, who: &str) -> Result<CartridgeLock, LockError> {
    let began = Instant::now();
    loop {
        match try_lock(locks, root, who) {
            Err(LockError::Held { holder, .. }) if holder == who.trim() && began.elapsed() < OWN => {
                std::thread::sleep(Duration::from_millis(20));
            }
            answer => return answer,
        }
    }
}

fn try_lock(locks: &Path, root: &Path, who: &str) -> Result<CartridgeLock, LockError> {
    let path = locks.join(format!("{}.lock", &blake3::hash(root.as_os_str().as_bytes()).to_hex()[..16]));
    let failed = |source| LockError::Io { file: path.display().to_string(), source };
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(locks).map_err(failed)?;
    let mut file = OpenOptions::new()
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
            let _ = file.take(200).read_to_string(&mut text);
            let (holder, since) = read(&text);
            return Err(LockError::Held { holder, since });
        }
        Err(TryLockError::Error(source)) => return Err(failed(source)),
    }
    let text = format!("{who}\n{}\n", jiff::Timestamp::now().as_second());
    file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(text.as_bytes())).map_err(failed)?;
    Ok(CartridgeLock { file })
}

/// Who has written that into a lock file, and when.
fn read(text: &str) -> (String, Option<i64>) {
    let mut lines = text.lines().map(str::trim);
    let holder = lines.next().filter(|line| !line.is_empty()).unwrap_or("another session");
    (holder.to_owned(), lines.next().and_then(|line| line.parse().ok()))
}

/// A moment in the words of a message: the time of today, or the day as well.
fn said(since: Option<i64>) -> String {
    let Some(since) = since.and_then(|it| jiff::Timestamp::from_second(it).ok()) else { return String::new() };
    let (since, now) = (since.to_zoned(jiff::tz::TimeZone::system()), jiff::Zoned::now());
    let shape = if since.date() == now.date() { ", since %H:%M:%S" } else { ", since %Y-%m-%d %H:%M" };
    since.strftime(shape).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_told_who_is_first_and_gets_in_afterwards() {
        let dir = tempfile::tempdir().unwrap();
        let (locks, root) = (dir.path().join("locks"), Path::new("/some/cartridge"));
        let first = lock(&locks, root, "the first").unwrap();
        let error = lock(&locks, root, "the second").unwrap_err();
        let words = error.to_string();
        assert!(
            words.starts_with("this cartridge is in use by the first, since ") && words.matches(':').count() >= 1,
            "{words}"
        );
        assert_eq!((read(""), read("x\ny")), (("another session".to_owned(), None), ("x".to_owned(), None)));
        assert!(lock(&locks, Path::new("/other"), "x").is_ok());
        drop(first);
        assert!(lock(&locks, root, "the second").is_ok());
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
