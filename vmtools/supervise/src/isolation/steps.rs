//! The plan as system calls that are ready to be made: between fork and exec nothing may be allocated (fork(2), async-signal
//! safety), so every path and number is made here, before.

use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::ids::IdMap;
use super::{Isolation, Limits};

/// Device nodes that every program may expect (the list of the OCI runtime specification, config-linux, "Default Devices").
const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];
/// Directories that are always private, and what mount(8) is told of each.
const PRIVATE: [(&str, &str); 3] = [("/tmp", "mode=1777"), ("/run", "mode=755"), ("/dev", "mode=755")];
/// Parts of `/proc` through which the host's real root could change the host (as container runtimes close them).
const CLOSED: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// What is held as a detached mount before everything is closed, and put in its place after.
pub(super) struct Held {
    pub(super) from: CString,
    pub(super) to: CString,
    pub(super) writable: bool,
    /// A place to be made when it is missing: a file for a file.
    pub(super) is_dir: bool,
    /// The detached mount, once it is held.
    pub(super) fd: i32,
}

/// A private directory, and what mount(8) is told of it.
pub(super) struct Tmpfs {
    pub(super) at: CString,
    pub(super) data: CString,
}

/// The places inside a root file system.
pub(super) struct Prepared {
    /// Bound from the host's or our own: source and place.
    pub(super) bound: Vec<(CString, CString)>,
    pub(super) tmpfs: Vec<Tmpfs>,
}

/// How the id maps are written.
pub(super) enum Mapping {
    /// By our side, which is asked and waited for.
    Asked,
    /// By the child: `uid_map` and `gid_map`.
    Own(Vec<u8>, Vec<u8>),
}

/// Everything that [`enter`](super::enter()) does.
pub(crate) struct Steps {
    /// The inner namespaces.
    pub(super) flags: i32,
    pub(super) mapping: Mapping,
    /// The inner `uid_map` and `gid_map`: every id that there is outside of it is itself.
    pub(super) inner: (Vec<u8>, Vec<u8>),
    /// Whether groups can be set: with a single id the kernel forbids it.
    pub(super) groups: bool,
    pub(super) held: Vec<Held>,
    pub(super) devices: Vec<Held>,
    pub(super) tmpfs: Vec<Tmpfs>,
    /// What mount(8) is told of `/dev/shm`.
    pub(super) shm: CString,
    pub(super) folders: Vec<CString>,
    pub(super) links: Vec<(CString, CString)>,
    pub(super) closed: Vec<CString>,
    pub(super) prepared: Vec<Prepared>,
    pub(super) root: Option<CString>,
    pub(super) cwd: CString,
    /// Whether it was asked for; otherwise `/` will do.
    pub(super) cwd_matters: bool,
    pub(super) limits: Vec<(u32, u64)>,
    pub(super) unprivileged: bool,
    /// Whether root inside is the host's real root.
    pub(super) real_root: bool,
    pub(super) map: IdMap,
}

impl Steps {
    /// Fails on paths that are not absolute, not there, or hold a NUL byte.
    pub(crate) fn of(plan: &Isolation, cwd: Option<&Path>) -> io::Result<Self> {
        let map = plan.ids.clone().unwrap_or_else(IdMap::of_this_user);
        let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        let mapping = match &map {
            IdMap::Single { .. } => {
                Mapping::Own(format!("0 {uid} 1\n").into_bytes(), format!("0 {gid} 1\n").into_bytes())
            }
            IdMap::Same | IdMap::Lent { .. } => Mapping::Asked,
        };
        let mut flags = libc::CLONE_NEWUSER | libc::CLONE_NEWPID | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS;
        let mut shown = plan.shown.clone();
        if plan.network {
            shown.extend(resolver());
        } else {
            flags |= libc::CLONE_NEWNET;
        }
        let held: Vec<Held> = (shown.iter().map(|(from, to)| hold(from, to, false)))
            .chain(plan.writable.iter().map(|(from, to)| hold(from, to, true)))
            .collect::<io::Result<_>>()?;
        // An empty file takes memory too: no more of them than there are pages.
        let bound = |bytes: u64| format!(",size={bytes},nr_inodes={}", bytes / 4096);
        let bound = plan.limits.private_bytes.map(bound).unwrap_or_default();
        let mut tmpfs = PRIVATE.map(|(at, data)| (PathBuf::from(at), data)).to_vec();
        let mut empty = Vec::new();
        for dir in &plan.hidden {
            let dir = resolved(dir)?;
            if PRIVATE.iter().any(|(at, _)| dir.starts_with(at)) {
                // Hidden already; the place itself is still seen.
                empty.push(dir);
            } else {
                tmpfs.push((dir, "mode=755"));
            }
        }
        let private: Vec<PathBuf> = tmpfs.iter().map(|(at, _)| at.clone()).collect();
        let devices = DEVICES.iter().map(|name| Path::new("/dev").join(name)).filter(|path| path.exists());
        let given = cwd.map(Path::to_path_buf);
        let cwd = match (&plan.root, &given) {
            (Some(_), _) => PathBuf::from("/"),
            (None, Some(dir)) => dir.clone(),
            (None, None) => std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/")),
        };
        let real_root = uid == 0 && map == IdMap::Same;
        Ok(Self {
            flags,
            mapping,
            inner: map.inner()?,
            groups: map.has_many(),
            folders: folders(&held, empty, &private)?,
            held,
            devices: devices.map(|path| hold(&path, &path, true)).collect::<io::Result<_>>()?,
            tmpfs: tmpfs.iter().map(|(at, data)| tmpfs_at(at, &format!("{data}{bound}"))).collect::<io::Result<_>>()?,
            shm: CString::new(format!("mode=1777{bound}"))?,
            links: vec![
                (c"/proc/self/fd".to_owned(), c"/dev/fd".to_owned()),
                (c"/proc/self/fd/0".to_owned(), c"/dev/stdin".to_owned()),
                (c"/proc/self/fd/1".to_owned(), c"/dev/stdout".to_owned()),
                (c"/proc/self/fd/2".to_owned(), c"/dev/stderr".to_owned()),
                (c"pts/ptmx".to_owned(), c"/dev/ptmx".to_owned()),
            ],
            closed: if real_root {
                CLOSED.iter().map(|it| c(Path::new(it))).collect::<io::Result<_>>()?
            } else {
                Vec::new()
            },
            prepared: plan.prepared.iter().map(|dir| prepared(dir)).collect::<io::Result<_>>()?,
            root: plan.root.as_deref().map(c).transpose()?,
            cwd: c(&cwd)?,
            cwd_matters: given.is_some() || plan.root.is_some(),
            limits: limits(&plan.limits),
            unprivileged: plan.unprivileged,
            real_root,
            map,
        })
    }
}

