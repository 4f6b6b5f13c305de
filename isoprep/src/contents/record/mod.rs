//! What a build leaves beside its ISO: what is in it, and how it was made. With it two builds are compared in a moment, also
//! when the first one's ISO is gone.
//!
//! `<name>.record` is versioned JSON, packed with zstd if it is long. It is never trusted blindly: it counts for an ISO only
//! if that still is the very file that it was written about, else the ISO is read.

mod wire;

pub(super) use wire::BEGINNING;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};

use super::error::ContentsError;
use super::image::{Depth, ImageReader, TreeName, open_image};
use super::model::{ImageContents, Kind};
use super::watch::Watch;
use crate::cache::drafts;

/// The version of the format that is written; older ones would be read, there are none.
pub const RECORD_VERSION: u32 = 1;
/// The ending of a record's name.
const ENDING: &str = "record";
/// The ending of the record of the build before.
const BEFORE: &str = "previous.record";
/// The largest record that is read, bytes: packed, and unpacked. One of 100,000 files has 7 and 25 MB.
const LARGEST_FILE: u64 = 128 << 20;
const LARGEST: u64 = 512 << 20;
/// Longer JSON is packed, bytes.
const PACKED_FROM: usize = 64 << 10;
/// What zstd frames begin with (RFC 8878, 3.1.1).
pub(super) const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// What a build leaves beside its ISO.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildRecord {
    /// Which file it was written about.
    pub stamp: Stamp,
    /// How that was made.
    pub facts: BuildFacts,
    /// What is in it.
    pub contents: ImageContents,
}

/// An ISO as the file system shows it: to tell whether a record is about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stamp {
    /// Its size.
    pub bytes: u64,
    /// Its inode number.
    pub inode: u64,
    /// When its content changed last: seconds and nanoseconds since 1970.
    pub modified: (i64, i64),
}

impl Stamp {
    /// How the file at `path` looks now.
    ///
    /// # Errors
    /// What the system says.
    pub fn of(path: &Path) -> io::Result<Self> {
        let meta = fs::metadata(path)?;
        Ok(Self { bytes: meta.len(), inode: meta.ino(), modified: (meta.mtime(), meta.mtime_nsec()) })
    }
}

/// How an image was made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BuildFacts {
    /// The version of Cartridge.
    pub cartridge: String,
    /// The cartridge's name.
    pub name: String,
    /// The engine.
    pub engine: String,
    /// Which of its ways the engine went, where it has several.
    pub way: Option<String>,
    /// The hash of the recipe, hex digits.
    pub recipe: Option<String>,
    /// The tools that took part, with their versions.
    pub tools: BTreeMap<String, String>,
    /// The stages in order.
    pub stages: Vec<StageTime>,
    /// `SOURCE_DATE_EPOCH` of the build, seconds since 1970.
    pub source_date_epoch: Option<i64>,
    /// The hash of the injected repository's tree, hex digits.
    pub tree_hash: Option<String>,
    /// Which repository each package came from, where the build knows better than the image.
    #[serde(skip)]
    pub repositories: BTreeMap<String, String>,
}

/// How long a stage took.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageTime {
    /// Its name.
    pub stage: String,
    /// Whether its result was there already.
    pub reused: bool,
    /// Milliseconds.
    pub ms: u64,
}

