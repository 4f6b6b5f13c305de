//! `[boot]`: how the guest comes to its first instruction, and what it has as its root. Reads the section, and looks whether
//! the disk has what it names.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::check::{file, folder};
use super::field_table::ALL;
use super::fields::{FieldDoc, FieldKind};
use super::finding::Finding;
use super::judge::Judge;
use super::model::{EngineKind, Recipe};
use super::reader::Raw;
use super::values;

/// How the guest is booted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BootSettings {
    /// The way.
    pub way: BootWay,
    /// A kernel image, absolute; `None` for the best one of this machine.
    pub kernel: Option<PathBuf>,
    /// The kernel's modules, `/lib/modules/<release>` or a copy of it, absolute; `None` to find them by the kernel.
    pub modules: Option<PathBuf>,
    /// Initramfs files to boot exactly, absolute, in order; none for one of ours.
    pub initrds: Vec<PathBuf>,
    /// What the root is made of, absolute: a folder, or an image with layers; `None` for the image of the last build.
    pub root: Option<PathBuf>,
    /// A disk image that keeps what the guest writes over layers, absolute, made where there is none; `None`: it is forgotten.
    pub keep: Option<PathBuf>,
    /// What the guest may do with a folder that is its root.
    pub access: BootAccess,
    /// Words added to the kernel's command line.
    pub cmdline: String,
}

/// The ways to boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum BootWay {
    /// The image, with its boot loader.
    Image,
    /// The image's own kernel and initramfs, loaded by QEMU; the image is a disk of the guest.
    Kernel,
    /// A kernel with an initramfs that is the whole system.
    Initramfs,
    /// A kernel with our small initramfs, and the layers of an image as the root.
    Layers,
    /// A kernel with our small initramfs, and a folder of this machine as the root.
    Folder,
}

impl BootWay {
    /// All of them, in the order in which `cartridge.toml` names them.
    pub const ALL: [Self; 5] = [Self::Image, Self::Kernel, Self::Initramfs, Self::Layers, Self::Folder];

    /// As it is written in `cartridge.toml`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Kernel => "kernel",
            Self::Initramfs => "initramfs",
            Self::Layers => "layers",
            Self::Folder => "folder",
        }
    }
}

/// What the guest may do with a folder of this machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum BootAccess {
    /// It writes into memory of its own; the folder never changes.
    #[default]
    Overlaid,
    /// It cannot write.
    ReadOnly,
    /// What it writes is in the folder.
    Writable,
}

impl BootSettings {
    /// Whether the image of a build is needed to boot so.
    #[must_use]
    pub fn needs_image(&self) -> bool {
        match self.way {
            BootWay::Image | BootWay::Kernel => true,
            BootWay::Layers => self.root.is_none(),
            BootWay::Initramfs | BootWay::Folder => false,
        }
    }
}

