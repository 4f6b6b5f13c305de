//! Syslinux configuration (SYSLINUX, "doc/syslinux.txt" and "doc/menu.txt"): keywords in either case, one a line.

use std::path::Path;

use super::super::model::{BootEntry, BootModeKind};
use super::{BootFile, empty, warning};

/// Keywords that neither begin an entry nor say what it boots.
const OTHERS: [&str; 33] = [
    "allowoptions",
    "autoboot",
    "bootfile",
    "console",
    "default",
    "display",
    "f0",
    "f1",
    "f10",
    "f11",
    "f12",
    "f2",
    "f3",
    "f4",
    "f5",
    "f6",
    "f7",
    "f8",
    "f9",
    "font",
    "implicit",
    "kbdmap",
    "nocomplete",
    "noescape",
    "nohalt",
    "onerror",
    "ontimeout",
    "path",
    "prompt",
    "say",
    "sendcookies",
    "serial",
    "timeout",
];
const MORE: [&str; 6] = ["fdt", "ipappend", "menu", "sysappend", "totaltimeout", "ui"];
/// Keywords that boot something other than a Linux kernel.
const NOT_LINUX: [&str; 8] = ["boot", "bss", "com32", "comboot", "fdimage", "localboot", "pxe", "fd"];
/// What `KERNEL` takes for something other than a Linux kernel, by the name's end.
const NOT_LINUX_ENDS: [&str; 8] = [".0", ".bin", ".bs", ".bss", ".c32", ".cbt", ".com", ".img"];
/// The longest common `APPEND`, bytes (`max_cmd_len` of SYSLINUX 6 is 2047): each entry gets a copy.
const LONGEST_COMMON: usize = 2047;
/// How many entries of a file are read.
const MOST: usize = 2000;

pub(super) fn parse(file: &Path, text: &str) -> BootFile {
    let mut found = BootFile::default();
    let (mut entry, mut global_options, mut in_help) = (None::<Draft>, String::new(), false);
    for (index, line) in text.split('\n').enumerate() {
        let (line, number) = (line.trim(), index + 1);
        let (word, rest) = split(line);
        let keyword = word.to_ascii_lowercase();
        if in_help {
            in_help = keyword != "endtext";
            continue;
        }
        match keyword.as_str() {
            "" => {}
            _ if keyword.starts_with('#') => {}
            "text" => in_help = rest.eq_ignore_ascii_case("help"),
            "endtext" => {}
            "label" if found.entries.len() + 1 >= MOST => {
                found.warnings.push(warning(file, number, format!("more than {MOST} entries; the rest is not read")));
                break;
            }
            "label" => {
                found.entries.extend(entry.take().map(|it| it.finish(&global_options)));
                let mut begun = empty(BootModeKind::BiosSyslinux, file, number);
                begun.title = rest.to_owned();
                entry = Some(Draft { entry: begun, options: None });
            }
            "include" | "config" => found.loads.extend(first(rest).map(|it| (it, number))),
            "menu" => {
                let (what, rest) = split(rest);
                match (what.to_ascii_lowercase().as_str(), &mut entry) {
                    // The caret marks the key that chooses the entry; the menu does not show it.
                    ("label", Some(draft)) => draft.entry.title = rest.replacen('^', "", 1),
                    ("include", _) => found.loads.extend(first(rest).map(|it| (it, number))),
                    _ => {}
                }
            }
            "append" => match &mut entry {
                Some(draft) => draft.options = Some(rest.to_owned()),
                None if rest.len() <= LONGEST_COMMON => rest.clone_into(&mut global_options),
                None => found.warnings.push(warning(file, number, "APPEND is longer than syslinux takes".to_owned())),
            },
            "kernel" | "linux" | "initrd" => {
                if let Some(draft) = &mut entry {
                    draft.boots(&keyword, rest, number);
                }
            }
            _ if NOT_LINUX.contains(&keyword.as_str()) => {
                if let Some(draft) = &mut entry {
                    (draft.entry.kernel, draft.entry.kernel_line) = (None, None);
                }
            }
            _ if OTHERS.contains(&keyword.as_str()) || MORE.contains(&keyword.as_str()) => {}
            _ => found.warnings.push(warning(file, number, format!("syslinux has no keyword {word}"))),
        }
    }
    if in_help {
        let last = text.split('\n').count();
        found.warnings.push(warning(file, last, "TEXT HELP is not closed by ENDTEXT".to_owned()));
    }
    found.entries.extend(entry.map(|it| it.finish(&global_options)));
    found
}

