//! An archiso profile as it was read: archiso's `docs/README.profile.rst` (version 88) names every field. Nothing is judged
//! here; what could not be understood is kept beside what could.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;

/// A profile folder, read and evaluated.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Profile {
    /// The folder that holds `profiledef.sh`, absolute.
    pub dir: PathBuf,
    /// What `profiledef.sh` sets.
    pub definition: Definition,
    /// `packages.$arch`, or `packages`.
    pub packages: PackageList,
    /// `bootstrap_packages.$arch`, or `bootstrap_packages`; `None` when there is neither.
    pub bootstrap_packages: Option<PackageList>,
    /// The `pacman.conf` that the definition names.
    pub pacman_conf: PacmanConf,
    /// Every boot entry of syslinux, GRUB and systemd-boot, in the order of files and lines.
    pub boot_entries: Vec<BootEntry>,
    /// `airootfs/etc/mkinitcpio.conf`, `…/mkinitcpio.conf.d/*.conf`: each file with its hooks.
    pub initcpio_configs: Vec<InitcpioConfig>,
    /// `airootfs/etc/mkinitcpio.d/*.preset`.
    pub initcpio_presets: Vec<InitcpioPreset>,
    /// Whether `airootfs/root/customize_airootfs.sh` is there (deprecated by archiso, still run).
    pub customizes: bool,
    /// What was found and not understood; never lost, never fatal.
    pub warnings: Vec<ProfileWarning>,
}

/// The variables of `profiledef.sh`, with mkarchiso's defaults where it sets none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Definition {
    /// The first part of the image's file name.
    pub iso_name: String,
    /// The volume label: at most 32 of `A-Z`, `0-9`, `_`.
    pub iso_label: String,
    /// Who made it.
    pub iso_publisher: String,
    /// What it is.
    pub iso_application: String,
    /// The version, part of the file name.
    pub iso_version: String,
    /// The folder on the image that holds everything: at most 8 of `a-z`, `0-9`.
    pub install_dir: String,
    /// `iso`, `netboot`, `bootstrap`.
    pub build_modes: Vec<String>,
    /// How the image starts.
    pub boot_modes: Vec<BootMode>,
    /// This machine's (`uname -m`) unless set.
    pub arch: String,
    /// `pacman.conf` by path relative to the profile, or absolute; `/etc/pacman.conf` unless set.
    pub pacman_conf: PathBuf,
    /// How the root image is packed.
    pub image_type: ImageType,
    /// Options of the packing tool.
    pub image_tool_options: Vec<String>,
    /// The command that packs a bootstrap tarball; `cat` unless set.
    pub bootstrap_compression: Vec<String>,
    /// Owner and mode by path in the image; a path that ends with `/` means everything below it.
    pub file_permissions: BTreeMap<String, FilePermission>,
    /// Packages that `profiledef.sh` itself adds to the list (`pkg_list`; undocumented, and mkarchiso obeys it).
    pub pkg_list: Vec<String>,
    /// Packages that `profiledef.sh` itself adds to the bootstrap list (`bootstrap_pkg_list`; as above).
    pub bootstrap_pkg_list: Vec<String>,
    /// Variables that are not the profile's to set, and it does: mkarchiso's own (`work_dir`, `gpg_key`) and bash's (`PATH`).
    pub internal: BTreeMap<String, String>,
    /// Variables that archiso does not know; arrays are shown as `(a b)` and `([key]=value)`. Entries of `file_permissions`
    /// that cannot be understood are here too, as `file_permissions[/path]`.
    pub unknown: BTreeMap<String, String>,
    /// The line of `profiledef.sh` that sets a variable, from 1, by the variable's name, where one plain assignment does. The
    /// elements of its array have lines too: `bootmodes[0]`, `file_permissions[/etc/shadow]`.
    pub lines: BTreeMap<String, usize>,
}

/// One word of `bootmodes`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BootMode {
    /// As it is written.
    pub word: String,
    /// What it means; `None` for a word that archiso does not know.
    pub kind: Option<BootModeKind>,
}

/// The boot modes of archiso since version 86. The older names mean one of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum BootModeKind {
    /// `bios.syslinux`, once `bios.syslinux.mbr` and `bios.syslinux.eltorito`.
    #[serde(rename = "bios.syslinux")]
    BiosSyslinux,
    /// `uefi.grub`, once `uefi-x64.grub.esp`, `uefi-ia32.grub.eltorito` and their like.
    #[serde(rename = "uefi.grub")]
    UefiGrub,
    /// `uefi.systemd-boot`, once `uefi-x64.systemd-boot.esp` and its like.
    #[serde(rename = "uefi.systemd-boot")]
    UefiSystemdBoot,
}

