//! What the first namespaces do with mounts, between fork and exec: system calls on what `steps` made ready, nothing else.

#![allow(unsafe_code, reason = "raw system calls between fork and exec")]

use std::ffi::CStr;
use std::os::fd::RawFd;
use std::ptr::null;

use super::caps::{check, errno};
use super::enter::{Done, NOTHING, at};
use super::error::Step;
use super::steps::{Held, Steps, Tmpfs};

/// Attributes of mount_setattr(2), `linux/mount.h`.
const RDONLY: u64 = 0x1;
const NOSUID: u64 = 0x2;
const NODEV: u64 = 0x4;
const OPEN_TREE_CLONE: u32 = 1;
const MOVE_MOUNT_F_EMPTY_PATH: u32 = 4;
const AT_RECURSIVE: i32 = 0x8000;

#[repr(C)]
struct MountAttributes {
    set: u64,
    clear: u64,
    propagation: u64,
    userns: u64,
}

/// Takes hold of what will be seen, and closes everything else. Still as the user outside, who may reach those places.
pub(super) fn close(steps: &mut Steps) -> Done {
    let private = unsafe { libc::mount(null(), c"/".as_ptr(), null(), libc::MS_REC | libc::MS_PRIVATE, null()) };
    at(Step::Private, check(private))?;
    for (index, held) in steps.held.iter_mut().enumerate() {
        let about = u16::try_from(index).unwrap_or(NOTHING);
        take_hold(held, true).map_err(|errno| (Step::Hold, about, errno))?;
    }
    for device in &mut steps.devices {
        at(Step::Devices, take_hold(device, false))?;
    }
    at(Step::ReadOnly, attributes(libc::AT_FDCWD, c"/", AT_RECURSIVE, RDONLY | NODEV | NOSUID, 0))
}

/// Mounts the private places, and puts what is held in its own.
pub(super) fn furnish(steps: &Steps) -> Done {
    for tmpfs in &steps.tmpfs {
        at(Step::Tmpfs, mount_tmpfs(tmpfs))?;
    }
    for folder in &steps.folders {
        at(Step::Place, make_dir(folder))?;
    }
    for (index, held) in steps.held.iter().enumerate() {
        let about = u16::try_from(index).unwrap_or(NOTHING);
        place(held).map_err(|errno| (Step::Place, about, errno))?;
    }
    devices(steps)
}

/// Prepares the root file systems, and makes one of them the root of everything.
pub(super) fn prepare(steps: &Steps) -> Done {
    if let Some(root) = &steps.root {
        // Only a mount can become the root; what is prepared must then lie on it.
        at(Step::Prepare, bind(root, root))?;
    }
    for prepared in &steps.prepared {
        for (from, to) in &prepared.bound {
            at(Step::Prepare, bind(from, to))?;
        }
        for tmpfs in &prepared.tmpfs {
            at(Step::Prepare, mount_tmpfs(tmpfs))?;
        }
    }
    match &steps.root {
        Some(root) => at(Step::Chroot, turn(root)),
        None => Ok(()),
    }
}

/// The host's file system is gone afterwards, not only out of sight: root could leave a chroot(2).
fn turn(root: &CStr) -> Result<(), i32> {
    unsafe {
        check(libc::chdir(root.as_ptr()))?;
        // Both at one place, which pivot_root(2) explains: the old root lies on the new one and is taken away.
        check(libc::syscall(libc::SYS_pivot_root, c".".as_ptr(), c".".as_ptr()))?;
        check(libc::umount2(c".".as_ptr(), libc::MNT_DETACH))?;
        check(libc::chdir(c"/".as_ptr()))
    }
}

fn bind(from: &CStr, to: &CStr) -> Result<(), i32> {
    check(unsafe { libc::mount(from.as_ptr(), to.as_ptr(), null(), libc::MS_BIND | libc::MS_REC, null()) })
}

/// Clones what lies at a path into a detached mount. Mounts below a folder come along, because a namespace may not part them
/// (mount_namespaces(7), "locked"), but they stay read-only.
fn take_hold(held: &mut Held, recursive: bool) -> Result<(), i32> {
    held.fd = clone(&held.from, recursive)?;
    if recursive {
        attributes(held.fd, c"", libc::AT_EMPTY_PATH | AT_RECURSIVE, RDONLY | NODEV | NOSUID, 0)?;
        if held.writable {
            attributes(held.fd, c"", libc::AT_EMPTY_PATH, 0, RDONLY | NOSUID)?;
        }
    }
    Ok(())
}

