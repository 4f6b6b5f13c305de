//! The mount table, `/proc/self/mountinfo` (proc(5)), read from a string of bytes.

use std::collections::HashSet;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// One line of the mount table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mount {
    /// Its id; used again after it is unmounted.
    pub id: u64,
    /// The id of the mount that it is on; of none in the table, if it is the first.
    pub parent: u64,
    /// The file system, `major:minor`: the same for all mounts of it.
    pub device: String,
    /// Which directory of the file system it shows.
    pub root: PathBuf,
    /// Where it is mounted, as this process sees it.
    pub point: PathBuf,
    /// The group of mounts that mounting and unmounting in it spreads to (`shared:N`).
    pub peers: Option<u64>,
    /// The group that mounting and unmounting in it comes from (`master:N`).
    pub master: Option<u64>,
    /// The file system: "ext4", "tmpfs".
    pub kind: String,
    /// What is mounted: a device, or a directory of it for a bind mount.
    pub source: String,
}

/// Where a directory lies, whatever the way to it is called, and in whatever mount namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The file system, `major:minor`.
    pub device: String,
    /// The path in the file system.
    pub path: PathBuf,
}

impl Place {
    /// Where `path` lies, which is on `mount`.
    pub(super) fn on(mount: &Mount, path: &Path) -> Option<Self> {
        let below = path.strip_prefix(&mount.point).ok()?;
        // Not `join` of nothing, which would end in a slash.
        let path = if below.as_os_str().is_empty() { mount.root.clone() } else { mount.root.join(below) };
        Some(Self { device: mount.device.clone(), path })
    }

    /// Where `mount` is mounted.
    pub(super) fn under(mount: &Mount, mounts: &[Mount]) -> Option<Self> {
        Self::on(mounts.iter().find(|parent| parent.id == mount.parent)?, &mount.point)
    }

    fn holds(&self, other: &Self) -> bool {
        self.below(other).is_some()
    }

    /// The way from here to what lies here or below; `None` for what lies elsewhere.
    pub(super) fn below<'a>(&self, other: &'a Self) -> Option<&'a Path> {
        (self.device == other.device).then(|| other.path.strip_prefix(&self.path).ok())?
    }
}

/// Why a mount table could not be read: the number of the line, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BadLine(pub usize);

/// Reads a mount table. A line that cannot be read makes the whole table unusable: it might be the one that counts.
pub(super) fn parse(table: &[u8]) -> Result<Vec<Mount>, BadLine> {
    let lines = table.split(|&byte| byte == b'\n').enumerate().filter(|(_, line)| !line.is_empty());
    lines.map(|(index, line)| mount(line).ok_or(BadLine(index + 1))).collect()
}

/// `36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue`
fn mount(line: &[u8]) -> Option<Mount> {
    let words: Vec<&[u8]> = line.split(|&byte| byte == b' ').collect();
    let id = std::str::from_utf8(words.first()?).ok()?.parse().ok()?;
    let parent = std::str::from_utf8(words.get(1)?).ok()?.parse().ok()?;
    let device = std::str::from_utf8(words.get(2)?).ok()?.to_owned();
    let root = path(words.get(3)?)?;
    let point = path(words.get(4)?).filter(|point| point.is_absolute())?;
    let dash = words.iter().skip(6).position(|word| *word == b"-")? + 6;
    let tags = words.get(6..dash)?;
    let tagged = |name: &[u8]| {
        tags.iter().find_map(|tag| std::str::from_utf8(tag.strip_prefix(name)?).ok()?.parse::<u64>().ok())
    };
    let (peers, master) = (tagged(b"shared:"), tagged(b"master:"));
    let kind = String::from_utf8_lossy(words.get(dash + 1)?).into_owned();
    let from = String::from_utf8_lossy(words.get(dash + 2)?);
    let source = if root == Path::new("/") { from.into_owned() } else { format!("{from}[{}]", root.display()) };
    Some(Mount { id, parent, device, root, point, peers, master, kind, source })
}

