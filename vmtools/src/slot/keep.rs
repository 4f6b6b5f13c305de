//! What a guest reads and does not write, kept in its slot: an image that is built anew must not change beneath a guest
//! that has half of the old one in its memory.

use std::io;
use std::path::Path;

use cartridge_supervise::Cancel;

use super::copy::copy;

/// Keeps `from` as `to`: with shared blocks, as one more name of the same file, or as a copy. A file that is replaced, as
/// builds do it, leaves the kept one as it was; one that is written to does not, which its size and time tell. `None`: it
/// was cancelled. Blocks.
pub(super) fn keep(from: &Path, to: &Path, cancel: &Cancel) -> io::Result<Option<()>> {
    if shares_blocks(from, to)? || std::fs::hard_link(from.canonicalize()?, to).is_ok() {
        return Ok(Some(()));
    }
    let copied = copy(from, to, cancel)?;
    if copied.is_some() {
        // Its time is what it is recognised by.
        let changed = from.metadata()?.modified()?;
        std::fs::File::options().write(true).open(to)?.set_modified(changed)?;
    }
    Ok(copied)
}

fn shares_blocks(from: &Path, to: &Path) -> io::Result<bool> {
    let source = std::fs::File::open(from)?;
    let target = std::fs::File::options().write(true).create_new(true).open(to)?;
    if rustix::fs::ioctl_ficlone(&target, &source).is_ok() {
        target.set_modified(source.metadata()?.modified()?)?;
        return Ok(true);
    }
    drop(target);
    std::fs::remove_file(to)?;
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_file_that_is_replaced_stays_in_the_slot() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::write(at("image"), "old").unwrap();
        std::os::unix::fs::symlink(at("image"), at("link")).unwrap();
        keep(&at("link"), &at("kept0"), &Cancel::new()).unwrap().unwrap();
        assert_eq!(
            fs::metadata(at("kept0")).unwrap().modified().unwrap(),
            fs::metadata(at("image")).unwrap().modified().unwrap()
        );
        fs::write(at("new"), "new").unwrap();
        fs::rename(at("new"), at("image")).unwrap();
        assert_eq!(fs::read(at("kept0")).unwrap(), b"old");
        assert!(fs::symlink_metadata(at("kept0")).unwrap().is_file());
        assert!(keep(&at("absent"), &at("kept1"), &Cancel::new()).is_err());
    }

    #[test]
    fn another_file_system_gets_a_copy_with_its_time() {
        let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir_in("/dev/shm").unwrap());
        let (from, to) = (dir.path().join("image"), other.path().join("kept0"));
        fs::write(&from, "x").unwrap();
        keep(&from, &to, &Cancel::new()).unwrap().unwrap();
        assert_eq!(fs::metadata(&from).unwrap().modified().unwrap(), fs::metadata(&to).unwrap().modified().unwrap());
    }
}
