//! Small text files of a profile, read with bounds: no pipe or device holds us, nothing endless fills the memory.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::stage::hashing::{open, open_part};

/// The largest text file of a profile that is read whole, bytes. The longest package lists have a hundredth of that.
pub(super) const LARGEST: u64 = 1 << 20;
/// How many files of a folder are read.
const MOST: usize = 300;

/// The text of a file.
#[derive(Debug)]
pub(super) struct Text {
    pub(super) text: String,
    /// What was wrong with it, for a warning.
    pub(super) wrong: Option<&'static str>,
}

/// Reads a regular file; links are followed.
pub(super) fn read(path: &Path) -> io::Result<Text> {
    text_of(open_part(path)?)
}

/// Reads a regular file that is no link.
pub(super) fn read_no_link(path: &Path) -> io::Result<Text> {
    text_of(open(path)?)
}

fn text_of(file: File) -> io::Result<Text> {
    let mut bytes = Vec::new();
    file.take(LARGEST + 1).read_to_end(&mut bytes)?;
    let cut = bytes.len() as u64 > LARGEST;
    if cut {
        bytes.truncate(bytes.len() - 1);
    }
    let (text, is_text) = match String::from_utf8(bytes) {
        Ok(text) => (text, true),
        Err(e) => (String::from_utf8_lossy(e.as_bytes()).into_owned(), false),
    };
    let wrong = match (cut, is_text) {
        (true, _) => Some("is longer than 1 MiB; the rest is not read"),
        (false, false) => Some("is not UTF-8 text; what is not was replaced"),
        (false, true) => None,
    };
    Ok(Text { text, wrong })
}

/// The files of a folder whose names end with `suffix`, sorted; none if there is no such folder.
pub(super) fn files_in(dir: &Path, suffix: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let is_wanted = |path: &PathBuf| {
        // As `*.cfg` of a shell, which leaves hidden files out.
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        name.ends_with(suffix) && !name.starts_with('.')
    };
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(is_wanted).take(MOST).collect();
    files.sort();
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_files_are_cut_and_pipes_and_devices_are_refused() {
        let top = tempfile::tempdir().unwrap();
        let at = |name: &str| top.path().join(name);
        fs::write(at("long"), vec![b'x'; LARGEST as usize + 5]).unwrap();
        let long = read(&at("long")).unwrap();
        assert_eq!((long.text.len() as u64, long.wrong.is_some()), (LARGEST, true));
        fs::write(at("bytes"), b"a\xffb").unwrap();
        assert_eq!(read(&at("bytes")).unwrap().text, "a\u{fffd}b");
        rustix::fs::mknodat(rustix::fs::CWD, at("pipe"), rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        assert!(read(&at("pipe")).is_err());
        assert!(read(Path::new("/dev/zero")).is_err());
        assert!(read(top.path()).is_err());
        std::os::unix::fs::symlink("bytes", at("link")).unwrap();
        assert!(read(&at("link")).is_ok() && read_no_link(&at("link")).is_err());
        fs::write(at(".x.cfg"), "").unwrap();
        fs::write(at("b.cfg"), "").unwrap();
        fs::write(at("a.cfg"), "").unwrap();
        assert_eq!(files_in(top.path(), ".cfg"), [at("a.cfg"), at("b.cfg")]);
        assert!(files_in(&at("nowhere"), ".cfg").is_empty());
    }
}
