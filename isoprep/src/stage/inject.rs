//! Third stage: the repository, further files and the environment as a second initramfs, unpacked over the base by the
//! kernel. Cheap: this is what a changed file costs.

use std::io::{self, BufWriter, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use cartridge_initramfs::cpio::{self, Cpio};
use cartridge_treehash::TreeHash;

use crate::build::{BuildError, room_for};
use crate::cache::steady::SteadyFile;
use crate::cache::{Cache, Entry as CacheEntry};
use crate::plan::Key;
use crate::progress::{Meter, Reporter};
use crate::recipe::{Recipe, guest_places};
use crate::stage::hashing::{self, Fingerprinter};
use crate::stage::manifest::{Entry, Manifest};
use crate::stage::settings;

/// The archive's name in the cache entry.
pub(crate) const ARCHIVE: &str = "inject.cpio";

/// A file from elsewhere on the host, outside the repository's place in the guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extra {
    /// Its absolute path in the guest.
    pub to: PathBuf,
    /// Its path on the host.
    pub from: PathBuf,
    /// Permission bits.
    pub mode: u32,
    /// Size, bytes.
    pub size: u64,
    /// Content hash.
    pub content: TreeHash,
}

/// What `image.files` names, as it looks: nothing is read yet.
pub(crate) struct Wanted {
    to: PathBuf,
    /// Its path on the host, without links.
    pub(crate) from: PathBuf,
    /// Bytes.
    pub(crate) size: u64,
}

/// Judges the places in the guest, and looks at what `image.files` names.
pub(crate) fn wanted(recipe: &Recipe, reporter: &Reporter<'_>) -> Result<Vec<Wanted>, BuildError> {
    check_place(recipe, reporter)?;
    let mut found = Vec::new();
    for (to, from) in &recipe.image.files {
        let named = recipe.root.join(from);
        let look = || -> io::Result<_> {
            let from = named.canonicalize()?;
            let meta = from.symlink_metadata()?;
            if meta.is_file() { Ok((from, meta)) } else { Err(io::Error::other("not a regular file")) }
        };
        let (from, meta) = look().map_err(BuildError::io(reporter.stage, "read the file of image.files", &named))?;
        found.push(Wanted { to: to.clone(), from, size: meta.len() });
    }
    Ok(found)
}

/// Reads the `wanted` files. What falls inside the repository's place joins the manifest, so that the guest's hash of the
/// place still is the host's; the rest is returned, sorted.
pub(crate) fn extras(
    into: &Path,
    wanted: Vec<Wanted>,
    manifest: &mut Manifest,
    prints: &mut Fingerprinter,
    reporter: &Reporter<'_>,
) -> Result<Vec<Extra>, BuildError> {
    let meter = Meter::new(reporter, wanted.iter().map(|it| it.size).sum());
    let mut found = Vec::new();
    for Wanted { to, from, .. } in wanted {
        let read = prints.of(&from, &meter);
        reporter.go_on()?;
        let (content, meta) = read.map_err(BuildError::io(reporter.stage, "read the file of image.files", &from))?;
        let (mode, size) = (meta.mode() & 0o7777, meta.len());
        let Ok(inside) = to.strip_prefix(into) else {
            found.push(Extra { to, from, mode, size, content });
            continue;
        };
        for parent in inside.ancestors().skip(1).filter(|it| !it.as_os_str().is_empty()) {
            match manifest.get(parent) {
                None => manifest.insert(parent, Entry::Dir { mode: 0o755 }),
                Some(Entry::Dir { .. }) => {}
                Some(_) => {
                    return Err(refuse(reporter, &to, "lies below something of the repository that is no folder"));
                }
            }
        }
        if matches!(manifest.get(inside), Some(Entry::Dir { .. })) || inside.as_os_str().is_empty() {
            return Err(refuse(reporter, &to, "is a folder of the repository"));
        }
        manifest.insert(inside, Entry::File { mode, size, content, from });
    }
    Ok(found)
}

