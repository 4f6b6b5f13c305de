//! Rules about packages and the repositories that have them, without the databases: by what names say. Where a
//! repository is set up that nobody here knows, nothing is said, since it may have everything.

use std::path::Path;

use super::edit::Edit;
use super::finding::{LintFinding, Severity};
use super::initramfs::listed_at;
use super::known::{Known, Origin};
use super::package_set::is_official;
use super::repository_table::{ARCH_KEYRINGS, FAMILIES, matches};
use super::rule::Rule;
use super::shell::{Command, Word};
use crate::recipe::FILE_NAME;

pub(super) const RULES: &[Rule] = &[
    Rule::new("package-without-repository", "a package whose repository pacman.conf does not have", without_repository),
    Rule::new("keyring-missing", "a keyring that is populated and that no listed package brings", keyring_missing),
];

fn names<'a>(known: &Known<'a>) -> Vec<&'a str> {
    known.profile().pacman_conf.repositories.iter().map(|it| it.name.as_str()).collect()
}

fn listed<'a>(known: &Known<'a>) -> Vec<&'a str> {
    known.packages.listed.iter().copied().filter(|name| !name.is_empty()).collect()
}

/// Whether every repository is one of which it is known what it has, at least of what a project calls its own.
fn all_known(known: &Known<'_>) -> bool {
    names(known).iter().all(|name| {
        is_official(name) || FAMILIES.iter().any(|family| family.repositories.iter().any(|it| matches(it, name)))
    })
}

fn without_repository(known: &Known<'_>) -> Vec<LintFinding> {
    // With the databases `package-not-found` knows for certain.
    if known.packages.index.is_some() || !all_known(known) || names(known).is_empty() {
        return Vec::new();
    }
    let there = |wanted: &[&str]| names(known).iter().any(|name| wanted.iter().any(|it| matches(it, name)));
    let mut found = Vec::new();
    for package in listed(known) {
        let family = FAMILIES.iter().find(|family| family.packages.iter().any(|it| matches(it, package)));
        let own = package.strip_suffix("-keyring").filter(|_| !ARCH_KEYRINGS.contains(&package));
        let wanted: Vec<&str> = match (family, own) {
            (Some(family), _) => family.repositories.to_vec(),
            (None, Some(project)) => vec![project],
            (None, None) => continue,
        };
        // Other people's repositories may have anything but each other's keys and mirrors.
        let marked = package.ends_with("-keyring") || package.ends_with("-mirrorlist");
        if !known.packages.all_official() && !marked {
            continue;
        }
        if there(&wanted) || (family.is_none() && names(known).iter().any(|name| name.starts_with(wanted[0]))) {
            continue;
        }
        let shown: Vec<String> = wanted.iter().map(|name| format!("[{}]", name.trim_end_matches('*'))).collect();
        let what = format!(
            "{package} is listed; it is in {}, and pacman.conf has {}.",
            shown.join(" or "),
            names(known).join(", ")
        );
        let sure = family.is_some() && known.packages.all_official();
        let severity = if sure { Severity::Error } else { Severity::Warning };
        let place = listed_at(known, package);
        let finding = LintFinding::error(place.clone(), what, "pacstrap stops the build with \"target not found\".")
            .graded(severity);
        let other = other_conf(known, |text| {
            let is = |line: &str| {
                line.trim()
                    .strip_prefix('[')
                    .and_then(|line| line.strip_suffix(']'))
                    .is_some_and(|name| wanted.iter().any(|it| matches(it, name)))
            };
            text.lines().any(is)
        });
        found.push(match other {
            Some(file) => with_conf(finding, &file),
            None if place.file == Path::new(FILE_NAME) => {
                let edit =
                    Edit::RemoveFromCartridgeList { key: "image.packages".to_owned(), value: package.to_owned() };
                finding.fixed_by(format!("Take {package} out of image.packages"), Some(edit))
            }
            None if place.line.is_some() => finding.fixed_by("Remove the line", known.remove_line(&place)),
            None => finding,
        });
    }
    found
}

