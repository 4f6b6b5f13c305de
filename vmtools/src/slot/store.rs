//! The folder in which slots are kept: what is there, drafts that become slots at once, and what the dead left.
//!
//! A slot is a folder named after it. Drafts and slots that are on their way out have names with a dot, which no slot has.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::error::SlotError;
use super::manifest::{self, Manifest};
use super::name::SlotName;
use crate::machine::Boot;

/// What names of unfinished slots begin with; the process that makes one follows.
const DRAFT: &str = ".draft-";

/// A slot in a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// What people call it.
    pub name: SlotName,
    /// Its folder.
    pub dir: PathBuf,
    /// What it says of itself, or why it cannot be used.
    pub manifest: Result<Manifest, String>,
    /// What it takes on the disk, bytes; what it shares with others, as one more name of the same file, is not counted.
    pub bytes: u64,
}

impl Slot {
    /// The slot of that name.
    ///
    /// # Errors
    /// [`SlotError::Absent`] when there is none.
    pub fn find(store: &Path, name: &SlotName) -> Result<Self, SlotError> {
        let dir = store.join(name.folder());
        if !dir.is_dir() {
            let others = list(store).into_iter().map(|slot| slot.name.to_string()).collect();
            return Err(SlotError::Absent { name: name.to_string(), store: store.to_owned(), others });
        }
        Ok(Self::at(name.clone(), dir))
    }

    /// The picture of the moment, if there is one.
    #[must_use]
    pub fn picture(&self) -> Option<PathBuf> {
        self.manifest.as_ref().is_ok_and(|it| it.picture).then(|| self.dir.join(manifest::PICTURE))
    }

    /// What its guest had booted from, where that was then: for the plan of a guest to be restored, which then gets the
    /// slot's own copies.
    #[must_use]
    pub fn boot(&self) -> Boot {
        let Ok(manifest) = &self.manifest else { return Boot::Nothing };
        let path =
            |what: &str| manifest.inputs.files.iter().find(|file| file.what == what).map(|file| file.path.clone());
        match (path("image"), path("kernel")) {
            (Some(image), _) => Boot::Iso(image),
            (None, Some(kernel)) => {
                let initrds = (1..).map_while(|number| path(&format!("initramfs {number}"))).collect();
                Boot::Direct { kernel, initrds, cmdline: manifest.cmdline.clone().unwrap_or_default() }
            }
            (None, None) => Boot::Nothing,
        }
    }

    fn at(name: SlotName, dir: PathBuf) -> Self {
        let manifest = read(&dir);
        let files = fs::read_dir(&dir).into_iter().flatten().flatten().filter_map(|entry| entry.metadata().ok());
        // A file with another name would stay if this one were removed.
        let bytes = files.filter(|meta| meta.is_file() && meta.nlink() == 1).map(|meta| meta.blocks() * 512).sum();
        Self { name, dir, manifest, bytes }
    }

    /// The manifest of a slot that can be used.
    pub(super) fn usable(&self) -> Result<&Manifest, SlotError> {
        self.manifest.as_ref().map_err(|problem| self.damaged(problem))
    }

    pub(super) fn damaged(&self, problem: &str) -> SlotError {
        SlotError::Damaged { name: self.name.to_string(), problem: problem.to_owned() }
    }
}

/// All slots in `store`, the newest first; those that cannot be used are among them. Blocks.
#[must_use]
pub fn list(store: &Path) -> Vec<Slot> {
    recover(store);
    let names = fs::read_dir(store).into_iter().flatten().flatten().filter_map(|entry| {
        let name = SlotName::of_folder(entry.file_name().to_str()?)?;
        entry.file_type().ok()?.is_dir().then(|| (name, entry.path()))
    });
    let mut slots: Vec<Slot> = names.map(|(name, dir)| Slot::at(name, dir)).collect();
    let made = |slot: &Slot| slot.manifest.as_ref().map_or(0, |manifest| manifest.made);
    slots.sort_by(|a, b| made(b).cmp(&made(a)).then_with(|| a.name.cmp(&b.name)));
    slots
}

