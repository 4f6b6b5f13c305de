//! The guest's part of the parsed recipe: the machine that runs the image.

use std::path::PathBuf;

use serde::Serialize;

/// The machine that the guest gets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GuestSettings {
    /// Virtual processors, 1 to 255.
    pub cpus: u32,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// Which firmware boots it.
    pub firmware: Firmware,
    /// Which graphics card it has.
    pub gpu: Gpu,
    /// What the image is presented as.
    pub medium: Medium,
    /// Size of an empty disk to install to, bytes; `None` for no disk.
    pub disk_bytes: Option<u64>,
    /// More disks, in the order of the file.
    pub disks: Vec<GuestDisk>,
    /// Which accelerator is wished for.
    pub accelerator: AcceleratorWish,
    /// How it reaches the network.
    pub network: Network,
    /// Guest ports to be reached from the host; none without a network.
    pub forward: Vec<Forward>,
    /// Whether it has a TPM 2.0.
    pub tpm: bool,
    /// Whether it has a clipboard that meets the desktop's.
    pub clipboard: bool,
    /// Whether it has sound.
    pub audio: bool,
    /// Which client shows its screen.
    pub viewer: Viewer,
    /// Which keys Secure Boot knows; means something with [`Firmware::UefiSecure`] alone.
    pub keys: SecureBootKeys,
    /// One more CD, absolute.
    pub extra_iso: Option<PathBuf>,
    /// Devices of the host that it gets.
    pub usb: Vec<UsbDevice>,
    /// Words to append to QEMU's command line; none of them opens a network port or takes QEMU from us.
    pub qemu_args: Vec<String>,
}

/// The guest's firmware.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Firmware {
    /// `SeaBIOS`.
    Bios,
    /// OVMF.
    Uefi,
    /// OVMF with Secure Boot on.
    #[serde(rename = "uefi-secure")]
    UefiSecure,
}

/// Which keys Secure Boot knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SecureBootKeys {
    /// Our own test key, whose private half everybody has.
    Test,
    /// Those that come enrolled with the firmware: Microsoft's and the distribution's.
    Vendor,
}

/// The guest's graphics card.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Gpu {
    /// The plain VGA card that everything has a driver for.
    Std,
    /// virtio-vga: can be resized, needs a driver in the guest.
    Virtio,
    /// virtio-vga-gl: 3D by the host's own graphics card.
    #[serde(rename = "virtio-gl")]
    VirtioGl,
}

/// The VNC client that shows the guest's screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Viewer {
    /// Our own.
    Cartridge,
    /// The crate of that name.
    #[serde(rename = "vnc-rs")]
    VncRs,
}

/// How the guest reaches the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Network {
    /// QEMU's user network: out through this user's own connections, in through forwards alone.
    User,
    /// Not at all.
    None,
}

/// A disk besides the simple one.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct GuestDisk {
    /// Its name: also its serial number in the guest (`/dev/disk/by-id/virtio-<name>`), 1 to 20 letters, digits, `.`, `_`, `-`.
    pub name: String,
    /// What it is.
    pub wish: DiskWish,
}

/// What a disk is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DiskWish {
    /// An empty one.
    Empty {
        /// Its size.
        bytes: u64,
        /// Whether it and what is on it outlive the eject.
        keep: bool,
    },
    /// A disk image of the user's.
    Image {
        /// The file, absolute.
        path: PathBuf,
        /// Whether the guest's writes go into it. Otherwise they are thrown away.
        write: bool,
    },
}

/// A USB device of the host, by what it says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct UsbDevice {
    /// Who made it.
    pub vendor: u16,
    /// What it is.
    pub product: u16,
}

/// What the image is presented to the guest as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Medium {
    /// A CD-ROM.
    Cd,
    /// A USB stick.
    Usb,
}

/// Which accelerator the recipe wishes for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AcceleratorWish {
    /// The fastest that was found to work.
    Auto,
    /// Hardware virtualisation.
    Kvm,
    /// QEMU's own translator: slow, works everywhere.
    Tcg,
}

/// A guest port to be reached from the host, at 127.0.0.1.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Forward {
    /// What the user calls it: "ssh".
    pub name: String,
    /// The port in the guest, 1 to 65535.
    pub guest_port: u16,
    /// The port on the host, 1 to 65535; `None` for a free one, chosen when the guest starts.
    pub host_port: Option<u16>,
}
