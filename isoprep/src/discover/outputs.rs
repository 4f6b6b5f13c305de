//! What other builders left in a repository: work folders, images, saved machines. None of it belongs into an image. Pure.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::listing::{Entries, Kind, Listing, name};

/// Names that builders give to the folders in which they work and leave images.
const CALLED: [&str; 7] = ["work", "out", "output", "isoout", "iso-out", "iso_out", "vm-saves"];
/// What mkarchiso's work folder has for each step that is done (`_run_once`), by the build mode.
const STEPS: [&str; 4] = ["base._", "iso._", "netboot._", "bootstrap._"];
/// Ends of the names of images and disks.
const IMAGES: [&str; 5] = [".iso", ".qcow2", ".vmdk", ".vdi", ".vhdx"];

/// Why something counts as a builder's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum OutputKind {
    /// A folder in which mkarchiso worked.
    Work,
    /// A folder with images in it that is called as builders call it.
    Images,
    /// A folder that is called as builders call it, with nothing in it.
    Empty,
    /// A single image.
    Image,
    /// A file about virtual machines: the variables of one's firmware, or an index of all.
    Machine,
}

/// Something that a builder left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Output {
    /// The folder or file.
    pub path: PathBuf,
    /// Why it counts as one.
    pub kind: OutputKind,
}

/// Whether a folder is a builder's. What is called so and holds other things may be somebody's work: it is left alone.
pub(crate) fn of(folder: &Path, entries: &Entries) -> Option<OutputKind> {
    let called = name(folder).is_some_and(|name| CALLED.contains(&name));
    let has = |wanted: &str, kind: Kind| entries.get(OsStr::new(wanted)) == Some(&kind);
    let step = |entry: &std::ffi::OsString| STEPS.iter().any(|step| entry.to_string_lossy().starts_with(step));
    if folder.as_os_str().is_empty() {
        None
    } else if entries.keys().any(step)
        || (has("x86_64", Kind::Folder) && (has("iso", Kind::Folder) || has("build_date", Kind::File)))
        // One that ended before its first step was done.
        || (has("x86_64", Kind::Folder) && name(folder) == Some("work"))
    {
        Some(OutputKind::Work)
    } else if called && entries.is_empty() {
        Some(OutputKind::Empty)
    } else if called && entries.keys().any(|entry| is_image(&entry.to_string_lossy())) {
        Some(OutputKind::Images)
    } else {
        None
    }
}

fn is_image(name: &str) -> bool {
    IMAGES.iter().any(|end| name.ends_with(end))
}

/// `OVMF_VARS.4m.fd`, `vm-index.json`, `vms.json`.
fn is_of_a_machine(name: &str) -> bool {
    let parts: Vec<_> = name.split(['-', '_', '.']).collect();
    (parts.contains(&"VARS") && name.ends_with(".fd"))
        || (parts.contains(&"vm") && parts.contains(&"index"))
        || name.ends_with(".nvram")
        || name == "vms.json"
}

pub(super) fn find(listing: &Listing) -> Vec<Output> {
    let folders = listing.folders.iter().filter_map(|(path, entries)| Some((path.clone(), of(path, entries)?)));
    let mut found: Vec<_> = folders.map(|(path, kind)| Output { path, kind }).collect();
    let single = |path: PathBuf| {
        let name = path.file_name()?.to_string_lossy().into_owned();
        let image = is_image(&name).then_some(OutputKind::Image);
        image.or(is_of_a_machine(&name).then_some(OutputKind::Machine)).map(|kind| Output { path, kind })
    };
    let inside = |path: &Path| found.iter().any(|output| path.starts_with(&output.path));
    let singles: Vec<_> = listing.files().filter_map(single).filter(|output| !inside(&output.path)).collect();
    found.extend(singles);
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

#[cfg(test)]
mod tests {
    use super::super::listing::listed;
    use super::*;

    #[test]
    fn folders_are_judged_by_what_they_hold() {
        let found = find(&listed(&[
            ("isoprep/work/x86_64/airootfs/etc/x", ""),
            ("isoprep/work/build_date", ""),
            ("a/build/base._make_packages", ""),
            ("b/work/x86_64/airootfs/etc/x", ""),
            ("isoprep/isoout/homerchy.iso", ""),
            ("out/", ""),
            ("lib/work/main.rs", ""),
            ("src/out/mod.rs", ""),
            ("disk.qcow2", ""),
            ("vm/OVMF_VARS.4m.fd", ""),
            ("vm/vm-index.json", ""),
            ("docs/index.html", ""),
        ]));
        let found: Vec<_> = found.iter().map(|it| (it.path.to_str().unwrap(), it.kind)).collect();
        assert_eq!(
            found,
            [
                ("a/build", OutputKind::Work),
                ("b/work", OutputKind::Work),
                ("disk.qcow2", OutputKind::Image),
                ("isoprep/isoout", OutputKind::Images),
                ("isoprep/work", OutputKind::Work),
                ("out", OutputKind::Empty),
                ("vm/OVMF_VARS.4m.fd", OutputKind::Machine),
                ("vm/vm-index.json", OutputKind::Machine),
            ]
        );
    }
}
