//! Mounts that somebody holds: nothing goes, and whoever holds them is named with pid and command.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::Command;

use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_bind, mount_bind_recursive, mount_change};

use super::Build;
use super::mounts::tmpfs;
use super::special::fuse;
use crate::hold::{Child, Process};
use crate::room::{Expect, HOME, Room, Skip, home};

/// Stays where it is until it is killed, as a program with nothing of a shell.
const STAY: &str = "echo ready; exec sleep 1000";

pub const TABLE: &[(&str, Build)] = &[
    ("somebody works in a bind", |room| {
        let place = bound(room);
        let process = Process::start(Command::new("sh").args(["-c", STAY]).current_dir(place))?;
        held(room, process, &["works in", "sleep 1000"])
    }),
    ("somebody works in a mount deep below others", |room| {
        let place = bound(room);
        tmpfs(&place.join("photos"));
        fs::create_dir(place.join("photos/in")).unwrap();
        mount_bind("/srv", place.join("photos/in")).unwrap();
        let inner = place.join("photos/in/data");
        let process = Process::start(Command::new("sh").args(["-c", STAY]).current_dir(inner))?;
        // The mounts above are busy for the one below.
        held(room, process, &["works in"])
    }),
    ("somebody has a root in a bind", |room| {
        let place = room.dir("root");
        mount_bind_recursive("/", &place).unwrap();
        mount_change(&place, MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).unwrap();
        let process = Process::start(Command::new("chroot").arg(&place).args(["sh", "-c", STAY]))?;
        held(room, process, &["sleep 1000"])
    }),
    ("a program runs from a mount", |room| {
        let place = bound_tmpfs(room);
        fs::copy("/bin/sleep", place.join("tool")).unwrap();
        let script = "echo ready; exec \"$1\" 1000";
        let process = Process::ready(script, &[place.join("tool").as_os_str()])?;
        held(room, process, &["runs", "tool 1000"])
    }),
    ("a file of a mount is open", |room| {
        let place = bound(room);
        let file = place.join("thesis.tex");
        let process = Process::ready("exec 3<\"$1\"; echo ready; exec sleep 1000", &[file.as_os_str()])?;
        held(room, process, &["thesis.tex open", "sleep 1000"])
    }),
    ("a file of a mount is mapped, and no longer open", |room| {
        let place = room.dir("root/tmp");
        mount("tmpfs", &place, "tmpfs", MountFlags::empty(), c"size=16m").unwrap();
        let maps = fs::read_to_string("/proc/self/maps").unwrap();
        let library =
            maps.lines().filter_map(|line| line.split_whitespace().nth(5)).find(|path| path.contains("libc.so"));
        let library = library.ok_or_else(|| Skip("no shared C library".into()))?;
        fs::copy(library, place.join("mapped.so")).unwrap();
        let script = "echo ready; exec env LD_PRELOAD=\"$1\" sleep 1000";
        let process = Process::ready(script, &[place.join("mapped.so").as_os_str()])?;
        // Until it is started.
        std::thread::sleep(std::time::Duration::from_millis(100));
        held(room, process, &["mapped.so mapped"])
    }),
    ("a socket in a mount is listened on", |room| {
        let place = bound_tmpfs(room);
        let script = "import socket, sys, time\ns = socket.socket(socket.AF_UNIX)\ns.bind(sys.argv[1])\ns.listen()\n\
                      print('ready', flush=True)\ntime.sleep(1000)\n";
        let mut command = Command::new("python3");
        command.args(["-c", script]).arg(place.join("S"));
        let process = Process::start(&command)?;
        held(room, process, &["python3"])
    }),
    ("somebody of an awful name holds it", |room| {
        let place = bound(room);
        let script = "echo ready; exec -a \"$1\" sleep 1000";
        let mut command = Command::new("bash");
        command.args(["-c", script, "bash", "\x1b[2J\nroot 1 good"]).current_dir(place);
        let process = Process::start(&command)?;
        held(room, process, &["root 1 good"])
    }),
    ("a child of ours works in a bind", |room| {
        let place = bound(room);
        room.hold(Child::start(Command::new("sh").args(["-c", STAY]).current_dir(place)));
        Ok(Expect::Gone)
    }),
    ("a grandchild of ours that takes no notice of SIGTERM holds a bind", |room| {
        let place = bound(room);
        let script = "sh -c 'trap \"\" TERM; echo ready; while :; do sleep 1; done'; exit 0";
        room.hold(Child::start(Command::new("sh").args(["-c", script]).current_dir(place)));
        Ok(Expect::Gone)
    }),
    ("a child of ours has something mounted in a namespace of its own", |room| {
        let script = "mount --bind \"$1\" \"$2\" && echo ready && exec sleep 1000";
        let mut command = Command::new("unshare");
        command.args(["-m", "sh", "-c", script, "sh", HOME]).arg(room.dir("inner"));
        room.hold(Child::start(&mut command));
        Ok(Expect::Gone)
    }),
    ("two hold the same mount", |room| {
        let place = bound(room);
        let one = Process::start(Command::new("sh").args(["-c", STAY]).current_dir(&place))?;
        let other = Process::ready("exec 3<\"$1\"; echo ready; exec sleep 1000", &[place.join("photos").as_os_str()])?;
        let pid = other.pid();
        room.hold(other);
        held(room, one, &["works in", &format!("process {pid} ")])
    }),
    ("a mount in another namespace, where somebody works", |room| {
        room.fill(2);
        let place = room.dir("inner");
        let script = "mount --bind \"$1\" \"$2\" && cd \"$2\" && echo ready && exec sleep 1000";
        other_namespace(room, "private", script, &[OsStr::new(HOME), place.as_os_str()], &["mounted in", "sleep 1000"])
    }),
    ("a mount in another namespace, where nobody works", |room| {
        room.fill(2);
        let place = room.dir("inner");
        let script = "mount --bind \"$1\" \"$2\" && cd / && echo ready && exec sleep 1000";
        other_namespace(room, "private", script, &[OsStr::new(HOME), place.as_os_str()], &["mounted in", "sleep 1000"])
    }),
    ("a mount that spread to another namespace, where somebody works", |room| {
        let place = room.dir("inner");
        mount_bind(HOME, &place).unwrap();
        let script = "cd \"$1\" && echo ready && exec sleep 1000";
        other_namespace(room, "slave", script, &[place.as_os_str()], &["works in", "sleep 1000"])
    }),
    ("a mount that spread to another namespace, where nobody needs it", |room| {
        mount_bind(HOME, room.dir("inner")).unwrap();
        tmpfs(&room.dir("inner/photos"));
        let mut command = Command::new("unshare");
        command.args(["-m", "--propagation", "slave", "sh", "-c", STAY]);
        let process = Process::start(&command)?;
        room.hold(process);
        Ok(Expect::Gone)
    }),
    ("a FUSE that never answers, and somebody waits in it", |room| {
        fuse(room, "fuse")?;
        let process = Process::ready("echo ready; exec ls \"$1/x\"", &[room.at("fuse").as_os_str()])?;
        // Until it waits.
        std::thread::sleep(std::time::Duration::from_millis(100));
        held(room, process, &["fuse"])
    }),
];

fn bound(room: &Room) -> std::path::PathBuf {
    room.fill(3);
    let place = room.dir("root/home");
    mount_bind(HOME, &place).unwrap();
    mount_bind("/srv", room.dir("other")).unwrap();
    place
}

fn bound_tmpfs(room: &Room) -> std::path::PathBuf {
    room.fill(3);
    let place = room.dir("root/tmp");
    tmpfs(&place);
    place
}

/// It is kept, the holder is named, and once that is gone it goes.
fn held(room: &mut Room, process: Process, words: &[&str]) -> Result<Expect, Skip> {
    let mut want: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
    want.push(format!("process {} ", process.pid()));
    room.hold(process);
    room.release.push(Box::new(|| ()));
    assert!(Path::new(&home("thesis.tex")).exists());
    Ok(Expect::Kept(want))
}

fn other_namespace(room: &mut Room, how: &str, script: &str, words: &[&OsStr], want: &[&str]) -> Result<Expect, Skip> {
    let mut command = Command::new("unshare");
    command.args(["-m", "--propagation", how, "sh", "-c", script, "sh"]).args(words);
    let process = Process::start(&command)?;
    held(room, process, want)
}
