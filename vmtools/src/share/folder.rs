//! Which folders may be lent: those that are there, and to a guest that may write none that it could ruin the host with.

use std::fmt;
use std::path::{Path, PathBuf};

use super::{Access, ShareError, SharedFolder};

/// The longest mount tag: QEMU's 9p has room for 31 bytes (`MAX_TAG_LEN`), virtiofs for 36.
const TAG: usize = 31;
/// What belongs to the system, with everything inside.
const SYSTEM: [&str; 11] =
    ["/bin", "/boot", "/dev", "/etc", "/lib", "/lib32", "/lib64", "/proc", "/sbin", "/sys", "/usr"];
/// What is the system's as a whole, though users have folders inside.
const SHARED: [&str; 12] =
    ["/", "/home", "/media", "/mnt", "/opt", "/root", "/run", "/srv", "/tmp", "/var", "/var/lib", "/var/tmp"];

/// Why a folder is not lent to a guest that may write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It belongs to the system.
    System,
    /// It is the user's home, or a folder above it.
    Home,
    /// It is a hidden folder in the user's home, where programs keep keys and settings.
    Hidden,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::System => "it belongs to the system, which a program in the guest could change",
            Self::Home => "your home is in it, with your keys and everything that you start when you log in",
            Self::Hidden => "hidden folders of your home hold keys and what is started when you log in",
        })
    }
}

/// The folder without links in its path, if it may be lent.
pub(super) fn checked(folder: &SharedFolder, home: Option<&Path>) -> Result<PathBuf, ShareError> {
    let failed = |problem: String| ShareError::Folder { dir: folder.dir.clone(), problem };
    let dir = folder.dir.canonicalize().map_err(|e| failed(e.to_string()))?;
    if !dir.is_dir() {
        return Err(failed("it is not a folder".to_owned()));
    }
    let access = rustix::fs::Access::READ_OK | rustix::fs::Access::EXEC_OK;
    rustix::fs::access(&dir, access).map_err(|e| failed(std::io::Error::from(e).to_string()))?;
    if folder.access == Access::Writable {
        let home = home.map(|home| home.canonicalize().unwrap_or_else(|_| home.to_path_buf()));
        if let Some(why) = refusal(&dir, home.as_deref()) {
            return Err(ShareError::Dangerous { dir, why });
        }
    }
    Ok(dir)
}

/// Why a guest may not write to `dir`, an absolute path without links. Pure.
fn refusal(dir: &Path, home: Option<&Path>) -> Option<Refusal> {
    if SYSTEM.iter().any(|system| dir.starts_with(system)) || SHARED.iter().any(|shared| dir == Path::new(shared)) {
        return Some(if home == Some(dir) { Refusal::Home } else { Refusal::System });
    }
    let home = home.filter(|home| *home != Path::new("/"))?;
    if home.starts_with(dir) {
        return Some(Refusal::Home);
    }
    let first = dir.strip_prefix(home).ok()?.components().next()?;
    first.as_os_str().to_string_lossy().starts_with('.').then_some(Refusal::Hidden)
}

/// The first tag that is none, or that two folders have.
pub(super) fn bad_tag(folders: &[SharedFolder]) -> Option<String> {
    let fits = |tag: &str| {
        (1..=TAG).contains(&tag.len())
            && tag.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-'))
    };
    let mut seen = std::collections::HashSet::new();
    folders.iter().map(|folder| &folder.tag).find(|tag| !fits(tag) || !seen.insert(*tag)).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_writes_to_projects_and_nowhere_else() {
        let of = |dir: &str| refusal(Path::new(dir), Some(Path::new("/home/me")));
        for dir in ["/", "/etc", "/etc/ssh", "/usr/local/src/x", "/var", "/tmp", "/proc/1", "/root", "/opt"] {
            assert_eq!(of(dir), Some(Refusal::System), "{dir}");
        }
        assert_eq!(of("/home"), Some(Refusal::System));
        assert_eq!(of("/home/me"), Some(Refusal::Home));
        assert_eq!(refusal(Path::new("/root"), Some(Path::new("/root"))), Some(Refusal::Home));
        assert_eq!(refusal(Path::new("/data"), Some(Path::new("/data/home/me"))), Some(Refusal::Home));
        for dir in ["/home/me/.ssh", "/home/me/.config/x/y"] {
            assert_eq!(of(dir), Some(Refusal::Hidden), "{dir}");
        }
        for dir in ["/home/me/src/demo", "/home/me/a/.b", "/srv/demo", "/tmp/demo", "/var/lib/demo", "/root/demo"] {
            assert_eq!(of(dir), None, "{dir}");
        }
        assert_eq!(refusal(Path::new("/srv/demo"), None), None);
        assert_eq!(refusal(Path::new("/srv/demo"), Some(Path::new("/"))), None, "a user without a home");
    }

    fn folder(tag: &str, dir: &Path, access: Access) -> SharedFolder {
        SharedFolder { tag: tag.into(), dir: dir.into(), at: "/at".into(), access }
    }

    #[test]
    fn what_is_not_there_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        let error = |path: &Path| checked(&folder("a", path, Access::ReadOnly), None).unwrap_err().to_string();
        assert!(error(&dir.path().join("none")).contains("No such file"));
        assert!(error(&file).contains("not a folder"));
        // Through a link it is still what it is.
        let link = dir.path().join("link");
        std::os::unix::fs::symlink("/etc", &link).unwrap();
        assert_eq!(checked(&folder("a", &link, Access::Overlaid), None).unwrap(), Path::new("/etc"));
        let refused = checked(&folder("a", &link, Access::Writable), None).unwrap_err().to_string();
        assert!(refused.contains("/etc") && refused.contains("belongs to the system"), "{refused}");
    }

    #[test]
    fn tags_are_short_plain_and_different() {
        let of = |tags: &[&str]| {
            bad_tag(&tags.iter().map(|tag| folder(tag, Path::new("/"), Access::ReadOnly)).collect::<Vec<_>>())
        };
        assert_eq!(of(&["repository", "a-1_b", &"x".repeat(31)]), None);
        for bad in ["", "A", "a b", "a,b", "ü", &"x".repeat(32)] {
            assert_eq!(of(&["ok", bad]).as_deref(), Some(bad));
        }
        assert_eq!(of(&["a", "b", "a"]).as_deref(), Some("a"));
    }
}
