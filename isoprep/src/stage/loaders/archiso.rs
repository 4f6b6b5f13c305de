//! The disc of an archiso profile: what mkarchiso (version 88) puts where, with the loaders that the root's own packages
//! brought. Pure.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::words::{Templates, with_words};
use super::{BootFiles, Disc, From, grub, volume_uuid};
use crate::profile::{BootModeKind, Definition};

/// Names of separate microcode images, as GRUB's `grub-mkconfig` knows them.
const MICROCODE: [&str; 6] =
    ["intel-uc.img", "intel-ucode.img", "amd-uc.img", "amd-ucode.img", "early_ucode.cpio", "microcode.cpio"];
/// What marks a command line that boots the image.
const MARKER: &str = "archisobasedir=";
/// Both consoles: the kernel speaks on the serial line too, and `/dev/console` is the screen.
const CONSOLES: &str = "console=ttyS0,115200 console=tty0";

/// Everything that the disc is made of, but for the packed root and the repository's layer.
pub(crate) struct Source<'a> {
    pub(crate) definition: &'a Definition,
    /// Texts of the profile's `syslinux/*.cfg`, `grub/*.cfg`, `efiboot/loader/**.conf`, by path in the profile.
    pub(crate) configurations: &'a BTreeMap<String, Vec<u8>>,
    /// Other files of the profile's `grub/` and `syslinux/splash.png`, by path in the profile.
    pub(crate) others: &'a BTreeMap<String, PathBuf>,
    /// What the root's packages brought.
    pub(crate) boot: &'a BootFiles,
    /// GRUB, made for this disc, by the name of its file.
    pub(crate) grub: &'a BTreeMap<String, PathBuf>,
    /// The list of packages.
    pub(crate) package_list: PathBuf,
    /// Whether every initramfs has the microcode in it.
    pub(crate) microcode_inside: bool,
    /// Words of the recipe for the kernel's command line.
    pub(crate) words: &'a str,
    /// Whether the kernel also speaks on the serial line, and takes the emulated timer as it is: dev builds.
    pub(crate) for_a_guest: bool,
    pub(crate) epoch: u64,
}

/// Where GRUB finds its volume.
pub(crate) fn search_file(epoch: u64) -> String {
    format!("/boot/{}.uuid", volume_uuid(epoch))
}

/// The boot modes that are built, each once, in the profile's order.
pub(crate) fn modes(definition: &Definition) -> Vec<BootModeKind> {
    let mut modes = Vec::new();
    for kind in definition.boot_modes.iter().filter_map(|mode| mode.kind) {
        if !modes.contains(&kind) {
            modes.push(kind);
        }
    }
    modes
}

/// Lays the disc out, as far as it does not depend on the packed root: [`add_root`] adds that.
pub(crate) fn disc(from: &Source<'_>) -> Disc {
    let definition = from.definition;
    let (dir, arch) = (&*definition.install_dir, &*definition.arch);
    let mut disc = Disc::default();
    let mut text = |path: String, text: String| drop(disc.files.insert(path, From::Bytes(text.into_bytes())));
    text(search_file(from.epoch).trim_start_matches('/').to_owned(), String::new());
    text(format!("{dir}/version"), format!("{}\n", definition.iso_version));
    let (name, version) = (&*definition.iso_name, &*definition.iso_version);
    let limited = grub::environment(&[("NAME", name), ("VERSION", version)]);
    disc.files.insert(format!("{dir}/grubenv"), From::Bytes(limited));
    disc.files.insert(format!("{dir}/pkglist.{arch}.txt"), From::File(from.package_list.clone()));
    for (path, file) in kernels(from) {
        disc.files.insert(format!("{dir}/{path}"), From::File(file));
    }
    licences(from, &mut disc);
    let modes = modes(definition);
    if modes.contains(&BootModeKind::BiosSyslinux) {
        syslinux(from, &mut disc);
    }
    let with_grub = modes.contains(&BootModeKind::UefiGrub);
    if with_grub {
        efi_grub(from, &mut disc);
    } else if modes.contains(&BootModeKind::UefiSystemdBoot) {
        systemd_boot(from, &mut disc);
    }
    if with_grub && modes.contains(&BootModeKind::UefiSystemdBoot) {
        disc.warnings.push("the profile asks for uefi.grub and uefi.systemd-boot: only GRUB is installed".to_owned());
    }
    grub_folder(from, with_grub, &mut disc);
    disc
}

/// Adds the packed root by its name, with its checksum file's content, and in a dev build the repository's layer.
pub(crate) fn add_root(
    disc: &mut Disc,
    definition: &Definition,
    (name, image, checksum): (&str, &Path, &str),
    layer: Option<&Path>,
) {
    let dir = format!("{}/{}", definition.install_dir, definition.arch);
    disc.files.insert(format!("{dir}/airootfs.sha512"), From::Bytes(checksum.as_bytes().to_vec()));
    disc.files.insert(format!("{dir}/{name}"), From::File(image.to_path_buf()));
    if let Some(layer) = layer {
        let name = crate::stage::packages::layer_hook::LAYER;
        disc.files.insert(format!("{dir}/{name}"), From::File(layer.to_path_buf()));
    }
}

