//! Looks at base, overlays and single files: names, kinds, modes, sizes and link targets. Follows no link below a
//! folder that the recipe names, and reads nothing but package lists.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};

use super::model::{AIROOTFS, Ingredients, Kind};
use super::problem::{AssemblyError, Problem};
use crate::build::BuildError;
use crate::cache::stat_index::Look;
use crate::discover::{self, Ignored};
use crate::eject::MARKER;
use crate::progress::{Reporter, Unit};
use crate::stage::hashing;

/// The most entries of one layer. releng has about 100, a distribution's overlay some thousands.
const ENTRIES: usize = 500_000;
/// The most folders one inside the other; each is held open while those below it are read.
const DEPTH: usize = 128;
/// The folders of a profile that mkarchiso reads: they count whatever git thinks of them.
const PARTS: [&str; 4] = [AIROOTFS, "efiboot", "grub", "syslinux"];
/// The largest package list that is read, bytes. releng's has about 2 KiB.
pub(super) const LIST: u64 = 1 << 20;

/// What the ingredients are made of, as it looks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The base, then the overlays. One that is missing has no entries, and is among the problems.
    pub layers: Vec<Listing>,
    /// The files that `pacman_conf` and `files` name, by the path that the recipe has for them.
    pub singles: BTreeMap<PathBuf, Single>,
    /// What is missing.
    pub problems: Vec<Problem>,
}

/// The base or an overlay.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// The folder.
    pub root: PathBuf,
    /// What is in it, by path relative to it.
    pub entries: BTreeMap<PathBuf, Listed>,
    /// Full paths of what cannot be in a profile, and what it is.
    pub left_out: Vec<(PathBuf, &'static str)>,
    /// The text of its package lists, by path relative to it.
    pub lists: BTreeMap<PathBuf, Vec<u8>>,
}

/// One entry of a layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// What it is.
    pub kind: Kind,
    /// Its permission bits, 0 to 0o7777.
    pub mode: u32,
    /// How it looked.
    pub(super) look: Look,
}

/// A file that the recipe names by itself. Links to it are followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Single {
    /// Where it really is.
    pub from: PathBuf,
    /// Bytes.
    pub size: u64,
    /// Its permission bits, 0 to 0o7777.
    pub mode: u32,
    /// How it looked.
    pub(super) look: Look,
}

/// Looks at everything that `ingredients` names.
pub(super) fn gather(ingredients: &Ingredients, reporter: &Reporter<'_>) -> Result<Found, BuildError> {
    let mut found = Found::default();
    let mut unreadable = Vec::new();
    let overlays = ingredients.overlays.iter().map(|dir| ("image.overlays", dir));
    for (key, dir) in std::iter::once(("image.base", &ingredients.base)).chain(overlays) {
        let listing = match open_root(dir) {
            Ok((root, fd)) => {
                let mut walk = Walk::new(root, ingredients.package_list.as_deref(), reporter);
                walk.enter(&fd, Path::new(""), 0)?;
                unreadable.append(&mut walk.unreadable);
                walk.listing
            }
            Err(e) => {
                let advice = "Correct the path; a submodule has to be fetched first";
                found.problems.push(absent(key, dir, &e, advice));
                Listing { root: dir.clone(), ..Listing::default() }
            }
        };
        found.layers.push(listing);
    }
    let conf = ingredients.pacman_conf.iter().map(|file| ("image.pacman_conf", file));
    for (key, named) in conf.chain(ingredients.files.values().map(|file| ("image.files", file))) {
        match single(named) {
            Ok(single) => drop(found.singles.insert(named.clone(), single)),
            Err(e) if e.kind() == io::ErrorKind::PermissionDenied => unreadable.push((named.clone(), e.to_string())),
            Err(e) => found.problems.push(absent(key, named, &e, "Make the file or correct the path")),
        }
    }
    if unreadable.is_empty() {
        return Ok(found);
    }
    unreadable.sort();
    unreadable.dedup();
    Err(BuildError::assembly(reporter.stage)(AssemblyError::Unreadable { entries: unreadable }))
}

