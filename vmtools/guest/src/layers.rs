//! Layers that the host plugs in while the guest runs: a disk with a serial number of ours is mounted, what it has of the
//! repository is laid over the repository's place, and the host is told what is seen there now.
//!
//! A layer is read-only, and what the guest writes goes to memory, as in an image. Where the kernel has no overlay file
//! system the layer is shown as it is. Where programs stand in a tree that was seen there before, that becomes the same.

use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use cartridge_treehash::hash_tree;
use rustix::mount::{MountFlags, UnmountFlags, mount, mount_bind, unmount};

use crate::banner::{self, Report};
use crate::clock;
use crate::guest_file::Guest;
use crate::old_tree::OldTree;
use crate::shares::Outcome;
use crate::system::System;
use crate::uevents::{Uevent, Uevents};

/// What the serial number of a layer begins with; a number follows.
const SERIAL: &str = "cartridge-layer-";
/// Where layers are mounted, one folder each.
const PLACE: &str = "/run/cartridge/layers";
/// Who loads modules: of an image with an init of its own, and of ours.
const MODPROBES: [&str; 3] = ["/sbin/modprobe", "/usr/sbin/modprobe", "/bin/busybox"];

/// A layer that the machine has.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Layer {
    number: u32,
    /// Its block device: "vdb".
    device: String,
}

impl Layer {
    fn dir(&self) -> PathBuf {
        Path::new(PLACE).join(self.number.to_string())
    }

    /// Where its part of the repository is put together.
    fn tree(&self) -> PathBuf {
        self.dir().join("tree")
    }
}

/// What is done while the guest runs.
pub(crate) struct Layers {
    guest: Guest,
    /// What an init of the system's own had said, for the next reports.
    system: Option<System>,
    /// The folders of the host, for the next reports.
    shares: Vec<Outcome>,
    /// Nobody else loads drivers for what is plugged in.
    alone: bool,
    /// Those that there are, the newest last.
    shown: Vec<Layer>,
    /// Those that lie over the repository's place, the topmost last.
    stack: Vec<Layer>,
    /// What was seen there before each of them.
    old: Vec<OldTree>,
    generation: u32,
}

impl Layers {
    pub(crate) fn new(guest: Guest, system: Option<System>, shares: Vec<Outcome>, alone: bool) -> Self {
        Self { guest, system, shares, alone, shown: Vec::new(), stack: Vec::new(), old: Vec::new(), generation: 0 }
    }

    /// Brings in every layer that is or will be there. Comes back only if the kernel does not tell of devices.
    pub(crate) fn watch(mut self) {
        let Ok(events) = Uevents::open() else { return };
        self.look();
        while let Ok(event) = events.next() {
            match event {
                Some(Uevent { another_machine: true, .. }) => clock::set(),
                Some(Uevent { action, subsystem, modalias: Some(alias), .. })
                    if self.alone && action == "add" && ["pci", "virtio"].contains(&&*subsystem) =>
                {
                    load(&alias);
                }
                Some(Uevent { subsystem, .. }) if subsystem != "block" => {}
                _ => self.look(),
            }
        }
    }

    /// Compares what is there with what is shown.
    fn look(&mut self) {
        let there = layers();
        let gone: Vec<Layer> = self.shown.iter().filter(|layer| !there.contains(layer)).cloned().collect();
        for layer in gone {
            self.take_out(&layer);
            self.report(None);
        }
        for layer in there {
            if !self.shown.contains(&layer) {
                // The guest may have been asleep since: a layer often comes right after that.
                clock::set();
                let trouble = self.bring_in(&layer).err();
                self.report(trouble);
            }
        }
    }

    fn bring_in(&mut self, layer: &Layer) -> Result<(), String> {
        // It is not tried again, whatever comes of it.
        self.shown.push(layer.clone());
        let disk = layer.dir().join("disk");
        make(&disk)?;
        mount_layer(&Path::new("/dev").join(&layer.device), &disk)?;
        let into = &self.guest.into;
        let lower = disk.join(into.strip_prefix("/").unwrap_or(into));
        if !lower.is_dir() {
            return Err(format!("the layer has no folder {}", into.display()));
        }
        make(&layer.tree())?;
        overlay(&lower, layer)
            .or_else(|_| mount_bind(&lower, layer.tree()).map_err(|e| format!("the layer was not laid over: {e}")))?;
        make(into)?;
        self.show(layer)
    }

