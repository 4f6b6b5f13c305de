//! Entries of every kind, rights and attribute; and those that somebody uses.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::Path;
use std::process::Command;

use rustix::fs::{CWD, FileType, IFlags, Mode, makedev, mknodat};

use super::Build;
use crate::child::set_flags;
use crate::hold::Process;
use crate::room::{Expect, Room, Skip, needs};

pub const TABLE: &[(&str, Build)] = &[
    ("sockets and fifos", |room| {
        mknodat(CWD, room.at("fifo"), FileType::Fifo, Mode::RUSR, 0).unwrap();
        let socket = std::os::unix::net::UnixListener::bind(room.at("S")).unwrap();
        room.hold(socket);
        Ok(Expect::Gone)
    }),
    ("device nodes", |room| {
        for (name, kind, dev) in [
            ("null", FileType::CharacterDevice, makedev(1, 3)),
            ("kmsg", FileType::CharacterDevice, makedev(1, 11)),
            ("loop0", FileType::BlockDevice, makedev(7, 0)),
            ("nobody's", FileType::CharacterDevice, makedev(239, 7)),
        ] {
            needs(mknodat(CWD, room.at(name), kind, Mode::RUSR, dev), "a device node")?;
        }
        Ok(Expect::Gone)
    }),
    ("set-user-id, sticky, sparse and empty files", |room| {
        for mode in [0o0000, 0o4755, 0o2755, 0o1777, 0o6777] {
            let file = room.file(format!("f{mode:o}"));
            fs::set_permissions(file, fs::Permissions::from_mode(mode)).unwrap();
            let dir = room.dir(format!("d{mode:o}"));
            fs::write(dir.join("x"), "").unwrap();
            fs::set_permissions(dir, fs::Permissions::from_mode(mode)).unwrap();
        }
        fs::File::create(room.at("sparse")).unwrap().set_len(1 << 40).unwrap();
        Ok(Expect::Gone)
    }),
    ("an immutable file", |room| flagged(room, "dir/file", IFlags::IMMUTABLE, &["dir/file"])),
    ("an append-only file", |room| flagged(room, "dir/file", IFlags::APPEND, &["dir/file"])),
    ("an immutable folder", |room| flagged(room, "dir", IFlags::IMMUTABLE, &["dir/file", "dir/inner"])),
    ("an append-only folder", |room| flagged(room, "dir", IFlags::APPEND, &["dir/file", "dir/inner"])),
    ("an immutable empty folder", |room| flagged(room, "dir/inner", IFlags::IMMUTABLE, &["dir/inner"])),
    ("an immutable marker", |room| flagged(room, isoprep::eject::MARKER, IFlags::IMMUTABLE, &[isoprep::eject::MARKER])),
    ("folders that their owner may not enter, read or write", |room| {
        for mode in [0o000, 0o111, 0o222, 0o333, 0o444, 0o555] {
            let dir = room.dir(format!("{mode:o}"));
            room.file(format!("{mode:o}/inner/file"));
            fs::set_permissions(dir.join("inner"), fs::Permissions::from_mode(mode)).unwrap();
            fs::set_permissions(dir, fs::Permissions::from_mode(mode)).unwrap();
        }
        room.as_owner = true;
        Ok(Expect::Gone)
    }),
    ("a tree of other users, closed to everybody", |room| {
        for id in [1, 33, 1000, 12345, 65533] {
            let file = room.file(format!("{id}/home/user/file"));
            for path in
                [file.as_path(), file.parent().unwrap(), &room.at(format!("{id}/home")), &room.at(id.to_string())]
            {
                fs::set_permissions(path, fs::Permissions::from_mode(0o700)).unwrap();
                needs(chown(path, Some(id), Some(id)), "another owner")?;
            }
        }
        Ok(Expect::Gone)
    }),
    ("a tree of another user, ejected without the right to everybody's", |room| {
        room.file("theirs/file");
        fs::set_permissions(room.at("theirs"), fs::Permissions::from_mode(0o755)).unwrap();
        needs(chown(room.at("theirs"), Some(12345), Some(12345)), "another owner")?;
        room.as_owner = true;
        let left = room.at("theirs/file");
        room.release.push(Box::new({
            let dir = room.at("theirs");
            move || chown(dir, Some(0), Some(0)).unwrap()
        }));
        Ok(Expect::Left(vec![left]))
    }),
    ("files that are open and written", |room| {
        let file = fs::OpenOptions::new().append(true).open(room.file("log")).unwrap();
        room.hold(file);
        room.hold(fs::File::open(room.dir("dir")).unwrap());
        Ok(Expect::Gone)
    }),
    ("a program of it runs, works in it and has it mapped", |room| {
        let tool = room.at("tool");
        fs::copy("/bin/sleep", &tool).unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "echo ready; exec ./tool 1000"]).current_dir(&room.work);
        let process = Process::start(&command)?;
        room.hold(process);
        Ok(Expect::Gone)
    }),
    ("a process has it as its root", |room| {
        let root = room.dir("root");
        let script = "cd \"$1\" && exec perl -e 'chroot \".\"; $|=1; print \"ready\\n\"; sleep 1000'";
        let process = Process::ready(script, &[root.as_os_str()])?;
        room.hold(process);
        Ok(Expect::Gone)
    }),
];

/// On the host's file system: `dir/file`, `dir/inner`, and the attributes of chattr on one of them.
fn flagged(room: &mut Room, path: &str, flags: IFlags, left: &[&str]) -> Result<Expect, Skip> {
    room.on_disk();
    room.file("dir/file");
    room.dir("dir/inner");
    room.fill(2);
    let path = room.at(path);
    needs(set_flags(&path, flags), "chattr")?;
    let left = left.iter().map(|path| room.work.join(Path::new(path))).collect();
    room.release.push(Box::new(move || set_flags(&path, IFlags::empty()).unwrap()));
    Ok(Expect::Left(left))
}
