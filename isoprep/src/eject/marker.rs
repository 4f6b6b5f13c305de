//! The marker file that makes a directory ours: without it nothing is ever deleted.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, FileType, FlockOperation, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use super::error::{EjectError, Refusal};
use super::stat::look;

/// The marker file's name.
pub const MARKER: &str = ".cartridge-work";
/// How a marker's file is called, with its token behind, before it is whole.
pub(super) const MARKER_DRAFT: &str = ".cartridge-work.";

/// First line of a marker; the number is the format's version.
const HEAD: &str = "cartridge-work 1";
/// Longest marker that is read, bytes.
const LIMIT: u64 = 4096;
/// How many random bytes a token has.
const TOKEN: usize = 16;

/// What a marker says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marker {
    /// 32 hexadecimal digits, random: tells one work directory from another of the same name.
    pub token: String,
    /// What the directory is for: a session's name, "cache".
    pub name: String,
}

impl Marker {
    /// A marker with a new token. Control characters in `name` are replaced.
    pub(super) fn new(name: &str) -> io::Result<Self> {
        let mut random = [0; TOKEN];
        File::open("/dev/urandom")?.read_exact(&mut random)?;
        let token = random.iter().map(|byte| format!("{byte:02x}")).collect();
        let name = name.chars().map(|c| if c.is_control() { '-' } else { c }).take(200).collect();
        Ok(Self { token, name })
    }

    fn render(&self) -> String {
        format!("{HEAD}\ntoken {}\nname {}\n", self.token, self.name)
    }

    /// Reads a marker's text.
    fn parse(text: &str) -> Result<Self, &'static str> {
        let mut lines = text.lines();
        if lines.next() != Some(HEAD) {
            return Err("its first line is another");
        }
        let token = lines.next().and_then(|line| line.strip_prefix("token ")).ok_or("it has no token")?;
        if token.len() != 2 * TOKEN || !token.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err("its token is not one");
        }
        let name = lines.next().and_then(|line| line.strip_prefix("name ")).ok_or("it has no name")?;
        Ok(Self { token: token.to_owned(), name: name.to_owned() })
    }

    /// Writes the marker into `dir`, which must not have one: whole, or not at all.
    pub(super) fn write(&self, dir: impl AsFd) -> io::Result<()> {
        // Without a name until it is whole: whatever ends us before leaves nothing.
        let flags = OFlags::WRONLY | OFlags::TMPFILE | OFlags::CLOEXEC;
        match rustix::fs::openat(&dir, ".", flags, Mode::RUSR | Mode::WUSR) {
            Ok(fd) => {
                let mut file = File::from(fd);
                file.write_all(self.render().as_bytes())?;
                file.sync_all()?;
                let whole = format!("/proc/self/fd/{}", file.as_raw_fd());
                match rustix::fs::linkat(CWD, &whole, &dir, MARKER, AtFlags::SYMLINK_FOLLOW) {
                    Ok(()) => Ok(()),
                    Err(Errno::EXIST) => Err(Errno::EXIST.into()),
                    // No /proc, as in a sandbox, or a file system that gives such a file no name.
                    Err(_) => self.write_by_draft(&dir),
                }
            }
            // Not every file system has files without names (open(2), O_TMPFILE).
            Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL | Errno::NOENT) => self.write_by_draft(&dir),
            Err(error) => Err(error.into()),
        }
    }

    fn write_by_draft(&self, dir: impl AsFd) -> io::Result<()> {
        let draft = format!("{MARKER_DRAFT}{}", self.token);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file = File::from(rustix::fs::openat(&dir, &draft, flags, Mode::RUSR | Mode::WUSR)?);
        let written = file.write_all(self.render().as_bytes()).and_then(|()| file.sync_all()).and_then(|()| {
            rustix::fs::renameat_with(&dir, &draft, &dir, MARKER, RenameFlags::NOREPLACE).map_err(io::Error::from)
        });
        if written.is_err() {
            // A full disk must not leave half a marker, which nobody would ever believe.
            let _ = rustix::fs::unlinkat(&dir, &draft, AtFlags::empty());
        }
        written
    }
}

/// An open marker: proof that the directory was ours when it was opened.
#[derive(Debug)]
pub(super) struct OpenMarker {
    pub marker: Marker,
    fd: OwnedFd,
}

