//! Way B: layers on a disk. The disk is the one that the host calls `layer0`, unless the command line asks for another
//! (`root=LABEL=…`, `root=UUID=…`, `root=/dev/…`). On an ISO the layers of archiso, live-boot and their kin are found; a
//! squashfs, an erofs or an ext4 image is a layer itself. Disks `layer1`, `layer2`, … lie over it, in their order.

use std::path::{Path, PathBuf};

use rustix::mount::mount_bind;

use super::block::Wanted;
use super::disks::{Disk, children};
use super::{Failure, PLACE, disks, loop_device, overlay};
use crate::modules;

/// The label of a disk that keeps what is written; `vmtools/src/boot/keep.rs` makes it.
const KEEP: &str = "cartridge-keep";
/// The most layers: overlayfs takes more, but not in one line of options.
const MOST: usize = 64;
/// Where live systems of others look for what they were started from.
const MEDIUM_ALIASES: [(&str, &str); 2] = [("archiso", "/run/archiso/bootmnt"), ("live", "/run/live/medium")];

/// Puts the root together at its place.
pub(super) fn assemble(layers: &[String], keep: bool) -> Result<(), Failure> {
    let disk = root_disk()?;
    let mut lowers = Vec::new();
    if disk.volume.as_ref().is_some_and(|it| it.kind == "iso9660") {
        let medium = Path::new(PLACE).join("medium");
        overlay::mount_volume(&disk.device(), &medium, false)?;
        let files = if layers.is_empty() { found(&medium)? } else { named(&medium, layers)? };
        for file in files.iter().take(MOST) {
            lowers.push(mount_file(file, lowers.len())?);
        }
        show_medium(&medium, &files);
    } else {
        lowers.push(mount_layer(&disk.device(), 0)?);
    }
    for extra in extra_disks() {
        lowers.push(mount_layer(&extra.device(), lowers.len())?);
    }
    lowers.reverse();
    let keeping = if keep { Some(keep_disk()?) } else { None };
    overlay::overlay(&lowers, keeping.as_deref())
}

fn root_disk() -> Result<Disk, Failure> {
    let cmdline = std::fs::read_to_string("/proc/cmdline").unwrap_or_default();
    if let Some(wanted) = Wanted::of(&cmdline) {
        let found = disks::wait_for(|disk| wanted.is(&disk.name, disk.volume.as_ref()));
        return found.ok_or_else(|| Failure::new(format!("no disk is {wanted:?}, as root= asks")).with(disks::words()));
    }
    let whole = disks::wait_for(|disk| disk.serial == "layer0" && !disk.partition)
        .ok_or_else(|| Failure::new("no disk has the serial number layer0").with(disks::words()))?;
    if whole.volume.is_some() {
        return Ok(whole);
    }
    let parts = disks::wait_for(|disk| disk.serial == "layer0" && disk.partition && disk.volume.is_some());
    let failed = || Failure::new(format!("/dev/{} holds no file system that is known here", whole.name));
    parts.ok_or_else(|| failed().with(disks::words()))
}

fn keep_disk() -> Result<PathBuf, Failure> {
    let is_it = |disk: &Disk| disk.volume.as_ref().is_some_and(|it| it.label == KEEP);
    let found = disks::wait_for(is_it).map(|disk| disk.device());
    found.ok_or_else(|| Failure::new(format!("no disk is labelled {KEEP}")).with(disks::words()))
}

/// The whole disks `layer1` and up, lowest first.
fn extra_disks() -> Vec<Disk> {
    let number = |disk: &Disk| disk.serial.strip_prefix("layer")?.parse::<u32>().ok().filter(|it| *it > 0);
    let mut found: Vec<(u32, Disk)> = disks::all()
        .into_iter()
        .filter(|disk| !disk.partition)
        .filter_map(|disk| Some((number(&disk)?, disk)))
        .collect();
    found.sort_by_key(|(number, _)| *number);
    found.into_iter().map(|(_, disk)| disk).take(MOST).collect()
}

fn named(medium: &Path, layers: &[String]) -> Result<Vec<PathBuf>, Failure> {
    let files: Vec<PathBuf> = layers.iter().map(|it| medium.join(it.trim_start_matches('/'))).collect();
    match files.iter().zip(layers).find(|(file, _)| !file.is_file()) {
        None => Ok(files),
        Some((_, layer)) => Err(Failure::new(format!("the medium has no {layer}")).with(contents(medium))),
    }
}

/// The layers of a live system, lowest first.
fn found(medium: &Path) -> Result<Vec<PathBuf>, Failure> {
    let files = archiso(medium).or_else(|| live(medium)).or_else(|| others(medium));
    files.ok_or_else(|| {
        Failure::new("the medium has no layers of archiso (*/x86_64/airootfs.sfs) or live-boot (live/*.squashfs)")
            .with(contents(medium))
    })
}

/// `<install_dir>/x86_64/airootfs.sfs` or `.erofs`, and the layer of a build of ours beside it.
fn archiso(medium: &Path) -> Option<Vec<PathBuf>> {
    children(medium).into_iter().map(|dir| dir.join("x86_64")).find_map(|dir| {
        let root = ["airootfs.sfs", "airootfs.erofs"].map(|it| dir.join(it)).into_iter().find(|it| it.is_file())?;
        let ours = Some(dir.join("cartridge.sfs")).filter(|it| it.is_file());
        Some(std::iter::once(root).chain(ours).collect())
    })
}

