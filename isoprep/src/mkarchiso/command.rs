//! The command line of each way to run mkarchiso. Pure, but for looking whose the directories are that pacman reads.

use std::ffi::{OsStr, OsString};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use cartridge_supervise::{CommandLine, Isolation};
use serde::Serialize;

use super::ways::Way;
use crate::rootfs::KEPT;

/// Where the packages put the helper. polkit's policy names this path.
pub const HELPER: &str = "/usr/lib/cartridge/mkarchiso-helper";
/// Where the package cache is seen while mkarchiso runs, whichever way: what `CacheDir` of the assembled profile's
/// `pacman.conf` must say. mkarchiso and pacman take lists apart at blanks, so that a cache or a work directory whose
/// path has one would be lost; inside, every path is ours.
pub const CACHE_INSIDE: &str = "/run/cartridge/cache";
/// Where our `mount` and `umount` are seen.
const SHIMS_INSIDE: &str = "/run/cartridge/bin";
/// Where the lock is seen in a container.
const LOCK_INSIDE: &str = "/run/cartridge/lock";
/// Where the scratch directory is seen.
const BUILD_INSIDE: &str = "/run/cartridge/build";
/// Where the profile is seen.
pub(crate) const PROFILE_INSIDE: &str = "/run/cartridge/profile";
/// The `PATH` of a container: wherever a distribution keeps programs.
const CONTAINER_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Our `mount`, `umount` and first process, which the scratch directory holds while mkarchiso runs.
pub(super) const SHIMS: [(&str, &str); 3] =
    [("mount", include_str!("mount.sh")), ("umount", include_str!("umount.sh")), ("inside", include_str!("inside.sh"))];

/// What the helper reads on its standard input: one JSON document on a line of its own. It stops when the input ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HelperRequest {
    /// Work directories with our marker, absolute, owned by the caller, in which a helper that was killed left what only root
    /// can remove.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub clear: Vec<PathBuf>,
    /// The image to build.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub build: Option<HelperBuild>,
}

/// An image that the helper builds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HelperBuild {
    /// The assembled profile, absolute, owned by the caller.
    pub profile: PathBuf,
    /// A work directory with our marker, absolute, owned by the caller.
    pub work: PathBuf,
    /// A directory inside `work` that the image is put into.
    pub out: PathBuf,
    /// Directories that pacman reads, absolute, owned by the caller.
    pub readable: Vec<PathBuf>,
    /// The time stamp of everything that is made, seconds since 1970.
    pub source_date_epoch: u64,
}

impl HelperRequest {
    /// Asks polkit, then runs the helper. Its input is held open for as long as the child is wanted.
    pub(super) fn command(&self) -> CommandLine {
        // Paths that are no text cannot be written as JSON; the helper refuses the empty request and says so.
        let mut text = serde_json::to_vec(self).unwrap_or_default();
        text.push(b'\n');
        CommandLine::new("pkexec").arg("--disable-internal-agent").arg(HELPER).stdin_held(text)
    }
}

/// Everything that a command line depends on.
pub(super) struct Plan<'a> {
    pub way: Way,
    /// The installed mkarchiso; a container has its own.
    pub tool: &'a Path,
    /// The image's name, for podman.
    pub image: &'a str,
    /// The container's name, for podman.
    pub container: &'a str,
    pub profile: &'a Path,
    /// A work directory with our marker, ours alone: holds `work`, `out`, `bin` and `lock`.
    pub scratch: &'a Path,
    /// The package cache.
    pub cache: &'a Path,
    /// More directories that pacman reads: `file://` repositories.
    pub readable: &'a [PathBuf],
    /// Work directories in which a helper that was killed left something.
    pub clear: &'a [PathBuf],
    pub source_date_epoch: u64,
    /// Our own `PATH`.
    pub path: &'a OsStr,
}

