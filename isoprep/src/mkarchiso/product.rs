//! Looks at an image that mkarchiso made: it is whole, and what its boot entries name is on it. mkarchiso ends with 0
//! for a boot entry whose kernel does not exist.

use std::collections::BTreeSet;
use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::profile::{BootEntry, BootModeKind, Profile};

/// Where an ISO 9660 image has its primary volume descriptor, bytes (ECMA-119, 8.4: sector 16 of 2048 bytes).
const DESCRIPTOR: u64 = 16 * 2048;

/// A file that a boot entry names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct BootFile {
    /// Where it must be on the image: absolute, no templates left.
    pub path: String,
    /// The entry's title.
    pub entry: String,
    /// The file that has the entry, relative to the profile.
    pub file: PathBuf,
    /// The line in it that names the kernel, or where the entry begins, from 1.
    pub line: usize,
    /// Whether the entry starts the live system. Others (a memory test, a firmware shell) are comforts.
    pub live: bool,
}

/// A file that a boot entry names and that is not on the image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Shortfall {
    /// Which.
    pub missing: BootFile,
    /// Files of the same kind that are there.
    pub there: Vec<String>,
}

impl fmt::Display for Shortfall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let BootFile { path, entry, file, line, .. } = &self.missing;
        write!(f, "{}:{line}: the boot entry \"{entry}\" names {path}, which is not on the image", file.display())?;
        if !self.there.is_empty() {
            write!(f, "; there is {}", self.there.join(", "))?;
        }
        Ok(())
    }
}

/// Every file that the boot entries of a profile name, for the boot modes that it uses. Names that only the boot loader
/// can resolve (GRUB's variables) are left out.
#[must_use]
pub fn boot_files(profile: &Profile) -> Vec<BootFile> {
    let used = |kind: BootModeKind| profile.definition.boot_modes.iter().any(|mode| mode.kind == Some(kind));
    let mut files = Vec::new();
    for entry in profile.boot_entries.iter().filter(|entry| used(entry.loader)) {
        let live = !entry.initrds.is_empty();
        for name in entry.kernel.iter().chain(&entry.initrds) {
            if let Some(path) = resolve(entry, name, profile) {
                let line = entry.kernel_line.unwrap_or(entry.line);
                files.push(BootFile { path, entry: entry.title.clone(), file: entry.file.clone(), line, live });
            }
        }
    }
    files
}

/// The files that are not on the image; `there` has every path on it, absolute.
#[must_use]
pub fn shortfalls(wanted: &[BootFile], there: &BTreeSet<String>) -> Vec<Shortfall> {
    let missing = wanted.iter().filter(|file| !there.contains(&file.path));
    missing.map(|file| Shortfall { missing: file.clone(), there: alike(&file.path, there) }).collect()
}

/// A name as written in a boot entry, as a path on the image.
fn resolve(entry: &BootEntry, name: &str, profile: &Profile) -> Option<String> {
    let definition = &profile.definition;
    let name = name.replace("%INSTALL_DIR%", &definition.install_dir).replace("%ARCH%", &definition.arch);
    if name.contains(['$', '%', '(']) {
        return None;
    }
    // SYSLINUX takes relative names from where its configuration lies.
    let start =
        if entry.loader == BootModeKind::BiosSyslinux && !name.starts_with('/') { "/boot/syslinux/" } else { "/" };
    let mut parts: Vec<&str> = Vec::new();
    let whole = format!("{start}{name}");
    for part in whole.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    Some(format!("/{}", parts.join("/")))
}

/// Files beside a missing one whose names begin alike: other kernels, other initramfs images.
fn alike(path: &str, there: &BTreeSet<String>) -> Vec<String> {
    let Some((dir, name)) = path.rsplit_once('/') else { return Vec::new() };
    let stem = name.split('-').next().unwrap_or(name);
    let near =
        there.iter().filter(|it| it.strip_prefix(dir).is_some_and(|rest| rest.starts_with(&format!("/{stem}-"))));
    near.take(5).cloned().collect()
}

/// Reads the list that `xorriso -find / -type f` prints: a path in single quotes a line, quotes inside it as `'"'"'`.
pub(super) fn parse_list(text: &str) -> BTreeSet<String> {
    let unquoted = |line: &str| {
        let inner = line.trim().strip_prefix('\'')?.strip_suffix('\'')?;
        Some(inner.replace("'\"'\"'", "'"))
    };
    text.lines().filter_map(unquoted).collect()
}

