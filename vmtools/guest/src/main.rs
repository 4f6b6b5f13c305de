//! The init of a Cartridge image: process 1 of the initramfs, linked statically, with nothing else needed but busybox. In the
//! image of a distribution, which has an init of its own, it is a service that reports and ends.
//!
//! In order: mount the kernel's file systems, load the listed modules while another thread hashes the repository, greet
//! on the screen and on the serial line, report on the serial line, keep a shell on both, reap, and power off cleanly
//! when asked. Whatever fails becomes a note on the console; process 1 never ends and never panics.

mod accelerator;
mod banner;
mod console;
mod devices;
mod guest_file;
mod modules;
mod mounts;
mod power;
mod power_button;
mod repository;
mod shell;
mod signals;
mod system;

use std::path::Path;
use std::process::ExitCode;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use crate::console::Console;
use crate::shell::Shells;

/// What wakes process 1.
pub(crate) enum Event {
    /// A signal arrived.
    Signal(i32),
    /// Somebody pressed the machine's power button.
    PowerButton,
}

/// How many events may wait; signals of one kind merge, so few are ever in flight.
const EVENTS: usize = 64;

/// In an image with an init of its own, a service of it starts us once it is up: we say what has booted and end. With a
/// folder we print how many files it has and its hash.
fn report_only() -> ExitCode {
    if let Some(folder) = std::env::args_os().nth(1) {
        return repository::print(Path::new(&folder));
    }
    if !guest_file::is_there() {
        Console::standard_error().write("This is the init of a Cartridge image; it does nothing elsewhere.\n");
        return ExitCode::from(2);
    }
    let mut notes = Vec::new();
    let guest = guest_file::read(&mut notes);
    let hashing = repository::start(&guest.into);
    let system = system::settled();
    let found = hashing.wait(|| ());
    let report = banner::Report::gather(&guest, found, &mut notes).of(system);
    banner::tell(&report);
    ExitCode::SUCCESS
}

fn main() -> ExitCode {
    if !rustix::process::getpid().is_init() {
        return report_only();
    }
    let mut notes = mounts::mount_all();
    mounts::quiet_kernel();
    let (sender, events) = sync_channel(EVENTS);
    if let Err(e) = signals::forward(sender.clone()) {
        notes.push(format!("signals cannot be received ({e}): `poweroff` needs -f"));
    }
    let guest = guest_file::read(&mut notes);
    let hashing = repository::start(&guest.into);
    notes.extend(modules::load_listed());
    mounts::steady_cursor();
    if let Err(e) = rustix::system::sethostname(banner::hostname(&guest.name).as_bytes()) {
        notes.push(format!("the host name was not set: {e}"));
    }
    power_button::watch(&sender, &mut notes);
    let found = hashing.wait(|| Console::both().write("Reading the repository ...\n"));
    let report = banner::Report::gather(&guest, found, &mut notes);
    banner::show(&report, &notes);
    let mut shells = Shells::new(&guest);
    shells.start_due(Instant::now());
    devices::bring_up();
    loop {
        shells.reap();
        shells.start_due(Instant::now());
        let asked = match events.recv_timeout(shells.next_due(Instant::now())) {
            Ok(Event::Signal(signal)) => power::asked_by(signal),
            Ok(Event::PowerButton) => Some(power::Ending::PowerOff),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => {
                std::thread::sleep(Duration::from_millis(200));
                None
            }
        };
        if let Some(ending) = asked {
            power::end(ending);
        }
    }
}
