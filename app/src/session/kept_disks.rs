//! Disks that outlive the eject: `$XDG_DATA_HOME/cartridge/disks`, a folder a cartridge, a qcow2 image a disk. Nothing
//! removes one but `cartridge disks --remove`, which names it, and not while a session works on its cartridge.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use isoprep::recipe::format_size;
use isoprep::{Cancel, DiskWish, Recipe};
use serde::Serialize;

use super::cartridge_lock;
use super::event::{Failure, Level};
use super::failure;
use super::holder::Holder;
use crate::paths::Paths;

/// In a cartridge's folder: where the cartridge is.
const ROOT: &str = "cartridge";
/// The ending of a disk's file.
const ENDING: &str = "qcow2";

/// A kept disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KeptDisk {
    /// The folder of the cartridge's file.
    pub cartridge: PathBuf,
    /// The disk's name in the recipe.
    pub name: String,
    /// Its file.
    pub path: PathBuf,
    /// What the guest sees, bytes; 0 for a file that is no qcow2 image.
    pub size: u64,
    /// What it takes of the host's disk, bytes.
    pub taken: u64,
}

/// Whether no kept disk of `recipe` would have to be made.
pub(super) fn all_there(paths: &Paths, recipe: &Recipe) -> bool {
    let folder = paths.disks_of(&recipe.root);
    let kept = recipe.guest.disks.iter().filter(|disk| matches!(disk.wish, DiskWish::Empty { keep: true, .. }));
    kept.map(|disk| folder.join(format!("{}.{ENDING}", disk.name))).all(|path| path.is_file())
}

/// The file of a kept disk of `recipe`, made empty if it is not there yet.
pub(super) fn open(
    paths: &Paths,
    recipe: &Recipe,
    name: &str,
    bytes: u64,
    cancel: &Cancel,
    notices: &mut Vec<(Level, String)>,
) -> Result<PathBuf, Failure> {
    let folder = paths.disks_of(&recipe.root);
    let path = folder.join(format!("{name}.{ENDING}"));
    if path.is_file() {
        let size = virtual_size(&path);
        if size != bytes {
            let text = format!(
                "The kept disk {name} has {}, as it was made, not {}: {}",
                format_size(size),
                format_size(bytes),
                path.display()
            );
            notices.push((Level::Warning, text));
        }
        return Ok(path);
    }
    let failed = |e: &dyn std::fmt::Display| failure::internal(&format!("The disk {name} could not be made"), e);
    let at = |e: std::io::Error| failed(&format!("{}: {e}", folder.display()));
    fs::create_dir_all(&folder).map_err(at)?;
    isoprep::save_atomically(&folder.join(ROOT), recipe.root.to_string_lossy().as_bytes()).map_err(at)?;
    vmtools::create_disk(Path::new("qemu-img"), &path, bytes, cancel).map_err(|e| failed(&e))?;
    notices.push((Level::Info, format!("The disk {name} was made, and is kept: {}", path.display())));
    Ok(path)
}

/// All kept disks, by cartridge and name.
#[must_use]
pub fn list(paths: &Paths) -> Vec<KeptDisk> {
    let entries = |dir: &Path| fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut disks = Vec::new();
    for folder in entries(&paths.disks()) {
        let Ok(root) = fs::read_to_string(folder.join(ROOT)) else { continue };
        for path in entries(&folder).filter(|path| path.extension().is_some_and(|it| it == ENDING)) {
            let Some(name) = path.file_stem().and_then(|name| name.to_str()).map(str::to_owned) else { continue };
            let taken = path.metadata().map_or(0, |it| std::os::unix::fs::MetadataExt::blocks(&it) * 512);
            disks.push(KeptDisk { cartridge: PathBuf::from(&root), name, size: virtual_size(&path), path, taken });
        }
    }
    disks.sort_by(|a, b| (&a.cartridge, &a.name, &a.path).cmp(&(&b.cartridge, &b.name, &b.path)));
    disks
}

