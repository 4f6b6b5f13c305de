//! What the boot loaders' configuration files offer to boot. Templates such as `%INSTALL_DIR%` and variables such as
//! `${iso_path}` are left as written.

mod grub;
mod syslinux;
mod systemd_boot;

use std::path::Path;

use super::model::{BootEntry, BootModeKind, ProfileWarning};

/// What one file of a boot loader says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BootFile {
    /// Its entries in order.
    pub entries: Vec<BootEntry>,
    /// Other files that it loads, as written, each with its line: `INCLUDE` and `CONFIG` of syslinux, `source` and
    /// `configfile` of GRUB.
    pub loads: Vec<(String, usize)>,
    /// What was not understood.
    pub warnings: Vec<ProfileWarning>,
}

/// Reads a file of `loader`: syslinux's `*.cfg`, GRUB's `grub.cfg`, a type #1 entry of systemd-boot. `file` is only named.
#[must_use]
pub fn parse_boot_file(loader: BootModeKind, file: &Path, text: &str) -> BootFile {
    match loader {
        BootModeKind::BiosSyslinux => syslinux::parse(file, text),
        BootModeKind::UefiGrub => grub::parse(file, text),
        BootModeKind::UefiSystemdBoot => systemd_boot::parse(file, text),
    }
}

/// An entry that boots nothing yet.
fn empty(loader: BootModeKind, file: &Path, line: usize) -> BootEntry {
    BootEntry {
        loader,
        file: file.to_path_buf(),
        line,
        title: String::new(),
        kernel: None,
        kernel_line: None,
        initrds: Vec::new(),
        options: String::new(),
    }
}

fn warning(file: &Path, line: usize, text: String) -> ProfileWarning {
    ProfileWarning { file: file.to_path_buf(), line: Some(line), text }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn any_text_is_read_and_every_line_exists(
            text in "((label|LINUX|kernel|INITRD|append|menu label|include|menuentry|submenu|linux|initrd|title|options|efi|if|fi|text help|endtext)[ \t]|['\"{}$#;,=^\\\\/a-z\n-]){0,40}",
            any: String,
        ) {
            for text in [text, any] {
                let lines = text.matches('\n').count() + 1;
                for loader in [BootModeKind::BiosSyslinux, BootModeKind::UefiGrub, BootModeKind::UefiSystemdBoot] {
                    let read = parse_boot_file(loader, Path::new("f"), &text);
                    for it in &read.entries {
                        proptest::prop_assert!(it.line >= 1 && it.line <= lines, "{:?}", it);
                        proptest::prop_assert!(it.kernel_line.is_none_or(|line| line >= 1 && line <= lines));
                        proptest::prop_assert_eq!(it.kernel.is_some(), it.kernel_line.is_some());
                        proptest::prop_assert!(it.kernel.as_ref().is_none_or(|kernel| !kernel.is_empty()));
                    }
                    proptest::prop_assert!(read.entries.len() <= text.len());
                    proptest::prop_assert!(read.loads.iter().all(|(_, line)| *line >= 1 && *line <= lines));
                }
            }
        }
    }
}
