//! Our own small archiso profile, which is in `assets/profiles/minimal` and in the program: a base for everybody who has
//! neither a profile nor archiso.

use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

/// An entry of the profile: folders come before what is in them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MinimalEntry {
    /// Relative to the profile.
    pub path: &'static str,
    /// What it holds.
    pub content: MinimalContent,
}

/// What an entry of the profile holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MinimalContent {
    /// A file, mode 0644.
    File(&'static [u8]),
    /// A symbolic link and where it leads, in the image.
    Link(&'static str),
}

macro_rules! file {
    ($path:literal) => {
        MinimalEntry {
            path: $path,
            content: MinimalContent::File(include_bytes!(concat!("../../../assets/profiles/minimal/", $path))),
        }
    };
}

const fn link(path: &'static str, target: &'static str) -> MinimalEntry {
    MinimalEntry { path, content: MinimalContent::Link(target) }
}

/// Everything in the profile, sorted by path.
pub const MINIMAL: &[MinimalEntry] = &[
    file!("airootfs/etc/hostname"),
    file!("airootfs/etc/locale.conf"),
    link("airootfs/etc/localtime", "/usr/share/zoneinfo/UTC"),
    file!("airootfs/etc/mkinitcpio.conf.d/live.conf"),
    file!("airootfs/etc/mkinitcpio.d/linux.preset"),
    link("airootfs/etc/resolv.conf", "/run/systemd/resolve/stub-resolv.conf"),
    file!("airootfs/etc/shadow"),
    file!("airootfs/etc/systemd/network/20-wired.network"),
    file!("airootfs/etc/systemd/system/getty@tty1.service.d/autologin.conf"),
    link(
        "airootfs/etc/systemd/system/multi-user.target.wants/systemd-networkd.service",
        "/usr/lib/systemd/system/systemd-networkd.service",
    ),
    link(
        "airootfs/etc/systemd/system/multi-user.target.wants/systemd-resolved.service",
        "/usr/lib/systemd/system/systemd-resolved.service",
    ),
    file!("airootfs/etc/systemd/system/serial-getty@ttyS0.service.d/autologin.conf"),
    file!("airootfs/etc/vconsole.conf"),
    file!("efiboot/loader/entries/live.conf"),
    file!("efiboot/loader/loader.conf"),
    file!("packages.x86_64"),
    file!("pacman.conf"),
    file!("profiledef.sh"),
    file!("syslinux/syslinux.cfg"),
];

/// The profile could not be written.
#[derive(Debug, thiserror::Error)]
#[error("could not write {}, a part of the minimal profile: {source}; make room, or choose another folder", path.display())]
pub struct MinimalError {
    /// What was tried.
    pub path: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

/// Writes the profile to the folder `to`, which is made when it is missing: files 0644, folders 0755 whatever the umask.
/// What is there already is never replaced.
///
/// # Errors
/// [`MinimalError`]: no permission, no room, or something of that name is there.
pub fn write_minimal(to: &Path) -> Result<(), MinimalError> {
    let mut made: Vec<PathBuf> = Vec::new();
    for entry in MINIMAL {
        let path = to.join(entry.path);
        let folders = path.ancestors().skip(1).take_while(|dir| dir.starts_with(to));
        let missing: Vec<_> = folders.take_while(|dir| !made.iter().any(|made| made == dir)).collect();
        for dir in missing.into_iter().rev() {
            folder(dir).map_err(|source| MinimalError { path: dir.to_owned(), source })?;
            made.push(dir.to_owned());
        }
        write(&path, entry.content).map_err(|source| MinimalError { path, source })?;
    }
    Ok(())
}

fn folder(dir: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o755).create(dir) {
        Ok(()) => fs::set_permissions(dir, Permissions::from_mode(0o755)),
        // Whose it is, and its mode, stay: `to` may be a prepared folder.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && fs::symlink_metadata(dir)?.is_dir() => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => fs::create_dir_all(dir),
        Err(error) => Err(error),
    }
}

fn write(path: &Path, content: MinimalContent) -> io::Result<()> {
    match content {
        MinimalContent::Link(target) => symlink(target, path),
        MinimalContent::File(bytes) => {
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o644).open(path)?;
            file.set_permissions(Permissions::from_mode(0o644))?;
            file.write_all(bytes)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use cartridge_supervise::{Cancel, CommandLine, run};

    /// Name, kind, mode and content of everything below `root`.
    fn contents(root: &Path) -> Vec<String> {
        let mut found = Vec::new();
        let mut waiting = vec![root.to_owned()];
        while let Some(dir) = waiting.pop() {
            for entry in fs::read_dir(dir).unwrap().flatten() {
                let (path, kind) = (entry.path(), entry.file_type().unwrap());
                let name = path.strip_prefix(root).unwrap().display().to_string();
                if kind.is_dir() {
                    found.push(format!("{name}/"));
                    waiting.push(path);
                } else if kind.is_symlink() {
                    found.push(format!("{name} -> {}", fs::read_link(path).unwrap().display()));
                } else {
                    let mode = entry.metadata().unwrap().permissions().mode() & 0o111;
                    found.push(format!("{name} {mode:o} {:?}", fs::read_to_string(path).unwrap()));
                }
            }
        }
        found.sort();
        found
    }

    #[test]
    fn what_is_written_is_what_is_in_assets() {
        let top = tempfile::tempdir().unwrap();
        let to = top.path().join("a/profile");
        write_minimal(&to).unwrap();
        let assets = Path::new(env!("CARGO_MANIFEST_DIR")).join("../assets/profiles/minimal");
        assert_eq!(contents(&to), contents(&assets));
        assert!(MINIMAL.is_sorted_by_key(|entry| entry.path));
        let mode = |path: &str| fs::metadata(to.join(path)).unwrap().permissions().mode() & 0o7777;
        assert_eq!((mode("airootfs/etc"), mode("profiledef.sh")), (0o755, 0o644));
    }

    #[test]
    fn what_is_there_is_not_replaced() {
        let top = tempfile::tempdir().unwrap();
        fs::write(top.path().join("packages.x86_64"), "mine").unwrap();
        let error = write_minimal(top.path()).unwrap_err();
        assert_eq!(error.path, top.path().join("packages.x86_64"));
        assert_eq!(fs::read_to_string(top.path().join("packages.x86_64")).unwrap(), "mine");
        let elsewhere = tempfile::tempdir().unwrap();
        symlink(elsewhere.path(), top.path().join("link")).unwrap();
        fs::create_dir(top.path().join("linked")).unwrap();
        symlink(elsewhere.path(), top.path().join("linked/airootfs")).unwrap();
        assert!(write_minimal(&top.path().join("linked")).is_err(), "a link was followed");
        assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 0);
    }

    #[test]
    fn bash_reads_the_definition_as_it_is_meant() {
        let top = tempfile::tempdir().unwrap();
        write_minimal(top.path()).unwrap();
        let script = "declare -A file_permissions; . ./profiledef.sh; echo \"$iso_label $iso_version $install_dir \
                      ${bootmodes[*]} $pacman_conf ${file_permissions[/etc/shadow]} ${released-nothing left over}\"";
        let line = CommandLine::new("bash").args(["-euc", script]).cwd(top.path());
        let said = run(&line.env("SOURCE_DATE_EPOCH", "1700000000"), &Cancel::new(), |_, _| ()).unwrap();
        assert_eq!(
            String::from_utf8_lossy(&said.stdout),
            "CARTRIDGE_202311 2023.11.14 live bios.syslinux uefi.systemd-boot pacman.conf 0:0:400 nothing left over\n"
        );
    }

    #[test]
    fn loaders_preset_and_packages_agree() {
        let text = |path: &str| {
            let entry = MINIMAL.iter().find(|entry| entry.path == path).unwrap();
            let MinimalContent::File(bytes) = entry.content else { panic!("{path} is a link") };
            std::str::from_utf8(bytes).unwrap()
        };
        let packages: Vec<_> = text("packages.x86_64").lines().filter(|line| !line.starts_with('#')).collect();
        for package in ["base", "linux", "mkinitcpio", "mkinitcpio-archiso", "syslinux"] {
            assert!(packages.contains(&package), "{package}");
        }
        assert!(text("airootfs/etc/mkinitcpio.d/linux.preset").contains("'/boot/initramfs-linux.img'"));
        assert!(text("airootfs/etc/mkinitcpio.d/linux.preset").contains("'/etc/mkinitcpio.conf.d/live.conf'"));
        let words = "archisobasedir=%INSTALL_DIR% archisosearchuuid=%ARCHISO_UUID% console=tty0 console=ttyS0,115200";
        for (loader, kernel) in [("syslinux/syslinux.cfg", "LINUX "), ("efiboot/loader/entries/live.conf", "linux ")] {
            let line = format!("{kernel}/%INSTALL_DIR%/boot/%ARCH%/vmlinuz-linux\n");
            assert!(text(loader).contains(words) && text(loader).contains(&line), "{loader}");
            assert!(text(loader).contains("/%INSTALL_DIR%/boot/%ARCH%/initramfs-linux.img"), "{loader}");
        }
    }
}
