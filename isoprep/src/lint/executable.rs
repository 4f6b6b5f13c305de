//! Rules about what can be executed in the live system: programs that lose their executable bit on the way, and scripts
//! that never had it.

use std::path::Path;

use super::edit::Edit;
use super::finding::{LintFinding, Place, Severity};
use super::known::{Item, Known, Origin};
use super::permissions::{add_permission, at_entry, mode_of, permission_of, written};
use super::rule::Rule;
use super::script::{runs, sourced_names};
use crate::profile::FilePermission;

pub(super) const RULES: &[Rule] = &[
    Rule::new("executable-bit-lost", "a program of airootfs that will not be executable", bit_lost),
    Rule::new(
        "executable-bit-lost-injected",
        "programs of the repository that will not be executable",
        bit_lost_injected,
    ),
    Rule::new("script-not-executable", "a script that is run and is not executable", not_executable),
];

/// The most places that a finding about many files names.
const MOST_PLACES: usize = 20;
/// Folders whose files are read by something, not run.
const SOURCED: [&str; 9] = [
    "/etc/profile.d",
    "/etc/initcpio",
    "/usr/lib/initcpio",
    "/etc/skel",
    "/etc/bash_completion.d",
    "/etc/zsh",
    "/usr/share/zsh",
    "/usr/share/bash-completion",
    "/usr/local/share/zsh",
];
/// Folders that are in `PATH`.
const IN_PATH: [&str; 6] = ["/usr/local/bin", "/usr/local/sbin", "/usr/bin", "/usr/sbin", "/bin", "/sbin"];

/// Whether a file is a program: it begins as a script or as an ELF file does.
fn is_program(known: &Known<'_>, item: Item<'_>) -> bool {
    let head = known.subject.host.read(&item.entry.from, 4).unwrap_or_default();
    head.starts_with(b"#!") || head == b"\x7fELF"
}

fn is_sourced(path: &Path) -> bool {
    path == Path::new("/root/customize_airootfs.sh") || SOURCED.iter().any(|folder| path.starts_with(folder))
}

fn bit_lost(known: &Known<'_>) -> Vec<LintFinding> {
    let mut found = Vec::new();
    let run = runs(known);
    for (path, item) in known.image().filter(|(_, item)| item.origin == Origin::Airootfs && item.entry.is_executable())
    {
        if mode_of(known, path, item) & 0o111 != 0 || is_sourced(path) || !is_program(known, item) {
            continue;
        }
        let is_run = run.contains_key(path) || IN_PATH.iter().any(|folder| path.parent() == Some(Path::new(folder)));
        let path = path.display().to_string();
        let what = match permission_of(known, Path::new(&path)) {
            Some(permission) => {
                format!("{path} is executable here, and file_permissions gives it {}.", written(permission))
            }
            None => format!("{path} is executable here, and file_permissions does not have it."),
        };
        let consequence =
            "mkarchiso does not keep modes: it has 644 in the image, and running it ends with \"Permission denied\".";
        let edit = if permission_of(known, Path::new(&path)).is_none() {
            add_permission(known, &path, "0:0:755")
        } else {
            None
        };
        found.push(
            LintFinding::error(known.at(item.entry, None), what, consequence)
                .graded(if is_run { Severity::Error } else { Severity::Warning })
                .fixed_by(format!("Add {path} with 0:0:755 to file_permissions"), edit),
        );
    }
    found
}

fn bit_lost_injected(known: &Known<'_>) -> Vec<LintFinding> {
    let Some(injected) = known.subject.injected.filter(|_| !known.subject.modes.injected_kept) else {
        return Vec::new();
    };
    let lost: Vec<Place> = known
        .image()
        .filter(|(path, item)| {
            item.origin == Origin::Injected
                && !known.is_copy(*item)
                && item.entry.is_executable()
                && mode_of(known, path, *item) & 0o111 == 0
                && is_program(known, *item)
        })
        .map(|(_, item)| known.at(item.entry, None))
        .collect();
    let Some(first) = lost.first() else { return Vec::new() };
    let into = injected.into.display();
    let what = format!("{} programs of the repository are executable here and will not be in {into}.", lost.len());
    let consequence =
        "mkarchiso does not keep modes: they have 644 in the image, and running them ends with \"Permission denied\".";
    let edit = Edit::SetCartridgeField { key: "image.engine".to_owned(), value: "archiso".to_owned() };
    vec![
        LintFinding::error(first.clone(), what, consequence)
            .fixed_by("Build with the engine archiso, which keeps the repository's modes", Some(edit))
            .seen_at(lost.iter().skip(1).take(MOST_PLACES).cloned()),
    ]
}

fn not_executable(known: &Known<'_>) -> Vec<LintFinding> {
    let mut found = Vec::new();
    let (run, sourced) = (runs(known), sourced_names(known));
    for (path, item) in known.image().filter(|(_, item)| item.entry.is_file()) {
        let lost = item.entry.is_executable();
        if mode_of(known, path, item) & 0o111 != 0 || lost || is_sourced(path) {
            continue;
        }
        let by = run.get(path);
        let in_path = IN_PATH.iter().any(|folder| path.parent() == Some(Path::new(folder)));
        if by.is_none() && !(in_path && item.origin == Origin::Airootfs) || !is_program(known, item) {
            continue;
        }
        // A library lies beside the programs that read it.
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if by.is_none() && sourced.contains(name) {
            continue;
        }
        let severity = if by.is_some() { Severity::Error } else { Severity::Warning };
        let place = known.at(item.entry, None);
        let why = by.map_or_else(|| "it lies in PATH".to_owned(), |by| format!("{by} runs it"));
        let what = format!("{} is not executable, and {why}.", path.display());
        let finding = LintFinding::error(place.clone(), what, "Running it ends with \"Permission denied\".")
            .graded(severity)
            .seen_at(by.cloned());
        let text = path.to_string_lossy();
        found.push(if item.origin == Origin::Airootfs && !known.subject.modes.airootfs_kept {
            let edit = match permission_of(known, path) {
                Some(permission) => {
                    let (old, new) = (
                        written(permission),
                        written(&FilePermission { mode: permission.mode | 0o111, ..permission.clone() }),
                    );
                    known.replace(&at_entry(known, &text), |line| {
                        line.contains(&old).then(|| line.replacen(&old, &new, 1))
                    })
                }
                None => add_permission(known, &text, "0:0:755"),
            };
            finding.fixed_by(format!("Let file_permissions make {text} executable"), edit)
        } else {
            let mode = item.entry.mode | 0o111;
            finding.fixed_by(
                format!("Make it executable: {mode:o}"),
                known.editable(&place).map(|file| Edit::Chmod { file, mode }),
            )
        });
    }
    found
}
