//! Where slots are kept: `$XDG_DATA_HOME/cartridge/slots`, a folder a cartridge. It is found by the cartridge's place, so that
//! another name in its file keeps it; and it says whose it is, so that the slots of a cartridge that has moved can be found.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use serde::Serialize;
use vmtools::slot::{self, Slot, SlotError, SlotName};

use super::cartridge_lock;
use super::event::{Failure, SlotView};
use super::holder::Holder;
use super::jobs;
use crate::paths::Paths;

/// In a store: where its cartridge is. No folder of a slot has a dot in its name.
const ROOT: &str = ".cartridge";
/// The longest path that is read of it, bytes (`PATH_MAX` of Linux).
const LONGEST_PATH: usize = 4096;
/// How many characters at the end of a store's name tell its place: a hyphen and eight digits of a hash.
const PLACE: usize = 9;

/// A slot of any cartridge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StoredSlot {
    /// The folder of its cartridge's file; `None` where that was never written down.
    pub cartridge: Option<PathBuf>,
    /// Whether that folder is not there.
    pub gone: bool,
    /// The folder that it is kept in, with the other slots of its cartridge.
    pub store: PathBuf,
    /// The slot, not compared with anything.
    pub slot: SlotView,
}

/// The store of the cartridge of that name at `root`, which need not be there yet. One from when it was called otherwise is its own.
#[must_use]
pub(super) fn of(paths: &Paths, name: &str, root: &Path) -> PathBuf {
    let own = paths.slots_of(name, root);
    if own.is_dir() {
        return own;
    }
    let place = own.file_name().and_then(place_of).map(<[u8]>::to_owned);
    let same = |store: &PathBuf| store.file_name().and_then(place_of) == place.as_deref();
    stores(paths).into_iter().find(same).unwrap_or(own)
}

fn place_of(store: &OsStr) -> Option<&[u8]> {
    let bytes = store.as_bytes();
    let place = bytes.get(bytes.len().checked_sub(PLACE)?..)?;
    (place[0] == b'-').then_some(place)
}

/// Writes down whose a store is, if it is there. Where that cannot be done its slots are listed without their cartridge.
pub(super) fn mark(store: &Path, root: &Path) {
    if store.is_dir() && cartridge_of(store).as_deref() != Some(root) {
        let _ = isoprep::save_atomically(&store.join(ROOT), root.as_os_str().as_bytes());
    }
}

fn cartridge_of(store: &Path) -> Option<PathBuf> {
    let bytes = fs::read(store.join(ROOT)).ok()?;
    let path = PathBuf::from(std::ffi::OsString::from_vec(bytes));
    (path.is_absolute() && path.as_os_str().len() <= LONGEST_PATH).then_some(path)
}

fn stores(paths: &Paths) -> Vec<PathBuf> {
    let entries = fs::read_dir(paths.slots()).into_iter().flatten().flatten();
    let mut stores: Vec<_> = entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    stores.sort();
    stores
}

/// The slots of all cartridges, by cartridge, then the newest first. Blocks.
#[must_use]
pub fn all(paths: &Paths) -> Vec<StoredSlot> {
    let mut found = Vec::new();
    for store in stores(paths) {
        let cartridge = cartridge_of(&store);
        let gone = cartridge.as_ref().is_some_and(|root| !root.is_dir());
        found.extend(slot::list(&store).iter().map(|slot| StoredSlot {
            cartridge: cartridge.clone(),
            gone,
            store: store.clone(),
            slot: SlotView::from(slot),
        }));
    }
    found.sort_by(|a, b| (&a.cartridge, &a.store).cmp(&(&b.cartridge, &b.store)));
    found
}

/// Removes a slot, and its store where nothing else is in it. Blocks.
///
/// # Errors
/// There is none of that name, or something of it is not ours or could not be removed.
pub fn remove(store: &Path, name: &SlotName) -> Result<(), Failure> {
    slot::remove(store, name).map_err(|error| not_removed(&error))?;
    remove_if_empty(store);
    Ok(())
}

