//! Where templates are kept: a folder of a cache, a folder in it for each. One that is made is renamed into its place when
//! all of it is on the disk; what the dead have left in the making is removed, and what is not whole is no template.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::Key;
use super::error::TemplateError;

/// What is in a template's folder.
const MANIFEST: &str = "template.json";
pub(super) const MEMORY: &str = "memory";
pub(super) const DEVICES: &str = "devices";
/// What folders in the making begin with; the process that makes one follows.
const DRAFT: &str = ".draft-";
/// The version that we write and understand.
const VERSION: u32 = 1;
/// The longest manifest, bytes.
const LONGEST: u64 = 64 * 1024;
/// How many templates stay.
const KEPT: usize = 4;
/// How much room the templates in a store may take, bytes.
pub const ROOM: u64 = 2 << 30;

/// A guest to resume others from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    dir: PathBuf,
}

/// What a template says of itself.
#[derive(Debug, Serialize, Deserialize)]
struct Manifest {
    v: u32,
    qemu: String,
    files: Vec<PathBuf>,
    memory_bytes: u64,
    devices_bytes: u64,
}

impl Template {
    /// The folder that it is.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    pub(super) fn memory(&self) -> PathBuf {
        self.dir.join(MEMORY)
    }

    pub(super) fn devices(&self) -> PathBuf {
        self.dir.join(DEVICES)
    }

    /// What it takes on the disk, bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let files = fs::read_dir(&self.dir).into_iter().flatten().flatten();
        files.filter_map(|it| it.metadata().ok()).map(|meta| meta.blocks() * 512).sum()
    }
}

/// The template of `key` in `store`, if it is there and whole; one that is not is removed. It counts as used now. Blocks.
#[must_use]
pub fn find(store: &Path, key: &Key) -> Option<Template> {
    sweep(store);
    let dir = store.join(&key.hash);
    if !dir.is_dir() {
        return None;
    }
    let template = Template { dir };
    if manifest(&template.dir).is_none() {
        remove(&template);
        return None;
    }
    // Only the order of removal depends on it.
    let used = File::options().append(true).open(template.dir.join(MANIFEST));
    let _ = used.and_then(|file| file.set_modified(SystemTime::now()));
    Some(template)
}

/// All templates in `store`. Blocks.
#[must_use]
pub fn list(store: &Path) -> Vec<Template> {
    let is_ours = |name: &str| name.len() >= 32 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    let entries = fs::read_dir(store).into_iter().flatten().flatten();
    let ours = entries.filter(|it| it.file_name().to_str().is_some_and(is_ours));
    ours.map(|it| Template { dir: it.path() }).collect()
}

/// Removes a template: one from which a guest could not be resumed. Guests that came of it go on. Blocks.
pub fn remove(template: &Template) {
    // From here on it is none, however far the removal comes; what is left is swept.
    let Some(store) = template.dir.parent() else { return };
    let gone = tempfile::Builder::new().prefix(&prefix()).tempdir_in(store);
    if let Ok(gone) = gone {
        let _ = fs::rename(&template.dir, gone.path().join("old"));
    }
}

/// The manifest of a template that is whole.
fn manifest(dir: &Path) -> Option<Manifest> {
    let path = dir.join(MANIFEST);
    let bytes = fs::metadata(&path).ok().filter(|it| it.len() <= LONGEST).and_then(|_| fs::read(&path).ok())?;
    let manifest: Manifest = serde_json::from_slice(&bytes).ok()?;
    let length = |name: &str| fs::metadata(dir.join(name)).ok().filter(fs::Metadata::is_file).map(|it| it.len());
    let whole = length(MEMORY) == Some(manifest.memory_bytes) && length(DEVICES) == Some(manifest.devices_bytes);
    (manifest.v == VERSION && whole).then_some(manifest)
}

/// A template in the making. Dropped, it is gone.
#[derive(Debug)]
pub(super) struct Draft {
    dir: tempfile::TempDir,
    store: PathBuf,
}

impl Draft {
    /// Makes one in `store`, which is made too if needed, private to this user. Blocks.
    pub(super) fn new(store: &Path) -> Result<Self, TemplateError> {
        let making = fs::DirBuilder::new().recursive(true).mode(0o700).create(store);
        making.map_err(TemplateError::io("make", store))?;
        sweep(store);
        let dir = tempfile::Builder::new().prefix(&prefix()).tempdir_in(store);
        Ok(Self { dir: dir.map_err(TemplateError::io("make a folder in", store))?, store: store.to_owned() })
    }

    pub(super) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Makes it the template of `key`; if there is one already, that stays. Blocks until all of it is on the disk.
    pub(super) fn commit(self, key: &Key) -> Result<Template, TemplateError> {
        let at = |name: &str| self.path().join(name);
        let length = |name: &str| {
            let path = at(name);
            let file = File::open(&path).and_then(|file| file.sync_all().and_then(|()| file.metadata()));
            file.map(|meta| meta.len()).map_err(TemplateError::io("write", &path))
        };
        let manifest = Manifest {
            v: VERSION,
            qemu: key.qemu.clone(),
            files: key.files.clone(),
            memory_bytes: length(MEMORY)?,
            devices_bytes: length(DEVICES)?,
        };
        let text = serde_json::to_vec_pretty(&manifest).map_err(io::Error::from);
        let path = at(MANIFEST);
        let written = text.and_then(|text| fs::write(&path, text)).and_then(|()| File::open(&path)?.sync_all());
        written.map_err(TemplateError::io("write", &path))?;
        let target = self.store.join(&key.hash);
        let placed = File::open(self.path()).and_then(|dir| dir.sync_all()).and_then(|()| {
            // A folder that is not empty stays: another process was faster.
            fs::rename(self.path(), &target).or_else(|e| if manifest_is_at(&target) { Ok(()) } else { Err(e) })
        });
        placed.map_err(TemplateError::io("keep", &target))?;
        let _ = File::open(&self.store).and_then(|store| store.sync_all());
        prune(&self.store, &target, &key.qemu);
        Ok(Template { dir: target })
    }
}

