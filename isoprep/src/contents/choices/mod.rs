//! What an ISO of anybody's offers to boot: the kernels, initramfs files and command lines that its boot entries name, found
//! on it, so that it can be started without its boot loader.

mod extract;
mod rank;
mod resolve;
mod words;

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::boot;
use super::error::{ContentsError, Fault};
use super::esp::Esp;
use super::image::{self, EFI_NAME};
use super::iso::Iso;
use super::model::Loader;
use super::tree_path::TreePath;
use super::volume::{Listing, Node, Volume};
use super::watch::Watch;
use crate::profile::BootEntry;
use rank::{Defaults, Rank};
use resolve::{Found, Names};
use words::{Reader, Variables};

pub use extract::{Extracted, extract};

/// The largest kernel and the largest initramfs that are taken, bytes. A whole live system in one has 2 GB.
const LARGEST_KERNEL: u64 = 512 << 20;
const LARGEST_INITRD: u64 = 4 << 30;
/// The most initramfs files that one entry may name.
const MOST_INITRDS: usize = 32;
/// How much of a kernel is looked at to know that it is one, bytes.
const HEAD: usize = 0x206;

/// What an ISO offers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BootMenu {
    /// The ISO's volume label.
    pub label: String,
    /// What can be booted, the best first; never empty.
    pub choices: Vec<BootChoice>,
    /// Entries that cannot, with the reason.
    pub passed_over: Vec<PassedOver>,
}

/// One entry that can be booted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BootChoice {
    /// What the loader's menu shows.
    pub title: String,
    /// Whose entry it is.
    pub loader: Loader,
    /// The configuration that it is in.
    pub file: TreePath,
    /// Whether the loader starts it by itself.
    pub is_default: bool,
    /// The kernel.
    pub kernel: DiscFile,
    /// The initramfs files in order.
    pub initrds: Vec<DiscFile>,
    /// The command line as the loader gives it to the kernel.
    pub cmdline: String,
    /// Words of it that only the running loader knows, left out.
    pub left_out: Vec<String>,
}

/// A file on the ISO or on its EFI partition.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct DiscFile {
    /// Whether it is on the EFI partition.
    pub on_efi: bool,
    /// Where.
    pub path: TreePath,
    /// Its size, bytes.
    pub bytes: u64,
}

/// An entry that cannot be booted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PassedOver {
    /// What the menu shows.
    pub title: String,
    /// The configuration that it is in.
    pub file: TreePath,
    /// Why not, a sentence without its full stop.
    pub why: String,
}

/// An ISO that cannot be booted without its boot loader.
#[derive(Debug, thiserror::Error)]
pub enum ChoiceError {
    /// It could not be read.
    #[error(transparent)]
    Contents(#[from] ContentsError),
    /// No configuration of a boot loader was found on it.
    #[error(
        "{} has no boot entries: neither it nor its EFI partition has a configuration of syslinux, GRUB or systemd-boot that \
         names a kernel\n  \
         Boot it as an image with its own loader, or name a kernel and an initramfs yourself.",
        .0.display()
    )]
    NoEntries(PathBuf),
    /// None of its entries can be used.
    #[error(
        "no boot entry of {} can be used:{}\n  \
         Boot it as an image with its own loader, or name a kernel and an initramfs yourself.",
        iso.display(),
        passed_over.iter().map(|it| format!("\n  \"{}\" ({}): {}", it.title, it.file, it.why)).collect::<String>()
    )]
    NoneUsable {
        /// The ISO.
        iso: PathBuf,
        /// Each with the reason.
        passed_over: Vec<PassedOver>,
    },
    /// A file could not be taken out of it.
    #[error("could not take \"{file}\" out of {}: {}: {source}", iso.display(), to.display())]
    Write {
        /// The ISO.
        iso: PathBuf,
        /// The file on it.
        file: TreePath,
        /// Where it was to go.
        to: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It was changed while it was used.
    #[error("{} has changed since its boot entries were read: \"{file}\" is not there any more as it was; try again", iso.display())]
    Changed {
        /// The ISO.
        iso: PathBuf,
        /// The file on it.
        file: TreePath,
    },
}

impl ChoiceError {
    /// Whether somebody asked to stop.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        matches!(self, Self::Contents(error) if error.is_cancelled())
    }
}

