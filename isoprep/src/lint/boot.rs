//! Rules about boot entries: they name files that the image has to have, and tell the initramfs where it finds its
//! medium. mkarchiso copies entries and looks at none of them; a wrong one is seen when it is started.

use std::collections::BTreeMap;

use super::edit::Edit;
use super::finding::{LintFinding, Place, Severity};
use super::initramfs::{Boot, Config, is_kernel};
use super::known::Known;
use super::packages::makes_an_image;
use super::rule::Rule;
use crate::profile::{BootEntry, BootModeKind};

pub(super) const RULES: &[Rule] = &[
    Rule::new("kernel-missing", "no kernel is listed", no_kernel),
    Rule::new("boot-kernel-missing", "a boot entry that names a kernel that is not listed", kernel_missing),
    Rule::new("boot-initramfs-missing", "a boot entry that names an initramfs that no preset makes", initramfs_missing),
    Rule::new(
        "boot-microcode-missing",
        "a boot entry that names a microcode image that is not copied",
        microcode_missing,
    ),
    Rule::new("boot-path-wrong", "a boot entry that looks for its files in another folder", path_wrong),
    Rule::new("boot-memtest-missing", "a boot entry for a memory test whose package is not listed", memtest_missing),
];

/// Microcode images that mkarchiso copies, with their packages; it knows more names that no package of Arch has.
const MICROCODE: [(&str, &str); 2] = [("amd-ucode.img", "amd-ucode"), ("intel-ucode.img", "intel-ucode")];

/// Whether a loader's files are used. `loopback.cfg` is on every image, for other people's GRUB.
fn is_used(known: &Known<'_>, entry: &BootEntry) -> bool {
    let modes = &known.profile().definition.boot_modes;
    modes.iter().any(|mode| mode.kind == Some(entry.loader)) || entry.file.ends_with("grub/loopback.cfg")
}

/// The entries that will be on the image.
pub(super) fn entries<'a>(known: &Known<'a>) -> impl Iterator<Item = &'a BootEntry> {
    let makes = makes_an_image(known);
    known.profile().boot_entries.iter().filter(move |entry| makes && is_used(known, entry))
}

/// The text with mkarchiso's templates filled in.
pub(super) fn filled(known: &Known<'_>, text: &str) -> String {
    let definition = &known.profile().definition;
    text.replace("%ARCHISO_LABEL%", &definition.iso_label)
        .replace("%INSTALL_DIR%", &definition.install_dir)
        .replace("%ARCH%", &definition.arch)
}

/// A path of an entry: its folder and its name, without a device before it. `None` if only the loader can know it.
fn split(known: &Known<'_>, path: &str) -> Option<(String, String)> {
    let path = filled(known, path);
    // PXELINUX writes `::/`, GRUB may write `(device)/`.
    let path = path.trim_start_matches("::");
    let path = if path.starts_with('(') { path.split_once(')').map_or(path, |(_, rest)| rest) } else { path };
    let (folder, name) = path.rsplit_once('/')?;
    (!name.contains('$')).then(|| (folder.to_owned(), name.to_owned()))
}

/// Where the kernel of an entry is named.
pub(super) fn at_kernel(known: &Known<'_>, entry: &BootEntry) -> Place {
    known.at_file(&entry.file, entry.kernel_line.or(Some(entry.line)))
}

/// Where a part of an entry is written: the first line from its beginning that holds it.
pub(super) fn at_part(known: &Known<'_>, entry: &BootEntry, part: &str) -> Place {
    let text = known.text_of(&entry.file).unwrap_or_default();
    let mut lines = (1..).zip(text.lines()).skip(entry.line.saturating_sub(1));
    let line = lines.find(|(_, line)| line.contains(part)).map(|(at, _)| at);
    known.at_file(&entry.file, line.or(Some(entry.line)))
}

/// How to call the entry.
pub(super) fn named(entry: &BootEntry) -> String {
    if entry.title.is_empty() { "The entry".to_owned() } else { format!("The entry {:?}", entry.title) }
}

const WILL_NOT_START: &str = "mkarchiso builds the image without a word; the entry does not start.";

fn no_kernel(known: &Known<'_>) -> Vec<LintFinding> {
    let boot = Boot::new(known);
    let shipped = boot.shipped.iter().any(|name| name.starts_with("vmlinuz-"));
    if !makes_an_image(known) || shipped || !boot.kernels.is_empty() || known.profile().packages.packages.is_empty() {
        return Vec::new();
    }
    let Some(severity) = known.packages.lacks(&super::initramfs::KERNELS) else { return Vec::new() };
    let what = "No kernel is listed: linux, linux-lts, linux-zen, linux-hardened.";
    let consequence = "The build installs everything and ends with \"cannot stat …/boot/vmlinuz-*\".";
    let place = known.at_file(&known.profile().packages.file, None);
    let edit = known.add_to("image.packages", "linux");
    vec![LintFinding::error(place, what, consequence).graded(severity).fixed_by("Add linux to image.packages", edit)]
}

