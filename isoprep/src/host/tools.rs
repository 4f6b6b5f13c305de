//! The programs that build a distribution's image, found before anything is built.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::{HostSearch, MissingPart, MissingParts, places};
use crate::recipe::EngineKind;

/// A program, and what brings it.
struct Tool {
    name: &'static str,
    advice: &'static str,
}

const BASH: Tool = Tool { name: "bash", advice: "install bash" };
const SQUASH: Tool = Tool { name: "mksquashfs", advice: "install squashfs-tools" };
const UNSQUASH: Tool = Tool { name: "unsquashfs", advice: "install squashfs-tools" };
const XORRISO: Tool = Tool { name: "xorriso", advice: "install xorriso (Debian, Ubuntu, Fedora) or libisoburn (Arch)" };
const PACMAN_ADVICE: &str = "install pacman-package-manager (Debian, Ubuntu) or pacman (Arch, Fedora)";
const PACMAN: Tool = Tool { name: "pacman", advice: PACMAN_ADVICE };
const PACMAN_CONF: Tool = Tool { name: "pacman-conf", advice: PACMAN_ADVICE };
const MMDEBSTRAP: Tool = Tool { name: "mmdebstrap", advice: "install mmdebstrap" };
const APT: Tool = Tool { name: "apt-get", advice: "install apt" };
const TAR: Tool = Tool { name: "tar", advice: "install tar" };

/// Programs that only some profiles need; each is asked for when it is.
const SOMETIMES: [Tool; 5] = [
    Tool { name: "grub-mkstandalone", advice: "install grub-common and grub-efi-amd64-bin (Debian, Ubuntu) or grub" },
    Tool { name: "mkfs.erofs", advice: "install erofs-utils" },
    Tool { name: "mkfs.ext4", advice: "install e2fsprogs" },
    Tool { name: "pacman-key", advice: PACMAN_ADVICE },
    Tool { name: "gpg", advice: "install gnupg" },
];

/// Boot loaders of the host, for images whose root file system brings none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoaderParts {
    /// `isolinux.bin`: starts the CD with BIOS.
    pub isolinux: PathBuf,
    /// `isohdpfx.bin`: starts the USB disk with BIOS.
    pub isohdpfx: PathBuf,
    /// `ldlinux.c32`: isolinux's second half.
    pub ldlinux: PathBuf,
    /// `systemd-bootx64.efi`: starts with UEFI.
    pub systemd_boot: PathBuf,
}

/// What the host contributes to a distribution's image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tools {
    programs: BTreeMap<&'static str, PathBuf>,
    /// Boot loaders, for the engines that need the host's.
    pub loaders: Option<LoaderParts>,
}

impl Tools {
    /// Finds everything that `engine` needs.
    ///
    /// # Errors
    /// [`MissingParts`] with all that are missing, not only the first.
    pub fn find(search: &HostSearch, engine: EngineKind) -> Result<Self, MissingParts> {
        let needed: &[&Tool] = match engine {
            EngineKind::Micro => &[],
            EngineKind::Archiso => &[&BASH, &PACMAN, &PACMAN_CONF, &SQUASH, &UNSQUASH, &XORRISO],
            EngineKind::Mkarchiso => &[&BASH, &PACMAN_CONF, &XORRISO],
            EngineKind::Debian => &[&BASH, &APT, &MMDEBSTRAP, &SQUASH, &UNSQUASH, &XORRISO],
            EngineKind::Tree => &[&BASH, &TAR, &SQUASH, &UNSQUASH, &XORRISO],
        };
        let mut missing = Vec::new();
        let mut programs = BTreeMap::new();
        for tool in needed {
            match program(search, tool.name) {
                Ok(path) => drop(programs.insert(tool.name, path)),
                Err(looked) => missing.push(MissingPart { part: tool.name, looked, advice: tool.advice.to_owned() }),
            }
        }
        for tool in &SOMETIMES {
            if let Ok(path) = program(search, tool.name) {
                programs.insert(tool.name, path);
            }
        }
        let mut loaders = None;
        if matches!(engine, EngineKind::Debian | EngineKind::Tree) {
            let mut found = |place| places::find(search, place).map_err(|part| missing.push(part)).ok();
            let all = [&places::ISOLINUX, &places::ISOHDPFX, &places::LDLINUX, &places::SYSTEMD_BOOT].map(&mut found);
            if let [Some(isolinux), Some(isohdpfx), Some(ldlinux), Some(systemd_boot)] = all {
                loaders = Some(LoaderParts { isolinux, isohdpfx, ldlinux, systemd_boot });
            }
        }
        if missing.is_empty() { Ok(Self { programs, loaders }) } else { Err(MissingParts(missing)) }
    }

    /// The path of a program.
    ///
    /// # Errors
    /// What to install, for a program that only some images need and that is not there.
    pub fn program(&self, name: &str) -> Result<&Path, String> {
        let advice = || SOMETIMES.iter().find(|tool| tool.name == name).map_or("install it", |tool| tool.advice);
        self.programs.get(name).map(PathBuf::as_path).ok_or_else(|| format!("{name} is not installed: {}", advice()))
    }
}

/// A program of the host; administrators' folders are outside an ordinary user's `PATH` on Debian.
fn program(search: &HostSearch, name: &str) -> Result<PathBuf, Vec<String>> {
    let mut looked = Vec::new();
    let more = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    for path in search.path.iter().chain(&more).map(|dir| dir.join(name)) {
        match std::fs::metadata(&path) {
            Ok(meta) if meta.is_file() && meta.permissions().mode() & 0o111 != 0 => return Ok(path),
            Ok(_) => looked.push(format!("{}: not a program", path.display())),
            Err(e) => looked.push(format!("{}: {e}", path.display())),
        }
    }
    Err(looked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_is_missing_is_named_with_what_brings_it() {
        let search = HostSearch { root: "/none".into(), kernel_stores: vec![], kernel: None, path: vec![] };
        let MissingParts(missing) = Tools::find(&search, EngineKind::Debian).unwrap_err();
        assert!(missing.len() >= 5, "{missing:?}");
        assert!(missing.iter().any(|it| it.part == "mmdebstrap") && missing.iter().any(|it| it.part == "isolinux.bin"));
        assert!(
            Tools::find(&search, EngineKind::Micro)
                .unwrap()
                .program("grub-mkstandalone")
                .is_err_and(|e| e.contains("grub-common"))
                || program(&search, "grub-mkstandalone").is_ok()
        );
    }
}