/// Opens a layer, by whatever links lead to it.
fn open_root(dir: &Path) -> io::Result<(PathBuf, OwnedFd)> {
    let root = dir.canonicalize()?;
    let fd = rustix::fs::open(&root, FOLDER, Mode::empty())?;
    Ok((root, fd))
}

/// How a folder is opened.
const FOLDER: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC).union(OFlags::NONBLOCK);

/// Whether a builder worked in a folder or left its images there: mkarchiso does so beside a profile unless told otherwise.
fn is_output(fd: &OwnedFd, path: &Path) -> io::Result<bool> {
    let mut entries = BTreeMap::new();
    for entry in Dir::read_from(fd)? {
        let entry = entry?;
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        if name != "." && name != ".." {
            let kind = match entry.file_type() {
                FileType::Directory => discover::Kind::Folder,
                FileType::RegularFile => discover::Kind::File,
                FileType::Symlink => discover::Kind::Link,
                _ => discover::Kind::Other,
            };
            entries.insert(name.to_owned(), kind);
        }
    }
    Ok(discover::output(path, &entries).is_some())
}

fn absent(key: &'static str, path: &Path, error: &io::Error, advice: &'static str) -> Problem {
    let why = match error.kind() {
        io::ErrorKind::NotFound => "is missing".to_owned(),
        io::ErrorKind::NotADirectory => "is no folder".to_owned(),
        _ => format!("cannot be used: {error}"),
    };
    Problem::Absent { key, path: path.to_path_buf(), why, advice }
}

fn single(named: &Path) -> io::Result<Single> {
    let from = named.canonicalize()?;
    let meta = hashing::open(&from)?.metadata()?;
    Ok(Single { from, size: meta.len(), mode: meta.mode() & 0o7777, look: Look::of(&meta) })
}

/// What a look at an entry shows.
enum Seen {
    /// A folder, open.
    Folder(OwnedFd),
    /// A file or a link.
    Entry(Kind),
    /// What cannot be in a profile.
    Foreign(&'static str),
    /// What a build or another program made: it is passed over, as git's own folder is.
    Made,
}

struct Walk<'a> {
    listing: Listing,
    unreadable: Vec<(PathBuf, String)>,
    /// Folders that git ignores.
    ignored: Ignored,
    /// The package list that the recipe names.
    list: Option<&'a Path>,
    reporter: &'a Reporter<'a>,
}

impl<'a> Walk<'a> {
    fn new(root: PathBuf, list: Option<&'a Path>, reporter: &'a Reporter<'a>) -> Self {
        let ignored = Ignored::of(&root);
        Self { listing: Listing { root, ..Listing::default() }, unreadable: Vec::new(), ignored, list, reporter }
    }

    /// Lists the open folder `fd`, which is `at` relative to the layer, and everything below it.
    fn enter(&mut self, fd: &OwnedFd, at: &Path, depth: usize) -> Result<(), BuildError> {
        self.reporter.go_on()?;
        if depth > DEPTH {
            return Err(self.too_big(format!("more than {DEPTH} folders one inside the other")));
        }
        let mut entries = match Dir::read_from(fd) {
            Ok(entries) => entries,
            Err(e) => {
                self.blame(at, e.into());
                return Ok(());
            }
        };
        while let Some(entry) = entries.read() {
            let entry = match entry {
                Ok(entry) => entry,
                Err(e) => {
                    self.blame(at, e.into());
                    break;
                }
            };
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            // git's own folder is no part of a profile; one inside airootfs is somebody's content.
            if name == "." || name == ".." || (name == ".git" && !at.starts_with(AIROOTFS)) {
                continue;
            }
            self.take(fd, name, at.join(name), depth)?;
        }
        Ok(())
    }

