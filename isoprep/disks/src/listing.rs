//! From what the kernel says to disks with what uses them. Pure.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::disk::{Bus, DeviceNumber, Disk, DiskUse, Part, UsedBy, node};
use crate::facts::BlockFacts;
use crate::mounts::Mount;

/// `size` counts these, whatever a disk's block is (`Documentation/ABI/stable/sysfs-block`).
const SECTOR: u64 = 512;
/// SCSI's number for disc drives (`include/scsi/scsi_proto.h`, `TYPE_ROM`).
const DISC_DRIVE: &str = "5";

/// The whole disks among `blocks`, by name, each with what uses it.
#[must_use]
pub fn disks(blocks: &[BlockFacts], mounts: &[Mount], swaps: &[PathBuf]) -> Vec<Disk> {
    let mut disks: Vec<Disk> =
        blocks.iter().filter(|it| it.partition.is_empty()).filter_map(|it| disk(it, blocks, mounts, swaps)).collect();
    disks.sort_by(|a, b| (a.name.len(), &a.name).cmp(&(b.name.len(), &b.name)));
    disks
}

/// The disk that a partition is of.
#[must_use]
pub fn whole(part: &BlockFacts) -> Option<&str> {
    if part.partition.is_empty() {
        return None;
    }
    part.link.rsplit('/').nth(1)
}

fn disk(facts: &BlockFacts, blocks: &[BlockFacts], mounts: &[Mount], swaps: &[PathBuf]) -> Option<Disk> {
    let bus = bus(facts);
    let parts: Vec<&BlockFacts> = blocks.iter().filter(|it| whole(it) == Some(&facts.name)).collect();
    let said = [facts.vendor.trim(), facts.model.trim()];
    // Of virtio disks the vendor is a number.
    let model = said.into_iter().filter(|it| !it.is_empty() && !it.starts_with("0x")).collect::<Vec<_>>().join(" ");
    Some(Disk {
        name: facts.name.clone(),
        number: DeviceNumber::parse(&facts.dev)?,
        sequence: facts.diskseq.trim().parse().ok(),
        bytes: facts.size.trim().parse::<u64>().ok()?.checked_mul(SECTOR)?,
        block: facts.block.trim().parse().ok().filter(|it: &u32| it.is_power_of_two()).unwrap_or(SECTOR as u32),
        model,
        bus,
        removable: match bus {
            // A case with a disk in it says that its medium stays: the whole case is what is taken away.
            Bus::Usb | Bus::Card => true,
            // Of SATA the kernel says that of every disk in a bay that may be plugged, which many boards claim of all.
            Bus::Virtual | Bus::Other => false,
            Bus::Optical => facts.removable.trim() == "1",
        },
        read_only: facts.ro.trim() == "1",
        parts: (parts.iter())
            .filter_map(|it| Some(Part { name: it.name.clone(), number: DeviceNumber::parse(&it.dev)? }))
            .collect(),
        uses: uses(facts, &parts, blocks, mounts, swaps),
    })
}

fn bus(facts: &BlockFacts) -> Bus {
    let mut way = facts.link.split('/').filter(|it| !matches!(*it, "" | "." | ".."));
    if way.clone().nth(1) == Some("virtual") {
        return Bus::Virtual;
    }
    if facts.kind.trim() == DISC_DRIVE || facts.name.starts_with("sr") {
        return Bus::Optical;
    }
    let numbered = |it: &str, word: &str| {
        it.strip_prefix(word).is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit()))
    };
    // `usb1` is a controller's root hub: all of USB is below one.
    if way.any(|it| numbered(it, "usb")) {
        return Bus::Usb;
    }
    // Soldered flash is a card to the kernel as well, of the kind "MMC".
    if facts.name.starts_with("mmcblk") && facts.kind.trim() == "SD" { Bus::Card } else { Bus::Other }
}

/// What uses the disk, its partitions, and whatever stands on those.
fn uses(
    facts: &BlockFacts,
    parts: &[&BlockFacts],
    blocks: &[BlockFacts],
    mounts: &[Mount],
    swaps: &[PathBuf],
) -> Vec<DiskUse> {
    let mut found = Vec::new();
    let mut seen: BTreeSet<&str> = BTreeSet::new();
    let mut waiting: Vec<&BlockFacts> = parts.iter().rev().copied().chain([facts]).collect();
    while let Some(device) = waiting.pop() {
        if !seen.insert(&device.name) {
            continue;
        }
        let mut add = |by| found.push(DiskUse { device: device.name.clone(), by });
        let own = node(&device.name);
        let called = |path: &Path| {
            path == own
                || (!device.mapped.trim().is_empty() && path == Path::new("/dev/mapper").join(device.mapped.trim()))
        };
        let number = DeviceNumber::parse(&device.dev);
        for mount in mounts.iter().filter(|it| Some(it.device) == number || called(&it.source)) {
            add(UsedBy::Mount { at: mount.point.clone() });
        }
        if swaps.iter().any(|it| called(it)) {
            add(UsedBy::Swap);
        }
        let on = blocks
            .iter()
            .filter(|it| device.holders.contains(&it.name) || called(Path::new(it.backing.trim_end_matches('\n'))));
        for holder in on {
            let named = match holder.mapped.trim() {
                "" => holder.name.clone(),
                mapped => format!("{} ({mapped})", holder.name),
            };
            add(UsedBy::Holder { device: named });
            // What stands on its partitions stands on it too.
            waiting.push(holder);
            waiting.extend(blocks.iter().filter(|it| whole(it) == Some(&holder.name)));
        }
        for name in device.holders.iter().filter(|name| !blocks.iter().any(|it| it.name == **name)) {
            add(UsedBy::Holder { device: name.clone() });
        }
    }
    found
}

#[cfg(test)]
#[path = "listing_tests.rs"]
mod tests;
