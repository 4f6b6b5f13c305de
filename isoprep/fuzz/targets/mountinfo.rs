//! The tables of mounts and of swap: what one of the two readers takes for a mount, the other may refuse, but never see elsewhere.
#![no_main]
#![allow(dead_code)]

use std::path::Path;

use cartridge_disks::mounts;
use libfuzzer_sys::fuzz_target;

#[path = "../../src/eject/mountinfo.rs"]
mod mountinfo;

fuzz_target!(|bytes: &[u8]| {
    let _ = mounts::swaps(bytes);
    let (disks, eject) = (mounts::mounts(bytes), mountinfo::parse(bytes));
    if let Ok(eject) = &eject {
        let _ = mountinfo::inside(eject, Path::new("/home/me"));
        for mount in eject {
            if let Some(place) = mountinfo::Place::under(mount, eject) {
                let _ = mountinfo::upon(eject, &place);
            }
        }
    }
    if let (Ok(disks), Ok(eject)) = (disks, eject) {
        let points = |mut all: Vec<std::path::PathBuf>| {
            all.sort();
            all
        };
        let (one, other) = (disks.into_iter().map(|it| it.point), eject.into_iter().map(|it| it.point));
        assert_eq!(points(one.collect()), points(other.collect()));
    }
});
