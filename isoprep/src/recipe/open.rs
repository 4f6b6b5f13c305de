//! Inserts a path: a folder, or a `cartridge.toml`. A folder without one gets a proposal that is not written yet.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use super::finding::{Finding, RecipeError, position};
use super::proposal::{Proposal, Proposed};
use super::propose::propose;
use crate::discover;

/// What the file is called.
pub const FILE_NAME: &str = "cartridge.toml";

/// The largest `cartridge.toml` that we read, bytes. A long hand-written one has a few thousand.
const LIMIT: u64 = 1024 * 1024;

/// A `cartridge.toml` that was read, or one that is proposed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CartridgeFile {
    /// Its absolute path, links resolved.
    pub file: PathBuf,
    /// Its text. It may hold findings: see [`parse`](super::parse()).
    pub text: String,
    /// Whether it is on the disk; false for a proposal.
    pub exists: bool,
    /// What was found for a proposal, with the reasons; empty for a file that is there.
    pub proposed: Vec<Proposed>,
}

/// A path could not be inserted.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// There is nothing there.
    #[error("{} does not exist; check the spelling, or insert another folder", path.display())]
    Missing {
        /// What was tried.
        path: PathBuf,
    },
    /// It is a file, but not a `cartridge.toml`.
    #[error("{} is a file, not a cartridge; insert its folder {} instead", path.display(), folder.display())]
    NotACartridge {
        /// What was tried.
        path: PathBuf,
        /// The folder that it is in.
        folder: PathBuf,
    },
    /// The whole file system.
    #[error("{} holds the whole system; insert the folder of one repository", path.display())]
    TooWide {
        /// What was tried.
        path: PathBuf,
    },
    /// The system did not let us read it.
    #[error("could not read {}: {source}; check its permissions", path.display())]
    Unreadable {
        /// What was tried.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is far too long for a `cartridge.toml`.
    #[error("{} has {bytes} bytes, a cartridge.toml has at most {LIMIT}; it is probably another file", path.display())]
    TooLarge {
        /// What was tried.
        path: PathBuf,
        /// How long it is.
        bytes: u64,
    },
    /// It is not text.
    #[error(transparent)]
    NotText(#[from] RecipeError),
}

/// Reads the `cartridge.toml` at `path` or in the folder `path`, or proposes one for a folder that has none.
///
/// # Errors
/// [`OpenError`]: it is missing, is another file, is `/`, cannot be read, is too large, or is not UTF-8.
pub fn open(path: &Path) -> Result<CartridgeFile, OpenError> {
    let named = path.file_name().is_some_and(|name| name == FILE_NAME);
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => in_folder(path),
        Ok(_) if named => in_folder(parent),
        Ok(_) => {
            let folder = fs::canonicalize(parent).unwrap_or_else(|_| parent.to_owned());
            Err(OpenError::NotACartridge { path: path.to_owned(), folder })
        }
        // A cartridge.toml that is not there yet, in a folder that is: the same as that folder.
        Err(error) if error.kind() == io::ErrorKind::NotFound && named && parent.is_dir() => in_folder(parent),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(OpenError::Missing { path: path.to_owned() }),
        Err(source) => Err(OpenError::Unreadable { path: path.to_owned(), source }),
    }
}

fn in_folder(folder: &Path) -> Result<CartridgeFile, OpenError> {
    let unreadable = |source: io::Error| OpenError::Unreadable { path: folder.to_owned(), source };
    let folder = &fs::canonicalize(folder).map_err(unreadable)?;
    let file = folder.join(FILE_NAME);
    let Some(name) = folder.file_name() else {
        return Err(OpenError::TooWide { path: folder.to_owned() });
    };
    match fs::canonicalize(&file) {
        Ok(_) => read(&file),
        // A dangling link is somebody's mistake; writing a proposal through it would be ours.
        Err(error) if error.kind() == io::ErrorKind::NotFound && fs::symlink_metadata(&file).is_err() => {
            let Proposal { text, settings } = propose(&name.to_string_lossy(), &discover::look(folder));
            Ok(CartridgeFile { file, text, exists: false, proposed: settings })
        }
        Err(source) => Err(OpenError::Unreadable { path: file, source }),
    }
}

fn read(file: &Path) -> Result<CartridgeFile, OpenError> {
    let text = read_text(file)?;
    Ok(CartridgeFile { file: file.to_owned(), text, exists: true, proposed: Vec::new() })
}

/// Reads the text of the `cartridge.toml` that `file` is. Waits for nobody: what is no regular file is not read.
///
/// # Errors
/// [`OpenError`]: it is missing, is no regular file, cannot be read, has more than a megabyte, or is not UTF-8.
pub fn read_text(file: &Path) -> Result<String, OpenError> {
    let unreadable = |source: io::Error| OpenError::Unreadable { path: file.to_owned(), source };
    let other = || {
        let folder = file.parent().unwrap_or(file).to_owned();
        OpenError::NotACartridge { path: file.to_owned(), folder }
    };
    // Before opening, which a device may take for more; and after it, as another may lie there by then.
    if !fs::metadata(file).map_err(unreadable)?.is_file() {
        return Err(other());
    }
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
    let opened = File::options().read(true).custom_flags(flags).open(file).map_err(unreadable)?;
    if !opened.metadata().map_err(unreadable)?.is_file() {
        return Err(other());
    }
    let mut bytes = Vec::new();
    opened.take(LIMIT + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > LIMIT {
        let length = fs::metadata(file).map_or(bytes.len() as u64, |found| found.len());
        return Err(OpenError::TooLarge { path: file.to_owned(), bytes: length });
    }
    Ok(String::from_utf8(bytes).map_err(|error| not_text(file, &error))?)
}

fn not_text(file: &Path, error: &std::string::FromUtf8Error) -> RecipeError {
    let good = error.utf8_error().valid_up_to();
    let before = String::from_utf8_lossy(error.as_bytes().get(..good).unwrap_or_default());
    let bad = error.as_bytes().get(good).copied().unwrap_or_default();
    let (line, column) = position(&before, before.len());
    let finding = Finding {
        line: Some(line),
        column: Some(column),
        key: String::new(),
        message: format!("the byte 0x{bad:02x} is not UTF-8 text"),
        advice: "save the file as UTF-8".to_owned(),
    };
    RecipeError { file: file.to_owned(), findings: vec![finding] }
}