/// `live/filesystem.module` names them, or all count in the order of their names (live-boot, `9990-overlay.sh`).
fn live(medium: &Path) -> Option<Vec<PathBuf>> {
    let dir = medium.join("live");
    let list = std::fs::read_to_string(dir.join("filesystem.module")).unwrap_or_default();
    let plain = |name: &&str| !name.is_empty() && !name.contains('/');
    let listed: Vec<PathBuf> = list.lines().map(str::trim).filter(plain).map(|name| dir.join(name)).collect();
    let is_layer =
        |it: &PathBuf| it.extension().is_some_and(|end| ["squashfs", "erofs"].iter().any(|known| end == *known));
    let all = if listed.is_empty() { children(&dir).into_iter().filter(is_layer).collect() } else { listed };
    let files: Vec<PathBuf> = all.into_iter().filter(|it| it.is_file()).collect();
    (!files.is_empty()).then_some(files)
}

/// casper of Ubuntu, and dracut's live systems.
fn others(medium: &Path) -> Option<Vec<PathBuf>> {
    let known = ["casper/filesystem.squashfs", "LiveOS/squashfs.img"];
    known.iter().map(|it| medium.join(it)).find(|it| it.is_file()).map(|it| vec![it])
}

fn mount_file(file: &Path, number: usize) -> Result<PathBuf, Failure> {
    modules::load_named("loop");
    let device = loop_device::attach(file).map_err(|e| Failure::new(format!("{} as a disk: {e}", file.display())))?;
    mount_layer(&device, number)
}

/// Mounts a layer to be read, and where it is nothing but an image, that image.
fn mount_layer(device: &Path, number: usize) -> Result<PathBuf, Failure> {
    let at = Path::new(PLACE).join(format!("layer{number}"));
    overlay::mount_volume(device, &at, false)?;
    let inside = ["airootfs.img", "LiveOS/rootfs.img"].map(|it| at.join(it)).into_iter().find(|it| it.is_file());
    let Some(image) = inside.filter(|_| !at.join("etc").exists()) else { return Ok(at) };
    modules::load_named("loop");
    let device =
        loop_device::attach(&image).map_err(|e| Failure::new(format!("{} as a disk: {e}", image.display())))?;
    let inner = Path::new(PLACE).join(format!("image{number}"));
    overlay::mount_volume(&device, &inner, false)?;
    Ok(inner)
}

/// Lets programs of the live system find the medium where its own initramfs puts it. Nothing depends on it.
fn show_medium(medium: &Path, files: &[PathBuf]) {
    let live = files.iter().any(|it| it.parent().is_some_and(|dir| dir.ends_with("live")));
    let wanted = if live { "live" } else { "archiso" };
    for (_, at) in MEDIUM_ALIASES.iter().filter(|(kind, _)| *kind == wanted) {
        if std::fs::create_dir_all(at).is_ok() {
            let _ = mount_bind(medium, *at);
        }
    }
}

/// What lies on a medium, two levels deep, for people.
fn contents(medium: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    for top in children(medium) {
        let name = |path: &Path| path.strip_prefix(medium).unwrap_or(path).display().to_string();
        let below: Vec<String> = children(&top).iter().map(|it| name(it)).collect();
        lines.push(if below.is_empty() { name(&top) } else { below.join(" ") });
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn medium(files: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for file in files {
            let path = dir.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "x").unwrap();
        }
        dir
    }

    fn names(dir: &tempfile::TempDir) -> Vec<String> {
        let files = found(dir.path()).unwrap();
        files.iter().map(|it| it.strip_prefix(dir.path()).unwrap().display().to_string()).collect()
    }

    #[test]
    fn layers_of_each_kind_of_live_system_are_found() {
        let arch = medium(&["boot/x", "homerchy/x86_64/airootfs.erofs", "homerchy/x86_64/cartridge.sfs"]);
        assert_eq!(names(&arch), ["homerchy/x86_64/airootfs.erofs", "homerchy/x86_64/cartridge.sfs"]);
        let debian = medium(&["live/filesystem.squashfs", "live/vmlinuz", "live/zz.squashfs", "live/a.squashfs"]);
        assert_eq!(names(&debian), ["live/a.squashfs", "live/filesystem.squashfs", "live/zz.squashfs"]);
        std::fs::write(debian.path().join("live/filesystem.module"), "zz.squashfs\n\n../x\nfilesystem.squashfs\n")
            .unwrap();
        assert_eq!(names(&debian), ["live/zz.squashfs", "live/filesystem.squashfs"]);
        assert_eq!(names(&medium(&["casper/filesystem.squashfs"])), ["casper/filesystem.squashfs"]);
    }

    #[test]
    fn what_a_medium_lacks_is_said_with_what_it_has() {
        let dir = medium(&["setup/install.exe", "readme"]);
        let failure = found(dir.path()).unwrap_err();
        assert!(failure.what.contains("no layers") && failure.there == ["readme", "setup/install.exe"], "{failure:?}");
        let failure = named(dir.path(), &["/a/b.sfs".to_owned()]).unwrap_err();
        assert!(failure.what.contains("no /a/b.sfs"), "{failure:?}");
    }
}
