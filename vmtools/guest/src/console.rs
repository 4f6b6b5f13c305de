//! Where process 1 speaks: the screen and the serial line.
//!
//! A device is opened for every message and closed again: the kernel hangs up every open file of a terminal when the
//! session that owns it ends, so a kept one would fall silent after the first shell.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;

use rustix::fs::OFlags;

/// The first virtual terminal: what the screen shows.
pub(crate) const SCREEN: &str = "/dev/tty1";
/// The first serial port: what the host records.
pub(crate) const SERIAL: &str = "/dev/ttyS0";

/// One or more devices to write to.
pub(crate) struct Console(&'static [&'static str]);

impl Console {
    /// The screen.
    pub(crate) fn screen() -> Self {
        Self(&[SCREEN])
    }

    /// The serial line.
    pub(crate) fn serial() -> Self {
        Self(&[SERIAL])
    }

    /// The screen and the serial line.
    pub(crate) fn both() -> Self {
        Self(&[SCREEN, SERIAL])
    }

    /// Standard error, for when we are not process 1.
    pub(crate) fn standard_error() -> Self {
        Self(&["/dev/stderr"])
    }

    /// Writes `text`. A machine without that device misses nothing that could be told elsewhere, so errors end here.
    pub(crate) fn write(&self, text: &str) {
        self.write_with(text, OFlags::NOCTTY);
    }

    /// Writes as much of `text` as goes without waiting: a terminal that Ctrl-S has stopped takes nothing.
    pub(crate) fn write_at_once(&self, text: &str) {
        self.write_with(text, OFlags::NOCTTY | OFlags::NONBLOCK);
    }

    fn write_with(&self, text: &str, flags: OFlags) {
        for device in self.0 {
            if let Ok(mut file) = OpenOptions::new().write(true).custom_flags(flags.bits().cast_signed()).open(device) {
                let _ = file.write_all(text.as_bytes());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;
    use std::time::Duration;

    use rustix::ioctl::{Getter, Setter, ioctl, opcode};
    use rustix::termios::{Action, tcflow};

    fn open(path: &str) -> std::fs::File {
        let no_tty = OFlags::NOCTTY.bits().cast_signed();
        OpenOptions::new().read(true).write(true).custom_flags(no_tty).open(path).unwrap()
    }

    /// A pseudo-terminal's near end and the other one's path (ptmx(4)).
    fn terminal() -> (std::fs::File, String) {
        let near = open("/dev/ptmx");
        // SAFETY: TIOCSPTLCK takes an int and TIOCGPTN gives an unsigned int (ioctl_tty(2)).
        #[allow(unsafe_code)]
        let number = unsafe {
            ioctl(&near, Setter::<{ opcode::write::<i32>(b'T', 0x31) }, i32>::new(0)).unwrap();
            ioctl(&near, Getter::<{ opcode::read::<u32>(b'T', 0x30) }, u32>::new()).unwrap()
        };
        (near, format!("/dev/pts/{number}"))
    }

    #[test]
    fn a_stopped_terminal_holds_nobody_up() {
        let (near, path) = terminal();
        let far = open(&path);
        tcflow(far.as_fd(), Action::OOff).unwrap();
        let path: &'static str = Box::leak(path.into_boxed_str());
        let devices: &'static [&'static str] = Box::leak(Box::new([path]));
        let (sender, written) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            Console(devices).write_at_once("The guest is going off.\n");
            let _ = sender.send(());
        });
        written.recv_timeout(Duration::from_secs(10)).expect("it waits");
        drop((near, far));
    }
}