/// The fields of the section.
pub(super) const WAY: FieldDoc = FieldDoc {
    key: "boot.way",
    label: "Way",
    kind: FieldKind::Choice(&["image", "kernel", "initramfs", "layers", "folder"]),
    default: "image",
    unit: "",
    range: "image, kernel, initramfs, layers or folder",
    doc: "image: its boot loader; kernel: its kernel directly; else a kernel with an initramfs, an image's layers, a folder.",
    engines: ALL,
};
pub(super) const KERNEL: FieldDoc = FieldDoc {
    key: "boot.kernel",
    label: "Direct kernel",
    kind: FieldKind::File,
    default: "",
    unit: "",
    range: "a kernel image, like vmlinuz",
    doc: "The kernel of the ways initramfs, layers and folder; the best one found on this machine when not set.",
    engines: ALL,
};
pub(super) const MODULES: FieldDoc = FieldDoc {
    key: "boot.modules",
    label: "Modules",
    kind: FieldKind::Folder,
    default: "",
    unit: "",
    range: "a folder with modules.dep, like /lib/modules/<release>",
    doc: "The modules of that kernel; found by its release when not set.",
    engines: ALL,
};
pub(super) const INITRD: FieldDoc = FieldDoc {
    key: "boot.initrd",
    label: "Initramfs",
    kind: FieldKind::List,
    default: "",
    unit: "",
    range: "initramfs files, like [\"initramfs.cpio\"]",
    doc: "What way initramfs boots exactly, in this order; one of Cartridge's with a shell when not set.",
    engines: ALL,
};
pub(super) const ROOT: FieldDoc = FieldDoc {
    key: "boot.root",
    label: "Root",
    kind: FieldKind::Text,
    default: "",
    unit: "",
    range: "way folder: a folder; way layers: an ISO, a squashfs, an EROFS or a disk image",
    doc: "What the guest's root is made of; for way layers the image of the last build when not set.",
    engines: ALL,
};
pub(super) const KEEP: FieldDoc = FieldDoc {
    key: "boot.keep",
    label: "Keep writes",
    kind: FieldKind::File,
    default: "",
    unit: "",
    range: "way layers: a disk image, made where there is none",
    doc: "Keeps what the guest writes over the layers, for the next boot; forgotten when not set.",
    engines: ALL,
};
pub(super) const ACCESS: FieldDoc = FieldDoc {
    key: "boot.access",
    label: "Access",
    kind: FieldKind::Choice(&["overlaid", "read-only", "writable"]),
    default: "overlaid",
    unit: "",
    range: "overlaid, read-only or writable",
    doc: "What the guest may do with that folder: overlaid keeps what it writes in memory, and the folder as it is.",
    engines: ALL,
};
pub(super) const CMDLINE: FieldDoc = FieldDoc {
    key: "boot.cmdline",
    label: "Words added",
    kind: FieldKind::Text,
    default: "",
    unit: "",
    range: "printable ASCII, at most 1024 characters",
    doc: "Words to append to the kernel's command line when it is booted directly; needs no new build.",
    engines: ALL,
};

/// Which fields mean something to which way, besides `boot.way`.
const MEANS: [(&FieldDoc, &[BootWay]); 7] = [
    (&KERNEL, &[BootWay::Initramfs, BootWay::Layers, BootWay::Folder]),
    (&MODULES, &[BootWay::Initramfs, BootWay::Layers, BootWay::Folder]),
    (&INITRD, &[BootWay::Initramfs]),
    (&ROOT, &[BootWay::Layers, BootWay::Folder]),
    (&KEEP, &[BootWay::Layers]),
    (&ACCESS, &[BootWay::Folder]),
    (&CMDLINE, &[BootWay::Kernel, BootWay::Initramfs, BootWay::Layers, BootWay::Folder]),
];

