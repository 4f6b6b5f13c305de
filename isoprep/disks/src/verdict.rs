//! Why a disk is not written to. Pure.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::disk::{Bus, Disk, UsedBy, label_size};

/// Which disks may be written to at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub enum Policy {
    /// What can be taken away: sticks, cards, cases on USB. What the program does, always.
    #[default]
    Removable,
    /// Built in and virtual disks too, loop devices for example. For tests and for those who build on this library: no front
    /// end of ours can ask for it. What is in use is refused all the same.
    Any,
}

/// Why a disk is not written to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(tag = "why", rename_all = "snake_case")]
pub enum Refusal {
    /// The running system needs it.
    #[error("the running system is on it ({device} is {})", at.display())]
    System {
        /// The disk, or a part of it.
        device: String,
        /// What of the system.
        at: PathBuf,
    },
    /// Something of it is mounted.
    #[error("{device} is mounted at {}", at.display())]
    Mounted {
        /// The disk, or a part of it.
        device: String,
        /// Where.
        at: PathBuf,
    },
    /// Something of it is swap.
    #[error("{device} is used as swap")]
    Swap {
        /// The disk, or a part of it.
        device: String,
    },
    /// Another block device stands on it.
    #[error("{device} is used by {holder}")]
    Held {
        /// The disk, or a part of it.
        device: String,
        /// What stands on it.
        holder: String,
    },
    /// It is a part of a disk.
    #[error("{name} is a partition of {disk}, not a whole disk")]
    Partition {
        /// The partition.
        name: String,
        /// Its disk.
        disk: String,
    },
    /// It is a disc drive.
    #[error("it is a disc drive")]
    Optical,
    /// It is no piece of hardware.
    #[error("it is a virtual device")]
    Virtual,
    /// It is not meant to be taken away.
    #[error("it is built in")]
    BuiltIn,
    /// There is nothing in it.
    #[error("there is no medium in it")]
    NoMedium,
    /// It cannot be written to.
    #[error("it is write-protected")]
    ReadOnly,
    /// The image is larger.
    #[error("it is too small: {} where {} are needed", label_size(*bytes), label_size(*needed))]
    TooSmall {
        /// Its size.
        bytes: u64,
        /// The image's.
        needed: u64,
    },
}

impl Refusal {
    /// What to do next, as an order.
    #[must_use]
    pub fn advice(&self) -> String {
        match self {
            Self::System { .. } | Self::BuiltIn | Self::Optical | Self::Virtual => {
                "Choose a USB stick or an SD card".into()
            }
            Self::Mounted { device, .. } => format!("Unmount it first: udisksctl unmount -b /dev/{device}"),
            Self::Swap { device } => format!("Switch it off first: sudo swapoff /dev/{device}"),
            Self::Held { holder, .. } => {
                let name = holder.split(' ').next().unwrap_or(holder);
                format!("Close {name} first; lsblk shows what it is")
            }
            Self::Partition { disk, .. } => format!("Name the whole disk: /dev/{disk}"),
            Self::NoMedium => "Put a card into it, or choose another disk".into(),
            Self::ReadOnly => "Move the switch at its side, if it has one, or choose another disk".into(),
            Self::TooSmall { .. } => "Choose a larger one".into(),
        }
    }
}

/// Where what is mounted makes a disk the system's; live systems are started from one that is mounted below `/run`, or at
/// `/cdrom`.
const SYSTEM: &[&str] = &[
    "/",
    "/boot",
    "/boot/efi",
    "/efi",
    "/usr",
    "/var",
    "/home",
    "/cdrom",
    "/run/archiso/bootmnt",
    "/run/live/medium",
    "/run/initramfs/live",
];

/// Whether `disk` may be written to with `needed` bytes; the worst reason if it may not.
///
/// # Errors
/// [`Refusal`], always the same for the same disk.
pub fn verdict(disk: &Disk, needed: u64, policy: Policy) -> Result<(), Refusal> {
    let mounts = disk.uses.iter().filter_map(|it| match &it.by {
        UsedBy::Mount { at } => Some((it.device.clone(), at.clone())),
        _ => None,
    });
    let system = |at: &Path| SYSTEM.iter().position(|it| Path::new(it) == at);
    if let Some((device, at)) = mounts.clone().filter(|it| system(&it.1).is_some()).min_by_key(|it| system(&it.1)) {
        return Err(Refusal::System { device, at });
    }
    if let Some((device, at)) = mounts.clone().next() {
        return Err(Refusal::Mounted { device, at });
    }
    for it in &disk.uses {
        match &it.by {
            UsedBy::Swap => return Err(Refusal::Swap { device: it.device.clone() }),
            UsedBy::Holder { device } => {
                return Err(Refusal::Held { device: it.device.clone(), holder: device.clone() });
            }
            UsedBy::Mount { .. } => {}
        }
    }
    match disk.bus {
        Bus::Optical => return Err(Refusal::Optical),
        Bus::Virtual if policy != Policy::Any => return Err(Refusal::Virtual),
        _ if !disk.removable && policy != Policy::Any => return Err(Refusal::BuiltIn),
        _ => {}
    }
    if disk.bytes == 0 {
        return Err(Refusal::NoMedium);
    }
    if disk.read_only {
        return Err(Refusal::ReadOnly);
    }
    if disk.bytes < needed {
        return Err(Refusal::TooSmall { bytes: disk.bytes, needed });
    }
    Ok(())
}

