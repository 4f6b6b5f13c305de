//! Ejecting: the disk is told that it is pulled next, so that it is in nobody's way and nobody is in its.

use std::os::fd::OwnedFd;

use cartridge_disks::{Bus, Disk};
use rustix::io::Errno;
use rustix::ioctl::{Ioctl, IoctlOutput, Opcode, ioctl};
use serde::Serialize;

use super::udisks;
use crate::Cancel;

/// `linux/cdrom.h`; of disks too (`drivers/scsi/scsi_ioctl.c`): the unit is stopped, and its medium is let go.
const CDROMEJECT: u32 = 0x5309;
/// `scsi/scsi_ioctl.h`: the medium may be taken out. Whoever opens a disk locks it in.
const SCSI_IOCTL_DOORUNLOCK: u32 = 0x5381;
/// `linux/fs.h`: read the partition table again.
const BLKRRPART: u32 = 0x125f;

/// What became of a disk that has its image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "away", rename_all = "snake_case")]
pub enum Away {
    /// It is switched off, and can be pulled.
    Off,
    /// It is ejected, and can be pulled.
    Ejected,
    /// It was to stay, or could not be ejected. All of it is written; it can be pulled when nothing has mounted it.
    Stays {
        /// Why, where it was not asked for.
        why: Option<String>,
    },
}

/// Ejects the disk, or has its new partitions read where it is to stay.
pub(super) fn away(fd: OwnedFd, disk: &Disk, eject: bool, cancel: &Cancel) -> Away {
    if !eject {
        // Root's alone. For others udev does it when the disk is closed.
        let _ = command::<BLKRRPART>(&fd);
        return Away::Stays { why: None };
    }
    // While it is ours alone, so that nobody mounts it in between, and no other disk has its name.
    let drive = match disk.bus {
        Bus::Usb => udisks::drive_of(&disk.name, cancel),
        // Whoever takes a card out of its slot wants the slot to stay.
        _ => Err(String::new()),
    };
    let _ = command::<SCSI_IOCTL_DOORUNLOCK>(&fd);
    let ejected = command::<CDROMEJECT>(&fd);
    drop(fd);
    let off = drive.and_then(|drive| udisks::switch_off(drive, cancel));
    match (off, ejected) {
        (Ok(()), _) => Away::Off,
        (Err(_), Ok(())) => Away::Ejected,
        (Err(off), Err(errno)) => {
            let all: Vec<_> = [format!("the disk: {errno}"), off].into_iter().filter(|it| !it.is_empty()).collect();
            Away::Stays { why: Some(all.join("; ")) }
        }
    }
}

/// An ioctl without an argument.
#[allow(unsafe_code)]
fn command<const OPCODE: u32>(fd: &OwnedFd) -> rustix::io::Result<()> {
    // SAFETY: all three commands take no argument, so that the kernel reads and writes no memory of ours.
    match unsafe { ioctl(fd, Command::<OPCODE>) }? {
        0 => Ok(()),
        // What the disk itself has answered, where it did not do it (`drivers/scsi/scsi_ioctl.c`).
        _ => Err(Errno::IO),
    }
}

struct Command<const OPCODE: u32>;

// SAFETY: no argument, and what it returns is a number.
#[allow(unsafe_code)]
unsafe impl<const OPCODE: u32> Ioctl for Command<OPCODE> {
    type Output = IoctlOutput;

    const IS_MUTATING: bool = false;

    fn opcode(&self) -> Opcode {
        OPCODE
    }

    fn as_ptr(&mut self) -> *mut std::ffi::c_void {
        std::ptr::null_mut()
    }

    unsafe fn output_from_ptr(out: IoctlOutput, _: *mut std::ffi::c_void) -> rustix::io::Result<IoctlOutput> {
        Ok(out)
    }
}
