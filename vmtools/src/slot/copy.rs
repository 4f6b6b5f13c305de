//! Copies of files that a guest writes to: shared blocks where the file system can do that, holes kept elsewhere.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use cartridge_supervise::Cancel;
use rustix::fs::SeekFrom as Hole;

/// How much is copied between two looks at the token, bytes.
const PIECE: u64 = 1024 * 1024;

/// Copies `from` to `to`, which must not exist. `None`: it was cancelled, and there may be a part of it. Blocks.
pub(super) fn copy(from: &Path, to: &Path, cancel: &Cancel) -> io::Result<Option<()>> {
    let source = File::open(from)?;
    let mut target = File::options().write(true).create_new(true).open(to)?;
    if rustix::fs::ioctl_ficlone(&target, &source).is_ok() {
        return Ok(Some(()));
    }
    copy_content(source, &mut target, cancel)
}

/// Copies what is in `source` to `target`, which is empty, and leaves out what is in neither. `None`: it was cancelled. Blocks.
pub(crate) fn copy_content(mut source: File, target: &mut File, cancel: &Cancel) -> io::Result<Option<()>> {
    let length = source.metadata()?.len();
    let mut at = 0;
    while at < length {
        let Some((start, end)) = next_data(&source, at, length)? else { break };
        source.seek(SeekFrom::Start(start))?;
        target.seek(SeekFrom::Start(start))?;
        let mut left = end - start;
        while left > 0 {
            if cancel.is_cancelled() {
                return Ok(None);
            }
            let copied = io::copy(&mut (&mut source).take(left.min(PIECE)), target)?;
            if copied == 0 {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it became shorter while it was copied"));
            }
            left -= copied;
        }
        at = end;
    }
    target.set_len(length)?;
    target.flush()?;
    Ok(Some(()))
}

/// The next stretch at or after `at` that is no hole (lseek(2), `SEEK_DATA`); a file system without holes is all data.
fn next_data(file: &File, at: u64, length: u64) -> io::Result<Option<(u64, u64)>> {
    let start = match rustix::fs::seek(file, Hole::Data(at)) {
        Ok(start) => start,
        Err(rustix::io::Errno::NXIO) => return Ok(None),
        Err(rustix::io::Errno::INVAL) => return Ok(Some((at, length))),
        Err(e) => return Err(e.into()),
    };
    let end = rustix::fs::seek(file, Hole::Hole(start))?;
    Ok((start < length).then(|| (start, end.min(length))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn holes_stay_holes_and_everything_else_arrives() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("a"), dir.path().join("b"));
        let mut file = File::create(&from).unwrap();
        file.write_all(b"start").unwrap();
        file.seek(SeekFrom::Start(40 << 20)).unwrap();
        file.write_all(&[7; 3000]).unwrap();
        file.set_len(100 << 20).unwrap();
        drop(file);
        assert_eq!(copy(&from, &to, &Cancel::new()).unwrap(), Some(()));
        assert_eq!(std::fs::read(&from).unwrap(), std::fs::read(&to).unwrap());
        assert!(to.metadata().unwrap().blocks() * 512 < 1 << 20);
        assert_eq!(copy(&from, &to, &Cancel::new()).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        std::fs::write(&from, "").unwrap();
        assert_eq!(copy(&from, &dir.path().join("c"), &Cancel::new()).unwrap(), Some(()));
    }

    #[test]
    fn a_cancel_stops_it() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a"), vec![1; 3 << 20]).unwrap();
        let cancel = Cancel::new();
        cancel.cancel();
        let copied = copy(&dir.path().join("a"), &dir.path().join("b"), &cancel).unwrap();
        // A file system that shares blocks has nothing to stop.
        assert!(copied.is_none() || dir.path().join("b").metadata().unwrap().len() == 3 << 20);
    }
}
