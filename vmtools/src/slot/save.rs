//! Saving a running guest: it stands still while its memory is written and its disks are copied, and then goes on.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cartridge_supervise::Cancel;
use serde_json::Value;

use super::error::SlotError;
use super::inputs::{InputFile, SlotInputs, look};
use super::keep::keep;
use super::manifest::{self, Manifest, Plugged};
use super::name::SlotName;
use super::store::{Draft, Slot};
use super::{copy, memory};
use crate::display::Frame;
use crate::guest::{GuestStatus, Monitor};
use crate::machine::{Boot, RuntimePaths};
use crate::serial::GuestReport;

/// How long QEMU may take to stop a guest or to let it go on: it writes out what its disks have not yet got.
const FLUSH: Duration = Duration::from_secs(60);

/// What a slot is to say of the guest, as the caller knows it.
#[derive(Clone, Debug, Default)]
pub struct Saving {
    /// The cartridge's name.
    pub cartridge: String,
    /// The hash of the repository's tree in the image, if it is known.
    pub tree: Option<String>,
    /// The last report of our program in the guest.
    pub report: Option<GuestReport>,
    /// What the screen shows.
    pub picture: Option<Frame>,
}

/// Saves the guest of `monitor` as the slot `name` in `store`. `progress` is told bytes of memory done and in all.
///
/// The guest stands still while its memory is written and its disks are copied, and goes on as it was: running, or paused.
/// A slot of that name is replaced once the new one is on the disk, and not before.
///
/// # Errors
/// [`SlotError`]; the guest goes on, and nothing in `store` has changed.
pub async fn save(
    monitor: &Monitor,
    name: &SlotName,
    what: Saving,
    store: &Path,
    cancel: &Cancel,
    progress: &mut (dyn FnMut(u64, u64) + Send),
) -> Result<Slot, SlotError> {
    let _alone = monitor.alone().ok_or(SlotError::Busy)?;
    let status = monitor.status();
    if !matches!(status, GuestStatus::Running | GuestStatus::Paused) {
        return Err(SlotError::NotRunning { status });
    }
    if let Some(reasons) = memory::blocked(monitor.qmp()).await? {
        return Err(SlotError::Blocked { reasons });
    }
    let draft = {
        let store = store.to_owned();
        blocking(move || Draft::new(&store)).await?
    };
    let plugged = monitor.plugged();
    let was_running = stop(monitor).await?;
    let written = write(monitor, &draft.dir, &plugged, cancel, progress).await;
    let going_on = if was_running { monitor.qmp().execute_within(FLUSH, "cont", None).await } else { Ok(Value::Null) };
    let Written { memory_bytes, disks, vars } = written?;
    going_on?;
    let qemu = monitor.qmp().version().await?;
    let mut inputs = SlotInputs::of(monitor.plan(), &qemu, &what.cartridge, what.tree.as_deref());
    // What was kept is what the guest had begun with: that was compared.
    let kept_files = monitor.files().iter().enumerate();
    inputs.files =
        kept_files.map(|(number, (file, _))| InputFile { kept: Some(kept(number)), ..file.clone() }).collect();
    let manifest = Manifest {
        v: manifest::VERSION,
        name: name.to_string(),
        made: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
        inputs,
        cmdline: match &monitor.plan().boot {
            Boot::Direct { cmdline, .. } => Some(cmdline.clone()),
            Boot::Iso(_) | Boot::Nothing => None,
        },
        memory_bytes,
        disks,
        vars,
        picture: what.picture.is_some(),
        plugged: plugged.into_iter().map(|it| Plugged { file: layer(it.port).into(), ..it }).collect(),
        report: what.report,
    };
    let (name, cancel) = (name.clone(), cancel.clone());
    blocking(move || {
        if let Some(picture) = what.picture {
            picture.save_png(&draft.dir.join(manifest::PICTURE))?;
        }
        if cancel.is_cancelled() { Err(SlotError::Cancelled) } else { draft.commit(&manifest, &name) }
    })
    .await
}

