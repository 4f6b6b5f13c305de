//! Opens the disk that was meant, so that nobody else can use it meanwhile; and proves the same of what somebody else has opened
//! for us. Whatever was known before is looked at again here: a name is used again as soon as a stick is pulled.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{FileType, Mode, OFlags, SeekFrom, fcntl_getfl, fcntl_setfl, fstat, seek};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::disk::{DeviceNumber, Disk};
use crate::read::{Tree, scan};
use crate::verdict::{Policy, Refusal, verdict};

/// The disk that was meant, as it was when somebody said yes to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    /// The kernel's name.
    pub name: String,
    /// Its number.
    pub number: DeviceNumber,
    /// The kernel's count of disks and media, where there is one.
    pub sequence: Option<u64>,
    /// Its size.
    pub bytes: u64,
}

impl Wanted {
    /// That disk.
    #[must_use]
    pub fn of(disk: &Disk) -> Self {
        Self { name: disk.name.clone(), number: disk.number, sequence: disk.sequence, bytes: disk.bytes }
    }

    /// Whether `disk` is still the one.
    #[must_use]
    pub fn is(&self, disk: &Disk) -> bool {
        *self == Self::of(disk)
    }

    /// Whether it is still there.
    #[must_use]
    pub fn is_there(&self, tree: &Tree) -> bool {
        let dir = tree.sys.join(format!("dev/block/{}", self.number));
        let number = |name| std::fs::read_to_string(dir.join(name)).ok()?.trim().parse::<u64>().ok();
        // The medium of a reader goes without the reader: then it has no size.
        number("size").is_some_and(|size| size > 0) && self.sequence.is_none_or(|it| number("diskseq") == Some(it))
    }
}

/// Why a disk was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It is not there any more.
    #[error("/dev/{0} is not there any more")]
    Gone(String),
    /// Another one has its name.
    #[error("/dev/{0} is another disk now, or has another medium in it")]
    Another(String),
    /// It is not to be written to.
    #[error("/dev/{name} is not written to: {refusal}")]
    Refused {
        /// Its name.
        name: String,
        /// Why.
        refusal: Refusal,
    },
    /// It could not be opened for us alone.
    #[error("/dev/{0} is in use by something that is not seen from here")]
    InUse(String),
    /// The system does not let us.
    #[error("/dev/{name} may not be written to by this user")]
    Denied {
        /// Its name.
        name: String,
        /// What the system said.
        source: io::Error,
    },
    /// What was opened is no disk at all.
    #[error("what was opened as /dev/{0} is no disk")]
    NoDisk(String),
    /// Something else failed.
    #[error("/dev/{name} could not be opened: {source}")]
    Io {
        /// Its name.
        name: String,
        /// What the system said.
        source: io::Error,
    },
}

/// How a disk is opened: for us alone (nobody can mount it, or a partition of it, meanwhile), and around the page cache.
const HOW: OFlags = OFlags::RDWR
    .union(OFlags::EXCL)
    .union(OFlags::DIRECT)
    .union(OFlags::CLOEXEC)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::NOCTTY)
    .union(OFlags::NONBLOCK);

/// Opens the disk that was meant for `needed` bytes.
///
/// # Errors
/// [`OpenError`]; then nothing is open.
pub fn open(tree: &Tree, wanted: &Wanted, needed: u64, policy: Policy) -> Result<OwnedFd, OpenError> {
    let name = || wanted.name.clone();
    // First without opening: so an open of what is refused is not even tried.
    acceptable(tree, wanted, needed, policy)?;
    let opened = rustix::io::retry_on_intr(|| rustix::fs::open(crate::disk::node(&wanted.name), HOW, Mode::empty()));
    let fd = opened.map_err(|errno| match errno {
        Errno::BUSY => OpenError::InUse(name()),
        Errno::NOENT | Errno::NXIO | Errno::NODEV | Errno::NOMEDIUM => OpenError::Gone(name()),
        Errno::ACCESS | Errno::PERM => OpenError::Denied { name: name(), source: errno.into() },
        Errno::ROFS => OpenError::Refused { name: name(), refusal: Refusal::ReadOnly },
        errno => OpenError::Io { name: name(), source: errno.into() },
    })?;
    check_open(&fd, tree, wanted, needed, policy)?;
    Ok(fd)
}

/// Proves of what is open that it is the disk that was meant, and that it may be written to; makes it go around the page cache.
///
/// # Errors
/// [`OpenError`]; what is open must not be written to then.
pub fn check_open(fd: impl AsFd, tree: &Tree, wanted: &Wanted, needed: u64, policy: Policy) -> Result<Disk, OpenError> {
    let fd = fd.as_fd();
    let io = |errno: Errno| OpenError::Io { name: wanted.name.clone(), source: errno.into() };
    let stat = fstat(fd).map_err(io)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::BlockDevice {
        return Err(OpenError::NoDisk(wanted.name.clone()));
    }
    let number = DeviceNumber { major: rustix::fs::major(stat.st_rdev), minor: rustix::fs::minor(stat.st_rdev) };
    // As long as it is open its number is nobody else's.
    if number != wanted.number {
        return Err(OpenError::Another(wanted.name.clone()));
    }
    let disk = acceptable(tree, wanted, needed, policy)?;
    let end = seek(fd, SeekFrom::End(0)).map_err(io)?;
    if end != disk.bytes {
        return Err(OpenError::Another(wanted.name.clone()));
    }
    let flags = fcntl_getfl(fd).map_err(io)?;
    if !flags.contains(OFlags::RDWR) {
        return Err(OpenError::Refused { name: wanted.name.clone(), refusal: Refusal::ReadOnly });
    }
    let direct = (flags | OFlags::DIRECT).difference(OFlags::NONBLOCK);
    if flags != direct {
        fcntl_setfl(fd, direct).map_err(io)?;
    }
    Ok(disk)
}

/// The disk that was meant, if it is still that one and may be written to.
///
/// # Errors
/// [`OpenError`].
pub fn acceptable(tree: &Tree, wanted: &Wanted, needed: u64, policy: Policy) -> Result<Disk, OpenError> {
    let name = || wanted.name.clone();
    let disks = scan(tree).map_err(|source| OpenError::Io { name: name(), source })?;
    let Some(disk) = disks.into_iter().find(|it| it.number == wanted.number) else {
        return Err(OpenError::Gone(name()));
    };
    if !wanted.is(&disk) {
        return Err(OpenError::Another(name()));
    }
    verdict(&disk, needed, policy).map_err(|refusal| OpenError::Refused { name: name(), refusal })?;
    Ok(disk)
}
