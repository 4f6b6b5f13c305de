//! Signs of life on a guest's serial line, for images that have nothing in them that reports: a login prompt, a shell's
//! prompt, a target that systemd has reached; and the shell of an initramfs that has given up.

use serde::Serialize;

/// How a guest shows how far it has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Sign {
    /// getty(8) asks who is there: `archiso login:`.
    Login,
    /// A shell waits for a command: `[root@archiso ~]#`.
    Shell,
    /// systemd has reached its multi-user or graphical target.
    Target,
    /// The initramfs has given up and offers a shell of its own.
    Emergency,
}
