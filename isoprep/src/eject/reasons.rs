//! Says in words why an entry was left.

use rustix::io::Errno;

use super::stat::Found;

/// For mounts that were found while walking.
pub(super) const MOUNTED: &str = "something else is mounted here; unmount it and eject again";

/// For a folder that is not where it was found any more.
pub(super) const MOVED: &str = "it was moved while it was deleted; what is in it was left";
/// For an entry that is kept by the attributes of its folder.
pub(super) const LOCKED_AROUND: &str =
    "the folder that it is in is immutable or append-only; run chattr -i -a on that and eject again";

/// Says why an entry stays.
pub(super) fn describe(error: Errno, found: Option<&Found>) -> String {
    match error {
        Errno::PERM | Errno::ACCESS if found.is_some_and(|found| found.immutable) => {
            "it is immutable or append-only; run chattr -i -a on it and eject again".to_owned()
        }
        Errno::PERM | Errno::ACCESS => match found {
            Some(found) => format!("permission denied (it belongs to user {}, mode {:o})", found.owner, found.mode),
            None => "permission denied".to_owned(),
        },
        Errno::XDEV | Errno::BUSY => MOUNTED.to_owned(),
        Errno::LOOP => "it became a symbolic link while it was looked at".to_owned(),
        Errno::NOTDIR => "it became something else while it was looked at".to_owned(),
        Errno::STALE => "it was moved or replaced while it was deleted".to_owned(),
        Errno::NOTEMPTY | Errno::EXIST => "something goes on writing into it; end that and eject again".to_owned(),
        other => std::io::Error::from(other).to_string(),
    }
}