/// A kept disk could not be removed.
#[derive(Debug, thiserror::Error)]
pub enum RemoveError {
    /// The cartridge has none of that name.
    #[error("{} has no kept disk called {name}; {}", cartridge.display(), existing(others))]
    Absent {
        /// The folder of the cartridge's file.
        cartridge: PathBuf,
        /// The name.
        name: String,
        /// Those that it has.
        others: Vec<String>,
    },
    /// A session works on its cartridge, or that cannot be known.
    #[error("{0}")]
    InUse(String),
    /// The system refused.
    #[error("could not remove {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

fn existing(names: &[String]) -> String {
    match names {
        [] => "it has none; `cartridge disks` lists those of all cartridges".to_owned(),
        names => format!("it has {}", names.join(", ")),
    }
}

/// The kept disks called `name` of the cartridge at `root`.
///
/// # Errors
/// [`RemoveError::Absent`] when there is none.
pub fn find(paths: &Paths, root: &Path, name: &str) -> Result<Vec<KeptDisk>, RemoveError> {
    let own: Vec<_> = list(paths).into_iter().filter(|it| it.cartridge == root).collect();
    let (found, others): (Vec<_>, Vec<_>) = own.into_iter().partition(|it| it.name == name);
    if found.is_empty() {
        let others = others.into_iter().map(|it| it.name).collect();
        return Err(RemoveError::Absent { cartridge: root.to_owned(), name: name.to_owned(), others });
    }
    Ok(found)
}

/// Removes the kept disk called `name` of the cartridge at `root`, and returns it.
///
/// # Errors
/// [`RemoveError`]: there is none, a session works on its cartridge, or the system refuses.
pub fn remove(paths: &Paths, root: &Path, name: &str) -> Result<Vec<KeptDisk>, RemoveError> {
    let found = find(paths, root, name)?;
    let _lock = cartridge_lock::lock(&paths.locks(), root, &Holder::here("cartridge disks", None, ""))
        .map_err(|error| RemoveError::InUse(error.to_string()))?;
    for disk in &found {
        fs::remove_file(&disk.path).map_err(|source| RemoveError::Io { path: disk.path.clone(), source })?;
        if let Some(folder) = disk.path.parent() {
            vmtools::sweep_new_disks(folder);
            let others = fs::read_dir(folder).into_iter().flatten().flatten().any(|it| it.file_name() != ROOT);
            if !others {
                // What cannot be removed now is empty, and is used again.
                let _ = fs::remove_file(folder.join(ROOT)).and_then(|()| fs::remove_dir(folder));
            }
        }
    }
    Ok(found)
}

/// The size that a guest sees (QEMU's docs/interop/qcow2.txt, header); 0 for what is no qcow2 image.
fn virtual_size(path: &Path) -> u64 {
    let mut header = [0; 32];
    let read = fs::File::open(path).and_then(|mut file| file.read_exact(&mut header));
    match (read, header.first_chunk::<4>(), header.last_chunk::<8>()) {
        (Ok(()), Some(b"QFI\xfb"), Some(size)) => u64::from_be_bytes(*size),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kept_disk_is_made_once_listed_and_removed_by_name_alone() {
        let top = tempfile::tempdir().unwrap();
        let at = |name: &str| top.path().join(name);
        let paths = Paths {
            cache: at("c"),
            state: at("s"),
            data: at("d"),
            config: at("f"),
            runtime: at("r"),
            pictures: at("p"),
            videos: at("v"),
        };
        let root = at("demo");
        let recipe = isoprep::parse("name = \"demo\"", &root).unwrap();
        let mut notices = Vec::new();
        let mut open =
            |name: &str, mib: u64| super::open(&paths, &recipe, name, mib << 20, &Cancel::new(), &mut notices).unwrap();
        let path = open("system", 8);
        fs::OpenOptions::new()
            .append(true)
            .open(&path)
            .and_then(|mut f| std::io::Write::write_all(&mut f, b"x"))
            .unwrap();
        let bytes = fs::read(&path).unwrap();
        assert_eq!(open("system", 16), path);
        assert_eq!(fs::read(&path).unwrap(), bytes, "it was made anew");
        open("other", 1);
        assert!(notices[1].1.contains("has 8M, as it was made, not 16M"), "{notices:?}");
        let names: Vec<_> = list(&paths).into_iter().map(|it| (it.cartridge, it.name, it.size >> 20)).collect();
        assert_eq!(names, [(root.clone(), "other".into(), 1), (root.clone(), "system".into(), 8)]);
        let refused = |root: &Path, name: &str| remove(&paths, root, name).unwrap_err().to_string();
        assert!(refused(&root, "absent").ends_with("no kept disk called absent; it has other, system"));
        assert!(refused(&at("else"), "system").contains("`cartridge disks` lists"));
        let held = cartridge_lock::lock(&paths.locks(), &root, &Holder::here("the window", None, "")).unwrap();
        assert!(refused(&root, "system").contains("in use by the window"));
        drop(held);
        assert_eq!(remove(&paths, &root, "system").unwrap()[0].path, path);
        assert!(!path.exists() && list(&paths).len() == 1);
        remove(&paths, &root, "other").unwrap();
        assert!(!path.parent().unwrap().exists());
    }
}