    fn take(&mut self, above: &OwnedFd, name: &OsStr, path: PathBuf, depth: usize) -> Result<(), BuildError> {
        let (seen, mode, look) = match self.look(above, name, &path) {
            Ok(seen) => seen,
            Err(e) => {
                self.blame(&path, e);
                return Ok(());
            }
        };
        match seen {
            Seen::Foreign(what) => {
                self.listing.left_out.push((self.listing.root.join(path), what));
                Ok(())
            }
            Seen::Made => Ok(()),
            Seen::Entry(kind) => self.insert(path, Listed { kind, mode, look }),
            Seen::Folder(fd) => {
                self.insert(path.clone(), Listed { kind: Kind::Dir, mode, look })?;
                self.enter(&fd, &path, depth + 1)
            }
        }
    }

    fn look(&mut self, above: &OwnedFd, name: &OsStr, path: &Path) -> io::Result<(Seen, u32, Look)> {
        let stat = rustix::fs::statat(above, name, AtFlags::SYMLINK_NOFOLLOW)?;
        let mode = stat.st_mode & 0o7777;
        let seen = match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => {
                if path.parent() == Some(Path::new(""))
                    && !PARTS.iter().any(|it| name == *it)
                    && self.ignored.folder(path)
                {
                    return Ok((Seen::Made, mode, Look::of_stat(&stat)));
                }
                let fd = rustix::fs::openat(above, name, FOLDER, Mode::empty())?;
                if !path.starts_with(AIROOTFS) && is_output(&fd, path)? {
                    return Ok((Seen::Made, mode, Look::of_stat(&stat)));
                }
                let is_ours = rustix::fs::statat(&fd, MARKER, AtFlags::SYMLINK_NOFOLLOW).is_ok();
                if is_ours { Seen::Foreign("a work folder of ours") } else { Seen::Folder(fd) }
            }
            FileType::RegularFile => {
                self.file(above, name, path, mode)?;
                Seen::Entry(Kind::File { size: stat.st_size.try_into().unwrap_or(0) })
            }
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(above, name, Vec::new())?;
                Seen::Entry(Kind::Link { target: OsString::from_vec(target.into_bytes()) })
            }
            FileType::Socket => Seen::Foreign("a socket"),
            FileType::Fifo => Seen::Foreign("a pipe"),
            _ => Seen::Foreign("a device"),
        };
        Ok((seen, mode, Look::of_stat(&stat)))
    }

    /// Makes sure that a file can be read, and reads a package list.
    fn file(&mut self, above: &OwnedFd, name: &OsStr, path: &Path, mode: u32) -> io::Result<()> {
        let at_top = path.components().nth(1).is_none();
        let is_list = self.list == Some(path) || (at_top && name.as_bytes().starts_with(b"packages"));
        // What everybody may read, we may.
        if !is_list && mode & 0o444 == 0o444 {
            return Ok(());
        }
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = File::from(rustix::fs::openat(above, name, flags, Mode::empty())?);
        if is_list {
            let mut text = Vec::new();
            file.take(LIST + 1).read_to_end(&mut text)?;
            if text.len() as u64 <= LIST {
                self.listing.lists.insert(path.to_path_buf(), text);
            }
        }
        Ok(())
    }

    fn insert(&mut self, path: PathBuf, listed: Listed) -> Result<(), BuildError> {
        self.listing.entries.insert(path, listed);
        let count = self.listing.entries.len();
        if count > ENTRIES {
            return Err(self.too_big(format!("more than {ENTRIES} entries")));
        }
        self.reporter.advanced(count as u64, None, Unit::Files);
        Ok(())
    }

    fn blame(&mut self, path: &Path, error: io::Error) {
        self.unreadable.push((self.listing.root.join(path), error.to_string()));
    }

    fn too_big(&self, what: String) -> BuildError {
        BuildError::assembly(self.reporter.stage)(AssemblyError::TooBig { root: self.listing.root.clone(), what })
    }
}