/// Why a file is no whole ISO 9660 image; `None` if it is one.
pub(super) fn not_whole(iso: &Path) -> io::Result<Option<String>> {
    let mut file = File::open(iso)?;
    let bytes = file.metadata()?.len();
    let mut descriptor = [0; 88];
    if bytes < DESCRIPTOR + 2048 {
        return Ok(Some(format!("it has {bytes} bytes")));
    }
    file.seek(SeekFrom::Start(DESCRIPTOR))?;
    file.read_exact(&mut descriptor)?;
    if descriptor.get(1..6) != Some(b"CD001") {
        return Ok(Some("it is no ISO 9660 image".to_owned()));
    }
    // The volume's size in blocks of 2048 bytes, little-endian first (8.4.8).
    let blocks = descriptor.get(80..84).and_then(|it| it.try_into().ok()).map_or(0, u32::from_le_bytes);
    let wanted = u64::from(blocks) * 2048;
    Ok((bytes < wanted).then(|| format!("it has {bytes} bytes of {wanted}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::{BootMode, Definition, ImageType, PackageList, PacmanConf};

    fn entry(loader: BootModeKind, kernel: &str, initrds: &[&str]) -> BootEntry {
        BootEntry {
            loader,
            file: "syslinux/syslinux.cfg".into(),
            line: 1,
            title: "Arch".into(),
            kernel: Some(kernel.into()),
            kernel_line: Some(3),
            initrds: initrds.iter().map(|it| (*it).into()).collect(),
            options: String::new(),
        }
    }

    fn profile(entries: Vec<BootEntry>) -> Profile {
        let mode = |kind| BootMode { word: String::new(), kind: Some(kind) };
        Profile {
            dir: "/p".into(),
            definition: Definition {
                iso_name: "a".into(),
                iso_label: "A".into(),
                iso_publisher: String::new(),
                iso_application: String::new(),
                iso_version: "1".into(),
                install_dir: "arch".into(),
                build_modes: vec!["iso".into()],
                boot_modes: vec![mode(BootModeKind::BiosSyslinux), mode(BootModeKind::UefiSystemdBoot)],
                arch: "x86_64".into(),
                pacman_conf: "pacman.conf".into(),
                image_type: ImageType::Squashfs,
                image_tool_options: Vec::new(),
                bootstrap_compression: Vec::new(),
                ..Definition::default()
            },
            packages: PackageList::default(),
            bootstrap_packages: None,
            pacman_conf: PacmanConf::default(),
            boot_entries: entries,
            initcpio_configs: Vec::new(),
            initcpio_presets: Vec::new(),
            customizes: false,
            warnings: Vec::new(),
        }
    }

    #[test]
    fn names_become_paths_on_the_image() {
        let kernel = "/%INSTALL_DIR%/boot/%ARCH%/vmlinuz-linux";
        let files = boot_files(&profile(vec![
            entry(BootModeKind::BiosSyslinux, kernel, &["../../arch/./boot/x.img"]),
            entry(BootModeKind::BiosSyslinux, "memtest", &[]),
            entry(BootModeKind::UefiGrub, "/not/used", &[]),
            entry(BootModeKind::UefiSystemdBoot, "/$x/vmlinuz", &["/%FOO%/x"]),
        ]));
        let shown: Vec<_> = files.iter().map(|it| (it.path.as_str(), it.live)).collect();
        let wanted =
            [("/arch/boot/x86_64/vmlinuz-linux", true), ("/arch/boot/x.img", true), ("/boot/syslinux/memtest", false)];
        assert_eq!(shown, wanted);
    }

    #[test]
    fn a_missing_kernel_is_told_with_those_that_are_there() {
        let kernel = "/%INSTALL_DIR%/boot/%ARCH%/vmlinuz-linux-zen";
        let wanted = boot_files(&profile(vec![entry(BootModeKind::UefiSystemdBoot, kernel, &["/i"])]));
        let there = parse_list("'/arch/boot/x86_64/vmlinuz-linux'\n'/i'\nnoise\n'/it'\"'\"'s'\n");
        assert!(there.contains("/it's"));
        let found = shortfalls(&wanted, &there);
        assert_eq!(
            found.iter().map(ToString::to_string).collect::<Vec<_>>(),
            [
                "syslinux/syslinux.cfg:3: the boot entry \"Arch\" names /arch/boot/x86_64/vmlinuz-linux-zen, which is not on \
              the image; there is /arch/boot/x86_64/vmlinuz-linux"
            ]
        );
    }

    #[test]
    fn half_an_image_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let iso = dir.path().join("x.iso");
        let of = |bytes: &[u8]| {
            std::fs::write(&iso, bytes).unwrap();
            not_whole(&iso).unwrap()
        };
        assert!(of(b"").unwrap().contains("0 bytes"));
        let mut bytes = vec![0; 64 * 1024];
        assert!(of(&bytes).unwrap().contains("no ISO"));
        bytes[32769..32774].copy_from_slice(b"CD001");
        bytes[32848..32852].copy_from_slice(&32_u32.to_le_bytes());
        assert_eq!(of(&bytes), None);
        bytes[32848..32852].copy_from_slice(&33_u32.to_le_bytes());
        assert_eq!(of(&bytes).unwrap(), "it has 65536 bytes of 67584");
    }
}
