//! Disks, media and networks: brought up by a script of the image, in the background, once people can type.

use std::process::{Command, Stdio};

use crate::console::Console;

/// The script; an image without it has only what was loaded at boot.
const SCRIPT: &str = "/etc/cartridge/devices.sh";

/// Starts the script. It is reaped like any other orphan.
pub(crate) fn bring_up() {
    if !std::path::Path::new(SCRIPT).exists() {
        return;
    }
    let mut command = Command::new("/bin/busybox");
    command.args(["sh", SCRIPT]).env("PATH", "/sbin:/bin:/usr/sbin:/usr/bin");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    if let Err(e) = command.spawn() {
        Console::both().write_at_once(&format!("\r\nDisks and networks were not brought up: {SCRIPT}: {e}\r\n"));
    }
}
