//! From a recipe and its assembly to what the rules look at: lists the repository, and names for every file of the
//! assembled profile where on this machine it comes from.

use std::fs::Metadata;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::subject::{Entry, EntryKind, HostFiles, Injected, Modes, Subject};
use super::sync_db::SyncDatabases;
use crate::Cancel;
use crate::assembly::{Assembly, Kind, Piece};
use crate::build::BuildError;
use crate::engine;
use crate::profile::Profile;
use crate::progress::{Progress, Reporter};
use crate::recipe::{Base, BuildKind, EngineKind, Recipe};
use crate::stage::walk::walk;

/// The files of a cartridge, looked up once.
#[derive(Clone, Debug, Default)]
pub struct Gathered {
    base: PathBuf,
    files: Vec<Entry>,
    injected: Vec<Entry>,
    extra_files: Vec<Entry>,
    packages: Vec<String>,
}

/// What a cartridge's files do not tell.
#[derive(Clone, Copy)]
pub struct Surroundings<'a> {
    /// What becomes of permission bits.
    pub modes: Modes,
    /// Files that the engine brings to where pacman runs: with `image.mirror`, the mirror list.
    pub supplied: &'a [PathBuf],
    /// How large the root image of an earlier build was, bytes.
    pub image_bytes: Option<u64>,
    /// The package databases that are at hand.
    pub databases: &'a SyncDatabases,
    /// Reads this machine's files.
    pub host: &'a dyn HostFiles,
}

impl Gathered {
    /// Lists the repository of `recipe` as it is injected, and the pieces of `assembly`. `ours` are canonical folders
    /// of our own to pass over, as for a build.
    ///
    /// # Errors
    /// A repository that cannot be read; [`BuildError::Cancelled`].
    pub fn new(
        recipe: &Recipe,
        assembly: &Assembly,
        ours: &[PathBuf],
        cancel: &Cancel,
        progress: &(dyn Fn(Progress) + Sync),
    ) -> Result<Self, BuildError> {
        let plain = Self::without_profile(recipe, ours, cancel, progress)?;
        let file = |(path, piece): (&PathBuf, &Piece)| {
            let kind = match &piece.kind {
                Kind::Dir => EntryKind::Dir,
                Kind::File { size } => EntryKind::File(*size),
                Kind::Link { target } => EntryKind::Link(PathBuf::from(target)),
            };
            // What we made ourselves comes from nowhere, and nothing is read of it.
            Entry { path: path.clone(), kind, mode: piece.mode, from: piece.from.clone().unwrap_or_default() }
        };
        Ok(Self {
            base: assembly.layers.first().cloned().unwrap_or_default(),
            files: assembly.pieces.iter().map(file).collect(),
            ..plain
        })
    }

    /// As [`new`](Self::new), where there is no profile. Of a root that is a folder here, the files that hold secrets are
    /// listed as its own.
    ///
    /// # Errors
    /// As for [`new`](Self::new).
    pub fn without_profile(
        recipe: &Recipe,
        ours: &[PathBuf],
        cancel: &Cancel,
        progress: &(dyn Fn(Progress) + Sync),
    ) -> Result<Self, BuildError> {
        let reporter = Reporter::new(engine::ASSEMBLE, cancel, progress);
        let root = &recipe.source.path;
        let canonical = root.canonicalize().map_err(BuildError::io(reporter.stage, "read", root))?;
        let mut injected: Vec<Entry> = (walk(&canonical, recipe, ours, &reporter)?.entries.into_iter())
            .map(|(path, meta)| entry(path.clone(), root.join(path), &meta))
            .collect();
        injected.sort_by(|a, b| a.path.cmp(&b.path));
        let single = |(to, from): (&PathBuf, &PathBuf)| Some(entry(to.clone(), from.clone(), &from.metadata().ok()?));
        let files = match &recipe.image.base {
            Base::Folder(dir) if recipe.image.engine == EngineKind::Tree => root_files(dir),
            _ => Vec::new(),
        };
        Ok(Self {
            base: PathBuf::new(),
            files,
            injected,
            extra_files: recipe.image.files.iter().filter_map(single).collect(),
            packages: recipe.image.packages.clone(),
        })
    }

