//! Tests that run as an ordinary user: this test program started again as somebody who is not root.

use std::os::unix::fs::PermissionsExt;

use cartridge_supervise::{Cancel, CommandLine, run};

use crate::harness::kernel;

/// Set in the inner run.
const INSIDE: &str = "CARTRIDGE_TEST_INSIDE";

/// Runs `body`, which is all of the test called `test`, as somebody who is not root.
pub fn as_user(test: &str, body: impl FnOnce()) {
    if !rustix::process::geteuid().is_root() || std::env::var_os(INSIDE).is_some_and(|inside| inside == test) {
        return body();
    }
    // Somebody else may not be able to get at the build directory, or at the kernel in our home.
    let copy = tempfile::tempdir_in("/tmp").unwrap();
    std::fs::set_permissions(copy.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let program = copy.path().join("test");
    std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let store = copy.path().join(".local/share/cartridge/kernels");
    std::fs::create_dir_all(&store).unwrap();
    let script = r#"cp -r "$1" "$2" && chmod -R a+rX "$3""#;
    let kernel = kernel();
    let line = CommandLine::new("sh").args(["-c", script, "sh"]).arg(kernel.parent().unwrap());
    run(&line.arg(&store).arg(copy.path()), &Cancel::new(), |_, _| ()).unwrap_or_else(|e| panic!("{e}"));
    let user = ["--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all", "--"];
    let line = CommandLine::new("setpriv").args(user).arg(&program).args([test, "--exact", "--nocapture"]).cwd("/");
    let line = line.env(INSIDE, test).env("TMPDIR", "/tmp").env("HOME", copy.path());
    let output = run(&line, &Cancel::new(), |_, _| ()).unwrap_or_else(|e| panic!("{e}"));
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("1 passed"), "the test did not run inside: {said}");
}

/// Waits for `future` in a runtime of its own.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(future)
}
