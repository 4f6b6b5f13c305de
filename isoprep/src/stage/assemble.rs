//! First stage: what is in the repository, and its hash. Only reads; an unchanged file is not even read.

use std::fs::Metadata;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::build::{BuildError, BuildRequest, NAMED, mebibytes};
use crate::cache::Cache;
use crate::cache::stat_index::{Look, StatIndex};
use crate::eject::MARKER;
use crate::progress::Reporter;
use crate::recipe::Recipe;
use crate::stage::hashing::{Todo, hash_all};
use crate::stage::inject::{self, Wanted};
use crate::stage::manifest::{Entry, Manifest};
use crate::stage::walk::walk;

/// Memory that the guest needs besides the repository, MiB: kernel, base system and some room to work.
const GUEST_NEEDS_MIB: u64 = 256;
/// The most that is injected, MiB. A loader puts both parts below 2 GiB: Linux says so to it (`initrd_addr_max` 0x7fffffff,
/// `Documentation/arch/x86/boot.rst`), and a PC has no more low memory; the rest is for firmware, kernel and base system.
const LARGEST_MIB: u64 = 1792;
/// What an entry of an archive takes besides its content, bytes, generously.
const PER_FILE: u64 = 512;

/// What the repository is made of.
pub(crate) struct Assembled {
    pub(crate) manifest: Manifest,
    /// What `image.files` adds, not yet read.
    pub(crate) wanted: Vec<Wanted>,
    /// Whether no file had to be read.
    pub(crate) reused: bool,
}

pub(crate) fn assemble(
    request: &BuildRequest,
    cache: &Cache,
    reporter: &Reporter<'_>,
) -> Result<Assembled, BuildError> {
    let wanted = inject::wanted(&request.recipe, reporter)?;
    let looked = look(&request.recipe, &ours(request), reporter)?;
    refuse_too_big(request, &looked.sorted.files, &wanted, reporter)?;
    let (manifest, reused) = read(looked, cache, reporter)?;
    Ok(Assembled { manifest, wanted, reused })
}

/// A repository that was walked and not yet read.
pub(crate) struct Looked {
    root: PathBuf,
    began: SystemTime,
    sorted: Sorted,
}

/// Walks the repository; refuses what could not be injected.
pub(crate) fn look(recipe: &Recipe, ours: &[PathBuf], reporter: &Reporter<'_>) -> Result<Looked, BuildError> {
    let (began, source) = (SystemTime::now(), &recipe.source.path);
    let root = source.canonicalize().map_err(BuildError::io(reporter.stage, "open the repository", source))?;
    let walked = walk(&root, recipe, ours, reporter)?;
    let mut sorted = Sorted { unreadable: walked.unreadable, ..Sorted::default() };
    for (path, meta) in walked.entries {
        sorted.take(&root, path, &meta, reporter);
    }
    refuse_unreadable(reporter, std::mem::take(&mut sorted.unreadable))?;
    refuse_ours(reporter, std::mem::take(&mut sorted.ours))?;
    sorted.files.sort_by(|a, b| a.full.cmp(&b.full));
    Ok(Looked { root, began, sorted })
}

/// Reads what the cache does not know already. Says whether that was nothing.
pub(crate) fn read(looked: Looked, cache: &Cache, reporter: &Reporter<'_>) -> Result<(Manifest, bool), BuildError> {
    let Looked { root, began, sorted } = looked;
    let room = cache.room("index").map_err(BuildError::io(reporter.stage, "open the cache's index of", &root))?;
    let index_file = room.join(blake3::hash(root.as_os_str().as_encoded_bytes()).to_hex().as_str());
    let index = StatIndex::load(&index_file);
    let hashed = hash_all(&sorted.files, &index, reporter)?;
    refuse_unreadable(
        reporter,
        hashed.unreadable.iter().map(|(at, why)| (relative(&root, at), why.clone())).collect(),
    )?;
    if hashed.read > 0 || index.len() != sorted.files.len() {
        let looks = sorted.files.iter().zip(&hashed.hashes).map(|(it, hash)| (it.full.as_path(), it.look, *hash));
        // Losing it costs reading everything again next time, no more.
        if let Err(e) = StatIndex::save(&index_file, began, looks) {
            reporter.line(format!("warning: the cache cannot remember what was read: {e}"));
        }
    }
    let mut manifest = sorted.manifest;
    for (file, content) in sorted.files.into_iter().zip(hashed.hashes) {
        let path = relative(&root, &file.full);
        manifest.insert(&path, Entry::File { mode: file.mode, size: file.size, content, from: file.full });
    }
    Ok((manifest, hashed.read == 0))
}

