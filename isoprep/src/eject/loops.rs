//! Loop devices that show a file of the work directory as a disk: whatever is done to the file, they keep it.
//!
//! The path that the kernel tells of such a file is the one that it was opened by: in another mount namespace, or through a bind
//! mount, it says nothing about where the file lies. So the file is known by its device and inode, where the device may be asked,
//! and its place by the mount table; where neither a path leads to it, the work directory is searched for it.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use cartridge_supervise::{Cancel, CommandLine};
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use rustix::ioctl;

use super::descriptors::open_below;
use super::guard::Target;
use super::holders::{self, Wanted};
use super::level::Level;
use super::mountinfo::{Mount, Place};
use super::names::{Visitor, walk};
use super::namespaces;
use super::processes::Name;
use super::stat::{Disk, look, mount_id};
use super::unmount::{self, PROC, Remaining, table};

/// What the kernel tells of block devices.
const BLOCKS: &str = "/sys/block";
/// How long one that detaches itself after an unmount may take: whoever looks at disks may have it open just then.
const GRACE: Duration = Duration::from_secs(2);
const BEAT: Duration = Duration::from_millis(20);
/// How often a search begins anew that something broke off.
const TRIES: u32 = 3;

/// A loop device that shows a file.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Loop {
    /// `loop3`.
    name: String,
    /// The path of the file, as whoever attached it opened it.
    shown: PathBuf,
    /// Its own number and those of its partitions, as mount tables have them: `7:3`.
    devices: Vec<String>,
    /// Devices that are made of it or of its partitions: `dm-0`.
    above: Vec<String>,
}

/// Which file it is: its device, major and minor, and its inode.
type File = (Disk, u64);

/// One that shows a file inside the directory.
struct Inside {
    device: Loop,
    /// The file, as the directory is called here.
    path: PathBuf,
    file: File,
}

/// Detaches those that show a file inside the directory, and returns those that stay.
pub(super) fn detach(target: &Target, known: &[Name], cancel: &Cancel) -> Vec<Remaining> {
    let until = Instant::now() + GRACE;
    let (found, unsure) = inside(target, cancel);
    loop {
        let stay: Vec<Stays> = found.iter().filter_map(|one| stays(one, true)).collect();
        if stay.is_empty() || Instant::now() >= until || cancel.is_cancelled() {
            return [held(stay, known), unsure].concat();
        }
        std::thread::sleep(BEAT);
    }
}

/// Those that show a file inside the directory, and what that means for an eject.
pub(super) fn seen(target: &Target) -> Vec<Remaining> {
    let (found, unsure) = inside(target, &Cancel::new());
    [held(found.iter().filter_map(|one| stays(one, false)).collect(), &[]), unsure].concat()
}

/// One that stays, and the numbers of the disks that whoever has open, or has something on, keeps.
type Stays = (Remaining, Vec<Disk>);

/// Names who has them open.
fn held(stay: Vec<Stays>, known: &[Name]) -> Vec<Remaining> {
    if stay.iter().all(|(_, disks)| disks.is_empty()) {
        return stay.into_iter().map(|(remaining, _)| remaining).collect();
    }
    let wanted = |(_, disks): &Stays| Wanted { ids: Vec::new(), point: None, fuse: None, disks: disks.clone() };
    let holders = holders::of(Path::new(PROC), &stay.iter().map(wanted).collect::<Vec<_>>(), known);
    stay.into_iter().zip(holders).map(|((remaining, _), holders)| Remaining { holders, ..remaining }).collect()
}

/// Those that show a file inside the directory, and those that may, since not all of it could be read.
fn inside(target: &Target, cancel: &Cancel) -> (Vec<Inside>, Vec<Remaining>) {
    let table = table().unwrap_or_default();
    let place = unmount::place(&table, &target.path, &target.root);
    let (mut found, mut sought) = (Vec::new(), Vec::new());
    for device in attached(Path::new(BLOCKS)) {
        let file = status(&Path::new("/dev").join(&device.name));
        // Files on other disks are none of ours.
        if file.is_some_and(|(disk, _)| !may_be_on(target, disk)) {
            continue;
        }
        match resolve(target, place.as_ref(), &table, &device.shown, file) {
            Resolved::Inside(path, file) => found.push(Inside { device, path, file }),
            Resolved::Elsewhere => {}
            Resolved::Unknown => sought.extend(file.map(|file| (device, file))),
        }
    }
    let Some(seen) = (if sought.is_empty() { Some(Vec::new()) } else { search(target, &sought, cancel) }) else {
        return (found, sought.into_iter().map(|(device, _)| may_show(target, &device)).collect());
    };
    let path = |file: &File| seen.iter().find(|it| it.0 == *file).map(|it| it.1.clone());
    found.extend(sought.into_iter().filter_map(|(device, file)| Some(Inside { device, path: path(&file)?, file })));
    (found, Vec::new())
}