fn c(path: &Path) -> io::Result<CString> {
    if !path.is_absolute() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{}: not an absolute path", path.display())));
    }
    Ok(CString::new(path.as_os_str().as_bytes())?)
}

fn resolved(path: &Path) -> io::Result<PathBuf> {
    path.canonicalize().map_err(|e| io::Error::new(e.kind(), format!("{}: {e}", path.display())))
}

fn hold(from: &Path, to: &Path, writable: bool) -> io::Result<Held> {
    let real = resolved(from)?;
    let is_dir = real.is_dir();
    // A place that does not exist yet is made, by name; one that exists may be reached through links.
    let to = to.canonicalize().unwrap_or_else(|_| to.to_path_buf());
    Ok(Held { from: c(&real)?, to: c(&to)?, writable, is_dir, fd: -1 })
}

fn tmpfs_at(at: &Path, data: &str) -> io::Result<Tmpfs> {
    Ok(Tmpfs { at: c(at)?, data: CString::new(data)? })
}

/// The folders that must be made inside private directories for what is put there, parents first.
fn folders(held: &[Held], empty: Vec<PathBuf>, private: &[PathBuf]) -> io::Result<Vec<CString>> {
    let place = |it: &Held| {
        let to = Path::new(std::ffi::OsStr::from_bytes(it.to.as_bytes()));
        let own = if it.is_dir { Some(to) } else { to.parent() };
        own.map(Path::to_path_buf)
    };
    let mut folders = Vec::new();
    for dir in held.iter().filter_map(place).chain(empty) {
        let above = dir.ancestors();
        folders.extend(
            above.filter(|dir| private.iter().any(|top| dir.starts_with(top) && dir != top)).map(PathBuf::from),
        );
    }
    folders.sort();
    folders.dedup();
    folders.iter().map(|dir| c(dir)).collect()
}

/// `/etc/resolv.conf` is often a link into `/run`, which is private.
fn resolver() -> Option<(PathBuf, PathBuf)> {
    let real = Path::new("/etc/resolv.conf").canonicalize().ok()?;
    real.starts_with("/run").then(|| (real.clone(), real))
}

fn prepared(dir: &Path) -> io::Result<Prepared> {
    let bound = ["/proc", "/sys", "/dev"].into_iter().map(|name| Ok((c(Path::new(name))?, c(&dir.join(&name[1..]))?)));
    let tmpfs =
        [("run", "mode=755"), ("tmp", "mode=1777")].into_iter().map(|(name, data)| tmpfs_at(&dir.join(name), data));
    Ok(Prepared { bound: bound.collect::<io::Result<_>>()?, tmpfs: tmpfs.collect::<io::Result<_>>()? })
}

fn limits(limits: &Limits) -> Vec<(u32, u64)> {
    let wanted = [
        (libc::RLIMIT_AS, limits.memory_bytes),
        (libc::RLIMIT_CPU, limits.cpu_seconds),
        (libc::RLIMIT_NPROC, limits.processes),
        (libc::RLIMIT_FSIZE, limits.file_bytes),
        (libc::RLIMIT_CORE, Some(0)),
    ];
    wanted.into_iter().filter_map(|(what, limit)| Some((what, limit?))).collect()
}
