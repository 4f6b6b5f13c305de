//! Enters the namespaces and closes them, between fork and exec: system calls on what `steps` made ready, nothing else. No
//! allocation, no lock, no destructor may run here.
//!
//! Two user namespaces lie in one another. In the outer one every mount is made; the inner one gets a copy of them, in
//! which the kernel locks all of them as they are (mount_namespaces(7), "Restrictions on mount namespaces"): its root can
//! mount more, but cannot write what is read-only, nor uncover what is covered. Its process namespace is its own, so that
//! it may mount a `/proc`; the one that is there from the start is mounted by a short-lived process of the outer one.

#![allow(unsafe_code, reason = "raw system calls between fork and exec")]

use std::ffi::CStr;
use std::io;
use std::os::fd::RawFd;
use std::ptr::null;

use super::caps::{self, check, errno};
use super::error::Step;
use super::mounts;
use super::steps::{Mapping, Steps};

/// A step, what it was about, and what the system said.
pub(super) type Done = Result<(), (Step, u16, i32)>;

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
        Err(failed) => {
            tell(up, failed);
            Err(io::Error::from_raw_os_error(failed.2))
        }
    }
}

fn tell(up: RawFd, (step, about, errno): (Step, u16, i32)) {
    let (about, number) = (about.to_ne_bytes(), errno.to_ne_bytes());
    put(up, &[FAIL, step as u8, about[0], about[1], number[0], number[1], number[2], number[3]]);
}

fn go(steps: &mut Steps, parent: u32, up: RawFd, down: RawFd) -> Done {
    at(Step::Namespaces, check(unsafe { libc::unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNS) }))?;
    map_ids(&steps.mapping, up, down)?;
    // The one that knows our children as we do, while it can be written: the next one will be that of another namespace.
    let processes = mounts::clone(c"/proc", true).map_err(|errno| (Step::Hold, NOTHING, errno))?;
    mounts::close(steps)?;
    become_root(steps.groups)?;
    // A change of credentials forgets the signal, and closes our files in /proc to ourselves.
    die_with_parent();
    unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 1, 0, 0, 0) };
    if unsafe { libc::getppid() }.cast_unsigned() != parent {
        return Err((Step::Fork, NOTHING, libc::ESRCH));
    }
    mounts::furnish(steps)?;
    let mut gate = [0; 2];
    at(Step::Fork, check(unsafe { libc::pipe2(gate.as_mut_ptr(), libc::O_CLOEXEC) }))?;
    // As fork(2), in new namespaces: clone(2) without a stack returns twice.
    match unsafe { libc::syscall(libc::SYS_clone, i64::from(steps.flags | libc::SIGCHLD), 0, 0, 0, 0) } {
        -1 => Err((Step::Fork, NOTHING, errno())),
        0 => inside(steps, gate),
        child => {
            let child = i32::try_from(child).unwrap_or(-1);
            outside(steps, processes, child, up)?;
            put(gate[1], b"G");
            stay_outside(child)
        }
    }
}

/// The outer one's part for the inner one: its ids, its `/proc`, and what needs that.
fn outside(steps: &Steps, processes: RawFd, child: i32, up: RawFd) -> Done {
    for (file, map) in [(c"uid_map", &steps.inner.0), (c"gid_map", &steps.inner.1)] {
        at(Step::Lock, write_map(processes, child, file, map))?;
    }
    let process = unsafe { libc::syscall(libc::SYS_pidfd_open, child, 0) };
    at(Step::Proc, check(process))?;
    // For children from now on: what is mounted as /proc shows the namespace of whoever mounts it.
    at(Step::Proc, check(unsafe { libc::setns(i32::try_from(process).unwrap_or(-1), libc::CLONE_NEWPID) }))?;
    match unsafe { libc::fork() } {
        -1 => return Err((Step::Proc, NOTHING, errno())),
        0 => {
            let mounted = mounts::proc(steps);
            if let Err(failed) = mounted {
                tell(up, failed);
            }
            unsafe { libc::_exit(i32::from(mounted.is_err())) }
        }
        mounter => {
            if wait_for(mounter) != 0 {
                return Err((Step::Proc, NOTHING, libc::ECHILD));
            }
        }
    }
    mounts::prepare(steps)
}

