//! Type #1 entries of systemd-boot (the UAPI Group's Boot Loader Specification): a key and its value on each line.

use std::path::Path;

use super::super::model::BootModeKind;
use super::{BootFile, empty, warning};

/// Keys that say nothing of what is booted.
const OTHERS: [&str; 9] = [
    "architecture",
    "devicetree",
    "devicetree-overlay",
    "extra",
    "grub_arg",
    "grub_class",
    "grub_users",
    "id",
    "machine-id",
];
const MORE: [&str; 4] = ["profile", "sort-key", "uki", "version"];

pub(super) fn parse(file: &Path, text: &str) -> BootFile {
    let mut found = BootFile::default();
    let mut entry = empty(BootModeKind::UefiSystemdBoot, file, 1);
    let (mut options, mut is_empty) = (Vec::new(), true);
    for (index, line) in text.split('\n').enumerate() {
        let (line, number) = (line.trim(), index + 1);
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (key, value) =
            line.split_once(|c: char| c.is_ascii_whitespace()).map_or((line, ""), |(key, rest)| (key, rest.trim()));
        if is_empty {
            (entry.line, is_empty) = (number, false);
        }
        match key {
            "title" => value.clone_into(&mut entry.title),
            "linux" if !value.is_empty() => {
                (entry.kernel, entry.kernel_line) = (Some(value.to_owned()), Some(number));
            }
            // A kernel is an EFI program too, and some entries name it so.
            "efi" if value.rsplit(['/', '\\']).next().is_some_and(|name| name.starts_with("vmlinuz")) => {
                (entry.kernel, entry.kernel_line) = (Some(value.to_owned()), Some(number));
            }
            "initrd" if !value.is_empty() => entry.initrds.push(value.to_owned()),
            "options" => options.push(value),
            "linux" | "efi" | "initrd" => {}
            _ if OTHERS.contains(&key) || MORE.contains(&key) => {}
            _ => found.warnings.push(warning(file, number, format!("systemd-boot has no key {key}"))),
        }
    }
    if is_empty {
        found.warnings.push(warning(file, 1, "the entry is empty".to_owned()));
        return found;
    }
    entry.options = options.join(" ").trim().to_owned();
    if entry.title.is_empty() {
        entry.title = file.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    }
    found.entries.push(entry);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_read_with_all_its_lines() {
        let found = parse(
            Path::new("efiboot/loader/entries/01-x.conf"),
            "# an entry\ntitle    Distro (%ARCH%, UEFI)\r\nsort-key 01\nlinux\t/%INSTALL_DIR%/vmlinuz-linux\ninitrd /a.img\ninitrd  /b.img\n\
             options  one=1\noptions two\nodd x\n",
        );
        let entry = &found.entries[0];
        assert_eq!((entry.title.as_str(), entry.line), ("Distro (%ARCH%, UEFI)", 2));
        assert_eq!((entry.kernel.as_deref(), entry.kernel_line), (Some("/%INSTALL_DIR%/vmlinuz-linux"), Some(4)));
        assert_eq!(entry.initrds, ["/a.img", "/b.img"]);
        assert_eq!(entry.options, "one=1 two");
        assert_eq!(
            found.warnings.iter().map(|it| (it.line, it.text.as_str())).collect::<Vec<_>>(),
            [(Some(9), "systemd-boot has no key odd")]
        );
    }

    #[test]
    fn programs_that_are_no_kernel_and_empty_files() {
        let found = parse(Path::new("e/memtest.conf"), "efi /boot/memtest86+/memtest.efi\narchitecture x64\n");
        assert_eq!((found.entries[0].title.as_str(), &found.entries[0].kernel), ("memtest", &None));
        let found = parse(Path::new("e/k.conf"), "title k\nefi \\EFI\\vmlinuz-linux\n");
        assert_eq!(found.entries[0].kernel_line, Some(2));
        let found = parse(Path::new("e/none.conf"), "\n# nothing\n");
        assert!(found.entries.is_empty() && found.warnings.len() == 1);
    }
}
