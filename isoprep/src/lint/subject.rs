//! What the rules look at: plain data about a profile after assembly and about what is injected, and a bounded way to
//! read the files behind it. Nothing here decides anything.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::sync_db::SyncDatabases;
use crate::profile::Profile;
use crate::recipe::EngineKind;

/// Everything that is known before a build.
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    /// The folder of `cartridge.toml`, absolute: findings name files relative to it, edits are done in it.
    pub root: &'a Path,
    /// The text of `cartridge.toml`, to find the lines of its fields; empty when there is none.
    pub cartridge: &'a str,
    /// The profile.
    pub profile: &'a Profile,
    /// The folder of the base profile, absolute: `image.remove` takes things out of it, and out of no overlay.
    pub base: &'a Path,
    /// All of the profile after assembly, `airootfs` included: paths relative to the profile.
    pub files: &'a [Entry],
    /// The repository that is injected.
    pub injected: Option<Injected<'a>>,
    /// Single files that are added: `image.files`, paths in the image.
    pub extra_files: &'a [Entry],
    /// `image.env`.
    pub env: &'a BTreeMap<String, String>,
    /// `image.packages`: what is installed besides the profile's list.
    pub packages: &'a [String],
    /// Who builds: what mkarchiso alone rejects stops no other engine.
    pub engine: EngineKind,
    /// Whether a release is built: a dev build of ours packs the root in its own way.
    pub release: bool,
    /// What becomes of permission bits.
    pub modes: Modes,
    /// Files that the engine brings to where pacman runs, such as a mirror list: an `Include` of them is fine.
    pub supplied: &'a [PathBuf],
    /// The guest's memory, MiB.
    pub guest_memory_mib: u64,
    /// How large the root image of an earlier build was, bytes.
    pub image_bytes: Option<u64>,
    /// The package databases that are at hand.
    pub databases: &'a SyncDatabases,
    /// Reads this machine's files.
    pub host: &'a dyn HostFiles,
}

/// The repository that is injected.
#[derive(Clone, Copy, Debug)]
pub struct Injected<'a> {
    /// Where the image has it, absolute.
    pub into: &'a Path,
    /// Its entries: paths relative to the repository.
    pub entries: &'a [Entry],
}

/// One entry of a tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// Where it goes; relative to what, the field says that holds it.
    pub path: PathBuf,
    /// What it is.
    pub kind: EntryKind,
    /// Its permission bits on this machine.
    pub mode: u32,
    /// Where it lies on this machine, absolute.
    pub from: PathBuf,
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum EntryKind {
    /// A directory.
    Dir,
    /// A file and its size, bytes.
    File(u64),
    /// A symbolic link and its target.
    Link(PathBuf),
}

impl Entry {
    /// Whether it is a regular file.
    #[must_use]
    pub const fn is_file(&self) -> bool {
        matches!(self.kind, EntryKind::File(_))
    }

    /// Whether anybody may execute it on this machine.
    #[must_use]
    pub const fn is_executable(&self) -> bool {
        self.is_file() && self.mode & 0o111 != 0
    }

    /// Its size, bytes; 0 for what is no file.
    #[must_use]
    pub const fn size(&self) -> u64 {
        if let EntryKind::File(size) = self.kind { size } else { 0 }
    }
}

/// Whether permission bits of this machine are those of the image. mkarchiso copies `airootfs` with
/// `cp --no-preserve=mode`: files become 644 and directories 755, unless `file_permissions` says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Modes {
    /// Those of `airootfs` are kept.
    pub airootfs_kept: bool,
    /// Those of the injected repository and of `image.files` are kept.
    pub injected_kept: bool,
}

/// This machine's files, as far as rules may see them.
pub trait HostFiles {
    /// The first `limit` bytes of a regular file, following links; `None` if it cannot be read.
    fn read(&self, file: &Path, limit: u64) -> Option<Vec<u8>>;
    /// Whether something is there, following links.
    fn exists(&self, path: &Path) -> bool;
}

/// The real machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct OnDisk;

impl HostFiles for OnDisk {
    fn read(&self, file: &Path, limit: u64) -> Option<Vec<u8>> {
        // Opening a FIFO or a device of a hostile repository must neither block nor do anything.
        let flags = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOCTTY | rustix::fs::OFlags::CLOEXEC;
        if !std::fs::metadata(file).ok()?.is_file() {
            return None;
        }
        let open = OpenOptions::new().read(true).custom_flags(flags.bits() as i32).open(file);
        let file: File = open.ok().filter(|file| file.metadata().is_ok_and(|meta| meta.is_file()))?;
        let mut bytes = Vec::new();
        file.take(limit).read_to_end(&mut bytes).ok()?;
        Some(bytes)
    }

    fn exists(&self, path: &Path) -> bool {
        path.exists()
    }
}
