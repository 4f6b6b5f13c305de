//! The repository as a layer of its own: a small squashfs that is laid over the root image of a distribution, or
//! unpacked into it. Cheap: this is what a changed file costs. Files belong to root, with the modes and links of the
//! repository; folders that the root image has keep its modes.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use backhand::compression::{CompressionOptions, Compressor, Zstd};
use backhand::{BackhandError, FilesystemCompressor, FilesystemWriter, NodeHeader};
use cartridge_treehash::TreeHash;

use crate::build::{BuildError, room_for};
use crate::cache::steady::SteadyFile;
use crate::cache::{Cache, Entry as CacheEntry};
use crate::plan::Key;
use crate::progress::{Meter, Reporter};
use crate::recipe::Recipe;
use crate::stage::base::Folders;
use crate::stage::hashing;
use crate::stage::inject::Extra;
use crate::stage::manifest::{Entry, Manifest};

/// The layer's name in the cache entry.
pub(crate) const LAYER: &str = "layer.sfs";
/// Block size: small files are the rule.
const BLOCK: u32 = 128 << 10;
/// Where the program that reports on a boot lies in a dev build.
const REPORTER: &str = "/usr/lib/cartridge/report";

/// What goes into a layer besides the repository.
pub(crate) struct Additions<'a> {
    pub(crate) extras: &'a [Extra],
    /// The program that reports on a boot, and the unit that starts it; `None` for a release build.
    pub(crate) reporter: Option<&'static [u8]>,
    /// More files, unless the repository or the recipe has them.
    pub(crate) settings: &'a [Setting],
    /// The folders of the root image.
    pub(crate) folders: &'a Folders,
    /// The time of everything.
    pub(crate) epoch: u64,
}

/// A small file: path in the guest, mode, content.
pub(crate) type Setting = (PathBuf, u32, Vec<u8>);

/// Starts the reporter once everything else is up (systemd.service(5)). It waits for the end of the boot: a type whose
/// start is part of the boot would wait for itself. The explicit order keeps the target from being ordered after it
/// (systemd.target(5)).
const UNIT: &str = "[Unit]\nDescription=Tell Cartridge what has booted\nAfter=multi-user.target systemd-user-sessions.service\n\n\
    [Service]\nType=simple\nExecStart=/usr/lib/cartridge/report\n\n[Install]\nWantedBy=multi-user.target\n";

/// Mounts the folders that the host lends, early, so that everything that a boot starts finds the live ones; a guest that
/// is lent none ends it at once. Its process that keeps overlays fresh outlives it, as that of a one-shot service that
/// remains may (systemd.service(5)).
const SHARES_UNIT: &str = "[Unit]\nDescription=Mount the folders that Cartridge lends\nDefaultDependencies=no\n\
    After=local-fs.target systemd-tmpfiles-setup.service\nBefore=sysinit.target shutdown.target\nConflicts=shutdown.target\n\n\
    [Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/usr/lib/cartridge/report --mount-shares\n\n\
    [Install]\nWantedBy=sysinit.target\n";

/// One thing of the layer.
enum Piece {
    Dir { mode: u32, uid: u32, gid: u32 },
    Link(PathBuf),
    Bytes { mode: u32, bytes: Vec<u8> },
    File { mode: u32, size: u64, content: TreeHash, from: PathBuf },
}

/// Everything of the layer by its path, folders included: pure.
fn pieces(recipe: &Recipe, manifest: &Manifest, what: &Additions<'_>) -> BTreeMap<PathBuf, Piece> {
    let mut pieces = BTreeMap::new();
    let into = &recipe.source.into;
    for (path, entry) in manifest.iter() {
        let piece = match entry {
            Entry::Dir { mode } => Piece::Dir { mode: *mode, uid: 0, gid: 0 },
            Entry::Symlink { target } => Piece::Link(PathBuf::from(target)),
            Entry::File { mode, size, content, from } => {
                Piece::File { mode: *mode, size: *size, content: *content, from: from.clone() }
            }
        };
        pieces.insert(into.join(path), piece);
    }
    pieces.entry(into.clone()).or_insert(Piece::Dir { mode: 0o755, uid: 0, gid: 0 });
    for extra in what.extras {
        let Extra { to, from, mode, size, content } = extra;
        let piece = Piece::File { mode: *mode, size: *size, content: *content, from: from.clone() };
        pieces.insert(to.clone(), piece);
    }
    for (path, mode, bytes) in crate::stage::settings::files(recipe) {
        pieces.insert(path, Piece::Bytes { mode, bytes });
    }
    if let Some(program) = what.reporter {
        pieces.insert(REPORTER.into(), Piece::Bytes { mode: 0o755, bytes: program.to_vec() });
        for (name, text, target) in
            [("cartridge-report", UNIT, "multi-user"), ("cartridge-shares", SHARES_UNIT, "sysinit")]
        {
            let units = Path::new("/etc/systemd/system");
            let unit = units.join(format!("{name}.service"));
            pieces.insert(unit.clone(), Piece::Bytes { mode: 0o644, bytes: text.into() });
            let wanted = units.join(format!("{target}.target.wants/{name}.service"));
            pieces.insert(wanted, Piece::Link(unit));
        }
    }
    for (path, mode, bytes) in what.settings {
        pieces.entry(path.clone()).or_insert_with(|| Piece::Bytes { mode: *mode, bytes: bytes.clone() });
    }
    let above: Vec<PathBuf> = pieces.keys().flat_map(|path| path.ancestors().skip(1)).map(Path::to_path_buf).collect();
    for dir in above {
        let (mode, uid, gid) = what.folders.get(&dir).copied().unwrap_or((0o755, 0, 0));
        pieces.entry(dir).or_insert(Piece::Dir { mode, uid, gid });
    }
    pieces
}