fn manifest_is_at(dir: &Path) -> bool {
    manifest(dir).is_some()
}

/// Removes those that can never be used again, and those that were not used for longest.
fn prune(store: &Path, new: &Path, qemu: &str) {
    let mut found: Vec<(SystemTime, Template)> = Vec::new();
    for template in list(store).into_iter().filter(|it| it.dir != new) {
        let used = fs::metadata(template.dir.join(MANIFEST)).and_then(|it| it.modified());
        let used = used.unwrap_or(SystemTime::UNIX_EPOCH);
        let is_of_use = |it: &Manifest| {
            let same_program = it.qemu.split(' ').next() == qemu.split(' ').next();
            (it.qemu == qemu || !same_program) && it.files.iter().all(|file| file.exists())
        };
        if manifest(&template.dir).is_some_and(|it| is_of_use(&it)) {
            found.push((used, template));
        } else {
            remove(&template);
        }
    }
    found.sort_by_key(|(used, _)| std::cmp::Reverse(*used));
    let mut room = ROOM.saturating_sub(Template { dir: new.to_owned() }.bytes());
    for (number, (_, template)) in found.iter().enumerate() {
        let bytes = template.bytes();
        if number + 1 < KEPT && bytes <= room {
            room -= bytes;
        } else {
            remove(template);
        }
    }
}

fn prefix() -> String {
    format!("{DRAFT}{}-", std::process::id())
}

/// Removes what dead processes had in the making.
fn sweep(store: &Path) {
    for entry in fs::read_dir(store).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let owner = name.to_str().and_then(|it| it.strip_prefix(DRAFT)?.split('-').next()?.parse::<u32>().ok());
        if owner.is_some_and(|pid| !Path::new("/proc").join(pid.to_string()).exists()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn key(store: &Path, number: u8) -> Key {
        let file = store.with_file_name("kernel");
        fs::write(&file, "x").unwrap();
        Key { hash: format!("{number:032x}"), qemu: "/usr/bin/qemu 1".into(), files: vec![file], late: 0 }
    }

    fn made(store: &Path, key: &Key) -> Template {
        let draft = Draft::new(store).unwrap();
        fs::write(draft.path().join(MEMORY), "memory").unwrap();
        fs::write(draft.path().join(DEVICES), "devices").unwrap();
        draft.commit(key).unwrap()
    }

    fn count(store: &Path) -> usize {
        fs::read_dir(store).unwrap().count()
    }

    #[test]
    fn a_template_is_found_whole_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let store = dir.path().join("templates");
        assert_eq!(find(&store, &key(&store, 1)), None);
        let template = made(&store, &key(&store, 1));
        assert_eq!(made(&store, &key(&store, 1)), template);
        assert_eq!(find(&store, &key(&store, 1)), Some(template.clone()));
        assert_eq!(find(&store, &key(&store, 2)), None);
        assert_eq!((count(&store), fs::metadata(&store).unwrap().mode() & 0o777), (1, 0o700));
        File::options().write(true).open(template.memory()).unwrap().set_len(3).unwrap();
        assert_eq!(find(&store, &key(&store, 1)), None);
        assert_eq!(count(&store), 0);
        fs::create_dir(template.dir()).unwrap();
        fs::write(template.memory(), "memory").unwrap();
        assert_eq!((find(&store, &key(&store, 1)), count(&store)), (None, 0));
    }

    #[test]
    fn what_is_not_finished_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let store = dir.path().join("templates");
        let draft = Draft::new(&store).unwrap();
        fs::write(draft.path().join(MEMORY), "x").unwrap();
        assert!(draft.commit(&key(&store, 1)).unwrap_err().to_string().contains(DEVICES));
        assert_eq!(count(&store), 0);
        // Process ids end at 4,194,304.
        fs::create_dir_all(store.join(".draft-5000000-x/making")).unwrap();
        fs::create_dir(store.join("foreign")).unwrap();
        drop(Draft::new(&store).unwrap());
        assert_eq!(count(&store), 1);
    }

    #[test]
    fn few_stay_and_those_that_cannot_be_used_go() {
        let dir = tempfile::tempdir().unwrap();
        let store = dir.path().join("templates");
        let gone = dir.path().join("gone");
        fs::write(&gone, "x").unwrap();
        made(&store, &Key { files: vec![gone.clone()], ..key(&store, 100) });
        made(&store, &Key { qemu: "/usr/bin/qemu 0".into(), ..key(&store, 101) });
        made(&store, &Key { qemu: "/opt/qemu 0".into(), ..key(&store, 102) });
        fs::remove_file(gone).unwrap();
        made(&store, &key(&store, 0));
        assert!(find(&store, &key(&store, 100)).is_none() && find(&store, &key(&store, 101)).is_none());
        assert_eq!(count(&store), 2);
        for number in 1..7 {
            let template = made(&store, &key(&store, number));
            let file = File::options().append(true).open(template.dir().join(MANIFEST)).unwrap();
            file.set_modified(SystemTime::now() - Duration::from_secs(100 - u64::from(number))).unwrap();
            assert!(find(&store, &key(&store, 0)).is_some());
        }
        assert!(count(&store) == KEPT && find(&store, &key(&store, 0)).is_some(), "{}", count(&store));
        assert!(find(&store, &key(&store, 6)).is_some() && find(&store, &key(&store, 1)).is_none());
    }
}