fn may_show(target: &Target, device: &Loop) -> Remaining {
    let node = Path::new("/dev").join(&device.name);
    Remaining {
        path: target.path.clone(),
        what: format!("{} (loop device)", node.display()),
        why: "it may show a file of this directory as a disk: not all of it could be read".to_owned(),
        advice: Some(CommandLine::new("lsblk").arg(&node).to_string()),
        holders: Vec::new(),
    }
}

/// What a path means for a directory.
enum Resolved {
    Inside(PathBuf, File),
    Elsewhere,
    /// It does not lead to the file, as far as we may see.
    Unknown,
}

/// Where the file lies that is `shown`, which is known to be `file` where the device could be asked.
fn resolve(target: &Target, place: Option<&Place>, table: &[Mount], shown: &Path, file: Option<File>) -> Resolved {
    if let Ok(below) = shown.strip_prefix(&target.path)
        && let Some(seen) = identity(&target.root, below)
        && file.is_none_or(|file| file == seen)
    {
        return Resolved::Inside(shown.to_owned(), seen);
    }
    // What does not lie on the directory's own file system is not walked to: a server may not answer. The last of equals is on top.
    let on = table.iter().filter(|it| shown.starts_with(&it.point)).max_by_key(|it| it.point.components().count());
    if on.zip(place).is_none_or(|(on, place)| on.device != place.device) {
        return Resolved::Unknown;
    }
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let safe = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let Ok(open) = rustix::fs::openat2(rustix::fs::CWD, shown, flags, Mode::empty(), safe) else {
        return Resolved::Unknown;
    };
    let Some(seen) = look(&open, "").ok().map(|it| (it.identity.device, it.identity.inode)) else {
        return Resolved::Unknown;
    };
    if file.is_some_and(|file| file != seen) {
        return Resolved::Unknown;
    }
    let lies = mount_id(&open).and_then(|id| Place::on(table.iter().find(|mount| mount.id == id)?, shown));
    match (lies, place) {
        (Some(lies), Some(place)) => match place.below(&lies) {
            Some(below) => Resolved::Inside(target.path.join(below), seen),
            None => Resolved::Elsewhere,
        },
        _ => Resolved::Unknown,
    }
}

/// Whether a file of that disk may be in the directory. What has no disk of its own may have several numbers, as btrfs has.
fn may_be_on(target: &Target, disk: Disk) -> bool {
    let own = target.identity.device;
    disk == own || (disk.0 == 0 && own.0 == 0)
}

/// Looks for files by their numbers. `None` if not all of the directory could be read, which somebody may be changing.
fn search(target: &Target, sought: &[(Loop, File)], cancel: &Cancel) -> Option<Vec<(File, PathBuf)>> {
    for _ in 0..TRIES {
        if let Some(seen) = search_once(target, sought, cancel) {
            return Some(seen);
        }
    }
    // Whoever has cancelled it deletes nothing.
    cancel.is_cancelled().then(Vec::new)
}

fn search_once(target: &Target, sought: &[(Loop, File)], cancel: &Cancel) -> Option<Vec<(File, PathBuf)>> {
    let root = target.root.try_clone().ok()?;
    // What tells the inode with the name tells the truth where there is a disk; an overlay may tell another one.
    let told = target.identity.device.0 != 0;
    let mut seen = Vec::new();
    let mut see = |folder: &OwnedFd, entry: &rustix::fs::DirEntry| {
        let may_be = matches!(entry.file_type(), FileType::RegularFile | FileType::Unknown)
            && (!told || sought.iter().any(|(_, file)| file.1 == entry.ino()));
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        if may_be && let Ok(found) = look(folder, name) {
            let file = (found.identity.device, found.identity.inode);
            if sought.iter().any(|it| it.1 == file) {
                // Where we are is what the kernel calls it, for people.
                let link = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(folder));
                let folder = fs::read_link(link).unwrap_or_else(|_| target.path.clone());
                seen.push((file, folder.join(name)));
            }
        }
    };
    let visitor = Visitor { wanted: &|| !cancel.is_cancelled(), read: &|| (), see: &mut see };
    walk(Level::new(root, target.identity, OsString::new()), visitor)?;
    Some(seen)
}

