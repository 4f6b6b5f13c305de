//! The look at the machine: all of the doctor's I/O. It reads and asks, and changes nothing.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use cartridge_supervise::{Cancel, Channel, CommandLine, Exit, IdMap, Observer, isolation_support};
use isoprep::mkarchiso::{self, NoWay};
use rustix::fs::Access;

use super::look::{find, setup_script, unreadable};
use super::needs::{self, checks};

/// How long a program may take to tell its version.
const VERSION_LIMIT: Duration = Duration::from_secs(3);

/// Where to look.
#[derive(Clone, Debug)]
pub struct Places {
    /// The root of the file system; another than `/` in tests.
    pub root: PathBuf,
    /// The folders of `PATH`.
    pub path: Vec<PathBuf>,
    /// Our own kernels: `<store>/<version>/{vmlinuz,modules/}`.
    pub kernel_store: Option<PathBuf>,
    /// Where images and stage results go; it need not exist yet.
    pub cache: PathBuf,
    /// `XDG_RUNTIME_DIR`.
    pub runtime: Option<PathBuf>,
    /// Whether there is an X or Wayland display to open a window on.
    pub display: bool,
}

impl Places {
    /// This process's own environment. `data` and `cache` are Cartridge's folders (not the user's whole ones).
    #[must_use]
    pub fn from_environment(data: &Path, cache: &Path) -> Self {
        let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty());
        Self {
            root: PathBuf::from("/"),
            path: env::split_paths(&env::var_os("PATH").unwrap_or_default()).collect(),
            kernel_store: Some(data.join("kernels")),
            cache: cache.to_owned(),
            runtime: set("XDG_RUNTIME_DIR").map(PathBuf::from),
            display: set("DISPLAY").is_some() || set("WAYLAND_DISPLAY").is_some(),
        }
    }
}

/// What can be said of /dev/kvm without using it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Kvm {
    /// There is no such device.
    #[default]
    Absent,
    /// It is there, and we may not open it.
    Denied,
    /// We may open it. Whether a guest really runs on it only a trial shows.
    Allowed,
}

/// What the kernel says of user namespaces. `None`: it has no such setting.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserNamespaces {
    /// user.max_user_namespaces: how many there may be.
    pub max: Option<u64>,
    /// kernel.unprivileged_userns_clone (Debian, Arch): 0 forbids them to ordinary users.
    pub unprivileged: Option<u64>,
    /// kernel.apparmor_restrict_unprivileged_userns (Ubuntu 24.04): 1 takes the capabilities away.
    pub apparmor: Option<u64>,
}

/// Whether a process can be shut in a user namespace, found by doing it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Isolated {
    /// Nobody has tried.
    #[default]
    Untried,
    /// It can.
    Works {
        /// Why there are no users but root inside, if that is so, with what would mend it.
        alone: Option<String>,
    },
    /// It cannot.
    Refused {
        /// What the system said, and the setting that forbids it where that is known.
        why: String,
    },
}

impl Isolated {
    /// Tries it.
    #[must_use]
    pub fn try_it() -> Self {
        match isolation_support() {
            Ok(IdMap::Single { why }) => Self::Works { alone: Some(why) },
            Ok(IdMap::Same | IdMap::Lent { .. }) => Self::Works { alone: None },
            Err(error) => Self::Refused { why: error.to_string().replace("\n  ", ". ") },
        }
    }
}

/// Which way mkarchiso would run, in sentences; or why none works.
pub(super) fn way_of_mkarchiso() -> Result<String, NoWay> {
    let path = env::var_os("PATH").unwrap_or_default();
    let facts = mkarchiso::look_around(&path, mkarchiso::CONTAINER, &Cancel::new());
    mkarchiso::choose(&facts).map(|chosen| chosen.sentence())
}

/// What `XDG_RUNTIME_DIR` is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum RuntimeDir {
    /// Not set.
    #[default]
    Unset,
    /// Set, and a private folder of ours.
    Good(PathBuf),
    /// Set, but not usable; with the reason.
    Bad(PathBuf, String),
}

/// What was seen. [`super::diagnose`] judges it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostProbe {
    /// The text of /etc/os-release.
    pub os_release: String,
    /// Whether we are root.
    pub root: bool,
    /// Whether there is a display.
    pub display: bool,
    /// For each need of the table, by name: what meets it.
    pub found: BTreeMap<String, Option<String>>,
    /// The first line that `qemu-system-x86_64 --version` prints.
    pub qemu_version: Option<String>,
    /// Where a fetched kernel goes.
    pub kernel_store: Option<PathBuf>,
    /// The running kernel's version, if its image is there and only root may read it.
    pub unreadable_kernel: Option<String>,
    /// `packaging/setup`, where this program came with it.
    pub setup: Option<PathBuf>,
    /// /dev/kvm.
    pub kvm: Kvm,
    /// What the accelerator's trial said, in a sentence, and whether KVM passed it; filled by the caller, who runs it.
    pub trial: Option<(bool, String)>,
    /// User namespaces, by the settings.
    pub user_namespaces: UserNamespaces,
    /// User namespaces, by trial; filled by the caller, who runs it.
    pub isolated: Isolated,
    /// Which way mkarchiso would run, or why none works; filled by the caller where it is wanted.
    pub mkarchiso: Option<Result<String, NoWay>>,
    /// What the guest of a cartridge gets of this machine; filled by the caller where one is wanted.
    pub guest: Vec<super::Check>,
    /// The cache folder and the free space there, bytes.
    pub cache: (PathBuf, Option<u64>),
    /// The folder for sockets.
    pub runtime: RuntimeDir,
    /// Memory, and how much of it programs can have now, MiB.
    pub memory_mib: (u64, u64),
    /// Processors that this process may use; at least 1.
    pub cpus: usize,
}

