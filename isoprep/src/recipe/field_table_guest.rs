//! The part of the table that `[guest]` is: the machine that runs the image. What is asked for most comes first.

use super::field_table::ALL;
use super::fields::{FieldDoc, FieldKind};

/// Fewest and most virtual processors: QEMU's q35 takes 255 without more settings.
pub(super) const CPUS: (i64, i64) = (1, 255);
/// Smallest and largest memory, MiB: below 128 the kernel cannot unpack its initramfs.
pub(super) const MEMORY_MIB: (u64, u64) = (128, 1024 * 1024);
/// Smallest and largest disk, bytes.
pub(super) const DISK: (u64, u64) = (1 << 20, 64 << 40);

/// Unit of sizes.
const SIZE_UNIT: &str = "M, G or T (powers of 1024)";

/// A field of `[guest]`: every engine's guest has it.
const fn guest(key: &'static str, label: &'static str, kind: FieldKind, default: &'static str) -> FieldDoc {
    FieldDoc { key, label, kind, default, unit: "", range: "", doc: "", engines: ALL }
}

impl FieldDoc {
    const fn says(self, range: &'static str, doc: &'static str) -> Self {
        Self { range, doc, ..self }
    }

    const fn in_unit(self, unit: &'static str) -> Self {
        Self { unit, ..self }
    }
}

/// What `[guest]` may say.
pub(super) const GUEST: &[FieldDoc] = &[
    guest("guest.cpus", "Processors", FieldKind::Integer { min: CPUS.0, max: CPUS.1 }, "4")
        .says("1 to 255", "How many virtual processors the guest has."),
    guest("guest.memory", "Memory", FieldKind::Size, "4G")
        .in_unit(SIZE_UNIT)
        .says("128M to 1T", "How much memory the guest has."),
    guest("guest.firmware", "Firmware", FieldKind::Choice(&["bios", "uefi", "uefi-secure"]), "bios").says(
        "bios, uefi or uefi-secure",
        "Which firmware boots the guest; uefi-secure starts only what is signed with a key that it knows (Secure Boot).",
    ),
    guest("guest.gpu", "Graphics", FieldKind::Choice(&["std", "virtio", "virtio-gl"]), "std").says(
        "std, virtio or virtio-gl",
        "Which graphics card the guest has; virtio needs a driver in it, virtio-gl also a graphics card of this machine.",
    ),
    guest("guest.medium", "Medium", FieldKind::Choice(&["cd", "usb"]), "cd")
        .says("cd or usb", "What the image is presented to the guest as."),
    guest("guest.disk", "Disk", FieldKind::Size, "")
        .in_unit(SIZE_UNIT)
        .says("1M to 64T", "The size of an empty disk to install to, thrown away with the eject; no disk when not set."),
    guest("guest.network", "Network", FieldKind::Choice(&["user", "none"]), "user").says(
        "user or none",
        "user: the guest reaches what this machine reaches, and is reached by forwards alone; none: it has no network.",
    ),
    guest("guest.accelerator", "Accelerator", FieldKind::Choice(&["auto", "kvm", "tcg"]), "auto").says(
        "auto, kvm or tcg",
        "How the guest's processors are run: auto takes kvm where it was measured to work well, else tcg.",
    ),
    guest("guest.forward", "Forward", FieldKind::Map, "").says(
        "ssh = \"auto\", a name and the guest's port: web = 8080, or this machine's port before it: web = \"8080:80\"",
        "Guest ports to be reached from this machine, at 127.0.0.1; a free port is chosen where none is named.",
    ),
    guest("guest.disks", "More disks", FieldKind::Map, "").says(
        "data = \"20G\", system = \"40G keep\", old = \"disk.qcow2\" or shared = \"disk.qcow2 write\"",
        "More disks by name. A size is an empty one, thrown away unless kept; a file stays as it is without write.",
    ),
    guest("guest.tpm", "TPM", FieldKind::Switch, "false")
        .says("true or false", "Whether the guest has a TPM 2.0, emulated by swtpm and empty at every start."),
    guest("guest.clipboard", "Clipboard", FieldKind::Switch, "false").says(
        "true or false",
        "Whether the guest has a clipboard to be shared, for spice-vdagent in it. Such a guest cannot be kept in a slot.",
    ),
    guest("guest.audio", "Sound", FieldKind::Switch, "false")
        .says("true or false", "Whether the guest has a sound card and a speaker, heard where this desktop has a sound server."),
    guest("guest.viewer", "Viewer", FieldKind::Choice(&["cartridge", "vnc-rs"]), "cartridge").says(
        "cartridge or vnc-rs",
        "Which VNC client shows the screen. vnc-rs, to compare with, has no sound, clipboard, resizing or lock keys.",
    ),
    guest("guest.keys", "Secure Boot keys", FieldKind::Choice(&["test", "vendor"]), "test").says(
        "test or vendor",
        "Which keys uefi-secure knows. test: ours, to sign with; vendor: Microsoft's and the distribution's.",
    ),
    guest("guest.extra_iso", "Extra ISO", FieldKind::File, "")
        .says("an ISO image", "One more CD in a drive of its own, after the image."),
    guest("guest.usb", "USB devices", FieldKind::List, "").says(
        "vendor:product, four hexadecimal digits each, as lsusb shows them",
        "Devices of this machine that are handed to the guest as long as it runs.",
    ),
    guest("guest.qemu_args", "QEMU arguments", FieldKind::List, "").says(
        "one word of QEMU's command line each",
        "The last resort: words for QEMU. What would open a network port or take QEMU from us is refused.",
    ),
];
