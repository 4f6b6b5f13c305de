//! Which kernels and initramfs images the packages' hooks will leave in `/boot`: worked out from the listed kernels and
//! from the presets in `airootfs`, as mkinitcpio's own hook does it (`libalpm/scripts/mkinitcpio`, version 41).

use std::collections::BTreeSet;
use std::path::Path;

use super::finding::Place;
use super::known::Known;
use super::packages::is_added;
use crate::profile::{InitcpioPreset, parse_initcpio_config};

/// Kernels of Arch itself (<https://wiki.archlinux.org/title/Kernel#Officially_supported_kernels>).
pub(super) const KERNELS: [&str; 6] = ["linux", "linux-hardened", "linux-lts", "linux-rt", "linux-rt-lts", "linux-zen"];
/// Packages that begin with `linux-` and are no kernel.
const NO_KERNELS: [&str; 9] = [
    "linux-api-headers",
    "linux-atm",
    "linux-console",
    "linux-exploit-suggester",
    "linux-firmware",
    "linux-howtos",
    "linux-steam-integration",
    "linux-tools",
    "linux-wifi-hotspot",
];

/// Where mkinitcpio finds its hooks.
pub(super) enum Config {
    /// A file of `airootfs` that sets `HOOKS`.
    Ours { hooks: Vec<String>, place: Place },
    /// The one that the package mkinitcpio brings: without the hook `archiso`.
    Default,
    /// A file that is named and that nothing brings.
    Missing(String),
    /// Set by something that we do not read.
    Unknown,
}

/// An image that mkinitcpio will make.
pub(super) struct Initramfs {
    /// Its file name.
    pub(super) name: String,
    /// The file name of its kernel.
    pub(super) kernel: String,
    /// Where it is asked for.
    pub(super) place: Place,
    pub(super) config: Config,
}

/// What `/boot` will hold.
pub(super) struct Boot {
    pub(super) kernels: BTreeSet<String>,
    pub(super) images: Vec<Initramfs>,
    /// Names of files in `/boot` that `airootfs` itself has.
    pub(super) shipped: BTreeSet<String>,
}

/// Whether a package is a kernel by its name.
pub(super) fn is_kernel(name: &str) -> bool {
    KERNELS.contains(&name)
        || name.strip_prefix("linux-").is_some_and(|_| {
            let other = name.ends_with("-headers") || name.ends_with("-docs") || name.starts_with("linux-firmware-");
            !other && !name.contains("-tools") && !NO_KERNELS.contains(&name)
        })
}

/// Whether mkinitcpio makes the initramfs; somebody who lists another generator knows what they do.
pub(super) fn uses_mkinitcpio(known: &Known<'_>) -> bool {
    known.packages.listed.contains("mkinitcpio") || !["booster", "dracut"].iter().any(|name| known.packages.has(name))
}

impl Boot {
    pub(super) fn new(known: &Known<'_>) -> Self {
        let names: BTreeSet<&str> = match &known.packages.closure {
            Some(all) => all.keys().copied().chain(known.packages.listed.iter().copied()).collect(),
            None => known.packages.listed.clone(),
        };
        let mut boot = Self { kernels: BTreeSet::new(), images: Vec::new(), shipped: BTreeSet::new() };
        for entry in known.below("airootfs/boot") {
            boot.shipped.extend(entry.path.file_name().map(|name| name.to_string_lossy().into_owned()));
        }
        let presets = &known.profile().initcpio_presets;
        let preset_of = |kernel: &str| presets.iter().find(|preset| stem(preset) == kernel);
        for kernel in names.into_iter().filter(|name| is_kernel(name)) {
            match preset_of(kernel) {
                Some(preset) => boot.kernels.extend(preset.presets.iter().filter_map(|name| {
                    let kver = value(preset, name, "kver").filter(|kver| kver.starts_with('/'))?;
                    Some(file_name(kver))
                })),
                None => {
                    boot.kernels.insert(format!("vmlinuz-{kernel}"));
                    boot.images.push(Initramfs {
                        name: format!("initramfs-{kernel}.img"),
                        kernel: format!("vmlinuz-{kernel}"),
                        place: listed_at(known, kernel),
                        config: default_config(known),
                    });
                }
            }
        }
        // Every preset is made, whatever kernel is listed: the hook ends with `mkinitcpio -P`.
        for preset in presets {
            for name in &preset.presets {
                let Some(image) = value(preset, name, "image") else { continue };
                let line = preset.variables.get(&format!("{name}_image")).map(|it| it.1);
                boot.images.push(Initramfs {
                    name: file_name(image),
                    kernel: value(preset, name, "kver").map(file_name).unwrap_or_default(),
                    place: known.at_file(&preset.file, line),
                    config: config(known, value(preset, name, "config")),
                });
            }
        }
        boot
    }