impl Plan<'_> {
    /// Where mkarchiso works, seen from outside.
    pub fn work(&self) -> PathBuf {
        self.scratch.join("work")
    }

    pub fn out(&self) -> PathBuf {
        self.scratch.join("out")
    }

    pub fn shims(&self) -> PathBuf {
        self.scratch.join("bin")
    }

    pub fn lock(&self) -> PathBuf {
        self.scratch.join("lock")
    }

    pub fn command(&self) -> CommandLine {
        let line = match self.way {
            Way::Namespace | Way::NamespaceOfOne => self.namespace(),
            Way::Podman => self.podman(),
            Way::Helper => self.helper(),
        };
        line.one_pipe()
    }

    fn arguments() -> Vec<OsString> {
        let inside = |name: &str| OsString::from(format!("{BUILD_INSIDE}/{name}"));
        vec!["-v".into(), "-w".into(), inside("work"), "-o".into(), inside("out"), PROFILE_INSIDE.into()]
    }

    fn namespace(&self) -> CommandLine {
        let mut isolation = Isolation::new()
            .network()
            .writable_at(self.scratch, BUILD_INSIDE)
            .writable_at(self.cache, CACHE_INSIDE)
            .shown(self.profile, PROFILE_INSIDE)
            .shown(self.shims(), SHIMS_INSIDE);
        for dir in self.readable {
            isolation = isolation.shown(dir, dir);
        }
        let mut path = OsString::from(SHIMS_INSIDE);
        path.push(":");
        path.push(self.path);
        CommandLine::new(self.tool)
            .args(Self::arguments())
            .only_env(KEPT)
            .env("PATH", path)
            .env("LC_ALL", "C.UTF-8")
            .env("SOURCE_DATE_EPOCH", self.source_date_epoch.to_string())
            .env("HOME", "/tmp")
            .isolated(isolation)
    }

    fn podman(&self) -> CommandLine {
        let volume = |from: &Path, to: &Path, mode: &str| {
            let mut mount = OsString::from("--mount=type=bind,source=");
            mount.push(from);
            mount.push(",destination=");
            mount.push(to);
            mount.push(mode);
            mount
        };
        let mut line = CommandLine::new("podman")
            .args(["run", "--rm", "--pull=never", "--network=host"])
            .args(["--cap-add=SYS_ADMIN", "--security-opt=label=disable"])
            .arg(format!("--name={}", self.container))
            .arg(format!("--env=PATH={SHIMS_INSIDE}:{CONTAINER_PATH}"))
            .args(["--env=LC_ALL=C.UTF-8", "--env=HOME=/tmp"])
            .arg(format!("--env=SOURCE_DATE_EPOCH={}", self.source_date_epoch))
            .arg(volume(self.scratch, Path::new(BUILD_INSIDE), ""))
            .arg(volume(self.cache, Path::new(CACHE_INSIDE), ""))
            .arg(volume(self.profile, Path::new(PROFILE_INSIDE), ",readonly"))
            .arg(volume(&self.shims(), Path::new(SHIMS_INSIDE), ",readonly"))
            .arg(volume(&self.lock(), Path::new(LOCK_INSIDE), ",readonly"));
        for dir in self.readable {
            line = line.arg(volume(dir, dir, ",readonly"));
        }
        line.arg(format!("--entrypoint={SHIMS_INSIDE}/inside"))
            .args([self.image, LOCK_INSIDE, "mkarchiso"])
            .args(Self::arguments())
    }

    fn helper(&self) -> CommandLine {
        let own = rustix::process::geteuid().as_raw();
        let is_ours = |dir: &&PathBuf| std::fs::metadata(dir).is_ok_and(|meta| meta.uid() == own);
        let build = HelperBuild {
            profile: self.profile.to_path_buf(),
            work: self.scratch.to_path_buf(),
            out: self.out(),
            // What is everybody's is seen in any case.
            readable: self.readable.iter().filter(is_ours).cloned().collect(),
            source_date_epoch: self.source_date_epoch,
        };
        HelperRequest { clear: self.clear.to_vec(), build: Some(build) }.command()
    }
}

/// Whether podman can be told of a path: `--mount` takes commas and quotes for its own, and how they are escaped
/// changed between its versions.
pub(super) fn podman_can_name(path: &Path) -> bool {
    use std::os::unix::ffi::OsStrExt;
    !path.as_os_str().as_bytes().iter().any(|byte| byte.is_ascii_control() || b",\"".contains(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(way: Way) -> Plan<'static> {
        Plan {
            way,
            tool: Path::new("/usr/bin/mkarchiso"),
            image: "archiso",
            container: "c1",
            profile: Path::new("/c/profile"),
            scratch: Path::new("/c/s"),
            cache: Path::new("/c/pkg"),
            readable: &[],
            clear: &[],
            source_date_epoch: 7,
            path: OsStr::new("/usr/bin"),
        }
    }

    #[test]
    fn every_way_runs_the_same_arguments() {
        let wanted = "-v -w /run/cartridge/build/work -o /run/cartridge/build/out /run/cartridge/profile";
        assert!(plan(Way::Namespace).command().to_string().ends_with(wanted));
        let podman = plan(Way::Podman).command().to_string();
        assert!(podman.ends_with(&format!("archiso /run/cartridge/lock mkarchiso {wanted}")), "{podman}");
        assert!(podman.contains("--pull=never") && !podman.contains("privileged"), "{podman}");
    }

    #[test]
    fn the_helper_is_told_of_directories_only() {
        let line = plan(Way::Helper).command();
        assert_eq!(line.to_string(), format!("pkexec --disable-internal-agent {HELPER}"));
        let build = HelperBuild {
            profile: "/c/profile".into(),
            work: "/c/s".into(),
            out: "/c/s/out".into(),
            readable: vec!["/c/r".into()],
            source_date_epoch: 7,
        };
        // The same text is in the helper's own test.
        let text = r#"{"clear":["/c/old"],"build":{"profile":"/c/profile","work":"/c/s","out":"/c/s/out","readable":["/c/r"],"source_date_epoch":7}}"#;
        let request = HelperRequest { clear: vec!["/c/old".into()], build: Some(build) };
        assert_eq!(serde_json::to_string(&request).unwrap(), text);
        let request = HelperRequest { build: None, ..request };
        assert_eq!(serde_json::to_string(&request).unwrap(), r#"{"clear":["/c/old"]}"#);
    }

    #[test]
    fn paths_that_podman_would_take_apart_are_known() {
        assert!(podman_can_name(Path::new("/a b/c:d")));
        assert!(!podman_can_name(Path::new("/a,b")) && !podman_can_name(Path::new("/a\nb")));
    }
}