/// A finding that goes away with another `pacman.conf`.
pub(super) fn with_conf(finding: LintFinding, file: &str) -> LintFinding {
    let edit = Edit::SetCartridgeField { key: "image.pacman_conf".to_owned(), value: file.to_owned() };
    finding.fixed_by(format!("Build with {file}"), Some(edit))
}

/// Another `pacman*.conf` of the repository that fits, by its path as `cartridge.toml` writes it. One that says that it
/// is stable goes before others, then one that is online.
pub(super) fn other_conf(known: &Known<'_>, fits: impl Fn(&str) -> bool) -> Option<String> {
    let mut candidates = Vec::new();
    for entry in known.subject.injected?.entries.iter().filter(|entry| entry.is_file()) {
        let name = entry.path.file_name()?.to_str().unwrap_or_default();
        let Ok(path) = entry.from.strip_prefix(known.subject.root) else { continue };
        let is_conf = name.starts_with("pacman") && Path::new(name).extension().is_some_and(|it| it == "conf");
        if !is_conf || known.at_file(&known.profile().pacman_conf.file, None).file == path {
            continue;
        }
        let local = |line: &str| line.trim().starts_with("Server") && line.contains("file://");
        if known.text(entry).is_some_and(|text| fits(&text) && !text.lines().any(local)) {
            candidates.extend(
                path.to_str()
                    .map(|path| (!name.contains("stable"), !name.contains("online"), path.len(), path.to_owned())),
            );
        }
    }
    candidates.into_iter().min().map(|it| it.3)
}

/// The keyrings that a command populates.
fn populated(command: &Command) -> Vec<String> {
    let words: Vec<String> = command.words.iter().filter_map(Word::literal).collect();
    let Some(at) = words.iter().position(|word| word.rsplit('/').next() == Some("pacman-key")) else {
        return Vec::new();
    };
    if !words[at..].iter().any(|word| word == "--populate") {
        return Vec::new();
    }
    words[at + 1..].iter().filter(|word| !word.starts_with('-')).cloned().collect()
}

fn keyring_missing(known: &Known<'_>) -> Vec<LintFinding> {
    let mut found = Vec::new();
    for script in known.scripts() {
        for command in &script.commands {
            for keyring in populated(command) {
                let package = format!("{keyring}-keyring");
                let shipped = known.item(Path::new(&format!("/usr/share/pacman/keyrings/{keyring}.gpg"))).is_some();
                // Arch's own comes with pacman; another may be installed by a script before.
                let installs = || known.scripts().any(|other| other.commands.iter().any(|it| installs(it, &package)));
                if shipped || keyring == "archlinux" || known.packages.has(&package) || installs() {
                    continue;
                }
                let severity = if script.origin == Origin::Injected { Severity::Warning } else { Severity::Error };
                let what = format!(
                    "{} populates the keyring {keyring}, and the package {package} is not listed.",
                    script.path.display()
                );
                let consequence = format!(
                    "pacman-key ends with \"The keyring file /usr/share/pacman/keyrings/{keyring}.gpg does not \
                        exist\"; packages of \
                     that repository are not trusted, and an installation from there fails."
                );
                let finding = LintFinding::error(script.at(known, command.line), what, consequence).graded(severity);
                let edit = known.add_to("image.packages", package.as_str());
                found.push(finding.fixed_by(format!("Add {package} to image.packages"), edit));
            }
        }
    }
    found
}

/// Whether a command installs a package.
fn installs(command: &Command, package: &str) -> bool {
    let words: Vec<String> = command.words.iter().filter_map(Word::literal).collect();
    words.iter().any(|word| word == package || word.contains(&format!("{package}-")))
        && words.iter().any(|word| word.starts_with("-S") || word.starts_with("-U"))
}
