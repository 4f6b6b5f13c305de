//! A home folder with a repository and a profile in it, of which nothing may be changed.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use cartridge_supervise::{Cancel, CommandLine, run};
use isoprep::profile::{EvaluationLimits, Profile, ProfileError, ReadOptions, read};
use tempfile::TempDir;

/// Tells the test that it runs inside what [`again`] made.
const INSIDE: &str = "CARTRIDGE_TEST_INSIDE";

/// `home/secret`, `home/repo/.git`, `home/repo/profile`.
pub struct Place {
    pub top: TempDir,
    pub home: PathBuf,
    pub profile: PathBuf,
}

impl Place {
    /// In the system's temporary folder, which the profile's code sees empty but for the repository.
    pub fn new() -> Self {
        Self::made(tempfile::tempdir().unwrap())
    }

    /// In a folder that its code sees.
    pub fn in_the_open() -> Self {
        Self::made(tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap())
    }

    fn made(top: TempDir) -> Self {
        let home = top.path().canonicalize().unwrap().join("home");
        let profile = home.join("repo/a profile");
        fs::create_dir_all(&profile).unwrap();
        fs::create_dir(home.join("repo/.git")).unwrap();
        fs::write(home.join("secret"), "secret").unwrap();
        Self { top, home, profile }
    }

    /// Writes a file of the profile.
    pub fn file(&self, path: &str, text: &str) -> PathBuf {
        let path = self.profile.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    pub fn options(&self) -> ReadOptions {
        let limits = EvaluationLimits { time: Duration::from_secs(60), ..EvaluationLimits::default() };
        ReadOptions { home: Some(self.home.clone()), limits, ..ReadOptions::of_this_user(Some(1_700_000_000)) }
    }

    pub fn read(&self) -> Result<Profile, ProfileError> {
        self.read_with(&self.options())
    }

    /// Reads the profile, and checks that nothing changed and that it was over in time.
    pub fn read_with(&self, options: &ReadOptions) -> Result<Profile, ProfileError> {
        let (before, began) = (self.contents(), Instant::now());
        let answer = read(&self.profile, options, &Cancel::new());
        let took = began.elapsed();
        assert!(took < options.limits.time + Duration::from_secs(5), "it took {took:?}");
        assert_eq!(self.contents(), before, "something was changed");
        answer
    }

    /// The profile whose `profiledef.sh` is this, and which has everything else that a profile needs.
    pub fn define(&self, profiledef: &str) -> &Self {
        self.file("profiledef.sh", profiledef);
        self.file("packages.x86_64", "base\nlinux\n");
        self.file("pacman.conf", "[options]\nArchitecture = auto\n");
        self
    }

    /// What everything below the top looks like.
    pub fn contents(&self) -> BTreeMap<PathBuf, (Vec<u8>, u32, i64, i64)> {
        let mut found = BTreeMap::new();
        look(self.top.path(), &mut found);
        found
    }
}

fn look(path: &Path, found: &mut BTreeMap<PathBuf, (Vec<u8>, u32, i64, i64)>) {
    let meta = fs::symlink_metadata(path).unwrap();
    let text = if meta.is_file() { fs::read(path).unwrap() } else { Vec::new() };
    found.insert(path.to_path_buf(), (text, meta.mode(), meta.mtime(), meta.mtime_nsec()));
    if meta.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            look(&entry.unwrap().path(), found);
        }
    }
}

/// Runs `body`, which is all of the test called `test`, in this test program started again by `start`.
pub fn again(start: CommandLine, test: &str, body: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some_and(|inside| inside == test) {
        return body();
    }
    // Somebody else may not be able to get at the build directory.
    let copy = tempfile::tempdir().unwrap();
    fs::set_permissions(copy.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let program = copy.path().join("test");
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let line = start.arg(&program).args([test, "--exact", "--nocapture", "--test-threads=1"]).env(INSIDE, test);
    match run(&line, &Cancel::new(), |_, _| {}) {
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(said.contains("1 passed"), "the test did not run inside: {said}");
        }
        Err(error) => panic!("{error}"),
    }
}

/// Runs the test as an ordinary user.
pub fn as_user(test: &str, body: impl FnOnce()) {
    if !rustix::process::geteuid().is_root() {
        return body();
    }
    let user = ["--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all", "--"];
    again(CommandLine::new("setpriv").args(user).cwd("/").env("TMPDIR", std::env::temp_dir()), test, body);
}

/// Runs the test where nobody may make a user namespace.
pub fn without_namespaces(test: &str, body: impl FnOnce()) {
    let script = "echo 0 >/proc/sys/user/max_user_namespaces && exec \"$@\"";
    again(CommandLine::new("unshare").args(["-Ur", "--", "sh", "-c", script, "sh"]), test, body);
}

/// Waits until no process of this machine has `mark` in its command line: the kernel takes a moment to kill many.
pub fn all_gone(mark: &str) -> bool {
    let end = Instant::now() + Duration::from_secs(5);
    while processes_with(mark) > 0 {
        if Instant::now() > end {
            return false;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    true
}

/// How many processes of this machine have `mark` in their command line.
fn processes_with(mark: &str) -> usize {
    let entries = fs::read_dir("/proc").unwrap().flatten().map(|it| it.path().join("cmdline"));
    let own = format!("/proc/{}/cmdline", std::process::id());
    entries
        .filter(|path| path != Path::new(&own))
        .filter_map(|path| fs::read(path).ok())
        .filter(|line| String::from_utf8_lossy(line).contains(mark))
        .count()
}