/// A path with the kernel's escapes undone: space, tab, newline and backslash are `\` and three octal digits.
fn path(word: &[u8]) -> Option<PathBuf> {
    let mut bytes = Vec::with_capacity(word.len());
    let mut rest = word;
    while let Some((&first, after)) = rest.split_first() {
        if first != b'\\' {
            bytes.push(first);
            rest = after;
            continue;
        }
        let (digits, after) = after.split_at_checked(3)?;
        let digits = std::str::from_utf8(digits).ok()?;
        bytes.push(u8::from_str_radix(digits, 8).ok()?);
        rest = after;
    }
    Some(PathBuf::from(OsString::from_vec(bytes)))
}

/// The mounts strictly inside `dir`, in the order of the table.
pub(super) fn inside<'a>(mounts: &'a [Mount], dir: &Path) -> Vec<&'a Mount> {
    mounts.iter().filter(|mount| mount.point != dir && mount.point.starts_with(dir)).collect()
}

/// The mounts on or in what lies at `place`, and all those on them, by whatever path they are seen; in the order of the table.
pub(super) fn upon<'a>(mounts: &'a [Mount], place: &Place) -> Vec<&'a Mount> {
    let mut found: HashSet<u64> = HashSet::new();
    loop {
        let before = found.len();
        for mount in mounts {
            let there = || Place::under(mount, mounts).is_some_and(|under| place.holds(&under));
            if found.contains(&mount.parent) || there() {
                found.insert(mount.id);
            }
        }
        if found.len() == before {
            return mounts.iter().filter(|mount| found.contains(&mount.id)).collect();
        }
    }
}

