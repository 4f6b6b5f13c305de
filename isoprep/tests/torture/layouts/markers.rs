//! Directories that are not ours, or no longer: nothing of them may go.

use std::fs;
use std::os::unix::fs::{chown, symlink};

use isoprep::eject::MARKER;
use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::mount::mount_bind;

use super::Build;
use super::mounts::tmpfs;
use crate::room::{Expect, HOME, Skip, home, needs};

pub const TABLE: &[(&str, Build)] = &[
    ("no marker", |room| {
        room.fill(2);
        fs::remove_file(room.at(MARKER)).unwrap();
        kept("no .cartridge-work file")
    }),
    ("a home", |room| {
        room.target = HOME.into();
        kept("home")
    }),
    ("a folder of photos", |room| {
        room.target = home("photos");
        kept("no .cartridge-work file")
    }),
    ("`/`, by way of the work directory", |room| {
        room.target = room.at("../../../../../../..");
        kept("not touched")
    }),
    ("a marker that is a link to a true one", |room| {
        let other = isoprep::eject::WorkDir::create(&home("other"), "other").unwrap();
        fs::remove_file(room.at(MARKER)).unwrap();
        symlink(other.path().join(MARKER), room.at(MARKER)).unwrap();
        kept("symbolic link")
    }),
    ("a marker with a second name", |room| {
        // A hard link to a true marker makes nothing ours.
        let photos = home("photos");
        fs::hard_link(room.at(MARKER), photos.join(MARKER)).unwrap();
        room.target = photos;
        kept("second name")
    }),
    ("a marker that is a folder", |room| {
        fs::remove_file(room.at(MARKER)).unwrap();
        room.file(format!("{MARKER}/x"));
        kept("not a regular file")
    }),
    ("a marker that is a fifo", |room| {
        fs::remove_file(room.at(MARKER)).unwrap();
        mknodat(CWD, room.at(MARKER), FileType::Fifo, Mode::RUSR, 0).unwrap();
        kept("not a regular file")
    }),
    ("a marker that is empty, or of another version", |room| {
        room.fill(1);
        fs::write(room.at(MARKER), "cartridge-work 2\n").unwrap();
        kept("not ours")
    }),
    ("a marker of another user", |room| {
        room.fill(1);
        needs(chown(room.at(MARKER), Some(12345), None), "another owner")?;
        kept("another user")
    }),
    ("a directory of another user with a true marker", |room| {
        room.fill(1);
        needs(chown(&room.work, Some(12345), None), "another owner")?;
        kept("user 12345")
    }),
    ("a marker that is mounted", |room| {
        room.fill(1);
        fs::copy(room.at(MARKER), home("marker")).unwrap();
        mount_bind(home("marker"), room.at(MARKER)).unwrap();
        kept("mounted on it")
    }),
    ("a bind of a home with a marker on the work directory", |room| {
        room.fill(1);
        fs::copy(room.at(MARKER), home("photos").join(MARKER)).unwrap();
        mount_bind(home("photos"), &room.work).unwrap();
        kept("mounted on it")
    }),
    ("a bind of the work directory on itself", |room| {
        room.fill(1);
        mount_bind(&room.work, &room.work).unwrap();
        kept("mounted on it")
    }),
    ("a tmpfs over the parent of the work directory", |room| {
        room.fill(1);
        tmpfs(room.work.parent().unwrap());
        kept("does not exist")
    }),
    ("markers deeper down, of others too", |room| {
        fs::copy(room.at(MARKER), room.dir("a").join(MARKER)).unwrap();
        fs::write(room.dir("b").join(MARKER), "hello").unwrap();
        symlink(HOME, room.dir("c").join(MARKER)).unwrap();
        room.file(format!("d/{MARKER}/x"));
        Ok(Expect::Gone)
    }),
];

fn kept(words: &str) -> Result<Expect, Skip> {
    Ok(Expect::Kept(vec![words.to_owned()]))
}