impl Judge<'_> {
    pub(super) fn boot(&mut self) -> BootSettings {
        let root = self.root;
        let before = self.findings.len();
        let [first, others @ ..] = BootWay::ALL;
        let way = self.choice(WAY.key, first, &others);
        if self.findings.len() == before {
            self.refuse_what_the_way_ignores(way);
        }
        // An empty one is the default, written down.
        let path = |text: &str| if text.is_empty() { Ok(None) } else { values::host_path(text, root).map(Some) };
        let settings = BootSettings {
            way,
            kernel: self.text(KERNEL.key, path).flatten(),
            modules: self.text(MODULES.key, path).flatten(),
            initrds: self.list(INITRD.key, |text| values::host_path(text, root)),
            root: self.text(ROOT.key, path).flatten(),
            keep: self.text(KEEP.key, path).flatten(),
            access: self.choice(ACCESS.key, BootAccess::Overlaid, &[BootAccess::ReadOnly, BootAccess::Writable]),
            cmdline: self.text(CMDLINE.key, values::cmdline).unwrap_or_default(),
        };
        if way == BootWay::Folder && self.take(ROOT.key).is_none() {
            let at = self.take(WAY.key).map_or(0, |(at, _)| at);
            let advice = "name the folder that holds a root file system: root = \"rootfs\"".to_owned();
            self.find(at, ROOT.key, ("way \"folder\" needs a root".to_owned(), advice));
        }
        settings
    }

    /// The image of engine micro is a kernel and an initramfs: a guest would look for its layers in vain.
    pub(super) fn refuse_layers_of_no_image(&mut self, engine: EngineKind, boot: &BootSettings) {
        let named = self.take(ROOT.key).is_some_and(|(_, root)| !matches!(&root, Raw::Text(text) if text.is_empty()));
        let unsure = self.findings.iter().any(|finding| finding.key == "image.engine");
        if engine != EngineKind::Micro || boot.way != BootWay::Layers || named || unsure {
            return;
        }
        let at = self.take(WAY.key).map_or(0, |(at, _)| at);
        let message = "the image of engine \"micro\" has no layers, its system is its initramfs".to_owned();
        let advice = "write way = \"kernel\", or name an image that has layers: root = \"live.iso\"".to_owned();
        self.find(at, WAY.key, (message, advice));
    }

    /// What the guest writes would be a part of the repository: read, injected, and a change of it.
    pub(super) fn refuse_a_kept_disk_in(&mut self, source: &Path, boot: &BootSettings) {
        if boot.keep.as_deref().is_some_and(|keep| keep.starts_with(source)) {
            let at = self.take(KEEP.key).map_or(0, |(at, _)| at);
            let message = "lies in the repository, which the guest would change with each write".to_owned();
            self.find(at, KEEP.key, (message, "name a file outside of it: keep = \"../keep.img\"".to_owned()));
        }
    }

    /// A setting that the way does not read would be believed and do nothing.
    fn refuse_what_the_way_ignores(&mut self, way: BootWay) {
        for (field, ways) in MEANS.iter().filter(|(_, ways)| !ways.contains(&way)) {
            let Some((at, value)) = self.take(field.key) else { continue };
            // A default that is written down says nothing.
            if matches!(&value, Raw::List(items) if items.is_empty())
                || matches!(&value, Raw::Text(text) if text == field.default)
            {
                continue;
            }
            let others: Vec<_> = ways.iter().map(|other| format!("{:?}", other.word())).collect();
            let advice = format!("remove it, or set way = {}", others.join(" or "));
            self.find(at, field.key, (format!("does nothing with way {:?}", way.word()), advice));
            self.entries.retain(|entry| entry.key != field.key);
        }
    }
}

/// Looks whether the disk has what `[boot]` names. Only a boot needs it: a build is not asked.
#[must_use]
pub fn check_boot(recipe: &Recipe) -> Vec<Finding> {
    let boot = &recipe.boot;
    let one = |key: &str, path: &Option<PathBuf>, look: &dyn Fn(&str, &Path) -> Option<Finding>| {
        path.as_deref().and_then(|path| look(key, path))
    };
    let a_file = |key: &str, path: &Path| file(key, path, None);
    let a_folder = |key: &str, path: &Path| folder(key, path, None);
    let mut findings: Vec<Finding> = Vec::new();
    findings.extend(one(KERNEL.key, &boot.kernel, &a_file));
    findings.extend(one(MODULES.key, &boot.modules, &a_folder));
    findings.extend(boot.initrds.iter().filter_map(|path| file(INITRD.key, path, None)));
    findings.extend(match boot.way {
        BootWay::Folder => {
            one(ROOT.key, &boot.root, &|key, path| a_folder(key, path).or_else(|| nothing_in(key, path)))
        }
        _ => one(ROOT.key, &boot.root, &a_file),
    });
    findings
}

