//! Results that are kept by their content's hash: each appears whole or not at all, and only the last few of a kind stay.

use std::fs::{self, File, FileTimes};
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::BootError;

/// How many files of a kind stay.
const KEPT: usize = 8;
/// How many digits of its hash a file's name has.
const DIGITS: usize = 32;

/// The file `kind-<hash>` in `dir`, if it is there. It counts as used now.
pub(super) fn get(dir: &Path, kind: &str, hash: &blake3::Hash) -> Option<PathBuf> {
    let path = place(dir, kind, hash);
    let file = File::options().append(true).open(&path).ok()?;
    // Only the order of removal depends on it. When it was changed stays: by that a slot tells whether it still fits.
    let _ = file.set_times(FileTimes::new().set_accessed(SystemTime::now()));
    Some(path)
}

/// Writes it with `write`, and removes those of its kind that were not used for longest.
pub(super) fn put(
    dir: &Path,
    (kind, hash): (&str, &blake3::Hash),
    write: impl FnOnce(&mut BufWriter<&File>) -> io::Result<()>,
) -> Result<PathBuf, BootError> {
    let path = place(dir, kind, hash);
    let failed = BootError::io("write", &path);
    fs::create_dir_all(dir).map_err(BootError::io("make", dir))?;
    let draft = tempfile::Builder::new().prefix(".draft-").tempfile_in(dir).map_err(&failed)?;
    let mut out = BufWriter::with_capacity(1 << 18, draft.as_file());
    let written = write(&mut out).and_then(|()| out.into_inner().map_err(io::IntoInnerError::into_error).map(drop));
    written.and_then(|()| draft.as_file().sync_data()).map_err(&failed)?;
    draft.persist(&path).map_err(|e| failed(e.error))?;
    prune(dir, kind, &path);
    Ok(path)
}

/// The content of `path`: told by its name where it is a result in `dir`, or else by reading it.
pub(crate) fn content(dir: &Path, path: &Path) -> io::Result<String> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let is_hash = |it: &str| it.len() == DIGITS && it.bytes().all(|byte| byte.is_ascii_hexdigit());
    if path.parent() == Some(dir) && name.rsplit_once('-').is_some_and(|(_, hash)| is_hash(hash)) {
        // It must be there all the same.
        return File::open(path).map(|_| name.to_owned());
    }
    let mut hasher = blake3::Hasher::new();
    io::copy(&mut File::open(path)?, &mut hasher)?;
    Ok(hasher.finalize().to_hex().to_string())
}

fn place(dir: &Path, kind: &str, hash: &blake3::Hash) -> PathBuf {
    dir.join(format!("{kind}-{}", &hash.to_hex()[..DIGITS]))
}

/// A file that QEMU still reads stays readable: it has it open. What cannot be removed stays.
fn prune(dir: &Path, kind: &str, new: &Path) {
    let ours = |name: &std::ffi::OsStr| {
        name.to_str().and_then(|it| it.strip_prefix(kind)).is_some_and(|it| it.starts_with('-'))
    };
    let entries = fs::read_dir(dir).into_iter().flatten().flatten().filter(|it| ours(&it.file_name()));
    let mut found: Vec<(SystemTime, PathBuf)> =
        entries.filter_map(|it| Some((it.metadata().ok()?.accessed().ok()?, it.path()))).collect();
    found.sort_by(|a, b| b.cmp(a));
    for (_, path) in found.into_iter().filter(|(_, path)| path != new).skip(KEPT - 1) {
        let _ = fs::remove_file(path);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_results_content_is_known_by_its_name_and_any_other_by_reading() {
        let dir = tempfile::tempdir().unwrap();
        let result = put(dir.path(), ("a", &blake3::hash(b"x")), |out| out.write_all(b"1")).unwrap();
        assert_eq!(content(dir.path(), &result).unwrap(), result.file_name().unwrap().to_str().unwrap());
        let other = dir.path().join("vmlinuz-6.1");
        fs::write(&other, "2").unwrap();
        assert_eq!(content(dir.path(), &other).unwrap(), blake3::hash(b"2").to_hex().as_str());
        assert_eq!(content(Path::new("/elsewhere"), &result).unwrap(), blake3::hash(b"1").to_hex().as_str());
        assert!(content(dir.path(), &place(dir.path(), "a", &blake3::hash(b"y"))).is_err());
    }

    #[test]
    fn a_failed_draft_leaves_nothing_and_old_results_go() {
        let dir = tempfile::tempdir().unwrap();
        let hash = |it: u32| blake3::hash(&it.to_le_bytes());
        put(dir.path(), ("a", &hash(0)), |_| Err(io::Error::other("full"))).unwrap_err();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        put(dir.path(), ("b", &hash(0)), |out| out.write_all(b"other")).unwrap();
        for it in 0..20 {
            let path = put(dir.path(), ("a", &hash(it)), |out| out.write_all(b"x")).unwrap();
            assert_eq!(get(dir.path(), "a", &hash(it)), Some(path));
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), KEPT + 1);
        assert!(get(dir.path(), "b", &hash(0)).is_some() && get(dir.path(), "b", &hash(1)).is_none());
    }
}
