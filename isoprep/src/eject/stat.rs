//! What an entry is and which mount it is on, from one `statx(2)`.

use std::ffi::OsStr;
use std::os::fd::AsFd;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, FileType, OFlags, ResolveFlags, Statx, StatxAttributes, StatxFlags};
use rustix::io::Errno;

/// `STATX_MNT_ID_UNIQUE`, Linux 6.8: an id that is never used again (linux/stat.h). rustix has no name for it.
const MNT_ID_UNIQUE: StatxFlags = StatxFlags::from_bits_retain(0x4000);

/// Which object it is: no two living ones are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub mount: u64,
    pub device: (u32, u32),
    pub inode: u64,
}

/// What we need to know about an entry.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    pub identity: Identity,
    pub kind: FileType,
    /// Permission bits.
    pub mode: u32,
    pub owner: u32,
    /// How many names it has.
    pub names: u32,
    /// What deleting it frees, bytes: 0 for all but regular files, and for those that have another name elsewhere.
    pub bytes: u64,
    /// Something is mounted on it, or it is the root of a mount.
    pub mount_root: bool,
    /// `chattr +i` or `+a`: nobody can delete it.
    pub immutable: bool,
}

/// Looks at `name` in `dir`, or at `dir` itself when `name` is empty. Never follows a link, never mounts anything.
///
/// `ENOTSUP` when the kernel does not say which mount it is on (before Linux 5.8).
pub(super) fn look(dir: impl AsFd, name: impl rustix::path::Arg) -> Result<Found, Errno> {
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT | AtFlags::EMPTY_PATH;
    // The kernel answers with the unique id if it knows it, else with the reusable one.
    let wanted = StatxFlags::BASIC_STATS | StatxFlags::MNT_ID | MNT_ID_UNIQUE;
    judge(&rustix::fs::statx(dir, name, flags, wanted)?)
}

fn judge(stat: &Statx) -> Result<Found, Errno> {
    let answered = StatxFlags::from_bits_retain(stat.stx_mask);
    if !answered.intersects(StatxFlags::MNT_ID | MNT_ID_UNIQUE) {
        return Err(Errno::NOTSUP);
    }
    let kind = FileType::from_raw_mode(u32::from(stat.stx_mode));
    Ok(Found {
        identity: Identity {
            mount: stat.stx_mnt_id,
            device: (stat.stx_dev_major, stat.stx_dev_minor),
            inode: stat.stx_ino,
        },
        kind,
        mode: u32::from(stat.stx_mode) & 0o7777,
        owner: stat.stx_uid,
        names: stat.stx_nlink,
        bytes: if kind == FileType::RegularFile && stat.stx_nlink == 1 {
            stat.stx_blocks.saturating_mul(512)
        } else {
            0
        },
        mount_root: stat.stx_attributes.contains(StatxAttributes::MOUNT_ROOT),
        immutable: stat.stx_attributes.intersects(StatxAttributes::IMMUTABLE | StatxAttributes::APPEND),
    })
}

/// `AT_STATX_DONT_SYNC` (linux/fcntl.h): a file system is not asked, so that one that never answers holds nobody up.
pub(super) const UNASKED: AtFlags = AtFlags::from_bits_retain(0x4000);

/// The id of the mount comes unasked, and whoever asks another user's FUSE for anything is refused (Linux, fs/fuse/dir.c).
const NOTHING: StatxFlags = StatxFlags::empty();

/// The mount that `path` leads to, by the id that mount tables have; `follow` for the links of `/proc`, which lead to an object
/// itself, in whatever namespace.
pub(super) fn mount_of(path: &Path, follow: bool) -> Option<u64> {
    let link = if follow { AtFlags::empty() } else { AtFlags::SYMLINK_NOFOLLOW };
    let stat = rustix::fs::statx(CWD, path, link | AtFlags::NO_AUTOMOUNT | UNASKED, NOTHING).ok()?;
    StatxFlags::from_bits_retain(stat.stx_mask).contains(StatxFlags::MNT_ID).then_some(stat.stx_mnt_id)
}

/// A disk, or what stands for one, by its two numbers.
pub(super) type Disk = (u32, u32);

/// The file system that what `path` leads to is on, and the device that it is, if it is a disk; links of `/proc` are followed.
pub(super) fn disks_of(path: &Path) -> Option<(Disk, Option<Disk>)> {
    let stat = rustix::fs::statx(CWD, path, AtFlags::NO_AUTOMOUNT | UNASKED, NOTHING).ok()?;
    let disk = FileType::from_raw_mode(u32::from(stat.stx_mode)) == FileType::BlockDevice;
    Some(((stat.stx_dev_major, stat.stx_dev_minor), disk.then_some((stat.stx_rdev_major, stat.stx_rdev_minor))))
}

/// The mount that `name` in the open folder `dir` is on, or is the root of; links are not followed.
pub(super) fn mount_of_entry(dir: impl AsFd, name: &OsStr) -> Option<u64> {
    let stat =
        rustix::fs::statx(dir, name, AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT | UNASKED, NOTHING).ok()?;
    StatxFlags::from_bits_retain(stat.stx_mask).contains(StatxFlags::MNT_ID).then_some(stat.stx_mnt_id)
}

/// The mount of what is open, by the id that mount tables have.
pub(super) fn mount_id(open: impl AsFd) -> Option<u64> {
    let stat = rustix::fs::statx(open, "", AtFlags::EMPTY_PATH | UNASKED, NOTHING).ok()?;
    StatxFlags::from_bits_retain(stat.stx_mask).contains(StatxFlags::MNT_ID).then_some(stat.stx_mnt_id)
}

/// How a directory below ours is opened: no mount is crossed, no link is followed, nothing outside is reached.
pub(super) const BELOW: ResolveFlags = ResolveFlags::NO_XDEV
    .union(ResolveFlags::NO_SYMLINKS)
    .union(ResolveFlags::NO_MAGICLINKS)
    .union(ResolveFlags::BENEATH);

/// Flags to open a directory for reading its entries.
pub(super) const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC).union(OFlags::NONBLOCK);
