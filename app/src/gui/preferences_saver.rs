//! The one thread that writes the window's preferences: the newest, never two at a time. No frame waits for the disk.

use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::preferences::Preferences;

/// How long the end of the program waits for a disk that is slow.
const PATIENCE: Duration = Duration::from_secs(10);

/// Writes preferences for as long as it is there, and what is left when it is dropped.
#[derive(Debug)]
pub(super) struct PreferencesSaver {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    slot: Mutex<Slot>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Slot {
    /// What is to be written next.
    wanted: Option<Preferences>,
    /// Something is being written.
    writes: bool,
    over: bool,
}

impl Drop for PreferencesSaver {
    fn drop(&mut self) {
        self.shared.lock().over = true;
        self.shared.changed.notify_all();
    }
}

impl PreferencesSaver {
    /// Begins to write to `file`. Where no thread can be had nothing is kept: that is no loss that needs words.
    pub(super) fn begin(file: PathBuf) -> Self {
        let shared = Arc::new(Shared::default());
        let writer = Arc::clone(&shared);
        let _ = std::thread::Builder::new().name("preferences".to_owned()).spawn(move || {
            while let Some(preferences) = writer.take() {
                let _ = preferences.save(&file);
                writer.lock().writes = false;
                writer.changed.notify_all();
            }
        });
        Self { shared }
    }

    /// Has them written soon, in place of any that wait. Returns at once.
    pub(super) fn save(&self, preferences: Preferences) {
        self.shared.lock().wanted = Some(preferences);
        self.shared.changed.notify_all();
    }

    /// Waits until all is written, for a few seconds at most.
    pub(super) fn finish(&self) {
        let slot = self.shared.lock();
        let busy = |slot: &mut Slot| slot.writes || slot.wanted.is_some();
        let _ = self.shared.changed.wait_timeout_while(slot, PATIENCE, busy);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Slot> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the next ones; `None` once there will be no more.
    fn take(&self) -> Option<Preferences> {
        let idle = |slot: &mut Slot| slot.wanted.is_none() && !slot.over;
        let mut slot = self.changed.wait_while(self.lock(), idle).unwrap_or_else(PoisonError::into_inner);
        let wanted = slot.wanted.take();
        slot.writes = wanted.is_some();
        wanted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_is_written_and_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("window.toml");
        let saver = PreferencesSaver::begin(file.clone());
        saver.finish();
        assert!(!file.exists(), "nothing was wanted");
        let of = |width: f32| Preferences { width, ..Preferences::default() };
        for turn in [1000.0, 2000.0] {
            for number in 0..50_u8 {
                saver.save(of(turn + f32::from(number)));
            }
            saver.finish();
            assert_eq!(Preferences::load(&file), of(turn + 49.0));
        }
        // Its end loses nothing, and ends the thread.
        let shared = Arc::downgrade(&saver.shared);
        saver.save(of(3000.0));
        drop(saver);
        while shared.strong_count() > 0 {
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(Preferences::load(&file), of(3000.0));
    }
}
