//! The mark that every child finds in its environment and hands on to its own children: by it they are known for ours wherever
//! they have gone, into a group or a session of their own too.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::sync::OnceLock;

use rustix::process::{Pid, PidfdFlags, Signal, getpid, pidfd_open, pidfd_send_signal};

/// The variable that every child finds in its environment, with [`mark`] in it.
pub const MARK: &str = "CARTRIDGE_PROCESS";

/// Programs that whoever needs them first starts for everybody: who ended them would take them from others. As the kernel names
/// them (proc(5), /proc/pid/comm): libpulse starts its server, gpg its agent, podman what holds its namespaces, and so on.
const SHARED: [&str; 17] = [
    "pulseaudio",
    "pipewire",
    "pipewire-pulse",
    "wireplumber",
    "dbus-daemon",
    "dbus-broker",
    "gpg-agent",
    "dirmngr",
    "ssh-agent",
    "catatonit",
    "podman pause",
    "aardvark-dns",
    "keyboxd",
    "scdaemon",
    "tpm2daemon",
    "jackd",
    "jackdbus",
];

/// What this run of the program is known by to whoever it started, and to nobody else; empty where the kernel tells no such word.
pub fn mark() -> &'static str {
    static WORD: OnceLock<String> = OnceLock::new();
    WORD.get_or_init(|| {
        let word = fs::read_to_string("/proc/sys/kernel/random/uuid").unwrap_or_default();
        word.trim().to_owned()
    })
}

/// Whether a process descends from the run with that mark, and is none that others share.
#[must_use]
pub fn has_mark(pid: u32, mark: &str) -> bool {
    let wanted = format!("{MARK}={mark}");
    let all = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    let marked = !mark.is_empty() && all.split(|byte| *byte == 0).any(|word| word == wanted.as_bytes());
    marked && !is_shared(fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim())
}

fn is_shared(name: &str) -> bool {
    SHARED.contains(&name)
}

/// The processes of this user that have that mark, but for the calling one; held, so that none of them can become another.
pub(crate) fn marked(mark: &str) -> Vec<OwnedFd> {
    let own = getpid();
    let user = rustix::process::geteuid().as_raw();
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbers = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let hold = |pid: u32| {
        let id = Pid::from_raw(pid.cast_signed()).filter(|id| *id != own && id.as_raw_nonzero().get() > 1)?;
        if !has_mark(pid, mark) || !fs::metadata(format!("/proc/{pid}")).is_ok_and(|it| it.uid() == user) {
            return None;
        }
        let held = pidfd_open(id, PidfdFlags::empty()).ok()?;
        // Looked at again once it is held: it is this very process.
        has_mark(pid, mark).then_some(held)
    };
    numbers.filter_map(hold).collect()
}

/// Kills those.
pub(crate) fn kill(processes: &[OwnedFd]) {
    for held in processes {
        // Who has ended meanwhile needs no signal.
        let _ = pidfd_send_signal(held, Signal::KILL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_handed_on_and_no_mark_is_nobodys() {
        let word = format!("{}-tested", mark());
        let script = "setsid sleep 600 & wait";
        let mut child = std::process::Command::new("sh").args(["-c", script]).env(MARK, &word).spawn().unwrap();
        let until = std::time::Instant::now() + std::time::Duration::from_secs(60);
        while marked(&word).len() < 2 {
            assert!(std::time::Instant::now() < until, "a shell and its child have the mark");
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        assert!(has_mark(child.id(), &word) && !has_mark(child.id(), "another") && !has_mark(child.id(), ""));
        kill(&marked(&word));
        child.wait().unwrap();
        while !marked(&word).is_empty() {
            assert!(std::time::Instant::now() < until, "who left the group is ended too");
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }

    #[test]
    fn what_others_share_is_spared() {
        assert!(is_shared("gpg-agent") && !is_shared("sleep") && !is_shared(""));
    }
}
