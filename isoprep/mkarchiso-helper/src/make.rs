//! Runs mkarchiso in namespaces of its own, and ends it when the caller wants that.

use std::io::Write;
use std::time::Duration;

use cartridge_supervise::{Channel, CommandLine, Exit, Isolation, Observer, spawn};

use crate::error::HelperError;
use crate::room::Room;

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

/// Runs it to its end and returns its exit code; 128 and the signal's number for a signal.
pub(crate) fn mkarchiso(_room: &Room, epoch: u64, stopped: impl Fn() -> bool) -> Result<u8, HelperError> {
    let inside = |name: &str| format!("{INSIDE}/{name}");
    let isolation = Isolation::new()
        .network()
        .writable_at(Room::place("build"), inside("build"))
        .writable_at(Room::place("build").join("cache"), inside("cache"))
        .writable_at(Room::place("build").join("tmp"), "/tmp")
        .shown(Room::place("build").join("bin"), inside("bin"))
        .shown(Room::place("profile"), inside("profile"));
    let line = CommandLine::new(MKARCHISO)
        .args(["-v", "-w", &inside("build/work"), "-o", &inside("build/out"), &inside("profile")])
        .only_env([] as [&str; 0])
        .env("PATH", PATH)
        .env("LC_ALL", "C.UTF-8")
        .env("HOME", "/tmp")
        .env("SOURCE_DATE_EPOCH", epoch.to_string())
        .one_pipe()
        .isolated(isolation);
    let child = spawn(&line, Forward).map_err(|error| HelperError::Run(error.to_string()))?;
    loop {
        if let Some(exit) = child.wait(BEAT) {
            let signal = std::os::unix::process::ExitStatusExt::signal(&exit.status);
            let code = exit.status.code().or(signal.map(|it| 128 + it)).unwrap_or(255);
            return Ok(u8::try_from(code).unwrap_or(255));
        }
        if stopped() {
            let _ = child.end(Duration::ZERO);
            return Err(HelperError::Stopped);
        }
    }
}