impl OpenMarker {
    /// Opens and reads the marker in `dir`, following no link. `path` is for messages.
    pub(super) fn open(dir: impl AsFd, path: &Path) -> Result<Self, EjectError> {
        let refused = |reason| EjectError::refused(path, reason);
        let bad = |wrong| refused(Refusal::BadMarker(wrong));
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        let fd = match rustix::fs::openat(&dir, MARKER, flags, Mode::empty()) {
            Ok(fd) => fd,
            Err(Errno::NOENT) => return Err(refused(Refusal::NoMarker)),
            Err(Errno::LOOP) => return Err(bad("it is a symbolic link")),
            // A socket cannot be opened at all.
            Err(Errno::NXIO) => return Err(bad("it is not a regular file")),
            Err(error) => return Err(EjectError::system("open", path.join(MARKER), error)),
        };
        let found = look(&fd, "").map_err(|error| EjectError::system("look at", path.join(MARKER), error))?;
        let around = look(&dir, "").map_err(|error| EjectError::system("look at", path, error))?;
        if found.kind != FileType::RegularFile {
            return Err(bad("it is not a regular file"));
        }
        if found.owner != rustix::process::geteuid().as_raw() {
            return Err(bad("it belongs to another user"));
        }
        // A hard link to a marker of ours must not make somebody's directory ours.
        if found.names != 1 {
            return Err(bad("it has a second name"));
        }
        if found.identity.mount != around.identity.mount {
            return Err(bad("something is mounted on it"));
        }
        let mut text = String::new();
        let file = File::from(fd);
        match (&file).take(LIMIT).read_to_string(&mut text) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::InvalidData => return Err(bad("it is not text")),
            Err(error) => return Err(EjectError::system("read", path.join(MARKER), error)),
        }
        let marker = Marker::parse(&text).map_err(bad)?;
        Ok(Self { marker, fd: file.into() })
    }

    /// Keeps other ejects of the same directory out for as long as this lives.
    pub(super) fn lock(&self, path: &Path) -> Result<(), EjectError> {
        match rustix::fs::flock(&self.fd, FlockOperation::NonBlockingLockExclusive) {
            // Some network file systems have no locks, or none for readers; the walk itself is safe without.
            Ok(()) | Err(Errno::NOLCK | Errno::NOTSUP | Errno::BADF) => Ok(()),
            Err(Errno::WOULDBLOCK) => Err(EjectError::refused(path, Refusal::Busy)),
            Err(error) => Err(EjectError::system("lock", path.join(MARKER), error)),
        }
    }

    /// Deletes the marker if it is still the one that was read.
    pub(super) fn remove(&self, dir: impl AsFd) -> Result<(), Errno> {
        if look(&dir, MARKER)?.identity != look(&self.fd, "")?.identity {
            return Err(Errno::STALE);
        }
        rustix::fs::unlinkat(dir, MARKER, AtFlags::empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back_and_two_tokens_differ() {
        let marker = Marker::new("a\nb name").unwrap();
        assert_eq!(Marker::parse(&marker.render()), Ok(marker.clone()));
        assert_eq!(marker.name, "a-b name");
        assert_ne!(Marker::new("x").unwrap().token, marker.token);
    }

    #[test]
    fn a_marker_is_written_once_by_either_way_and_leaves_no_draft() {
        for draft in [false, true] {
            let dir = tempfile::tempdir().unwrap();
            let root = File::open(dir.path()).unwrap();
            let marker = Marker::new("x").unwrap();
            let write = |it: &Marker| if draft { it.write_by_draft(&root) } else { it.write(&root) };
            write(&marker).unwrap();
            assert_eq!(write(&Marker::new("y").unwrap()).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
            assert_eq!(OpenMarker::open(&root, dir.path()).unwrap().marker, marker);
            assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        }
    }

    #[test]
    fn other_texts_are_no_markers() {
        let token = "0".repeat(32);
        for text in ["", "hello", "cartridge-work 1\n", "cartridge-work 1\ntoken x\nname y\n", "cartridge-work 2\n"] {
            assert!(Marker::parse(text).is_err(), "{text:?}");
        }
        assert!(Marker::parse(&format!("{HEAD}\ntoken {token}\n")).is_err());
        assert!(Marker::parse(&format!("{HEAD}\ntoken {token}\nname \n")).is_ok());
    }
}
