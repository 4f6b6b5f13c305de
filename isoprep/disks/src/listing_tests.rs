use proptest::prelude::*;

use super::*;
use crate::mounts;

fn facts(name: &str, link: &str, dev: &str, size: &str) -> BlockFacts {
    BlockFacts {
        name: name.into(),
        link: format!("../../devices/{link}"),
        dev: format!("{dev}\n"),
        size: format!("{size}\n"),
        ro: "0\n".into(),
        removable: "0\n".into(),
        diskseq: "7\n".into(),
        block: "512\n".into(),
        ..BlockFacts::default()
    }
}

const USB: &str = "pci0000:00/0000:00:14.0/usb2/2-1/2-1:1.0/host6/target6:0:0/6:0:0:0/block";
const SATA: &str = "pci0000:00/0000:00:17.0/ata1/host0/target0:0:0/0:0:0:0/block";

fn part(of: &BlockFacts, number: u32, dev: &str) -> BlockFacts {
    let name = format!("{}{number}", of.name);
    let link = format!("{}/{name}", of.link.trim_start_matches("../../devices/"));
    BlockFacts { partition: format!("{number}\n"), ..facts(&name, &link, dev, "1000") }
}

fn stick() -> BlockFacts {
    BlockFacts {
        removable: "1\n".into(),
        vendor: "SanDisk ".into(),
        model: "Ultra           \n".into(),
        ..facts("sdb", &format!("{USB}/sdb"), "8:16", "30277632")
    }
}

fn said(disk: &Disk) -> Vec<String> {
    let one = |it: &DiskUse| match &it.by {
        UsedBy::Mount { at } => format!("{} at {}", it.device, at.display()),
        UsedBy::Swap => format!("{} swap", it.device),
        UsedBy::Holder { device } => format!("{} under {device}", it.device),
    };
    disk.uses.iter().map(one).collect()
}

#[test]
fn a_stick_is_seen_with_its_partitions_and_mounts() {
    let disk = stick();
    let blocks = [part(&disk, 2, "8:18"), part(&disk, 1, "8:17"), disk];
    let table = mounts::mounts(b"41 22 8:17 / /media/a\\040b rw - vfat /dev/sdb1 rw\n").unwrap();
    let [it] = &disks(&blocks, &table, &[])[..] else { panic!("one disk") };
    assert_eq!((it.title(), it.bytes, it.block, it.sequence), ("SanDisk Ultra", 15_502_147_584, 512, Some(7)));
    assert_eq!((it.bus, it.removable, it.read_only, it.parts.len()), (Bus::Usb, true, false, 2));
    assert_eq!(it.path(), Path::new("/dev/sdb"));
    assert_eq!(said(it), ["sdb1 at /media/a b"]);
}

#[test]
fn what_stands_on_a_partition_uses_the_disk_however_deep() {
    let disk = facts("sda", &format!("{SATA}/sda"), "8:0", "1000000");
    let mut crypt_on = part(&disk, 3, "8:3");
    crypt_on.holders = vec!["dm-0".into()];
    let mut crypt = facts("dm-0", "virtual/block/dm-0", "253:0", "9");
    (crypt.mapped, crypt.holders) = ("luks-1\n".into(), vec!["dm-1".into(), "dm-2".into()]);
    let mut root = facts("dm-1", "virtual/block/dm-1", "253:1", "9");
    root.mapped = "vg-root\n".into();
    let mut swap = facts("dm-2", "virtual/block/dm-2", "253:2", "9");
    swap.mapped = "vg-swap\n".into();
    let blocks = [disk, part(&facts("sda", &format!("{SATA}/sda"), "8:0", "1"), 2, "8:2"), crypt_on, crypt, root, swap];
    let table = mounts::mounts(
        b"22 1 253:1 / / rw - ext4 /dev/mapper/vg-root rw\n41 22 0:40 /@ /home rw - btrfs /dev/sda2 rw\n",
    )
    .unwrap();
    let all = disks(&blocks, &table, &["/dev/dm-2".into()]);
    let expected = [
        "sda2 at /home",
        "sda3 under dm-0 (luks-1)",
        "dm-0 under dm-1 (vg-root)",
        "dm-0 under dm-2 (vg-swap)",
        "dm-2 swap",
        "dm-1 at /",
    ];
    assert_eq!(said(&all[0]), expected);
    assert!(all[1..].iter().all(|it| it.bus == Bus::Virtual && !it.removable), "{all:?}");
}