/// The name of the slot's own copy of a file that the guest reads.
pub(super) fn kept(number: usize) -> String {
    format!("kept{number}")
}

/// The name of a layer's copy.
pub(super) fn layer(port: u32) -> String {
    format!("plugged{port}.sfs")
}

/// Stops the guest; says whether it ran.
async fn stop(monitor: &Monitor) -> Result<bool, SlotError> {
    let qmp = monitor.qmp();
    let status = qmp.execute("query-status", None).await?;
    let ran = status.get("running").and_then(Value::as_bool).unwrap_or(false);
    if status.get("status").and_then(Value::as_str) == Some("postmigrate") {
        // Paused since it was saved before: QEMU saves it again only when it has run for a moment.
        qmp.execute_within(FLUSH, "cont", None).await?;
    }
    match qmp.execute_within(FLUSH, "stop", None).await {
        Ok(_) => Ok(ran),
        Err(error) => {
            if ran {
                let _ = qmp.execute_within(FLUSH, "cont", None).await;
            }
            Err(error.into())
        }
    }
}

struct Written {
    memory_bytes: u64,
    disks: Vec<String>,
    vars: bool,
}

/// Writes everything that must be of the same moment.
async fn write(
    monitor: &Monitor,
    draft: &Path,
    plugged: &[Plugged],
    cancel: &Cancel,
    progress: &mut (dyn FnMut(u64, u64) + Send),
) -> Result<Written, SlotError> {
    let memory_bytes = memory::save(monitor.qmp(), &draft.join(manifest::MEMORY), cancel, progress).await?;
    let plan = monitor.plan();
    let mut copies: Vec<(PathBuf, PathBuf)> = Vec::new();
    let mut disks = Vec::new();
    for (number, disk) in plan.machine.disk_files().into_iter().enumerate() {
        let name = format!("disk{number}.qcow2");
        copies.push((disk, draft.join(&name)));
        disks.push(name);
    }
    let vars = RuntimePaths::new(&plan.runtime).vars;
    let has_vars = vars.is_file();
    if has_vars {
        copies.push((vars, draft.join(manifest::VARS)));
    }
    let mut kept_files: Vec<(PathBuf, PathBuf)> = Vec::new();
    for (number, (then, path)) in monitor.files().iter().enumerate() {
        let now = look(then.what.clone(), path);
        if (now.bytes, now.changed_ns) != (then.bytes, then.changed_ns) {
            return Err(SlotError::Replaced { what: now.what, path: now.path });
        }
        kept_files.push((now.path, draft.join(kept(number))));
    }
    kept_files.extend(plugged.iter().map(|it| (it.file.clone(), draft.join(layer(it.port)))));
    let cancel = cancel.clone();
    blocking(move || {
        for (from, to) in copies {
            copy::copy(&from, &to, &cancel).map_err(of_copy(&from, &to))?.ok_or(SlotError::Cancelled)?;
        }
        for (from, to) in kept_files {
            keep(&from, &to, &cancel).map_err(of_copy(&from, &to))?.ok_or(SlotError::Cancelled)?;
        }
        Ok(())
    })
    .await?;
    Ok(Written { memory_bytes, disks, vars: has_vars })
}

/// A full disk is one at the copy's place; anything else is told of the file that is copied.
fn of_copy(from: &Path, to: &Path) -> impl FnOnce(std::io::Error) -> SlotError {
    let (from, to) = (from.to_owned(), to.to_owned());
    move |source| {
        let full = matches!(source.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded);
        SlotError::Io { action: "copy", path: if full { to } else { from }, source }
    }
}

/// Runs `work` where it may block.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, SlotError> + Send + 'static,
) -> Result<T, SlotError> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|e| {
        Err(SlotError::Io { action: "finish", path: PathBuf::from("the slot"), source: std::io::Error::other(e) })
    })
}