/// The folders of ours, which are never injected wherever they lie.
pub(crate) fn ours(request: &BuildRequest) -> Vec<PathBuf> {
    let ours = [&request.images, &request.work, &request.cache];
    ours.into_iter().chain(&request.apart).filter_map(|dir| dir.canonicalize().ok()).collect()
}

/// What was walked, by kind.
#[derive(Default)]
struct Sorted {
    manifest: Manifest,
    files: Vec<Todo>,
    unreadable: Vec<(PathBuf, String)>,
    /// Folders with our marker.
    ours: Vec<PathBuf>,
}

impl Sorted {
    fn take(&mut self, root: &Path, path: PathBuf, meta: &Metadata, reporter: &Reporter<'_>) {
        let (kind, mode) = (meta.file_type(), meta.mode() & 0o7777);
        let full = root.join(&path);
        if kind.is_dir() {
            self.manifest.insert(&path, Entry::Dir { mode });
        } else if kind.is_file() {
            if path.file_name() == Some(MARKER.as_ref()) {
                self.ours.push(full.parent().unwrap_or(root).to_path_buf());
            }
            self.files.push(Todo { full, look: Look::of(meta), size: meta.len(), mode });
        } else if kind.is_symlink() {
            match std::fs::read_link(&full) {
                Ok(target) => self.manifest.insert(&path, Entry::Symlink { target: target.into_os_string() }),
                Err(e) => self.unreadable.push((path, e.to_string())),
            }
        } else {
            let what = if kind.is_socket() {
                "socket"
            } else if kind.is_fifo() {
                "pipe"
            } else {
                "device"
            };
            reporter.line(format!("left out: {} is a {what}, which cannot be injected", path.display()));
        }
    }
}

fn relative(root: &Path, full: &Path) -> PathBuf {
    full.strip_prefix(root).unwrap_or(full).to_path_buf()
}

fn refuse_unreadable(reporter: &Reporter<'_>, mut entries: Vec<(PathBuf, String)>) -> Result<(), BuildError> {
    if entries.is_empty() {
        return Ok(());
    }
    entries.sort();
    let total = entries.len();
    entries.truncate(NAMED);
    Err(BuildError::Unreadable { stage: reporter.stage, entries, total })
}

/// A work folder that some session left would be injected, and be deleted from the repository by Eject.
fn refuse_ours(reporter: &Reporter<'_>, mut ours: Vec<PathBuf>) -> Result<(), BuildError> {
    if ours.is_empty() {
        return Ok(());
    }
    ours.sort();
    let named: String = ours.iter().take(NAMED).map(|dir| format!("\n  {}", dir.display())).collect();
    let more = if ours.len() > NAMED { format!("\n  … and {} more", ours.len() - NAMED) } else { String::new() };
    Err(BuildError::Refused {
        stage: reporter.stage,
        what: format!("work folders of ours lie inside the source:{named}{more}"),
        advice: "Eject them, or name them under source.exclude.".to_owned(),
    })
}

/// Judges by sizes alone, before anything is read. The guest holds the archive and the unpacked files at once while it
/// boots, hence twice.
fn refuse_too_big(
    request: &BuildRequest,
    files: &[Todo],
    wanted: &[Wanted],
    reporter: &Reporter<'_>,
) -> Result<(), BuildError> {
    let stage = reporter.stage;
    let sizes = files.iter().map(|it| (it.size, &it.full)).chain(wanted.iter().map(|it| (it.size, &it.from)));
    let bytes = sizes.clone().fold(0_u64, |sum, (size, _)| sum.saturating_add(size));
    let count = files.len() + wanted.len();
    let named = sizes.max().map_or_else(String::new, |(size, path)| {
        format!("; the largest file is {} ({})", path.display(), mebibytes(size))
    });
    let bulk = format!("{} in {count} files", mebibytes(bytes));
    let leave_out = "name what the guest does not need under source.exclude";
    if bytes.saturating_add(count as u64 * PER_FILE) > LARGEST_MIB << 20 {
        return Err(BuildError::TooBig {
            stage,
            why: format!("{bulk}, and firmware can load at most {LARGEST_MIB} MiB{named}"),
            advice: format!("More memory does not help: {leave_out}, or take it out of image.files."),
        });
    }
    let wished = request.recipe.guest.memory_mib;
    let memory = request.guest_memory_mib.unwrap_or(wished);
    let needed = bytes.saturating_mul(2).div_ceil(1 << 20) + GUEST_NEEDS_MIB;
    if needed > memory {
        let advice = if wished > memory {
            format!("This machine cannot give the guest the {wished} MiB of guest.memory: {leave_out}.")
        } else {
            format!("Set guest.memory to \"{needed}M\" or more, or {leave_out}.")
        };
        let why = format!("{bulk} needs {needed} MiB of guest memory, and the guest has {memory} MiB{named}");
        return Err(BuildError::TooBig { stage, why, advice });
    }
    Ok(())
}
