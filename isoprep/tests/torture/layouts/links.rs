//! Links: symbolic ones to what is precious, in loops and everywhere; hard ones to precious files.

use std::fs;
use std::os::unix::fs::symlink;

use rustix::fs::IFlags;

use super::Build;
use crate::child::set_flags;
use crate::room::{DISK, Expect, HOME, Room, Skip, home, needs};

pub const TABLE: &[(&str, Build)] = &[
    ("links to `/`, to a home, to files, up and to nowhere", |room| {
        for (index, to) in ["/", HOME, "/home/me/thesis.tex", "..", "../..", "nowhere", ".", "/dev"].iter().enumerate()
        {
            symlink(to, room.dir("links").join(index.to_string())).unwrap();
            symlink(format!("{to}/"), room.dir("more").join(index.to_string())).unwrap();
        }
        Ok(Expect::Gone)
    }),
    ("loops of links", |room| {
        symlink("a", room.at("a")).unwrap();
        symlink("c", room.at("b")).unwrap();
        symlink("b", room.at("c")).unwrap();
        for depth in ["x", "x/y", "x/y/z"] {
            symlink(&room.work, room.dir(depth).join("loop")).unwrap();
        }
        Ok(Expect::Gone)
    }),
    ("a chain of forty links that ends at a home", |room| {
        symlink(HOME, room.at("0")).unwrap();
        for number in 1..40 {
            symlink((number - 1).to_string(), room.at(number.to_string())).unwrap();
        }
        Ok(Expect::Gone)
    }),
    ("links of `/proc` to what is open", |room| {
        let open = fs::File::open(HOME).unwrap();
        room.hold(open);
        for number in 0..8 {
            symlink(format!("/proc/self/fd/{number}"), room.at(number.to_string())).unwrap();
        }
        symlink("/proc/self/root", room.at("root")).unwrap();
        symlink("/proc/self/cwd", room.at("cwd")).unwrap();
        Ok(Expect::Gone)
    }),
    ("hard links to precious files", |room| {
        for name in ["thesis.tex", "photos/1.jpg", "photos/2.jpg", ".ssh/id_ed25519", "bin/tool"] {
            let to = room.at(name.replace('/', "-"));
            fs::hard_link(home(name), to).unwrap();
        }
        Ok(Expect::Gone)
    }),
    ("a hard link to a precious file that is immutable", |room| {
        room.on_disk();
        let precious = std::path::Path::new(DISK).join("me/ledger");
        fs::hard_link(&precious, room.at("linked")).unwrap();
        needs(set_flags(&precious, IFlags::IMMUTABLE), "chattr +i")?;
        let left = room.at("linked");
        room.release.push(Box::new(move || set_flags(&precious, IFlags::empty()).unwrap()));
        Ok(Expect::Left(vec![left]))
    }),
    ("the path given is a link to the work directory", |room| refused_link(room, false)),
    ("the path given is a link to a home with a marker", |room| refused_link(room, true)),
];

fn refused_link(room: &mut Room, precious: bool) -> Result<Expect, Skip> {
    room.fill(2);
    let to = if precious { home("photos") } else { room.work.clone() };
    if precious {
        fs::copy(room.at(isoprep::eject::MARKER), to.join(isoprep::eject::MARKER)).unwrap();
    }
    let link = home("shortcut");
    symlink(to, &link).unwrap();
    // The link itself is nobody's loss.
    room.passed_over.push(link.clone());
    room.target = link;
    Ok(Expect::Kept(vec!["symbolic link".into()]))
}
