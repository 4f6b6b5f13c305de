//! The room of a layout: a root of its own in memory, with the host's tools read-only and a home, devices and system files that
//! are copies and may die. All of its mounts are shared among themselves, as they are on a host with systemd.

use std::any::Any;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use isoprep::eject::WorkDir;
use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};
use rustix::mount::{
    MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_bind, mount_change, mount_remount, unmount,
};

/// Everything precious that is not somewhere else in the room.
pub const HOME: &str = "/home/me";
/// A folder on the host's own file system, which has what memory has not; thrown away too.
pub const DISK: &str = "/disk";
/// Where nothing precious is: tools that are read-only, and what the kernel makes up.
pub const NOT_PRECIOUS: [&str; 7] = ["/proc", "/usr", "/bin", "/sbin", "/lib", "/lib64", "/lib32"];

/// Why a layout cannot be made on this host.
#[derive(Debug)]
pub struct Skip(pub String);

/// What should come of a layout.
pub enum Expect {
    /// Everything goes.
    Gone,
    /// Exactly these stay and are named; everything else goes.
    Left(Vec<PathBuf>),
    /// It is refused or held as a whole: the tree stays as it is, and the message has these words.
    Kept(Vec<String>),
    /// Something races with it: gone, or what is left is named.
    GoneOrNamed,
}

/// A room that we are in, and what a layout has put there.
pub struct Room {
    /// The work directory.
    pub work: PathBuf,
    /// What is ejected: the work directory, or what a layout gives in its place.
    pub target: PathBuf,
    /// What lives while the layout is ejected: open files, processes.
    pub held: Vec<Box<dyn Any>>,
    /// Racing threads to start when everything was looked at.
    pub races: Vec<Box<dyn FnMut() + Send>>,
    /// What puts things where they belong when the race is over.
    pub settle: Vec<Box<dyn FnOnce()>>,
    /// What makes the rest go when it is ejected again.
    pub release: Vec<Box<dyn FnOnce()>>,
    /// What is not precious here, besides the work directory.
    pub passed_over: Vec<PathBuf>,
    /// The ejecting thread is its owner without powers over everybody's files.
    pub as_owner: bool,
}

impl Room {
    /// Leaves the host for a new root that is mounted in `folder`, for good.
    pub fn enter(folder: &Path) -> io::Result<Self> {
        let root = folder.join("root");
        fs::create_dir(&root)?;
        fs::create_dir(folder.join("disk"))?;
        mount("tmpfs", &root, "tmpfs", MountFlags::empty(), c"size=1g,mode=755")?;
        let dirs =
            ["old", "proc", "sys", "dev", "disk", "etc", "tmp", "run", "mnt", "var", "var/tmp", "root", "home", "srv"];
        for dir in dirs {
            fs::create_dir(root.join(dir))?;
        }
        tools(&root)?;
        mount_bind(folder.join("disk"), root.join("disk"))?;
        mount("proc", root.join("proc"), "proc", MountFlags::empty(), None)?;
        devices(&root.join("dev"))?;
        rustix::process::pivot_root(&root, root.join("old"))?;
        std::env::set_current_dir("/")?;
        unmount("/old", UnmountFlags::DETACH)?;
        fs::remove_dir("/old")?;
        furnish()?;
        mount_change("/", MountPropagationFlags::SHARED | MountPropagationFlags::REC)?;
        let mut room = Self {
            work: PathBuf::new(),
            target: PathBuf::new(),
            held: Vec::new(),
            races: Vec::new(),
            settle: Vec::new(),
            release: Vec::new(),
            passed_over: Vec::new(),
            as_owner: false,
        };
        room.work_in(Path::new(HOME).join(".cache/cartridge/sessions"));
        Ok(room)
    }

    /// Works in a new directory below `parent` from here on.
    pub fn work_in(&mut self, parent: impl AsRef<Path>) {
        self.work = WorkDir::create(parent.as_ref(), "torture").unwrap().path().to_owned();
        self.target.clone_from(&self.work);
    }

    /// Works on the host's file system.
    pub fn on_disk(&mut self) {
        self.work_in(Path::new(DISK).join("me/sessions"));
        fs::write(Path::new(DISK).join("me/ledger"), "in the black").unwrap();
    }

    pub fn at(&self, path: impl AsRef<OsStr>) -> PathBuf {
        self.work.join(Path::new(path.as_ref()))
    }

    /// Makes a file in the work directory.
    pub fn file(&self, path: impl AsRef<OsStr>) -> PathBuf {
        let path = self.at(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "ours").unwrap();
        path
    }

    /// Makes a directory in the work directory.
    pub fn dir(&self, path: impl AsRef<OsStr>) -> PathBuf {
        let path = self.at(path);
        fs::create_dir_all(&path).unwrap();
        path
    }

    /// Fills it with what a build leaves: `dirs` directories of ten files.
    pub fn fill(&self, dirs: usize) {
        for dir in 0..dirs {
            for file in 0..10 {
                self.file(format!("airootfs/usr/share/d{dir}/f{file}"));
            }
        }
    }