impl HostProbe {
    /// Looks. Blocks for as long as QEMU takes to tell its version, at most three seconds.
    #[must_use]
    pub fn gather(places: &Places) -> Self {
        let root = &places.root;
        let read = |path: &str| fs::read_to_string(root.join(path)).unwrap_or_default();
        let number = |path: &str| read(path).trim().parse().ok();
        let running = read("proc/sys/kernel/osrelease").trim().to_owned();
        Self {
            os_release: read("etc/os-release"),
            root: rustix::process::geteuid().is_root(),
            display: places.display,
            found: checks().iter().map(|spec| (spec.name.clone(), find(&spec.alternatives, places))).collect(),
            qemu_version: qemu_version(places),
            kernel_store: places.kernel_store.clone(),
            unreadable_kernel: unreadable(root, &running).then_some(running),
            setup: setup_script(root),
            kvm: kvm(&root.join("dev/kvm")),
            trial: None,
            user_namespaces: UserNamespaces {
                max: number("proc/sys/user/max_user_namespaces"),
                unprivileged: number("proc/sys/kernel/unprivileged_userns_clone"),
                apparmor: number("proc/sys/kernel/apparmor_restrict_unprivileged_userns"),
            },
            isolated: Isolated::Untried,
            mkarchiso: None,
            guest: Vec::new(),
            cache: (places.cache.clone(), free_bytes(&places.cache)),
            runtime: runtime_dir(places.runtime.as_deref()),
            memory_mib: memory_mib(&read("proc/meminfo")),
            cpus: std::thread::available_parallelism().map_or(1, usize::from),
        }
    }
}

fn kvm(device: &Path) -> Kvm {
    if !device.exists() {
        Kvm::Absent
    } else if rustix::fs::access(device, Access::READ_OK | Access::WRITE_OK).is_ok() {
        Kvm::Allowed
    } else {
        Kvm::Denied
    }
}

/// Free space where `folder` is or would be made: its nearest ancestor that exists.
fn free_bytes(folder: &Path) -> Option<u64> {
    let there = folder.ancestors().find(|path| path.exists())?;
    let space = rustix::fs::statvfs(there).ok()?;
    Some(space.f_bavail.saturating_mul(space.f_frsize))
}

fn runtime_dir(folder: Option<&Path>) -> RuntimeDir {
    let Some(folder) = folder else { return RuntimeDir::Unset };
    let bad = |reason: String| RuntimeDir::Bad(folder.to_owned(), reason);
    match fs::metadata(folder) {
        Err(e) => bad(e.to_string()),
        Ok(m) if !m.is_dir() => bad("not a folder".to_owned()),
        Ok(m) if m.uid() != rustix::process::geteuid().as_raw() => bad(format!("it belongs to user {}", m.uid())),
        Ok(m) if m.permissions().mode() & 0o077 != 0 => {
            bad(format!("others may enter it: its mode is {:o}, not 700", m.permissions().mode() & 0o777))
        }
        Ok(_) => RuntimeDir::Good(folder.to_owned()),
    }
}

/// `MemTotal` and `MemAvailable` of /proc/meminfo (proc_meminfo(5)), MiB; 0 where they are not there.
fn memory_mib(meminfo: &str) -> (u64, u64) {
    let field = |name: &str| {
        let line = meminfo.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) / 1024
    };
    (field("MemTotal"), field("MemAvailable"))
}

/// Its output is read from the exit's evidence.
struct Silent;

impl Observer for Silent {
    fn output(&mut self, _: Channel, _: &[u8]) {}
    fn exited(&mut self, _: &Exit) {}
}

fn qemu_version(places: &Places) -> Option<String> {
    let spec = checks().iter().find(|spec| spec.name == needs::QEMU)?;
    let program = find(&spec.alternatives, places)?;
    let child = cartridge_supervise::spawn(&CommandLine::new(program).arg("--version"), Silent).ok()?;
    let exit = child.wait(VERSION_LIMIT)?;
    exit.status.success().then(|| exit.evidence_text().lines().next().unwrap_or_default().to_owned())
}

#[cfg(test)]
#[path = "probe_tests.rs"]
mod tests;