/// Reads the boot entries of `iso`.
///
/// # Errors
/// [`ChoiceError`] where it is no ISO, or has no entry that can be booted.
pub fn boot_menu(iso: &Path, watch: &Watch<'_>) -> Result<BootMenu, ChoiceError> {
    let disc = Disc::open(iso, watch)?;
    let configured = disc.configured().map_err(ContentsError::of(iso, None))?;
    let mut reading = Menu::new(&disc, &configured);
    for config in &configured {
        reading.add(config).map_err(ContentsError::of(iso, Some(&config.path.to_string())))?;
    }
    let Menu { mut choices, passed_over, .. } = reading;
    if choices.is_empty() {
        let iso = iso.to_path_buf();
        return Err(if passed_over.is_empty() {
            ChoiceError::NoEntries(iso)
        } else {
            ChoiceError::NoneUsable { iso, passed_over }
        });
    }
    choices.sort_by_key(|(rank, _)| *rank);
    let mut seen = HashSet::new();
    let choices = choices.into_iter().map(|(_, choice)| choice).filter(|choice| seen.insert(choice.same())).collect();
    Ok(BootMenu { label: disc.iso.label, choices, passed_over })
}

impl BootChoice {
    /// What two entries that boot the same have in common: the EFI partition has copies of files of the ISO.
    fn same(&self) -> (Vec<(Vec<u8>, u64)>, String) {
        let file = |file: &DiscFile| (file.path.name().to_ascii_lowercase(), file.bytes);
        (std::iter::once(&self.kernel).chain(&self.initrds).map(file).collect(), self.cmdline.clone())
    }
}

/// An open ISO and its EFI partition.
struct Disc {
    iso: Iso,
    listing: Listing,
    esp: Option<(Esp, Listing)>,
}

/// A configuration of a boot loader.
struct Config {
    loader: Loader,
    on_efi: bool,
    path: TreePath,
    text: String,
}

impl Disc {
    fn open(path: &Path, watch: &Watch<'_>) -> Result<Self, ContentsError> {
        let (iso, listing) = image::open_iso(path, watch)?;
        let esp = image::open_esp(&iso, watch).map_err(ContentsError::of(path, Some(EFI_NAME)))?;
        Ok(Self { iso, listing, esp })
    }

    fn volumes(&self) -> Vec<(bool, &dyn Volume, &Listing)> {
        let esp = self.esp.iter().map(|(esp, listing)| (true, esp as &dyn Volume, listing));
        esp.chain([(false, &self.iso as &dyn Volume, &self.listing)]).collect()
    }

    fn configured(&self) -> Result<Vec<Config>, Fault> {
        let mut found = Vec::new();
        for (on_efi, volume, listing) in self.volumes() {
            for file in boot::files(volume, listing, found.len())? {
                let (loader, path, text) = file;
                found.push(Config { loader, on_efi, path, text });
            }
        }
        Ok(found)
    }

    /// What systemd-boot starts by itself is in a file of its own.
    fn systemd_defaults(&self, defaults: &mut Defaults) {
        for (_, volume, listing) in self.volumes() {
            let found = Names::of(listing).find("/loader/loader.conf", &TreePath::default());
            // Without it nothing is said, which is no fault.
            if let Some(Ok(text)) = found.map(|file| volume.read(file.node, boot::LARGEST)) {
                defaults.read(Loader::SystemdBoot, &String::from_utf8_lossy(&text));
            }
        }
    }

    fn head(&self, file: &DiscFile, node: Node) -> Result<Vec<u8>, Fault> {
        match &self.esp {
            Some((esp, _)) if file.on_efi => esp.head(node, HEAD),
            _ => self.iso.file(node)?.head(HEAD),
        }
    }
}

/// The menu while it is read.
struct Menu<'a> {
    disc: &'a Disc,
    names: Vec<(bool, Names<'a>)>,
    variables: Variables,
    defaults: [(Loader, Defaults); 3],
    choices: Vec<(Rank, BootChoice)>,
    passed_over: Vec<PassedOver>,
}

impl<'a> Menu<'a> {
    fn new(disc: &'a Disc, configured: &[Config]) -> Self {
        let mut variables = Variables::default();
        let mut defaults =
            [Loader::Syslinux, Loader::Grub, Loader::SystemdBoot].map(|loader| (loader, Defaults::default()));
        for config in configured {
            if config.loader == Loader::Grub {
                variables.read(&config.text);
            }
            for (loader, defaults) in &mut defaults {
                if *loader == config.loader && config.loader != Loader::SystemdBoot {
                    defaults.read(*loader, &config.text);
                }
            }
        }
        disc.systemd_defaults(&mut defaults[2].1);
        let names = disc.volumes().into_iter().map(|(on_efi, _, listing)| (on_efi, Names::of(listing))).collect();
        Self { disc, names, variables, defaults, choices: Vec::new(), passed_over: Vec::new() }
    }

