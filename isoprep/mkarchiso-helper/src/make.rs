//! Runs mkarchiso in namespaces of its own, and ends it when the caller wants that. Its root is nobody on the host: it may
//! read what everybody may read, and write the build.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cartridge_supervise::{Channel, CommandLine, Exit, Isolation, Observer, spawn};

use crate::error::HelperError;
use crate::pinned::Pinned;
use crate::room::Room;
use crate::{ids, stop};

/// The tool. Fixed: the request cannot name another.
const MKARCHISO: &str = "/usr/bin/mkarchiso";
/// Where things are seen inside: as without the helper.
const INSIDE: &str = "/run/cartridge";
const PATH: &str = "/run/cartridge/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// How often we look whether the caller wants it to end.
const BEAT: Duration = Duration::from_millis(100);

/// Hands the output on as it comes.
struct Forward;

impl Observer for Forward {
    fn output(&mut self, _: Channel, bytes: &[u8]) {
        let mut out = std::io::stdout();
        // A caller who does not listen any more is found gone by the beat.
        let _ = out.write_all(bytes).and_then(|()| out.flush());
    }

    fn exited(&mut self, _: &Exit) {}
}

/// What is the host's alone, where it exists: homes, state, other disks.
const HIDDEN: [&str; 5] = ["/home", "/root", "/var", "/mnt", "/media"];

/// Copies the profile to where root inside may read it, with the eyes of the user: it may be closed to others, and what
/// root alone may read must not come along by a link that is put there meanwhile.
pub(crate) fn copy_profile(room: &Room, pinned: &Pinned) -> Result<(), HelperError> {
    let (from, to) = ("/run/cartridge/from", "/run/cartridge/to");
    let isolation = Isolation::new()
        .ids(ids::map(room.root, Some((pinned.uid, pinned.profile_gid))))
        .shown(Room::place("profile"), from)
        .writable_at(Room::place("build").join("profile"), to);
    let line = CommandLine::new("/usr/bin/cp")
        .args(["-a", "--no-preserve=ownership", "--", &format!("{from}/."), to])
        .only_env([] as [&str; 0])
        .env("LC_ALL", "C.UTF-8")
        .one_pipe()
        .isolated(isolation);
    let code = to_its_end(&line)?;
    if code == 0 {
        Ok(())
    } else {
        Err(HelperError::Run(format!("the profile could not be copied (exit code {code})")))
    }
}

/// Runs it to its end and returns its exit code; 128 and the signal's number for a signal.
pub(crate) fn mkarchiso(room: &Room, epoch: u64) -> Result<u8, HelperError> {
    let inside = |name: &str| format!("{INSIDE}/{name}");
    let own = |name: &str| Room::place("build").join(name);
    let mut isolation = Isolation::new()
        .network()
        .ids(ids::map(room.root, None))
        .writable_at(own("build"), inside("build"))
        .writable_at(own("cache"), inside("cache"))
        .writable_at(own("tmp"), "/tmp")
        .shown(own("bin"), inside("bin"))
        .shown(own("profile"), inside("profile"));
    for dir in hidden(&HIDDEN.map(|dir| Path::new(dir).canonicalize().unwrap_or_default())) {
        isolation = isolation.hidden(dir);
    }
    for (from, to) in &room.readable {
        isolation = isolation.shown(from, to);
    }
    let line = CommandLine::new(MKARCHISO)
        .args(["-v", "-w", &inside("build/work"), "-o", &inside("build/out"), &inside("profile")])
        .only_env([] as [&str; 0])
        .env("PATH", PATH)
        .env("LC_ALL", "C.UTF-8")
        .env("HOME", "/tmp")
        .env("SOURCE_DATE_EPOCH", epoch.to_string())
        .one_pipe()
        .isolated(isolation);
    to_its_end(&line)
}

/// Those that are there and in none of the others, which links between them could make: `/home` may be `/var/home`.
fn hidden(dirs: &[PathBuf]) -> impl Iterator<Item = &PathBuf> {
    let is_inside =
        |dir: &PathBuf| dirs.iter().any(|other| dir != other && other.parent().is_some() && dir.starts_with(other));
    let mut seen = BTreeSet::new();
    dirs.iter().filter(move |dir| dir.parent().is_some() && !is_inside(dir) && seen.insert(*dir))
}

fn to_its_end(line: &CommandLine) -> Result<u8, HelperError> {
    let child = spawn(line, Forward).map_err(|error| HelperError::Run(error.to_string()))?;
    loop {
        if let Some(exit) = child.wait(BEAT) {
            let signal = std::os::unix::process::ExitStatusExt::signal(&exit.status);
            let code = exit.status.code().or(signal.map(|it| 128 + it)).unwrap_or(255);
            return Ok(u8::try_from(code).unwrap_or(255));
        }
        if stop::asked() {
            let _ = child.end(Duration::ZERO);
            return Err(HelperError::Stopped);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_links_bring_together_is_hidden_once() {
        let dirs = ["/var/home", "/root", "/var", "", "/root"].map(PathBuf::from);
        assert_eq!(hidden(&dirs).collect::<Vec<_>>(), [Path::new("/root"), Path::new("/var")]);
    }
}
