//! Bind mounts and how they spread: of `/`, `/home`, `/dev` and others, nested, stacked, shared.

use std::fs;
use std::path::Path;

use rustix::mount::{
    MountFlags, MountPropagationFlags, mount, mount_bind, mount_bind_recursive, mount_change, mount_move, mount_remount,
};

use super::Build;
use crate::room::{Expect, HOME, Room, Skip, home};

pub const TABLE: &[(&str, Build)] = &[
    ("bind of `/`", |room| bind(room, "/", false)),
    ("recursive bind of `/`", |room| bind(room, "/", true)),
    ("bind of `/home`", |room| bind(room, "/home", false)),
    ("bind of a home on the same file system, named like it", |room| {
        room.fill(3);
        mount_bind(HOME, room.dir("airootfs/home/me")).unwrap();
        Ok(Expect::Gone)
    }),
    ("bind of `/dev`", |room| bind(room, "/dev", false)),
    ("recursive bind of `/dev`", |room| bind(room, "/dev", true)),
    ("recursive bind of `/sys`, shared with it", |room| bind(room, "/sys", true)),
    ("bind of `/etc` and `/srv`, of which only one is empty", |room| {
        fs::create_dir("/srv/void").unwrap();
        mount_bind("/etc", room.dir("etc")).unwrap();
        mount_bind("/srv/void", room.dir("void")).unwrap();
        Ok(Expect::Gone)
    }),
    ("what arch-chroot leaves when it is killed", arch_chroot),
    ("bind of its own parent", |room| {
        mount_bind(room.work.parent().unwrap(), room.dir("up")).unwrap();
        Ok(Expect::Gone)
    }),
    ("recursive bind of itself into itself", |room| {
        mount_bind_recursive(&room.work, room.dir("self")).unwrap();
        Ok(Expect::Gone)
    }),
    ("recursive bind of itself into itself, twice", |room| {
        mount_bind_recursive(&room.work, room.dir("self")).unwrap();
        // On the root of the first, and so by spreading on the work directory as well.
        mount_bind_recursive(&room.work, room.dir("self")).unwrap();
        Ok(Expect::Kept(vec!["mounted on it".into()]))
    }),
    ("nested binds", |room| {
        mount_bind("/srv", room.dir("a")).unwrap();
        fs::create_dir_all(room.at("a/data/inner")).unwrap();
        mount_bind(home("photos"), room.at("a/data/inner")).unwrap();
        mount_bind("/etc", room.at("a/data/inner/2019")).unwrap();
        Ok(Expect::Gone)
    }),
    ("binds in a tmpfs in a bind", |room| {
        mount_bind("/srv", room.dir("a")).unwrap();
        tmpfs(&room.at("a/data"));
        fs::create_dir(room.at("a/data/home")).unwrap();
        mount_bind(home("photos"), room.at("a/data/home")).unwrap();
        Ok(Expect::Gone)
    }),
    ("four mounts stacked on one place", |room| {
        let place = room.dir("stack");
        room.file("stack/below");
        for from in ["/srv", HOME, "/etc", "/dev"] {
            mount_bind(from, &place).unwrap();
            // Else the next one covers what this one shows, everywhere.
            mount_change(&place, MountPropagationFlags::PRIVATE).unwrap();
        }
        Ok(Expect::Gone)
    }),
    ("a shared tree with mounts below, covered by another mount", |room| {
        let place = room.dir("sys");
        mount_bind_recursive("/sys", &place).unwrap();
        // Private, so that the cover does not cover /sys as well.
        let cover = room.dir("cover");
        tmpfs(&cover);
        mount_change(&place, MountPropagationFlags::PRIVATE).unwrap();
        mount_bind(&cover, &place).unwrap();
        Ok(Expect::Gone)
    }),
    ("a shared tree covered while it is shared", |room| {
        let place = room.dir("srv");
        mount_bind("/srv", "/srv").unwrap();
        mount_bind("/srv", &place).unwrap();
        // Spreads to /srv; taking it away here would take it away there.
        tmpfs(&place);
        Ok(Expect::Kept(vec!["srv".into()]))
    }),
    ("bind over a file", |room| {
        mount_bind(home("thesis.tex"), room.file("etc/motd")).unwrap();
        mount_bind("/etc/shadow", room.file("etc/shadow")).unwrap();
        Ok(Expect::Gone)
    }),
    ("a device of the host over a file", |room| {
        mount_bind("/dev/null", room.file("dev/null")).unwrap();
        Ok(Expect::Gone)
    }),
    ("read-only bind", |room| {
        let place = room.dir("readonly");
        mount_bind(HOME, &place).unwrap();
        mount_remount(&place, MountFlags::BIND | MountFlags::RDONLY, c"").unwrap();
        Ok(Expect::Gone)
    }),
    ("private bind", |room| spread(room, MountPropagationFlags::PRIVATE)),
    ("slave bind", |room| spread(room, MountPropagationFlags::DOWNSTREAM)),
    ("shared bind", |room| spread(room, MountPropagationFlags::SHARED)),
    ("unbindable bind", |room| spread(room, MountPropagationFlags::UNBINDABLE)),
    ("a slave that is shared again", |room| {
        let place = room.dir("again");
        mount_bind_recursive("/sys", &place).unwrap();
        mount_change(&place, MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC).unwrap();
        mount_change(&place, MountPropagationFlags::SHARED | MountPropagationFlags::REC).unwrap();
        mount_bind_recursive(&place, room.dir("third")).unwrap();
        Ok(Expect::Gone)
    }),
    ("an old mount moved below a younger one", |room| {
        mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).unwrap();
        mount_bind(HOME, room.dir("old")).unwrap();
        tmpfs(&room.dir("young"));
        mount_move(room.at("old"), room.dir("young/below")).unwrap();
        Ok(Expect::Gone)
    }),
    ("three hundred mounts", |room| {
        for number in 0..300 {
            mount_bind(home("photos"), room.dir(format!("many/{number}"))).unwrap();
        }
        Ok(Expect::Gone)
    }),
    ("thirty mounts deep", |room| {
        let mut place = room.dir("deep");
        for _ in 0..30 {
            tmpfs(&place);
            place.push("d");
            fs::create_dir(&place).unwrap();
        }
        mount_bind(HOME, &place).unwrap();
        Ok(Expect::Gone)
    }),
    ("a mount inside that is seen by another path only", |room| {
        // The same file system a second time, and a mount on our directory's place there.
        fs::create_dir("/mnt/again").unwrap();
        mount_bind("/", "/mnt/again").unwrap();
        mount_change("/mnt/again", MountPropagationFlags::PRIVATE).unwrap();
        room.passed_over.push("/mnt/again".into());
        room.fill(2);
        room.dir("elsewhere");
        let place = Path::new("/mnt/again").join(room.at("elsewhere").strip_prefix("/").unwrap());
        mount_bind("/srv", &place).unwrap();
        let release = place.clone();
        room.release.push(Box::new(move || {
            rustix::mount::unmount(release, rustix::mount::UnmountFlags::empty()).unwrap();
        }));
        Ok(Expect::Kept(vec![place.display().to_string()]))
    }),
];

