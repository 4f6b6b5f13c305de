//! The recipe's guest as a machine of this host: settings translated, and what they need looked for. Disks that are kept
//! are made here, once; those of one guest alone are made when it starts.

use std::fs;
use std::path::{Path, PathBuf};

use isoprep::{Cancel, DiskWish, Recipe, SecureBootKeys};
use vmtools::{
    Access, Boot, Disk, DiskFormat, EnrolledKeys, Firmware, FirmwareFiles, Forward, Gpu, GuestPlan, Machine, Made,
    Medium, Network, Share, SharedFolder, Transport, UsbId, UsbProblem,
};

use super::host_failure;
use crate::paths::Paths;
use crate::session::event::{Failure, Level};
use crate::session::failure;
use crate::session::kept_disks;

/// A machine, and what of this host runs it.
#[derive(Clone, Debug)]
pub(in crate::session) struct Hardware {
    pub(in crate::session) machine: Machine,
    pub(in crate::session) firmware: Option<FirmwareFiles>,
    /// The program.
    pub(in crate::session) qemu: PathBuf,
}

impl Hardware {
    /// The command that starts it by itself in a terminal: what *Copy command* copies.
    pub(in crate::session) fn standalone(&self, boot: &Boot) -> String {
        standalone(&self.machine, boot, &self.qemu, self.firmware.as_ref())
    }
}

fn standalone(machine: &Machine, boot: &Boot, qemu: &Path, firmware: Option<&FirmwareFiles>) -> String {
    let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let window = ["DISPLAY", "WAYLAND_DISPLAY"].iter().any(|name| set(name));
    vmtools::standalone(machine, boot, qemu, firmware, window)
}

/// The same for what is booted directly. `None`: a folder that is its root can be served by a program of its own alone.
pub(super) fn standalone_of(plan: &GuestPlan, roots: usize) -> Option<String> {
    if roots > 0 && plan.sharing.serving.kernel.plan9 == Some(false) {
        return None;
    }
    let lent = |folder: &SharedFolder| {
        let read_only = folder.access != Access::Writable;
        Share { tag: folder.tag.clone(), transport: Transport::Plan9 { dir: folder.dir.clone(), read_only } }
    };
    let shares = plan.sharing.folders.iter().take(roots).map(lent).collect();
    let machine = Machine { shares, ..plan.machine.clone() };
    Some(standalone(&machine, &plan.boot, &plan.qemu, plan.firmware.as_ref()))
}

/// The machine that `recipe` asks for, without its disks.
pub(in crate::session) fn machine_of(recipe: &Recipe, accelerator: vmtools::Accelerator) -> Machine {
    let guest = &recipe.guest;
    let forward =
        |f: &isoprep::Forward| Forward { name: f.name.clone(), guest_port: f.guest_port, host_port: f.host_port };
    Machine {
        name: recipe.name.clone(),
        cpus: guest.cpus,
        memory_mib: guest.memory_mib,
        firmware: match guest.firmware {
            isoprep::Firmware::Bios => Firmware::Bios,
            isoprep::Firmware::Uefi => Firmware::Uefi,
            isoprep::Firmware::UefiSecure => Firmware::UefiSecure,
        },
        gpu: match guest.gpu {
            isoprep::Gpu::Std => Gpu::Std,
            isoprep::Gpu::Virtio => Gpu::Virtio,
            isoprep::Gpu::VirtioGl => Gpu::VirtioGl,
        },
        medium: match guest.medium {
            isoprep::Medium::Cd => Medium::Cd,
            isoprep::Medium::Usb => Medium::Usb,
        },
        disks: Vec::new(),
        accelerator,
        network: match guest.network {
            isoprep::Network::User => Network::User,
            isoprep::Network::None => Network::None,
        },
        forwards: guest.forward.iter().map(forward).collect(),
        tpm: guest.tpm,
        clipboard: guest.clipboard,
        audio: guest.audio,
        extra_iso: guest.extra_iso.clone(),
        usb: guest.usb.iter().map(|it| UsbId { vendor: it.vendor, product: it.product }).collect(),
        extra: guest.qemu_args.clone(),
        shares: Vec::new(),
        layers: Vec::new(),
        told: Vec::new(),
    }
}

