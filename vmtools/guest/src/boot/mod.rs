//! A kernel that was booted directly: `/etc/cartridge/boot.json` says what the root is. It is put together here, and then
//! the root's own init takes over, or we go on as process 1 in it where it has none.
//!
//! Each step is told on the serial line ([`steps`]). Whatever goes wrong is said on the screen and there, with what was
//! looked for and what is there instead; where there is busybox, a shell follows.

mod block;
mod disks;
mod folder;
mod loop_device;
mod order;
mod overlay;
mod stack;
mod steps;
mod switch;
mod template;

use std::path::Path;

pub(crate) use order::{Order, ordered};
use steps::Step;
pub(crate) use template::is_one as is_template;

use crate::console::Console;
use crate::modules;
use crate::shares;
use crate::shell::Program;

/// Where what we mount for the root lies: below `/run`, so that the root's own init sees and unmounts it.
const PLACE: &str = "/run/cartridge/boot";
/// Where the root is put together.
const NEW_ROOT: &str = "/newroot";

/// Why there is no root.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// What was looked for or tried, and what happened.
    what: String,
    /// What there is instead, a line each.
    there: Vec<String>,
}

impl Failure {
    fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), there: Vec::new() }
    }

    fn with(mut self, there: Vec<String>) -> Self {
        self.there = there;
        self
    }
}

/// User space has begun.
pub(crate) fn begun() {
    steps::tell(&Step::Init);
}

/// People can type now.
pub(crate) fn at_the_shell() {
    steps::tell(&Step::Shell);
}

/// What came of a boot whose root has no init of its own.
pub(crate) struct Booted {
    /// The shell to keep, if there is any: the root's, or busybox after a failure.
    pub(crate) shell: Option<Program>,
    /// Whether the root is the one that was asked for.
    pub(crate) rooted: bool,
}

/// Loads what the way to the root needs. In a guest that is to be a template this comes back when it was resumed from it.
pub(crate) fn load(order: &Order, notes: &mut Vec<String>) {
    if template::is_one() { template::wait(order, notes) } else { notes.extend(modules::load_listed()) }
}

/// Puts the root together and hands over to its init. Comes back where there is none.
pub(crate) fn boot(order: &Order, notes: &mut Vec<String>) -> Booted {
    let root = match order {
        Order::Initramfs => return Booted { shell: Program::busybox(), rooted: true },
        Order::Layers { layers, keep } => stack::assemble(layers, *keep),
        Order::Folder { tag, access } => folder::assemble(tag, *access),
    };
    // The root's own device is one of them.
    let lends_more = shares::devices().len() > usize::from(matches!(order, Order::Folder { .. }));
    match root.and_then(|()| switch::over(lends_more, notes)) {
        Ok(shell) => Booted { shell, rooted: true },
        Err(failure) => {
            say(&failure, notes);
            Booted { shell: Program::busybox(), rooted: false }
        }
    }
}

fn say(failure: &Failure, notes: &[String]) {
    let mut text = format!("\r\n  The root could not be put together: {}\r\n", failure.what);
    for line in &failure.there {
        text.push_str(&format!("    {line}\r\n"));
    }
    for note in notes {
        text.push_str(&format!("  note: {note}\r\n"));
    }
    text.push_str(if Path::new("/bin/busybox").exists() {
        "  This is a shell of the small system that should have found it.\r\n\r\n"
    } else {
        "  There is no busybox here, so that no shell can be started: the guest stands still.\r\n\r\n"
    });
    Console::both().write(&text);
    steps::tell(&Step::Failed { what: failure.what.clone(), there: failure.there.clone() });
}
