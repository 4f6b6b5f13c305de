//! A boot without a boot loader, as it is asked for: by a front end, or by the cartridge's `[boot]`. Pure; `jobs/direct` does
//! it.

use std::path::{Path, PathBuf};

use isoprep::contents::{BootChoice, BootMenu};
use isoprep::{BootAccess, BootSettings, BootWay, Image};
use serde::{Deserialize, Serialize};

use super::run_field::RunField;

/// The longest command line that an x86 kernel takes, bytes with the NUL at its end (`COMMAND_LINE_SIZE`).
const LONGEST_CMDLINE: usize = 2048;
/// Words for the serial line, where a command line names no console: the last one gets the init's output.
const CONSOLE: &str = "console=tty0 console=ttyS0,115200";
/// Under an emulated processor the kernel's check of its timer fails now and then.
const EMULATED: &str = "no_timer_check";

/// A boot without a boot loader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectWish {
    /// What is booted.
    pub source: DirectSource,
    /// The whole command line instead of the one that goes with it.
    pub cmdline: Option<String>,
    /// Words at the end of the command line.
    pub append: String,
    /// Fields of the cartridge for this boot alone.
    pub fields: Vec<RunField>,
}

/// What is booted without a boot loader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DirectSource {
    /// The kernel and the initramfs of the last build's image; the image is a CD of the guest.
    Image,
    /// A kernel of this host.
    Kernel(DirectKernel),
    /// An entry of an ISO of anybody's; the ISO is a CD of the guest.
    Iso {
        /// The ISO, absolute.
        iso: PathBuf,
        /// Which entry.
        entry: EntryWish,
    },
}

/// A kernel of this host, and what it gets as its root.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DirectKernel {
    /// The kernel, absolute; `None` for the best one found.
    pub kernel: Option<PathBuf>,
    /// Its modules, absolute; `None` to find them by the kernel.
    pub modules: Option<PathBuf>,
    /// Initramfs files, absolute, in order; none for one of ours.
    pub initrds: Vec<PathBuf>,
    /// The root.
    pub root: DirectRoot,
    /// A disk image that keeps what the guest writes over layers, absolute; made where there is none.
    pub keep: Option<PathBuf>,
}

/// What a kernel gets as its root.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum DirectRoot {
    /// The initramfs.
    #[default]
    Initramfs,
    /// The layers in an image: an ISO, a squashfs, an EROFS, a disk.
    Layers(PathBuf),
    /// The layers in the image of the last build.
    LastImage,
    /// A folder of this host.
    Folder(PathBuf, BootAccess),
}

/// Which entry of an ISO.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum EntryWish {
    /// The best one.
    #[default]
    Best,
    /// By its number, from 1, as they are listed.
    Number(usize),
    /// By its title, or a part of it that no other has.
    Title(String),
    /// As it was listed: the entry of that number has that title, or the ISO is another one by now.
    Listed(usize, String),
}

/// How a guest is booted without a boot loader, for front ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirectView {
    /// In words: "the image's own kernel", "an entry of an ISO".
    pub way: String,
    /// The kernel's file.
    pub kernel: PathBuf,
    /// The initramfs files that it was made from or is.
    pub initrds: Vec<PathBuf>,
    /// The command line.
    pub cmdline: String,
    /// The entry's title, where it is one.
    pub entry: Option<String>,
    /// The image that is a disk or a CD of the guest.
    pub disk: Option<PathBuf>,
    /// The folder that is the root.
    pub folder: Option<PathBuf>,
}

impl DirectView {
    /// In one sentence.
    #[must_use]
    pub fn sentence(&self) -> String {
        let entry = self.entry.as_ref().map_or(String::new(), |title| format!(" \"{title}\""));
        let disk = self.disk.as_ref().map_or(String::new(), |disk| format!("; disk {}", disk.display()));
        let folder = self.folder.as_ref().map_or(String::new(), |dir| format!("; root {}", dir.display()));
        let initrds = match self.initrds.as_slice() {
            [] => "no initramfs".to_owned(),
            files => files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(" + "),
        };
        format!(
            "Direct boot of {}{entry}: {} with {initrds}{disk}{folder}; command line: {}",
            self.way,
            self.kernel.display(),
            self.cmdline
        )
    }
}

