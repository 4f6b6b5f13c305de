//! Makes a repository out of a text, assembles it, reads the assembled profile and lints it: all as for a build.
//!
//! A text is a list of files: `=== PATH [MODE]` and its content, `=== PATH -> TARGET` for a link. `@ROOT@` is the
//! repository's folder, `@DRAWN:BEGINNING:COUNT@` a token that nobody has. Lines `@…` before the first file say what is
//! known besides: `@database NAME: PACKAGE[=SIZE][>DEPENDENCY]…`, `@image-bytes N`, `@no-mirrorlist`,
//! `@modes-lost` for a bare mkarchiso, `@folder MODE PATH`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

pub mod case;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

use isoprep::assembly::{self, Ingredients};
use isoprep::lint::{Gathered, LintFinding, Modes, OnDisk, Surroundings, SyncDatabases, SyncPackage, lint};
use isoprep::profile::{self, ReadOptions};
use isoprep::recipe::{self, Base, EngineKind};
use isoprep::{Cancel, Progress};

/// A repository on the disk.
pub struct Repository {
    pub root: PathBuf,
    databases: SyncDatabases,
    image_bytes: Option<u64>,
    supplied: Vec<PathBuf>,
    modes_lost: bool,
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
            modes_lost: false,
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
        } else if let Some(folder) = fact.strip_prefix("@folder ") {
            let (mode, path) = folder.split_once(' ').unwrap();
            let mode = fs::Permissions::from_mode(u32::from_str_radix(mode, 8).unwrap());
            fs::set_permissions(self.root.join(path), mode).unwrap();
        } else if fact == "@modes-lost" {
            self.modes_lost = true;
        } else {
            assert_eq!(fact, "@no-mirrorlist", "no such fact");
            self.supplied.clear();
        }
    }

    /// Everything that is said about it: assembled, read and looked at as for a build.
    pub fn lint(&self) -> Vec<LintFinding> {
        self.lint_until(&Cancel::new())
    }

    /// As [`lint`](Self::lint), with a look that can be given up.
    pub fn lint_until(&self, until: &Cancel) -> Vec<LintFinding> {
        let text = fs::read_to_string(self.root.join("cartridge.toml")).unwrap();
        let recipe = recipe::parse(&text, &self.root).unwrap_or_else(|e| panic!("{e}\n{text}"));
        let base = match &recipe.image.base {
            Base::Folder(base) => base.clone(),
            Base::Installed(which) => which.folder(),
            other => panic!("a case has no such base: {other:?}"),
        };
        let ingredients = Ingredients {
            base,
            overlays: recipe.image.overlays.clone(),
            remove: recipe.image.remove.clone(),
            pacman_conf: recipe.image.pacman_conf.clone(),
            packages: recipe.image.packages.clone(),
            into: recipe.source.into.clone(),
            ..Ingredients::default()
        };
        let (cancel, quiet) = (Cancel::new(), |_: Progress| {});
        let assembly = assembly::prepare(&ingredients, &cancel, &quiet).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().canonicalize().unwrap().join("profile");
        fs::create_dir(&target).unwrap();
        assembly.write(&target, &cancel, &quiet).unwrap_or_else(|e| panic!("{e}"));
        let mut options = ReadOptions::of_this_user(Some(1_780_000_000));
        options.machine = "x86_64".to_owned();
        options.seen.push(target.clone());
        let mut profile = profile::read(&target, &options, &cancel).unwrap_or_else(|e| panic!("{e}"));
        if let Some(chosen) = &assembly.pacman_conf {
            profile.pacman_conf = profile::read_pacman_conf(&target.join(chosen)).unwrap();
        }
        let mut supplied = self.supplied.clone();
        // A mirror of the cartridge's takes the place of whatever mirror list there is.
        supplied.extend(recipe.image.mirror.iter().map(|_| PathBuf::from("/nowhere/mirrorlist")));
        let gathered = Gathered::new(&recipe, &assembly, &[], &cancel, &quiet).unwrap();
        let surroundings = Surroundings {
            modes: Modes {
                airootfs_kept: !self.modes_lost,
                injected_kept: !self.modes_lost || recipe.image.engine == EngineKind::Archiso,
            },
            supplied: &supplied,
            image_bytes: self.image_bytes,
            databases: &self.databases,
            host: &OnDisk,
        };
        lint(&gathered.subject(&recipe, &text, &profile, &surroundings), until)
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
