//! The private directory of one guest: its sockets, its pid file, its copy of the firmware variables; or of a session that is watched.
//!
//! Whoever reaches these sockets owns the guest, so the directory is 0700, ours, and never reached through a symlink.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use rustix::io::Errno;

/// The longest path a unix socket can have on Linux, bytes without the final NUL (`sun_path` in unix(7) has 108).
const SOCKET_PATH_LIMIT: usize = 107;
/// The longest file name that we put into a runtime directory, with its slash.
const LONGEST_NAME: usize = "/serial.sock".len();
/// What swtpm writes into its state directory (swtpm's `swtpm_nvstore_dir.c`, versions 0.7 to 0.10).
const TPM_FILES: [&str; 4] = ["tpm2-00.permall", "tpm2-00.volatilestate", "tpm2-00.savestate", ".lock"];
/// How much of a guest's name goes into its directory's name, bytes.
const NAME_LIMIT: usize = 24;

/// Where the parts of one guest's runtime directory lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuntimePaths {
    /// QEMU's control socket.
    pub qmp: PathBuf,
    /// The display's socket.
    pub vnc: PathBuf,
    /// The first serial line's socket.
    pub serial: PathBuf,
    /// QEMU's process id, written by QEMU itself.
    pub pid_file: PathBuf,
    /// This guest's own copy of the UEFI variables.
    pub vars: PathBuf,
    /// Several initial RAM disks joined into one, for a direct boot.
    pub initrd: PathBuf,
    /// Where a session is watched from; no guest's directory has it.
    pub watch: PathBuf,
    /// The TPM's control socket.
    pub tpm: PathBuf,
    /// The TPM's state, a directory.
    pub tpm_state: PathBuf,
}

impl RuntimePaths {
    /// The paths inside `dir`. Pure: nothing is created.
    #[must_use]
    pub fn new(dir: &Path) -> Self {
        Self {
            qmp: dir.join("qmp.sock"),
            vnc: dir.join("vnc.sock"),
            serial: dir.join("serial.sock"),
            pid_file: dir.join("qemu.pid"),
            vars: dir.join("vars.fd"),
            initrd: dir.join("initrd.img"),
            watch: dir.join("watch.sock"),
            tpm: dir.join("tpm.sock"),
            tpm_state: dir.join("tpm"),
        }
    }

    /// The socket of the virtiofsd that serves the guest's folder `number`, 0–999.
    #[must_use]
    pub fn share(&self, number: usize) -> PathBuf {
        self.qmp.with_file_name(format!("fs{number}.sock"))
    }
}

/// Whether a file is a folder's socket, or the note of its process id that some virtiofsds put beside it.
fn belongs_to_a_share(name: &str) -> bool {
    let name = name.strip_suffix(".pid").unwrap_or(name);
    let number = name.strip_prefix("fs").and_then(|name| name.strip_suffix(".sock"));
    number.is_some_and(|number| number.parse::<u16>().is_ok())
}

/// A guest's runtime directory could not be made or cannot be trusted.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// The system refused.
    #[error("could not {action} the runtime directory {}: {source}", path.display())]
    Io {
        /// "create", "look at", "remove".
        action: &'static str,
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Somebody else could read or replace the sockets in it.
    #[error("{} is not safe for a guest's sockets: {problem}; move it away or set XDG_RUNTIME_DIR", path.display())]
    Unsafe {
        /// The directory.
        path: PathBuf,
        /// "it is a symbolic link", "it belongs to user 1000".
        problem: String,
    },
    /// Its sockets' names would be longer than the kernel allows.
    #[error(
        "the runtime directory {} is {length} bytes long, and socket paths in it would pass the kernel's limit of \
         {SOCKET_PATH_LIMIT}; set XDG_RUNTIME_DIR to a shorter one",
        path.display()
    )]
    TooLong {
        /// The directory.
        path: PathBuf,
        /// Its length, bytes.
        length: usize,
    },
}

/// A private directory for one running guest. It stays until [`RuntimeDir::remove`]; for as long as whoever has made it keeps this,
/// or a clone, nobody sweeps it.
#[derive(Clone, Debug)]
pub struct RuntimeDir {
    path: PathBuf,
    /// The directory, locked, where this is who made it. The kernel drops that with the process.
    _held: Option<Arc<File>>,
}

