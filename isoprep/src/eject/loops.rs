//! Loop devices that show a file of the work directory as a disk: whatever is done to the file, they keep it.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use cartridge_supervise::{Cancel, CommandLine};
use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use rustix::ioctl;

use super::descriptors::open_below;
use super::guard::Target;
use super::mountinfo::Mount;
use super::namespaces;
use super::stat::look;
use super::unmount::{PROC, Remaining, table};

/// What the kernel tells of block devices.
const BLOCKS: &str = "/sys/block";
/// How long one that detaches itself after an unmount may take: whoever looks at disks may have it open just then.
const GRACE: Duration = Duration::from_secs(2);
const BEAT: Duration = Duration::from_millis(20);

/// A loop device.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Loop {
    /// `loop3`.
    name: String,
    /// The file that it shows, as we see it.
    file: PathBuf,
    /// Its own number and those of its partitions, as mount tables have them: `7:3`.
    devices: Vec<String>,
}

/// Detaches those that show a file inside the directory, and returns those that stay.
pub(super) fn detach(target: &Target, cancel: &Cancel) -> Vec<Remaining> {
    let until = Instant::now() + GRACE;
    loop {
        let found = inside(Path::new(BLOCKS), &target.path);
        let stay: Vec<Remaining> = found.iter().filter_map(|one| stays(target, one, true)).collect();
        if stay.is_empty() || Instant::now() >= until || cancel.is_cancelled() {
            return stay;
        }
        std::thread::sleep(BEAT);
    }
}

/// Those that show a file inside the directory, and what that means for an eject.
pub(super) fn seen(target: &Target) -> Vec<Remaining> {
    inside(Path::new(BLOCKS), &target.path).iter().filter_map(|one| stays(target, one, false)).collect()
}

/// Why it stays; `None` if it is gone, or is none of the directory's.
fn stays(target: &Target, one: &Loop, act: bool) -> Option<Remaining> {
    let device = Path::new("/dev").join(&one.name);
    let below = one.file.strip_prefix(&target.path).ok()?;
    // In another mount namespace its path may mean another file.
    let file = identity(&target.root, below)?;
    let losetup = CommandLine::new("sudo").args(["losetup", "-d"]).arg(&device);
    let (why, advice) = match mounted_at(&one.devices) {
        Some(at) => {
            let umount = CommandLine::new("sudo").arg("umount").arg(&at);
            (format!("it shows this file as a disk, and that is mounted on {}", at.display()), umount)
        }
        None if !rustix::process::geteuid().is_root() => {
            ("it shows this file as a disk, and only root may detach it".to_owned(), losetup)
        }
        None if !act => ("it shows this file as a disk, and is detached first".to_owned(), losetup),
        None => match clear(&device, file) {
            Ok(true) => ("it shows this file as a disk, and somebody has that open".to_owned(), losetup),
            Ok(false) => return None,
            Err(error) => (
                format!("it shows this file as a disk, and could not be detached: {}", io::Error::from(error)),
                losetup,
            ),
        },
    };
    if act && !is_bound(Path::new(BLOCKS), &one.name) {
        return None;
    }
    let what = format!("{} (loop device)", device.display());
    Some(Remaining { path: one.file.clone(), what, why, advice: Some(advice.to_string()), holders: Vec::new() })
}

/// Which file it is: its device, as the kernel packs it (linux/kdev_t.h, `new_encode_dev`), and its inode.
fn identity(root: &OwnedFd, below: &Path) -> Option<(u64, u64)> {
    let folder = open_below(root, below.parent()?).ok()?;
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let safe = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS | ResolveFlags::BENEATH;
    let open = rustix::fs::openat2(folder, below.file_name()?, flags, Mode::empty(), safe).ok()?;
    let found = look(&open, "").ok()?.identity;
    let (major, minor) = (u64::from(found.device.0), u64::from(found.device.1));
    Some(((minor & 0xff) | (major << 8) | ((minor & !0xff) << 12), found.inode))
}

/// Where it is mounted, in whatever namespace that we may look at.
fn mounted_at(devices: &[String]) -> Option<PathBuf> {
    let at = |mounts: &[Mount]| mounts.iter().find(|it| devices.contains(&it.device)).map(|it| it.point.clone());
    let own = table().ok().and_then(|table| at(&table));
    own.or_else(|| namespaces::others(Path::new(PROC)).iter().find_map(|other| at(&other.mounts)))
}

/// Those whose file has a path inside the directory.
fn inside(blocks: &Path, dir: &Path) -> Vec<Loop> {
    let entries = fs::read_dir(blocks).into_iter().flatten().flatten();
    let one = |entry: fs::DirEntry| {
        let name = entry.file_name().into_string().ok().filter(|name| name.starts_with("loop"))?;
        let text = fs::read(entry.path().join("loop/backing_file")).ok()?;
        let text = text.strip_suffix(b"\n").unwrap_or(&text);
        let file = PathBuf::from(std::ffi::OsStr::from_bytes(text));
        if !file.starts_with(dir) {
            return None;
        }
        let number = |dir: &Path| Some(fs::read_to_string(dir.join("dev")).ok()?.trim().to_owned());
        let parts = fs::read_dir(entry.path()).into_iter().flatten().flatten();
        let parts = parts.filter(|part| part.file_name().to_string_lossy().starts_with(&name));
        let devices = number(&entry.path()).into_iter().chain(parts.filter_map(|part| number(&part.path()))).collect();
        Some(Loop { name, file, devices })
    };
    let mut found: Vec<Loop> = entries.filter_map(one).collect();
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

/// Detaches a device that shows this very file; whether it still shows one.
fn clear(device: &Path, file: (u64, u64)) -> Result<bool, Errno> {
    // As long as we have it open it cannot show another file.
    let open = rustix::fs::open(device, OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK, Mode::empty())?;
    // SAFETY: `LOOP_GET_STATUS64` (0x4c05) fills a `loop_info64`, of which `Info` has the size and the layout.
    #[allow(unsafe_code, reason = "rustix has no name for it")]
    let info = unsafe { ioctl::ioctl(&open, ioctl::Getter::<0x4c05, Info>::new()) };
    match info {
        Ok(info) if (info.device, info.inode) == file => {}
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
    fn the_size_is_the_kernels() {
        assert_eq!(std::mem::size_of::<Info>(), 232);
    }

    #[test]
    fn devices_are_found_by_the_path_of_their_file() {
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
        let found = inside(blocks.path(), Path::new("/home/me/work/x"));
        assert_eq!(found.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["loop0", "loop2"]);
        assert_eq!(found[0].devices, ["7:0", "259:4"]);
        assert_eq!(found[1].file, Path::new("/home/me/work/x/a\nb"));
        assert!(is_bound(blocks.path(), "loop1") && !is_bound(blocks.path(), "loop3"));
    }
}
