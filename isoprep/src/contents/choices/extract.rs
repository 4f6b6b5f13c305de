//! Takes the kernel and the initramfs files of an entry out of an ISO, once for each state of it.

use std::fs::{self, File};
use std::io::{self, Read, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::super::error::{ContentsError, Fault};
use super::super::region;
use super::super::tree_path::TreePath;
use super::super::volume::guarded;
use super::super::watch::{Counter, Reading, Watch};
use super::resolve::Names;
use super::{BootChoice, ChoiceError, Disc, DiscFile};

/// The file that says that a directory of ours is whole.
const WHOLE: &str = "whole";
/// How much of an ISO's beginning tells it from others, bytes: its volume descriptors have its date.
const HEAD: usize = 64 << 10;

/// What was taken out of an ISO.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extracted {
    /// The kernel, as it is on the ISO.
    pub kernel: PathBuf,
    /// The initramfs files in order.
    pub initrds: Vec<PathBuf>,
    /// Whether they were there already.
    pub reused: bool,
}

/// Writes the kernel and the initramfs files of `choice` into a directory of their own in `into`, unless that was done before
/// and the ISO has not changed since. `into` must be there; what is written is whole or not there at all.
///
/// # Errors
/// [`ChoiceError`]
pub fn extract(iso: &Path, choice: &BootChoice, into: &Path, watch: &Watch<'_>) -> Result<Extracted, ChoiceError> {
    let write = |file: &TreePath, to: &Path| {
        let (iso, file, to) = (iso.to_path_buf(), file.clone(), to.to_path_buf());
        move |source| ChoiceError::Write { iso, file, to, source }
    };
    let key = key(iso, choice).map_err(|e| ContentsError::of(iso, None)(e.into()))?;
    let dir = into.join(key);
    let at = |dir: &Path, reused| Extracted {
        kernel: dir.join("kernel"),
        initrds: (0..choice.initrds.len()).map(|index| dir.join(format!("initrd-{index}"))).collect(),
        reused,
    };
    if dir.join(WHOLE).is_file() {
        return Ok(at(&dir, true));
    }
    let disc = Disc::open(iso, watch)?;
    let draft = tempfile::Builder::new().prefix(".disc-").tempdir_in(into);
    let draft = draft.map_err(write(&choice.kernel.path, into))?;
    let files = at(draft.path(), false);
    let wanted: Vec<_> =
        std::iter::once((&choice.kernel, &files.kernel)).chain(choice.initrds.iter().zip(&files.initrds)).collect();
    let total = wanted.iter().fold(0_u64, |sum, (file, _)| sum.saturating_add(file.bytes));
    let counter = watch.counter(Reading::Copying, Some(total));
    for (file, to) in wanted {
        let node =
            disc.node(file).ok_or_else(|| ChoiceError::Changed { iso: iso.to_path_buf(), file: file.path.clone() })?;
        let mut out = File::create_new(to).map_err(write(&file.path, to))?;
        let copied = match &disc.esp {
            Some((esp, _)) if file.on_efi => guarded(|| copy(esp.file(node)?, &mut out, file.bytes, &counter)),
            _ => disc.iso.file(node).and_then(|region| copy(region.reader(), &mut out, file.bytes, &counter)),
        };
        match copied {
            Ok(Ok(())) => {}
            Ok(Err(source)) => return Err(write(&file.path, to)(source)),
            Err(fault) => return Err(ContentsError::of(iso, Some(&file.path.to_string()))(fault).into()),
        }
    }
    let whole = draft.path().join(WHOLE);
    fs::write(&whole, []).map_err(write(&choice.kernel.path, &whole))?;
    match fs::rename(draft.path(), &dir) {
        Ok(()) => {
            // It is not where it would be removed any more.
            let _ = draft.keep();
        }
        // Another session was quicker, with the same.
        Err(_) if dir.join(WHOLE).is_file() => {}
        Err(source) => return Err(write(&choice.kernel.path, &dir)(source)),
    }
    Ok(at(&dir, false))
}

impl Disc {
    fn node(&self, file: &DiscFile) -> Option<u64> {
        let listing = match &self.esp {
            Some((_, listing)) if file.on_efi => listing,
            _ => &self.listing,
        };
        let found = Names::of(listing).find(&format!("/{}", file.path), &TreePath::default());
        let exact = listing.entries.get(&file.path).map(|(entry, node)| (entry.size(), *node));
        exact.or(found.map(|it| (it.bytes, it.node))).filter(|(bytes, _)| *bytes == file.bytes).map(|(_, node)| node)
    }
}

/// Copies `bytes` from a reader. Outside: what is wrong with the ISO. Inside: what is wrong with where it goes.
fn copy(mut from: impl Read, to: &mut File, bytes: u64, counter: &Counter<'_>) -> Result<io::Result<()>, Fault> {
    let mut chunk = vec![0; 1 << 20];
    let mut left = bytes;
    while left > 0 {
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(chunk.len());
        let read = match from.read(&mut chunk[..most]) {
            Ok(0) => return Err(Fault::damaged("a file is shorter than its entry tells")),
            Ok(read) => read,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(region::fault(e)),
        };
        if let Err(e) = to.write_all(&chunk[..read]) {
            return Ok(Err(e));
        }
        left -= read as u64;
        counter.add(read as u64)?;
    }
    Ok(Ok(()))
}

/// The name of what is taken out of an ISO in its state.
fn key(iso: &Path, choice: &BootChoice) -> io::Result<String> {
    let file = File::open(iso)?;
    let meta = file.metadata()?;
    let mut head = Vec::with_capacity(HEAD);
    (&file).take(HEAD as u64).read_to_end(&mut head)?;
    let mut hasher = blake3::Hasher::new();
    let mut add = |bytes: &[u8]| {
        hasher.update(&(bytes.len() as u64).to_le_bytes());
        hasher.update(bytes);
    };
    add(fs::canonicalize(iso)?.as_os_str().as_bytes());
    for number in [meta.dev(), meta.ino(), meta.len()] {
        add(&number.to_le_bytes());
    }
    for number in [meta.mtime(), meta.mtime_nsec(), meta.ctime(), meta.ctime_nsec()] {
        add(&number.to_le_bytes());
    }
    add(&head);
    for file in std::iter::once(&choice.kernel).chain(&choice.initrds) {
        add(&[u8::from(file.on_efi)]);
        add(file.path.as_bytes());
        add(&file.bytes.to_le_bytes());
    }
    Ok(hasher.finalize().to_hex().to_string())
}
