//! Hands finished images over to the user. Only regular files are: what a build leaves otherwise stays root's and is
//! removed.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use rustix::fs::{
    AtFlags, Dir, FileType, Mode, OFlags, RenameFlags, ResolveFlags, chownat, fchmod, fstat, openat2, renameat_with,
};
use rustix::io::Errno;
use rustix::process::{Gid, Uid};

use crate::error::HelperError;
use crate::pinned::Pinned;
use crate::room::Room;

/// More images than any build makes.
const MOST: usize = 64;

/// Gives every image to the user and moves it to the output directory. Nothing that is there already is replaced.
pub(crate) fn hand_over(room: &Room, pinned: &Pinned) -> Result<(), HelperError> {
    let how = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_XDEV;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let made = openat2(&room.build, "build/out", flags, Mode::empty(), how).map_err(HelperError::io("open", "out"))?;
    let entries = Dir::read_from(&made).map_err(HelperError::io("read", "out"))?;
    let mut names = Vec::new();
    for entry in entries {
        let name = entry.map_err(HelperError::io("read", "out"))?.file_name().to_bytes().to_vec();
        if name.ends_with(b".iso") && names.len() < MOST {
            names.push(OsString::from_vec(name));
        }
    }
    for name in names {
        let shown = name.to_string_lossy().into_owned();
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let image = match openat2(&made, &name, flags, Mode::empty(), how) {
            Ok(image) => image,
            // A link is no image, and a socket cannot be opened.
            Err(Errno::LOOP | Errno::NXIO) => continue,
            Err(errno) => return Err(HelperError::io("open", shown)(errno)),
        };
        let stat = fstat(&image).map_err(HelperError::io("look at", &shown))?;
        // A second name could be that of a file that somebody else relies on.
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile || stat.st_nlink != 1 {
            continue;
        }
        fchmod(&image, Mode::from_raw_mode(0o644)).map_err(HelperError::io("change the mode of", &shown))?;
        let (uid, gid) = (Uid::from_raw(pinned.uid), Gid::from_raw(pinned.gid));
        chownat(&image, "", Some(uid), Some(gid), AtFlags::EMPTY_PATH).map_err(HelperError::io("hand over", &shown))?;
        renameat_with(&made, &name, &pinned.out, &name, RenameFlags::NOREPLACE)
            .map_err(HelperError::io("move", &shown))?;
    }
    Ok(())
}