    fn add(&mut self, config: &Config) -> Result<(), Fault> {
        for (index, entry) in boot::parse(config.loader, &config.path, &config.text).into_iter().enumerate() {
            let Some(kernel) = entry.kernel.clone().filter(|kernel| !rank::is_memory_test(kernel)) else { continue };
            let reader = Reader {
                loader: config.loader,
                variables: &self.variables,
                label: &self.disc.iso.label,
                uuid: &self.disc.iso.uuid,
            };
            let title = reader.title(&entry.title);
            match self.choice(config, &entry, &kernel, &reader)? {
                Err(why) => self.passed_over.push(PassedOver { title, file: config.path.clone(), why }),
                Ok((kernel, initrds, (cmdline, left_out))) => {
                    let file = config.path.to_string();
                    let defaults = self.defaults.iter().find(|(loader, _)| *loader == config.loader);
                    let is_default = defaults.is_some_and(|(loader, defaults)| {
                        defaults.names(*loader, &file, &config.text, entry.line, index, &title)
                    });
                    let rank = rank::rank(config.loader, is_default, &title, &file, &cmdline);
                    let (loader, file) = (config.loader, config.path.clone());
                    let choice = BootChoice { title, loader, file, is_default, kernel, initrds, cmdline, left_out };
                    self.choices.push((rank, choice));
                }
            }
        }
        Ok(())
    }

    /// The files and the command line of an entry, or why it cannot be booted.
    #[allow(clippy::type_complexity, reason = "the parts of a choice, put together by the caller")]
    fn choice(
        &self,
        config: &Config,
        entry: &BootEntry,
        kernel: &str,
        reader: &Reader<'_>,
    ) -> Result<Result<(DiscFile, Vec<DiscFile>, (String, Vec<String>)), String>, Fault> {
        let find = |what: &str, written: &str, limit: u64| {
            let path = reader.path(written)?;
            let (file, node) = self.find(config, &path).ok_or_else(|| {
                format!("the {what} \"{path}\" that it names is not there: the image is not complete")
            })?;
            if file.bytes > limit {
                return Err(format!("the {what} \"{path}\" has {} bytes: that is none", file.bytes));
            }
            Ok((file, node))
        };
        let (kernel, node) = match find("kernel", kernel, LARGEST_KERNEL) {
            Ok(found) => found,
            Err(why) => return Ok(Err(why)),
        };
        if !is_linux(&self.disc.head(&kernel, node)?) {
            return Ok(Err(format!("\"{}\" is no Linux kernel", kernel.path)));
        }
        if entry.initrds.len() > MOST_INITRDS {
            return Ok(Err(format!("it names {} initramfs files", entry.initrds.len())));
        }
        let initrds = entry.initrds.iter().map(|path| Ok(find("initramfs", path, LARGEST_INITRD)?.0)).collect();
        let cmdline = reader.options(&entry.options);
        Ok(match (initrds, cmdline) {
            (Ok(initrds), Ok(cmdline)) => Ok((kernel, initrds, cmdline)),
            (Err(why), _) | (_, Err(why)) => Err(why),
        })
    }

    /// A file that an entry names: systemd-boot reads the EFI partition, the others find the ISO first.
    fn find(&self, config: &Config, path: &str) -> Option<(DiscFile, Node)> {
        let from = config.path.parent();
        let efi_first = config.loader == Loader::SystemdBoot;
        let mut names: Vec<_> = self.names.iter().collect();
        names.sort_by_key(|(on_efi, _)| *on_efi != efi_first);
        names.into_iter().find_map(|(on_efi, names)| {
            // Only syslinux takes a path from where its configuration is.
            let root = TreePath::default();
            let from = if config.loader == Loader::Syslinux && *on_efi == config.on_efi { &from } else { &root };
            let Found { path, node, bytes } = names.find(path, from)?;
            Some((DiscFile { on_efi: *on_efi, path, bytes }, node))
        })
    }
}

/// Whether a file begins as a Linux kernel does: the header of the boot protocol (`Documentation/arch/x86/boot.rst`), an ELF
/// file, or an EFI program that unpacks itself (`drivers/firmware/efi/libstub/zboot-header.S`).
fn is_linux(head: &[u8]) -> bool {
    head.get(0x202..0x206) == Some(b"HdrS") || head.starts_with(b"\x7fELF") || head.get(4..8) == Some(b"zimg")
}
