//! Takes files that belong to lent users back, so that they can be removed like any other: inside a user namespace a build
//! makes files of many owners, and outside of it only their owners may remove them.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use cartridge_supervise::{CommandLine, Isolation, run};

use crate::Cancel;

/// Gives everything below `dir`, a directory of ours, to us; whether there was anything. Nothing is for root, and where nothing is
/// another's. No link
/// is followed, and no mount is crossed: what was mounted is read-only in there.
///
/// # Errors
/// What the system or the tool said; the files are as they were or partly ours.
pub fn reclaim(dir: &Path, cancel: &Cancel) -> io::Result<bool> {
    let own = rustix::process::geteuid().as_raw();
    if own == 0 || !has_others(dir, own, 0)? {
        return Ok(false);
    }
    for line in [
        CommandLine::new("chown").args(["-hRP", "0:0", "--"]).arg(dir),
        CommandLine::new("chmod").args(["-R", "u+rwX", "--"]).arg(dir),
    ] {
        run(&line.isolated(Isolation::new().writable(dir)), cancel, |_, _| ()).map_err(io::Error::other)?;
    }
    Ok(true)
}

/// Whether anything below `dir` belongs to somebody else, or is closed to us.
fn has_others(dir: &Path, own: u32, depth: usize) -> io::Result<bool> {
    /// Deeper trees than a path can name are not walked.
    const DEEPEST: usize = 2048;
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::PermissionDenied => return Ok(true),
        Err(e) => return Err(e),
    };
    for entry in entries {
        let entry = entry?;
        let meta = entry.metadata()?;
        if meta.uid() != own {
            return Ok(true);
        }
        if meta.is_dir() && depth < DEEPEST && has_others(&entry.path(), own, depth + 1)? {
            return Ok(true);
        }
    }
    Ok(false)
}
