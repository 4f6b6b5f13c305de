//! The requests of both helpers, as their own code reads them, and the folders that one names, opened as the helper opens them:
//! whatever is accepted is a plain path, and what is open is what lies there, reached through no link.
#![no_main]
#![allow(dead_code)]

use std::os::fd::AsRawFd;
use std::path::{Component, Path};

use libfuzzer_sys::fuzz_target;

#[path = "../../deploy-helper/src/request.rs"]
mod disk_request;
#[path = "../../mkarchiso-helper/src/error.rs"]
mod error;
#[path = "../../mkarchiso-helper/src/pinned.rs"]
mod pinned;
#[path = "../../mkarchiso-helper/src/request.rs"]
mod request;
/// What `error` names of the helper.
mod ids {
    pub(crate) const COUNT: u32 = 65_536;
}

/// What `disk_request` names of its helper.
#[derive(Debug)]
pub(crate) enum HelperError {
    Request(String),
    Read(std::io::Error),
}

fn plain(path: &Path) -> bool {
    path.is_absolute() && path.components().skip(1).all(|it| matches!(it, Component::Normal(_)))
}

fuzz_target!(|bytes: &[u8]| {
    if let Ok(request) = disk_request::Request::read(bytes) {
        let name = &request.disk.name;
        assert!(!name.is_empty() && !name.contains(['/', '.', '\0']) && request.needed > 0, "{request:?}");
    }
    let Ok(request) = request::Request::parse(bytes) else { return };
    let uid = rustix::process::geteuid().as_raw();
    for path in &request.clear {
        assert!(plain(path), "{path:?}");
        // Without a marker it is refused, and with one it is what it says.
        if let Ok(open) = pinned::marked_directory("clear", path, uid) {
            at(&open, path);
        }
    }
    let Some(build) = &request.build else { return };
    assert!(build.out.starts_with(&build.work) && build.out != build.work);
    let all = [&build.profile, &build.work, &build.out].into_iter().chain(&build.readable);
    assert!(all.clone().all(|path| plain(path)), "{build:?}");
    if let Ok(pinned) = pinned::Pinned::open(build, uid) {
        at(&pinned.profile, &build.profile);
        at(&pinned.work, &build.work);
        at(&pinned.out, &build.out);
        pinned.readable.iter().for_each(|(path, open)| at(open, path));
    }
});

fn at(open: &impl AsRawFd, path: &Path) {
    let there = std::fs::read_link(format!("/proc/self/fd/{}", open.as_raw_fd()));
    assert_eq!(there.unwrap(), path);
}
