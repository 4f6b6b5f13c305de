//! Which places in a whole distribution a recipe may fill. The distribution's own files may be replaced, as an overlay
//! does it; refused is only what would be hidden, emptied, or would break the system. Pure.

use std::path::Path;

use super::values::Problem;

/// What the live system mounts something over (systemd's API file systems, and its tmp.mount).
const HIDDEN: [&str; 6] = ["/dev", "/proc", "/run", "/sys", "/tmp", "/var/run"];
/// What the image's making empties: mkarchiso its `/boot`, `/var/tmp` and what pacman keeps, we the same.
const EMPTIED: [&str; 5] = ["/boot", "/var/tmp", "/var/lib/pacman/sync", "/var/cache/pacman", "/var/cache/apt"];
/// What the package managers keep: without it the system does not know itself.
const KEPT: [&str; 3] = ["/var/lib/pacman", "/var/lib/dpkg", "/var/lib/apt"];
/// Links of a merged /usr (file-hierarchy(7)) and what they lead to.
const LINKS: [(&str, &str); 7] = [
    ("/bin", "/usr/bin"),
    ("/sbin", "/usr/bin"),
    ("/lib", "/usr/lib"),
    ("/lib64", "/usr/lib"),
    ("/lib32", "/usr/lib32"),
    ("/usr/sbin", "/usr/bin"),
    ("/var/lock", "/run/lock"),
];
/// Folders that hold what packages bring: a repository is no replacement for one, nor is a file.
const SYSTEM: [&str; 13] = [
    "/etc",
    "/usr",
    "/usr/bin",
    "/usr/include",
    "/usr/lib",
    "/usr/lib32",
    "/usr/lib64",
    "/usr/local",
    "/usr/local/bin",
    "/usr/share",
    "/var",
    "/var/cache",
    "/var/lib",
];
/// Folders that every distribution has and that a repository may be merged into; a file can take the place of none.
const FOLDERS: [&str; 7] = ["/home", "/media", "/mnt", "/opt", "/root", "/srv", "/var/log"];

/// Judges where the repository is put.
pub(super) fn judge_into(into: &Path) -> Result<(), Problem> {
    judge(into, "use a folder of its own, like \"/root/work\"")?;
    match SYSTEM.iter().find(|folder| into == Path::new(folder)) {
        Some(folder) => {
            let what = format!("{folder} belongs to the system");
            Err((what, "use a folder of its own below it, or \"/root/work\"".to_owned()))
        }
        None => Ok(()),
    }
}

/// Judges where a single file is put.
pub(super) fn judge_file(to: &Path, into: &Path) -> Result<(), Problem> {
    judge(to, "use another place, like \"/root/work\"")?;
    let advice = || "name the file itself, below that folder".to_owned();
    if into.starts_with(to) {
        let what = if into == to { "is source.into itself" } else { "is a folder above source.into" };
        return Err((what.to_owned(), advice()));
    }
    match SYSTEM.iter().chain(&FOLDERS).any(|folder| to == Path::new(folder)) {
        true => Err(("is a folder of every system".to_owned(), advice())),
        false => Ok(()),
    }
}

fn judge(path: &Path, elsewhere: &str) -> Result<(), Problem> {
    let in_one_of = |places: &[&'static str]| places.iter().copied().find(|place| path.starts_with(place));
    if let Some(place) = in_one_of(&HIDDEN) {
        return Err((format!("{place} is hidden by the guest's own mount"), elsewhere.to_owned()));
    }
    if let Some(place) = in_one_of(&EMPTIED) {
        return Err((format!("{place} is emptied when the image is made"), elsewhere.to_owned()));
    }
    if let Some(place) = in_one_of(&KEPT) {
        return Err((format!("{place} belongs to the package manager"), elsewhere.to_owned()));
    }
    if let Some((link, target)) = LINKS.iter().find(|(link, _)| path.starts_with(link)) {
        let rest = path.strip_prefix(link).unwrap_or(path).display().to_string();
        let meant = if rest.is_empty() { (*target).to_owned() } else { format!("{target}/{rest}") };
        return Err((format!("{link} is a link to {target} in the guest"), format!("write {meant:?}")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_hidden_emptied_or_the_systems_own_is_refused_and_all_else_is_not() {
        for into in [
            "/proc",
            "/sys/x",
            "/dev",
            "/run/x",
            "/var/run/x",
            "/tmp",
            "/tmp/x",
            "/var/tmp/x",
            "/boot",
            "/boot/x",
            "/usr",
            "/usr/bin",
            "/usr/lib",
            "/etc",
            "/var",
            "/var/lib",
            "/var/lib/pacman/local",
            "/bin",
            "/lib/modules",
            "/usr/sbin/x",
        ] {
            assert!(judge_into(Path::new(into)).is_err(), "{into}");
        }
        for into in [
            "/root",
            "/root/x",
            "/home",
            "/home/me/x",
            "/opt",
            "/srv/x",
            "/etc/x",
            "/usr/local/share",
            "/usr/share/omarchy",
            "/usr/lib/x",
            "/var/lib/x",
            "/work",
            "/binx",
            "/bootx",
        ] {
            assert_eq!(judge_into(Path::new(into)), Ok(()), "{into}");
        }
        let (_, advice) = judge_into(Path::new("/lib/systemd/x")).unwrap_err();
        assert_eq!(advice, "write \"/usr/lib/systemd/x\"");
    }

    #[test]
    fn a_single_file_may_replace_any_file() {
        let into = Path::new("/root/demo");
        for to in ["/root", "/root/demo", "/etc", "/usr/share", "/home", "/boot/x", "/bin/sh", "/run/x"] {
            assert!(judge_file(Path::new(to), into).is_err(), "{to}");
        }
        for to in ["/root/demo/x", "/etc/passwd", "/etc/motd", "/usr/bin/tool", "/vm-env.sh", "/root/vm-env.sh"] {
            assert_eq!(judge_file(Path::new(to), into), Ok(()), "{to}");
        }
    }
}
