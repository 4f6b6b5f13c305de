//! Starting a guest: by its boot loader, or without one, booted or resumed from a template.

use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use isoprep::Cancel;
use tokio::sync::mpsc::Sender;
use vmtools::display::Screen;
use vmtools::{Disk, DiskFormat, GuestEvent, GuestHandle, GuestPlan, Made};

use super::{direct, hardware, templates};
use crate::session::event::{Event, Failure};
use crate::session::failure;

/// The serial number of the disk that keeps what is written over layers; the guest finds it by its label.
const KEEP: &str = "cartridge-keep";

/// Makes ready what is booted without a boot loader, tells it, and starts the guest: resumed from a template if there is one.
/// Where one could be, `lacking` gets what it is to be made of; `command` gets what starts the guest in a terminal.
pub(in crate::session) async fn start_direct(
    (wanted, lacking, command): (direct::Wanted, templates::Lacking, Arc<OnceLock<String>>),
    mut plan: GuestPlan,
    events: Sender<GuestEvent>,
    screen: Arc<Screen>,
    cancel: Cancel,
    side: Sender<Event>,
) -> Result<Box<GuestHandle>, Failure> {
    let (token, paths) = (cancel.clone(), wanted.paths.clone());
    let made = tokio::task::spawn_blocking(move || direct::make_ready(&wanted, &token)).await;
    let ready = made.map_err(|e| failure::internal("A direct boot could not be made ready; this is a bug", &e))??;
    // A driver that is gone waits for nothing.
    let _ = side.send(Event::DirectChosen { view: ready.view.clone() }).await;
    for (level, text) in ready.notices.clone() {
        let _ = side.send(Event::Noticed { level, text }).await;
    }
    plan.boot = ready.boot.clone();
    let early = ready.early;
    complete(&mut plan, ready, &command);
    make_disks(&plan, &cancel).await?;
    let found = templates::look(&plan, early, &paths, &side).await;
    let (queue, shown) = (events.clone(), Arc::clone(&screen));
    let resumed = templates::resume(found, &plan, &lacking, (queue, shown), &cancel, &side).await?;
    match resumed {
        Some(guest) => Ok(guest),
        None => start_made(plan, String::new(), events, screen, cancel).await,
    }
}

/// Gives the machine what a direct boot needs besides the kernel; `command` gets what starts the guest in a terminal.
pub(in crate::session) fn complete(plan: &mut GuestPlan, ready: direct::Ready, command: &OnceLock<String>) {
    let roots = ready.folders.len();
    // Those of the root come first: its initramfs finds them by their number.
    plan.machine.layers.splice(0..0, ready.layers);
    plan.machine.disks.extend(ready.keep.map(|file| Disk {
        name: KEEP.to_owned(),
        file,
        format: DiskFormat::Raw,
        made: Made::Before,
    }));
    match ready.medium {
        Some(image) if plan.machine.extra_iso.is_none() => plan.machine.extra_iso = Some(image),
        medium => plan.machine.layers.extend(medium),
    }
    plan.sharing.folders.splice(0..0, ready.folders);
    plan.sharing.serving.kernel = ready.kernel;
    // It is set once for each guest.
    let _ = hardware::standalone_of(plan, roots).map(|line| command.set(line));
}

/// Makes the disks that are the guest's alone, and starts the guest. `command` is what starts it in a terminal.
pub(in crate::session) async fn start(
    plan: GuestPlan,
    command: String,
    events: Sender<GuestEvent>,
    screen: Arc<Screen>,
    cancel: Cancel,
) -> Result<Box<GuestHandle>, Failure> {
    make_disks(&plan, &cancel).await?;
    start_made(plan, command, events, screen, cancel).await
}

async fn make_disks(plan: &GuestPlan, cancel: &Cancel) -> Result<(), Failure> {
    let (disks, token) = (plan.machine.disks.clone(), cancel.clone());
    let qemu_img = Path::new("qemu-img");
    let made = tokio::task::spawn_blocking(move || {
        disks.iter().try_for_each(|disk| {
            vmtools::make_disk(qemu_img, disk, &token).map_err(|error| failure::of_disk(&disk.name, &error))
        })
    });
    match made.await {
        Ok(made) => made,
        Err(error) => Err(failure::internal("The guest's disks could not be made", &error)),
    }
}

async fn start_made(
    plan: GuestPlan,
    command: String,
    events: Sender<GuestEvent>,
    screen: Arc<Screen>,
    cancel: Cancel,
) -> Result<Box<GuestHandle>, Failure> {
    let failed = |e: vmtools::GuestError| {
        let told = failure::of_guest(&e);
        // One that is booted directly has none but QEMU's own.
        let command = told.command.clone().map(|own| if command.is_empty() { own } else { command });
        Failure { command, ..told }
    };
    // Giving up a start drops it, which kills its QEMU: a machine that is too slow to open its sockets can be cancelled.
    tokio::select! {
        started = vmtools::start(plan, events, screen) => started.map(Box::new).map_err(failed),
        () = cancelled(&cancel) => Err(not_started()),
    }
}

pub(super) fn not_started() -> Failure {
    failure::internal("Cancelled", &"the guest was not started")
}

pub(super) async fn cancelled(cancel: &Cancel) {
    while !cancel.is_cancelled() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
