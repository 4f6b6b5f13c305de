//! The tables of what is mounted (`/proc/self/mountinfo`) and of swap (`/proc/swaps`), see proc(5).

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use crate::disk::DeviceNumber;

/// One mount, as far as it says which disk it needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// The file system's device; of some file systems (btrfs) one that is no disk's.
    pub device: DeviceNumber,
    /// Where it is mounted.
    pub point: PathBuf,
    /// What is mounted: a node, or any words.
    pub source: PathBuf,
}

/// A line of a table could not be read: it might be the one that counts, so nothing is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {0} of {1} cannot be read")]
pub struct BadLine(pub usize, pub &'static str);

/// Reads a mount table.
///
/// # Errors
/// [`BadLine`] if any line is none.
pub fn mounts(table: &[u8]) -> Result<Vec<Mount>, BadLine> {
    rows(table, 0).map(|(line, row)| mount(row).ok_or(BadLine(line, "the mount table"))).collect()
}

/// Reads the table of swap: nodes, and files.
///
/// # Errors
/// [`BadLine`] if any line is none.
pub fn swaps(table: &[u8]) -> Result<Vec<PathBuf>, BadLine> {
    // The first line is the heading.
    rows(table, 1)
        .map(|(line, row)| {
            let word = row.split(|byte| byte.is_ascii_whitespace()).next().filter(|word| word.starts_with(b"/"));
            word.and_then(unescaped).ok_or(BadLine(line, "the table of swap"))
        })
        .collect()
}

fn rows(table: &[u8], skip: usize) -> impl Iterator<Item = (usize, &[u8])> {
    let lines = table.split(|byte| *byte == b'\n').enumerate().skip(skip);
    lines.filter(|(_, line)| !line.is_empty()).map(|(index, line)| (index + 1, line))
}

/// `36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue`
fn mount(line: &[u8]) -> Option<Mount> {
    let words: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
    let device = DeviceNumber::parse(std::str::from_utf8(words.get(2)?).ok()?)?;
    let point = unescaped(words.get(4)?).filter(|point| point.is_absolute())?;
    let dash = words.iter().skip(6).position(|word| *word == b"-")? + 6;
    let source = unescaped(words.get(dash + 2)?)?;
    Some(Mount { device, point, source })
}

/// A path with the kernel's escapes undone: space, tab, newline and backslash are `\` and three octal digits.
fn unescaped(word: &[u8]) -> Option<PathBuf> {
    let mut bytes = Vec::with_capacity(word.len());
    let mut rest = word;
    while let Some((&first, after)) = rest.split_first() {
        if first != b'\\' {
            bytes.push(first);
            rest = after;
            continue;
        }
        let (digits, after) = after.split_at_checked(3)?;
        bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok()?);
        rest = after;
    }
    Some(PathBuf::from(OsString::from_vec(bytes)))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_mount_table_is_read() {
        let table = b"22 1 8:2 / / rw,relatime shared:1 - ext4 /dev/sda2 rw\n\
            40 22 0:35 /@home /home rw - btrfs /dev/sdc1 rw,subvol=/@home\n\
            41 22 8:17 / /media/a\\040b rw shared:2 master:3 - vfat /dev/sdb1 rw\n\
            42 22 0:40 / /x rw - tmpfs  rw\n";
        let read = mounts(table).unwrap();
        let row = |it: &Mount| format!("{} {} {}", it.device, it.point.display(), it.source.display());
        let rows: Vec<_> = read.iter().map(row).collect();
        assert_eq!(rows, ["8:2 / /dev/sda2", "0:35 /home /dev/sdc1", "8:17 /media/a b /dev/sdb1", "0:40 /x "]);
    }

    #[test]
    fn a_line_that_is_none_spoils_the_table() {
        let good = "22 1 8:2 / / rw - ext4 /dev/sda2 rw\n";
        for bad in ["x", "22 1 8 / / rw - ext4 a rw", "22 1 8:2 / / rw ext4 a rw", "22 1 8:2 / x\\09 rw - ext4 a rw"] {
            assert_eq!(mounts(format!("{good}{bad}\n").as_bytes()), Err(BadLine(2, "the mount table")), "{bad}");
        }
    }

    #[test]
    fn swap_is_read() {
        let table = b"Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n/dev/sda3                               partition\t8388604\t0\t-2\n\
            /swap\\040file                            file\t\t1048572\t\t0\t\t-3\n";
        assert_eq!(swaps(table).unwrap(), [Path::new("/dev/sda3"), Path::new("/swap file")]);
        assert_eq!(swaps(b"").unwrap(), Vec::<PathBuf>::new());
        assert!(swaps(b"Filename\nsda3 partition\n").is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = (mounts(&bytes), swaps(&bytes));
        }
    }
}
