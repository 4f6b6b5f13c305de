//! What `[guest]` means: the fields of the machine that runs the image.

use std::path::Path;

use super::field_table_guest::{CPUS, DISK, MEMORY_MIB};
use super::judge::{Judge, shown};
use super::model_guest::{
    AcceleratorWish, DiskWish, Firmware, Forward, Gpu, GuestDisk, GuestSettings, Medium, Network, SecureBootKeys,
    UsbDevice, Viewer,
};
use super::qemu_words;
use super::reader::Raw;
use super::values::{self, Problem};

/// Longest name of a disk, bytes: what a virtio disk's serial number may have (`VIRTIO_BLK_ID_BYTES`).
const DISK_NAME_LIMIT: usize = 20;
/// The most disks: each takes a slot of the guest's PCI bus.
const DISK_LIMIT: usize = 12;

impl Judge<'_> {
    /// Every field is read, whatever is wrong with the others.
    pub(super) fn guest(&mut self) -> GuestSettings {
        let memory = (MEMORY_MIB.0 << 20, MEMORY_MIB.1 << 20);
        let network = self.choice("guest.network", Network::User, &[Network::None]);
        let root = self.root;
        let mut usb = Vec::new();
        GuestSettings {
            cpus: self.integer("guest.cpus", CPUS).and_then(|cpus| u32::try_from(cpus).ok()).unwrap_or(4),
            memory_mib: self.size("guest.memory", memory).map_or(4096, |bytes| bytes >> 20),
            firmware: self.choice("guest.firmware", Firmware::Bios, &[Firmware::Uefi, Firmware::UefiSecure]),
            gpu: self.choice("guest.gpu", Gpu::Std, &[Gpu::Virtio, Gpu::VirtioGl]),
            medium: self.choice("guest.medium", Medium::Cd, &[Medium::Usb]),
            disk_bytes: self.size("guest.disk", DISK),
            disks: self.disks(),
            accelerator: self.choice(
                "guest.accelerator",
                AcceleratorWish::Auto,
                &[AcceleratorWish::Kvm, AcceleratorWish::Tcg],
            ),
            network,
            forward: self.forward(network),
            tpm: self.switch("guest.tpm"),
            clipboard: self.switch("guest.clipboard"),
            audio: self.switch("guest.audio"),
            viewer: self.choice("guest.viewer", Viewer::Cartridge, &[Viewer::VncRs]),
            keys: self.choice("guest.keys", SecureBootKeys::Test, &[SecureBootKeys::Vendor]),
            extra_iso: self.text("guest.extra_iso", |text| values::host_path(text, root)),
            usb: self.list("guest.usb", |text| {
                let device = usb_device(text)?;
                if usb.contains(&device) {
                    return Err((format!("{text:?} is listed twice"), "keep one".to_owned()));
                }
                usb.push(device);
                Ok(device)
            }),
            qemu_args: self.qemu_args(),
        }
    }

    fn disks(&mut self) -> Vec<GuestDisk> {
        let root = self.root;
        let mut disks: Vec<GuestDisk> = Vec::new();
        for pair in self.map("guest.disks") {
            let key = format!("guest.disks.{}", pair.name);
            if self.judged(pair.key_at, &key, disk_name(&pair.name)).is_none() {
                continue;
            }
            let Raw::Text(text) = &pair.value else {
                let message = format!("must be a size or a file, not {}", shown(&pair.value));
                self.find(pair.value_at, &key, (message, format!("write {} = \"20G\"", pair.name)));
                continue;
            };
            let Some(wish) = self.judged(pair.value_at, &key, disk(text, root)) else { continue };
            let same = |other: &&GuestDisk| match (&wish, &other.wish) {
                (DiskWish::Image { path, write }, DiskWish::Image { path: other, write: too }) => {
                    path == other && (*write || *too)
                }
                _ => false,
            };
            if let Some(other) = disks.iter().find(same) {
                let message =
                    format!("{} is the disk {} too, and one of them is written", shown(&pair.value), other.name);
                self.find(pair.value_at, &key, (message, "keep one".to_owned()));
                continue;
            }
            if disks.len() == DISK_LIMIT {
                let problem = (format!("there are more than {DISK_LIMIT} disks"), "take some out".to_owned());
                self.find(pair.key_at, &key, problem);
                break;
            }
            disks.push(GuestDisk { name: pair.name, wish });
        }
        disks
    }

    fn forward(&mut self, network: Network) -> Vec<Forward> {
        let mut forward: Vec<Forward> = Vec::new();
        let at = self.take("guest.forward").map_or(0, |(at, _)| at);
        for pair in self.map("guest.forward") {
            let key = format!("guest.forward.{}", pair.name);
            if self.judged(pair.key_at, &key, values::name(&pair.name)).is_none() {
                continue;
            }
            let ports = match &pair.value {
                Raw::Text(text) if text == "auto" => {
                    self.judged(pair.value_at, &key, values::service(&pair.name)).map(|port| (None, port))
                }
                Raw::Text(text) if text.contains(':') => {
                    self.judged(pair.value_at, &key, two_ports(text)).map(|(host, guest)| (Some(host), guest))
                }
                Raw::Integer(_, Some(port @ 1..=65535)) => u16::try_from(*port).ok().map(|port| (None, port)),
                Raw::Integer(written, _) => {
                    self.find(pair.value_at, &key, (format!("{written} is not a port"), "use 1 to 65535".to_owned()));
                    None
                }
                other => {
                    let message =
                        format!("must be \"auto\", the guest's port, or \"host:guest\", not {}", shown(other));
                    self.find(pair.value_at, &key, (message, format!("write {} = 8080", pair.name)));
                    None
                }
            };
            let Some((host_port, guest_port)) = ports else { continue };
            if let Some(other) = forward.iter().find(|other| other.guest_port == guest_port) {
                let message = format!("port {guest_port} is forwarded as {} too", other.name);
                self.find(pair.value_at, key, (message, "keep one".to_owned()));
                continue;
            }
            if let Some(other) = forward.iter().find(|it| host_port.is_some() && it.host_port == host_port) {
                let message = format!("this machine's port {} leads to {} too", host_port.unwrap_or(0), other.name);
                self.find(pair.value_at, key, (message, "choose another one".to_owned()));
                continue;
            }
            forward.push(Forward { name: pair.name, guest_port, host_port });
        }
        if network == Network::None && !forward.is_empty() {
            let message = "there is nothing to forward: network is \"none\"".to_owned();
            self.find(at, "guest.forward", (message, "remove one of the two".to_owned()));
            forward.clear();
        }
        forward
    }

    fn qemu_args(&mut self) -> Vec<String> {
        let words = self.list("guest.qemu_args", qemu_words::word);
        let Some(problem) = qemu_words::refused(&words) else { return words };
        let at = self.take("guest.qemu_args").map_or(0, |(at, _)| at);
        self.find(at, "guest.qemu_args", problem);
        Vec::new()
    }
}

