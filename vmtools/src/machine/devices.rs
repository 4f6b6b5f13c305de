//! The guest's disks, and what this host lends it beside its hardware: USB devices, folders, read-only layers
//! and words. Pure: QEMU options alone.
//!
//! A folder is found in the guest by its mount tag, a layer by its serial number (`/dev/disk/by-id/virtio-layer0`,
//! `/sys/block/vda/serial`), a word at `/sys/firmware/qemu_fw_cfg/by_name/opt/cartridge/<name>/raw`.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::arguments::{Arguments, value};
use super::ports::{folder_port, port_name};
use super::{Machine, UsbId};

/// A folder of this host as a device of the guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    /// The mount tag: 1–31 bytes of `[a-z0-9_-]` (QEMU's `MAX_TAG_LEN` for 9p, less its final NUL).
    pub tag: String,
    /// How it gets there.
    pub transport: Transport,
}

/// How a folder gets into a guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transport {
    /// QEMU itself serves the folder as 9P2000.L, with the rights of whoever runs it.
    Plan9 {
        /// The folder, an absolute path.
        dir: PathBuf,
        /// Whether QEMU refuses every change.
        read_only: bool,
    },
    /// A virtiofsd serves it at this socket, and sees the guest's memory.
    Virtiofs {
        /// The socket that a virtiofsd listens on.
        socket: PathBuf,
    },
}

impl Machine {
    /// Whether another program must be able to see the guest's memory.
    #[must_use]
    pub fn lends_its_memory(&self) -> bool {
        self.shares.iter().any(Share::is_virtiofs)
    }

    /// The same without the folders that a virtiofsd serves.
    pub(crate) fn without_virtiofs(&self) -> Self {
        let mut machine = self.clone();
        machine.shares.retain(|share| !share.is_virtiofs());
        machine
    }
}

impl Share {
    pub(crate) const fn is_virtiofs(&self) -> bool {
        matches!(self.transport, Transport::Virtiofs { .. })
    }
}

/// QMP commands that plug the folders that a virtiofsd serves into a guest of `machine`, which has been kept without them and
/// has ports for them (`qapi/char.json`, `qapi/qdev.json`).
pub(crate) fn plugging_of_folders(machine: &Machine) -> Vec<(&'static str, Value)> {
    let mut commands = Vec::new();
    for (number, share) in (0..).zip(&machine.shares) {
        let Transport::Virtiofs { socket } = &share.transport else { continue };
        let (id, bus) = (format!("share{number}"), port_name(folder_port(number)));
        let addr = json!({ "type": "unix", "data": { "path": socket } });
        let backend = json!({ "type": "socket", "data": { "addr": addr, "server": false } });
        commands.push(("chardev-add", json!({ "id": id, "backend": backend })));
        let device = json!({ "driver": "vhost-user-fs-pci", "id": format!("{id}-folder"), "chardev": id, "tag": share.tag, "bus": bus });
        commands.push(("device_add", device));
    }
    commands
}

/// The guest's memory as a file that can be handed to a vhost-user program; to be named in `-machine` as
/// `memory-backend=memory`.
pub(super) fn memory(args: &mut Arguments, machine: &Machine) {
    if machine.lends_its_memory() {
        args.pair("-object", format!("memory-backend-memfd,id=memory,size={}M,share=on", machine.memory_mib));
    }
}

/// QEMU's end of a clipboard (`qapi/char.json`, `ChardevQemuVDAgent`), at the port that spice-vdagent looks for.
pub(super) fn clipboard(args: &mut Arguments, machine: &Machine) {
    if machine.clipboard {
        args.pair("-device", "virtio-serial-pci,id=agents");
        args.pair("-chardev", format!("{CLIPBOARD},id=clipboard,name=vdagent,clipboard=on,mouse=off"));
        args.pair("-device", "virtserialport,bus=agents.0,chardev=clipboard,name=com.redhat.spice.0");
    }
}

/// The name of QEMU's character device that is one.
const CLIPBOARD: &str = "qemu-vdagent";

/// Whether the guest that a command starts has a clipboard.
#[must_use]
pub fn has_clipboard(command: &str) -> bool {
    command.contains(CLIPBOARD)
}

/// A sound card without a microphone. QEMU mixes what it and the speaker play for the displays, and plays nothing itself.
pub(super) fn audio(args: &mut Arguments, machine: &Machine) {
    if machine.audio {
        args.pair("-audiodev", format!("none,id={AUDIO}"));
        args.pair("-device", "ich9-intel-hda,id=hda").pair("-device", format!("hda-output,bus=hda.0,audiodev={AUDIO}"));
    }
}

/// The name of the guest's sound in QEMU.
pub(super) const AUDIO: &str = "sound0";

/// Whether the guest that a command starts has sound.
#[must_use]
pub fn has_audio(command: &str) -> bool {
    command.contains(&format!("id={AUDIO}"))
}

/// The disks, the second CD and the USB devices.
pub(super) fn drives(args: &mut Arguments, machine: &Machine) {
    for (number, disk) in machine.disks.iter().enumerate() {
        let drive = format!("if=none,id=disk{number},format={},discard=unmap,file=", disk.format.name());
        args.pair("-drive", value().text(&drive).escaped(&disk.file));
        let device = format!("virtio-blk-pci,drive=disk{number},bootindex={},serial=", number + 2);
        args.pair("-device", value().text(&device).escaped(&disk.name));
    }
    if let Some(iso) = &machine.extra_iso {
        args.pair("-drive", value().text("if=none,id=extra,media=cdrom,format=raw,readonly=on,file=").escaped(iso));
        args.pair("-device", "ide-cd,bus=ide.1,drive=extra");
    }
    for UsbId { vendor, product } in &machine.usb {
        args.pair("-device", format!("usb-host,bus=xhci.0,vendorid=0x{vendor:04x},productid=0x{product:04x}"));
    }
}

/// The devices of the folders and layers, and the words.
pub(super) fn lend(args: &mut Arguments, machine: &Machine) {
    for (number, share) in machine.shares.iter().enumerate() {
        folder(args, number, share);
    }
    for (number, layer) in machine.layers.iter().enumerate() {
        let drive = format!("if=none,id=layer{number},format=raw,readonly=on,file=");
        args.pair("-drive", value().text(&drive).escaped(layer));
        args.pair("-device", format!("virtio-blk-pci,drive=layer{number},serial=layer{number}"));
    }
    for (name, text) in &machine.told {
        let word = value().text("name=opt/cartridge/").escaped(name).text(",string=").escaped(text);
        args.pair("-fw_cfg", word);
    }
}

fn folder(args: &mut Arguments, number: usize, share: &Share) {
    match &share.transport {
        Transport::Plan9 { dir, read_only } => {
            // `none` stores owners and modes as they are, or not at all; the mapped models would litter the host
            // with attributes. `remap`: two file systems below one folder have files of one number.
            let before = format!("local,id=share{number},security_model=none,multidevs=remap,");
            let before = if *read_only { before + "readonly=on,path=" } else { before + "path=" };
            args.pair("-fsdev", value().text(&before).escaped(dir));
            let device = format!("virtio-9p-pci,fsdev=share{number},mount_tag=");
            args.pair("-device", value().text(&device).escaped(&share.tag));
        }
        Transport::Virtiofs { socket } => {
            args.pair("-chardev", value().text(&format!("socket,id=share{number},path=")).escaped(socket));
            let device = format!("vhost-user-fs-pci,chardev=share{number},tag=");
            args.pair("-device", value().text(&device).escaped(&share.tag));
        }
    }
}
