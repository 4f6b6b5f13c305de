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

/// Whether /proc is that of our own pid namespace: numbers in another one's mean others.
pub(crate) fn sees_itself() -> bool {
    fs::read_link("/proc/self").is_ok_and(|own| own.to_str() == Some(&std::process::id().to_string()))
}

/// The processes of this user that have that mark, but for the calling one; held, so that none of them can become another.
pub(crate) fn marked(mark: &str) -> Vec<OwnedFd> {
    if !sees_itself() {
        return Vec::new();
    }
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

    const INSIDE: &str = "CARTRIDGE_TEST_OTHER_PROC";

    /// In a pid namespace with the /proc of the one around it, another process gets the number that a marked one has out there.
    #[test]
    fn numbers_of_another_namespace_are_nobodys() {
        if std::env::var_os(INSIDE).is_none() {
            let test = "marks::tests::numbers_of_another_namespace_are_nobodys";
            let mut again = std::process::Command::new("unshare");
            let flags = if rustix::process::geteuid().is_root() { "-pf" } else { "-Urpf" };
            again.args([flags, "--kill-child"]).arg(std::env::current_exe().unwrap());
            let out = again.args(["--exact", test, "--nocapture"]).env(INSIDE, "1").output().unwrap();
            let text = format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
            assert!(out.status.success() && text.contains("1 passed"), "{text}");
            return;
        }
        let word = format!("{}-tested", mark());
        let sleep = || {
            let mut sleep = std::process::Command::new("sleep");
            sleep.arg("600");
            sleep
        };
        let mut one = sleep().env(MARK, &word).spawn().unwrap();
        let numbers =
            || fs::read_dir("/proc").unwrap().flatten().filter_map(|it| it.file_name().to_str()?.parse().ok());
        let outside = || numbers().find(|pid| has_mark(*pid, &word));
        let until = std::time::Instant::now() + std::time::Duration::from_secs(60);
        while outside().is_none() {
            assert!(std::time::Instant::now() < until, "it has the mark");
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        let number: u32 = outside().unwrap();
        assert_ne!(number, one.id());
        // The next number is one more (proc(5), ns_last_pid), and this namespace's. In some containers nobody may say so.
        let chosen = fs::write("/proc/sys/kernel/ns_last_pid", (number - 1).to_string());
        let mut other = sleep().spawn().unwrap();
        assert!(chosen.is_err() || other.id() == number);
        assert!(!sees_itself() && marked(&word).is_empty(), "it would be killed");
        assert!(other.try_wait().unwrap().is_none());
        one.kill().and_then(|()| one.wait()).unwrap();
        other.kill().and_then(|()| other.wait()).unwrap();
    }

    #[test]
    fn what_others_share_is_spared() {
        assert!(is_shared("gpg-agent") && !is_shared("sleep") && !is_shared(""));
    }
}