/// A record cannot be used, or was not written.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The system did not let us.
    #[error("could not {doing} the record {}: {source}", path.display())]
    Io {
        /// "read", "write".
        doing: &'static str,
        /// The record.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is something else.
    #[error("{} is no record of a build", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// A later Cartridge wrote it.
    #[error("the record {} has version {version}, this Cartridge reads {RECORD_VERSION}: compare the ISO itself", path.display())]
    Later {
        /// The record.
        path: PathBuf,
        /// Its version.
        version: u32,
    },
    /// It is cut, changed, or says what cannot be.
    #[error("the record {} is damaged: {why}\n  Compare the ISO itself, or build it again.", path.display())]
    Damaged {
        /// The record.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// It is larger than any record that is written.
    #[error("the record {} is larger than any that a build leaves", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// The image became another one while it was read.
    #[error("{} was replaced while its record was made: it has none", image.display())]
    Replaced {
        /// The ISO.
        image: PathBuf,
    },
    /// The image could not be read.
    #[error(transparent)]
    Image(#[from] ContentsError),
}

impl BuildRecord {
    /// Where the record of the ISO at `iso` is.
    #[must_use]
    pub fn beside(iso: &Path) -> PathBuf {
        iso.with_extension(ENDING)
    }

    /// Where the record of the build before the one at `iso` is.
    #[must_use]
    pub fn of_the_build_before(iso: &Path) -> PathBuf {
        iso.with_extension(BEFORE)
    }

    /// Reads a record.
    ///
    /// # Errors
    /// [`RecordError`]: it cannot be read, is something else, of a later version, damaged, or absurdly large.
    pub fn read(path: &Path) -> Result<Self, RecordError> {
        let failed = |source| RecordError::Io { doing: "read", path: path.to_path_buf(), source };
        let flags = OFlags::NONBLOCK.bits().cast_signed();
        let file = File::options().read(true).custom_flags(flags).open(path).map_err(failed)?;
        let meta = file.metadata().map_err(failed)?;
        if !meta.is_file() {
            return Err(RecordError::Foreign { path: path.to_path_buf() });
        }
        let mut bytes = Vec::new();
        file.take(LARGEST_FILE + 1).read_to_end(&mut bytes).map_err(failed)?;
        if bytes.len() as u64 > LARGEST_FILE {
            return Err(RecordError::TooLarge { path: path.to_path_buf() });
        }
        Self::parse(&bytes).map_err(|fault| fault.at(path))
    }

    /// Writes it, whole or not at all.
    ///
    /// # Errors
    /// [`RecordError::Io`]; what was there before is as it was.
    pub fn write(&self, path: &Path) -> Result<(), RecordError> {
        let failed = |source| RecordError::Io { doing: "write", path: path.to_path_buf(), source };
        let bytes = self.to_bytes().map_err(failed)?;
        let put = || -> io::Result<()> {
            let stem = path.file_stem().unwrap_or_default().to_string_lossy();
            // Called like an image's draft: what a killed build leaves of it is swept with those.
            let mut draft = drafts::image(path.parent().unwrap_or(Path::new(".")), &stem)?;
            draft.write_all(&bytes)?;
            draft.as_file().set_permissions(fs::Permissions::from_mode(0o644))?;
            draft.as_file().sync_all()?;
            draft.persist(path)?;
            Ok(())
        };
        put().map_err(failed)
    }

    /// Whether it is about the file at `iso` as that is now.
    #[must_use]
    pub fn is_about(&self, iso: &Path) -> bool {
        Stamp::of(iso).is_ok_and(|stamp| stamp == self.stamp && stamp.bytes == self.contents.bytes)
    }

    fn to_bytes(&self) -> io::Result<Vec<u8>> {
        let json = serde_json::to_vec(&wire::Record::of(self)).map_err(io::Error::other)?;
        if json.len() < PACKED_FROM { Ok(json) } else { zstd::bulk::compress(&json, 3) }
    }

    fn parse(bytes: &[u8]) -> Result<Self, wire::Misread> {
        if !bytes.starts_with(&ZSTD) {
            return wire::parse(bytes);
        }
        let damaged = |e: io::Error| wire::Misread::Damaged(format!("it does not unpack: {e}"));
        let mut json = Vec::new();
        let unpacked = zstd::Decoder::with_buffer(bytes).map_err(damaged)?;
        unpacked.take(LARGEST + 1).read_to_end(&mut json).map_err(damaged)?;
        if json.len() as u64 > LARGEST {
            return Err(wire::Misread::TooLarge);
        }
        wire::parse(&json)
    }
}

/// Reads the ISO that a build has just made, and leaves its record beside it. The record that was there becomes that of the
/// build before; content that it knows, and that is packed as it was, is not unpacked again.
///
/// # Errors
/// [`RecordError`]; the ISO is fine without a record.
pub fn leave_record(iso: &Path, facts: BuildFacts, watch: &Watch<'_>) -> Result<BuildRecord, RecordError> {
    let path = BuildRecord::beside(iso);
    let failed = |source| RecordError::Io { doing: "write", path: path.clone(), source };
    let stamp = Stamp::of(iso).map_err(failed)?;
    let before = BuildRecord::read(&path).ok();
    let (mut contents, reader) = open_image(iso, watch)?;
    if let Some(before) = &before {
        remember(&mut contents, &reader, &before.contents, watch)?;
    }
    reader.know_all(&mut contents, watch)?;
    for (name, repository) in &facts.repositories {
        if let Some(package) = contents.packages.get_mut(name) {
            package.repository = Some(repository.clone());
        }
    }
    if Stamp::of(iso).ok() != Some(stamp) {
        return Err(RecordError::Replaced { image: iso.to_path_buf() });
    }
    let record = BuildRecord { stamp, facts, contents };
    if before.is_some_and(|before| before.stamp != stamp) {
        fs::rename(&path, BuildRecord::of_the_build_before(iso)).map_err(failed)?;
    }
    record.write(&path)?;
    Ok(record)
}

/// Takes over hashes from the record of an earlier build, for content that is packed just as it was.
fn remember(
    contents: &mut ImageContents,
    reader: &ImageReader,
    before: &ImageContents,
    watch: &Watch<'_>,
) -> Result<(), ContentsError> {
    let known = |path| match before.files.get(path).map(|entry| &entry.kind) {
        Some(Kind::File { size, content }) if content.packed.is_some() => Some((*size, *content)),
        _ => None,
    };
    let paths: Vec<_> =
        before.files.iter().map(|(path, _)| path).filter(|path| known(path).is_some()).cloned().collect();
    reader.know(contents, TreeName::Root, &paths, Depth::Packed, watch)?;
    for path in &paths {
        let now = contents.files.get_mut(path).map(|entry| &mut entry.kind);
        if let (Some((size1, content1)), Some(Kind::File { size: size2, content: content2 })) = (known(path), now)
            && size1 == *size2
            && content1.packed == content2.packed
        {
            content2.hash = content2.hash.or(content1.hash);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