/// The first process of the inner namespaces, which becomes the program.
fn inside(steps: &Steps, gate: [i32; 2]) -> Done {
    die_with_parent();
    unsafe { libc::close(gate[1]) };
    let mut go = [0_u8];
    // Nothing comes if the other failed or is gone; why, it tells itself.
    if read(gate[0], &mut go) != 1 {
        unsafe { libc::_exit(125) };
    }
    become_root(steps.groups)?;
    at(Step::Lock, check(unsafe { libc::unshare(libc::CLONE_NEWNS) }))?;
    // Without it, /dev/tty would be the terminal of whoever started us, and could be typed into (ioctl_tty(2), TIOCSTI).
    at(Step::Session, check(unsafe { libc::setsid() }))?;
    enter_folder(steps)?;
    for (what, limit) in &steps.limits {
        let limit = libc::rlimit { rlim_cur: *limit, rlim_max: *limit };
        at(Step::Limits, check(unsafe { libc::setrlimit(*what, &raw const limit) }))?;
    }
    if steps.unprivileged {
        at(Step::Capabilities, caps::give_up(steps.real_root))?;
    }
    die_with_parent();
    Ok(())
}

/// Always by its name: the folder that we are in may be covered by now, and would still be seen.
fn enter_folder(steps: &Steps) -> Done {
    let entered = check(unsafe { libc::chdir(steps.cwd.as_ptr()) });
    if steps.cwd_matters {
        return at(Step::Chroot, entered);
    }
    at(Step::Chroot, entered.or_else(|_| check(unsafe { libc::chdir(c"/".as_ptr()) })))
}

pub(super) fn at(step: Step, result: Result<(), i32>) -> Done {
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
            let number = if read(down, &mut answer) == 4 { i32::from_ne_bytes(answer) } else { libc::EPIPE };
            if number == 0 { Ok(()) } else { Err((Step::Ids, NOTHING, number)) }
        }
        Mapping::Own(users, groups) => {
            // Without it the kernel lets nobody write the group map (user_namespaces(7)). Old kernels lack the file.
            let _ = write_file(libc::AT_FDCWD, c"/proc/self/setgroups", b"deny");
            at(Step::Ids, write_file(libc::AT_FDCWD, c"/proc/self/uid_map", users))?;
            at(Step::Ids, write_file(libc::AT_FDCWD, c"/proc/self/gid_map", groups))
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
        let status = wait_for(child);
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

/// The status that a child ended with.
fn wait_for(child: i32) -> i32 {
    let mut status = 0;
    while unsafe { libc::waitpid(child, &raw mut status, 0) } < 0 {
        if errno() != libc::EINTR {
            unsafe { libc::_exit(125) };
        }
    }
    status
}

/// Writes `<pid>/<file>` below an open `/proc`.
fn write_map(processes: RawFd, pid: i32, file: &CStr, bytes: &[u8]) -> Result<(), i32> {
    let mut path = [0_u8; 32];
    let mut digits = [0_u8; 10];
    let (mut rest, mut first) = (pid.unsigned_abs(), digits.len());
    while first > 0 && (rest > 0 || first == digits.len()) {
        first -= 1;
        digits[first] = b'0' + u8::try_from(rest % 10).unwrap_or(0);
        rest /= 10;
    }
    let parts = digits[first..].iter().chain(b"/").chain(file.to_bytes_with_nul());
    path.iter_mut().zip(parts).for_each(|(to, from)| *to = *from);
    let path = CStr::from_bytes_until_nul(&path).map_err(|_| libc::EINVAL)?;
    write_file(processes, path, bytes)
}

fn write_file(from: RawFd, path: &CStr, bytes: &[u8]) -> Result<(), i32> {
    let fd = unsafe { libc::openat(from, path.as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC) };
    check(fd)?;
    let written = check(i64::try_from(unsafe { libc::write(fd, bytes.as_ptr().cast(), bytes.len()) }).unwrap_or(-1));
    unsafe { libc::close(fd) };
    written
}

/// How many bytes came; 0 at the end or when it failed.
fn read(fd: RawFd, into: &mut [u8]) -> usize {
    loop {
        let read = unsafe { libc::read(fd, into.as_mut_ptr().cast(), into.len()) };
        if read >= 0 || errno() != libc::EINTR {
            return usize::try_from(read).unwrap_or(0);
        }
    }
}

/// A few bytes into a pipe are written whole or not at all (pipe(7), `PIPE_BUF`).
fn put(fd: RawFd, bytes: &[u8]) {
    unsafe { libc::write(fd, bytes.as_ptr().cast(), bytes.len()) };
}