/// What an ISO offers to boot, for front ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MenuView {
    /// The ISO.
    pub iso: PathBuf,
    /// What it offers.
    pub menu: Option<BootMenu>,
    /// Why that is not known.
    pub error: Option<String>,
}

impl DirectWish {
    /// What it names on this host and does not make, each with what it is to be.
    #[must_use]
    pub fn named(&self) -> Vec<(&'static str, &Path)> {
        let mut named: Vec<(_, &Path)> = Vec::new();
        match &self.source {
            DirectSource::Image => {}
            DirectSource::Iso { iso, .. } => named.push(("ISO", iso)),
            DirectSource::Kernel(it) => {
                named.extend(it.kernel.iter().map(|path| ("kernel", path.as_path())));
                named.extend(it.modules.iter().map(|path| ("folder of modules", path.as_path())));
                named.extend(it.initrds.iter().map(|path| ("initramfs", path.as_path())));
                match &it.root {
                    DirectRoot::Layers(path) => named.push(("disk", path)),
                    DirectRoot::Folder(path, _) => named.push(("root folder", path)),
                    DirectRoot::Initramfs | DirectRoot::LastImage => {}
                }
            }
        }
        named
    }

    /// What a front end asks for without a word more.
    #[must_use]
    pub fn of(source: DirectSource) -> Self {
        Self { source, cmdline: None, append: String::new(), fields: Vec::new() }
    }

    /// What a cartridge asks for; `None` for its image with its boot loader.
    #[must_use]
    pub fn of_recipe(boot: &BootSettings) -> Option<Self> {
        let kernel = |root| {
            DirectSource::Kernel(DirectKernel {
                kernel: boot.kernel.clone(),
                modules: boot.modules.clone(),
                initrds: boot.initrds.clone(),
                root,
                keep: boot.keep.clone(),
            })
        };
        let source = match boot.way {
            BootWay::Image => return None,
            BootWay::Kernel => DirectSource::Image,
            BootWay::Initramfs => kernel(DirectRoot::Initramfs),
            BootWay::Layers => kernel(boot.root.clone().map_or(DirectRoot::LastImage, DirectRoot::Layers)),
            BootWay::Folder => kernel(DirectRoot::Folder(boot.root.clone().unwrap_or_default(), boot.access)),
        };
        Some(Self { append: boot.cmdline.clone(), ..Self::of(source) })
    }

    /// What is booted so: as it was asked for, else as the cartridge asks for it, if it does.
    #[must_use]
    pub fn chosen(asked: Option<Self>, boot: &BootSettings) -> Option<Self> {
        asked.map(|wish| wish.with_words_of(boot)).or_else(|| Self::of_recipe(boot))
    }

    /// With the words that a cartridge adds to the command line of its own image, unless others were given.
    #[must_use]
    pub fn with_words_of(mut self, boot: &BootSettings) -> Self {
        if self.source == DirectSource::Image && self.cmdline.is_none() && self.append.is_empty() {
            self.append.clone_from(&boot.cmdline);
        }
        self
    }

    /// Whether what a boot names is named for this run, by a front end (`asked`) or by a field that was set for it; if not, the
    /// cartridge's file names it. Fields that choose among what is named count for nothing.
    #[must_use]
    pub fn named_for_run(asked: Option<&Self>, fields: &[RunField]) -> bool {
        let names = |it: &Self| it.source != DirectSource::Image || it.cmdline.is_some() || !it.append.is_empty();
        let set = |field: &RunField| {
            field.key.starts_with("boot.") && !matches!(field.key.as_str(), "boot.way" | "boot.access")
        };
        asked.is_some_and(names) || fields.iter().any(set)
    }

    /// Whether it boots what the last build left.
    #[must_use]
    pub fn needs_image(&self) -> bool {
        matches!(
            self.source,
            DirectSource::Image | DirectSource::Kernel(DirectKernel { root: DirectRoot::LastImage, .. })
        )
    }

    /// Whether its words name a disk as the root: the layers need not be on the one that was named then.
    #[must_use]
    pub fn names_a_root(&self) -> bool {
        let words = self.cmdline.iter().map(String::as_str).chain([self.append.as_str()]);
        words.flat_map(str::split_whitespace).any(|word| word.starts_with("root="))
    }

