//! A place with precious things beside a work directory, and tests run again as somebody else or in a namespace.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use cartridge_supervise::{Cancel, CommandLine, run};
use isoprep::eject::{EjectError, EjectReport, WorkDir, eject};
use tempfile::TempDir;

/// Tells the test that it runs inside what [`inside`] made.
const INSIDE: &str = "CARTRIDGE_TEST_INSIDE";

/// A temporary folder with `precious/`, which must survive, and a marked work directory.
pub struct Place {
    pub top: TempDir,
    pub precious: PathBuf,
    pub work: PathBuf,
    before: BTreeMap<PathBuf, Vec<u8>>,
}

impl Place {
    pub fn new() -> Self {
        let top = tempfile::tempdir().unwrap();
        fs::set_permissions(top.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let precious = top.path().join("precious");
        for (path, text) in [("photos/1.jpg", "one"), ("photos/2.jpg", "two"), ("thesis.tex", "all of it")] {
            let path = precious.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let work = WorkDir::create(&top.path().join("sessions"), "test").unwrap().path().to_owned();
        let before = contents(&precious);
        Self { top, precious, work, before }
    }

    /// Makes a file in the work directory.
    pub fn file(&self, path: &str) -> PathBuf {
        let path = self.work.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "ours").unwrap();
        path
    }

    /// Makes a directory in the work directory.
    pub fn dir(&self, path: &str) -> PathBuf {
        let path = self.work.join(path);
        fs::create_dir_all(&path).unwrap();
        path
    }

    pub fn eject(&self) -> Result<EjectReport, EjectError> {
        eject(&self.work, &Cancel::new(), &|_| {})
    }

    pub fn assert_precious(&self) {
        assert_eq!(contents(&self.precious), self.before, "something precious was touched");
    }

    pub fn assert_gone(&self) {
        assert!(fs::symlink_metadata(&self.work).is_err(), "{} is still there", self.work.display());
        self.assert_precious();
    }
}

impl Drop for Place {
    /// The folder cannot be deleted while a test has left mounts in it; they are private to the test.
    fn drop(&mut self) {
        let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let points = table.lines().rev().filter_map(|line| line.split(' ').nth(4));
        for point in points.filter(|point| Path::new(point).starts_with(self.top.path())) {
            let _ = rustix::mount::unmount(point, rustix::mount::UnmountFlags::NOFOLLOW);
        }
    }
}

/// Every file below `dir` with its text.
pub fn contents(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let kind = fs::symlink_metadata(&path).unwrap();
        if kind.is_dir() {
            found.extend(contents(&path));
        } else {
            found.insert(path.clone(), if kind.is_file() { fs::read(&path).unwrap() } else { Vec::new() });
        }
    }
    found
}

/// Runs `body`, which is all of the test called `test`, in this test program started again by `start`.
fn again(start: CommandLine, test: &str, body: impl FnOnce()) {
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

/// Runs the test in a private mount namespace, where it is root.
pub fn in_namespace(test: &str, body: impl FnOnce()) {
    let flags = if rustix::process::geteuid().is_root() { "-m" } else { "-Urm" };
    again(CommandLine::new("unshare").args([flags, "--propagation", "private", "--"]), test, body);
}

/// Runs the test as an ordinary user, who may not read and write everything.
pub fn as_user(test: &str, body: impl FnOnce()) {
    if !rustix::process::geteuid().is_root() {
        return body();
    }
    let user = ["--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all", "--"];
    again(CommandLine::new("setpriv").args(user).cwd("/").env("TMPDIR", std::env::temp_dir()), test, body);
}