/// Removes a slot. Files in its folder that are not ours stay, and the folder with them. Blocks.
///
/// # Errors
/// [`SlotError`] when there is no such slot, or something of it is not ours or could not be removed.
pub fn remove(store: &Path, name: &SlotName) -> Result<(), SlotError> {
    let slot = Slot::find(store, name)?;
    let gone = store.join(format!("{DRAFT}{}-{}", std::process::id(), next()));
    // From here on it is no slot any more, however far the removal comes.
    fs::rename(&slot.dir, &gone).map_err(SlotError::io("remove", &slot.dir))?;
    empty_and_remove(&gone).map_err(|(path, source)| {
        let back = if path == gone { Ok(()) } else { fs::rename(&gone, &slot.dir) };
        let path = if back.is_ok() { slot.dir.join(path.file_name().unwrap_or_default()) } else { path };
        SlotError::Io { action: "remove", path, source }
    })
}

/// Gives a slot another name. Blocks.
///
/// # Errors
/// [`SlotError`] when there is no such slot, or one of the new name, or the system refuses.
pub fn rename(store: &Path, name: &SlotName, to: &SlotName) -> Result<(), SlotError> {
    let slot = Slot::find(store, name)?;
    let mut manifest = slot.usable()?.clone();
    let target = store.join(to.folder());
    to.as_str().clone_into(&mut manifest.name);
    match renameat_with(CWD, &slot.dir, CWD, &target, RenameFlags::NOREPLACE) {
        Ok(()) => {}
        Err(rustix::io::Errno::EXIST) => return Err(SlotError::Taken { name: to.to_string() }),
        Err(e) => return Err(SlotError::io("rename", &slot.dir)(e.into())),
    }
    // The folder's name counts; the manifest's is for people who read it.
    let part = target.join(format!("{}.part", manifest::FILE));
    let written =
        write_synced(&part, &manifest::text(&manifest)).and_then(|()| fs::rename(&part, target.join(manifest::FILE)));
    written.map_err(|source| {
        let _ = fs::remove_file(&part);
        SlotError::Io { action: "write", path: target.join(manifest::FILE), source }
    })
}

fn read(dir: &Path) -> Result<Manifest, String> {
    let path = dir.join(manifest::FILE);
    let mut bytes = Vec::new();
    let file = File::open(&path).map_err(|e| format!("its {} cannot be read: {e}", manifest::FILE))?;
    file.take(manifest::LIMIT).read_to_end(&mut bytes).map_err(|e| format!("{}: {e}", path.display()))?;
    manifest::parse(&bytes).map_err(|e| e.to_string())
}

/// A slot in the making. Dropped, it is gone.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) dir: PathBuf,
    store: PathBuf,
}

impl Draft {
    /// Makes one in `store`, which is made too if needed, private to this user. Blocks.
    pub(super) fn new(store: &Path) -> Result<Self, SlotError> {
        let make = |dir: &Path, recursive| fs::DirBuilder::new().recursive(recursive).mode(0o700).create(dir);
        make(store, true).map_err(SlotError::io("create", store))?;
        recover(store);
        let dir = store.join(format!("{DRAFT}{}-{}", std::process::id(), next()));
        make(&dir, false).map_err(SlotError::io("create", &dir))?;
        Ok(Self { dir, store: store.to_owned() })
    }

