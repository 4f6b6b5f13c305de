//! Restoring a slot: the same machine is built around copies of what the guest writes to, and given the memory.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cartridge_supervise::Cancel;
use tokio::sync::mpsc;

use super::copy;
use super::error::SlotError;
use super::inputs::{InputFile, Mismatch, SlotInputs, look, qemu_version};
use super::manifest::{self, Manifest, Plugged};
use super::save::blocking;
use super::store::Slot;
use crate::display::Screen;
use crate::guest::{GuestEvent, GuestHandle, GuestPlan, Moment, start_from};
use crate::machine::Boot;

/// How a slot is to be restored.
#[derive(Clone, Debug)]
pub struct Restoring {
    /// The cartridge's name now.
    pub cartridge: String,
    /// The hash of the repository's tree now, if it is known.
    pub tree: Option<String>,
    /// Restore it although what it depends on has changed, as long as it can be restored at all.
    pub force: bool,
    /// An existing folder, empty of disks, for the copies that this guest writes to. They belong to the caller.
    pub disks: PathBuf,
    /// Stops it before QEMU is started.
    pub cancel: Cancel,
}

/// In what the present differs from what the slot depends on. An empty list: it can be restored as it is.
///
/// # Errors
/// [`SlotError::Damaged`] when the slot cannot be used.
pub fn check(slot: &Slot, now: &SlotInputs) -> Result<Vec<Mismatch>, SlotError> {
    Ok(slot.usable()?.mismatches(now))
}

/// Starts a guest of `plan` from the slot. What the guest had open is taken from the slot, not from the plan: its disks,
/// as copies, its firmware variables, what it had booted from, its layers.
///
/// On return it runs, from the moment that was saved.
///
/// # Errors
/// [`SlotError`]; nothing is left running. [`SlotError::Mismatched`] lists all in which the present differs.
pub async fn restore(
    slot: &Slot,
    plan: GuestPlan,
    how: Restoring,
    events: mpsc::Sender<GuestEvent>,
    screen: Arc<Screen>,
) -> Result<GuestHandle, SlotError> {
    let manifest = slot.usable()?.clone();
    let prepared = {
        let (slot, plan) = (slot.clone(), plan);
        blocking(move || prepare(&slot, &manifest, plan, &how)).await?
    };
    let (plan, moment) = prepared;
    Ok(start_from(plan, moment, events, screen).await?)
}

/// Compares, copies, and puts what is in the slot into the plan. Blocks.
fn prepare(
    slot: &Slot,
    manifest: &Manifest,
    mut plan: GuestPlan,
    how: &Restoring,
) -> Result<(GuestPlan, Moment), SlotError> {
    let qemu = qemu_version(&plan.qemu)?;
    let now = SlotInputs::of(&plan, &qemu, &how.cartridge, how.tree.as_deref());
    let mismatches = manifest.mismatches(&now);
    if mismatches.iter().any(|it| it.fatal || !how.force) {
        return Err(SlotError::Mismatched { name: slot.name.to_string(), mismatches });
    }
    whole(slot, manifest)?;
    let disks = plan.machine.disk_files();
    if disks.len() != manifest.disks.len() {
        return Err(slot.damaged("it has not as many disks as the machine"));
    }
    let mut copies = Vec::new();
    for name in &manifest.disks {
        let to = how.disks.join(name);
        copy_to(&slot.dir.join(name), &to, &how.cancel)?;
        copies.push(to);
    }
    plan.machine.set_disk_files(copies);
    if let Some(firmware) = &mut plan.firmware
        && manifest.vars
    {
        firmware.vars = slot.dir.join(manifest::VARS);
    }
    put_files(&mut plan, slot, &manifest.inputs.files);
    let plugged = manifest.plugged.iter().map(|it| Plugged { file: slot.dir.join(&it.file), ..it.clone() }).collect();
    let generation = manifest.report.as_ref().map(|report| report.generation);
    let files = manifest.inputs.files.iter();
    let files = files.filter_map(|file| Some((file.clone(), slot.dir.join(file.kept.as_ref()?)))).collect();
    Ok((plan, Moment { memory: slot.dir.join(manifest::MEMORY), files, plugged, generation }))
}

fn copy_to(from: &Path, to: &Path, cancel: &Cancel) -> Result<(), SlotError> {
    match fs::remove_file(to) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(SlotError::io("replace", to)(e)),
        _ => {}
    }
    copy::copy(from, to, cancel).map_err(SlotError::io("copy", to))?.ok_or(SlotError::Cancelled)
}

/// Whether everything that the manifest speaks of is there, as long as it was.
fn whole(slot: &Slot, manifest: &Manifest) -> Result<(), SlotError> {
    let length = |name: &str| fs::metadata(slot.dir.join(name)).ok().filter(fs::Metadata::is_file).map(|it| it.len());
    if length(manifest::MEMORY) != Some(manifest.memory_bytes) {
        return Err(slot.damaged("its memory is not what was written"));
    }
    let layers = manifest.plugged.iter().filter_map(|it| it.file.to_str());
    let vars = manifest.vars.then_some(manifest::VARS);
    for name in manifest.disks.iter().map(String::as_str).chain(layers).chain(vars) {
        if length(name).is_none() {
            return Err(slot.damaged(&format!("{name} is missing")));
        }
    }
    for then in &manifest.inputs.files {
        let Some(name) = &then.kept else { continue };
        let now = look(then.what.clone(), &slot.dir.join(name));
        if (now.bytes, now.changed_ns) != (then.bytes, then.changed_ns) {
            let path = then.path.display();
            return Err(
                slot.damaged(&format!("the {} {path} was written to since, and the guest has read from it", then.what))
            );
        }
    }
    Ok(())
}

/// Lets the guest read what it had read, from the slot.
fn put_files(plan: &mut GuestPlan, slot: &Slot, files: &[InputFile]) {
    let kept = |what: &str| {
        let file = files.iter().find(|file| file.what == what)?;
        Some(slot.dir.join(file.kept.as_ref()?))
    };
    let put = |what: String, path: &mut PathBuf| {
        if let Some(kept) = kept(&what) {
            *path = kept;
        }
    };
    match &mut plan.boot {
        Boot::Iso(image) => put("image".into(), image),
        Boot::Direct { kernel, initrds, .. } => {
            put("kernel".into(), kernel);
            (1..).zip(initrds).for_each(|(number, path)| put(format!("initramfs {number}"), path));
        }
        Boot::Nothing => {}
    }
    (1..).zip(&mut plan.machine.layers).for_each(|(number, path)| put(format!("layer {number}"), path));
}