struct Draft {
    entry: BootEntry,
    options: Option<String>,
}

impl Draft {
    fn boots(&mut self, keyword: &str, rest: &str, line: usize) {
        if keyword == "initrd" {
            self.entry.initrds = files(rest);
            return;
        }
        // `KERNEL vmlinuz quiet` appends what follows.
        let (path, options) = split(rest);
        let lower = path.to_ascii_lowercase();
        let is_linux = keyword == "linux" || !NOT_LINUX_ENDS.iter().any(|end| lower.ends_with(end));
        let kernel = (is_linux && !path.is_empty()).then(|| path.to_owned());
        self.entry.kernel_line = kernel.is_some().then_some(line);
        self.entry.kernel = kernel;
        options.clone_into(&mut self.entry.options);
    }

    fn finish(mut self, global: &str) -> BootEntry {
        // `APPEND -` means nothing at all, not even what stands before the first label.
        let appended = self.options.as_deref().unwrap_or(global);
        let appended = if appended == "-" { "" } else { appended };
        self.entry.options = format!("{} {appended}", self.entry.options).trim().to_owned();
        if self.entry.initrds.is_empty() {
            let last =
                self.entry.options.split_whitespace().filter_map(|word| word.strip_prefix("initrd=")).next_back();
            self.entry.initrds = last.map(files).unwrap_or_default();
        }
        self.entry
    }
}

fn split(line: &str) -> (&str, &str) {
    line.split_once(|c: char| c.is_ascii_whitespace()).map_or((line, ""), |(word, rest)| (word, rest.trim()))
}

fn first(rest: &str) -> Option<String> {
    rest.split_whitespace().next().map(str::to_owned)
}

fn files(list: &str) -> Vec<String> {
    list.split(',').map(str::trim).filter(|it| !it.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> BootFile {
        parse(Path::new("syslinux/s.cfg"), text)
    }

    #[test]
    fn entries_have_kernel_initramfs_title_and_options() {
        let found = read(
            "SERIAL 0 115200\nUI menu.c32\nAPPEND everywhere\nDEFAULT one\nINCLUDE other.cfg\n\nlabel one\nTEXT HELP\nlinux of words\nENDTEXT\n\
             menu label Distro (%ARCH%) with ^speech\n  LINUX /%INSTALL_DIR%/boot/%ARCH%/vmlinuz-linux\n\
             INITRD /boot/ucode.img,/boot/initramfs-linux.img\nAPPEND archisobasedir=%INSTALL_DIR% quiet\r\n\
             LABEL two\nKERNEL /boot/vmlinuz-lts vga=1\nLABEL three\nkernel chain.c32\nappend hd0 0\n\
             LABEL four\nCOM32 reboot.c32\nLABEL five\nLINUX k\nAPPEND -\nLABEL six\nLINUX k\nAPPEND initrd=/a,/b ro\nLABEL sys\nCONFIG sys.cfg /x\n",
        );
        assert!(found.warnings.is_empty(), "{:?}", found.warnings);
        let shown: Vec<String> = found
            .entries
            .iter()
            .map(|it| {
                format!(
                    "{} {}|{}|{}|{}",
                    it.line,
                    it.title,
                    it.kernel.as_deref().unwrap_or("-"),
                    it.initrds.join(" "),
                    it.options
                )
            })
            .collect();
        assert_eq!(
            shown,
            [
                "7 Distro (%ARCH%) with speech|/%INSTALL_DIR%/boot/%ARCH%/vmlinuz-linux|/boot/ucode.img /boot/initramfs-linux.img|archisobasedir=%INSTALL_DIR% quiet",
                "15 two|/boot/vmlinuz-lts||vga=1 everywhere",
                "17 three|-||hd0 0",
                "20 four|-||everywhere",
                "22 five|k||",
                "25 six|k|/a /b|initrd=/a,/b ro",
                "28 sys|-||everywhere",
            ]
        );
        assert_eq!(found.entries[0].kernel_line, Some(12));
        assert_eq!(found.loads, [("other.cfg".to_owned(), 5), ("sys.cfg".to_owned(), 29)]);
    }

    #[test]
    fn what_syslinux_does_not_know_is_told() {
        let found = read("LABEL a\nLNIUX k\n# comment\nTEXT HELP\nx\n");
        let said: Vec<_> = found.warnings.iter().map(|it| (it.line, it.text.as_str())).collect();
        assert_eq!(said, [(Some(2), "syslinux has no keyword LNIUX"), (Some(6), "TEXT HELP is not closed by ENDTEXT")]);
    }
}