    pub fn hold(&mut self, held: impl Any) {
        self.held.push(Box::new(held));
    }
}

/// A path in the home.
pub fn home(path: &str) -> PathBuf {
    Path::new(HOME).join(path)
}

/// Turns what a host refuses into a reason to leave a layout out.
pub fn needs<T>(result: Result<T, impl std::fmt::Display>, what: &str) -> Result<T, Skip> {
    result.map_err(|error| Skip(format!("{what}: {error}")))
}

/// The host's programs and libraries, read-only.
fn tools(root: &Path) -> io::Result<()> {
    for name in ["usr", "bin", "sbin", "lib", "lib64", "lib32"] {
        let (from, to) = (Path::new("/").join(name), root.join(name));
        match fs::symlink_metadata(&from) {
            Ok(kind) if kind.is_symlink() => symlink(fs::read_link(&from)?, &to)?,
            Ok(_) => {
                fs::create_dir(&to)?;
                mount_bind(&from, &to)?;
                let flags = MountFlags::BIND | MountFlags::RDONLY;
                // In a user namespace what the host has set must be said again.
                mount_remount(&to, flags, c"")
                    .or_else(|_| mount_remount(&to, flags | MountFlags::NOSUID | MountFlags::NODEV, c""))?;
            }
            Err(_) => {}
        }
    }
    Ok(())
}

/// Devices as nodes of our own in memory, never the host's devtmpfs: what is deleted there is gone for everybody. Without the
/// right to make nodes the host's are shown one by one, each of which is a mount that nobody can delete.
fn devices(dev: &Path) -> io::Result<()> {
    mount("tmpfs", dev, "tmpfs", MountFlags::empty(), c"size=1m,mode=755")?;
    let chars = [
        ("null", 1, 3),
        ("zero", 1, 5),
        ("full", 1, 7),
        ("random", 1, 8),
        ("urandom", 1, 9),
        ("tty", 5, 0),
        ("fuse", 10, 229),
        ("loop-control", 10, 237),
    ];
    let mode = Mode::from_raw_mode(0o666);
    for (name, major, minor) in chars {
        let node = dev.join(name);
        if mknodat(CWD, &node, FileType::CharacterDevice, mode, makedev(major, minor)).is_err() {
            fs::write(&node, "")?;
            let from = Path::new("/dev").join(name);
            if from.exists() {
                mount_bind(from, &node)?;
            }
        }
    }
    for minor in 0..16 {
        let node = dev.join(format!("loop{minor}"));
        let _ = mknodat(CWD, &node, FileType::BlockDevice, mode, makedev(7, minor));
    }
    fs::create_dir(dev.join("pts"))?;
    fs::create_dir(dev.join("shm"))?;
    mount("devpts", dev.join("pts"), "devpts", MountFlags::empty(), c"newinstance")?;
    mount("tmpfs", dev.join("shm"), "tmpfs", MountFlags::empty(), c"size=1m")?;
    fs::write(dev.join("shm/session"), "of a program that runs")
}

/// What must not be lost: a home, system files, and a /sys with something mounted below.
fn furnish() -> io::Result<()> {
    let files = [
        ("/home/me/thesis.tex", "all of it", 0o644),
        ("/home/me/photos/1.jpg", "one", 0o444),
        ("/home/me/photos/2.jpg", "two", 0o600),
        ("/home/me/photos/2019/3.jpg", "three", 0o640),
        ("/home/me/.ssh/id_ed25519", "secret", 0o600),
        ("/home/me/bin/tool", "#!/bin/sh\n", 0o4755),
        ("/home/you/diary", "not for me", 0o600),
        ("/srv/data/table", "a row", 0o664),
        ("/etc/fstab", "/dev/sda1 / ext4", 0o644),
        ("/etc/passwd", "root:x:0:0::/root:/bin/sh\nme:x:1000:1000::/home/me:/bin/sh\n", 0o644),
        ("/etc/shadow", "root:*", 0o000),
        ("/sys/kernel/setting", "1", 0o644),
    ];
    mount("tmpfs", "/sys", "tmpfs", MountFlags::empty(), c"size=1m")?;
    for (path, text, mode) in files {
        fs::DirBuilder::new().recursive(true).mode(0o755).create(Path::new(path).parent().unwrap_or(Path::new("/")))?;
        fs::write(path, text)?;
        fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    }
    fs::create_dir_all("/sys/fs/cgroup")?;
    mount("tmpfs", "/sys/fs/cgroup", "tmpfs", MountFlags::empty(), c"size=1m")?;
    fs::write("/sys/fs/cgroup/tasks", "1 2 3")?;
    fs::set_permissions("/home/me/.ssh", fs::Permissions::from_mode(0o700))?;
    fs::set_permissions("/tmp", fs::Permissions::from_mode(0o1777))?;
    fs::create_dir("/home/me/empty")?;
    symlink("thesis.tex", "/home/me/latest")
}
