//! Makes a repository out of a text, lays its overlays over its base, reads the profile with the real reader and lints it.
//!
//! A text is a list of files: `=== PATH [MODE]` and its content, `=== PATH -> TARGET` for a link. `@ROOT@` is the
//! repository's folder, `@DRAWN:BEGINNING:COUNT@` a token that nobody has. Lines `@…` before the first file say what is
//! known besides: `@database NAME: PACKAGE[=SIZE][>DEPENDENCY]…`, `@image-bytes N`, `@no-mirrorlist`.

pub mod case;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use isoprep::lint::{Entry, EntryKind, Injected, LintFinding, Modes, OnDisk, Subject, SyncDatabases, SyncPackage, lint};
use isoprep::profile::{self, ReadOptions};
use isoprep::recipe::{self, Base, EngineKind, Recipe};
use isoprep::Cancel;

/// A repository on the disk.
pub struct Repository {
    pub root: PathBuf,
    databases: SyncDatabases,
    image_bytes: Option<u64>,
    supplied: Vec<PathBuf>,
    _dir: tempfile::TempDir,
}

/// One file of a text.
#[derive(Clone, Debug)]
pub enum Content {
    File { text: String, mode: u32 },
    Link(String),
}

/// A text read: what is known besides, and the files.
#[derive(Clone, Debug, Default)]
pub struct Description {
    pub facts: Vec<String>,
    pub files: BTreeMap<String, Content>,
}

impl Description {
    /// Reads a text.
    pub fn parse(text: &str) -> Self {
        let mut all = Self::default();
        let mut open: Option<(String, u32, Vec<&str>)> = None;
        for line in text.lines() {
            if let Some(header) = line.strip_prefix("=== ") {
                all.close(open.take());
                if let Some((path, target)) = header.split_once(" -> ") {
                    all.files.insert(path.to_owned(), Content::Link(target.to_owned()));
                } else {
                    let (path, mode) = header.split_once(' ').unwrap_or((header, "644"));
                    open = Some((path.to_owned(), u32::from_str_radix(mode, 8).unwrap(), Vec::new()));
                }
            } else if let Some((_, _, lines)) = &mut open {
                lines.push(line);
            } else if line.starts_with('@') {
                all.facts.push(line.to_owned());
            } else {
                assert!(line.is_empty() || line.starts_with("# "), "no file begins before {line:?}");
            }
        }
        all.close(open);
        all
    }

    fn close(&mut self, open: Option<(String, u32, Vec<&str>)>) {
        if let Some((path, mode, lines)) = open {
            let text = lines.iter().map(|line| format!("{line}\n")).collect();
            self.files.insert(path, Content::File { text, mode });
        }
    }
}

impl Repository {
    /// Writes a description to the disk.
    pub fn new(description: &Description) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap().join("repo");
        for (path, content) in &description.files {
            let file = root.join(path);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            match content {
                Content::Link(target) => symlink(target, &file).unwrap(),
                Content::File { text, mode } => {
                    fs::write(&file, drawn(&text.replace("@ROOT@", root.to_str().unwrap()))).unwrap();
                    fs::set_permissions(&file, fs::Permissions::from_mode(*mode)).unwrap();
                }
            }
        }
        let mut repository = Self {
            root,
            databases: SyncDatabases::default(),
            image_bytes: None,
            supplied: vec![PathBuf::from("/etc/pacman.d/mirrorlist")],
            _dir: dir,
        };
        for fact in &description.facts {
            repository.fact(fact);
        }
        repository
    }

    fn fact(&mut self, fact: &str) {
        if let Some(database) = fact.strip_prefix("@database ") {
            let (name, packages) = database.split_once(": ").unwrap();
            self.databases.insert(name, packages.split_whitespace().map(package).collect());
        } else if let Some(bytes) = fact.strip_prefix("@image-bytes ") {
            self.image_bytes = Some(bytes.parse().unwrap());
        } else {
            assert_eq!(fact, "@no-mirrorlist", "no such fact");
            self.supplied.clear();
        }
    }

    /// Everything that is said about it.
    pub fn lint(&self) -> Vec<LintFinding> {
        let text = fs::read_to_string(self.root.join("cartridge.toml")).unwrap();
        let recipe = recipe::parse(&text, &self.root).unwrap_or_else(|e| panic!("{e}\n{text}"));
        let assembled = Assembled::new(&recipe);
        let mut options = ReadOptions::of_this_user(Some(1_780_000_000));
        options.machine = "x86_64".to_owned();
        options.seen.push(assembled.dir.path().canonicalize().unwrap());
        let dir = assembled.dir.path().join("profile");
        let mut profile = profile::read(&dir, &options, &Cancel::new()).unwrap_or_else(|e| panic!("{e}"));
        // Lines of an included file of this machine are nothing that a case could expect.
        profile.pacman_conf.includes.clear();
        let injected = injected(&recipe);
        let mut supplied = self.supplied.clone();
        // A mirror of the cartridge's takes the place of whatever mirror list there is.
        supplied.extend(recipe.image.mirror.iter().map(|_| PathBuf::from("/nowhere/mirrorlist")));
        let extra: Vec<Entry> = recipe.image.files.iter().map(|(to, from)| entry(from, to)).collect();
        lint(&Subject {
            root: &self.root,
            cartridge: &text,
            profile: &profile,
            base: &assembled.base,
            files: &assembled.files,
            injected: Some(Injected { into: &recipe.source.into, entries: &injected }),
            extra_files: &extra,
            env: &recipe.image.env,
            packages: &recipe.image.packages,
            modes: Modes { airootfs_kept: false, injected_kept: recipe.image.engine != EngineKind::Mkarchiso },
            supplied: &supplied,
            guest_memory_mib: recipe.guest.memory_mib,
            image_bytes: self.image_bytes,
            databases: &self.databases,
            host: &OnDisk,
        })
    }
}

