//! Attempts on mounts that may hang: who may still act, and which hang.
//!
//! Nothing that waits for a disk or for the server of a FUSE can be called off, so whoever waits for it in a thread may have gone on
//! long before it comes back. By then the mount that it was about may be another one of the same number. So each attempt asks for
//! its turn just before it acts, and whoever stops waiting takes that away. Once the kernel has been asked it is too late for that:
//! then the mount is found by the folder that was opened and a name in it, and no other mount than one there can be meant.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::mountinfo::Mount;

/// How many may hang before no other is begun: each has a thread of its own.
const MOST: usize = 8;

const WAITS: u8 = 0;
const ACTS: u8 = 1;
const CALLED_OFF: u8 = 2;

/// Whether an attempt may act.
#[derive(Debug, Default)]
pub(super) struct Turn(AtomicU8);

impl Turn {
    /// Takes it; false if it was called off.
    pub(super) fn take(&self) -> bool {
        let before = self.0.compare_exchange(WAITS, ACTS, Ordering::AcqRel, Ordering::Acquire);
        !matches!(before, Err(CALLED_OFF))
    }

    /// Calls it off; false if it was taken.
    fn call_off(&self) -> bool {
        let before = self.0.compare_exchange(WAITS, CALLED_OFF, Ordering::AcqRel, Ordering::Acquire);
        !matches!(before, Err(ACTS))
    }
}

/// What no other mount is, as long as it is mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Key {
    id: u64,
    device: String,
    point: PathBuf,
}

#[derive(Debug)]
struct Entry {
    key: Key,
    since: Instant,
    turn: Arc<Turn>,
    /// Nobody waits for it any more.
    left: bool,
}

static ATTEMPTS: Mutex<Vec<Entry>> = Mutex::new(Vec::new());

fn attempts() -> MutexGuard<'static, Vec<Entry>> {
    ATTEMPTS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Why no attempt is begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hangs {
    /// An earlier one on the same mount hangs, since so long.
    Same(Duration),
    /// So many others hang.
    Others(usize),
}

/// An attempt. It is over when this is dropped, which is done by its thread.
#[derive(Debug)]
pub(super) struct Attempt(pub(super) Arc<Turn>);

impl Attempt {
    pub(super) fn begin(mount: &Mount) -> Result<Self, Hangs> {
        let key = Key { id: mount.id, device: mount.device.clone(), point: mount.point.clone() };
        let mut attempts = attempts();
        let hang = attempts.iter().filter(|entry| entry.left);
        if let Some(same) = hang.clone().find(|entry| entry.key == key) {
            return Err(Hangs::Same(same.since.elapsed()));
        }
        let number = hang.count();
        if number >= MOST {
            return Err(Hangs::Others(number));
        }
        let turn = Arc::new(Turn::default());
        attempts.push(Entry { key, since: Instant::now(), turn: Arc::clone(&turn), left: false });
        Ok(Self(turn))
    }

    pub(super) fn turn(&self) -> Arc<Turn> {
        Arc::clone(&self.0)
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        attempts().retain(|entry| !Arc::ptr_eq(&entry.turn, &self.0));
    }
}

/// Stops waiting for an attempt, which may not act any more if it has not begun to. Whether it does nothing from here on.
pub(super) fn leave(turn: &Arc<Turn>) -> bool {
    let mut attempts = attempts();
    if let Some(entry) = attempts.iter_mut().find(|entry| Arc::ptr_eq(&entry.turn, turn)) {
        entry.left = true;
    }
    turn.call_off()
}

/// How many attempts to unmount something hang in this process, each in a thread that nobody waits for any more.
#[must_use]
pub fn hanging_unmounts() -> usize {
    attempts().iter().filter(|entry| entry.left).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mount(id: u64) -> Mount {
        let line = format!("{id} 1 0:44 / /torn/{id} rw - fuse.x x rw");
        super::super::mountinfo::parse(line.as_bytes()).unwrap().remove(0)
    }

    #[test]
    fn a_turn_is_taken_or_called_off_and_never_both() {
        let (one, other) = (Turn::default(), Turn::default());
        assert!(one.take() && one.take() && !one.call_off());
        assert!(other.call_off() && other.call_off() && !other.take());
        for _ in 0..200 {
            let turn = Arc::new(Turn::default());
            let taker = Arc::clone(&turn);
            let taken = std::thread::spawn(move || taker.take());
            let off = turn.call_off();
            assert_ne!(taken.join().unwrap(), off);
        }
    }

    #[test]
    fn an_attempt_that_hangs_keeps_others_on_its_mount_out_until_it_is_over() {
        let first = Attempt::begin(&mount(1)).unwrap();
        // Whoever is waited for keeps nobody out.
        drop(Attempt::begin(&mount(1)).unwrap());
        assert!(leave(&first.turn()) && !first.turn().take());
        assert_eq!(hanging_unmounts(), 1);
        assert!(matches!(Attempt::begin(&mount(1)), Err(Hangs::Same(_))));
        let others: Vec<_> = (2..).map(|id| Attempt::begin(&mount(id)).unwrap()).take(MOST - 1).collect();
        others.iter().for_each(|it| assert!(leave(&it.turn())));
        assert_eq!(Attempt::begin(&mount(99)).unwrap_err(), Hangs::Others(MOST));
        drop(others);
        drop(first);
        assert_eq!(hanging_unmounts(), 0);
        drop(Attempt::begin(&mount(1)).unwrap());
    }
}
