//! How the guest ends: asked for by busybox's `poweroff`, `reboot` and `halt`, by Ctrl-Alt-Del, or by the power button.

use std::path::Path;
use std::time::{Duration, Instant};

use rustix::mount::{UnmountFlags, unmount};
use rustix::process::{Pid, Signal, kill_process};
use rustix::system::RebootCommand;
use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1, SIGUSR2};

use crate::console::Console;

/// How long processes may take to end by themselves.
const GRACE: Duration = Duration::from_secs(2);

/// A way for the guest to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The machine goes off.
    PowerOff,
    /// The machine starts anew.
    Reboot,
    /// The processor stops; the machine stays on.
    Halt,
}

/// What a signal asks for, if anything: busybox `init/halt.c` sends these; the kernel sends SIGINT for Ctrl-Alt-Del.
pub(crate) fn asked_by(signal: i32) -> Option<Ending> {
    match signal {
        SIGUSR2 => Some(Ending::PowerOff),
        SIGTERM | SIGINT => Some(Ending::Reboot),
        SIGUSR1 => Some(Ending::Halt),
        _ => None,
    }
}

/// Ends everything and then the machine. Comes back only if the kernel refuses.
pub(crate) fn end(ending: Ending) {
    let (word, command) = match ending {
        Ending::PowerOff => ("off", RebootCommand::PowerOff),
        Ending::Reboot => ("down to restart", RebootCommand::Restart),
        Ending::Halt => ("down to halt", RebootCommand::Halt),
    };
    // Ctrl-S on a terminal must not keep the machine on.
    Console::both().write_at_once(&format!("\r\nThe guest is going {word}.\r\n"));
    rustix::fs::sync();
    signal_all(Signal::TERM);
    // An interactive shell ignores SIGTERM, but not that its terminal is gone.
    signal_all(Signal::HUP);
    let until = Instant::now() + GRACE;
    while Instant::now() < until && !others().is_empty() {
        while let Ok(Some(_)) = rustix::process::wait(rustix::process::WaitOptions::NOHANG) {}
        std::thread::sleep(Duration::from_millis(20));
    }
    signal_all(Signal::KILL);
    rustix::fs::sync();
    unmount_disks();
    if let Err(e) = rustix::system::reboot(command) {
        Console::both().write_at_once(&format!("The kernel did not obey ({e}): try `poweroff -f` or `reboot -f`.\r\n"));
    }
}

fn signal_all(signal: Signal) {
    for pid in others() {
        // It may have ended since.
        let _ = kill_process(pid, signal);
        // A stopped process cannot end otherwise.
        let _ = kill_process(pid, Signal::CONT);
    }
}

/// Every process but us and the kernel's threads, which have no command line; nor has a zombie.
fn others() -> Vec<Pid> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
        .filter(|pid| *pid > 1)
        .filter(|pid| std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| !line.is_empty()))
        .filter_map(Pid::from_raw)
        .collect()
}

/// Unmounts what lies on devices, last mounted first, and makes read-only what is still in use.
fn unmount_disks() {
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    for target in disk_mounts(&mounts) {
        let target = Path::new(&target);
        if unmount(target, UnmountFlags::empty()).is_err() {
            let _ = rustix::mount::mount_remount(target, rustix::mount::MountFlags::RDONLY, "");
            let _ = unmount(target, UnmountFlags::DETACH);
        }
    }
    rustix::fs::sync();
}

/// The mount points of block devices in `/proc/self/mounts`, last first, with the octal escapes of proc(5) undone.
fn disk_mounts(mounts: &str) -> Vec<String> {
    let mut found: Vec<String> = mounts
        .lines()
        .filter_map(|line| line.split_once(' ').filter(|(source, _)| source.starts_with("/dev/")))
        .filter_map(|(_, rest)| rest.split(' ').next())
        .map(|it| it.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\"))
        .collect();
    found.reverse();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disks_are_unmounted_in_reverse_and_nothing_else_is() {
        let mounts = "proc /proc proc rw 0 0\n/dev/vda /mnt ext4 rw 0 0\n/dev/vdb /mnt/a\\040b ext4 rw 0 0\n";
        assert_eq!(disk_mounts(mounts), ["/mnt/a b", "/mnt"]);
    }

    #[test]
    fn busybox_is_understood() {
        assert_eq!(asked_by(SIGUSR2), Some(Ending::PowerOff));
        assert_eq!(asked_by(SIGTERM), Some(Ending::Reboot));
        assert_eq!(asked_by(SIGUSR1), Some(Ending::Halt));
        assert_eq!(asked_by(signal_hook::consts::SIGCHLD), None);
    }
}