/// Kernels, initramfs images and separate microcode, by path below the install directory.
fn kernels(from: &Source<'_>) -> Vec<(String, PathBuf)> {
    let arch = &from.definition.arch;
    let mut found = Vec::new();
    for (path, file) in from.boot {
        let Some(name) = path.strip_prefix("boot/").filter(|name| !name.contains('/')) else { continue };
        let initramfs = name.starts_with("initramfs-") && name.ends_with(".img");
        if name.starts_with("vmlinuz-") || initramfs {
            found.push((format!("boot/{arch}/{name}"), file.clone()));
        } else if !from.microcode_inside && MICROCODE.contains(&name) {
            found.push((format!("boot/{name}"), file.clone()));
        }
    }
    found
}

/// Licences go where what they license goes.
fn licences(from: &Source<'_>, disc: &mut Disc) {
    if from.microcode_inside {
        return;
    }
    for (path, file) in from.boot {
        let Some(rest) = path.strip_prefix("usr/share/licenses/") else { continue };
        let Some((package, _)) = rest.split_once('/') else { continue };
        let image = MICROCODE.iter().find(|image| image.split('.').next() == Some(package));
        if image.is_some_and(|image| from.boot.contains_key(&format!("boot/{image}"))) {
            let place = format!("{}/boot/licenses/{rest}", from.definition.install_dir);
            disc.files.insert(place, From::File(file.clone()));
        }
    }
}

fn filled(from: &Source<'_>, text: &[u8], search: Option<&str>) -> Vec<u8> {
    let (definition, uuid) = (from.definition, volume_uuid(from.epoch));
    let templates = Templates {
        label: &definition.iso_label,
        uuid: &uuid,
        install_dir: &definition.install_dir,
        arch: &definition.arch,
        search,
    };
    // A few boots in a hundred panic in an emulated machine that is checked for its timer.
    let quirks = if from.for_a_guest { "no_timer_check" } else { "" };
    let words = [quirks, from.words.trim()].iter().filter(|it| !it.is_empty()).copied().collect::<Vec<_>>().join(" ");
    let console = if from.for_a_guest { CONSOLES } else { "" };
    with_words(&templates.fill(text), MARKER, &words, console)
}

/// Configurations below a folder of the profile: the name after it, and the text.
fn configurations<'a>(from: &'a Source<'_>, folder: &'a str) -> impl Iterator<Item = (&'a str, &'a [u8])> {
    from.configurations.iter().filter_map(move |(path, text)| Some((path.strip_prefix(folder)?, text.as_slice())))
}

fn syslinux(from: &Source<'_>, disc: &mut Disc) {
    for (name, text) in configurations(from, "syslinux/") {
        disc.files.insert(format!("boot/syslinux/{name}"), From::Bytes(filled(from, text, None)));
    }
    if let Some(splash) = from.others.get("syslinux/splash.png") {
        disc.files.insert("boot/syslinux/splash.png".into(), From::File(splash.clone()));
    }
    for (path, file) in from.boot {
        if let Some(name) = path.strip_prefix("usr/lib/syslinux/bios/") {
            disc.files.insert(format!("boot/syslinux/{name}"), From::File(file.clone()));
        }
    }
    let memtest = [("boot/memtest86+/memtest.bin", "boot/memtest86+/memtest")];
    copy(from, disc, &memtest);
    licence_of_memtest(from, disc, "boot/memtest86+/memtest");
    if disc.files.contains_key("boot/syslinux/hdt.c32") {
        let lists = [("usr/share/hwdata/pci.ids", "pciids.gz"), ("modules.alias", "modalias.gz")];
        for (end, name) in lists {
            let found = from.boot.iter().find(|(path, _)| path.ends_with(end));
            if let Some(packed) = found.and_then(|(_, file)| gzipped(file)) {
                disc.files.insert(format!("boot/syslinux/hdt/{name}"), From::Bytes(packed));
            }
        }
    }
    match from.boot.get("usr/lib/syslinux/bios/isohdpfx.bin") {
        Some(mbr) if from.boot.contains_key("usr/lib/syslinux/bios/isolinux.bin") => {
            disc.isolinux = Some("boot/syslinux/isolinux.bin".into());
            disc.mbr = Some(mbr.clone());
        }
        _ => disc.warnings.push(
            "the image does not start with BIOS: the package syslinux brought no isolinux.bin; list it in the packages"
                .into(),
        ),
    }
}

/// A list that syslinux's hardware detection reads packed. It is a comfort: an unreadable one is left out.
fn gzipped(file: &std::path::Path) -> Option<Vec<u8>> {
    use std::io::Write;
    let text = std::fs::read(file).ok()?;
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    packer.write_all(&text).ok()?;
    packer.finish().ok()
}