    /// Whether a file of this name will be in `/boot`.
    pub(super) fn has(&self, name: &str) -> bool {
        self.shipped.contains(name) || self.kernels.contains(name) || self.images.iter().any(|image| image.name == name)
    }
}

/// Where a package is listed.
pub(super) fn listed_at(known: &Known<'_>, name: &str) -> Place {
    let list = &known.profile().packages;
    match list.packages.iter().find(|package| package.name == name && !is_added(known, list, package)) {
        Some(package) => known.at_file(&list.file, Some(package.line)),
        None if known.subject.packages.iter().any(|own| own == name) => known.at_field("image.packages"),
        None => known.at_file(&list.file, None),
    }
}

/// A variable of a preset: `NAME_what`, else `ALL_what`.
pub(super) fn value<'p>(preset: &'p InitcpioPreset, name: &str, what: &str) -> Option<&'p str> {
    let own = preset.variables.get(&format!("{name}_{what}")).filter(|it| !it.0.is_empty());
    own.or_else(|| preset.variables.get(&format!("ALL_{what}"))).map(|it| it.0.as_str())
}

fn stem(preset: &InitcpioPreset) -> String {
    preset.file.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default()
}

fn file_name(path: &str) -> String {
    path.rsplit('/').next().unwrap_or(path).to_owned()
}

/// What `mkinitcpio -c FILE` reads: that file alone. Without `-c` it reads its own and the drop-ins.
fn config(known: &Known<'_>, named: Option<&str>) -> Config {
    let Some(named) = named else { return default_config(known) };
    if named.contains('$') {
        return Config::Unknown;
    }
    let path = Path::new("airootfs").join(named.trim_start_matches('/'));
    match of_file(known, &path) {
        Some(config) => config,
        None if named == "/etc/mkinitcpio.conf" => Config::Default,
        None => Config::Missing(named.to_owned()),
    }
}

/// The hooks that a file of the profile sets; `None` if it is not there.
fn of_file(known: &Known<'_>, path: &Path) -> Option<Config> {
    let read = known.profile().initcpio_configs.iter().find(|config| config.file == path).cloned();
    let config = read.or_else(|| {
        known.entry(path)?;
        Some(parse_initcpio_config(path, &known.text_of(path)?).0)
    });
    match config {
        Some(config) if config.hooks_line.is_some() && !config.hooks.iter().any(|hook| hook.contains('$')) => {
            Some(Config::Ours { place: known.at_file(path, config.hooks_line), hooks: config.hooks })
        }
        Some(_) => Some(Config::Unknown),
        None => known.has_file(path).then_some(Config::Unknown),
    }
}

/// The last drop-in that sets `HOOKS` wins, then `mkinitcpio.conf`.
fn default_config(known: &Known<'_>) -> Config {
    let folder = Path::new("airootfs/etc/mkinitcpio.conf.d");
    let mut drop_ins: Vec<_> = (known.profile().initcpio_configs.iter())
        .filter(|config| config.file.parent() == Some(folder) && config.hooks_line.is_some())
        .collect();
    drop_ins.sort_by(|a, b| a.file.cmp(&b.file));
    if let Some(last) = drop_ins.last() {
        return of_file(known, &last.file).unwrap_or(Config::Unknown);
    }
    // Somebody else's package may bring a drop-in of its own.
    let other = if known.packages.all_official() { Config::Default } else { Config::Unknown };
    of_file(known, Path::new("airootfs/etc/mkinitcpio.conf")).unwrap_or(other)
}
