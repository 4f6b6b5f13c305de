//! File systems of their own: memory, overlays, images, and one that never answers.

use std::ffi::CString;
use std::fs;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::process::Command;

use rustix::fs::{Mode, OFlags};
use rustix::mount::{MountFlags, mount, mount_bind};

use super::Build;
use super::mounts::tmpfs;
use crate::room::{Expect, HOME, Room, Skip, home, needs};

pub const TABLE: &[(&str, Build)] = &[
    ("tmpfs with files", |room| {
        tmpfs(&room.dir("tmp"));
        room.file("tmp/x/y");
        Ok(Expect::Gone)
    }),
    ("proc, devpts and mqueue", |room| {
        for kind in ["proc", "devpts", "mqueue"] {
            needs(mount(kind, room.dir(kind), kind, MountFlags::empty(), None), kind)?;
        }
        Ok(Expect::Gone)
    }),
    ("overlay over a home, changes inside", |room| {
        overlay(room, home("photos").as_path(), &room.dir("upper"), &room.dir("work"), &room.dir("merged"))?;
        fs::write(room.at("merged/2.jpg"), "edited").unwrap();
        fs::remove_file(room.at("merged/1.jpg")).unwrap();
        Ok(Expect::Gone)
    }),
    ("overlay that writes to a home", |room| {
        fs::create_dir("/home/you/upper").unwrap();
        fs::create_dir("/home/you/scratch").unwrap();
        fs::write("/home/you/upper/draft", "of a book").unwrap();
        room.file("lower/x");
        let (upper, scratch) = (Path::new("/home/you/upper"), Path::new("/home/you/scratch"));
        overlay(room, &room.at("lower"), upper, scratch, &room.dir("merged"))?;
        mount_bind(HOME, room.dir("merged/home")).unwrap();
        Ok(Expect::Gone)
    }),
    ("squashfs by a loop device", |room| {
        room.file("root/etc/motd");
        let image = room.at("airootfs.sfs");
        let made = Command::new("mksquashfs").arg(room.at("root")).arg(&image).arg("-quiet").output();
        let made = needs(made, "mksquashfs")?;
        needs(made.status.success().then_some(()).ok_or("it failed"), "mksquashfs")?;
        by_loop(room, &image, "squash")
    }),
    ("ext4 by a loop device, its image deleted", |room| {
        let image = room.at("efi.img");
        fs::File::create(&image).unwrap().set_len(4 << 20).unwrap();
        let made = needs(Command::new("mke2fs").args(["-q", "-F"]).arg(&image).output(), "mke2fs")?;
        needs(made.status.success().then_some(()).ok_or("it failed"), "mke2fs")?;
        let expect = by_loop(room, &image, "efi")?;
        fs::create_dir(room.at("efi/home")).unwrap();
        mount_bind(HOME, room.at("efi/home")).unwrap();
        fs::remove_file(&image).unwrap();
        Ok(expect)
    }),
    ("FUSE that never answers", |room| {
        fuse(room, "fuse")?;
        room.fill(2);
        Ok(Expect::Gone)
    }),
    ("FUSE that never answers, beside binds, under another mount", |room| {
        mount_bind(HOME, room.dir("a")).unwrap();
        fuse(room, "fuse")?;
        mount_bind("/srv", room.dir("z")).unwrap();
        mount_bind("/etc", room.at("fuse")).unwrap();
        Ok(Expect::Gone)
    }),
];

fn overlay(_: &Room, lower: &Path, upper: &Path, scratch: &Path, at: &Path) -> Result<(), Skip> {
    let text = format!("lowerdir={},upperdir={},workdir={}", lower.display(), upper.display(), scratch.display());
    let text = CString::new(text).unwrap();
    needs(mount("overlay", at, "overlay", MountFlags::empty(), &*text), "an overlay")
}

fn by_loop(room: &mut Room, image: &Path, at: &str) -> Result<Expect, Skip> {
    let done = Command::new("mount").args(["-o", "loop"]).arg(image).arg(room.dir(at)).output();
    let done = needs(done, "mount")?;
    let said = String::from_utf8_lossy(&done.stderr).trim().to_owned();
    needs(done.status.success().then_some(()).ok_or(said), "a loop device")?;
    Ok(Expect::Gone)
}

/// Mounts a FUSE whose server has it open and reads nothing: whoever asks it something waits for ever.
pub fn fuse(room: &mut Room, at: &str) -> Result<(), Skip> {
    let server: OwnedFd = needs(rustix::fs::open("/dev/fuse", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty()), "FUSE")?;
    let text = format!("fd={},rootmode=40000,user_id=0,group_id=0,allow_other", server.as_raw_fd());
    let text = CString::new(text.as_bytes()).unwrap();
    let place = room.dir(at);
    assert!(!place.as_os_str().as_bytes().is_empty());
    needs(mount("hung", place, "fuse.hung", MountFlags::NOSUID | MountFlags::NODEV, &*text), "FUSE")?;
    room.hold(server);
    Ok(())
}