fn kernel_missing(known: &Known<'_>) -> Vec<LintFinding> {
    let boot = Boot::new(known);
    if boot.kernels.is_empty() && boot.shipped.is_empty() {
        return Vec::new();
    }
    let mut found: Vec<LintFinding> = Vec::new();
    let mut together: BTreeMap<String, usize> = BTreeMap::new();
    for entry in entries(known) {
        let Some((_, name)) = entry.kernel.as_deref().and_then(|kernel| split(known, kernel)) else { continue };
        let Some(package) = name.strip_prefix("vmlinuz-") else { continue };
        if boot.has(&name) || is_guarded(known, entry) {
            continue;
        }
        let severity = known.packages.lacks(&[package]).unwrap_or(Severity::Error);
        let there = boot.kernels.iter().cloned().collect::<Vec<_>>().join(", ");
        let what = format!("{} boots {name}; the image will have {there}.", named(entry));
        let place = at_kernel(known, entry);
        // One edit of a list or a preset mends all entries of a kernel: they are one finding.
        if let Some(at) = together.get(&name) {
            let first: &mut LintFinding = &mut found[*at];
            first.also.push(place);
            continue;
        }
        let finding = LintFinding::error(place.clone(), what, WILL_NOT_START).graded(severity);
        let other =
            boot.kernels.iter().next().filter(|_| boot.kernels.len() == 1 && !known.packages.listed.contains(package));
        found.push(match other {
            Some(other) => {
                let edit = known.replace(&place, |old| Some(old.replace(&name, other)));
                finding.fixed_by(format!("Boot {other}"), edit)
            }
            None if known.packages.listed.contains(package) => {
                together.insert(name.clone(), found.len());
                finding.fixed_by(format!("Let the preset make an image for {name}"), preset_line(known, package, &name))
            }
            None => {
                together.insert(name.clone(), found.len());
                let edit = is_kernel(package).then(|| known.add_to("image.packages", package)).flatten();
                finding.fixed_by(format!("Add {package} to image.packages"), edit)
            }
        });
    }
    found
}

/// The edit that names the right kernel in the preset of its package.
fn preset_line(known: &Known<'_>, package: &str, name: &str) -> Option<Edit> {
    let file = format!("airootfs/etc/mkinitcpio.d/{package}.preset");
    let text = known.text_of(&file)?;
    let (at, _) = (1..).zip(text.lines()).find(|(_, line)| line.trim_start().starts_with("ALL_kver="))?;
    known.replace(&known.at_file(&file, Some(at)), |_| Some(format!("ALL_kver='/boot/{name}'")))
}

/// Whether GRUB asks whether the kernel or the initramfs of an entry is there (`[ -f … ]`) before it offers it.
fn is_guarded(known: &Known<'_>, entry: &BootEntry) -> bool {
    let asks = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().map(|word| word.trim_matches(['"', '\'', ';'])).collect();
        words.windows(2).any(|pair| {
            let own = entry.kernel.iter().chain(&entry.initrds).any(|path| path == pair[1]);
            own && (pair[0] == "-f" || pair[0] == "-e" || pair[0] == "-s")
        })
    };
    entry.loader == BootModeKind::UefiGrub && known.text_of(&entry.file).is_some_and(|text| text.lines().any(asks))
}

fn initramfs_missing(known: &Known<'_>) -> Vec<LintFinding> {
    let boot = Boot::new(known);
    let mut found = Vec::new();
    for entry in entries(known).filter(|_| super::initramfs::uses_mkinitcpio(known) && !boot.images.is_empty()) {
        for initrd in &entry.initrds {
            let Some((_, name)) = split(known, initrd) else { continue };
            if !name.starts_with("initramfs-") || boot.has(&name) || is_guarded(known, entry) {
                continue;
            }
            let kernel = entry.kernel.as_deref().and_then(|kernel| split(known, kernel)).map(|(_, name)| name);
            // A kernel that is not there has a rule of its own, and no initramfs either.
            if kernel.as_ref().is_some_and(|kernel| kernel.starts_with("vmlinuz-") && !boot.has(kernel)) {
                continue;
            }
            let made: Vec<&str> = boot.images.iter().map(|image| image.name.as_str()).collect();
            let fits = boot.images.iter().find(|image| Some(&image.kernel) == kernel.as_ref());
            let severity = if known.packages.all_official() || known.packages.closure.is_some() {
                Severity::Error
            } else {
                Severity::Warning
            };
            let what = format!("{} loads {name}; mkinitcpio will make {}.", named(entry), made.join(", "));
            let place = at_part(known, entry, initrd);
            let edit = fits.and_then(|image| known.replace(&place, |old| Some(old.replace(&name, &image.name))));
            let says = fits.map_or(String::new(), |image| format!("Load {}", image.name));
            found.push(LintFinding::error(place, what, WILL_NOT_START).graded(severity).fixed_by(says, edit));
        }
    }
    found
}

