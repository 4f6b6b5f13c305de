//! Way C: a folder of the host as the root, over 9p or virtiofs, by its mount tag.

use std::path::{Path, PathBuf};

use super::{Failure, NEW_ROOT, PLACE, overlay};
use crate::modules;
use crate::shares::{self, Access, Kind};

/// Puts the root together at its place.
pub(super) fn assemble(tag: &str, access: Access) -> Result<(), Failure> {
    let lower = Path::new(PLACE).join("folder");
    let at = if access == Access::Overlaid { lower.as_path() } else { Path::new(NEW_ROOT) };
    overlay::make(at)?;
    let mut why = Vec::new();
    let kinds = kinds(tag);
    let mounted = kinds.iter().any(|kind| {
        let (word, names): (&str, &[&str]) = match kind {
            Kind::Plan9 => ("9p", &["9pnet_virtio", "9p"]),
            Kind::Virtiofs => ("virtiofs", &["virtiofs"]),
        };
        names.iter().for_each(|module| modules::load_named(module));
        match shares::mount_share(tag, *kind, access == Access::Writable, at) {
            Ok(()) => true,
            Err((_, detail)) => {
                why.push(format!("by {word}: {detail}"));
                false
            }
        }
    });
    if !mounted {
        let what = format!("the folder of the host that is the root, {tag:?}, is not there ({})", why.join("; "));
        return Err(Failure::new(what).with(tags()));
    }
    if access == Access::Overlaid {
        return overlay::overlay(&[PathBuf::from(at)], None);
    }
    Ok(())
}

/// How it gets here: as the only device does, as the host says, or whichever answers.
fn kinds(tag: &str) -> Vec<Kind> {
    if let [only] = shares::devices()[..] {
        return vec![only];
    }
    modules::load_named("qemu_fw_cfg");
    // Without the list nothing is lost: both are tried.
    let listed = shares::listed(&mut Vec::new()).into_iter().find(|share| share.tag == tag);
    listed.map_or_else(|| vec![Kind::Plan9, Kind::Virtiofs], |share| vec![share.kind])
}

/// The folders that this machine has, for people (`mount_tag` of drivers/net/9p; `tag` of virtiofs since Linux 6.9).
fn tags() -> Vec<String> {
    let mut found = Vec::new();
    for (dir, name, kind) in [("/sys/bus/virtio/devices", "mount_tag", "9p"), ("/sys/fs/virtiofs", "tag", "virtiofs")] {
        for device in super::disks::children(Path::new(dir)) {
            if let Ok(tag) = std::fs::read_to_string(device.join(name)) {
                found.push(format!("{kind}: {}", tag.trim_end_matches(['\0', '\n'])));
            }
        }
    }
    if found.is_empty() {
        found.push("this machine has no folder of the host that the kernel can see".to_owned());
    }
    found
}