    /// Whether its initramfs is not ours: what happens in it is nothing that our init tells.
    #[must_use]
    pub fn brings_initramfs(&self) -> bool {
        matches!(&self.source, DirectSource::Kernel(kernel) if !kernel.initrds.is_empty())
    }

    /// Why nothing reports in such a guest, as far as that is known before; `built` is why an image of ours does not.
    #[must_use]
    pub fn mute(&self, built: Option<&str>) -> Option<String> {
        match &self.source {
            DirectSource::Image | DirectSource::Kernel(DirectKernel { root: DirectRoot::LastImage, .. }) => {
                built.map(str::to_owned)
            }
            DirectSource::Iso { .. } => Some("Cartridge has not built this ISO in this session".to_owned()),
            DirectSource::Kernel(_) => Some("it is a kernel without an image of a build".to_owned()),
        }
    }

    /// The command line for what brings `own` along.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn cmdline(&self, own: &str, emulated: bool) -> Result<String, String> {
        let mut line = self.cmdline.as_deref().unwrap_or(own).trim().to_owned();
        // Whoever wrote the whole line meant it so.
        if self.cmdline.is_none() {
            let names = |word: &str| {
                line.split_whitespace().chain(self.append.split_whitespace()).any(|it| it.starts_with(word))
            };
            let more = [(CONSOLE, !names("console=")), (EMULATED, emulated && !names(EMULATED))];
            for word in more.iter().filter(|(_, wanted)| *wanted).map(|(word, _)| *word) {
                line = format!("{line} {word}");
            }
        }
        let line = format!("{line} {}", self.append.trim()).trim().to_owned();
        if let Some(bad) = line.chars().find(|c| c.is_control()) {
            return Err(format!("{bad:?} is not allowed in a command line"));
        }
        if line.len() >= LONGEST_CMDLINE {
            return Err(format!("it has {} bytes, and a kernel takes {}", line.len(), LONGEST_CMDLINE - 1));
        }
        Ok(line)
    }
}

impl EntryWish {
    /// What is written on the command line: a number or a title.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        match text.trim().parse() {
            Ok(number) => Self::Number(number),
            Err(_) => Self::Title(text.trim().to_owned()),
        }
    }

    /// The entry of a menu that is meant.
    ///
    /// # Errors
    /// That there is none, or that there are several, with those that there are.
    pub fn choose<'a>(&self, menu: &'a BootMenu) -> Result<&'a BootChoice, String> {
        let listed = || {
            let lines = menu.choices.iter().enumerate();
            lines.map(|(at, it)| format!("\n  {}  {}", at + 1, it.title)).collect::<String>()
        };
        let missing = |what: String| format!("there is no entry {what}; there are:{}", listed());
        match self {
            Self::Best => menu.choices.first().ok_or_else(|| missing("at all".to_owned())),
            Self::Number(number) => {
                let index = number.checked_sub(1);
                index.and_then(|at| menu.choices.get(at)).ok_or_else(|| missing(number.to_string()))
            }
            Self::Listed(number, title) => {
                let same = Self::Number(*number).choose(menu).ok().filter(|it| it.title == *title);
                let changed = || format!("entry {number} is no longer {title:?}: read the ISO's entries again");
                same.ok_or_else(|| format!("{}; there are:{}", changed(), listed()))
            }
            Self::Title(title) => {
                let wanted = title.to_lowercase();
                if let Some(exact) = menu.choices.iter().find(|it| it.title.to_lowercase() == wanted) {
                    return Ok(exact);
                }
                let mut parts = menu.choices.iter().filter(|it| it.title.to_lowercase().contains(&wanted));
                match (parts.next(), parts.next()) {
                    (Some(one), None) => Ok(one),
                    (Some(_), Some(_)) => Err(format!("{title:?} is in the title of several entries:{}", listed())),
                    (None, _) => Err(missing(format!("{title:?}"))),
                }
            }
        }
    }
}

