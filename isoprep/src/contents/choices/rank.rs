//! Which entry is the best to be booted without the menu: what the loader would start by itself, and not what is meant for
//! special needs. Pure.

use super::super::model::Loader;

/// Words in titles, command lines and paths of entries for special needs.
const SPECIAL: [&str; 22] = [
    "accessib",
    "copytoram",
    "debug",
    "fail-safe",
    "failsafe",
    "fallback",
    "hibern",
    "installer",
    "memtest",
    "nomodeset",
    "persist",
    "recovery",
    "rescue",
    "safe mode",
    "serial console",
    "single",
    "speech",
    "speakup",
    "test this media",
    "toram",
    "verify",
    "rd.live.check",
];
/// Words of entries that get their root from the network or from another disk than this one.
const ELSEWHERE: [&str; 9] = [
    "archiso_http_srv=",
    "archiso_nbd_srv=",
    "archiso_nfs_srv=",
    "archiso_pxe_http",
    "fetch=",
    "img_loop=/",
    "netboot=",
    "nfsroot=",
    "${pxeserver}",
];

/// What is known of an entry's place in the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    elsewhere: bool,
    /// Read by another GRUB that has found this image on a disk.
    loopback: bool,
    not_default: bool,
    special: usize,
    loader: Loader,
}

/// The rank of an entry: the smallest is the best. `file` is the configuration's path.
pub(super) fn rank(loader: Loader, is_default: bool, title: &str, file: &str, options: &str) -> Rank {
    let (title, options) = (title.to_ascii_lowercase(), options.to_ascii_lowercase());
    let special = SPECIAL.iter().filter(|word| title.contains(**word) || options.contains(**word)).count();
    Rank {
        elsewhere: ELSEWHERE.iter().any(|word| options.contains(word)),
        loopback: file.to_ascii_lowercase().ends_with("loopback.cfg"),
        not_default: !is_default,
        special,
        loader,
    }
}

/// Whether the kernel is no Linux but the well-known test of memory, which has a Linux header too.
pub(super) fn is_memory_test(kernel: &str) -> bool {
    let name = kernel.rsplit('/').next().unwrap_or(kernel).to_ascii_lowercase();
    name.starts_with("memtest") || name.starts_with("mt86")
}

/// What a configuration starts by itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Defaults {
    /// Labels of syslinux, identifiers and titles of GRUB, patterns of systemd-boot.
    names: Vec<String>,
}

impl Defaults {
    /// Adds what `text` says.
    pub(super) fn read(&mut self, loader: Loader, text: &str) {
        for line in text.lines().map(str::trim) {
            let (word, rest) = line.split_once(|c: char| c.is_ascii_whitespace()).unwrap_or((line, ""));
            let name = match loader {
                Loader::Syslinux if word.eq_ignore_ascii_case("default") => rest.split_whitespace().next(),
                Loader::SystemdBoot if word == "default" => Some(rest.trim()),
                Loader::Grub => {
                    let set = if word == "set" { rest.trim() } else { line };
                    set.strip_prefix("default=")
                }
                _ => None,
            };
            let name = name.map(|name| name.trim_matches(['"', '\'']).to_owned());
            self.names.extend(name.filter(|name| !name.is_empty() && self.names.len() < 64));
        }
    }

    /// Whether the entry that begins in `line` (from 1) of `text`, the `index`th of its file, is started by itself.
    pub(super) fn names(&self, loader: Loader, file: &str, text: &str, line: usize, index: usize, title: &str) -> bool {
        let first = text.lines().nth(line.saturating_sub(1)).unwrap_or_default().trim();
        match loader {
            Loader::Syslinux => {
                let label = first.split_whitespace().nth(1).unwrap_or_default();
                let own = text.lines().skip(line).map(str::trim).take_while(|line| !begins(line, &["label"]));
                self.names.iter().any(|name| name == label)
                    || own.into_iter().any(|line| begins(line, &["menu", "default"]))
            }
            Loader::Grub => self.names.iter().any(|name| {
                let id = [format!("--id {name}"), format!("--id '{name}'"), format!("--id \"{name}\"")];
                *name == index.to_string()
                    || name == title
                    || first.contains(&format!("--id={name}"))
                    || id.iter().any(|id| first.contains(id))
            }),
            Loader::SystemdBoot => {
                let name = file.rsplit('/').next().unwrap_or(file);
                self.names.iter().any(|pattern| fits(pattern, name) || fits(&format!("{pattern}.conf"), name))
            }
        }
    }
}

