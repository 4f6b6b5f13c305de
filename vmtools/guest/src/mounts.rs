//! The kernel's file systems, and how much the kernel says on the console.

use std::ffi::CStr;
use std::path::Path;

use rustix::io::Errno;
use rustix::mount::{MountFlags, mount};

/// Source, target, kind and options of one mount.
type Mount = (&'static str, &'static str, &'static str, Option<&'static CStr>);

const MOUNTS: [Mount; 6] = [
    ("proc", "/proc", "proc", None),
    ("sysfs", "/sys", "sysfs", None),
    ("devtmpfs", "/dev", "devtmpfs", Some(c"mode=0755")),
    ("devpts", "/dev/pts", "devpts", Some(c"mode=0620,gid=5,ptmxmode=0666")),
    ("tmpfs", "/dev/shm", "tmpfs", Some(c"mode=1777")),
    ("tmpfs", "/run", "tmpfs", Some(c"mode=0755")),
];

/// Mounts them all, and `/tmp` unless the repository lies there; returns a note for each that failed.
pub(crate) fn mount_all() -> Vec<String> {
    let mut notes: Vec<String> = MOUNTS.iter().filter_map(|it| mount_one(it).err()).collect();
    let empty = std::fs::read_dir("/tmp").is_ok_and(|mut entries| entries.next().is_none());
    if empty || !Path::new("/tmp").exists() {
        notes.extend(mount_one(&("tmpfs", "/tmp", "tmpfs", Some(c"mode=1777"))).err());
    }
    notes
}

fn mount_one(&(source, target, kind, options): &Mount) -> Result<(), String> {
    std::fs::create_dir_all(target).map_err(|e| format!("{target} cannot be made: {e}"))?;
    let flags = if kind.starts_with("dev") { MountFlags::NOSUID } else { MountFlags::NOSUID | MountFlags::NODEV };
    match mount(source, target, kind, flags, options) {
        // The kernel may have mounted devtmpfs already.
        Ok(()) | Err(Errno::BUSY) => Ok(()),
        Err(e) => Err(format!("{kind} was not mounted on {target}: {e}")),
    }
}

/// Keeps kernel messages from being printed into the shell; a panic is printed all the same, and `dmesg` has the rest.
pub(crate) fn quiet_kernel() {
    let _ = std::fs::write("/proc/sys/kernel/printk", "1 4 1 7\n");
}

/// The cursor stands still on a graphical console: a blinking one repaints the window that shows it, five times a second.
/// A text mode console has no such setting and is left as it is (Linux, drivers/video/fbdev/core/fbcon.c).
pub(crate) fn steady_cursor() {
    let _ = std::fs::write("/sys/class/graphics/fbcon/cursor_blink", "0");
}
