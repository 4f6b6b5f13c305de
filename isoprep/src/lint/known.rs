//! What is known of the image before it is built: an index over a [`Subject`] that all rules share. It answers where a
//! file of the profile really lies, whether a path will be in the image, and what one edit would be.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use super::edit::Edit;
use super::finding::Place;
use super::package_set::PackageSet;
use super::script::{Script, read_scripts};
use super::script_makes::Makes;
use super::script_variables::{Assigned, assigned};
use super::secrets::{FileSecrets, read_secrets};
use super::subject::{Entry, EntryKind, Subject};
use crate::Cancel;
use crate::profile::Profile;
use crate::recipe::{FILE_NAME, Finding, locate};

/// The most that is read of one text, bytes: larger files are data, not scripts.
pub(super) const TEXT: u64 = 256 << 10;
/// Folders that no package fills: Arch's guidelines keep packages out of `/usr/local`, and only `filesystem` owns
/// `/root`.
const OURS: [&str; 2] = ["/root", "/usr/local"];
/// What programs make in `/root` by themselves.
const MADE_AT_RUN_TIME: [&str; 13] = [
    ".bash_history",
    ".bash_profile",
    ".bashrc",
    ".cache",
    ".cargo",
    ".config",
    ".gnupg",
    ".local",
    ".profile",
    ".ssh",
    ".zprofile",
    ".zsh_history",
    ".zshrc",
];
/// Folders below those that the package `filesystem` makes.
const STANDARD: [&str; 11] = [
    "/root",
    "/usr/local",
    "/usr/local/bin",
    "/usr/local/etc",
    "/usr/local/games",
    "/usr/local/include",
    "/usr/local/lib",
    "/usr/local/man",
    "/usr/local/sbin",
    "/usr/local/share",
    "/usr/local/src",
];

/// Who puts a path into the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    Airootfs,
    Injected,
    Extra,
}

/// An entry and who puts it there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Item<'a> {
    pub(super) origin: Origin,
    pub(super) entry: &'a Entry,
}

/// Whether a path will be in the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Presence {
    There,
    Absent,
    /// A package may bring it.
    Unknown,
}

/// The index.
pub(super) struct Known<'a> {
    pub(super) subject: &'a Subject<'a>,
    pub(super) packages: PackageSet<'a>,
    files: BTreeMap<&'a Path, &'a Entry>,
    image: BTreeMap<PathBuf, Item<'a>>,
    folders: BTreeSet<PathBuf>,
    /// Files of this machine that are in the image by way of the profile or of `image.files`.
    placed: BTreeSet<&'a Path>,
    /// What is read once and asked for often: the scripts of the live system, those of the repository, what they make,
    /// and the secrets of all files.
    live: OnceCell<Vec<Script<'a>>>,
    injected: OnceCell<Vec<Script<'a>>>,
    makes: OnceCell<Makes>,
    assigned: OnceCell<Vec<Assigned>>,
    cancel: &'a Cancel,
    secrets: OnceCell<Vec<FileSecrets<'a>>>,
}

impl<'a> Known<'a> {
    pub(super) fn new(subject: &'a Subject<'a>, repositories: &'a BTreeSet<&'a str>, cancel: &'a Cancel) -> Self {
        let files: BTreeMap<&Path, &Entry> = subject.files.iter().map(|entry| (entry.path.as_path(), entry)).collect();
        let mut image = BTreeMap::new();
        for (path, entry) in &files {
            if let Ok(below) = path.strip_prefix("airootfs") {
                image.insert(Path::new("/").join(below), Item { origin: Origin::Airootfs, entry });
            }
        }
        for injected in subject.injected.iter() {
            let items = injected
                .entries
                .iter()
                .map(|entry| (plain(&injected.into.join(&entry.path)), Item { origin: Origin::Injected, entry }));
            image.extend(items);
        }
        let extra = subject.extra_files.iter();
        image.extend(extra.map(|entry| (plain(&entry.path), Item { origin: Origin::Extra, entry })));
        let others = image.values().filter(|item| item.origin != Origin::Injected);
        let placed = others.map(|item| item.entry.from.as_path()).collect();
        let into = subject.injected.map(|injected| injected.into.to_path_buf());
        let above = image.keys().flat_map(|path| path.ancestors().skip(1)).map(Path::to_path_buf);
        let folders = above.chain(into.iter().flat_map(|into| into.ancestors()).map(Path::to_path_buf)).collect();
        let packages = PackageSet::new(subject, repositories);
        let (live, injected, makes, assigned, secrets) = Default::default();
        Self { subject, packages, files, image, folders, placed, live, injected, makes, assigned, cancel, secrets }
    }