/// Packs everything, or finds it packed.
pub(crate) fn inject(
    recipe: &Recipe,
    manifest: &Manifest,
    extras: &[Extra],
    (cache, key): (&Cache, Key),
    reporter: &Reporter<'_>,
) -> Result<CacheEntry, BuildError> {
    let stage = reporter.stage;
    let needed = manifest.archive_bytes() + extras.iter().map(|extra| extra.size + 1024).sum::<u64>() + (64 << 10);
    let draft = cache.draft(stage, key).map_err(BuildError::write(stage, Path::new("the cache"), needed))?;
    let target = draft.file(ARCHIVE);
    room_for(stage, target.parent().unwrap_or(&target), needed)?;
    let failed = |e: io::Error| BuildError::write(stage, &target, needed)(e);
    let file = std::fs::File::create(&target).map_err(failed)?;
    let mut packer = Packer {
        cpio: Cpio::new(BufWriter::with_capacity(256 * 1024, SteadyFile::new(file))),
        meter: Meter::new(reporter, manifest.bytes()),
        reporter,
        target: &target,
        needed,
    };
    packer.settings(recipe)?;
    packer.repository(&recipe.source.into, manifest)?;
    for extra in extras {
        packer.parents(&extra.to)?;
        packer.file(&extra.to, extra.mode, extra.size, &extra.content, &extra.from)?;
    }
    let file = packer.cpio.finish().map_err(failed)?;
    drop(file);
    draft.commit().map_err(failed)
}

struct Packer<'a, W> {
    cpio: Cpio<W>,
    meter: Meter<'a>,
    reporter: &'a Reporter<'a>,
    target: &'a Path,
    needed: u64,
}

impl<W: Write> Packer<'_, W> {
    fn put(&mut self, write: impl FnOnce(&mut Cpio<W>) -> io::Result<()>) -> Result<(), BuildError> {
        self.reporter.go_on()?;
        write(&mut self.cpio).map_err(BuildError::write(self.reporter.stage, self.target, self.needed))
    }

    fn settings(&mut self, recipe: &Recipe) -> Result<(), BuildError> {
        self.put(|cpio| {
            for dir in ["/etc", "/etc/cartridge", "/etc/profile.d"] {
                cpio.dir(Path::new(dir), 0o755)?;
            }
            settings::files(recipe).iter().try_for_each(|(path, mode, bytes)| cpio.bytes(path, *mode, bytes))
        })
    }

    fn repository(&mut self, into: &Path, manifest: &Manifest) -> Result<(), BuildError> {
        self.parents(into)?;
        self.put(|cpio| cpio.dir(into, parent_mode(into)))?;
        for (path, entry) in manifest.iter() {
            let to = into.join(&path);
            if to.as_os_str().len() > cpio::LONGEST {
                return Err(refuse(self.reporter, &to, "is longer than the 4095 bytes that Linux allows"));
            }
            match entry {
                Entry::Dir { mode } => self.put(|cpio| cpio.dir(&to, *mode))?,
                Entry::Symlink { target } => self.put(|cpio| cpio.symlink(&to, target.as_bytes()))?,
                Entry::File { mode, size, content, from } => self.file(&to, *mode, *size, content, from)?,
            }
        }
        Ok(())
    }

    fn parents(&mut self, path: &Path) -> Result<(), BuildError> {
        let mut parents: Vec<&Path> = path.ancestors().skip(1).filter(|it| *it != Path::new("/")).collect();
        parents.reverse();
        parents.into_iter().try_for_each(|parent| self.put(|cpio| cpio.dir(parent, parent_mode(parent))))
    }

    /// Packs a file and makes sure that it still is what was hashed.
    fn file(&mut self, to: &Path, mode: u32, size: u64, content: &TreeHash, from: &Path) -> Result<(), BuildError> {
        let stage = self.reporter.stage;
        self.reporter.go_on()?;
        let changed = || BuildError::Changed { stage, path: from.to_path_buf() };
        let file = hashing::open(from).map_err(BuildError::io(stage, "read", from))?;
        let mut seen = Seen { inner: self.meter.watch(file), hasher: blake3::Hasher::new(), failed: None };
        let packed = self.cpio.file(to, mode, size, &mut seen);
        self.reporter.go_on()?;
        if let Some(e) = seen.failed {
            return Err(BuildError::io(stage, "read", from)(e));
        }
        let whole = packed.map_err(BuildError::write(stage, self.target, self.needed))?;
        if whole && seen.hasher.finalize().as_bytes() == &content.0 { Ok(()) } else { Err(changed()) }
    }
}

