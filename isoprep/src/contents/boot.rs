//! Boot entries out of the configuration that an image carries. Which files are configuration is decided by their paths;
//! what they say is read as in a profile.

use std::path::Path;

use super::error::Fault;
use super::model::{BootEntry, Kind, Loader};
use super::tree_path::TreePath;
use super::volume::{Listing, Volume};
use crate::profile::{self, BootModeKind, parse_boot_file};

/// The largest configuration file that is read, bytes.
pub(super) const LARGEST: u64 = 1 << 20;
/// How many configuration files of one image are read.
const MOST_FILES: usize = 256;
/// How many entries of one file are read.
const MOST_ENTRIES: usize = 1024;

/// Whose configuration the file at `path` is, if it is one.
pub(super) fn loader_of(path: &TreePath) -> Option<Loader> {
    // FAT, and ISO 9660 without Rock Ridge, have capitals.
    let parts: Vec<String> = path.parts().map(|part| String::from_utf8_lossy(part).to_ascii_lowercase()).collect();
    let (name, dirs) = parts.split_last()?;
    let dir = dirs.last().map(String::as_str);
    if name.ends_with(".conf") {
        return dirs.ends_with(&["loader".to_owned(), "entries".to_owned()]).then_some(Loader::SystemdBoot);
    }
    if !name.ends_with(".cfg") {
        return None;
    }
    match (dir, name.as_str()) {
        (Some("syslinux" | "isolinux"), _) | (_, "syslinux.cfg" | "isolinux.cfg") => Some(Loader::Syslinux),
        (Some("grub" | "grub2"), _) | (_, "grub.cfg") => Some(Loader::Grub),
        _ => None,
    }
}

/// The configuration files of a file system: whose, where, and their text. `read` were read of the same image before.
pub(super) fn files(
    volume: &dyn Volume,
    listing: &Listing,
    read: usize,
) -> Result<Vec<(Loader, TreePath, String)>, Fault> {
    let mut found = Vec::new();
    for (path, (entry, node)) in &listing.entries {
        let Kind::File { size, .. } = entry.kind else { continue };
        let Some(loader) = loader_of(path).filter(|_| size <= LARGEST) else { continue };
        if read + found.len() < MOST_FILES {
            let text = volume.read(*node, LARGEST)?;
            found.push((loader, path.clone(), String::from_utf8_lossy(&text).into_owned()));
        }
    }
    Ok(found)
}

/// The entries of one file. What is not understood is passed over.
pub(super) fn entries(loader: Loader, file: &TreePath, text: &str) -> Vec<BootEntry> {
    let entry = |entry: profile::BootEntry| BootEntry {
        loader,
        file: file.clone(),
        title: entry.title,
        kernel: entry.kernel,
        initrds: entry.initrds,
        options: entry.options,
    };
    parse(loader, file, text).into_iter().map(entry).collect()
}

/// The entries of one file with their lines.
pub(super) fn parse(loader: Loader, file: &TreePath, text: &str) -> Vec<profile::BootEntry> {
    let kind = match loader {
        Loader::Syslinux => BootModeKind::BiosSyslinux,
        Loader::Grub => BootModeKind::UefiGrub,
        Loader::SystemdBoot => BootModeKind::UefiSystemdBoot,
    };
    let mut found = parse_boot_file(kind, Path::new(&file.to_string()), text).entries;
    found.truncate(MOST_ENTRIES);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configuration_is_known_by_its_place() {
        let of = |path: &str| loader_of(&path.into());
        assert_eq!(of("boot/syslinux/archiso_sys-linux.cfg"), Some(Loader::Syslinux));
        assert_eq!(of("isolinux/isolinux.cfg"), Some(Loader::Syslinux));
        assert_eq!(of("ISOLINUX/ISOLINUX.CFG"), Some(Loader::Syslinux));
        assert_eq!(of("boot/grub/grub.cfg"), Some(Loader::Grub));
        assert_eq!(of("boot/grub/loopback.cfg"), Some(Loader::Grub));
        assert_eq!(of("EFI/debian/grub.cfg"), Some(Loader::Grub));
        assert_eq!(of("loader/entries/01-arch.conf"), Some(Loader::SystemdBoot));
        for other in ["loader/loader.conf", "entries/x.conf", "boot/grub/grubenv", "etc/x.cfg", "", "cfg"] {
            assert_eq!(of(other), None, "{other}");
        }
    }

    #[test]
    fn entries_name_their_loader_and_file() {
        let found = entries(Loader::SystemdBoot, &"loader/entries/a.conf".into(), "title A\nlinux /v\noptions x\n");
        let [entry] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!((entry.loader, entry.file.to_string().as_str()), (Loader::SystemdBoot, "loader/entries/a.conf"));
        assert_eq!((entry.title.as_str(), entry.kernel.as_deref(), entry.options.as_str()), ("A", Some("/v"), "x"));
        let many = "label x\nlinux /v\n".repeat(MOST_ENTRIES + 5);
        assert_eq!(entries(Loader::Syslinux, &"s.cfg".into(), &many).len(), MOST_ENTRIES);
    }
}