/// A root without anything in it.
fn nothing_in(key: &str, path: &Path) -> Option<Finding> {
    let empty = std::fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none());
    let message = format!("{} is empty: a guest finds no program there", path.display());
    let advice = "put a root file system into it, or name another folder";
    empty.then(|| Finding { line: None, column: None, key: key.to_owned(), message, advice: advice.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::parse;

    fn findings(text: &str) -> Vec<(String, String)> {
        match parse(text, Path::new("/home/u/p")) {
            Ok(_) => Vec::new(),
            Err(error) => {
                error.findings.into_iter().map(|it| (it.key, format!("{}; {}", it.message, it.advice))).collect()
            }
        }
    }

    #[test]
    fn every_way_takes_what_it_reads() {
        let of = |text: &str| parse(text, Path::new("/home/u/p")).unwrap().boot;
        let plain = of("");
        assert!(plain.way == BootWay::Image && plain.needs_image() && plain.access == BootAccess::Overlaid);
        let folder =
            of("[boot]\nway = \"folder\"\nroot = \"../rootfs\"\naccess = \"read-only\"\nkernel = \"/boot/vmlinuz\"");
        assert_eq!(folder.root.as_deref(), Some(Path::new("/home/u/rootfs")));
        assert!(folder.access == BootAccess::ReadOnly && !folder.needs_image());
        let initramfs = of("[boot]\nway = \"initramfs\"\ninitrd = [\"a.cpio\", \"/b\"]\ncmdline = \" quiet \"");
        assert_eq!(initramfs.initrds, [PathBuf::from("/home/u/p/a.cpio"), PathBuf::from("/b")]);
        assert_eq!((initramfs.cmdline.as_str(), initramfs.needs_image()), ("quiet", false));
        let layers = of("[image]\nengine = \"debian\"\n[boot]\nway = \"layers\"\nkeep = \"../k\"");
        assert!(layers.needs_image() && layers.keep.as_deref() == Some(Path::new("/home/u/k")));
        assert!(!of("[boot]\nway = \"layers\"\nroot = \"x.iso\"").needs_image());
    }

    #[test]
    fn what_a_way_ignores_is_refused_with_the_ways_that_read_it() {
        for (text, key, says) in [
            (
                "[boot]\nkernel = \"/k\"",
                "boot.kernel",
                "does nothing with way \"image\"; remove it, or set way = \"initramfs\" or \"layers\" or \"folder\"",
            ),
            ("[boot]\nway = \"layers\"\nroot = \"x.iso\"\nkeep = \"k\"", "boot.keep", "lies in the repository"),
            (
                "[boot]\nway = \"layers\"",
                "boot.way",
                "engine \"micro\" has no layers, its system is its initramfs; write way = \"kernel\"",
            ),
            ("[image]\nengine = \"micor\"\n[boot]\nway = \"layers\"", "image.engine", "did you mean \"micro\"?"),
            ("[boot]\nkeep = \"../k\"", "boot.keep", "does nothing with way \"image\""),
            (
                "[boot]\nway = \"layers\"\nroot = \"x.iso\"\naccess = \"writable\"",
                "boot.access",
                "does nothing with way \"layers\"",
            ),
            ("[boot]\nway = \"folder\"", "boot.root", "needs a root; name the folder"),
            ("[boot]\nway = \"fodler\"", "boot.way", "did you mean \"folder\"?"),
            ("[boot]\nway = \"kernel\"\ncmdline = \"a\\nb\"", "boot.cmdline", "not allowed"),
            ("[boot]\nkernal = \"/k\"", "boot.kernal", "did you mean"),
        ] {
            let found = findings(text);
            assert!(found.len() == 1 && found[0].0 == key && found[0].1.contains(says), "{text}: {found:?}");
        }
    }

    #[test]
    fn what_is_not_there_is_said_before_a_boot() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("file"), "x").unwrap();
        let found = |text: &str| {
            let recipe = parse(text, dir.path()).unwrap();
            check_boot(&recipe).into_iter().map(|it| it.key).collect::<Vec<_>>()
        };
        assert_eq!(found("[boot]\nway = \"folder\"\nroot = \"file\"\nkernel = \"gone\""), ["boot.kernel", "boot.root"]);
        assert_eq!(found("[boot]\nway = \"layers\"\nroot = \".\"\nmodules = \"file\""), ["boot.modules", "boot.root"]);
        assert_eq!(found("[boot]\nway = \"initramfs\"\ninitrd = [\"file\", \"gone\"]"), ["boot.initrd"]);
        assert_eq!(found("[boot]\nway = \"folder\"\nroot = \".\""), [""; 0]);
        std::fs::create_dir(dir.path().join("empty")).unwrap();
        assert_eq!(found("[boot]\nway = \"folder\"\nroot = \"empty\""), ["boot.root"]);
    }
}
