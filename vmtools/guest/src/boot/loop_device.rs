//! A file as a block device (loop(4)).

use std::ffi::c_void;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::ioctl::{IntegerSetter, Ioctl, IoctlOutput, Opcode, ioctl};

/// `LOOP_CTL_GET_FREE` and `LOOP_SET_FD` (Linux, `include/uapi/linux/loop.h`).
const GET_FREE: Opcode = 0x4c82;
const SET_FD: Opcode = 0x4c00;
/// How long the node of a new device may take to appear.
const PATIENCE: Duration = Duration::from_secs(2);

/// Asks for a free device; its number is the call's own result.
struct GetFree;

// SAFETY: LOOP_CTL_GET_FREE takes no argument and writes to none.
#[allow(unsafe_code)]
unsafe impl Ioctl for GetFree {
    type Output = i32;
    const IS_MUTATING: bool = false;

    fn opcode(&self) -> Opcode {
        GET_FREE
    }

    fn as_ptr(&mut self) -> *mut c_void {
        std::ptr::null_mut()
    }

    unsafe fn output_from_ptr(out: IoctlOutput, _: *mut c_void) -> rustix::io::Result<i32> {
        Ok(out)
    }
}

/// Makes `file` readable as a block device, for as long as something is mounted from it or it is attached.
pub(super) fn attach(file: &Path) -> io::Result<PathBuf> {
    let content = File::open(file)?;
    let control = File::options().read(true).write(true).open("/dev/loop-control")?;
    // SAFETY: see `GetFree`.
    #[allow(unsafe_code)]
    let number = unsafe { ioctl(&control, GetFree) }?;
    let path = PathBuf::from(format!("/dev/loop{number}"));
    let end = Instant::now() + PATIENCE;
    let device = loop {
        match File::open(&path) {
            Ok(device) => break device,
            Err(e) if Instant::now() >= end => return Err(e),
            Err(_) => std::thread::sleep(Duration::from_millis(10)),
        }
    };
    let fd = usize::try_from(content.as_raw_fd()).map_err(io::Error::other)?;
    // SAFETY: LOOP_SET_FD takes the number of an open file.
    #[allow(unsafe_code)]
    unsafe {
        ioctl(&device, IntegerSetter::<SET_FD>::new_usize(fd))?;
    }
    Ok(path)
}