impl RuntimeDir {
    /// The directory that holds all guests' directories: `$XDG_RUNTIME_DIR/cartridge`, else `/tmp/cartridge-<uid>`.
    #[must_use]
    pub fn base() -> PathBuf {
        match std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from) {
            Some(dir) if dir.is_absolute() && dir.is_dir() => dir.join("cartridge"),
            _ => PathBuf::from(format!("/tmp/cartridge-{}", rustix::process::geteuid().as_raw())),
        }
    }

    /// Makes a fresh directory for the guest `name` under [`RuntimeDir::base`].
    ///
    /// # Errors
    /// [`RuntimeError`] when the base is not ours alone, cannot be made, or is too long for sockets.
    pub fn create(name: &str) -> Result<Self, RuntimeError> {
        Self::create_in(&Self::base(), name)
    }

    /// Makes a fresh directory for the guest `name` under `base`, which is made too if needed.
    ///
    /// # Errors
    /// As for [`RuntimeDir::create`].
    pub fn create_in(base: &Path, name: &str) -> Result<Self, RuntimeError> {
        Self::prepare(base)?;
        Self::sweep(base);
        let short = short_name(name);
        for number in 0..10_000_u32 {
            let path = base.join(format!("{short}-{}-{number}", std::process::id()));
            match Self::make(&path) {
                Ok(Some(dir)) => return Ok(dir),
                Ok(None) => {}
                Err(RuntimeError::Io { source, .. }) if source.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(RuntimeError::Unsafe { path: base.to_owned(), problem: "it is full of old directories".into() })
    }

    /// Makes the directory that holds others, unless it is there, and looks whether it is ours alone.
    ///
    /// # Errors
    /// [`RuntimeError`] when it is not, or cannot be made.
    pub fn prepare(base: &Path) -> Result<(), RuntimeError> {
        match fs::DirBuilder::new().mode(0o700).create(base) {
            Err(source) if source.kind() != io::ErrorKind::AlreadyExists => {
                return Err(RuntimeError::Io { action: "create", path: base.to_owned(), source });
            }
            _ => check(base)?,
        }
        check_above(base)
    }

    /// Makes this very directory, in one that is there.
    ///
    /// # Errors
    /// [`RuntimeError`] when it cannot be made, is there already, or is too long for sockets.
    pub fn create_at(path: &Path) -> Result<Self, RuntimeError> {
        loop {
            if let Some(dir) = Self::make(path)? {
                return Ok(dir);
            }
            // Somebody's sweep has it: not for long.
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Makes a directory, and holds it; `None` where a sweep came in between.
    fn make(path: &Path) -> Result<Option<Self>, RuntimeError> {
        check_length(path)?;
        let failed = |source| RuntimeError::Io { action: "create", path: path.to_owned(), source };
        fs::DirBuilder::new().mode(0o700).create(path).map_err(failed)?;
        let file = match directory(path) {
            Ok(file) => file,
            // A sweep was quicker.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                let _ = fs::remove_dir(path);
                return Err(failed(error));
            }
        };
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            // Whoever sweeps has it for a moment, and may remove it then.
            Err(Errno::WOULDBLOCK) => {
                let _ = rustix::io::retry_on_intr(|| flock(&file, FlockOperation::LockExclusive));
                if !is_at(&file, path) {
                    return Ok(None);
                }
            }
            // Where there are no locks, nobody can sweep either.
            Ok(()) | Err(_) if !is_at(&file, path) => return Ok(None),
            Ok(()) | Err(_) => {}
        }
        let dir = Self::open(path)?;
        Ok(Some(Self { _held: Some(Arc::new(file)), ..dir }))
    }

    /// Takes an existing directory, if it is safe.
    ///
    /// # Errors
    /// [`RuntimeError`] when it is a symbolic link, not ours, open to others, or too long for sockets.
    pub fn open(path: &Path) -> Result<Self, RuntimeError> {
        check_length(path)?;
        check(path)?;
        Ok(Self { path: path.to_owned(), _held: None })
    }

    /// Removes the directories under `base` that sessions which are no longer there have left: nobody holds them, and QEMU does not
    /// outlive its session. Numbers of processes are not asked: those of another container mean nothing here. What cannot be removed
    /// stays: the next session tries again.
    pub fn sweep(base: &Path) {
        // Where others can put something nothing is ours.
        if check(base).is_err() {
            return;
        }
        for entry in fs::read_dir(base).into_iter().flatten().flatten() {
            let (name, path) = (entry.file_name(), entry.path());
            // A name with a process and a number.
            let ours = name.to_str().is_some_and(|name| name.rsplit('-').take(2).all(|it| it.parse::<u32>().is_ok()));
            if ours
                && let Ok(dir) = Self::open(&path)
                && let Ok(file) = directory(&path)
                && flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok()
                && is_at(&file, &path)
            {
                let _ = dir.remove();
            }
        }
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where its parts lie.
    #[must_use]
    pub fn paths(&self) -> RuntimePaths {
        RuntimePaths::new(&self.path)
    }

    /// Removes what we put there and then the directory. Foreign files stay, and with them the directory.
    ///
    /// # Errors
    /// [`RuntimeError::Io`] when something could not be removed.
    pub fn remove(self) -> Result<(), RuntimeError> {
        let RuntimePaths { qmp, vnc, serial, pid_file, vars, initrd, watch, tpm, tpm_state } = self.paths();
        let of_the_tpm = TPM_FILES.map(|name| tpm_state.join(name));
        let shares = fs::read_dir(&self.path).into_iter().flatten().flatten();
        let shares = shares.filter(|it| it.file_name().to_str().is_some_and(belongs_to_a_share)).map(|it| it.path());
        for file in [qmp, vnc, serial, pid_file, vars, initrd, watch, tpm].into_iter().chain(of_the_tpm).chain(shares) {
            match fs::remove_file(&file) {
                Err(source) if source.kind() != io::ErrorKind::NotFound => {
                    return Err(RuntimeError::Io { action: "remove", path: file, source });
                }
                _ => {}
            }
        }
        // Foreign files keep it, and then the directory too.
        let _ = fs::remove_dir(&tpm_state);
        fs::remove_dir(&self.path).map_err(|source| RuntimeError::Io { action: "remove", path: self.path, source })
    }
}

fn directory(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(File::from(rustix::fs::open(path, flags, Mode::empty())?))
}

fn is_at(file: &File, path: &Path) -> bool {
    let (Ok(own), Ok(there)) = (file.metadata(), fs::symlink_metadata(path)) else { return false };
    (own.dev(), own.ino()) == (there.dev(), there.ino())
}

fn check(path: &Path) -> Result<(), RuntimeError> {
    let unsafe_because = |problem: String| RuntimeError::Unsafe { path: path.to_owned(), problem };
    let meta = fs::symlink_metadata(path).map_err(|source| RuntimeError::Io {
        action: "look at",
        path: path.to_owned(),
        source,
    })?;
    if meta.file_type().is_symlink() {
        return Err(unsafe_because("it is a symbolic link".into()));
    }
    if !meta.is_dir() {
        return Err(unsafe_because("it is not a directory".into()));
    }
    if meta.uid() != rustix::process::geteuid().as_raw() {
        return Err(unsafe_because(format!("it belongs to user {}", meta.uid())));
    }
    if meta.permissions().mode() & 0o077 != 0 {
        let mode = meta.permissions().mode() & 0o7777;
        return Err(unsafe_because(format!("others may enter it (mode {mode:o}, wanted 700)")));
    }
    Ok(())
}

/// Refuses a directory that somebody else could put another one in the place of, now or later.
fn check_above(base: &Path) -> Result<(), RuntimeError> {
    let failed = |source| RuntimeError::Io { action: "look at", path: base.to_owned(), source };
    let whole = base.canonicalize().map_err(failed)?;
    for above in whole.ancestors().skip(1) {
        let mode = fs::symlink_metadata(above).map_err(failed)?.permissions().mode();
        // In a sticky directory, as /tmp is, only owners rename and remove (inode(7)).
        if mode & 0o002 != 0 && mode & 0o1000 == 0 {
            let problem = format!("everybody may replace it, because {} has mode {:o}", above.display(), mode & 0o7777);
            return Err(RuntimeError::Unsafe { path: base.to_owned(), problem });
        }
    }
    Ok(())
}

/// Connects to a socket in a runtime directory, which is looked at once more: it may be another one than when it was opened.
/// What answers must be of this user's.
///
/// # Errors
/// As for connect(2); the directory, the socket or who listens is not ours alone.
pub async fn connect(socket: &Path) -> io::Result<tokio::net::UnixStream> {
    look_at(socket)?;
    let stream = tokio::net::UnixStream::connect(socket).await?;
    let uid = stream.peer_cred()?.uid();
    answered_by(uid, socket).map(|()| stream)
}

/// As [`connect`], waiting for it.
///
/// # Errors
/// As for [`connect`].
pub(crate) fn connect_blocking(socket: &Path) -> io::Result<UnixStream> {
    look_at(socket)?;
    let stream = UnixStream::connect(socket)?;
    let uid = rustix::net::sockopt::socket_peercred(&stream)?.uid;
    answered_by(uid.as_raw(), socket).map(|()| stream)
}

/// The directory around a socket, and the socket.
fn look_at(socket: &Path) -> io::Result<()> {
    if let Some(dir) = socket.parent() {
        check(dir).map_err(|e| match e {
            RuntimeError::Io { source, .. } => source,
            other => io::Error::new(io::ErrorKind::PermissionDenied, other.to_string()),
        })?;
    }
    let meta = fs::symlink_metadata(socket)?;
    if !meta.file_type().is_socket() {
        let problem = format!("{} is no socket", socket.display());
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, problem));
    }
    answered_by(meta.uid(), socket)
}