/// Whether a line begins with these words, in any case.
fn begins(line: &str, words: &[&str]) -> bool {
    let mut found = line.split_whitespace();
    words.iter().all(|word| found.next().is_some_and(|it| it.eq_ignore_ascii_case(word)))
}

/// Whether a name fits a pattern of systemd-boot: `*` for anything, `?` for one character.
fn fits(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut p, mut n, mut back) = (0, 0, None);
    while n < name.len() {
        match pattern.get(p) {
            Some('*') => {
                back = Some((p, n));
                p += 1;
            }
            Some(c) if *c == '?' || c.eq_ignore_ascii_case(&name[n]) => (p, n) = (p + 1, n + 1),
            _ => match back {
                Some((star, from)) => {
                    back = Some((star, from + 1));
                    (p, n) = (star + 1, from + 1);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_comes_first_then_what_has_no_special_need() {
        let of = |is_default, title: &str, options: &str| rank(Loader::Grub, is_default, title, "grub.cfg", options);
        let plain = of(false, "Demo live", "quiet");
        assert!(of(true, "Demo", "") < plain);
        for (title, options) in [
            ("Demo (copytoram)", ""),
            ("Demo with speech synthesis", ""),
            ("Demo (fail-safe mode)", ""),
            ("Demo", "toram"),
            ("Demo", "archiso_http_srv=http://${pxeserver}/"),
        ] {
            assert!(plain < of(false, title, options), "{title} {options}");
        }
        assert!(of(false, "x", "") < rank(Loader::Grub, true, "x", "boot/grub/loopback.cfg", ""));
        assert!(of(false, "x", "") < of(true, "x", "archiso_nbd_srv=${pxeserver}"));
        assert!(is_memory_test("/boot/memtest86+/memtest") && !is_memory_test("/boot/vmlinuz"));
    }

    #[test]
    fn defaults_are_named_as_each_loader_does() {
        let of = |loader, text: &str| {
            let mut defaults = Defaults::default();
            defaults.read(loader, text);
            defaults
        };
        let text = "LABEL one\nLINUX a\nLABEL two\nMENU LABEL Two\n MENU DEFAULT\nLINUX b\nlabel three\nLINUX c\n";
        let syslinux = |line| of(Loader::Syslinux, "DEFAULT three\n").names(Loader::Syslinux, "f", text, line, 0, "");
        assert!(!syslinux(1) && syslinux(3) && syslinux(7));
        let text = "menuentry 'A' --id 'arch' {\n}\nmenuentry 'B' {\n}\n";
        for (set, wanted) in
            [("default=arch", (true, false)), ("set default=\"1\"", (false, true)), ("default=B", (false, true))]
        {
            let defaults = of(Loader::Grub, set);
            let names = |line, index, title| defaults.names(Loader::Grub, "f", text, line, index, title);
            assert_eq!((names(1, 0, "A"), names(3, 1, "B")), wanted, "{set}");
        }
        let systemd = of(Loader::SystemdBoot, "timeout 3\ndefault 01-*-linux\n");
        assert!(systemd.names(Loader::SystemdBoot, "loader/entries/01-archiso-linux.conf", "", 1, 0, ""));
        assert!(!systemd.names(Loader::SystemdBoot, "loader/entries/02-archiso-linux.conf", "", 1, 0, ""));
        assert!(fits("a*b?d*", "axxbbcd") && !fits("a*b", "abc") && fits("*", "") && !fits("?", ""));
    }
}