/// Why it stays; `None` if it is gone, or shows another file by now.
fn stays(one: &Inside, act: bool) -> Option<Stays> {
    let device = Path::new("/dev").join(&one.device.name);
    let losetup = CommandLine::new("sudo").args(["losetup", "-d"]).arg(&device);
    let list = CommandLine::new("lsblk").arg(&device);
    if status(&device).is_some_and(|file| file != one.file) {
        return None;
    }
    let mut open = false;
    let (why, advice) = match (mounted_at(&one.device.devices), one.device.above.as_slice()) {
        (Some(at), _) => {
            let umount = CommandLine::new("sudo").arg("umount").arg(&at);
            (format!("it shows this file as a disk, and that is mounted on {}", at.display()), umount)
        }
        (None, [_, ..]) => {
            (format!("it shows this file as a disk, of which {} is made", one.device.above.join(", ")), list)
        }
        (None, []) if !rustix::process::geteuid().is_root() => {
            ("it shows this file as a disk, and only root may detach it".to_owned(), losetup)
        }
        (None, []) if !act => ("it shows this file as a disk, and is detached first".to_owned(), losetup),
        (None, []) => match clear(&device, one.file) {
            Ok(true) => {
                open = true;
                ("it shows this file as a disk, and somebody has that open".to_owned(), losetup)
            }
            Ok(false) => return None,
            Err(Errno::BUSY) => {
                open = true;
                let why = "it shows this file as a disk, and that is mounted or used where it cannot be seen from here";
                (why.to_owned(), list)
            }
            Err(error) => (
                format!("it shows this file as a disk, and could not be detached: {}", io::Error::from(error)),
                losetup,
            ),
        },
    };
    if act && !is_bound(Path::new(BLOCKS), &one.device.name) {
        return None;
    }
    let what = format!("{} (loop device)", device.display());
    // What is mounted stays, whoever of those that use it ends.
    let disks = if open { one.device.devices.iter().filter_map(|it| numbers(it)).collect() } else { Vec::new() };
    Some((
        Remaining { path: one.path.clone(), what, why, advice: Some(advice.to_string()), holders: Vec::new() },
        disks,
    ))
}

/// Which file lies `below` an open folder.
fn identity(root: &OwnedFd, below: &Path) -> Option<File> {
    let folder = open_below(root, below.parent()?).ok()?;
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let safe = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS | ResolveFlags::BENEATH;
    let open = rustix::fs::openat2(folder, below.file_name()?, flags, Mode::empty(), safe).ok()?;
    let found = look(&open, "").ok()?.identity;
    Some((found.device, found.inode))
}