/// A detached mount of what is at a path.
pub(super) fn clone(path: &CStr, recursive: bool) -> Result<RawFd, i32> {
    let flags =
        OPEN_TREE_CLONE | libc::O_CLOEXEC.cast_unsigned() | if recursive { AT_RECURSIVE.cast_unsigned() } else { 0 };
    let fd = unsafe { libc::syscall(libc::SYS_open_tree, libc::AT_FDCWD, path.as_ptr(), flags) };
    check(fd)?;
    i32::try_from(fd).map_err(|_| libc::EBADF)
}

fn attributes(fd: RawFd, path: &CStr, flags: i32, set: u64, clear: u64) -> Result<(), i32> {
    let attributes = MountAttributes { set, clear, propagation: 0, userns: 0 };
    let size = size_of::<MountAttributes>();
    check(unsafe { libc::syscall(libc::SYS_mount_setattr, fd, path.as_ptr(), flags, &raw const attributes, size) })
}

fn mount_tmpfs(tmpfs: &Tmpfs) -> Result<(), i32> {
    let flags = libc::MS_NOSUID | libc::MS_NODEV;
    let (kind, data) = (c"tmpfs".as_ptr(), tmpfs.data.as_ptr());
    check(unsafe { libc::mount(kind, tmpfs.at.as_ptr(), kind, flags, data.cast()) })
}

fn make_dir(path: &CStr) -> Result<(), i32> {
    let made = check(unsafe { libc::mkdir(path.as_ptr(), 0o755) });
    // A place on the host that exists is used as it is.
    made.or_else(|errno| if matches!(errno, libc::EEXIST | libc::EROFS) { Ok(()) } else { Err(errno) })
}

fn place(held: &Held) -> Result<(), i32> {
    if !held.is_dir {
        let flags = libc::O_CREAT | libc::O_CLOEXEC | libc::O_WRONLY | libc::O_NONBLOCK;
        // Where it exists already, on a read-only file system, it cannot be opened so, and need not.
        let fd = unsafe { libc::open(held.to.as_ptr(), flags, 0o644) };
        if fd >= 0 {
            unsafe { libc::close(fd) };
        }
    }
    let to = held.to.as_ptr();
    let flags = MOVE_MOUNT_F_EMPTY_PATH;
    let moved = unsafe { libc::syscall(libc::SYS_move_mount, held.fd, c"".as_ptr(), libc::AT_FDCWD, to, flags) };
    unsafe { libc::close(held.fd) };
    check(moved)
}

fn devices(steps: &Steps) -> Done {
    for device in &steps.devices {
        at(Step::Devices, place(device))?;
    }
    for (target, link) in &steps.links {
        at(Step::Devices, check(unsafe { libc::symlink(target.as_ptr(), link.as_ptr()) }))?;
    }
    at(Step::Devices, make_dir(c"/dev/shm").and_then(|()| make_dir(c"/dev/pts")))?;
    let shm = unsafe {
        libc::mount(c"tmpfs".as_ptr(), c"/dev/shm".as_ptr(), c"tmpfs".as_ptr(), 0, steps.shm.as_ptr().cast())
    };
    at(Step::Devices, check(shm))?;
    let flags = libc::MS_NOSUID | libc::MS_NOEXEC;
    let data = c"newinstance,ptmxmode=0666,mode=620".as_ptr();
    // Terminals are a comfort: nothing that builds an image needs one.
    unsafe { libc::mount(c"devpts".as_ptr(), c"/dev/pts".as_ptr(), c"devpts".as_ptr(), flags, data.cast()) };
    Ok(())
}

/// Mounts `/proc` for the process namespace that the caller is in.
pub(super) fn proc(steps: &Steps) -> Done {
    let flags = libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;
    let mounted = unsafe { libc::mount(c"proc".as_ptr(), c"/proc".as_ptr(), c"proc".as_ptr(), flags, null()) };
    if mounted < 0 {
        // A container that hides parts of /proc allows no new one: the old one shows more, and does no harm.
        return if errno() == libc::EPERM { Ok(()) } else { Err((Step::Proc, NOTHING, errno())) };
    }
    for path in &steps.closed {
        // Not every kernel has every one of them.
        let Ok(fd) = clone(path, false) else { continue };
        let to = path.as_ptr();
        let closed = attributes(fd, c"", libc::AT_EMPTY_PATH, RDONLY, 0).and_then(|()| {
            check(unsafe {
                libc::syscall(libc::SYS_move_mount, fd, c"".as_ptr(), libc::AT_FDCWD, to, MOVE_MOUNT_F_EMPTY_PATH)
            })
        });
        unsafe { libc::close(fd) };
        at(Step::Proc, closed)?;
    }
    Ok(())
}
