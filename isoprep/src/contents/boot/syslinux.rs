//! SYSLINUX and ISOLINUX: `LABEL` begins an entry (doc/syslinux.txt and doc/menu.txt of syslinux).

use super::{blank, split_word};
use crate::contents::model::{BootEntry, Loader};

pub(super) fn entries(text: &str) -> Vec<BootEntry> {
    let mut found: Vec<BootEntry> = Vec::new();
    // What stands before the first label holds for every entry that does not say otherwise.
    let mut every = String::new();
    let mut own = Vec::new();
    let mut in_help = false;
    for line in text.lines() {
        let (word, rest) = split_word(line);
        let word = word.to_ascii_lowercase();
        if in_help {
            in_help = word != "endtext";
            continue;
        }
        match (word.as_str(), found.last_mut()) {
            ("label", _) => {
                found.push(blank(Loader::Syslinux, rest));
                own.push(false);
            }
            ("text", _) => in_help = true,
            ("append", None) => every = rest.to_owned(),
            ("append", Some(entry)) => {
                entry.options = if rest == "-" { String::new() } else { rest.to_owned() };
                own.last_mut().into_iter().for_each(|own| *own = true);
            }
            ("menu", Some(entry)) => {
                let (word, rest) = split_word(rest);
                if word.eq_ignore_ascii_case("label") {
                    // The letter after the caret is the key.
                    entry.title = rest.replacen('^', "", 1);
                }
            }
            ("linux", Some(entry)) => entry.kernel = Some(rest.to_owned()),
            // Modules and other loaders are no kernels.
            ("kernel", Some(entry)) if !is_module(rest) => entry.kernel = Some(rest.to_owned()),
            ("initrd", Some(entry)) => entry.initrds = list(rest),
            _ => {}
        }
    }
    for (entry, own) in found.iter_mut().zip(own) {
        if !own && entry.kernel.is_some() {
            entry.options.clone_from(&every);
        }
        // An older way to name the initramfs.
        if entry.initrds.is_empty() {
            let named = entry.options.split_whitespace().find_map(|word| word.strip_prefix("initrd="));
            entry.initrds = named.map(list).unwrap_or_default();
        }
    }
    found
}

fn list(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

fn is_module(file: &str) -> bool {
    let name = file.to_ascii_lowercase();
    [".c32", ".com", ".cbt", ".0", ".bin", ".bs", ".bss", ".img"].iter().any(|ending| name.ends_with(ending))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_titles_parts_and_words_are_read() {
        let text = "\
default arch
append quiet
label arch
  menu label Arch ^Linux live
  text help
label this is help, not a label
  endtext
  LINUX /arch/boot/x86_64/vmlinuz-linux
  INITRD /arch/boot/amd-ucode.img, /arch/boot/x86_64/initramfs-linux.img
  APPEND archisobasedir=arch  archisolabel=ARCH
LABEL old
kernel /live/vmlinuz
append initrd=/live/initrd.img boot=live
label plain
linux /vmlinuz
label none
linux /vmlinuz
append -
label reboot
com32 reboot.c32
label menu
kernel vesamenu.c32
";
        let found = entries(text);
        let titles: Vec<_> = found.iter().map(|entry| entry.title.as_str()).collect();
        assert_eq!(titles, ["Arch Linux live", "old", "plain", "none", "reboot", "menu"]);
        assert_eq!(found[0].kernel.as_deref(), Some("/arch/boot/x86_64/vmlinuz-linux"));
        assert_eq!(found[0].initrds, ["/arch/boot/amd-ucode.img", "/arch/boot/x86_64/initramfs-linux.img"]);
        assert_eq!(found[0].options, "archisobasedir=arch  archisolabel=ARCH");
        assert_eq!(
            (found[1].initrds.as_slice(), found[1].kernel.as_deref()),
            (&["/live/initrd.img".to_owned()][..], Some("/live/vmlinuz"))
        );
        assert_eq!((found[2].options.as_str(), found[3].options.as_str()), ("quiet", ""));
        assert!(found[4].kernel.is_none() && found[5].kernel.is_none() && found[5].options.is_empty());
    }
}
