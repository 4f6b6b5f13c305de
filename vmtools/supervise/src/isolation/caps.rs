//! Giving capabilities up for good (capabilities(7)). Runs between fork and exec: system calls only.

#![allow(unsafe_code, reason = "raw system calls between fork and exec")]

/// `CAP_DAC_READ_SEARCH`: reads what only root may read. All that the host's root keeps when it becomes nobody.
const DAC_READ_SEARCH: i32 = 2;
/// The user that nothing belongs to (`nobody`), whom the limit on processes binds: it does not bind root.
const NOBODY: u32 = 65_534;
/// Version 3 of the structures of capset(2).
const VERSION: u32 = 0x2008_0522;
/// More than any kernel has.
const MOST: i32 = 63;

#[repr(C)]
struct Header {
    version: u32,
    pid: i32,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Data {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// Leaves no way to mount, to change owners, or to get any of it back. The host's real root becomes nobody who may still
/// read everything, because only then do limits hold.
pub(super) fn give_up(real_root: bool) -> Result<(), i32> {
    // SAFETY: plain system calls with numbers and pointers to values that live through the call.
    unsafe {
        let mut kept = 0;
        for cap in 0..=MOST {
            if real_root && cap == DAC_READ_SEARCH {
                continue;
            }
            // Fails with EINVAL past the last capability that the kernel knows.
            libc::prctl(libc::PR_CAPBSET_DROP, cap, 0, 0, 0);
        }
        if real_root {
            kept = 1 << DAC_READ_SEARCH;
            check(libc::prctl(libc::PR_SET_KEEPCAPS, 1, 0, 0, 0))?;
            check(libc::syscall(libc::SYS_setgroups, 0, std::ptr::null::<u32>()))?;
            check(libc::syscall(libc::SYS_setresgid, NOBODY, NOBODY, NOBODY))?;
            check(libc::syscall(libc::SYS_setresuid, NOBODY, NOBODY, NOBODY))?;
        } else {
            // Otherwise exec would give root all of the bounding set again (SECBIT_NOROOT and its lock).
            check(libc::prctl(libc::PR_SET_SECUREBITS, 0b11, 0, 0, 0))?;
        }
        let header = Header { version: VERSION, pid: 0 };
        let low = Data { effective: kept, permitted: kept, inheritable: kept };
        let data = [low, Data::default()];
        check(libc::syscall(libc::SYS_capset, &raw const header, data.as_ptr()))?;
        if real_root {
            let ambient = libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_RAISE, DAC_READ_SEARCH, 0, 0);
            check(ambient)?;
        }
        check(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    }
}

pub(super) fn check(result: impl Into<i64>) -> Result<(), i32> {
    if result.into() < 0 { Err(errno()) } else { Ok(()) }
}

pub(super) fn errno() -> i32 {
    // SAFETY: the thread's own errno.
    unsafe { *libc::__errno_location() }
}
