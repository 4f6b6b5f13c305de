//! Somebody who works against the walk: swaps, mounts, renames and writes while it deletes.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::mount::{UnmountFlags, mount_bind, unmount};

use super::Build;
use super::mounts::tmpfs;
use crate::room::{Expect, HOME, Room, Skip, home};

pub const TABLE: &[(&str, Build)] = &[
    ("folders swapped for links to a home", |room| swapped(room, HOME)),
    ("folders swapped for links to `/`", |room| swapped(room, "/")),
    ("files swapped for links to precious files", |room| {
        wide(room);
        let (file, link) = (room.at("d7/3"), room.at("d9/link"));
        symlink(home("thesis.tex"), &link).unwrap();
        race(room, move || exchange(&file, &link))
    }),
    ("folders swapped for files", |room| {
        wide(room);
        let (dir, file) = (room.at("d7"), room.at("d9/3"));
        race(room, move || exchange(&dir, &file))
    }),
    ("a home mounted and unmounted on a folder", |room| mounted(room, HOME, "d7")),
    ("a home mounted and unmounted deep inside", |room| mounted(room, HOME, "d7/deep/mnt")),
    ("`/dev` mounted on ever more folders", |room| {
        wide(room);
        // Once each: on one of its own a second would cover /dev itself.
        let mut places: Vec<_> = (0..60).map(|dir| room.at(format!("d{dir}/deep/mnt"))).collect();
        race(room, move || {
            if let Some(place) = places.pop() {
                let _ = mount_bind("/dev", place);
            }
            std::thread::sleep(std::time::Duration::from_micros(300));
        })
    }),
    ("a precious file mounted and unmounted on a file", |room| {
        wide(room);
        let place = room.at("d7/3");
        race(room, move || {
            let _ = mount_bind(home("thesis.tex"), &place);
            let _ = unmount(&place, UnmountFlags::NOFOLLOW);
        })
    }),
    ("the work directory renamed back and forth", |room| {
        wide(room);
        let (one, other) = (room.work.clone(), room.work.with_extension("renamed"));
        room.passed_over.push(other.clone());
        race(room, move || {
            let _ = fs::rename(&one, &other);
            let _ = fs::rename(&other, &one);
        })
    }),
    ("the work directory swapped for a home's folder with a marker", |room| {
        wide(room);
        let decoy = home("decoy");
        fs::create_dir(&decoy).unwrap();
        fs::write(decoy.join("precious"), "very").unwrap();
        let work = room.work.clone();
        // Where each is when it ends does not matter, as long as the decoy is whole.
        let back = (work.clone(), decoy.clone());
        room.settle.push(Box::new(move || {
            if back.0.join("precious").exists() && (!back.1.exists() || back.1.join(isoprep::eject::MARKER).exists()) {
                exchange(&back.0, &back.1);
                let _ = fs::rename(&back.0, &back.1);
            }
        }));
        race(room, move || {
            exchange(&work, &decoy);
            exchange(&work, &decoy);
        })
    }),
    ("the parent of the work directory renamed back and forth", |room| {
        wide(room);
        let parent = room.work.parent().unwrap().to_owned();
        let other = parent.with_extension("renamed");
        room.passed_over.push(other.clone());
        race(room, move || {
            let _ = fs::rename(&parent, &other);
            let _ = fs::rename(&other, &parent);
        })
    }),
    ("folders moved about inside", |room| {
        wide(room);
        let (one, other) = (room.at("d7"), room.at("d9/deep/moved"));
        race(room, move || {
            let _ = fs::rename(&one, &other);
            let _ = fs::rename(&other, &one);
        })
    }),
    ("folders with mounts swapped for links to others' mounts", |room| {
        // Of the same names, so that the way through a link ends at a mount too; long ones, to be met on the way.
        let way = "w/".repeat(250) + "mnt";
        let pairs: Vec<_> = (0..40).map(|n| (room.at(format!("d{n}")), room.at(format!("link{n}")))).collect();
        for (n, (dir, link)) in pairs.iter().enumerate() {
            for place in [dir.join(&way), Path::new("/srv/disks").join(n.to_string()).join(&way)] {
                fs::create_dir_all(&place).unwrap();
                tmpfs(&place);
            }
            symlink(Path::new("/srv/disks").join(n.to_string()), link).unwrap();
        }
        let mut next = 0;
        race(room, move || {
            let (dir, link) = &pairs[next % pairs.len()];
            exchange(dir, link);
            next += 1;
        })
    }),
    ("somebody goes on writing", |room| {
        wide(room);
        let dir = room.at("d7");
        let mut number = 0;
        race(room, move || {
            let _ = fs::create_dir(&dir);
            let _ = fs::write(dir.join(format!("new{number}")), "");
            number += 1;
        })
    }),
    ("two at once", |room| {
        wide(room);
        let work = room.work.clone();
        race(room, move || {
            let _ = fs::remove_dir_all(work.join("d7"));
            let _ = fs::remove_dir_all(work.join("d9"));
        })
    }),
];

/// Enough that the walk takes a while.
fn wide(room: &Room) {
    for dir in 0..60 {
        room.dir(format!("d{dir}/deep/mnt"));
        for number in 0..40 {
            room.file(format!("d{dir}/{number}"));
        }
    }
}

fn race(room: &mut Room, step: impl FnMut() + Send + 'static) -> Result<Expect, Skip> {
    room.races.push(Box::new(step));
    Ok(Expect::GoneOrNamed)
}

fn exchange(one: &Path, other: &Path) {
    let _ = renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE);
}

fn swapped(room: &mut Room, to: &str) -> Result<Expect, Skip> {
    wide(room);
    // Beside the walk's own order there are some that it meets late.
    let pairs: Vec<_> = (0..20).map(|n| (room.at(format!("d{}", n * 3)), room.at(format!("d59/link{n}")))).collect();
    for (_, link) in &pairs {
        symlink(to, link).unwrap();
    }
    let mut next = 0;
    race(room, move || {
        let (dir, link) = &pairs[next % pairs.len()];
        exchange(dir, link);
        next += 1;
    })
}

fn mounted(room: &mut Room, from: &'static str, at: &str) -> Result<Expect, Skip> {
    wide(room);
    let place = room.at(at);
    race(room, move || {
        let _ = mount_bind(from, &place);
        let _ = unmount(&place, UnmountFlags::NOFOLLOW);
    })
}