/// Whether it is this user's: whoever called listen(2), as unix(7) says of `SO_PEERCRED`.
fn answered_by(uid: u32, socket: &Path) -> io::Result<()> {
    if uid == rustix::process::geteuid().as_raw() {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::PermissionDenied, format!("{} belongs to user {uid}", socket.display())))
}

fn check_length(path: &Path) -> Result<(), RuntimeError> {
    let length = path.as_os_str().len();
    if length + LONGEST_NAME > SOCKET_PATH_LIMIT {
        return Err(RuntimeError::TooLong { path: path.to_owned(), length });
    }
    Ok(())
}

/// A guest's name as part of a directory name: short, plain ASCII, never empty or hidden.
fn short_name(name: &str) -> String {
    let plain: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' }).take(NAME_LIMIT).collect();
    if plain.is_empty() { "guest".into() } else { plain }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn makes_a_private_directory_and_removes_it() {
        let base = tempfile::tempdir().unwrap();
        let base = base.path().join("cartridge");
        let one = RuntimeDir::create_in(&base, "../a b/ü").unwrap();
        let two = RuntimeDir::create_in(&base, "../a b/ü").unwrap();
        assert_ne!(one.path(), two.path());
        assert_eq!(one.path().parent(), Some(base.as_path()));
        for dir in [&base, one.path()] {
            assert_eq!(fs::metadata(dir).unwrap().permissions().mode() & 0o7777, 0o700);
        }
        fs::write(one.paths().vars, "x").unwrap();
        fs::write(one.paths().share(12), "x").unwrap();
        fs::write(one.path().join("fs0.sock.pid"), "x").unwrap();
        let path = one.path().to_owned();
        one.remove().unwrap();
        assert!(!path.exists());
        fs::write(two.path().join("foreign"), "x").unwrap();
        assert!(two.clone().remove().is_err());
        assert!(two.path().join("foreign").exists());
    }

    #[test]
    fn refuses_links_foreign_openings_and_long_paths() {
        let root = tempfile::tempdir().unwrap();
        let real = root.path().join("real");
        fs::DirBuilder::new().mode(0o700).create(&real).unwrap();
        symlink(&real, root.path().join("link")).unwrap();
        let error = RuntimeDir::create_in(&root.path().join("link"), "a").unwrap_err();
        assert!(error.to_string().contains("symbolic link"), "{error}");
        fs::set_permissions(&real, fs::Permissions::from_mode(0o750)).unwrap();
        let error = RuntimeDir::create_in(&real, "a").unwrap_err();
        assert!(error.to_string().contains("mode 750"), "{error}");
        let long = root.path().join("x".repeat(90));
        let error = RuntimeDir::create_in(&long, "a").unwrap_err();
        assert!(matches!(error, RuntimeError::TooLong { .. }), "{error}");
    }

    #[test]
    fn where_everybody_may_replace_it_there_is_none() {
        let root = tempfile::tempdir().unwrap();
        let open = root.path().join("open");
        fs::create_dir(&open).unwrap();
        fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
        let error = RuntimeDir::create_in(&open.join("cartridge"), "a").unwrap_err().to_string();
        assert!(error.contains("everybody may replace it") && error.contains("777"), "{error}");
        fs::set_permissions(&open, fs::Permissions::from_mode(0o1777)).unwrap();
        RuntimeDir::create_in(&open.join("cartridge"), "a").unwrap();
    }

    #[tokio::test]
    async fn a_directory_that_was_swapped_is_not_connected_to() {
        let base = tempfile::tempdir().unwrap();
        let dir = RuntimeDir::create_in(&base.path().join("b"), "a").unwrap();
        let (socket, aside) = (dir.paths().qmp, base.path().join("aside"));
        let _ours = tokio::net::UnixListener::bind(&socket).unwrap();
        connect(&socket).await.unwrap();
        // Somebody puts a link to another directory in its place, or opens it to others.
        fs::rename(dir.path(), &aside).unwrap();
        symlink(&aside, dir.path()).unwrap();
        let error = connect(&socket).await.unwrap_err().to_string();
        assert!(error.contains("symbolic link"), "{error}");
        fs::remove_file(dir.path()).unwrap();
        fs::rename(&aside, dir.path()).unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o711)).unwrap();
        for error in [connect(&socket).await.unwrap_err(), connect_blocking(&socket).unwrap_err()] {
            assert!(error.to_string().contains("mode 711"), "{error}");
        }
    }

    #[tokio::test]
    async fn what_is_no_socket_of_ours_is_not_connected_to() {
        let base = tempfile::tempdir().unwrap();
        let dir = RuntimeDir::create_in(&base.path().join("b"), "a").unwrap();
        let (socket, elsewhere) = (dir.paths().vnc, base.path().join("elsewhere"));
        let absent = connect_blocking(&socket).unwrap_err();
        assert_eq!(absent.kind(), io::ErrorKind::NotFound, "it may come yet");
        let _listener = tokio::net::UnixListener::bind(&elsewhere).unwrap();
        symlink(&elsewhere, &socket).unwrap();
        for error in [connect(&socket).await.unwrap_err(), connect_blocking(&socket).unwrap_err()] {
            assert!(error.to_string().contains("is no socket"), "{error}");
        }
        fs::remove_file(&socket).unwrap();
        fs::rename(&elsewhere, &socket).unwrap();
        connect(&socket).await.unwrap();
        connect_blocking(&socket).unwrap();
    }

    /// Whom the kernel names is the thread that listens: only root can be somebody else.
    #[tokio::test]
    async fn who_listens_must_be_this_user() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let base = tempfile::tempdir().unwrap();
        let dir = RuntimeDir::create_in(&base.path().join("b"), "a").unwrap();
        let socket = dir.paths().vnc;
        let other = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None).unwrap();
        other.bind(&socket2::SockAddr::unix(&socket).unwrap()).unwrap();
        let other = std::thread::spawn(move || {
            let nobody = rustix::process::Uid::from_raw(65534);
            // Of this thread alone, which ends.
            rustix::thread::set_thread_res_uid(nobody, nobody, nobody).unwrap();
            other.listen(9).unwrap();
            other
        });
        let _other = other.join().unwrap();
        for error in [connect(&socket).await.unwrap_err(), connect_blocking(&socket).unwrap_err()] {
            assert!(error.to_string().contains("belongs to user 65534"), "{error}");
        }
        std::os::unix::fs::chown(&socket, Some(65534), None).unwrap();
        let error = connect_blocking(&socket).unwrap_err().to_string();
        assert!(error.contains("belongs to user 65534"), "{error}");
    }

    #[test]
    fn what_the_dead_left_is_swept() {
        let base = tempfile::tempdir().unwrap();
        let base = base.path().join("b");
        let mine = RuntimeDir::create_in(&base, "a").unwrap();
        let left = |name: &str| {
            fs::DirBuilder::new().mode(0o700).create(base.join(name)).unwrap();
            fs::write(base.join(name).join("qmp.sock"), "").unwrap();
        };
        // Process ids end at 4,194,304. One that lives here may have been another's in a container.
        let reused = format!("demo-{}-7", std::process::id());
        left("demo-5000000-0");
        left(&reused);
        left("no-number");
        left("5000000-0-mine");
        left("full-5000000-0");
        // Of a session in another container, whose number no process has here.
        let elsewhere = RuntimeDir::create_at(&base.join("20260101-120000-5000000-1")).unwrap();
        let kept = elsewhere.clone();
        drop(elsewhere);
        fs::write(base.join("full-5000000-0/foreign"), "").unwrap();
        RuntimeDir::create_in(&base, "b").unwrap();
        assert!(!base.join("demo-5000000-0").exists() && !base.join(reused).exists());
        assert!(
            mine.path().exists() && base.join("no-number/qmp.sock").exists() && base.join("5000000-0-mine").exists()
        );
        assert!(kept.path().exists());
        assert!(RuntimeDir::create_at(kept.path()).is_err(), "it is there already");
        let path = kept.path().to_owned();
        drop(kept);
        RuntimeDir::sweep(&base);
        assert!(!path.exists(), "whoever held it is gone");
        assert!(base.join("full-5000000-0/foreign").exists());
    }

    #[test]
    fn the_longest_name_is_the_longest() {
        let paths = RuntimePaths::new(Path::new("/d"));
        for path in [paths.share(999), paths.qmp, paths.vnc, paths.serial, paths.watch] {
            assert!(path.as_os_str().len() - 2 <= LONGEST_NAME);
        }
    }
}
