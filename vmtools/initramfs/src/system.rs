//! A small system of init and busybox: its fixed part is folders, device nodes and a few lines of configuration.

use std::io::{self, Write};
use std::path::Path;

use crate::cpio::Cpio;

/// Folders with their permission bits, parents first.
pub const FOLDERS: &[(&str, u32)] = &[
    ("/bin", 0o755),
    ("/dev", 0o755),
    ("/etc", 0o755),
    ("/etc/cartridge", 0o755),
    ("/etc/profile.d", 0o755),
    ("/home", 0o755),
    ("/lib", 0o755),
    ("/lib/modules", 0o755),
    ("/mnt", 0o755),
    ("/opt", 0o755),
    ("/proc", 0o555),
    ("/root", 0o700),
    ("/run", 0o755),
    ("/sbin", 0o755),
    ("/sys", 0o555),
    ("/tmp", 0o1777),
    ("/usr", 0o755),
    ("/usr/bin", 0o755),
    ("/usr/sbin", 0o755),
    ("/usr/local", 0o755),
    ("/usr/local/bin", 0o755),
    ("/usr/local/sbin", 0o755),
    ("/usr/share", 0o755),
    ("/usr/share/udhcpc", 0o755),
    ("/etc/udhcpc", 0o755),
    ("/var", 0o755),
    ("/var/log", 0o755),
    ("/var/tmp", 0o1777),
];

/// What the kernel opens before anything is mounted: path, mode, major, minor (`Documentation/admin-guide/devices.txt`).
pub const DEVICES: &[(&str, u32, u32, u32)] =
    &[("/dev/console", 0o600, 5, 1), ("/dev/null", 0o666, 1, 3), ("/dev/kmsg", 0o644, 1, 11)];

/// Links that programs expect.
pub const LINKS: &[(&str, &str)] = &[
    ("/etc/mtab", "/proc/self/mounts"),
    ("/var/run", "/run"),
    // busybox is built for the one place on Debian and for the other elsewhere.
    ("/usr/share/udhcpc/default.script", "/etc/udhcpc/default.script"),
];

/// Text files: path, mode, content.
pub const FILES: &[(&str, u32, &str)] = &[
    ("/etc/passwd", 0o644, "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n"),
    ("/etc/group", 0o644, "root:x:0:\ntty:x:5:\nnogroup:x:65534:\n"),
    ("/etc/shells", 0o644, "/bin/sh\n"),
    ("/etc/hosts", 0o644, "127.0.0.1 localhost\n::1 localhost\n"),
    ("/etc/nsswitch.conf", 0o644, "passwd: files\ngroup: files\nhosts: files dns\n"),
    ("/etc/profile", 0o644, PROFILE),
    ("/etc/udhcpc/default.script", 0o755, DHCP),
    ("/etc/cartridge/devices.sh", 0o755, DEVICES_UP),
];

const PROFILE: &str = "\
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export HOME=${HOME:-/root} PAGER=less
alias ll='ls -l'
for file in /etc/profile.d/*.sh; do
\t[ -r \"$file\" ] && . \"$file\"
done
unset file
";

/// A text that is another one whenever the fixed part is: an archive of an older one must not be taken for one of this.
#[must_use]
pub fn fingerprint() -> String {
    format!("{FOLDERS:?}{DEVICES:?}{LINKS:?}{FILES:?}")
}

/// Writes the fixed part, and `init` as `/init`.
///
/// # Errors
/// What the archive's output says.
pub fn write<W: Write>(cpio: &mut Cpio<W>, init: &[u8]) -> io::Result<()> {
    for (path, mode) in FOLDERS {
        cpio.dir(Path::new(path), *mode)?;
    }
    for (path, mode, major, minor) in DEVICES {
        cpio.device(Path::new(path), *mode, *major, *minor)?;
    }
    for (path, target) in LINKS {
        cpio.symlink(Path::new(path), target.as_bytes())?;
    }
    for (path, mode, text) in FILES {
        cpio.bytes(Path::new(path), *mode, text.as_bytes())?;
    }
    cpio.bytes(Path::new("/init"), 0o755, init)
}

/// Writes busybox, with links for its `applets` (see [`crate::busybox::listed`]). Follows [`write()`].
///
/// # Errors
/// What the archive's output says.
pub fn write_busybox<W: Write>(cpio: &mut Cpio<W>, program: &[u8], applets: &[String]) -> io::Result<()> {
    cpio.bytes(Path::new("/bin/busybox"), 0o755, program)?;
    applets.iter().try_for_each(|applet| cpio.symlink(&Path::new("/").join(applet), b"/bin/busybox"))
}

/// What busybox `udhcpc` runs when it has a lease.
const DHCP: &str = "\
#!/bin/sh
case \"$1\" in
deconfig) ip addr flush dev \"$interface\"; ip link set \"$interface\" up ;;
bound | renew)
\tip addr replace \"$ip/${mask:-24}\" dev \"$interface\"
\t[ -n \"$router\" ] && ip route replace default via \"${router%% *}\"
\t: > /etc/resolv.conf
\tfor server in $dns; do echo \"nameserver $server\" >> /etc/resolv.conf; done
\t;;
esac
";

/// Run by init once the shells are there: drivers for what the buses hold (disks, media, networks), and an address.
const DEVICES_UP: &str = "\
#!/bin/sh
ip link set lo up
for round in 1 2; do
\tfor found in $(cat /sys/bus/pci/devices/*/modalias /sys/bus/virtio/devices/*/modalias \
\t\t/sys/bus/usb/devices/*/modalias /sys/bus/scsi/devices/*/modalias); do
\t\tmodprobe -q \"$found\"
\tdone
\t[ $round = 1 ] && sleep 1
done
for card in /sys/class/net/e*; do
\t[ -e \"$card\" ] && udhcpc -b -q -t 5 -i \"${card##*/}\"
done
";
