//! Does an edit: whole or not at all, only if the text is still what the finding saw, and nowhere but in the folder of
//! `cartridge.toml`. Mode and line ends of the file stay.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

use super::edit::Edit;
use crate::recipe::{EditError, FILE_NAME, save_atomically, set_field};

/// Files above this size, bytes, are not edited: what we mend is written by hand.
const LARGEST: u64 = 4 << 20;

/// An edit was not done. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The file is not in the folder of `cartridge.toml`, or belongs to git.
    #[error("{} was not edited: it is not a file of {}; change it by hand", file.display(), root.display())]
    Outside {
        /// What the edit names.
        file: PathBuf,
        /// The folder of `cartridge.toml`.
        root: PathBuf,
    },
    /// The line is not what it was when the finding was made.
    #[error("{}:{line} was not edited: {expected:?} should be there, not {}; check again", file.display(), shown(found))]
    Changed {
        /// The file.
        file: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What the edit expects.
        expected: String,
        /// What is there.
        found: Option<String>,
    },
    /// The file is larger than what is edited.
    #[error("{} was not edited: it has {size} bytes and at most {LARGEST} are read; change it by hand", file.display())]
    TooLarge {
        /// The file.
        file: PathBuf,
        /// Its size, bytes.
        size: u64,
    },
    /// `cartridge.toml` does not take the value.
    #[error("{FILE_NAME} was not edited: {0}")]
    Field(#[from] EditError),
    /// The value in `cartridge.toml` is no list of strings.
    #[error("{FILE_NAME} was not edited: {key} is no list of strings there; change it by hand")]
    NotAList {
        /// The field.
        key: String,
    },
    /// Reading or writing failed.
    #[error("cannot {doing} {}: {source}", file.display())]
    Io {
        /// `read` or `write`.
        doing: &'static str,
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

fn shown(found: &Option<String>) -> String {
    found.as_ref().map_or("not there".to_owned(), |found| format!("{found:?}"))
}

/// Does `edit` in `root`, the folder of `cartridge.toml`. Ask the user first if [`Edit::asks`].
///
/// # Errors
/// [`ApplyError`]; nothing is changed then.
pub fn apply(root: &Path, edit: &Edit) -> Result<(), ApplyError> {
    match edit {
        Edit::SetCartridgeField { .. } | Edit::AddToCartridgeList { .. } | Edit::RemoveFromCartridgeList { .. } => {
            in_cartridge(root, |text| edited(text, edit))
        }
        Edit::ReplaceLine { file, line, old, new } => in_file(root, file, |lines| {
            let (at, end) = expect(lines, file, *line, old)?;
            lines[at] = with_end(new, &end);
            Ok(())
        }),
        Edit::InsertLine { file, line, above, text } => in_file(root, file, |lines| {
            let (at, end) = expect(lines, file, line.saturating_sub(1), above)?;
            // A last line without an end takes the one that the file's first line has.
            let crlf = lines.first().is_some_and(|first| first.ends_with(b"\r\n"));
            let between = if !end.is_empty() {
                end.clone()
            } else if crlf {
                b"\r\n".to_vec()
            } else {
                b"\n".to_vec()
            };
            lines[at] = with_end(above, &between);
            lines.insert(at + 1, with_end(text, &end));
            Ok(())
        }),
        Edit::RemoveLine { file, line, old } => in_file(root, file, |lines| {
            let (at, _) = expect(lines, file, *line, old)?;
            lines.remove(at);
            Ok(())
        }),
        Edit::UnixLineEnds { file } => in_file(root, file, |lines| {
            for line in lines.iter_mut().filter(|line| line.ends_with(b"\r\n")) {
                line.truncate(line.len() - 2);
                line.push(b'\n');
            }
            Ok(())
        }),
        Edit::Chmod { file, mode } => {
            let target = inside(root, file)?;
            fs::set_permissions(&target, fs::Permissions::from_mode(mode & 0o7777)).map_err(failed("write", &target))
        }
    }
}

/// The text of a `cartridge.toml` after `edit`: for an editor that has changes which are not in the file. An edit of
/// another file changes nothing in it. Pure.
///
/// # Errors
/// [`ApplyError::Field`] and [`ApplyError::NotAList`].
pub fn edited(text: &str, edit: &Edit) -> Result<String, ApplyError> {
    match edit {
        Edit::SetCartridgeField { key, value } => Ok(set_field(text, key, value)?),
        Edit::AddToCartridgeList { key, value } => with_list(text, key, |items| {
            if !items.contains(value) {
                items.push(value.clone());
            }
        }),
        Edit::RemoveFromCartridgeList { key, value } => with_list(text, key, |items| {
            if let Some(at) = items.iter().position(|item| item == value) {
                items.remove(at);
            }
        }),
        _ => Ok(text.to_owned()),
    }
}

fn failed<'a>(doing: &'static str, file: &'a Path) -> impl Fn(io::Error) -> ApplyError + 'a {
    move |source| ApplyError::Io { doing, file: file.to_path_buf(), source }
}

/// The real path of a file of the repository.
fn inside(root: &Path, file: &Path) -> Result<PathBuf, ApplyError> {
    let outside = || ApplyError::Outside { file: file.to_path_buf(), root: root.to_path_buf() };
    let plain = file.components().all(|part| matches!(part, Component::Normal(name) if name != ".git"));
    if !plain || file.as_os_str().is_empty() {
        return Err(outside());
    }
    let real_root = root.canonicalize().map_err(failed("read", root))?;
    let target = real_root.join(file);
    let target = target.canonicalize().map_err(failed("read", &target))?;
    // A link of the repository may lead out of it.
    let below = target.strip_prefix(&real_root).map_err(|_| outside())?;
    if below.components().any(|part| part.as_os_str() == ".git") || !target.is_file() {
        return Err(outside());
    }
    Ok(target)
}

fn read(file: &Path) -> Result<Vec<u8>, ApplyError> {
    let size = fs::metadata(file).map_err(failed("read", file))?.len();
    if size > LARGEST {
        return Err(ApplyError::TooLarge { file: file.to_path_buf(), size });
    }
    fs::read(file).map_err(failed("read", file))
}

/// Changes the lines of a file, each with its own line end.
fn in_file(
    root: &Path,
    file: &Path,
    change: impl FnOnce(&mut Vec<Vec<u8>>) -> Result<(), ApplyError>,
) -> Result<(), ApplyError> {
    let target = inside(root, file)?;
    let old = read(&target)?;
    let mut lines: Vec<Vec<u8>> = old.split_inclusive(|&byte| byte == b'\n').map(<[u8]>::to_vec).collect();
    change(&mut lines)?;
    let new = lines.concat();
    if new == old { Ok(()) } else { save_atomically(&target, new).map_err(failed("write", &target)) }
}

/// The index and the line end of `line`, if it is still what it was.
fn expect(lines: &[Vec<u8>], file: &Path, line: usize, old: &str) -> Result<(usize, Vec<u8>), ApplyError> {
    let at = line.wrapping_sub(1);
    let found = lines.get(at).map(|line| {
        let end = if line.ends_with(b"\r\n") { 2 } else { usize::from(line.ends_with(b"\n")) };
        line.split_at(line.len() - end)
    });
    match found {
        Some((text, end)) if text == old.as_bytes() => Ok((at, end.to_vec())),
        found => Err(ApplyError::Changed {
            file: file.to_path_buf(),
            line,
            expected: old.to_owned(),
            found: found.map(|(text, _)| String::from_utf8_lossy(text).into_owned()),
        }),
    }
}

fn with_end(text: &str, end: &[u8]) -> Vec<u8> {
    let line_end = String::from_utf8_lossy(if end.is_empty() { b"\n" } else { end }).into_owned();
    [text.replace('\n', &line_end).as_bytes(), end].concat()
}

/// Changes `cartridge.toml`, which may not be there yet.
fn in_cartridge(root: &Path, change: impl FnOnce(&str) -> Result<String, ApplyError>) -> Result<(), ApplyError> {
    let file = root.join(FILE_NAME);
    let text = match read(&file) {
        Err(ApplyError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Vec::new(),
        other => other?,
    };
    let text = String::from_utf8(text).map_err(|e| failed("read", &file)(io::Error::other(e)))?;
    let new = change(&text)?;
    if new == text { Ok(()) } else { save_atomically(&file, new).map_err(failed("write", &file)) }
}

fn with_list(text: &str, key: &str, change: impl FnOnce(&mut Vec<String>)) -> Result<String, ApplyError> {
    let mut items = list(text, key).ok_or_else(|| ApplyError::NotAList { key: key.to_owned() })?;
    change(&mut items);
    let value = toml::Value::Array(items.into_iter().map(toml::Value::String).collect()).to_string();
    Ok(set_field(text, key, if value == "[]" { "" } else { &value })?)
}

/// The items of a list of `cartridge.toml`; empty when it is not set.
fn list(text: &str, key: &str) -> Option<Vec<String>> {
    let document: toml::Table = toml::from_str(text.trim_start_matches('\u{feff}')).ok()?;
    let mut value = &toml::Value::Table(document);
    for name in key.split('.') {
        let Some(next) = value.as_table()?.get(name) else { return Some(Vec::new()) };
        value = next;
    }
    value.as_array()?.iter().map(|item| item.as_str().map(str::to_owned)).collect()
}