    /// Makes it the slot of that name, in place of one that there is. Blocks until all of it is on the disk.
    pub(super) fn commit(self, manifest: &Manifest, name: &SlotName) -> Result<Slot, SlotError> {
        let path = self.dir.join(manifest::FILE);
        write_synced(&path, &manifest::text(manifest)).map_err(SlotError::io("write", &path))?;
        for entry in fs::read_dir(&self.dir).map_err(SlotError::io("read", &self.dir))?.flatten() {
            let path = entry.path();
            File::open(&path).and_then(|file| file.sync_all()).map_err(SlotError::io("write", &path))?;
        }
        File::open(&self.dir).and_then(|dir| dir.sync_all()).map_err(SlotError::io("write", &self.dir))?;
        let target = self.store.join(name.folder());
        let failed = |e: rustix::io::Errno| SlotError::io("write", &target)(e.into());
        match renameat_with(CWD, &self.dir, CWD, &target, RenameFlags::NOREPLACE) {
            Ok(()) => {}
            // The old one takes the draft's place, and goes with it.
            Err(rustix::io::Errno::EXIST) => match renameat_with(CWD, &self.dir, CWD, &target, RenameFlags::EXCHANGE) {
                Ok(()) => {}
                Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => self.replace(&target)?,
                Err(e) => return Err(failed(e)),
            },
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => self.replace(&target)?,
            Err(e) => return Err(failed(e)),
        }
        let _ = File::open(&self.store).and_then(|store| store.sync_all());
        Ok(Slot::at(name.clone(), target))
    }

    /// In two steps, on a file system that cannot exchange names: [`recover`] takes the first back.
    fn replace(&self, target: &Path) -> Result<(), SlotError> {
        let old = replaced(target);
        let had = target.is_dir();
        if had {
            fs::rename(target, &old).map_err(SlotError::io("replace", target))?;
        }
        fs::rename(&self.dir, target).map_err(|source| {
            let _ = fs::rename(&old, target);
            SlotError::Io { action: "write", path: target.to_owned(), source }
        })?;
        if had {
            // It takes the draft's place, which is removed.
            let _ = fs::rename(&old, &self.dir);
        }
        Ok(())
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        let _ = empty_and_remove(&self.dir);
    }
}

/// Where the slot at `target` waits while another takes its place.
fn replaced(target: &Path) -> PathBuf {
    let name = target.file_name().unwrap_or_default().to_string_lossy().into_owned();
    target.with_file_name(format!(".old-{name}"))
}

/// Ends what the dead have left: their drafts go, a slot that was being replaced comes back.
fn recover(store: &Path) {
    for entry in fs::read_dir(store).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        if let Some(rest) = name.strip_prefix(DRAFT) {
            let owner = rest.split('-').next().and_then(|pid| pid.parse::<u32>().ok());
            if owner.is_some_and(|pid| !Path::new("/proc").join(pid.to_string()).exists()) {
                let _ = empty_and_remove(&entry.path());
            }
        } else if let Some(of) = name.strip_prefix(".old-")
            && SlotName::of_folder(of).is_some()
        {
            let target = store.join(of);
            if renameat_with(CWD, entry.path(), CWD, &target, RenameFlags::NOREPLACE).is_err() && !target.exists() {
                let _ = fs::rename(entry.path(), &target);
            }
        }
    }
}

/// Removes the files that are ours, and then the folder. A link is removed, not followed.
fn empty_and_remove(dir: &Path) -> Result<(), (PathBuf, io::Error)> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| (path, source)
    };
    let entries: Vec<_> = fs::read_dir(dir).map_err(failed(dir))?.flatten().collect();
    let ours = |name: &std::ffi::OsStr| {
        let name = name.as_encoded_bytes();
        manifest::is_ours(name.strip_suffix(b".part").unwrap_or(name))
    };
    if let Some(foreign) = entries.iter().find(|entry| !ours(&entry.file_name())) {
        let source = io::Error::other("it is not a file of the slot; move it away first");
        return Err((foreign.path(), source));
    }
    for entry in entries {
        fs::remove_file(entry.path()).map_err(failed(&entry.path()))?;
    }
    fs::remove_dir(dir).map_err(failed(dir))
}

fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    use io::Write;
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn next() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slot::manifest::tests::manifest;

    fn name(text: &str) -> SlotName {
        SlotName::new(text).unwrap()
    }

    fn saved(store: &Path, text: &str, made: u64, memory: &str) -> Slot {
        let draft = Draft::new(store).unwrap();
        fs::write(draft.dir.join(manifest::MEMORY), memory).unwrap();
        draft.commit(&Manifest { name: text.into(), made, ..manifest() }, &name(text)).unwrap()
    }

    #[test]
    fn a_slot_is_replaced_at_once_and_a_draft_that_is_dropped_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let store = dir.path().join("slots");
        saved(&store, "a/b", 1, "old");
        saved(&store, "newer", 2, "x");
        let slot = saved(&store, "a/b", 1, "new");
        assert_eq!(fs::read(slot.dir.join("memory")).unwrap(), b"new");
        fs::write(Draft::new(&store).unwrap().dir.join("kept0"), "x").unwrap();
        let names: Vec<_> = list(&store).into_iter().map(|slot| slot.name.to_string()).collect();
        assert_eq!(names, ["newer", "a/b"]);
        assert_eq!(fs::read_dir(&store).unwrap().count(), 2);
        assert_eq!(fs::metadata(&store).unwrap().mode() & 0o777, 0o700);
    }

    #[test]
    fn what_the_dead_left_is_ended_and_foreign_things_stay() {
        let dir = tempfile::tempdir().unwrap();
        let store = dir.path();
        saved(store, "a", 1, "old");
        // Process ids end at 4,194,304.
        for (folder, file) in [(".draft-5000000-0", "memory"), (".draft-5000001-0", "foreign")] {
            fs::create_dir(store.join(folder)).unwrap();
            fs::write(store.join(folder).join(file), "x").unwrap();
        }
        fs::rename(store.join("a"), store.join(".old-a")).unwrap();
        fs::create_dir(store.join("no slot")).unwrap();
        assert_eq!(list(store).len(), 1);
        assert!(store.join(".draft-5000001-0/foreign").exists() && !store.join(".draft-5000000-0").exists());
        let draft = Draft::new(store).unwrap();
        fs::write(draft.dir.join(manifest::MEMORY), "new").unwrap();
        draft.replace(&store.join("a")).unwrap();
        drop(draft);
        assert_eq!(fs::read(store.join("a/memory")).unwrap(), b"new");
        assert!(!store.join(".old-a").exists());
    }

    #[test]
    fn removing_and_renaming() {
        let dir = tempfile::tempdir().unwrap();
        let store = dir.path();
        saved(store, "a", 1, "x");
        saved(store, "b", 1, "y");
        assert!(matches!(rename(store, &name("a"), &name("b")), Err(SlotError::Taken { .. })));
        rename(store, &name("a"), &name("c d")).unwrap();
        assert_eq!(Slot::find(store, &name("c d")).unwrap().manifest.unwrap().name, "c d");
        assert!(matches!(remove(store, &name("a")), Err(SlotError::Absent { .. })));
        fs::write(store.join("b/foreign"), "x").unwrap();
        let error = remove(store, &name("b")).unwrap_err().to_string();
        assert!(error.contains("b/foreign") && store.join("b/memory").exists(), "{error}");
        let absent = Slot::find(store, &name("nosuch")).unwrap_err().to_string();
        assert!(absent.ends_with("\nThere are \"b\" and \"c d\""), "{absent}");
        remove(store, &name("c d")).unwrap();
        assert_eq!(list(store).len(), 1);
    }

    #[test]
    fn a_broken_slot_is_listed_with_the_reason() {
        let dir = tempfile::tempdir().unwrap();
        let slot = saved(dir.path(), "a", 1, "x");
        fs::write(slot.dir.join(manifest::FILE), "{").unwrap();
        let slot = list(dir.path()).remove(0);
        assert!(slot.manifest.clone().unwrap_err().contains("cannot be understood"));
        assert!(slot.usable().unwrap_err().to_string().contains("remove it and save it again"));
    }
}
