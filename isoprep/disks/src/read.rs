//! Reads what the kernel says of its block devices: the one place here that looks at `/sys` and `/proc`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::disk::Disk;
use crate::facts::BlockFacts;
use crate::{listing, mounts};

/// Where the kernel's trees are: the real ones, or copies for a test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tree {
    /// `/sys`.
    pub sys: PathBuf,
    /// `/proc`.
    pub proc: PathBuf,
}

impl Default for Tree {
    fn default() -> Self {
        Self { sys: "/sys".into(), proc: "/proc".into() }
    }
}

impl Tree {
    /// The kernel's name of the device with that number, if there is one now.
    #[must_use]
    pub fn name_of(&self, number: crate::DeviceNumber) -> Option<String> {
        let link = fs::read_link(self.sys.join(format!("dev/block/{number}"))).ok()?;
        Some(link.file_name()?.to_str()?.to_owned())
    }
}

/// The disks that there are now, with what uses them.
///
/// # Errors
/// A tree or a table cannot be read, or a table has a line that is none: then it is not known what uses which disk.
pub fn scan(tree: &Tree) -> io::Result<Vec<Disk>> {
    let told = |path: &Path| {
        let path = path.to_owned();
        move |error: io::Error| io::Error::new(error.kind(), format!("{} cannot be read: {error}", path.display()))
    };
    let dir = tree.sys.join("class/block");
    let mut blocks = Vec::new();
    for entry in fs::read_dir(&dir).map_err(told(&dir))? {
        blocks.extend(facts(&entry.map_err(told(&dir))?.path()));
    }
    let table = tree.proc.join("self/mountinfo");
    let mut mounts =
        mounts::mounts(&fs::read(&table).map_err(told(&table))?).map_err(|it| io::Error::other(it.to_string()))?;
    for mount in &mut mounts {
        // Whoever mounted it may have used another name of the node: /dev/disk/by-uuid/….
        if mount.source.starts_with("/dev")
            && let Ok(node) = fs::canonicalize(&mount.source)
        {
            mount.source = node;
        }
    }
    let table = tree.proc.join("swaps");
    let swaps = match fs::read(&table) {
        Ok(text) => mounts::swaps(&text).map_err(|it| io::Error::other(it.to_string()))?,
        // A kernel without swap has no such file.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(told(&table)(error)),
    };
    Ok(listing::disks(&blocks, &mounts, &swaps))
}

/// What is said of one device; `None` if it has gone meanwhile.
fn facts(dir: &Path) -> Option<BlockFacts> {
    // A file that is not there is as good as an empty one: which there are differs from device to device.
    let text = |name: &str| fs::read_to_string(dir.join(name)).unwrap_or_default();
    let first = |names: [&str; 2]| names.into_iter().map(text).find(|it| !it.is_empty()).unwrap_or_default();
    let link = fs::read_link(dir).ok()?.to_str()?.to_owned();
    let holders = fs::read_dir(dir.join("holders")).into_iter().flatten().flatten();
    Some(BlockFacts {
        name: dir.file_name()?.to_str()?.to_owned(),
        link,
        dev: text("dev"),
        size: text("size"),
        ro: text("ro"),
        removable: text("removable"),
        diskseq: text("diskseq"),
        block: text("queue/logical_block_size"),
        partition: text("partition"),
        vendor: text("device/vendor"),
        model: first(["device/model", "device/name"]),
        kind: text("device/type"),
        holders: holders.filter_map(|it| it.file_name().into_string().ok()).collect(),
        mapped: text("dm/name"),
        backing: text("loop/backing_file"),
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::{Bus, UsedBy};

    /// A tree as the kernel has it for one stick with one partition.
    fn tree(top: &Path) -> Tree {
        let file = |path: &str, text: &str| {
            let path = top.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let place = "sys/devices/pci0000:00/usb1/1-1/host2/target2:0:0/2:0:0:0";
        let disk = format!("{place}/block/sdb");
        for (name, text) in
            [("dev", "8:16\n"), ("size", "2048\n"), ("ro", "1\n"), ("removable", "1\n"), ("diskseq", "9\n")]
        {
            file(&format!("{disk}/{name}"), text);
        }
        file(&format!("{disk}/queue/logical_block_size"), "4096\n");
        file(&format!("{place}/model"), "Stick \n");
        file(&format!("{place}/type"), "0\n");
        symlink("../..", top.join(&disk).join("device")).unwrap();
        for (name, text) in [("dev", "8:17\n"), ("size", "100\n"), ("partition", "1\n"), ("holders/dm-7/x", "")] {
            file(&format!("{disk}/sdb1/{name}"), text);
        }
        fs::create_dir_all(top.join("sys/class/block")).unwrap();
        let link = |name: &str, to: &str| {
            symlink(format!("../../{}", to.trim_start_matches("sys/")), top.join("sys/class/block").join(name))
                .unwrap();
        };
        link("sdb", &disk);
        link("sdb1", &format!("{disk}/sdb1"));
        fs::create_dir_all(top.join("sys/dev/block")).unwrap();
        symlink(format!("../../{}", disk.trim_start_matches("sys/")), top.join("sys/dev/block/8:16")).unwrap();
        file("proc/self/mountinfo", "41 22 8:17 / /mnt rw - vfat /dev/sdb1 rw\n");
        file("proc/swaps", "Filename Type\n");
        Tree { sys: top.join("sys"), proc: top.join("proc") }
    }

    #[test]
    fn a_tree_is_read() {
        let top = tempfile::tempdir().unwrap();
        let tree = tree(top.path());
        let [it] = &scan(&tree).unwrap()[..] else { panic!("one disk") };
        assert_eq!((it.name.as_str(), it.title(), it.bytes, it.block), ("sdb", "Stick", 1_048_576, 4096));
        assert_eq!((it.bus, it.removable, it.read_only, it.sequence), (Bus::Usb, true, true, Some(9)));
        let uses: Vec<_> = it.uses.iter().map(|it| &it.by).collect();
        let expected = [UsedBy::Mount { at: "/mnt".into() }, UsedBy::Holder { device: "dm-7".into() }];
        assert_eq!(uses, expected.iter().collect::<Vec<_>>());
        assert_eq!(tree.name_of(it.number).as_deref(), Some("sdb"));
        assert_eq!(tree.name_of(crate::DeviceNumber { major: 8, minor: 17 }), None);
    }

    #[test]
    fn what_cannot_be_read_is_not_taken_for_nothing() {
        let top = tempfile::tempdir().unwrap();
        let tree = tree(top.path());
        fs::write(top.path().join("proc/self/mountinfo"), "nothing\n").unwrap();
        assert!(scan(&tree).unwrap_err().to_string().contains("line 1 of the mount table"));
        fs::remove_file(top.path().join("proc/self/mountinfo")).unwrap();
        assert!(scan(&tree).unwrap_err().to_string().contains("mountinfo cannot be read"));
        assert!(scan(&Tree { sys: "/nowhere".into(), ..tree }).unwrap_err().to_string().contains("/nowhere"));
    }

    #[test]
    fn this_host_is_read() {
        let disks = scan(&Tree::default()).unwrap();
        assert!(disks.iter().all(|it| !it.name.is_empty()), "{disks:?}");
    }
}