/// Whether what is mounted in the group spreads to where `mount` is: to what it is on, or to what the mounts below it are on.
pub(super) fn spreads_to(group: u64, mount: &Mount, mounts: &[Mount], place: &Place) -> bool {
    let mut at = mount;
    // No chain of mounts is longer than the table.
    for _ in 0..mounts.len() {
        let Some(under) = mounts.iter().find(|parent| parent.id == at.parent) else { return false };
        if Place::on(under, &at.point).is_some_and(|it| place.holds(&it)) {
            return under.peers == Some(group) || under.master == Some(group);
        }
        at = under;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Those of the fuzz target.
    #[test]
    fn seeds_are_read() {
        let seed = |name: &str| std::fs::read(format!("fuzz/seeds/mountinfo/{name}")).unwrap();
        assert!(parse(&seed("host")).unwrap().len() > 3);
        let odd = parse(&seed("odd")).unwrap();
        assert_eq!(odd[1].point, Path::new("/a b\t\\\n"));
        assert!(parse(&seed("swaps")).is_err());
        let disks = cartridge_disks::mounts::mounts(&seed("odd")).unwrap();
        let points: Vec<_> = odd.iter().map(|it| &it.point).collect();
        assert_eq!(disks.iter().map(|it| &it.point).collect::<Vec<_>>(), points);
        assert_eq!(cartridge_disks::mounts::swaps(&seed("swaps")).unwrap()[1], Path::new("/a b"));
    }

    #[test]
    fn the_example_of_the_manual_and_escapes_are_read() {
        let table = b"36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue\n\
            40 35 0:5 / /a\\040b\\012c\\134d\\011e rw shared:3 master:2 - tmpfs tmpfs rw\n\
            41 35 0:5 / /plain\xff rw - tmpfs tmpfs rw\n";
        let mounts = parse(table).unwrap();
        assert_eq!(mounts[0].point, Path::new("/mnt2"));
        assert_eq!(
            mounts.iter().map(|it| (it.peers, it.master)).collect::<Vec<_>>(),
            [(None, Some(1)), (Some(3), Some(2)), (None, None)]
        );
        assert_eq!(
            (mounts[0].id, mounts[0].kind.as_str(), mounts[0].source.as_str()),
            (36, "ext3", "/dev/root[/mnt1]")
        );
        assert_eq!(mounts[1].point, Path::new("/a b\nc\\d\te"));
        assert_eq!(mounts[1].source, "tmpfs");
        assert_eq!(mounts[2].point, PathBuf::from(OsString::from_vec(b"/plain\xff".to_vec())));
    }

    #[test]
    fn a_table_that_cannot_be_read_is_refused_as_a_whole() {
        let good = "36 35 98:0 / /mnt2 rw - ext3 /dev/root rw\n";
        for bad in [
            "garbage",
            "x 35 98:0 / /m rw - ext3 d rw",
            "36 35 98:0 / /m\\04 rw - ext3 d rw",
            "36 35 98:0 / m rw - e d rw",
            "36 35 98:0 / /m\\999 rw - e d rw",
            "36 35 98:0 / /m rw ext3 d rw",
        ] {
            assert_eq!(parse(format!("{good}{bad}\n").as_bytes()), Err(BadLine(2)), "{bad}");
        }
        assert_eq!(parse(b""), Ok(Vec::new()));
    }

    #[test]
    fn inside_means_below_by_components() {
        let lines = ["/w", "/w/a", "/wx", "/", "/w/a/b"].map(|point| format!("1 0 0:1 / {point} rw - t t rw\n"));
        let mounts = parse(lines.concat().as_bytes()).unwrap();
        let points: Vec<_> = inside(&mounts, Path::new("/w")).into_iter().map(|m| m.point.clone()).collect();
        assert_eq!(points, [Path::new("/w/a"), Path::new("/w/a/b")]);
    }

    #[test]
    fn upon_means_on_the_same_directory_by_whatever_path() {
        let table = b"1 0 8:1 / / rw shared:1 - ext4 sda rw\n\
            2 1 0:9 / /work/x/tmp rw shared:2 - tmpfs tmpfs rw\n\
            3 2 0:7 / /work/x/tmp/in rw - proc proc rw\n\
            4 1 8:1 / /mnt rw - ext4 sda rw\n\
            5 4 0:5 / /mnt/work/x/a rw - tmpfs tmpfs rw\n\
            6 1 8:1 /work/x /shown rw - ext4 sda rw\n\
            7 6 0:5 / /shown/b rw - tmpfs tmpfs rw\n\
            8 1 0:5 / /work/xy rw - tmpfs tmpfs rw\n\
            9 1 8:2 / /other rw - ext4 sdb rw\n\
            10 9 0:5 / /other/work/x/a rw - tmpfs tmpfs rw\n";
        let mounts = parse(table).unwrap();
        let place = Place::on(&mounts[0], Path::new("/work/x")).unwrap();
        assert_eq!(place.path, Path::new("/work/x"));
        assert_eq!(Place::on(&mounts[5], Path::new("/shown")).unwrap(), place);
        assert_eq!(upon(&mounts, &place).iter().map(|mount| mount.id).collect::<Vec<_>>(), [2, 3, 5, 7]);
        assert_eq!((mounts[1].peers, mounts[2].peers, mounts[2].parent), (Some(2), None, 2));
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(table: Vec<u8>) {
            let _ = parse(&table);
        }

        #[test]
        fn every_path_that_the_kernel_writes_reads_back(name in proptest::collection::vec(1_u8..=255, 1..40)) {
            let name: Vec<u8> = name.into_iter().filter(|byte| *byte != b'/').collect();
            let mut escaped = Vec::new();
            for &byte in &name {
                if b" \t\n\\".contains(&byte) { escaped.extend(format!("\\{byte:03o}").bytes()); } else { escaped.push(byte); }
            }
            let line = [b"1 2 0:1 / /".as_slice(), &escaped, b" rw - tmpfs none rw\n"].concat();
            let want = PathBuf::from(OsString::from_vec([b"/".as_slice(), &name].concat()));
            proptest::prop_assert_eq!(&parse(&line).unwrap()[0].point, &want);
        }
    }
}