/// Hashes what goes through, and keeps a reading error apart from a writing one.
struct Seen<R> {
    inner: R,
    hasher: blake3::Hasher,
    failed: Option<io::Error>,
}

impl<R: io::Read> io::Read for Seen<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.inner.read(buffer) {
            Ok(read) => {
                self.hasher.update(&buffer[..read]);
                Ok(read)
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => Err(e),
            Err(e) => {
                self.failed = Some(e);
                Err(io::Error::other("reading failed"))
            }
        }
    }
}

/// The mode of a directory above an injected path: what the base gives it, else the usual.
fn parent_mode(path: &Path) -> u32 {
    match path.to_str() {
        Some("/root") => 0o700,
        Some("/tmp" | "/var/tmp") => 0o1777,
        _ => 0o755,
    }
}

fn check_place(recipe: &Recipe, reporter: &Reporter<'_>) -> Result<(), BuildError> {
    let (into, files, engine) = (&recipe.source.into, &recipe.image.files, recipe.image.engine);
    check_path(into, "source.into", reporter)?;
    guest_places::judge_into(into, engine).map_err(|problem| refuse_place("source.into", into, problem, reporter))?;
    for to in files.keys() {
        check_path(to, "image.files", reporter)?;
        guest_places::judge_file(to, into, engine)
            .map_err(|problem| refuse_place("image.files", to, problem, reporter))?;
    }
    if let Some((to, problem)) = guest_places::conflicts(files).into_iter().next() {
        return Err(refuse_place("image.files", to, problem, reporter));
    }
    let legal = |key: &str| {
        let mut letters = key.bytes();
        letters.next().is_some_and(|c| c.is_ascii_alphabetic() || c == b'_')
            && letters.all(|c| c.is_ascii_alphanumeric() || c == b'_')
    };
    if let Some((key, _)) = recipe.image.env.iter().find(|(key, value)| !legal(key) || value.contains('\0')) {
        return Err(BuildError::Refused {
            stage: reporter.stage,
            what: format!("image.env: {key:?} cannot be an environment variable"),
            advice: "Use letters, digits and _ for the name, and no NUL in the value.".to_owned(),
        });
    }
    Ok(())
}

fn check_path(path: &Path, key: &str, reporter: &Reporter<'_>) -> Result<(), BuildError> {
    let plain = path.is_absolute() && path.components().skip(1).all(|part| matches!(part, Component::Normal(_)));
    if !plain || path == Path::new("/") || path.as_os_str().len() > cpio::LONGEST {
        return Err(BuildError::Refused {
            stage: reporter.stage,
            what: format!("{key}: {} cannot hold anything in the guest", path.display()),
            advice: "Use an absolute path without \"..\".".to_owned(),
        });
    }
    Ok(())
}

/// What the recipe's own check says of a place, as a refusal: not every recipe comes from a file.
fn refuse_place(key: &str, path: &Path, (what, advice): (String, String), reporter: &Reporter<'_>) -> BuildError {
    let (stage, what) = (reporter.stage, format!("{key}: {}: {what}", path.display()));
    BuildError::Refused { stage, what, advice }
}

fn refuse(reporter: &Reporter<'_>, path: &Path, why: &str) -> BuildError {
    BuildError::Refused {
        stage: reporter.stage,
        what: format!("{} {why}", path.display()),
        advice: "Choose another path in the guest for it.".to_owned(),
    }
}
