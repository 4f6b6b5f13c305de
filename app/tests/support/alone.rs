//! A test that runs again in a mount namespace of its own, where it is root, and disks that are full there.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const ALONE: &str = "CARTRIDGE_ALONE";

/// Runs the named test again in a mount namespace, where it is root, and `body` there.
pub fn alone(test: &str, body: impl FnOnce()) {
    if std::env::var_os(ALONE).is_some() {
        return body();
    }
    let flags: &[&str] = if rustix::process::geteuid().is_root() { &["-m"] } else { &["-Urm"] };
    let mut again = Command::new("unshare");
    again.args(flags).args(["--propagation", "private"]).arg(std::env::current_exe().unwrap());
    let out = again.args(["--exact", test, "--nocapture"]).env(ALONE, "1").output().unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert!(out.status.success() && text.contains("1 passed"), "{text}");
    eprintln!("{text}");
}

/// A file that takes all the room that there is.
pub fn fill(dir: &Path) -> PathBuf {
    let filler = dir.join("filler");
    let mut file = fs::File::create(&filler).unwrap();
    while std::io::Write::write_all(&mut file, &[0; 4096]).is_ok() {}
    filler
}
