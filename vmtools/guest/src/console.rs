//! Where process 1 speaks: the screen and the serial line.
//!
//! A device is opened for every message and closed again: the kernel hangs up every open file of a terminal when the
//! session that owns it ends, so a kept one would fall silent after the first shell.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;

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
        let no_tty = rustix::fs::OFlags::NOCTTY.bits().cast_signed();
        for device in self.0 {
            if let Ok(mut file) = OpenOptions::new().write(true).custom_flags(no_tty).open(device) {
                let _ = file.write_all(text.as_bytes());
            }
        }
    }
}
