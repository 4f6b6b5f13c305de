//! Enters the namespaces and closes them, between fork and exec: system calls on what `steps` made ready, nothing else. No
//! allocation, no lock, no destructor may run here.

#![allow(unsafe_code, reason = "raw system calls between fork and exec")]

use std::ffi::CStr;
use std::io;
use std::os::fd::RawFd;
use std::ptr::null;

use super::caps::{self, check, errno};
use super::error::Step;
use super::steps::{Held, Mapping, Steps, Tmpfs};

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

type Done = Result<(), (Step, u16, i32)>;

/// Tells our side what it waits for: the first byte says what follows.
pub(super) const ASK: u8 = b'M';
pub(super) const FAIL: u8 = b'E';
/// What [`FAIL`] is about: an index into what was held, or one of these.
pub(super) const NOTHING: u16 = u16::MAX;

/// Makes the calling process, a child that was just forked, the first of new namespaces; the process that called stays
/// outside, waits, and ends as it ends. `up` and `down` lead to our side.
pub(crate) fn enter(steps: &mut Steps, parent: u32, up: RawFd, down: RawFd) -> io::Result<()> {
    match go(steps, parent, up, down) {
        Ok(()) => Ok(()),
        Err((step, about, errno)) => {
            let (about, number) = (about.to_ne_bytes(), errno.to_ne_bytes());
            let told = [FAIL, step as u8, about[0], about[1], number[0], number[1], number[2], number[3]];
            put(up, &told);
            Err(io::Error::from_raw_os_error(errno))
        }
    }
}

fn go(steps: &mut Steps, parent: u32, up: RawFd, down: RawFd) -> Done {
    at(Step::Namespaces, check(unsafe { libc::unshare(steps.flags) }))?;
    map_ids(&steps.mapping, up, down)?;
    become_root(matches!(steps.mapping, Mapping::Asked))?;
    // A change of credentials forgets the signal.
    die_with_parent();
    if unsafe { libc::getppid() }.cast_unsigned() != parent {
        return Err((Step::Fork, NOTHING, libc::ESRCH));
    }
    match unsafe { libc::fork() } {
        -1 => return Err((Step::Fork, NOTHING, errno())),
        0 => {}
        child => stay_outside(child),
    }
    die_with_parent();
    mounts(steps)?;
    for (what, limit) in &steps.limits {
        let limit = libc::rlimit { rlim_cur: *limit, rlim_max: *limit };
        at(Step::Limits, check(unsafe { libc::setrlimit(*what, &raw const limit) }))?;
    }
    if steps.unprivileged {
        at(Step::Capabilities, caps::give_up(steps.real_root))?;
        die_with_parent();
    }
    Ok(())
}

fn at(step: Step, result: Result<(), i32>) -> Done {
    result.map_err(|errno| (step, NOTHING, errno))
}

fn die_with_parent() {
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0) };
}

fn map_ids(mapping: &Mapping, up: RawFd, down: RawFd) -> Done {
    match mapping {
        Mapping::Asked => {
            let pid = unsafe { libc::getpid() }.to_ne_bytes();
            put(up, &[ASK, pid[0], pid[1], pid[2], pid[3]]);
            let mut answer = [0_u8; 4];
            let read = loop {
                let read = unsafe { libc::read(down, answer.as_mut_ptr().cast(), 4) };
                if read >= 0 || errno() != libc::EINTR {
                    break read;
                }
            };
            let number = if read == 4 { i32::from_ne_bytes(answer) } else { libc::EPIPE };
            if number == 0 { Ok(()) } else { Err((Step::Ids, NOTHING, number)) }
        }
        Mapping::Own(users, groups) => {
            // Without it the kernel lets nobody write the group map (user_namespaces(7)). Old kernels lack the file.
            let _ = write_file(c"/proc/self/setgroups", b"deny");
            at(Step::Ids, write_file(c"/proc/self/uid_map", users))?;
            at(Step::Ids, write_file(c"/proc/self/gid_map", groups))
        }
    }
}

fn become_root(groups: bool) -> Done {
    let done = || -> Result<(), i32> {
        unsafe {
            if groups {
                check(libc::syscall(libc::SYS_setgroups, 0, null::<u32>()))?;
            }
            check(libc::syscall(libc::SYS_setresgid, 0, 0, 0))?;
            check(libc::syscall(libc::SYS_setresuid, 0, 0, 0))
        }
    };
    at(Step::Root, done())
}

