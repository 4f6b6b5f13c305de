//! Who may know whom: nobody imports upwards, and the headless build holds no window.

use std::collections::BTreeSet;

use crate::{Failure, cargo};

/// What the headless program must not hold: the window's crates and what they are known by.
const WINDOW: &[&str] = &[
    "egui",
    "eframe",
    "epaint",
    "emath",
    "ecolor",
    "winit",
    "glow",
    "glutin",
    "accesskit",
    "egui_extras",
    "egui_tiles",
    "egui-notify",
    "egui-winit",
    "egui_glow",
    "lucide-icons",
    "rfd",
    "wgpu",
    "x11-dl",
    "wayland-client",
];

/// One rule: `package`, built with `features`, must not be linked from any of `forbidden`.
struct Rule {
    package: &'static str,
    features: &'static [&'static str],
    forbidden: &'static [&'static str],
}

const RULES: &[Rule] = &[
    Rule { package: "cartridge", features: &["--no-default-features"], forbidden: WINDOW },
    Rule {
        package: "isoprep",
        features: &[],
        forbidden: &["cartridge", "vmtools", "cartridge-guest", "egui", "winit"],
    },
    Rule {
        package: "mkarchiso-helper",
        features: &[],
        forbidden: &[
            "cartridge",
            "isoprep",
            "vmtools",
            "cartridge-guest",
            "cartridge-treehash",
            "cartridge-initramfs",
            "egui",
            "winit",
        ],
    },
    Rule {
        package: "deploy-helper",
        features: &[],
        forbidden: &[
            "cartridge",
            "isoprep",
            "vmtools",
            "cartridge-guest",
            "cartridge-treehash",
            "cartridge-initramfs",
            "cartridge-supervise",
            "zbus",
            "egui",
            "winit",
        ],
    },
    Rule {
        package: "cartridge-disks",
        features: &[],
        forbidden: &[
            "cartridge",
            "isoprep",
            "vmtools",
            "cartridge-guest",
            "cartridge-treehash",
            "cartridge-initramfs",
            "cartridge-supervise",
        ],
    },
    Rule {
        package: "vmtools",
        features: &[],
        forbidden: &["cartridge", "isoprep", "cartridge-disks", "egui", "winit"],
    },
    Rule {
        package: "cartridge-guest",
        features: &[],
        forbidden: &["cartridge", "isoprep", "vmtools", "cartridge-supervise", "cartridge-initramfs"],
    },
    Rule {
        package: "cartridge-supervise",
        features: &[],
        forbidden: &["cartridge", "isoprep", "vmtools", "cartridge-guest", "cartridge-treehash", "cartridge-initramfs"],
    },
    Rule {
        package: "cartridge-treehash",
        features: &[],
        forbidden: &[
            "cartridge",
            "isoprep",
            "vmtools",
            "cartridge-guest",
            "cartridge-supervise",
            "cartridge-initramfs",
        ],
    },
    Rule {
        package: "cartridge-initramfs",
        features: &[],
        forbidden: &["cartridge", "isoprep", "vmtools", "cartridge-guest", "cartridge-supervise", "cartridge-treehash"],
    },
];

/// Asks cargo for each rule's tree. All breaches are told, not only the first.
pub fn check() -> Result<String, Failure> {
    let mut breaches = Vec::new();
    for rule in RULES {
        let names = package_names(&cargo::tree(rule.package, rule.features)?);
        if !names.contains(rule.package) {
            return Err(format!("cargo tree of {} does not name it: its format has changed", rule.package).into());
        }
        for found in breaches_of(rule.forbidden, &names) {
            breaches.push(format!(
                "{} must not be linked from {found}\n  see why: cargo tree -p {} {} -i {found}",
                rule.package,
                rule.package,
                rule.features.join(" ")
            ));
        }
    }
    if breaches.is_empty() {
        Ok(format!("layers: {} rules hold", RULES.len()))
    } else {
        Err(breaches.join("\n").into())
    }
}

/// The package names in what `cargo tree --prefix none` printed: the word before each version.
fn package_names(tree: &str) -> BTreeSet<String> {
    let versioned =
        |pair: &[&str]| pair[1].strip_prefix('v').is_some_and(|v| v.starts_with(|c: char| c.is_ascii_digit()));
    tree.lines()
        .filter_map(|line| {
            let words: Vec<_> = line.split_whitespace().collect();
            words.windows(2).find(|pair| versioned(pair)).map(|pair| pair[0].to_owned())
        })
        .collect()
}

fn breaches_of<'a>(forbidden: &'a [&str], names: &BTreeSet<String>) -> Vec<&'a str> {
    forbidden.iter().copied().filter(|name| names.contains(*name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TREE: &str = "cartridge cartridge v0.1.0 (/src/app)\nclap clap v4.5.0\nserde_derive serde_derive v1.0.0 (proc-macro)\n\
                        vnc vnc-rs v0.6.0\n cartridge-treehash v0.1.0 (/src/v9/treehash)\n\nwarning: v2 is coming\n";

    #[test]
    fn names_are_the_packages_not_the_libraries() {
        let names = package_names(TREE);
        for name in ["cartridge", "clap", "serde_derive", "vnc-rs", "cartridge-treehash"] {
            assert!(names.contains(name), "{name} in {names:?}");
        }
        assert!(!names.contains("vnc"));
    }

    #[test]
    fn every_breach_is_found_and_like_names_are_none() {
        let names = package_names("a egui v0.37.0\nb egui_extra v1.0.0\nc winit v0.30.1\n");
        assert_eq!(breaches_of(WINDOW, &names), ["egui", "winit"]);
        assert!(breaches_of(&["clap_lex"], &package_names(TREE)).is_empty());
    }

    #[test]
    fn the_rules_hold_and_the_window_is_seen_where_it_is() {
        check().unwrap();
        let with_window = package_names(&cargo::tree("cartridge", &[]).unwrap());
        assert!(breaches_of(WINDOW, &with_window).contains(&"egui"), "a check that cannot fail is none");
    }
}