fn disk_name(name: &str) -> Result<(), Problem> {
    values::name(name)?;
    if name.len() > DISK_NAME_LIMIT {
        let message =
            format!("the name of a disk has at most {DISK_NAME_LIMIT} characters, this one has {}", name.len());
        return Err((message, "it is its serial number in the guest; shorten it".to_owned()));
    }
    let ours = name == "disk" || name.strip_prefix("layer").is_some_and(|rest| rest.parse::<u32>().is_ok());
    if ours {
        return Err((format!("{name:?} is what a disk of ours is called"), "choose another name".to_owned()));
    }
    Ok(())
}

/// Reads `20G`, `20G keep`, `a/file.qcow2` or `a/file.qcow2 write`. What could be both is a size; `./20G` is a file.
fn disk(text: &str, root: &Path) -> Result<DiskWish, Problem> {
    let text = text.trim();
    let (first, last) = text.rsplit_once(' ').map_or((text, ""), |(first, last)| (first.trim_end(), last));
    let empty = |size: &str, keep| values::size(size, DISK).map(|bytes| DiskWish::Empty { bytes, keep });
    let image = |path: &str, write| Ok(DiskWish::Image { path: values::host_path(path, root)?, write });
    let is_size = |text: &str| values::parse_size(text).is_some();
    match last {
        _ if is_size(text) => empty(text, false),
        "keep" if is_size(first) => empty(first, true),
        "keep" => Err((
            format!("{first:?} is a file, and is kept anyway"),
            format!("write \"{first}\" or \"{first} write\"; or a size, like \"20G keep\""),
        )),
        "write" if is_size(first) => Err((
            format!("{text:?}: an empty disk can be written anyway"),
            format!("write \"{first}\" or \"{first} keep\""),
        )),
        "write" => image(first, true),
        // A number is seldom a file's name: a unit was forgotten or misspelt.
        _ if text.starts_with(|c: char| c.is_ascii_digit()) && !text.contains(['.', '/']) => empty(text, false)
            .map_err(|(message, advice)| (message, format!("{advice}; a file is written \"./{text}\""))),
        _ => image(text, false),
    }
}