/// Completes `machine` with what this host has. What the user should know goes to `notices`.
pub(super) fn find(
    mut machine: Machine,
    recipe: &Recipe,
    paths: &Paths,
    cancel: &Cancel,
    notices: &mut Vec<(Level, String)>,
) -> Result<Hardware, Failure> {
    let findings = isoprep::check_guest(recipe);
    if !findings.is_empty() {
        return Err(failure::of_findings(&findings));
    }
    let qemu = super::find_qemu().ok_or_else(|| {
        let tried = "qemu-system-x86_64 was looked for in every directory of PATH and is in none of them";
        host_failure("QEMU is not installed", &tried)
    })?;
    let firmware = firmware(recipe, paths, notices)?;
    if machine.gpu == Gpu::VirtioGl {
        vmtools::find_render_node(Path::new("/"), &qemu, cancel)
            .map_err(|e| host_failure("The guest cannot draw with a graphics card", &e))?;
    }
    for problem in vmtools::look_for_usb(Path::new("/"), &machine.usb) {
        match problem {
            UsbProblem::Absent { .. } => notices.push((Level::Warning, capital(&problem.to_string()))),
            UsbProblem::Denied { .. } => {
                return Err(host_failure("A USB device cannot be handed to the guest", &problem));
            }
        }
    }
    if !machine.extra.is_empty() {
        let words = machine.extra.join(" ");
        notices.push((Level::Warning, format!("These words for QEMU are the cartridge's own, unchecked: {words}")));
    }
    machine.disks = disks(recipe, paths, cancel, notices)?;
    Ok(Hardware { machine, firmware, qemu })
}

fn firmware(
    recipe: &Recipe,
    paths: &Paths,
    notices: &mut Vec<(Level, String)>,
) -> Result<Option<FirmwareFiles>, Failure> {
    let root = Path::new("/");
    let keys = match (recipe.guest.firmware, recipe.guest.keys) {
        (isoprep::Firmware::Bios, _) => return Ok(None),
        (isoprep::Firmware::Uefi, _) => {
            let found = vmtools::find_firmware(root);
            return found.map(Some).map_err(|e| host_failure("There is no UEFI firmware for the guest", &e));
        }
        (isoprep::Firmware::UefiSecure, SecureBootKeys::Test) => EnrolledKeys::Test,
        (isoprep::Firmware::UefiSecure, SecureBootKeys::Vendor) => EnrolledKeys::Vendor,
    };
    let found = vmtools::find_secure_firmware(root, keys)
        .map_err(|e| host_failure("There is no firmware with Secure Boot for the guest", &e))?;
    if keys == EnrolledKeys::Vendor {
        let text =
            "Secure Boot knows the keys of the firmware's package: Microsoft's and the distribution's".to_owned();
        notices.push((Level::Info, text));
        return Ok(Some(found));
    }
    let dir = paths.secure_boot();
    let enrolled = vmtools::enrol_test_key(found, &dir)
        .map_err(|e| host_failure("The test key could not be enrolled for Secure Boot", &e))?;
    let text = format!(
        "Secure Boot knows the test key alone; sign with: sbsign --key {0}/test.key --cert {0}/test.crt FILE",
        dir.display()
    );
    notices.push((Level::Info, text));
    Ok(Some(enrolled))
}

/// The guest's disks. The files of those that are made for one guest alone are relative: to a folder of that guest.
fn disks(
    recipe: &Recipe,
    paths: &Paths,
    cancel: &Cancel,
    notices: &mut Vec<(Level, String)>,
) -> Result<Vec<Disk>, Failure> {
    let mut disks = Vec::new();
    let thrown = |name: &str, made: Made| Disk {
        name: name.to_owned(),
        file: format!("{name}.qcow2").into(),
        format: DiskFormat::Qcow2,
        made,
    };
    disks.extend(recipe.guest.disk_bytes.map(|bytes| thrown("disk", Made::Empty { bytes })));
    for disk in &recipe.guest.disks {
        disks.push(match &disk.wish {
            DiskWish::Empty { bytes, keep: false } => thrown(&disk.name, Made::Empty { bytes: *bytes }),
            DiskWish::Empty { bytes, keep: true } => {
                let file = kept_disks::open(paths, recipe, &disk.name, *bytes, cancel, notices)?;
                Disk { name: disk.name.clone(), file, format: DiskFormat::Qcow2, made: Made::Before }
            }
            DiskWish::Image { path, write } => {
                let format = DiskFormat::of(path).map_err(|e| failure::of_disk(&disk.name, &e))?;
                if *write {
                    let text =
                        format!("The disk {} is {}, and the guest's writes stay in it", disk.name, path.display());
                    notices.push((Level::Warning, text));
                    Disk { name: disk.name.clone(), file: path.clone(), format, made: Made::Before }
                } else {
                    thrown(&disk.name, Made::Over { image: path.clone(), format })
                }
            }
        });
    }
    Ok(disks)
}

/// Places the disks that are made for one guest alone in its folder, which is made first.
pub(in crate::session) fn place_disks(
    disks: &mut [Disk],
    folder: impl FnOnce() -> Result<PathBuf, Failure>,
) -> Result<(), Failure> {
    if disks.iter().all(|disk| disk.made == Made::Before) {
        return Ok(());
    }
    let folder = folder()?.join("disks");
    fs::create_dir_all(&folder)
        .map_err(|e| failure::internal("The guest's disks could not be made", &format!("{}: {e}", folder.display())))?;
    for disk in disks.iter_mut().filter(|disk| disk.made != Made::Before) {
        disk.file = folder.join(&disk.file);
    }
    Ok(())
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}
