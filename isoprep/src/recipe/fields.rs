//! The table of everything a `cartridge.toml` may say. Parsing, forms, proposals and completions all read it.

use serde::Serialize;

/// What one field is for, for people and for forms.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct FieldDoc {
    /// Section and name: `"guest.cpus"`; `"name"` stands alone.
    pub key: &'static str,
    /// A short label.
    pub label: &'static str,
    /// What kind of value it takes.
    pub kind: FieldKind,
    /// What holds when the field is not set, as shown in a form; empty when that is nothing.
    pub default: &'static str,
    /// The unit, or empty.
    pub unit: &'static str,
    /// What is allowed, in words.
    pub range: &'static str,
    /// What it does: one sentence.
    pub doc: &'static str,
}

/// What kind of value a field takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FieldKind {
    /// A string.
    Text,
    /// A whole number.
    Integer {
        /// The smallest that is allowed.
        min: i64,
        /// The largest that is allowed.
        max: i64,
    },
    /// A size as a string: `"4G"`, `"512M"`, `"4GiB"`.
    Size,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A folder, relative to the file.
    Folder,
    /// A file, relative to the file.
    File,
    /// A list of strings.
    List,
    /// A table of names and values.
    Map,
}

/// Fewest and most virtual processors: QEMU's q35 takes 255 without more settings.
pub(super) const CPUS: (i64, i64) = (1, 255);
/// Smallest and largest memory, MiB: below 128 the kernel cannot unpack its initramfs.
pub(super) const MEMORY_MIB: (u64, u64) = (128, 1024 * 1024);
/// Smallest and largest disk, bytes.
pub(super) const DISK: (u64, u64) = (1 << 20, 64 << 40);

/// Everything that a `cartridge.toml` may say, in the order in which it is shown.
pub const FIELDS: &[FieldDoc] = &[
    FieldDoc {
        key: "name",
        label: "Name",
        kind: FieldKind::Text,
        default: "",
        unit: "",
        range: "1 to 63 letters, digits, . _ -; starts with a letter or digit",
        doc: "What the cartridge is called; the folder's name when not set.",
    },
    FieldDoc {
        key: "source.path",
        label: "Folder",
        kind: FieldKind::Folder,
        default: ".",
        unit: "",
        range: "a folder inside the cartridge's folder",
        doc: "The folder that is injected into the image. It is only ever read.",
    },
    FieldDoc {
        key: "source.into",
        label: "Into",
        kind: FieldKind::Text,
        default: "/root/<name>",
        unit: "",
        range: "an absolute path in the guest, not where its base system is (/etc, /usr/bin, /tmp …)",
        doc: "Where the guest finds the folder.",
    },
    FieldDoc {
        key: "source.exclude",
        label: "Exclude",
        kind: FieldKind::List,
        default: "",
        unit: "",
        range: "patterns as in .gitignore",
        doc: "What is left out, besides .git and what git ignores.",
    },
    FieldDoc {
        key: "image.engine",
        label: "Engine",
        kind: FieldKind::Choice(&["micro"]),
        default: "micro",
        unit: "",
        range: "micro",
        doc: "What makes the image: micro is a kernel of this machine, busybox and a small init.",
    },
    FieldDoc {
        key: "image.kernel",
        label: "Kernel",
        kind: FieldKind::File,
        default: "",
        unit: "",
        range: "a kernel image, like vmlinuz",
        doc: "The kernel to boot; the best one found on this machine when not set.",
    },
    FieldDoc {
        key: "image.cmdline",
        label: "Kernel command line",
        kind: FieldKind::Text,
        default: "",
        unit: "",
        range: "printable ASCII, at most 1024 characters",
        doc: "Words to append to the kernel's command line.",
    },
    FieldDoc {
        key: "image.files",
        label: "Files",
        kind: FieldKind::Map,
        default: "",
        unit: "",
        range: "\"/path/in/the/guest\" = \"file in the cartridge's folder\"",
        doc: "Single files to add to the image.",
    },
    FieldDoc {
        key: "image.env",
        label: "Environment",
        kind: FieldKind::Map,
        default: "",
        unit: "",
        range: "NAME = \"value\"",
        doc: "Environment variables for the guest's shell.",
    },
    FieldDoc {
        key: "guest.cpus",
        label: "Processors",
        kind: FieldKind::Integer { min: CPUS.0, max: CPUS.1 },
        default: "4",
        unit: "processors",
        range: "1 to 255",
        doc: "How many virtual processors the guest has.",
    },
    FieldDoc {
        key: "guest.memory",
        label: "Memory",
        kind: FieldKind::Size,
        default: "4G",
        unit: "M, G or T (powers of 1024)",
        range: "128M to 1T",
        doc: "How much memory the guest has.",
    },
    FieldDoc {
        key: "guest.firmware",
        label: "Firmware",
        kind: FieldKind::Choice(&["bios", "uefi"]),
        default: "bios",
        unit: "",
        range: "bios or uefi",
        doc: "Which firmware boots the guest.",
    },
    FieldDoc {
        key: "guest.gpu",
        label: "Graphics",
        kind: FieldKind::Choice(&["std", "virtio"]),
        default: "std",
        unit: "",
        range: "std or virtio",
        doc: "Which graphics card the guest has; virtio needs a driver in the guest.",
    },
    FieldDoc {
        key: "guest.medium",
        label: "Medium",
        kind: FieldKind::Choice(&["cd", "usb"]),
        default: "cd",
        unit: "",
        range: "cd or usb",
        doc: "What the image is presented to the guest as.",
    },
    FieldDoc {
        key: "guest.disk",
        label: "Disk",
        kind: FieldKind::Size,
        default: "",
        unit: "M, G or T (powers of 1024)",
        range: "1M to 64T",
        doc: "The size of an empty disk to install to; no disk when not set.",
    },
    FieldDoc {
        key: "guest.accelerator",
        label: "Accelerator",
        kind: FieldKind::Choice(&["auto", "kvm", "tcg"]),
        default: "auto",
        unit: "",
        range: "auto, kvm or tcg",
        doc: "How the guest's processors are run: auto takes kvm where it was measured to work well, else tcg.",
    },
    FieldDoc {
        key: "guest.forward",
        label: "Forward",
        kind: FieldKind::Map,
        default: "",
        unit: "",
        range: "ssh = \"auto\", or a name and the guest's port: web = 8080",
        doc: "Guest ports to be reached from this machine; the port on this machine is chosen when the guest starts.",
    },
];