    /// Shows the layer at the repository's place, over what is seen there.
    fn show(&mut self, layer: &Layer) -> Result<(), String> {
        let into = &self.guest.into;
        // Each of the two lists has as many as there are mounts.
        let before = OldTree::open(into).map_err(|e| format!("{} was not opened: {e}", into.display()))?;
        mount_bind(layer.tree(), into).map_err(|e| format!("the layer was not mounted on {}: {e}", into.display()))?;
        self.stack.push(layer.clone());
        self.old.push(before);
        let renewed: Vec<_> = self.old.iter().map(|tree| tree.renew(into)).collect();
        renewed.into_iter().collect()
    }

    fn take_out(&mut self, layer: &Layer) {
        self.shown.retain(|other| other != layer);
        // What lies below one that stays is not seen.
        while self.stack.last().is_some_and(|top| !self.shown.contains(top)) {
            let _ = unmount(&self.guest.into, UnmountFlags::DETACH);
            self.stack.pop();
            self.old.pop();
        }
        for part in ["tree", "disk"] {
            let _ = unmount(layer.dir().join(part), UnmountFlags::DETACH);
        }
    }

    fn report(&mut self, trouble: Option<String>) {
        self.generation += 1;
        let found = hash_tree(&self.guest.into).map_err(|e| e.to_string());
        let mut notes = Vec::new();
        let report = Report::gather(&self.guest, Some(found), self.shares.clone(), &mut notes).of(self.system.clone());
        let trouble = trouble.or_else(|| notes.into_iter().next());
        banner::tell(&report.after(self.generation, trouble));
    }
}

/// All layers that the machine has, in the order in which they came.
fn layers() -> Vec<Layer> {
    let mut found: Vec<Layer> = fs::read_dir("/sys/block")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let serial = fs::read_to_string(entry.path().join("serial")).ok()?;
            let number = number(&serial)?;
            Some(Layer { number, device: entry.file_name().into_string().ok()? })
        })
        .collect();
    found.sort();
    found
}

/// The number in a layer's serial number; `None` for other disks.
fn number(serial: &str) -> Option<u32> {
    serial.trim_end().strip_prefix(SERIAL)?.parse().ok()
}

fn mount_layer(device: &Path, at: &Path) -> Result<(), String> {
    let try_it = || mount(device, at, "squashfs", MountFlags::RDONLY | MountFlags::NODEV, None);
    if try_it().is_ok() {
        return Ok(());
    }
    load("squashfs");
    try_it().map_err(|e| format!("the layer on {} was not mounted: {e}", device.display()))
}

/// Lays memory over the layer's part of the repository, so that it can be written to.
fn overlay(lower: &Path, layer: &Layer) -> Result<(), String> {
    let failed = |e: &dyn std::fmt::Display| format!("no overlay: {e}");
    let (upper, work) = (layer.dir().join("upper"), layer.dir().join("work"));
    make(&upper)?;
    make(&work)?;
    // The folder that is seen has the mode of the upper one.
    let mode = fs::metadata(lower).map_err(|e| failed(&e))?.permissions().mode();
    fs::set_permissions(&upper, fs::Permissions::from_mode(mode)).map_err(|e| failed(&e))?;
    let open = File::open(lower).map_err(|e| failed(&e))?;
    // By its descriptor: colons and commas in a path would be taken for separators.
    let options =
        format!("lowerdir=/proc/self/fd/{},upperdir={},workdir={}", open.as_raw_fd(), upper.display(), work.display());
    let options = std::ffi::CString::new(options).map_err(|e| failed(&e))?;
    let try_it = || mount("overlay", layer.tree(), "overlay", MountFlags::NODEV, Some(options.as_c_str()));
    if try_it().is_ok() {
        return Ok(());
    }
    load("overlay");
    try_it().map_err(|e| failed(&e))
}

fn make(dir: &Path) -> Result<(), String> {
    fs::create_dir_all(dir).map_err(|e| format!("{} cannot be made: {e}", dir.display()))
}

/// Loads a module by its name or by what needs it. What cannot be loaded is missed by whoever needs it.
fn load(module: &str) {
    let Some(program) = MODPROBES.into_iter().find(|path| Path::new(path).exists()) else { return };
    let mut command = Command::new(program);
    if program.ends_with("busybox") {
        command.arg("modprobe");
    }
    command.args(["-q", module]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    // Process 1 may have collected it already, which is all the same.
    let _ = command.status();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_are_told_from_other_disks() {
        assert_eq!(number("cartridge-layer-12\n"), Some(12));
        for other in ["", "layer0", "cartridge-layer-", "cartridge-layer-x", "cartridge-layer-99999999999"] {
            assert_eq!(number(other), None, "{other}");
        }
        let layer = Layer { number: 3, device: "vdb".into() };
        assert_eq!(layer.tree(), Path::new("/run/cartridge/layers/3/tree"));
    }
}
