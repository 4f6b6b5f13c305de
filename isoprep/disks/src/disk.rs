//! A disk: what it is, its partitions, and what uses them.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// A device's number, as `stat(2)` and `/sys/dev/block` have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct DeviceNumber {
    /// The driver's.
    pub major: u32,
    /// The device's.
    pub minor: u32,
}

impl DeviceNumber {
    /// Reads `8:16`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (major, minor) = text.trim().split_once(':')?;
        Some(Self { major: major.parse().ok()?, minor: minor.parse().ok()? })
    }
}

impl fmt::Display for DeviceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.major, self.minor)
    }
}

/// How a disk is attached, as far as that matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Bus {
    /// A stick, a card reader or a case on USB.
    Usb,
    /// An SD card in a slot of its own.
    Card,
    /// A disc drive, wherever it is.
    Optical,
    /// Nothing that can be held in a hand: loop, device mapper, memory.
    Virtual,
    /// Anything else: SATA, NVMe, virtio, soldered flash.
    Other,
}

/// A whole disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Disk {
    /// The kernel's name, for example `sdb`.
    pub name: String,
    /// Its number.
    pub number: DeviceNumber,
    /// The kernel's count of disks and media: another stick, or another card in the same reader, has another one (Linux 5.15).
    pub sequence: Option<u64>,
    /// Bytes; 0 without a medium.
    pub bytes: u64,
    /// Bytes of a logical block: what is written is a multiple of it.
    pub block: u32,
    /// Maker and model, as the disk says; may be empty.
    pub model: String,
    /// How it is attached.
    pub bus: Bus,
    /// Whether it, or its medium, is meant to be taken away.
    pub removable: bool,
    /// Whether it cannot be written to.
    pub read_only: bool,
    /// Its partitions.
    pub parts: Vec<Part>,
    /// What uses it or a part of it.
    pub uses: Vec<DiskUse>,
}

impl Disk {
    /// Its node, `/dev/NAME`.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        node(&self.name)
    }

    /// "SanDisk Ultra", or what it is where it says nothing.
    #[must_use]
    pub fn title(&self) -> &str {
        match (self.model.as_str(), self.bus) {
            ("", Bus::Usb) => "USB disk",
            ("", Bus::Card) => "SD card",
            ("", Bus::Optical) => "disc drive",
            ("", _) => "disk",
            (model, _) => model,
        }
    }
}

/// The node of a device by the kernel's name; in names that have a slash the kernel writes `!`.
pub(crate) fn node(name: &str) -> PathBuf {
    PathBuf::from("/dev").join(name.replace('!', "/"))
}

/// A partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Part {
    /// For example `sdb1`.
    pub name: String,
    /// Its number.
    pub number: DeviceNumber,
}

/// Something that uses a disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DiskUse {
    /// The disk or the partition that is used, or what stands on it: `sdb1`, `dm-0`.
    pub device: String,
    /// By what.
    #[serde(flatten)]
    pub by: UsedBy,
}

/// What uses it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "by", rename_all = "snake_case")]
pub enum UsedBy {
    /// A mounted file system.
    Mount {
        /// Where.
        at: PathBuf,
    },
    /// Swap.
    Swap,
    /// Another block device: LVM, encryption, RAID, a cache, a loop device.
    Holder {
        /// That device's name, with what it is called where that is known: `dm-0 (vg-home)`.
        device: String,
    },
}

/// A size as it is printed on disks: "15.5 GB", with a factor of 1000.
#[must_use]
#[allow(clippy::cast_precision_loss, reason = "for people")]
pub fn label_size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    let mut value = bytes as f64 / 1000.0;
    let mut unit = 0;
    while value >= 999.95 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    if bytes < 1000 { format!("{bytes} B") } else { format!("{value:.1} {}", UNITS[unit]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_as_on_the_label() {
        let said = [0, 999, 1000, 1_474_560, 15_502_147_584, 999_960_000, 2_000_398_934_016].map(label_size);
        assert_eq!(said, ["0 B", "999 B", "1.0 kB", "1.5 MB", "15.5 GB", "1.0 GB", "2.0 TB"]);
        assert!(label_size(u64::MAX).ends_with(" TB"));
    }

    #[test]
    fn numbers_are_read_and_shown() {
        assert_eq!(DeviceNumber::parse("8:16\n").map(|it| it.to_string()).as_deref(), Some("8:16"));
        for bad in ["", "8", "8:", ":1", "8:x", "-1:0", "4294967296:0"] {
            assert_eq!(DeviceNumber::parse(bad), None, "{bad}");
        }
    }
}