/// `NAME[=SIZE][>DEPENDENCY]…`
fn package(text: &str) -> SyncPackage {
    let mut words = text.split('>');
    let (name, size) = words.next().map(|it| it.split_once('=').unwrap_or((it, "0"))).unwrap();
    let depends = words.map(str::to_owned).collect();
    SyncPackage { name: name.to_owned(), depends, packed_bytes: size.parse().unwrap(), ..SyncPackage::default() }
}

/// The text with its tokens put in.
fn drawn(text: &str) -> String {
    let mut parts = text.split("@DRAWN:");
    let mut whole = parts.next().unwrap().to_owned();
    for part in parts {
        let (token, rest) = part.split_once('@').unwrap();
        let (begins, count) = token.rsplit_once(':').unwrap();
        let letters = "A7bK9dQ2xW5mZ8pL4tR6vY3cN1sJ0fHgE".chars().cycle();
        whole += begins;
        whole.extend(letters.take(count.parse().unwrap()));
        whole += rest;
    }
    whole
}

fn entry(from: &Path, path: &Path) -> Entry {
    let meta = fs::symlink_metadata(from).unwrap_or_else(|e| panic!("{}: {e}", from.display()));
    let kind = match fs::read_link(from) {
        Ok(target) => EntryKind::Link(target),
        Err(_) if meta.is_dir() => EntryKind::Dir,
        Err(_) => EntryKind::File(meta.len()),
    };
    Entry { path: path.to_path_buf(), kind, mode: meta.permissions().mode() & 0o7777, from: from.to_path_buf() }
}

fn injected(recipe: &Recipe) -> Vec<Entry> {
    let walk = recipe::source_walker(recipe, &[]).build().map(Result::unwrap).filter(|it| it.depth() > 0);
    let mut all: Vec<Entry> =
        walk.map(|it| entry(it.path(), it.path().strip_prefix(&recipe.source.path).unwrap())).collect();
    all.sort_by(|a, b| a.path.cmp(&b.path));
    all
}

/// A base with its overlays laid over it, and where each file came from.
struct Assembled {
    dir: tempfile::TempDir,
    base: PathBuf,
    files: Vec<Entry>,
}

impl Assembled {
    fn new(recipe: &Recipe) -> Self {
        let Base::Folder(base) = &recipe.image.base else { panic!("a case has a folder as its base") };
        let mut all: BTreeMap<PathBuf, Entry> = BTreeMap::new();
        for (at, layer) in std::iter::once(base).chain(&recipe.image.overlays).enumerate() {
            below(layer, layer, &mut all);
            if at == 0 {
                all.retain(|path, _| !recipe.image.remove.iter().any(|remove| path.starts_with(remove)));
            }
        }
        let dir = tempfile::tempdir().unwrap();
        let profile = dir.path().join("profile");
        fs::create_dir(&profile).unwrap();
        for (path, entry) in &all {
            let to = profile.join(path);
            match &entry.kind {
                EntryKind::Dir => fs::create_dir(&to).unwrap(),
                EntryKind::Link(target) => symlink(target, &to).unwrap(),
                EntryKind::File(_) => _ = fs::copy(&entry.from, &to).unwrap(),
            }
        }
        if let Some(conf) = &recipe.image.pacman_conf {
            let to = profile.join("pacman.conf");
            fs::copy(conf, &to).unwrap();
            all.insert("pacman.conf".into(), entry(conf, Path::new("pacman.conf")));
        }
        Self { dir, base: base.clone(), files: all.into_values().collect() }
    }
}

fn below(root: &Path, folder: &Path, all: &mut BTreeMap<PathBuf, Entry>) {
    for it in fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display())).map(Result::unwrap) {
        let path = it.path();
        let relative = path.strip_prefix(root).unwrap().to_path_buf();
        all.insert(relative.clone(), entry(&path, &relative));
        if it.file_type().unwrap().is_dir() {
            below(root, &path, all);
        }
    }
}