fn copy(from: &Source<'_>, disc: &mut Disc, list: &[(&str, &str)]) {
    for (path, to) in list {
        if let Some(file) = from.boot.get(*path) {
            disc.files.insert((*to).to_owned(), From::File(file.clone()));
        }
    }
}

fn licence_of_memtest(from: &Source<'_>, disc: &mut Disc, program: &str) {
    if disc.files.contains_key(program) {
        copy(from, disc, &[("usr/share/licenses/spdx/GPL-2.0-only.txt", "boot/memtest86+/LICENSE")]);
    }
}

/// What both UEFI loaders bring along: a shell, and a memory test.
fn efi_extras(from: &Source<'_>, disc: &mut Disc) {
    copy(
        from,
        disc,
        &[
            ("usr/share/edk2-shell/x64/Shell_Full.efi", "shellx64.efi"),
            ("usr/share/edk2-shell/ia32/Shell_Full.efi", "shellia32.efi"),
            ("boot/memtest86+/memtest.efi", "boot/memtest86+/memtest.efi"),
        ],
    );
    licence_of_memtest(from, disc, "boot/memtest86+/memtest.efi");
    for name in ["shellx64.efi", "shellia32.efi"] {
        if let Some(file) = disc.files.get(name) {
            disc.efi.insert(name.to_owned(), file.clone());
        }
    }
}

fn systemd_boot(from: &Source<'_>, disc: &mut Disc) {
    for (name, to) in [("systemd-bootx64.efi", "BOOTx64.EFI"), ("systemd-bootia32.efi", "BOOTIA32.EFI")] {
        if let Some(file) = from.boot.get(&format!("usr/lib/systemd/boot/efi/{name}")) {
            for files in [&mut disc.files, &mut disc.efi] {
                files.insert(format!("EFI/BOOT/{to}"), From::File(file.clone()));
            }
        }
    }
    if !disc.efi.contains_key("EFI/BOOT/BOOTx64.EFI") {
        disc.warnings.push("the image does not start with UEFI: no package brought systemd-bootx64.efi".to_owned());
        return;
    }
    efi_extras(from, disc);
    for name in ["boot/memtest86+/memtest.efi", "boot/memtest86+/LICENSE"] {
        if let Some(file) = disc.files.get(name) {
            disc.efi.insert(name.to_owned(), file.clone());
        }
    }
    for (name, text) in configurations(from, "efiboot/loader/") {
        if !for_this_machine(text) {
            continue;
        }
        for files in [&mut disc.files, &mut disc.efi] {
            files.insert(format!("loader/{name}"), From::Bytes(filled(from, text, None)));
        }
    }
    // systemd-boot reads nothing but its own partition.
    for (path, file) in kernels(from) {
        disc.efi.insert(format!("{}/{path}", from.definition.install_dir), From::File(file));
    }
}

/// Whether an entry is for a processor that this image is for (Boot Loader Specification, `architecture`).
fn for_this_machine(entry: &[u8]) -> bool {
    let rest = |line: &[u8]| Some(line.strip_prefix(b"architecture")?.to_vec());
    let mut words = entry
        .split(|byte| *byte == b'\n')
        .filter_map(rest)
        .filter(|rest| rest.starts_with(b" ") || rest.starts_with(b"\t"));
    words
        .next()
        .is_none_or(|word| [b"x64".as_slice(), b"ia32"].iter().any(|it| word.trim_ascii().eq_ignore_ascii_case(it)))
}

fn efi_grub(from: &Source<'_>, disc: &mut Disc) {
    for (name, file) in from.grub {
        for files in [&mut disc.files, &mut disc.efi] {
            files.insert(format!("EFI/BOOT/{name}"), From::File(file.clone()));
        }
    }
    efi_extras(from, disc);
}

/// `boot/grub` on the disc: with GRUB its configuration, without it what a boot from inside another disk's GRUB needs.
fn grub_folder(from: &Source<'_>, with_grub: bool, disc: &mut Disc) {
    let definition = from.definition;
    let search = search_file(from.epoch);
    let block = grub::environment(&[
        ("NAME", &definition.iso_name),
        ("VERSION", &definition.iso_version),
        ("ARCHISO_LABEL", &definition.iso_label),
        ("INSTALL_DIR", &definition.install_dir),
        ("ARCH", &definition.arch),
        ("ARCHISO_SEARCH_FILENAME", &search),
    ]);
    disc.files.insert("boot/grub/grubenv".into(), From::Bytes(block));
    for (name, text) in configurations(from, "grub/") {
        if with_grub || name == "loopback.cfg" {
            disc.files.insert(format!("boot/grub/{name}"), From::Bytes(filled(from, text, Some(&search))));
        }
    }
    if with_grub {
        for (path, file) in from.others {
            if let Some(name) = path.strip_prefix("grub/") {
                disc.files.insert(format!("boot/grub/{name}"), From::File(file.clone()));
            }
        }
    }
}