/// Slots could not be taken over. All of them are where they were, but for those that a refusing system had let go already.
#[derive(Debug, thiserror::Error)]
pub enum TakeError {
    /// The cartridge that they belong to is where it was.
    #[error("{} is there: its slots are its own", .0.display())]
    There(PathBuf),
    /// No store says that it belongs there.
    #[error("no slots are known of a cartridge at {}; `cartridge slots --all` lists those that there are", .0.display())]
    Unknown(PathBuf),
    /// The cartridge has one of that name itself.
    #[error("{} has a slot {name:?} already: remove one of the two first", root.display())]
    Taken {
        /// The cartridge.
        root: PathBuf,
        /// The slot.
        name: String,
    },
    /// A session works on one of the two, or that cannot be known.
    #[error("{0}")]
    InUse(String),
    /// The system refused.
    #[error("could not move {}: {source}", path.display())]
    Io {
        /// The slot's folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Makes the slots of the cartridge that was at `from` those of the cartridge called `name` at `root`; returns their names. Blocks.
///
/// # Errors
/// [`TakeError`]: that cartridge is still there, has no slots, or one has the name of a slot that there is; or a
/// session works on one of the two.
pub fn take(paths: &Paths, from: &Path, name: &str, root: &Path) -> Result<Vec<String>, TakeError> {
    if from.symlink_metadata().is_ok() {
        return Err(TakeError::There(from.to_owned()));
    }
    // Nothing else saves, restores or removes them meanwhile.
    let lock = |root: &Path| {
        cartridge_lock::lock(&paths.locks(), root, &Holder::here("cartridge slots", None, ""))
            .map_err(|error| TakeError::InUse(error.to_string()))
    };
    let _locks = (lock(from)?, lock(root)?);
    let theirs = stores(paths).into_iter().filter(|store| cartridge_of(store).as_deref() == Some(from));
    let slots: Vec<_> =
        theirs.flat_map(|store| slot::list(&store).into_iter().map(move |it| (store.clone(), it))).collect();
    if slots.is_empty() {
        return Err(TakeError::Unknown(from.to_owned()));
    }
    let own = of(paths, name, root);
    let place = |slot: &Slot| own.join(slot.dir.file_name().unwrap_or_default());
    if let Some((_, slot)) = slots.iter().find(|(_, slot)| place(slot).exists()) {
        return Err(TakeError::Taken { root: root.to_owned(), name: slot.name.to_string() });
    }
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| TakeError::Io { path, source }
    };
    fs::DirBuilder::new().recursive(true).mode(0o700).create(&own).map_err(failed(&own))?;
    mark(&own, root);
    for (store, slot) in &slots {
        fs::rename(&slot.dir, place(slot)).map_err(failed(&slot.dir))?;
        remove_if_empty(store);
    }
    Ok(slots.into_iter().map(|(_, slot)| slot.name.to_string()).collect())
}

fn remove_if_empty(store: &Path) {
    let empty = fs::read_dir(store).is_ok_and(|entries| entries.flatten().all(|entry| entry.file_name() == ROOT));
    if empty {
        // What cannot be removed now is empty, and is used again. One from before has no mark.
        let _ = fs::remove_file(store.join(ROOT));
        let _ = fs::remove_dir(store);
    }
}

/// What is said where a slot is not removed.
pub(super) fn not_removed(error: &SlotError) -> Failure {
    jobs::of_slot("The slot could not be removed", error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(top: &Path) -> Paths {
        let at = |name: &str| top.join(name);
        Paths {
            cache: at("c"),
            state: at("s"),
            data: at("d"),
            config: at("f"),
            runtime: at("r"),
            pictures: at("p"),
            videos: at("v"),
        }
    }

    #[test]
    fn a_store_keeps_its_cartridge_through_other_names_and_tells_whose_it_is() {
        let top = tempfile::tempdir().unwrap();
        let (paths, root, other) = (paths(top.path()), top.path().join("distro"), top.path().join("other"));
        let (name, made) =
            (SlotName::new("a b").unwrap(), |store: &Path| fs::create_dir_all(store.join("a%20b")).unwrap());
        let store = of(&paths, "distro", &root);
        assert_eq!(store, paths.slots_of("distro", &root));
        made(&store);
        // Called otherwise it is the same; another place is another.
        assert_eq!(of(&paths, "renamed", &root), store);
        assert_ne!(of(&paths, "distro", &other), store);
        assert_eq!(all(&paths)[0].cartridge, None);
        mark(&store, &root);
        mark(&of(&paths, "other", &other), &other);
        fs::create_dir(&root).unwrap();
        made(&of(&paths, "other", &other));
        mark(&of(&paths, "other", &other), &other);
        let found: Vec<_> = all(&paths).into_iter().map(|it| (it.cartridge.unwrap(), it.gone, it.slot.name)).collect();
        assert_eq!(found, [(root, false, "a b".into()), (other.clone(), true, "a b".into())]);
        remove(&store, &name).unwrap();
        assert!(!store.exists() && all(&paths).len() == 1);
        assert!(
            remove(&of(&paths, "x", &other), &SlotName::new("c").unwrap())
                .unwrap_err()
                .advice
                .unwrap()
                .contains("\"a b\"")
        );
    }

    #[test]
    fn slots_of_a_cartridge_that_was_moved_are_taken_over_whole_or_not_at_all() {
        let top = tempfile::tempdir().unwrap();
        let (paths, old, new) = (paths(top.path()), top.path().join("old"), top.path().join("new"));
        let (theirs, own) = (paths.slots_of("x", &old), paths.slots_of("x", &new));
        for (store, slot) in [(&theirs, "a"), (&theirs, "b%20c"), (&own, "a")] {
            fs::create_dir_all(store.join(slot)).unwrap();
        }
        mark(&theirs, &old);
        let refused = |from: &Path| take(&paths, from, "x", &new).unwrap_err();
        assert!(matches!(refused(&old), TakeError::Taken { name, .. } if name == "a"));
        assert!(matches!(refused(top.path()), TakeError::There(_)));
        assert!(matches!(refused(&top.path().join("never")), TakeError::Unknown(_)));
        assert!(theirs.join("a").exists() && theirs.join("b%20c").exists());
        fs::remove_dir(own.join("a")).unwrap();
        for root in [&old, &new] {
            let _held = cartridge_lock::lock(&paths.locks(), root, &Holder::here("the window", None, "")).unwrap();
            assert!(matches!(refused(&old), TakeError::InUse(why) if why.contains("the window")));
        }
        let mut names = take(&paths, &old, "x", &new).unwrap();
        names.sort();
        assert_eq!((names.as_slice(), theirs.exists()), (&["a".to_owned(), "b c".to_owned()][..], false));
        assert!(all(&paths).iter().all(|it| it.cartridge.as_ref() == Some(&new) && it.store == own));
    }

    #[test]
    fn what_lies_among_the_stores_is_passed_over() {
        let top = tempfile::tempdir().unwrap();
        let paths = paths(top.path());
        for folder in ["short", "no hash", "ä"] {
            fs::create_dir_all(paths.slots().join(folder)).unwrap();
        }
        fs::write(paths.slots().join("file-12345678"), "x").unwrap();
        assert!(all(&paths).is_empty());
        assert_eq!(of(&paths, "x", Path::new("/x")), paths.slots_of("x", Path::new("/x")));
    }
}
