//! The only part of the discovery that touches the disk: lists a folder breadth first and reads small files, all bounded.

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

use super::found::{self, Discovered};
use super::ignored::Ignored;
use super::listing::{Entries, Kind, Listing, is_live};
use super::{outputs, profiles};
use crate::recipe::InstalledProfile;

/// How deep we look: a profile three folders down has its units seven folders below.
const DEPTH: usize = 12;
/// How many folders we list.
const FOLDERS: usize = 4096;
/// How many entries of one folder we list.
const ENTRIES: usize = 8192;
/// How many files we read.
const TEXTS: usize = 1024;
/// The largest file that we read, bytes.
const TEXT_BYTES: u64 = 256 * 1024;
/// How much we read in all, bytes.
const ALL_BYTES: usize = 8 * 1024 * 1024;
/// Folders that never hold a profile and often thousands of files.
const PASSED_OVER: [&str; 7] = [".git", "node_modules", "__pycache__", ".cache", ".venv", "venv", ".hg"];
/// Marks a folder that can be made again (<https://bford.info/cachedir/>); cargo writes one.
const CACHE_TAG: &str = "CACHEDIR.TAG";

/// Looks at a repository and at the profiles that the package archiso installed. Never fails: what cannot be read is told.
#[must_use]
pub fn look(root: &Path) -> Discovered {
    let listing = list(root);
    let installed = InstalledProfile::Releng;
    let installed_listing = installed.folder().join(profiles::DEFINITION).is_file().then(|| list(&installed.folder()));
    found::find(&listing, root.join(".git").exists(), installed_listing.as_ref().map(|listing| (installed, listing)))
}

/// Lists `root` and reads what is worth reading.
fn list(root: &Path) -> Listing {
    let mut listing = Listing::default();
    let ignored = Ignored::of(root);
    let mut waiting = VecDeque::from([(PathBuf::new(), 0)]);
    while let Some((folder, depth)) = waiting.pop_front() {
        if listing.folders.len() >= FOLDERS {
            listing.cut = true;
            break;
        }
        let Ok((entries, whole)) = entries(&root.join(&folder)) else {
            listing.unreadable.push(folder);
            continue;
        };
        listing.cut |= !whole;
        let below = entries.iter().filter(|entry| *entry.1 == Kind::Folder).map(|entry| entry.0);
        let below = below.filter(|name| !PASSED_OVER.iter().any(|passed| name == passed)).map(|name| folder.join(name));
        if entries.contains_key(std::ffi::OsStr::new(CACHE_TAG)) || outputs::of(&folder, &entries).is_some() {
            // Listed, so that it is known what it is, and no further.
        } else if depth < DEPTH {
            for path in below {
                if !listing.is_ignored(&folder) && ignored.folder(&path) {
                    listing.ignored.insert(path.clone());
                }
                waiting.push_back((path, depth + 1));
            }
        } else {
            // Deep inside a live system there is nothing that says anything about the image.
            listing.cut |= !is_live(&folder) && below.count() > 0;
        }
        listing.folders.insert(folder, entries);
    }
    read(root, &mut listing);
    listing
}

fn entries(folder: &Path) -> std::io::Result<(Entries, bool)> {
    let mut entries = BTreeMap::new();
    let mut reader = fs::read_dir(folder)?;
    for entry in reader.by_ref().take(ENTRIES) {
        let entry = entry?;
        let kind = match entry.file_type() {
            Ok(kind) if kind.is_symlink() => Kind::Link,
            Ok(kind) if kind.is_dir() => Kind::Folder,
            Ok(kind) if kind.is_file() => Kind::File,
            _ => Kind::Other,
        };
        entries.insert(entry.file_name(), kind);
    }
    Ok((entries, reader.next().is_none()))
}

/// Reads the files that say something, those that say most first.
fn read(root: &Path, listing: &mut Listing) {
    let mut wanted: Vec<_> = listing.files().filter_map(|path| Some((found::rank(&path)?, path))).collect();
    wanted.sort();
    listing.cut |= wanted.len() > TEXTS;
    let mut left = ALL_BYTES;
    for (_, path) in wanted.into_iter().take(TEXTS) {
        let Some(text) = text(&root.join(&path)) else { continue };
        let Some(rest) = left.checked_sub(text.len()) else {
            listing.cut = true;
            break;
        };
        left = rest;
        listing.texts.insert(path, text);
    }
}

/// The text of a regular file that is not too large. A link is not followed and a FIFO not waited for.
fn text(path: &Path) -> Option<String> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = fs::File::from(rustix::fs::open(path, flags, Mode::empty()).ok()?);
    let found = file.metadata().ok()?;
    if !found.is_file() || found.len() > TEXT_BYTES {
        return None;
    }
    let mut bytes = Vec::new();
    file.take(TEXT_BYTES).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}
