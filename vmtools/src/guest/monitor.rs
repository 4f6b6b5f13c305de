//! What is needed to work on a running guest from outside, beside its handle: its control line, its plan, and what has been
//! plugged into it. QEMU calls its own end of this the monitor.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::OwnedMutexGuard;

use crate::guest::shared::Shared;
use crate::guest::{GuestPlan, GuestStatus};
use crate::qmp::Qmp;
use crate::slot::{InputFile, Plugged};

/// A running guest, for slots and layers. Cheap to clone; when the guest has ended everything with it fails.
#[derive(Clone, Debug)]
pub struct Monitor {
    qmp: Qmp,
    shared: Arc<Shared>,
    plan: Arc<GuestPlan>,
    /// What it reads and does not write, as it was when the guest began, and where QEMU has it from.
    files: Arc<Vec<(InputFile, PathBuf)>>,
    layers: Arc<Mutex<Layers>>,
    /// Held while the guest is saved or something is plugged: neither may happen in the middle of the other.
    alone: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Debug)]
struct Layers {
    plugged: Vec<Plugged>,
    /// The highest number that a layer has had.
    last: u32,
}

impl Monitor {
    pub(super) fn new(
        qmp: Qmp,
        shared: Arc<Shared>,
        plan: GuestPlan,
        files: Vec<(InputFile, PathBuf)>,
        plugged: Vec<Plugged>,
    ) -> Self {
        let last = plugged.iter().filter_map(Plugged::number).max().unwrap_or(0);
        Self {
            qmp,
            shared,
            plan: Arc::new(plan),
            files: Arc::new(files),
            layers: Arc::new(Mutex::new(Layers { plugged, last })),
            alone: Arc::default(),
        }
    }

    /// What the guest was started with; its disks are those that it writes to.
    #[must_use]
    pub fn plan(&self) -> &GuestPlan {
        &self.plan
    }

    /// The layers that are plugged into it.
    #[must_use]
    pub fn plugged(&self) -> Vec<Plugged> {
        self.layers().plugged.clone()
    }

    /// What the guest is doing now.
    #[must_use]
    pub fn status(&self) -> GuestStatus {
        self.shared.status()
    }

    pub(crate) fn qmp(&self) -> &Qmp {
        &self.qmp
    }

    pub(crate) fn files(&self) -> &[(InputFile, PathBuf)] {
        &self.files
    }

    /// The right to stop the guest or to change its hardware, until it is dropped; `None` while somebody else has it.
    pub(crate) fn alone(&self) -> Option<OwnedMutexGuard<()>> {
        Arc::clone(&self.alone).try_lock_owned().ok()
    }

    /// As [`Monitor::alone`], waiting for it.
    pub(crate) async fn wait_alone(&self) -> OwnedMutexGuard<()> {
        Arc::clone(&self.alone).lock_owned().await
    }

    pub(crate) fn next_number(&self) -> u32 {
        self.layers().last + 1
    }

    pub(crate) fn plugged_in(&self, plugged: Plugged) {
        let mut layers = self.layers();
        layers.last = layers.last.max(plugged.number().unwrap_or(0));
        layers.plugged.push(plugged);
    }

    pub(crate) fn pulled_out(&self, plugged: &Plugged) {
        self.layers().plugged.retain(|it| it != plugged);
    }

    fn layers(&self) -> MutexGuard<'_, Layers> {
        self.layers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
