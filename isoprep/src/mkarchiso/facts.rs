//! Finds out what this host offers for running mkarchiso. Everything is tried, not guessed: a namespace is made, a
//! container is run.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use cartridge_supervise::{Cancel, CommandLine, RunError, isolation_support, run};

use super::command::HELPER;
use super::ways::{Facts, HelperFact, NamespaceFact, PodmanFact};

/// What mkarchiso runs and does not check for itself before it starts.
const COMPANIONS: [&str; 4] = ["pacstrap", "pacman", "pacman-conf", "xorriso"];
/// What a container must have.
const INSIDE: &str = "command -v mkarchiso pacstrap flock mountpoint >/dev/null";

/// The program `name` in the directories of `path`, a `PATH` variable.
#[must_use]
pub fn find(name: &str, path: &OsStr) -> Option<PathBuf> {
    std::env::split_paths(path).filter(|dir| dir.is_absolute()).map(|dir| dir.join(name)).find(|program| {
        fs::metadata(program).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
    })
}

/// Looks around: at the programs in `path` (a `PATH` variable), at namespaces, and, only where these do not do, at
/// podman with the image called `image`, which takes up to some seconds.
#[must_use]
pub fn look_around(path: &OsStr, image: &str, cancel: &Cancel) -> Facts {
    let tool = find("mkarchiso", path);
    let missing: Vec<String> =
        COMPANIONS.iter().filter(|name| find(name, path).is_none()).map(|name| (*name).to_owned()).collect();
    let namespaces = match isolation_support() {
        Ok(ids) => NamespaceFact::Work(ids),
        Err(error) => {
            let most = fs::read_to_string("/proc/sys/user/max_user_namespaces").unwrap_or_default();
            NamespaceFact::Refused { why: error.to_string().replace("\n  ", " "), for_root_too: most.trim() == "0" }
        }
    };
    let enough = matches!(&namespaces, NamespaceFact::Work(ids) if ids.has_many());
    let podman = if enough && tool.is_some() && missing.is_empty() {
        PodmanFact::NotLookedAt
    } else {
        podman(path, image, cancel)
    };
    Facts { tool, missing, namespaces, podman, helper: helper(Path::new(HELPER), path) }
}

fn podman(path: &OsStr, image: &str, cancel: &Cancel) -> PodmanFact {
    let Some(program) = find("podman", path) else { return PodmanFact::Absent };
    let image_of = || image.to_owned();
    let exists = CommandLine::new(&program).args(["image", "exists", image]);
    match run(&exists, cancel, |_, _| ()) {
        Ok(_) => {}
        // Code 1 means "no", by podman-image-exists(1); it prints nothing then.
        Err(RunError::Failed { how, evidence, .. }) if how == "exit code 1" && evidence.is_empty() => {
            return PodmanFact::NoImage { image: image_of() };
        }
        Err(error) => return PodmanFact::Broken { image: image_of(), why: said(&error) },
    }
    let probe = CommandLine::new(&program)
        .args(["run", "--rm", "--pull=never", "--network=host", "--cap-add=SYS_ADMIN", "--security-opt=label=disable"])
        .args(["--entrypoint=sh", image, "-c", INSIDE]);
    match run(&probe, cancel, |_, _| ()) {
        Ok(_) => PodmanFact::Ready { image: image_of() },
        Err(RunError::Failed { how, evidence, .. }) if evidence.is_empty() => PodmanFact::Broken {
            image: image_of(),
            why: format!("it lacks mkarchiso, pacstrap, flock or mountpoint ({how})"),
        },
        Err(error) => PodmanFact::Broken { image: image_of(), why: said(&error) },
    }
}

/// The last line that a tool printed, else the whole error.
fn said(error: &RunError) -> String {
    match error {
        RunError::Failed { evidence, how, .. } => {
            let last = evidence.lines().map(str::trim).rfind(|line| !line.is_empty());
            last.map_or_else(|| how.clone(), str::to_owned)
        }
        other => other.to_string(),
    }
}

fn helper(helper: &Path, path: &OsStr) -> HelperFact {
    let Ok(meta) = fs::symlink_metadata(helper) else { return HelperFact::Absent };
    if !meta.is_file() || meta.uid() != 0 || meta.mode() & 0o022 != 0 {
        return HelperFact::NotRoots;
    }
    if find("pkexec", path).is_none() { HelperFact::NoPkexec } else { HelperFact::Ready }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_in_absolute_directories_only_and_only_if_they_can_be_run() {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("tool");
        fs::write(&program, "").unwrap();
        let path = std::env::join_paths([Path::new("."), dir.path()]).unwrap();
        assert_eq!(find("tool", &path), None);
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(find("tool", &path), Some(program));
        assert_eq!(find("sh", OsStr::new("bin:")), None);
    }

    #[test]
    fn a_helper_that_others_can_change_is_not_trusted() {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("helper");
        let path = std::env::var_os("PATH").unwrap();
        assert_eq!(helper(&program, &path), HelperFact::Absent);
        fs::write(&program, "").unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o777)).unwrap();
        assert_eq!(helper(&program, &path), HelperFact::NotRoots);
        std::os::unix::fs::symlink("/bin/true", dir.path().join("link")).unwrap();
        assert_eq!(helper(&dir.path().join("link"), &path), HelperFact::NotRoots);
    }
}
