//! The table of everything a `cartridge.toml` may say. Parsing, forms, proposals and completions all read it. What
//! `[guest]` may say is in `field_table_guest`.

use super::boot;
use super::field_table_guest::GUEST;
use super::fields::{FieldDoc, FieldKind};
use super::model::EngineKind;
use super::test_section::TEST;

/// For fields that mean something whatever the engine.
pub(super) const ALL: &[EngineKind] = &EngineKind::ALL;
/// For what only our own small system has.
const MICRO: &[EngineKind] = &[EngineKind::Micro];
/// For what is made from a distribution.
const DISTRIBUTIONS: &[EngineKind] =
    &[EngineKind::Archiso, EngineKind::Mkarchiso, EngineKind::Debian, EngineKind::Tree];
/// For what is made from packages.
const PACKAGED: &[EngineKind] = &[EngineKind::Archiso, EngineKind::Mkarchiso, EngineKind::Debian];
/// For what is made from an archiso profile.
const PROFILED: &[EngineKind] = &[EngineKind::Archiso, EngineKind::Mkarchiso];

/// Everything that a `cartridge.toml` may say, in the order in which it is shown.
pub const FIELDS: &[FieldDoc] = &{
    let tests = OTHERS.len() + GUEST.len();
    let mut all = [OTHERS[0]; OTHERS.len() + GUEST.len() + TEST.len()];
    let mut at = 0;
    while at < all.len() {
        all[at] = if at < OTHERS.len() {
            OTHERS[at]
        } else if at < tests {
            GUEST[at - OTHERS.len()]
        } else {
            TEST[at - tests]
        };
        at += 1;
    }
    all
};

/// All but `[guest]` and `[test]`.
const OTHERS: &[FieldDoc] = &[
    FieldDoc {
        key: "name",
        label: "Name",
        kind: FieldKind::Text,
        default: "",
        unit: "",
        range: "1 to 63 letters, digits, . _ -; starts with a letter or digit",
        doc: "What the cartridge is called; the folder's name when not set.",
        engines: ALL,
    },
    FieldDoc {
        key: "source.path",
        label: "Folder",
        kind: FieldKind::Folder,
        default: ".",
        unit: "",
        range: "a folder inside the cartridge's folder",
        doc: "The folder that is injected into the image. It is only ever read.",
        engines: ALL,
    },
    FieldDoc {
        key: "source.into",
        label: "Into",
        kind: FieldKind::Text,
        default: "/root/<name>",
        unit: "",
        range: "an absolute path in the guest, not where its base system is (/etc, /usr/bin, /tmp …)",
        doc: "Where the guest finds the folder.",
        engines: ALL,
    },
    FieldDoc {
        key: "source.exclude",
        label: "Exclude",
        kind: FieldKind::List,
        default: "",
        unit: "",
        range: "patterns as in .gitignore",
        doc: "What is left out, besides .git and what git ignores.",
        engines: ALL,
    },
    FieldDoc {
        key: "source.live",
        label: "Live",
        kind: FieldKind::Choice(&["off", "read-only", "overlaid", "writable"]),
        default: "off",
        unit: "",
        range: "off, read-only, overlaid or writable",
        doc: "Whether a guest sees the folder itself, as it is now; overlaid: what the guest writes stays in the guest.",
        engines: ALL,
    },
    FieldDoc {
        key: "image.engine",
        label: "Engine",
        kind: FieldKind::Choice(&["micro", "archiso", "mkarchiso", "debian", "tree"]),
        default: "micro",
        unit: "",
        range: "micro, archiso, mkarchiso, debian or tree",
        doc: "What makes it. micro: this machine's kernel, busybox; archiso, mkarchiso: a profile; debian: a suite; tree: a root.",
        engines: ALL,
    },
    FieldDoc {
        key: "image.base",
        label: "Base",
        kind: FieldKind::Folder,
        default: "",
        unit: "",
        range: "archiso: a profile's folder, or releng, baseline, minimal; debian: a suite; tree: a folder or tarball",
        doc: "What the image is made from: for archiso minimal when not set, for debian this machine's suite or stable.",
        engines: DISTRIBUTIONS,
    },
    FieldDoc {
        key: "image.overlays",
        label: "Overlays",
        kind: FieldKind::List,
        default: "",
        unit: "",
        range: "folders inside the cartridge's folder, laid out as a profile: airootfs, efiboot, grub, syslinux …",
        doc: "Folders that are laid over the base profile, in this order.",
        engines: PROFILED,
    },
    FieldDoc {
        key: "image.remove",
        label: "Remove",
        kind: FieldKind::List,
        default: "",
        unit: "",
        range: "paths relative to the profile, like \"airootfs/etc/motd\"",
        doc: "What is taken out of the base profile before the overlays are laid over it.",
        engines: PROFILED,
    },
    FieldDoc {
        key: "image.pacman_conf",
        label: "pacman.conf",
        kind: FieldKind::File,
        default: "",
        unit: "",
        range: "a file inside the cartridge's folder",
        doc: "The pacman.conf to build with; the profile's own when not set.",
        engines: PROFILED,
    },
    FieldDoc {
        key: "image.packages",
        label: "Packages",
        kind: FieldKind::List,
        default: "",
        unit: "",
        range: "names of packages",
        doc: "Packages to install besides those that the base lists.",
        engines: PACKAGED,
    },
    FieldDoc {
        key: "image.mirror",
        label: "Mirror",
        kind: FieldKind::Text,
        default: "",
        unit: "",
        range: "an http, https or file address; for archiso with $repo and $arch in it, as in a mirrorlist",
        doc: "Where packages come from, in place of the mirrorlist of this machine or of Debian's own mirrors.",
        engines: PACKAGED,
    },
    FieldDoc {
        key: "image.build",
        label: "Build",
        kind: FieldKind::Choice(&["dev", "release"]),
        default: "dev",
        unit: "",
        range: "dev or release",
        doc: "dev is quick: little compression, the repository apart; release bakes everything in, packed as the base says.",
        engines: DISTRIBUTIONS,
    },
    FieldDoc {
        key: "image.kernel",
        label: "Kernel",
        kind: FieldKind::File,
        default: "",
        unit: "",
        range: "a kernel image, like vmlinuz",
        doc: "The kernel to boot; the best one found on this machine when not set.",
        engines: MICRO,
    },
    FieldDoc {
        key: "image.cmdline",
        label: "Kernel command line",
        kind: FieldKind::Text,
        default: "",
        unit: "",
        range: "printable ASCII, at most 1024 characters",
        doc: "Words to append to the kernel's command line.",
        engines: ALL,
    },
    FieldDoc {
        key: "image.files",
        label: "Files",
        kind: FieldKind::Map,
        default: "",
        unit: "",
        range: "\"/path/in/the/guest\" = \"file in the cartridge's folder\"",
        doc: "Single files to add to the image.",
        engines: ALL,
    },
    FieldDoc {
        key: "image.env",
        label: "Environment",
        kind: FieldKind::Map,
        default: "",
        unit: "",
        range: "NAME = \"value\"",
        doc: "Environment variables for the guest's shell.",
        engines: ALL,
    },
    boot::WAY,
    boot::KERNEL,
    boot::MODULES,
    boot::INITRD,
    boot::ROOT,
    boot::KEEP,
    boot::ACCESS,
    boot::CMDLINE,
];
