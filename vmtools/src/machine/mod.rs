//! What a guest is made of, and the QEMU command line that makes it. Everything that decides is pure; only
//! [`RuntimeDir`], [`make_disk`], [`enrol_test_key`] and what begins with `find` or `look` touch the file system.

mod arguments;
mod capacity;
mod devices;
mod disk;
mod enrol;
mod firmware;
mod host_devices;
mod memory_file;
mod ports;
mod runtime;
mod standalone;

use std::path::PathBuf;

use serde::Serialize;

pub use arguments::{qemu_arguments, without_sandbox};
pub use capacity::{HostCapacity, clamp, host_capacity};
pub(crate) use devices::plugging_of_folders;
pub use devices::{Share, Transport, has_audio, has_clipboard};
pub use disk::{Disk, DiskError, DiskFormat, Made, create_disk, make_disk, sweep_new_disks};
pub use enrol::{EnrolError, enrol_test_key};
pub use firmware::{EnrolledKeys, FirmwareFiles, FlashFormat, MissingFirmware, find_firmware, find_secure_firmware};
pub use host_devices::{NoRenderNode, UsbProblem, find_render_node, look_for_usb};
pub(crate) use memory_file::{MemoryFile, MemoryUse, memory_in_file};
pub(crate) use ports::{PORTS, folder_ports, port_name};

#[cfg(test)]
pub(crate) use arguments::tests::machine as test_machine;

pub(crate) use runtime::connect_blocking;
pub use runtime::{RuntimeDir, RuntimeError, RuntimePaths, connect};
pub use standalone::standalone;

/// A guest's hardware, as asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// Shown in the process list and in QEMU's window titles; any text.
    pub name: String,
    /// Virtual CPUs, at least 1.
    pub cpus: u32,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// What runs before the boot loader.
    pub firmware: Firmware,
    /// The display adapter.
    pub gpu: Gpu,
    /// How an ISO image is attached.
    pub medium: Medium,
    /// Its disks, in the order in which it may boot from them; made with [`make_disk`].
    pub disks: Vec<Disk>,
    /// What executes the guest's instructions.
    pub accelerator: Accelerator,
    /// How it reaches the network.
    pub network: Network,
    /// Guest TCP ports to be reached from this machine, at 127.0.0.1; none without a network.
    pub forwards: Vec<Forward>,
    /// Whether it has a TPM 2.0: a swtpm of its own, empty at every start.
    pub tpm: bool,
    /// Whether it has a clipboard that displays share: QEMU's own end of what spice-vdagent in the guest talks to. QEMU 7.2 keeps
    /// no guest that has one.
    pub clipboard: bool,
    /// Whether it has a sound card and a speaker, whose sound displays pass on. It hears nothing of this host.
    pub audio: bool,
    /// One more CD, in a drive of its own: an absolute path.
    pub extra_iso: Option<PathBuf>,
    /// USB devices of this machine that it gets.
    pub usb: Vec<UsbId>,
    /// Words to append to QEMU's command line, as they are.
    pub extra: Vec<String>,
    /// Folders of this host, each a device of the guest.
    pub shares: Vec<Share>,
    /// Raw images (a squashfs, an erofs, an ISO) as read-only disks, with the serial numbers `layer0`, `layer1`, …
    pub layers: Vec<PathBuf>,
    /// Words for the guest, by name: letters, digits, `.`, `_`, `-` and `/`, at most 40 bytes (QEMU's fw_cfg names
    /// have 55, less our prefix). The guest reads them at `/sys/firmware/qemu_fw_cfg/by_name/opt/cartridge/<name>/raw`.
    pub told: Vec<(String, String)>,
}

impl Machine {
    /// The disk images that the guest writes to, in a fixed order.
    #[must_use]
    pub fn disk_files(&self) -> Vec<PathBuf> {
        self.disks.iter().map(|disk| disk.file.clone()).collect()
    }

    /// Puts other files in their places, in the same order.
    pub fn set_disk_files(&mut self, files: Vec<PathBuf>) {
        for (disk, file) in self.disks.iter_mut().zip(files) {
            disk.file = file;
        }
    }
}

/// What runs before the boot loader.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Firmware {
    /// SeaBIOS, which QEMU brings along.
    #[default]
    Bios,
    /// OVMF, found with [`find_firmware`].
    Uefi,
    /// OVMF with Secure Boot on, found with [`find_secure_firmware`].
    #[serde(rename = "uefi-secure")]
    UefiSecure,
}

/// The display adapter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Gpu {
    /// Bochs VGA: every guest has a driver.
    #[default]
    Std,
    /// virtio-vga: can be resized, needs a driver for more than text.
    Virtio,
    /// virtio-vga-gl: 3D by the graphics card of this machine, see [`find_render_node`].
    #[serde(rename = "virtio-gl")]
    VirtioGl,
}

/// How the guest reaches the network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Network {
    /// QEMU's user network: out through this user's own connections, in through forwards alone.
    #[default]
    User,
    /// Not at all.
    None,
}

/// A USB device of this machine, by what it says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct UsbId {
    /// Who made it.
    pub vendor: u16,
    /// What it is.
    pub product: u16,
}

/// How an ISO image is attached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Medium {
    /// A SATA CD drive (AHCI).
    #[default]
    Cd,
    /// A USB stick on xHCI, write-protected.
    Usb,
}

/// What executes the guest's instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Accelerator {
    /// The processor itself, through Linux's KVM.
    Kvm,
    /// QEMU's own translator: works everywhere, several times slower.
    Tcg,
}

impl std::fmt::Display for Accelerator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Kvm => "kvm",
            Self::Tcg => "tcg",
        })
    }
}

/// A guest TCP port to be reached from this machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Forward {
    /// What it is called in the recipe, for example "ssh".
    pub name: String,
    /// The port the guest listens on, 1–65535.
    pub guest_port: u16,
    /// The port on this machine, 1–65535; `None` for a free one.
    pub host_port: Option<u16>,
}

/// Where the guest's first instructions come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Boot {
    /// An ISO image (an absolute path), attached read-only as the [`Medium`] says.
    Iso(PathBuf),
    /// A kernel loaded by QEMU itself.
    Direct {
        /// A bzImage or a PVH vmlinux.
        kernel: PathBuf,
        /// Initial RAM disks, joined in this order when there are several.
        initrds: Vec<PathBuf>,
        /// The kernel command line.
        cmdline: String,
    },
    /// Nothing to boot from: the firmware says so on the screen.
    Nothing,
}