pub fn tmpfs(at: &Path) {
    mount("tmpfs", at, "tmpfs", MountFlags::empty(), c"size=1m").unwrap();
}

fn bind(room: &mut Room, from: &str, whole: bool) -> Result<Expect, Skip> {
    room.fill(3);
    let place = room.dir("airootfs/mnt");
    if whole { mount_bind_recursive(from, place) } else { mount_bind(from, place) }.unwrap();
    Ok(Expect::Gone)
}

fn spread(room: &mut Room, how: MountPropagationFlags) -> Result<Expect, Skip> {
    let place = room.dir("sys");
    mount_bind_recursive("/sys", &place).unwrap();
    mount_change(&place, how | MountPropagationFlags::REC).unwrap();
    if how != MountPropagationFlags::UNBINDABLE {
        mount_bind_recursive(&place, room.dir("second")).unwrap();
    }
    Ok(Expect::Gone)
}

/// As arch-install-scripts mounts it.
fn arch_chroot(room: &mut Room) -> Result<Expect, Skip> {
    room.fill(3);
    let root = room.dir("x86_64/airootfs");
    mount_bind(&root, &root).unwrap();
    for name in ["proc", "sys", "dev", "run", "tmp", "etc"] {
        fs::create_dir_all(root.join(name)).unwrap();
    }
    fs::write(root.join("etc/resolv.conf"), "").unwrap();
    mount("proc", root.join("proc"), "proc", MountFlags::NOSUID, None).unwrap();
    mount_bind_recursive("/sys", root.join("sys")).unwrap();
    mount_bind("/dev", root.join("dev")).unwrap();
    mount("devpts", root.join("dev/pts"), "devpts", MountFlags::empty(), c"newinstance").unwrap();
    mount("shm", root.join("dev/shm"), "tmpfs", MountFlags::empty(), c"size=1m").unwrap();
    mount_bind("/run", root.join("run")).unwrap();
    tmpfs(&root.join("tmp"));
    mount_bind("/etc/passwd", root.join("etc/resolv.conf")).unwrap();
    Ok(Expect::Gone)
}