    /// What the rules look at. `cartridge` is the text of `cartridge.toml`; `profile` is the assembled one, as it was
    /// read.
    #[must_use]
    pub fn subject<'a>(
        &'a self,
        recipe: &'a Recipe,
        cartridge: &'a str,
        profile: &'a Profile,
        surroundings: &Surroundings<'a>,
    ) -> Subject<'a> {
        Subject {
            root: &recipe.root,
            cartridge,
            profile,
            base: &self.base,
            files: &self.files,
            injected: Some(Injected { into: &recipe.source.into, entries: &self.injected }),
            extra_files: &self.extra_files,
            env: &recipe.image.env,
            packages: &self.packages,
            engine: recipe.image.engine,
            release: recipe.image.build == BuildKind::Release,
            modes: surroundings.modes,
            supplied: surroundings.supplied,
            guest_memory_mib: recipe.guest.memory_mib,
            image_bytes: surroundings.image_bytes,
            databases: surroundings.databases,
            host: surroundings.host,
        }
    }
}

/// Where a system keeps its secrets, and a user's home: of these the files that lie in them directly are looked at. A whole root
/// is too much, and what packages bring is none of it.
const OF_A_SYSTEM: [&str; 9] = [
    "etc",
    "etc/ssh",
    "etc/NetworkManager/system-connections",
    "etc/netctl",
    "etc/wpa_supplicant",
    "etc/wireguard",
    "etc/openvpn",
    "var/lib/iwd",
    "etc/ssl/private",
];
const OF_A_USER: [&str; 14] = [
    "",
    ".ssh",
    ".aws",
    ".cargo",
    ".docker",
    ".kube",
    ".gnupg",
    ".gnupg/private-keys-v1.d",
    ".config/gh",
    ".config/git",
    ".config/rclone",
    ".config/gcloud",
    ".local/share/fish",
    ".local/share/keyrings",
];
/// The most files of a root that are listed.
const LISTED: usize = 20_000;

/// The files of a root in which its secrets are, as those of a profile's `airootfs`. What this user cannot read is passed over.
fn root_files(root: &Path) -> Vec<Entry> {
    let list = |folder: &Path| {
        let inside = is_inside(root, folder).then(|| std::fs::read_dir(root.join(folder)));
        inside.into_iter().flatten().flatten().flatten()
    };
    let homes = list(Path::new("home")).map(|it| it.file_name());
    let homes = homes.map(|name| Path::new("home").join(name)).chain([PathBuf::from("root")]);
    let of_users = homes.flat_map(|home| OF_A_USER.map(|folder| home.join(folder)));
    let folders = OF_A_SYSTEM.map(PathBuf::from).into_iter().chain(of_users);
    let files = folders.flat_map(|folder| list(&folder).map(move |it| (folder.join(it.file_name()), it.path())));
    let files = files.filter_map(|(path, from)| {
        let meta = from.symlink_metadata().ok().filter(Metadata::is_file)?;
        Some(entry(Path::new("airootfs").join(path), from, &meta))
    });
    files.take(LISTED).collect()
}

/// Whether no part of the way is a link: an absolute one in a root leads into this host.
fn is_inside(root: &Path, folder: &Path) -> bool {
    let parts = folder.ancestors().filter(|it| !it.as_os_str().is_empty());
    parts.map(|it| root.join(it)).all(|it| it.symlink_metadata().is_ok_and(|meta| meta.is_dir()))
}

fn entry(path: PathBuf, from: PathBuf, meta: &Metadata) -> Entry {
    let target = if meta.is_symlink() { std::fs::read_link(&from).ok() } else { None };
    let kind = match target {
        Some(target) => EntryKind::Link(target),
        None if meta.is_dir() => EntryKind::Dir,
        None => EntryKind::File(meta.len()),
    };
    Entry { path, kind, mode: meta.permissions().mode() & 0o7777, from }
}

impl Modes {
    /// As in a build of ours: [`append_permissions`](crate::assembly::append_permissions) gives mkarchiso the modes of
    /// `airootfs`, and the repository is a layer of its own.
    pub const KEPT: Self = Self { airootfs_kept: true, injected_kept: true };
    /// As in a build with a bare mkarchiso.
    pub const LOST: Self = Self { airootfs_kept: false, injected_kept: false };
}