/// The disk of that name, or of that node; a partition is refused with the disk that it is of. `None` if there is neither.
#[must_use]
pub fn named<'a>(disks: &'a [Disk], name: &str) -> Option<Result<&'a Disk, Refusal>> {
    let node = crate::disk::node(name);
    if let Some(disk) = disks.iter().find(|it| it.path() == node) {
        return Some(Ok(disk));
    }
    let of = disks.iter().find(|it| it.parts.iter().any(|part| crate::disk::node(&part.name) == node))?;
    let name = node.strip_prefix("/dev").unwrap_or(&node).display().to_string();
    Some(Err(Refusal::Partition { name, disk: of.name.clone() }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::disk::{DeviceNumber, DiskUse};

    fn stick() -> Disk {
        Disk {
            name: "sdb".into(),
            number: DeviceNumber { major: 8, minor: 16 },
            sequence: None,
            bytes: 8_000_000_000,
            block: 512,
            model: String::new(),
            bus: Bus::Usb,
            removable: true,
            read_only: false,
            parts: vec![],
            uses: vec![],
        }
    }

    fn used(device: &str, by: UsedBy) -> DiskUse {
        DiskUse { device: device.into(), by }
    }

    fn at(device: &str, at: &str) -> DiskUse {
        used(device, UsedBy::Mount { at: at.into() })
    }

    #[test]
    fn disks_are_named_by_name_or_node_and_partitions_refused() {
        let part = crate::disk::Part { name: "sdb1".into(), number: DeviceNumber { major: 8, minor: 17 } };
        let disks = [Disk { parts: vec![part], ..stick() }];
        for name in ["sdb", "/dev/sdb"] {
            assert_eq!(named(&disks, name), Some(Ok(&disks[0])), "{name}");
        }
        for name in ["sdb1", "/dev/sdb1"] {
            let refusal = named(&disks, name).unwrap().unwrap_err();
            assert_eq!(refusal.to_string(), "sdb1 is a partition of sdb, not a whole disk");
            assert_eq!(refusal.advice(), "Name the whole disk: /dev/sdb");
        }
        for name in ["", "/", "sd", "/dev", "../sdb", "/sdb"] {
            assert_eq!(named(&disks, name), None, "{name}");
        }
    }

    #[test]
    fn a_free_stick_is_taken() {
        assert_eq!(verdict(&stick(), 8_000_000_000, Policy::Removable), Ok(()));
    }

    #[test]
    fn each_reason_is_given_and_the_worst_first() {
        let swap = used("sdb2", UsedBy::Swap);
        let held = used("sdb3", UsedBy::Holder { device: "dm-0 (luks-1)".into() });
        let mut disk = Disk { bytes: 7, read_only: true, removable: false, bus: Bus::Other, ..stick() };
        disk.uses = vec![held, swap, at("sdb1", "/media/x"), at("sdb5", "/home"), at("dm-1", "/")];
        let mut said = Vec::new();
        let mut see = |disk: &Disk| {
            let refusal = verdict(disk, 8, Policy::Removable).unwrap_err();
            said.push(format!("{refusal}. {}", refusal.advice()));
        };
        see(&disk);
        disk.uses.truncate(3);
        see(&disk);
        disk.uses.remove(2);
        see(&disk);
        disk.uses.remove(0);
        see(&disk);
        disk.uses.clear();
        see(&disk);
        disk.removable = true;
        see(&disk);
        disk.read_only = false;
        see(&disk);
        disk.bytes = 0;
        see(&disk);
        disk.bus = Bus::Optical;
        see(&disk);
        disk.bus = Bus::Virtual;
        see(&disk);
        let expected = [
            "the running system is on it (dm-1 is /). Choose a USB stick or an SD card",
            "sdb1 is mounted at /media/x. Unmount it first: udisksctl unmount -b /dev/sdb1",
            "sdb3 is used by dm-0 (luks-1). Close dm-0 first; lsblk shows what it is",
            "sdb2 is used as swap. Switch it off first: sudo swapoff /dev/sdb2",
            "it is built in. Choose a USB stick or an SD card",
            "it is write-protected. Move the switch at its side, if it has one, or choose another disk",
            "it is too small: 7 B where 8 B are needed. Choose a larger one",
            "there is no medium in it. Put a card into it, or choose another disk",
            "it is a disc drive. Choose a USB stick or an SD card",
            "it is a virtual device. Choose a USB stick or an SD card",
        ];
        assert_eq!(said, expected);
    }

    proptest! {
        /// Whatever else holds: nothing in use, too small, empty or write-protected is ever taken, by whatever policy.
        #[test]
        fn what_is_in_use_is_never_taken(
            bytes in 0_u64..4, needed in 0_u64..4, read_only: bool, removable: bool, bus in 0..5, uses in 0..4, any: bool,
        ) {
            let buses = [Bus::Usb, Bus::Card, Bus::Optical, Bus::Virtual, Bus::Other];
            let all = [at("sdb1", "/x"), used("sdb", UsedBy::Swap), used("sdb2", UsedBy::Holder { device: "md0".into() })];
            let uses: Vec<_> = all.into_iter().take(usize::try_from(uses).unwrap()).collect();
            let bus = buses[usize::try_from(bus).unwrap()];
            let disk = Disk { bytes, read_only, removable, bus, uses, ..stick() };
            let policy = if any { Policy::Any } else { Policy::Removable };
            if verdict(&disk, needed, policy).is_ok() {
                prop_assert!(disk.uses.is_empty() && bytes > 0 && bytes >= needed && !read_only && bus != Bus::Optical);
                prop_assert!(any || (removable && bus != Bus::Virtual));
            } else {
                prop_assert!(!disk.uses.is_empty() || bytes == 0 || bytes < needed || read_only || !any || bus == Bus::Optical);
            }
        }
    }
}