fn microcode_missing(known: &Known<'_>) -> Vec<LintFinding> {
    let boot = Boot::new(known);
    let has_microcode = |config: &Config| match config {
        Config::Ours { hooks, .. } => hooks.iter().any(|hook| hook == "microcode"),
        Config::Default => true,
        Config::Missing(_) | Config::Unknown => false,
    };
    let built_in = !boot.images.is_empty() && boot.images.iter().all(|image| has_microcode(&image.config));
    let mut found = Vec::new();
    for entry in entries(known) {
        for initrd in &entry.initrds {
            let Some((_, name)) = split(known, initrd) else { continue };
            let Some((_, package)) = MICROCODE.iter().find(|(file, _)| *file == name) else { continue };
            let place = at_part(known, entry, initrd);
            let finding = if let Some(severity) = known.packages.lacks(&[package]) {
                let what = format!("{} loads {name}, and the package {package} is not listed.", named(entry));
                let edit = known.add_to("image.packages", *package);
                LintFinding::error(place, what, WILL_NOT_START)
                    .graded(severity)
                    .fixed_by(format!("Add {package} to image.packages"), edit)
            } else if built_in {
                let what = format!(
                    "{} loads {name}, which mkarchiso copies only if an initramfs has no microcode.",
                    named(entry)
                );
                let consequence = format!("All of them have it, through the hook microcode. {WILL_NOT_START}");
                let edit = known.replace(&place, |old| {
                    let cut = old
                        .replace(&format!("{initrd},"), "")
                        .replace(&format!("{initrd} "), "")
                        .replace(&format!(",{initrd}"), "");
                    (cut != old).then_some(cut)
                });
                let alone = known.line(&place).is_some_and(|line| line.split_whitespace().count() == 2);
                let edit = if alone { known.remove_line(&place) } else { edit };
                LintFinding::error(place, what, consequence).fixed_by(format!("Do not load {name}"), edit)
            } else {
                continue;
            };
            found.push(finding);
        }
    }
    found
}

fn path_wrong(known: &Known<'_>) -> Vec<LintFinding> {
    let definition = &known.profile().definition;
    let (base, arch) = (format!("/{}/boot", definition.install_dir), &definition.arch);
    let mut found = Vec::new();
    for entry in entries(known) {
        let kernel = entry.kernel.iter().map(|path| (path, at_kernel(known, entry)));
        let initrds = entry.initrds.iter().map(|path| (path, at_part(known, entry, path)));
        for (path, place) in kernel.chain(initrds) {
            let Some((folder, name)) = split(known, path) else { continue };
            let microcode = MICROCODE.iter().any(|(file, _)| *file == name);
            if !name.starts_with("vmlinuz-") && !name.starts_with("initramfs-") && !microcode {
                continue;
            }
            let right = if microcode { base.clone() } else { format!("{base}/{arch}") };
            if folder == right || folder.contains('$') {
                continue;
            }
            let what = format!("{} looks for {name} in {folder}; the image has it in {right}.", named(entry));
            let written = if microcode { "/%INSTALL_DIR%/boot" } else { "/%INSTALL_DIR%/boot/%ARCH%" };
            let edit = known.replace(&place, |old| {
                let own = path.rsplit_once('/')?.0.trim_start_matches("::");
                old.contains(own).then(|| old.replace(&format!("{own}/{name}"), &format!("{written}/{name}")))
            });
            found.push(
                LintFinding::error(place, what, WILL_NOT_START).fixed_by(format!("Write {written}/{name}"), edit),
            );
        }
    }
    found
}

fn memtest_missing(known: &Known<'_>) -> Vec<LintFinding> {
    let mut found = Vec::new();
    // GRUB's entries ask whether the file is there.
    for entry in entries(known).filter(|entry| entry.loader != BootModeKind::UefiGrub) {
        // systemd-boot starts it with `efi`, which names no kernel.
        let efi = entry.loader == BootModeKind::UefiSystemdBoot && entry.kernel.is_none();
        let started =
            entry.kernel.clone().or_else(|| efi.then(|| known.text_of(&entry.file)).flatten()).unwrap_or_default();
        let Some(at) = started.find("/memtest86+/") else { continue };
        let path = started[at..].split_whitespace().next().unwrap_or_default();
        let place = if efi { at_part(known, entry, path) } else { at_kernel(known, entry) };
        let package = if path.ends_with(".efi") { "memtest86+-efi" } else { "memtest86+" };
        let Some(severity) = known.packages.lacks(&[package]) else { continue };
        let what = format!("{} starts a memory test, and the package {package} is not listed.", named(entry));
        let consequence = "mkarchiso says so in passing and goes on; the entry is in the menu and does not start.";
        let severity = severity.max(Severity::Warning);
        found.push(
            LintFinding::warning(place, what, consequence)
                .graded(severity)
                .fixed_by(format!("Add {package} to image.packages"), known.add_to("image.packages", package)),
        );
    }
    found
}