/// Reads `8080:80`: the host's port and the guest's.
fn two_ports(text: &str) -> Result<(u16, u16), Problem> {
    let port = |text: &str| text.trim().parse::<u16>().ok().filter(|port| *port > 0);
    match text.split_once(':').map(|(host, guest)| (port(host), port(guest))) {
        Some((Some(host), Some(guest))) => Ok((host, guest)),
        _ => Err((
            format!("{text:?} is not two ports"),
            "write this machine's port and the guest's, 1 to 65535, like \"8080:80\"".to_owned(),
        )),
    }
}

/// Reads `1d6b:0002`, as lsusb shows it.
fn usb_device(text: &str) -> Result<UsbDevice, Problem> {
    let four = |text: &str| {
        let good = text.len() == 4 && text.chars().all(|c| c.is_ascii_hexdigit());
        good.then(|| u16::from_str_radix(text, 16).ok()).flatten()
    };
    match text.trim().split_once(':').map(|(vendor, product)| (four(vendor), four(product))) {
        Some((Some(vendor), Some(product))) => Ok(UsbDevice { vendor, product }),
        _ => Err((
            format!("{text:?} is not a USB device"),
            "write vendor:product as lsusb shows it, like \"1d6b:0002\"".to_owned(),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disks_are_sizes_or_files() {
        let root = Path::new("/r");
        let empty = |gib: u64, keep| Ok(DiskWish::Empty { bytes: gib << 30, keep });
        let image = |path: &str, write| Ok(DiskWish::Image { path: path.into(), write });
        assert_eq!(disk("20G", root), empty(20, false));
        assert_eq!(disk(" 20 gib ", root), empty(20, false));
        assert_eq!(disk("20G  keep", root), empty(20, true));
        assert_eq!(disk("a.qcow2", root), image("/r/a.qcow2", false));
        assert_eq!(disk("../my disks/a b.img write", root), image("/my disks/a b.img", true));
        assert_eq!(disk("./20G", root), image("/r/20G", false));
        assert_eq!(disk("keep", root), image("/r/keep", false));
        for bad in ["", "20", "20 gigs", "1K", "a.img keep", "20G write", "~/a.img", "80T"] {
            assert!(disk(bad, root).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn ports_and_usb_devices() {
        assert_eq!(two_ports("8080:80"), Ok((8080, 80)));
        for bad in ["0:80", "80:0", "70000:1", ":", "a:1", "1:2:3", "80:"] {
            assert!(two_ports(bad).is_err(), "{bad}");
        }
        assert_eq!(usb_device("1D6b:0002"), Ok(UsbDevice { vendor: 0x1d6b, product: 2 }));
        for bad in ["", "1d6b", "1d6b:2", "1d6b:00021", "+d6b:0002", "1d6b:0002:1", "é234:1234"] {
            assert!(usb_device(bad).is_err(), "{bad}");
        }
    }
}