/// Packs the layer.
pub(crate) fn layer(
    recipe: &Recipe,
    manifest: &Manifest,
    what: &Additions<'_>,
    (cache, key): (&Cache, Key),
    reporter: &Reporter<'_>,
) -> Result<CacheEntry, BuildError> {
    let stage = reporter.stage;
    let needed = manifest.archive_bytes() + what.extras.iter().map(|extra| extra.size + 1024).sum::<u64>() + (8 << 20);
    let draft = cache.draft(stage, key).map_err(BuildError::write(stage, Path::new("the cache"), needed))?;
    let target = draft.file(LAYER);
    room_for(stage, target.parent().unwrap_or(&target), needed)?;
    let trouble = Arc::new(Mutex::new(None));
    let meter = Meter::new(reporter, manifest.bytes());
    let written = write(pieces(recipe, manifest, what), what.epoch, &target, &meter, &trouble);
    reporter.go_on()?;
    let trouble = trouble.lock().unwrap_or_else(PoisonError::into_inner).take();
    match trouble {
        Some(Trouble::Changed(path)) => return Err(BuildError::Changed { stage, path }),
        Some(Trouble::Unread(path, e)) => return Err(BuildError::io(stage, "read", &path)(e)),
        None => {}
    }
    written.map_err(BuildError::write(stage, &target, needed))?;
    draft.commit().map_err(BuildError::write(stage, &target, needed))
}

fn write(
    pieces: BTreeMap<PathBuf, Piece>,
    epoch: u64,
    target: &Path,
    meter: &Meter<'_>,
    trouble: &Arc<Mutex<Option<Trouble>>>,
) -> io::Result<()> {
    let mtime = u32::try_from(epoch).unwrap_or(u32::MAX);
    let header = |mode: u32, uid, gid| NodeHeader::new(u16::try_from(mode & 0o7777).unwrap_or(0o644), uid, gid, mtime);
    let mut image = FilesystemWriter::default();
    image.set_block_size(BLOCK);
    image.set_time(mtime);
    let level = CompressionOptions::Zstd(Zstd { compression_level: 3 });
    let compressor = FilesystemCompressor::new(Compressor::Zstd, Some(level)).map_err(failed)?;
    image.set_compressor(compressor);
    for (path, piece) in pieces {
        if path.as_os_str().as_bytes() == b"/" {
            if let Piece::Dir { mode, uid, gid } = piece {
                image.set_root_mode(u16::try_from(mode & 0o7777).unwrap_or(0o755));
                image.set_root_uid(uid);
                image.set_root_gid(gid);
            }
            continue;
        }
        let pushed = match piece {
            Piece::Dir { mode, uid, gid } => image.push_dir(&path, header(mode, uid, gid)),
            Piece::Link(to) => image.push_symlink(to, &path, header(0o777, 0, 0)),
            Piece::Bytes { mode, bytes } => image.push_file(io::Cursor::new(bytes), &path, header(mode, 0, 0)),
            Piece::File { mode, size, content, from } => {
                let reader = Watched { from, size, content, open: None, meter, trouble: Arc::clone(trouble) };
                image.push_file(reader, &path, header(mode, 0, 0))
            }
        };
        pushed.map_err(failed)?;
    }
    let mut out = SteadyFile::new(std::fs::File::options().read(true).write(true).create_new(true).open(target)?);
    image.write(&mut out).map_err(failed)?;
    out.finish()
}

fn failed(error: BackhandError) -> io::Error {
    match error {
        BackhandError::StdIo(e) => e,
        other => io::Error::other(other.to_string()),
    }
}

/// What went wrong with a file of the repository while it was packed.
enum Trouble {
    Changed(PathBuf),
    Unread(PathBuf, io::Error),
}

/// Opens its file when it is first read, closes it at the end, and notices when it is not the one that was hashed.
struct Watched<'a> {
    from: PathBuf,
    size: u64,
    content: TreeHash,
    open: Option<(std::fs::File, blake3::Hasher, u64)>,
    meter: &'a Meter<'a>,
    trouble: Arc<Mutex<Option<Trouble>>>,
}

impl Watched<'_> {
    fn give_up(&self, trouble: Trouble) -> io::Error {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = Some(trouble);
        io::Error::other("a file of the repository could not be packed")
    }
}

impl Read for Watched<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let (file, hasher, seen) = match &mut self.open {
            Some(open) => open,
            empty => match hashing::open(&self.from) {
                Ok(file) => empty.insert((file, blake3::Hasher::new(), 0)),
                Err(e) => return Err(self.give_up(Trouble::Unread(self.from.clone(), e))),
            },
        };
        let read = match self.meter.watch(&*file).read(buffer) {
            Ok(read) => read,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => return Err(e),
            Err(e) => return Err(self.give_up(Trouble::Unread(self.from.clone(), e))),
        };
        *seen += read as u64;
        hasher.update(&buffer[..read]);
        let (seen, hash) = (*seen, if read == 0 { Some(hasher.finalize()) } else { None });
        if seen > self.size || hash.is_some_and(|hash| hash.as_bytes() != &self.content.0) {
            return Err(self.give_up(Trouble::Changed(self.from.clone())));
        }
        Ok(read)
    }
}