#[test]
fn loop_devices_and_their_partitions_use_the_disk_that_they_show() {
    let disk = stick();
    let mut shown = facts("loop0", "virtual/block/loop0", "7:0", "9");
    shown.backing = "/dev/sdb\n".into();
    let on = BlockFacts { name: "loop0p1".into(), ..part(&shown, 1, "259:0") };
    let mut other = facts("loop1", "virtual/block/loop1", "7:1", "9");
    other.backing = "/home/me/sdb\n".into();
    let table = mounts::mounts(b"41 22 259:0 / /mnt rw - ext4 /dev/loop0p1 rw\n").unwrap();
    let all = disks(&[disk, shown, on, other], &table, &[]);
    let it = all.iter().find(|it| it.name == "sdb").unwrap();
    assert_eq!(said(it), ["sdb under loop0", "loop0p1 at /mnt"]);
}

#[test]
fn a_holder_that_is_not_listed_counts_and_a_ring_of_them_ends() {
    let mut disk = stick();
    disk.holders = vec!["bcache0".into(), "sdb".into()];
    let all = disks(&[disk], &[], &[]);
    assert_eq!(said(&all[0]), ["sdb under sdb", "sdb under bcache0"]);
}

#[test]
fn who_is_on_which_bus() {
    let mut reader = facts("sdc", &format!("{USB}/sdc"), "8:32", "0");
    reader.removable = "1".into();
    let mut drive = facts("sr0", &format!("{SATA}/sr0"), "11:0", "2097151");
    (drive.kind, drive.removable) = ("5\n".into(), "1".into());
    let mut card = facts("mmcblk0", "platform/mmc_host/mmc0/mmc0:aaaa/block/mmcblk0", "179:0", "62333952");
    card.kind = "SD\n".into();
    let mut soldered = facts("mmcblk1", "platform/mmc_host/mmc1/mmc1:0001/block/mmcblk1", "179:8", "62333952");
    soldered.kind = "MMC\n".into();
    let case = facts("sdd", &format!("{USB}/sdd"), "8:48", "1953525168");
    let disk = facts("nvme0n1", "pci0000:00/0000:00:1d.0/nvme/nvme0/nvme0n1", "259:0", "500118192");
    let mut guest = facts("vda", "pci0000:00/0000:00:04.0/virtio1/block/vda", "254:0", "9");
    guest.vendor = "0x1af4\n".into();
    assert_eq!(disks(&[guest], &[], &[])[0].title(), "disk");
    // A folder of that name is no bus.
    let odd = facts("sde", "pci0000:00/usbless/usb/block/sde", "8:64", "9");
    // In a bay that may be plugged.
    let mut bay = facts("sdf", &format!("{SATA}/sdf"), "8:80", "1953525168");
    bay.removable = "1".into();
    let all = disks(&[reader, drive, card, soldered, case, disk, odd, bay], &[], &[]);
    let rows: Vec<_> = all.iter().map(|it| (it.name.as_str(), it.bus, it.removable)).collect();
    let expected = [
        ("sdc", Bus::Usb, true),
        ("sdd", Bus::Usb, true),
        ("sde", Bus::Other, false),
        ("sdf", Bus::Other, false),
        ("sr0", Bus::Optical, true),
        ("mmcblk0", Bus::Card, true),
        ("mmcblk1", Bus::Other, false),
        ("nvme0n1", Bus::Other, false),
    ];
    assert_eq!(rows, expected);
}

proptest! {
    #[test]
    fn any_facts_are_read_without_a_panic(words in prop::collection::vec("[0-9a-z/:!\\n]{0,12}", 12), holders in prop::collection::vec("[ab]", 0..3)) {
        let one = BlockFacts {
            name: words[0].clone(), link: words[1].clone(), dev: words[2].clone(), size: words[3].clone(),
            ro: words[4].clone(), removable: words[5].clone(), diskseq: words[6].clone(), block: words[7].clone(),
            partition: words[8].clone(), vendor: String::new(), model: words[9].clone(), kind: words[10].clone(),
            holders: holders.clone(), mapped: words[11].clone(), backing: words[0].clone(),
        };
        let other = BlockFacts { name: "a".into(), holders, ..one.clone() };
        let _ = disks(&[one, other], &[], &[PathBuf::from("/dev/a")]);
    }
}
