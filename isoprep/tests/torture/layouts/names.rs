//! Names that shells, tables and paths trip over, with and without mounts on them.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;

use rustix::fs::{Mode, OFlags};
use rustix::mount::mount_bind;

use super::Build;
use super::mounts::tmpfs;
use crate::room::{Expect, HOME, Room, Skip};

/// What a kernel escapes in its table of mounts, what looks like such an escape, and what is no text.
const NAMES: &[&[u8]] = &[
    b"with space",
    b"new\nline",
    b"tab\tand\rreturn",
    b"back\\slash",
    b"octal\\040escape",
    b"octal\\134040",
    b"\\012",
    b"# comment",
    b"-rf",
    b"*",
    b"$(rm -rf ~)",
    b"'\"",
    b"\xff\xfe\x80",
    b"half \xc3",
    b"\x1b[2Jescape\x07",
    b"...",
    b" ",
    b"gone (deleted)",
    b"\xe2\x80\xae right to left",
];

pub const TABLE: &[(&str, Build)] = &[
    ("files and folders of awful names", |room| {
        for name in NAMES {
            let name = OsStr::from_bytes(name);
            fs::write(room.dir(name).join(name), "ours").unwrap();
        }
        Ok(Expect::Gone)
    }),
    ("binds on folders of awful names", |room| {
        for (index, name) in NAMES.iter().enumerate() {
            let place = room.dir(OsStr::from_bytes(name));
            if index % 2 == 0 { mount_bind(HOME, &place).unwrap() } else { tmpfs(&place) }
        }
        Ok(Expect::Gone)
    }),
    ("a bind on `a\\040b`, beside `a b`", |room| {
        mount_bind(HOME, room.dir("a\\040b")).unwrap();
        room.file("a b/x");
        mount_bind("/srv", room.dir("c d")).unwrap();
        room.file("c\\040d/x");
        Ok(Expect::Gone)
    }),
    ("binds on names with newlines that forge a line of the table", |room| {
        let forged = "x\n36 35 98:0 / /home/me rw - tmpfs tmpfs rw\n";
        mount_bind(HOME, room.dir(forged.replace('/', "_"))).unwrap();
        Ok(Expect::Gone)
    }),
    ("names as long as can be", |room| {
        for byte in [b'a', 0xff, b'\n'] {
            let name = vec![byte; 255];
            fs::write(room.dir(OsStr::from_bytes(&name)).join(OsStr::from_bytes(&name)), "ours").unwrap();
        }
        Ok(Expect::Gone)
    }),
    ("folders deeper than a path can name", |room| deep(room, false)),
    ("a bind deeper than a path can name", |room| deep(room, true)),
    ("ten thousand files in one folder", |room| {
        let dir = room.dir("wide");
        for number in 0..10_000 {
            fs::write(dir.join(number.to_string()), "").unwrap();
        }
        Ok(Expect::Gone)
    }),
];

fn deep(room: &mut Room, bound: bool) -> Result<Expect, Skip> {
    let flags = OFlags::PATH | OFlags::DIRECTORY;
    let mut here = rustix::fs::open(&room.work, flags, Mode::empty()).unwrap();
    for _ in 0..1200 {
        rustix::fs::mkdirat(&here, "directory0", Mode::RWXU).unwrap();
        rustix::fs::mkdirat(&here, "other", Mode::RWXU).unwrap();
        here = rustix::fs::openat(&here, "directory0", flags, Mode::empty()).unwrap();
    }
    if !bound {
        return Ok(Expect::Gone);
    }
    // No path names it; whoever is in it can mount there.
    rustix::process::fchdir(&here).unwrap();
    rustix::fs::mkdirat(&here, "mnt", Mode::RWXU).unwrap();
    mount_bind(HOME, "mnt").unwrap();
    std::env::set_current_dir("/").unwrap();
    Ok(Expect::Gone)
}