/// The two numbers of a device: `7:3`.
fn numbers(device: &str) -> Option<Disk> {
    let (major, minor) = device.split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// Where it is mounted, in whatever namespace that we may look at.
fn mounted_at(devices: &[String]) -> Option<PathBuf> {
    let at = |mounts: &[Mount]| mounts.iter().find(|it| devices.contains(&it.device)).map(|it| it.point.clone());
    let own = table().ok().and_then(|table| at(&table));
    own.or_else(|| namespaces::others(Path::new(PROC)).iter().find_map(|other| at(&other.mounts)))
}

/// Those that show a file.
fn attached(blocks: &Path) -> Vec<Loop> {
    let names = |dir: PathBuf| {
        let entries = fs::read_dir(dir).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.file_name().into_string().ok()).collect::<Vec<_>>()
    };
    let one = |name: String| {
        let dir = blocks.join(&name);
        let text = fs::read(dir.join("loop/backing_file")).ok()?;
        let shown = PathBuf::from(OsStr::from_bytes(text.strip_suffix(b"\n").unwrap_or(&text)));
        let parts = names(dir.clone()).into_iter().filter(|part| part.starts_with(&name)).map(|part| dir.join(part));
        let dirs: Vec<PathBuf> = std::iter::once(dir.clone()).chain(parts).collect();
        let number = |dir: &PathBuf| Some(fs::read_to_string(dir.join("dev")).ok()?.trim().to_owned());
        let devices = dirs.iter().filter_map(number).collect();
        let above = dirs.iter().flat_map(|dir| names(dir.join("holders"))).collect();
        Some(Loop { name, shown, devices, above })
    };
    let loops = names(blocks.to_owned()).into_iter().filter(|name| name.starts_with("loop"));
    let mut found: Vec<Loop> = loops.filter_map(one).collect();
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

fn is_bound(blocks: &Path, name: &str) -> bool {
    blocks.join(name).join("loop/backing_file").exists()
}

/// `struct loop_info64` (linux/loop.h): the device and the inode of the file, and what does not matter here.
#[repr(C)]
struct Info {
    device: u64,
    inode: u64,
    rest: [u64; 27],
}

impl Info {
    fn file(&self) -> File {
        // As the kernel packs it (linux/kdev_t.h, `new_encode_dev`).
        let (major, minor) = ((self.device >> 8) & 0xfff, (self.device & 0xff) | ((self.device >> 12) & 0xf_ff00));
        ((u32::try_from(major).unwrap_or_default(), u32::try_from(minor).unwrap_or_default()), self.inode)
    }
}

/// Which file a device shows, if it may be asked.
fn status(device: &Path) -> Option<File> {
    info(&open(device, OFlags::empty()).ok()?).ok()
}

fn open(device: &Path, more: OFlags) -> Result<OwnedFd, Errno> {
    rustix::fs::open(device, OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | more, Mode::empty())
}

fn info(open: &OwnedFd) -> Result<File, Errno> {
    // SAFETY: `LOOP_GET_STATUS64` (0x4c05) fills a `loop_info64`, of which `Info` has the size and the layout.
    #[allow(unsafe_code, reason = "rustix has no name for it")]
    let info = unsafe { ioctl::ioctl(open, ioctl::Getter::<0x4c05, Info>::new()) };
    info.map(|info| info.file())
}

/// Detaches a device that shows this very file; whether it still shows one. `EBUSY` where it is mounted, swap, or a part of another
/// device, in whatever namespace: then it is left as it is.
fn clear(device: &Path, file: File) -> Result<bool, Errno> {
    // As long as we have it open it cannot show another file, and nobody can mount it.
    let open = match open(device, OFlags::EXCL) {
        Ok(open) => open,
        Err(Errno::NXIO) => return Ok(false),
        Err(error) => return Err(error),
    };
    match info(&open) {
        Ok(shown) if shown == file => {}
        Ok(_) | Err(Errno::NXIO) => return Ok(false),
        Err(error) => return Err(error),
    }
    // SAFETY: `LOOP_CLR_FD` (0x4c01) takes no argument.
    #[allow(unsafe_code, reason = "rustix has no name for it")]
    unsafe { ioctl::ioctl(&open, ioctl::NoArg::<0x4c01>::new()) }?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_and_the_numbers_are_the_kernels() {
        assert_eq!(std::mem::size_of::<Info>(), 232);
        let file = |device| Info { device, inode: 7, rest: [0; 27] }.file();
        assert_eq!(file(0xfe00), ((254, 0), 7));
        // Major 259, minor 0x12345.
        assert_eq!(file(0x45 | (259 << 8) | (0x12300 << 12)), ((259, 0x12345), 7));
    }

    #[test]
    fn devices_that_show_a_file_are_found_with_what_is_made_of_them() {
        let blocks = tempfile::tempdir().unwrap();
        let make = |name: &str, file: &str, number: &str| {
            let dir = blocks.path().join(name);
            fs::create_dir_all(dir.join("loop")).unwrap();
            fs::write(dir.join("loop/backing_file"), format!("{file}\n")).unwrap();
            fs::write(dir.join("dev"), format!("{number}\n")).unwrap();
        };
        make("loop0", "/home/me/work/x/out/root.img", "7:0");
        make("loop1", "/home/me/work/xy/root.img", "7:1");
        make("sda", "/home/me/work/x/sda", "8:0");
        make("loop2", "/home/me/work/x/a\nb", "7:2");
        fs::create_dir_all(blocks.path().join("loop0/loop0p1")).unwrap();
        fs::write(blocks.path().join("loop0/loop0p1/dev"), "259:4\n").unwrap();
        fs::create_dir_all(blocks.path().join("loop3")).unwrap();
        fs::create_dir_all(blocks.path().join("loop0/loop0p1/holders/dm-3")).unwrap();
        let found = attached(blocks.path());
        assert_eq!(found.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["loop0", "loop1", "loop2"]);
        assert_eq!(found[0].devices, ["7:0", "259:4"]);
        assert_eq!((found[0].above.as_slice(), found[1].above.len()), (&["dm-3".to_owned()][..], 0));
        assert_eq!(found[2].shown, Path::new("/home/me/work/x/a\nb"));
        assert!(is_bound(blocks.path(), "loop1") && !is_bound(blocks.path(), "loop3"));
    }
}