/// Never returns: waits for the first process of the namespace and ends as it does.
fn stay_outside(child: i32) -> ! {
    unsafe {
        // Our side waits for the end of these; the child has its own.
        libc::syscall(libc::SYS_close_range, 3, u32::MAX, 0);
        let mut status = 0;
        while libc::waitpid(child, &raw mut status, 0) < 0 {
            if errno() != libc::EINTR {
                libc::_exit(125);
            }
        }
        if libc::WIFSIGNALED(status) {
            let signal = libc::WTERMSIG(status);
            libc::signal(signal, libc::SIG_DFL);
            // It is not us who crashed.
            let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
            libc::setrlimit(libc::RLIMIT_CORE, &raw const none);
            libc::kill(libc::getpid(), signal);
            libc::_exit(128 + signal);
        }
        libc::_exit(libc::WEXITSTATUS(status))
    }
}

fn mounts(steps: &mut Steps) -> Done {
    let private = unsafe { libc::mount(null(), c"/".as_ptr(), null(), libc::MS_REC | libc::MS_PRIVATE, null()) };
    at(Step::Private, check(private))?;
    for (index, held) in steps.held.iter_mut().enumerate() {
        let about = u16::try_from(index).unwrap_or(NOTHING);
        take_hold(held, true).map_err(|errno| (Step::Hold, about, errno))?;
    }
    for device in &mut steps.devices {
        at(Step::Devices, take_hold(device, false))?;
    }
    at(Step::ReadOnly, attributes(libc::AT_FDCWD, c"/", AT_RECURSIVE, RDONLY | NODEV | NOSUID, 0))?;
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
    devices(steps)?;
    proc(steps)?;
    for prepared in &steps.prepared {
        for (from, to) in &prepared.bound {
            let flags = libc::MS_BIND | libc::MS_REC;
            let bound = unsafe { libc::mount(from.as_ptr(), to.as_ptr(), null(), flags, null()) };
            at(Step::Prepare, check(bound))?;
        }
        for tmpfs in &prepared.tmpfs {
            at(Step::Prepare, mount_tmpfs(tmpfs))?;
        }
    }
    if let Some(root) = &steps.chroot {
        at(Step::Chroot, check(unsafe { libc::chroot(root.as_ptr()) }))?;
    }
    if let Some(dir) = &steps.cwd {
        at(Step::Chroot, check(unsafe { libc::chdir(dir.as_ptr()) }))?;
    }
    Ok(())
}

/// Clones what lies at a path into a detached mount. Mounts below a folder come along, because a namespace may not part them
/// (mount_namespaces(7), "locked"), but they stay read-only.
fn take_hold(held: &mut Held, recursive: bool) -> Result<(), i32> {
    let flags =
        OPEN_TREE_CLONE | libc::O_CLOEXEC.cast_unsigned() | if recursive { AT_RECURSIVE.cast_unsigned() } else { 0 };
    let fd = unsafe { libc::syscall(libc::SYS_open_tree, libc::AT_FDCWD, held.from.as_ptr(), flags) };
    held.fd = i32::try_from(fd).unwrap_or(-1);
    check(fd)?;
    if recursive {
        attributes(held.fd, c"", libc::AT_EMPTY_PATH | AT_RECURSIVE, RDONLY | NODEV | NOSUID, 0)?;
        if held.writable {
            attributes(held.fd, c"", libc::AT_EMPTY_PATH, 0, RDONLY | NOSUID)?;
        }
    }
    Ok(())
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

fn proc(steps: &Steps) -> Done {
    let flags = libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;
    let mounted = unsafe { libc::mount(c"proc".as_ptr(), c"/proc".as_ptr(), c"proc".as_ptr(), flags, null()) };
    if mounted < 0 {
        // A container that hides parts of /proc allows no new one: the old one shows more, and does no harm.
        return if errno() == libc::EPERM { Ok(()) } else { Err((Step::Proc, NOTHING, errno())) };
    }
    for path in &steps.closed {
        let flags = OPEN_TREE_CLONE | libc::O_CLOEXEC.cast_unsigned();
        let fd = unsafe { libc::syscall(libc::SYS_open_tree, libc::AT_FDCWD, path.as_ptr(), flags) };
        let Ok(fd) = i32::try_from(fd) else { continue };
        if fd < 0 {
            // Not every kernel has every one of them.
            continue;
        }
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

fn write_file(path: &CStr, bytes: &[u8]) -> Result<(), i32> {
    let fd = unsafe { libc::open(path.as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC) };
    check(fd)?;
    let written = check(i64::try_from(unsafe { libc::write(fd, bytes.as_ptr().cast(), bytes.len()) }).unwrap_or(-1));
    unsafe { libc::close(fd) };
    written
}

/// A few bytes into a pipe are written whole or not at all (pipe(7), `PIPE_BUF`).
fn put(fd: RawFd, bytes: &[u8]) {
    unsafe { libc::write(fd, bytes.as_ptr().cast(), bytes.len()) };
}