    pub(super) fn profile(&self) -> &'a Profile {
        self.subject.profile
    }

    /// The entries of the profile below `folder`, with their paths relative to the profile.
    pub(super) fn below(&self, folder: &'a str) -> impl Iterator<Item = &'a Entry> {
        let first = Path::new(folder);
        self.files.range(first..).take_while(move |(path, _)| path.starts_with(first)).map(|(_, entry)| *entry)
    }

    /// The entry at a path of the profile.
    pub(super) fn entry(&self, path: impl AsRef<Path>) -> Option<&'a Entry> {
        self.files.get(path.as_ref()).copied()
    }

    /// Whether the profile has this file or folder.
    pub(super) fn has_file(&self, path: impl AsRef<Path>) -> bool {
        let path = path.as_ref();
        self.files.contains_key(path)
            || self.files.range(path..).next().is_some_and(|(first, _)| first.starts_with(path))
    }

    /// Whether a file that the definition names is there: in the profile, or on this machine.
    pub(super) fn is_there(&self, file: &Path) -> bool {
        let relative = file.strip_prefix(&self.profile().dir).unwrap_or(file);
        self.has_file(relative) || self.subject.host.exists(&self.host_path(file))
    }

    /// The scripts of `airootfs` and of `image.files`, and systemd's units there.
    pub(super) fn live_scripts(&self) -> &[Script<'a>] {
        self.live.get_or_init(|| read_scripts(self, false))
    }

    /// The scripts of the injected repository.
    pub(super) fn injected_scripts(&self) -> &[Script<'a>] {
        self.injected.get_or_init(|| read_scripts(self, true))
    }

    /// All of them.
    pub(super) fn scripts(&self) -> impl Iterator<Item = &Script<'a>> {
        self.live_scripts().iter().chain(self.injected_scripts())
    }

    /// What they may make.
    pub(super) fn makes(&self) -> &Makes {
        self.makes.get_or_init(|| Makes::new(self))
    }

    /// The variables that scripts set to paths that will not be there.
    pub(super) fn assigned(&self) -> &[Assigned] {
        self.assigned.get_or_init(|| assigned(self))
    }

    /// Whether to go on: a look that was cancelled says nothing more.
    pub(super) fn goes_on(&self) -> bool {
        !self.cancel.is_cancelled()
    }

    /// The files with secrets.
    pub(super) fn secrets(&self) -> &[FileSecrets<'a>] {
        self.secrets.get_or_init(|| read_secrets(self))
    }

    /// Whether a file of the repository is in the image a second time, where it is used: the repository often holds the
    /// profile itself.
    pub(super) fn is_copy(&self, item: Item<'_>) -> bool {
        item.origin == Origin::Injected && self.placed.contains(item.entry.from.as_path())
    }

    /// Everything that we know to be in the image, by path.
    pub(super) fn image(&self) -> impl Iterator<Item = (&Path, Item<'a>)> {
        self.image.iter().map(|(path, item)| (path.as_path(), *item))
    }

    /// What we put at a path of the image.
    pub(super) fn item(&self, path: &Path) -> Option<Item<'a>> {
        self.image.get(path).copied()
    }

    /// Whether a path will be in the image; `path` is absolute.
    pub(super) fn presence(&self, path: &Path) -> Presence {
        let path = plain(path);
        if self.image.contains_key(&path)
            || self.folders.contains(&path)
            || STANDARD.iter().any(|it| path == Path::new(it))
        {
            return Presence::There;
        }
        // Behind a link anything may be.
        let linked = path.ancestors().filter_map(|above| self.image.get(above));
        if linked.into_iter().any(|item| matches!(item.entry.kind, EntryKind::Link(_))) {
            return Presence::Unknown;
        }
        if self.subject.injected.is_some_and(|injected| path.starts_with(injected.into)) {
            return Presence::Absent;
        }
        match OURS.iter().find_map(|ours| path.strip_prefix(ours).ok()) {
            Some(below) if MADE_AT_RUN_TIME.iter().any(|made| below.starts_with(made)) => Presence::Unknown,
            Some(_) => Presence::Absent,
            None => Presence::Unknown,
        }
    }

    /// Where a file of this machine is, as a finding names it.
    fn place(&self, host: &Path, line: Option<usize>) -> Place {
        Place { file: host.strip_prefix(self.subject.root).unwrap_or(host).to_path_buf(), line }
    }

    /// Where an entry is on this machine.
    pub(super) fn at(&self, entry: &Entry, line: Option<usize>) -> Place {
        self.place(&entry.from, line)
    }

    /// Where a file of the profile is on this machine: base, overlays and cartridge may each have brought it.
    pub(super) fn at_file(&self, file: impl AsRef<Path>, line: Option<usize>) -> Place {
        self.place(&self.host_path(file.as_ref()), line)
    }

    /// Where a variable of `profiledef.sh` is set.
    pub(super) fn at_variable(&self, name: &str) -> Place {
        self.at_file(DEFINITION, self.profile().definition.lines.get(name).copied())
    }

    /// Where a field of `cartridge.toml` is set. `key` may name an entry of a table: `image.env.PATH`.
    pub(super) fn at_field(&self, key: &str) -> Place {
        let finding =
            Finding { line: None, column: None, key: key.to_owned(), message: String::new(), advice: String::new() };
        let mut line = locate(self.subject.cartridge, vec![finding.clone()])[0].line;
        if line.is_none()
            && let Some((table, _)) = key.rsplit_once('.')
        {
            line = locate(self.subject.cartridge, vec![Finding { key: table.to_owned(), ..finding }])[0].line;
        }
        Place { file: PathBuf::from(FILE_NAME), line }
    }

    fn host_path(&self, file: &Path) -> PathBuf {
        let dir = &self.profile().dir;
        let relative = file.strip_prefix(dir).unwrap_or(file);
        match self.entry(relative) {
            Some(entry) => entry.from.clone(),
            // What is missing belongs into the base.
            None if relative.is_relative() => self.subject.base.join(relative),
            None => file.to_path_buf(),
        }
    }

    /// The text of an entry; `None` for what is no text, cannot be read or is too large.
    pub(super) fn text(&self, entry: &Entry) -> Option<String> {
        if !entry.is_file() || entry.size() > TEXT { None } else { self.text_at(&entry.from) }
    }

    /// The first `limit` bytes of an entry, whatever they are.
    pub(super) fn head(&self, entry: &Entry, limit: u64) -> Option<Vec<u8>> {
        self.subject.host.read(&entry.from, limit)
    }

    /// The text of a file of the profile.
    pub(super) fn text_of(&self, file: impl AsRef<Path>) -> Option<String> {
        self.text_at(&self.host_path(file.as_ref()))
    }

    fn text_at(&self, host: &Path) -> Option<String> {
        let bytes = self.subject.host.read(host, TEXT)?;
        (!bytes.contains(&0)).then(|| String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The file as an edit names it, if it is one of the user's repository.
    pub(super) fn editable(&self, place: &Place) -> Option<PathBuf> {
        (place.file.is_relative() && place.file != Path::new(FILE_NAME)).then(|| place.file.clone())
    }

    /// The text of a line, without its end.
    pub(super) fn line(&self, place: &Place) -> Option<String> {
        let text = self.text_at(&self.subject.root.join(&place.file))?;
        let line = text.split('\n').nth(place.line?.checked_sub(1)?)?;
        Some(line.strip_suffix('\r').unwrap_or(line).to_owned())
    }

    /// The edit that turns a line into another one; `None` where the line is not the user's or does not change.
    pub(super) fn replace(&self, place: &Place, new: impl FnOnce(&str) -> Option<String>) -> Option<Edit> {
        let (file, line, old) = (self.editable(place)?, place.line?, self.line(place)?);
        let new = new(&old).filter(|new| *new != old)?;
        Some(Edit::ReplaceLine { file, line, old, new })
    }

    /// The edit that removes a line.
    pub(super) fn remove_line(&self, place: &Place) -> Option<Edit> {
        Some(Edit::RemoveLine { file: self.editable(place)?, line: place.line?, old: self.line(place)? })
    }

    /// The edit that leaves a file of the base profile out of the image.
    pub(super) fn leave_out(&self, entry: &Entry) -> Option<Edit> {
        let value = entry.path.to_str().filter(|_| entry.from.starts_with(self.subject.base))?;
        self.add_to("image.remove", value)
    }

    /// The edit that adds to a list of `cartridge.toml`.
    pub(super) fn add_to(&self, key: &str, value: impl Into<String>) -> Option<Edit> {
        Some(Edit::AddToCartridgeList { key: key.to_owned(), value: value.into() })
    }
}

/// The name of the file that defines a profile.
pub(super) const DEFINITION: &str = "profiledef.sh";

/// A path without `.` and `..`, which are taken back as they are written.
pub(super) fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::from("/");
    for part in path.components() {
        match part {
            Component::Normal(name) => plain.push(name),
            Component::ParentDir => {
                plain.pop();
            }
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    plain
}