/// The command line of an image of ours, and whether its kernel is emulated: what it will be when it is booted directly.
#[must_use]
pub fn preview(image: &Image) -> String {
    DirectWish::of(DirectSource::Image).cmdline(&image.cmdline, false).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use isoprep::contents::{DiscFile, Loader};

    use super::*;

    fn wish() -> DirectWish {
        DirectWish::of(DirectSource::Image)
    }

    #[test]
    fn a_command_line_gets_a_serial_console_unless_it_has_one_or_was_written_whole() {
        assert_eq!(wish().cmdline("boot=live", false).unwrap(), "boot=live console=tty0 console=ttyS0,115200");
        assert_eq!(wish().cmdline(" console=ttyS1 ", true).unwrap(), "console=ttyS1 no_timer_check");
        let added = DirectWish { append: "console=hvc0 quiet".into(), ..wish() };
        assert_eq!(added.cmdline("ro", false).unwrap(), "ro console=hvc0 quiet");
        let whole = DirectWish { cmdline: Some("ro".into()), append: "x".into(), ..wish() };
        assert_eq!(whole.cmdline("boot=live", true).unwrap(), "ro x");
        assert_eq!(DirectWish { cmdline: Some(String::new()), ..wish() }.cmdline("a", true).unwrap(), "");
        assert!(DirectWish { append: "a\nb".into(), ..wish() }.cmdline("", false).unwrap_err().contains("'\\n'"));
        assert!(wish().cmdline(&"x".repeat(2048), false).unwrap_err().contains("2047"));
    }

    #[test]
    fn a_cartridge_asks_for_the_way_that_it_names() {
        let of = |text: &str| DirectWish::of_recipe(&isoprep::parse(text, std::path::Path::new("/r")).unwrap().boot);
        assert_eq!(of(""), None);
        let kernel = of("[boot]\nway = \"kernel\"\ncmdline = \"debug\"").unwrap();
        assert!(kernel.source == DirectSource::Image && kernel.append == "debug" && kernel.needs_image());
        let settings =
            BootSettings { cmdline: "debug".into(), ..isoprep::parse("", std::path::Path::new("/r")).unwrap().boot };
        assert_eq!(wish().with_words_of(&settings).append, "debug");
        assert_eq!(DirectWish { append: "x".into(), ..wish() }.with_words_of(&settings).append, "x");
        let layers =
            of("[image]\nengine = \"debian\"\n[boot]\nway = \"layers\"\ncmdline = \"x root=LABEL=y\"").unwrap();
        assert!(layers.names_a_root() && !kernel.names_a_root());
        let DirectSource::Kernel(layers) = layers.source else { panic!() };
        assert_eq!(layers.root, DirectRoot::LastImage);
        let folder = of("[boot]\nway = \"folder\"\nroot = \"tree\"\naccess = \"writable\"").unwrap();
        assert!(!folder.needs_image());
        let DirectSource::Kernel(folder) = folder.source else { panic!() };
        assert_eq!(folder.root, DirectRoot::Folder("/r/tree".into(), BootAccess::Writable));
    }

    #[test]
    fn entries_are_chosen_by_number_and_by_title() {
        let choice = |title: &str| BootChoice {
            title: title.into(),
            loader: Loader::Grub,
            file: "f".into(),
            is_default: false,
            kernel: DiscFile { on_efi: false, path: "k".into(), bytes: 1 },
            initrds: vec![],
            cmdline: String::new(),
            left_out: vec![],
        };
        let choices = vec![choice("Live system"), choice("Live system (to RAM)"), choice("Rescue")];
        let menu = BootMenu { label: "X".into(), choices, passed_over: vec![] };
        let of = |text: &str| EntryWish::parse(text).choose(&menu).map(|it| it.title.clone());
        assert_eq!(EntryWish::Best.choose(&menu).unwrap().title, "Live system");
        assert_eq!(of("2").unwrap(), "Live system (to RAM)");
        assert_eq!(of("live SYSTEM").unwrap(), "Live system");
        assert_eq!(of("resc").unwrap(), "Rescue");
        assert!(of("live").unwrap_err().contains("several"));
        let as_listed = |number, title: &str| EntryWish::Listed(number, title.into()).choose(&menu).map(|it| &it.title);
        assert_eq!(as_listed(3, "Rescue").unwrap(), "Rescue");
        assert!(as_listed(2, "Rescue").unwrap_err().contains("read the ISO's entries again"));
        for none in ["0", "4", "Windows"] {
            assert!(of(none).unwrap_err().contains("3  Rescue"), "{none}");
        }
    }
}
