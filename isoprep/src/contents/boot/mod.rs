//! Boot entries out of the configuration that an image carries. The parsers take text; which files are configuration is
//! decided by their paths.

mod grub;
mod syslinux;
mod systemd_boot;

use super::model::{BootEntry, Loader};
use super::tree_path::TreePath;

/// The largest configuration file that is read, bytes.
pub(super) const LARGEST: u64 = 1 << 20;
/// How many configuration files of one image are read.
pub(super) const MOST_FILES: usize = 256;
/// How many entries of one file are read.
const MOST_ENTRIES: usize = 1024;

/// Whose configuration the file at `path` is, if it is one.
pub(super) fn loader_of(path: &TreePath) -> Option<Loader> {
    // FAT, and ISO 9660 without Rock Ridge, have capitals.
    let parts: Vec<String> = path.parts().map(|part| String::from_utf8_lossy(part).to_ascii_lowercase()).collect();
    let (name, dirs) = parts.split_last()?;
    let dir = dirs.last().map(String::as_str);
    if name.ends_with(".conf") {
        return dirs.ends_with(&["loader".to_owned(), "entries".to_owned()]).then_some(Loader::SystemdBoot);
    }
    if !name.ends_with(".cfg") {
        return None;
    }
    match (dir, name.as_str()) {
        (Some("syslinux" | "isolinux"), _) | (_, "syslinux.cfg" | "isolinux.cfg") => Some(Loader::Syslinux),
        (Some("grub" | "grub2"), _) | (_, "grub.cfg") => Some(Loader::Grub),
        _ => None,
    }
}

/// The entries of one file. What is not understood is passed over.
pub(super) fn entries(loader: Loader, file: &TreePath, text: &str) -> Vec<BootEntry> {
    let mut entries = match loader {
        Loader::Syslinux => syslinux::entries(text),
        Loader::Grub => grub::entries(text),
        Loader::SystemdBoot => systemd_boot::entries(text),
    };
    entries.truncate(MOST_ENTRIES);
    entries.iter_mut().for_each(|entry| entry.file = file.clone());
    entries
}

/// An entry that nothing is known of yet.
fn blank(loader: Loader, title: &str) -> BootEntry {
    BootEntry {
        loader,
        file: TreePath::default(),
        title: title.to_owned(),
        kernel: None,
        initrds: Vec::new(),
        options: String::new(),
    }
}

/// The first word of a line, and what follows it.
fn split_word(line: &str) -> (&str, &str) {
    let line = line.trim();
    line.split_once(char::is_whitespace).map_or((line, ""), |(word, rest)| (word, rest.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configuration_is_known_by_its_place() {
        let of = |path: &str| loader_of(&path.into());
        assert_eq!(of("boot/syslinux/archiso_sys-linux.cfg"), Some(Loader::Syslinux));
        assert_eq!(of("isolinux/isolinux.cfg"), Some(Loader::Syslinux));
        assert_eq!(of("ISOLINUX/ISOLINUX.CFG"), Some(Loader::Syslinux));
        assert_eq!(of("boot/grub/grub.cfg"), Some(Loader::Grub));
        assert_eq!(of("boot/grub/loopback.cfg"), Some(Loader::Grub));
        assert_eq!(of("EFI/debian/grub.cfg"), Some(Loader::Grub));
        assert_eq!(of("loader/entries/01-arch.conf"), Some(Loader::SystemdBoot));
        for other in ["loader/loader.conf", "entries/x.conf", "boot/grub/grubenv", "etc/x.cfg", "", "cfg"] {
            assert_eq!(of(other), None, "{other}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_taken(text: String) {
            for loader in [Loader::Syslinux, Loader::Grub, Loader::SystemdBoot] {
                let _ = entries(loader, &"x".into(), &text);
            }
        }

        #[test]
        fn any_line_noise_is_taken(words in proptest::collection::vec("(menuentry|submenu|linux|initrd|label|append|kernel|menu|title|options|\\{|\\}|'|\"|\\\\|\n| |x)", 0..80)) {
            for loader in [Loader::Syslinux, Loader::Grub, Loader::SystemdBoot] {
                let _ = entries(loader, &"x".into(), &words.concat());
            }
        }
    }
}