/// The field called `key`, if there is one.
#[must_use]
pub fn field(key: &str) -> Option<&'static FieldDoc> {
    FIELDS.iter().find(|field| field.key == key)
}

/// The names of the sections.
pub(super) fn sections() -> Vec<&'static str> {
    let mut sections: Vec<_> = FIELDS.iter().filter_map(|field| Some(field.key.split_once('.')?.0)).collect();
    sections.dedup();
    sections
}

/// The known name that `word` was probably meant to be.
pub(super) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let score = |name: &str| strsim::normalized_damerau_levenshtein(&word.to_lowercase(), name);
    let best = known.into_iter().map(|name| (score(name), name)).max_by(|a, b| a.0.total_cmp(&b.0))?;
    (best.0 >= 0.5).then_some(best.1)
}

/// The fields of one section without the section's name; of the top level, names of fields and sections.
pub(super) fn names_in(section: &str) -> Vec<&'static str> {
    if section.is_empty() {
        let alone = FIELDS.iter().map(|field| field.key).filter(|key| !key.contains('.'));
        return alone.chain(sections()).collect();
    }
    FIELDS
        .iter()
        .filter_map(|field| field.key.split_once('.'))
        .filter(|key| key.0 == section)
        .map(|key| key.1)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_found_and_nonsense_has_none() {
        assert_eq!(nearest("cpuz", names_in("guest")), Some("cpus"));
        assert_eq!(nearest("Memroy", names_in("guest")), Some("memory"));
        assert_eq!(nearest("gest", names_in("")), Some("guest"));
        assert_eq!(nearest("xyzzy", names_in("guest")), None);
    }

    #[test]
    fn keys_are_unique_and_documented() {
        for (index, field) in FIELDS.iter().enumerate() {
            assert!(FIELDS.iter().skip(index + 1).all(|other| other.key != field.key), "{}", field.key);
            assert!(!field.label.is_empty() && !field.doc.is_empty() && !field.range.is_empty(), "{}", field.key);
        }
    }
}
