//! The init of a Cartridge image: process 1 of the initramfs, linked statically, with nothing else needed but busybox. In the
//! image of a distribution, which has an init of its own, it is a service that reports, and then waits for layers.
//!
//! In order: mount the kernel's file systems, load the listed modules while another thread hashes the repository (or
//! mount the folders of the host that are lent, of which one may be the repository, which is then live and not hashed),
//! greet on the screen and on the serial line, report on the serial line, keep a shell on both, reap, and power off
//! cleanly when asked. A kernel that was booted directly may have another root, whose own init takes over (`boot`).
//! Whatever fails becomes a note on the console; process 1 never ends and never panics.

mod accelerator;
mod banner;
mod boot;
mod clock;
mod console;
mod devices;
mod guest_file;
mod layers;
mod modules;
mod mounts;
mod old_tree;
mod power;
mod power_button;
mod repository;
mod shares;
mod shell;
mod signals;
mod system;
mod uevents;

use std::path::Path;
use std::process::ExitCode;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use crate::boot::Order;
use crate::console::Console;
use crate::layers::Layers;
use crate::shell::{Program, Shells};

/// What wakes process 1.
pub(crate) enum Event {
    /// A signal arrived.
    Signal(i32),
    /// Somebody pressed the machine's power button.
    PowerButton,
}

/// How many events may wait; signals of one kind merge, so few are ever in flight.
const EVENTS: usize = 64;
/// The words that make us a service of another init: mounts what the host lends; keeps it fresh for ever.
const MOUNT: &str = "--mount-shares";
const KEEP_FRESH: &str = "--keep-fresh";

/// What udev listens at while it runs (udev(7), systemd's `udev-ctrl.c`).
const UDEV: &str = "/run/udev/control";

/// In an image with an init of its own, a service of it starts us once it is up: we say what has booted, and bring in layers
/// that are plugged in later. With a folder we print how many files it has and its hash. Another service has us mount the
/// folders of the host before that.
fn report_only() -> ExitCode {
    match std::env::args_os().nth(1) {
        Some(word) if word == MOUNT => return mount_shares(),
        Some(word) if word == KEEP_FRESH => {
            shares::keep_fresh(&shares::done());
            return ExitCode::SUCCESS;
        }
        Some(folder) => return repository::print(Path::new(&folder)),
        None => {}
    }
    if !guest_file::is_there() {
        Console::standard_error().write("This is the init of a Cartridge image; it does nothing elsewhere.\n");
        return ExitCode::from(2);
    }
    let mut notes = Vec::new();
    let guest = guest_file::read(&mut notes);
    let shares = shares::done();
    let hashing = (!covered(&shares, &guest.into)).then(|| repository::start(&guest.into));
    let system = system::settled();
    let found = hashing.map(|hashing| hashing.wait(|| ()));
    let lent = shares.clone();
    let report = banner::Report::gather(&guest, found, shares, &mut notes).of(system.clone());
    banner::tell(&report);
    // Where no udev loads drivers for what is plugged in, we do.
    let alone = !Path::new(UDEV).exists();
    Layers::new(guest, system, lent, alone).watch();
    ExitCode::SUCCESS
}

/// Mounts what the host lends, says on standard error what became of it, and leaves a process that keeps it fresh if that is
/// needed. A folder that could not be mounted is told in the report: it does not fail a boot.
fn mount_shares() -> ExitCode {
    if !shares::expected() {
        return ExitCode::SUCCESS;
    }
    let mut notes = Vec::new();
    let listed = shares::listed(&mut notes);
    let outcomes = shares::mount_all(&listed, Path::new("/"));
    if shares::must_forget(&outcomes) {
        let program = std::env::current_exe().unwrap_or_else(|_| "/proc/self/exe".into());
        let mut command = std::process::Command::new(program);
        command.arg(KEEP_FRESH).stdin(std::process::Stdio::null());
        if let Err(e) = command.spawn() {
            notes.push(format!("new files of the host are not seen in overlaid folders: {e}"));
        }
    }
    notes.extend(outcomes.iter().map(shares::Outcome::words));
    notes.iter().for_each(|note| Console::standard_error().write(&format!("{note}\n")));
    ExitCode::SUCCESS
}

/// Whether the host's own files lie at `path`.
fn covered(shares: &[shares::Outcome], path: &Path) -> bool {
    shares.iter().any(|share| share.covers(path))
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
    let mut shells = match boot::ordered(&mut notes) {
        Some(order) => direct(&order, &sender, notes),
        None => micro(&sender, notes),
    };
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

/// An image of engine micro: reports, and gives the shells.
fn micro(sender: &SyncSender<Event>, mut notes: Vec<String>) -> Shells {
    let guest = guest_file::read(&mut notes);
    let lent = shares::expected();
    let hashing = (!lent).then(|| repository::start(&guest.into));
    notes.extend(modules::load_listed());
    let shares = if lent { shares::mount_all(&shares::listed(&mut notes), Path::new("/")) } else { Vec::new() };
    shares::keep_fresh_beside(&shares, &mut notes);
    let hashing = hashing.or_else(|| (!covered(&shares, &guest.into)).then(|| repository::start(&guest.into)));
    mounts::steady_cursor();
    if let Err(e) = rustix::system::sethostname(banner::hostname(&guest.name).as_bytes()) {
        notes.push(format!("the host name was not set: {e}"));
    }
    power_button::watch(sender, &mut notes);
    let found = hashing.map(|hashing| hashing.wait(|| Console::both().write("Reading the repository ...\n")));
    let lent = shares.clone();
    let report = banner::Report::gather(&guest, found, shares, &mut notes);
    banner::show(&report, &notes);
    let mut shells = Shells::new(&guest, Program::busybox());
    shells.start_due(Instant::now());
    let layers = Layers::new(guest, None, lent, true);
    if std::thread::Builder::new().name("layers".into()).spawn(|| layers.watch()).is_err() {
        Console::both().write_at_once("\r\nThere is no thread for layers: none can be plugged in.\r\n");
    }
    shells
}

/// A kernel that was booted directly. Comes back with the shells, unless the root has an init of its own.
fn direct(order: &Order, sender: &SyncSender<Event>, mut notes: Vec<String>) -> Shells {
    if boot::is_template() {
        // It begins when it is resumed.
        boot::load(order, &mut notes);
        boot::begun();
    } else {
        boot::begun();
        boot::load(order, &mut notes);
    }
    let booted = boot::boot(order, &mut notes);
    let mut guest = guest_file::plain();
    if *order == Order::Initramfs {
        let lent = if shares::expected() { shares::listed(&mut notes) } else { Vec::new() };
        let outcomes = shares::mount_all(&lent, Path::new("/"));
        notes.extend(outcomes.iter().map(shares::Outcome::words));
        shares::keep_fresh_beside(&outcomes, &mut notes);
        if let [only] = lent.as_slice() {
            guest.into.clone_from(&only.at);
        }
        mounts::steady_cursor();
    }
    // A root of its own may have a name already; nothing depends on it.
    let _ = rustix::system::sethostname(guest.name.as_bytes());
    power_button::watch(sender, &mut notes);
    let there = booted.shell.is_some();
    let mut shells = Shells::new(&guest, booted.shell);
    if booted.rooted {
        banner::greet(&Console::serial(), &notes);
    }
    shells.start_on_the_serial_line(Instant::now());
    if booted.rooted && there {
        boot::at_the_shell();
    }
    if booted.rooted {
        Console::screen().write("\x1b[H\x1b[2J");
        banner::greet(&Console::screen(), &notes);
    }
    shells.start_due(Instant::now());
    shells
}