/// How the root file system is packed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub enum ImageType {
    /// `squashfs`.
    #[default]
    Squashfs,
    /// `erofs`.
    Erofs,
    /// `ext4+squashfs`: an ext4 image inside a squashfs.
    Ext4Squashfs,
    /// Any other word.
    Unknown(String),
}

/// An entry of `file_permissions`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FilePermission {
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Permission bits, octal in the file.
    pub mode: u32,
}

/// A list of packages with everything that its file says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PackageList {
    /// The file, absolute.
    pub file: PathBuf,
    /// Its packages in order, each with its line.
    pub packages: Vec<ListedPackage>,
    /// Whether a line ends with a carriage return.
    pub has_carriage_returns: bool,
}

/// One package of a list, as mkarchiso reads it (`sed '/^[[:blank:]]*#.*/d;s/#.*//;/^[[:blank:]]*$/d'`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ListedPackage {
    /// What mkarchiso hands to pacman: the whole line without its comment, blanks included, since it does not cut them.
    pub raw: String,
    /// The name without blanks.
    pub name: String,
    /// From 1.
    pub line: usize,
    /// Whether a comment follows on the same line.
    pub has_comment: bool,
}

/// A `pacman.conf`, with what it includes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PacmanConf {
    /// The file, absolute.
    pub file: PathBuf,
    /// `[options]`: every directive in order but `Include`; a directive without a value has an empty one.
    pub options: Vec<Directive>,
    /// The repositories in order, servers of included files among theirs.
    pub repositories: Vec<Repository>,
    /// Every `Include` line in order, of included files too.
    pub includes: Vec<Directive>,
    /// Those of them whose pattern matches no file: pacman ends at the first of these.
    pub missing_includes: Vec<Directive>,
}

/// One line of a `pacman.conf`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Directive {
    /// `SigLevel`, `Include`, ….
    pub key: String,
    /// What follows the equal sign.
    pub value: String,
    /// The file that the line is in, absolute.
    pub file: PathBuf,
    /// From 1.
    pub line: usize,
}

/// A repository section.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Repository {
    /// `core`, `extra`, ….
    pub name: String,
    /// The file in which the section begins, absolute.
    pub file: PathBuf,
    /// From 1.
    pub line: usize,
    /// The servers, as written.
    pub servers: Vec<Directive>,
    /// Its own `SigLevel`, if it has one; the last line counts.
    pub sig_level: Option<String>,
    /// Everything else in it: `Usage`, `CacheServer`, and what pacman does not know.
    pub others: Vec<Directive>,
}

/// A boot loader's entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BootEntry {
    /// Which loader reads it.
    pub loader: BootModeKind,
    /// The file, relative to the profile.
    pub file: PathBuf,
    /// Where the entry begins, from 1.
    pub line: usize,
    /// What the menu shows.
    pub title: String,
    /// The kernel's path as written, templates included; `None` for an entry that boots no kernel.
    pub kernel: Option<String>,
    /// The line that names the kernel.
    pub kernel_line: Option<usize>,
    /// The initramfs parts as written.
    pub initrds: Vec<String>,
    /// The kernel's command line as written.
    pub options: String,
}

/// A mkinitcpio configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct InitcpioConfig {
    /// The file, relative to the profile.
    pub file: PathBuf,
    /// The words of `HOOKS=(…)`; the last assignment counts.
    pub hooks: Vec<String>,
    /// The line of that assignment, from 1.
    pub hooks_line: Option<usize>,
    /// `COMPRESSION`, if set.
    pub compression: Option<String>,
}

/// A mkinitcpio preset: `KEY='value'` lines of a file that mkinitcpio sources.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct InitcpioPreset {
    /// The file, relative to the profile.
    pub file: PathBuf,
    /// The words of `PRESETS=(…)`.
    pub presets: Vec<String>,
    /// Every plain assignment: name to value and line.
    pub variables: BTreeMap<String, (String, usize)>,
}

/// Something in a profile that was not understood.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ProfileWarning {
    /// The file, relative to the profile; absolute if it is not in it.
    pub file: PathBuf,
    /// From 1, where there is one.
    pub line: Option<usize>,
    /// A sentence without its full stop: it follows `file:line: `.
    pub text: String,
}
