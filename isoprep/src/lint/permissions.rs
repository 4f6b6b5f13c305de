//! Rules about modes and owners. mkarchiso copies `airootfs` with `cp --no-preserve=ownership,mode`, then applies
//! `file_permissions`, and only then installs packages: it can change nothing of theirs, and a path whose folder is not
//! there yet ends the build (`realpath` prints nothing, which is "outside of valid path").

use std::path::{Component, Path, PathBuf};

use super::edit::Edit;
use super::finding::{LintFinding, Place, Severity};
use super::known::{DEFINITION, Item, Known, Origin, Presence, plain};
use super::packages::makes_an_image;
use super::rule::Rule;
use super::script::runs;
use crate::profile::FilePermission;

pub(super) const RULES: &[Rule] = &[
    Rule::new("file-permissions-path", "an entry of file_permissions for a path that will not exist", path_absent),
    Rule::new("file-permissions-broken", "an entry of file_permissions that is not owner:group:mode", broken),
    Rule::new("file-permissions-overlap", "entries of file_permissions that contradict each other", overlap),
    Rule::new("executable-bit-lost", "a program of airootfs that will not be executable", bit_lost),
    Rule::new("executable-bit-lost-injected", "programs of the repository that will not be executable", bit_lost_injected),
    Rule::new("script-not-executable", "a script that is run and is not executable", not_executable),
];

/// The most places that a finding about many files names.
const MOST_PLACES: usize = 20;
/// Folders whose files are read by something, not run.
const SOURCED: [&str; 9] = [
    "/etc/profile.d", "/etc/initcpio", "/usr/lib/initcpio", "/etc/skel", "/etc/bash_completion.d", "/etc/zsh", "/usr/share/zsh",
    "/usr/share/bash-completion", "/usr/local/share/zsh",
];
/// Folders that are in `PATH`.
const IN_PATH: [&str; 6] = ["/usr/local/bin", "/usr/local/sbin", "/usr/bin", "/usr/sbin", "/bin", "/sbin"];

/// What `file_permissions` says about a path: its own entry, or one that ends with `/` above it.
pub(super) fn permission_of<'a>(known: &Known<'a>, path: &Path) -> Option<&'a FilePermission> {
    let all = &known.profile().definition.file_permissions;
    let own = all.get(path.to_string_lossy().as_ref());
    own.or_else(|| path.ancestors().find_map(|above| all.get(format!("{}/", above.display()).replace("//", "/").as_str())))
}

/// The edit that adds an entry to `file_permissions`.
pub(super) fn add_permission(known: &Known<'_>, path: &str, value: &str) -> Option<Edit> {
    if path.contains(['"', '$', '`', '\\', '\n']) {
        return None;
    }
    let entry = format!("[\"{path}\"]=\"{value}\"");
    let place = known.at_variable("file_permissions");
    let file = known.editable(&place)?;
    let Some(line) = place.line else {
        let text = known.text_of(DEFINITION)?;
        let above = text.lines().next_back()?.to_owned();
        let text_lines = text.lines().count();
        return (!text.contains("file_permissions")).then(|| Edit::InsertLine {
            file,
            line: text_lines + 1,
            above,
            text: format!("file_permissions=(\n  {entry}\n)"),
        });
    };
    let above = known.line(&place)?;
    if above.trim_end().ends_with('(') {
        return Some(Edit::InsertLine { file, line: line + 1, above, text: format!("  {entry}") });
    }
    known.replace(&place, |old| old.contains("file_permissions=(").then(|| old.replacen("file_permissions=(", &format!("file_permissions=({entry} "), 1)))
}

/// Where an entry of `file_permissions` is written.
fn at_entry(known: &Known<'_>, key: &str) -> Place {
    let lines = &known.profile().definition.lines;
    match lines.get(&format!("file_permissions[{key}]")) {
        Some(line) => known.at_file(DEFINITION, Some(*line)),
        None => known.at_variable("file_permissions"),
    }
}

fn path_absent(known: &Known<'_>) -> Vec<LintFinding> {
    let mut found = Vec::new();
    // Without airootfs mkarchiso does not look at file_permissions.
    if !makes_an_image(known) || !known.has_file("airootfs") {
        return found;
    }
    for key in known.profile().definition.file_permissions.keys() {
        let place = at_entry(known, key);
        let path = Path::new(key);
        if !path.is_absolute() || path.components().any(|part| part == Component::ParentDir) {
            let what = format!("file_permissions has {key:?}, which is no path inside the image.");
            let edit = known.replace(&place, |old| (!key.starts_with('/')).then(|| old.replacen(key.as_str(), &format!("/{key}"), 1)));
            let stops = "mkarchiso ends with \"Failed to set permissions … Outside of valid path\".";
            found.push(LintFinding::error(place, what, stops).fixed_by(format!("Write /{key}"), edit));
            continue;
        }
        let path = plain(path);
        if is_ours(known, &path) {
            continue;
        }
        let parent = path.parent().unwrap_or(&path);
        let near = nearest(known, &path);
        let edit = match &near {
            Some(near) => known.replace(&place, |old| Some(old.replacen(key.as_str(), &near.to_string_lossy(), 1))),
            None => known.line(&place).filter(|line| is_one_entry(line)).and_then(|_| known.remove_line(&place)),
        };
        let says = near.as_ref().map_or("Remove the entry".to_owned(), |near| format!("Write {}", near.display()));
        let what = format!("file_permissions has {key}, and airootfs has no such path.");
        let packages = "Permissions are set before packages are installed: what a package brings keeps its own.";
        let finding = if !is_ours(known, parent) {
            let consequence = format!(
                "Its folder is not there either, and mkarchiso ends with \"Failed to set permissions … Outside of valid path\". {packages}"
            );
            LintFinding::error(place, what, consequence)
        } else if known.presence(&path) == Presence::Absent {
            LintFinding::warning(place, what, "mkarchiso warns in passing and goes on; nothing has these permissions.")
        } else {
            LintFinding::note(place, what, format!("mkarchiso warns in passing and goes on. {packages}"))
        };
        found.push(finding.fixed_by(says, edit));
    }
    found
}

/// Whether a line holds one entry and nothing else, so that it can go.
fn is_one_entry(line: &str) -> bool {
    line.trim_start().starts_with('[') && line.matches("]=").count() == 1 && !line.contains(')')
}

/// Whether we put a path into the image, or a folder for it.
fn is_ours(known: &Known<'_>, path: &Path) -> bool {
    path == Path::new("/") || known.item(path).is_some() || known.image().any(|(own, _)| own.starts_with(path))
}

/// A path of ours with nearly the same name in the same folder, or the same name elsewhere.
fn nearest(known: &Known<'_>, path: &Path) -> Option<PathBuf> {
    let name = path.file_name()?.to_str()?;
    let airootfs = || known.image().filter(|(_, item)| item.origin != Origin::Injected).map(|(own, _)| own);
    let close = |own: &&Path| {
        own.parent() == path.parent()
            && own.file_name().and_then(|own| own.to_str()).is_some_and(|own| strsim::normalized_damerau_levenshtein(own, name) >= 0.7)
    };
    let taken = |own: &&Path| known.profile().definition.file_permissions.contains_key(own.to_string_lossy().as_ref());
    let same: Vec<&Path> = airootfs().filter(|own| own.file_name() == path.file_name() && !taken(own)).collect();
    let near = airootfs().filter(|own| !taken(own)).find(close);
    near.or_else(|| if let [only] = same.as_slice() { Some(only) } else { None }).map(Path::to_path_buf)
}

fn broken(known: &Known<'_>) -> Vec<LintFinding> {
    let mut found = Vec::new();
    for (name, value) in &known.profile().definition.unknown {
        let Some(key) = name.strip_prefix("file_permissions[").and_then(|rest| rest.strip_suffix(']')) else { continue };
        let what = format!("file_permissions gives {key} {value:?}, which is not owner:group:mode in numbers.");
        let consequence = "mkarchiso hands it to chown and chmod, and ends without a word when one of them fails.";
        found.push(LintFinding::error(at_entry(known, key), what, consequence));
    }
    found
}

fn overlap(known: &Known<'_>) -> Vec<LintFinding> {
    let all = &known.profile().definition.file_permissions;
    let mut found = Vec::new();
    for (below, own) in all {
        let above = all.iter().find(|(above, other)| {
            above.ends_with('/') && *above != below && below.starts_with(above.as_str()) && *other != own
        });
        let Some((above, other)) = above else { continue };
        let what = format!(
            "file_permissions gives {below} {}, and everything below {above} {}.",
            written(own),
            written(other)
        );
        let consequence = "mkarchiso applies the entries in the order of bash's hash table: which of them wins is chance.";
        found.push(LintFinding::warning(at_entry(known, below), what, consequence).seen_at([at_entry(known, above)]));
    }
    found
}

fn written(permission: &FilePermission) -> String {
    format!("{}:{}:{:o}", permission.uid, permission.gid, permission.mode)
}

/// Whether a file is a program: it begins as a script or as an ELF file does.
fn is_program(known: &Known<'_>, item: Item<'_>) -> bool {
    let head = known.subject.host.read(&item.entry.from, 4).unwrap_or_default();
    head.starts_with(b"#!") || head == b"\x7fELF"
}

fn is_sourced(path: &Path) -> bool {
    path == Path::new("/root/customize_airootfs.sh") || SOURCED.iter().any(|folder| path.starts_with(folder))
}

/// The permission bits that a file will have.
fn mode_of(known: &Known<'_>, path: &Path, item: Item<'_>) -> u32 {
    let modes = known.subject.modes;
    let kept = if item.origin == Origin::Airootfs { modes.airootfs_kept } else { modes.injected_kept };
    match permission_of(known, path) {
        // Ours are put there after file_permissions has been applied, unless mkarchiso does all.
        Some(permission) if item.origin == Origin::Airootfs || !kept => permission.mode,
        _ if kept => item.entry.mode & 0o7777,
        _ => 0o644,
    }
}

fn bit_lost(known: &Known<'_>) -> Vec<LintFinding> {
    let mut found = Vec::new();
    let run = runs(known);
    for (path, item) in known.image().filter(|(_, item)| item.origin == Origin::Airootfs && item.entry.is_executable()) {
        if mode_of(known, path, item) & 0o111 != 0 || is_sourced(path) || !is_program(known, item) {
            continue;
        }
        let is_run = run.contains_key(path) || IN_PATH.iter().any(|folder| path.parent() == Some(Path::new(folder)));
        let path = path.display().to_string();
        let what = match permission_of(known, Path::new(&path)) {
            Some(permission) => format!("{path} is executable here, and file_permissions gives it {}.", written(permission)),
            None => format!("{path} is executable here, and file_permissions does not have it."),
        };
        let consequence = "mkarchiso does not keep modes: it has 644 in the image, and running it ends with \"Permission denied\".";
        let edit = if permission_of(known, Path::new(&path)).is_none() { add_permission(known, &path, "0:0:755") } else { None };
        found.push(
            LintFinding::error(known.at(item.entry, None), what, consequence)
                .graded(if is_run { Severity::Error } else { Severity::Warning })
                .fixed_by(format!("Add {path} with 0:0:755 to file_permissions"), edit),
        );
    }
    found
}

fn bit_lost_injected(known: &Known<'_>) -> Vec<LintFinding> {
    let Some(injected) = known.subject.injected.filter(|_| !known.subject.modes.injected_kept) else { return Vec::new() };
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
    let consequence = "mkarchiso does not keep modes: they have 644 in the image, and running them ends with \"Permission denied\".";
    let edit = Edit::SetCartridgeField { key: "image.engine".to_owned(), value: "archiso".to_owned() };
    vec![
        LintFinding::error(first.clone(), what, consequence)
            .fixed_by("Build with the engine archiso, which keeps the repository's modes", Some(edit))
            .seen_at(lost.iter().skip(1).take(MOST_PLACES).cloned()),
    ]
}

fn not_executable(known: &Known<'_>) -> Vec<LintFinding> {
    let mut found = Vec::new();
    let run = runs(known);
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
        let place = known.at(item.entry, None);
        let why = by.map_or_else(|| "it lies in PATH".to_owned(), |by| format!("{by} runs it"));
        let what = format!("{} is not executable, and {why}.", path.display());
        let finding = LintFinding::error(place.clone(), what, "Running it ends with \"Permission denied\".").seen_at(by.cloned());
        let text = path.to_string_lossy();
        found.push(if item.origin == Origin::Airootfs && !known.subject.modes.airootfs_kept {
            let edit = match permission_of(known, path) {
                Some(permission) => {
                    let (old, new) = (written(permission), written(&FilePermission { mode: permission.mode | 0o111, ..permission.clone() }));
                    known.replace(&at_entry(known, &text), |line| line.contains(&old).then(|| line.replacen(&old, &new, 1)))
                }
                None => add_permission(known, &text, "0:0:755"),
            };
            finding.fixed_by(format!("Let file_permissions make {text} executable"), edit)
        } else {
            let mode = item.entry.mode | 0o111;
            finding.fixed_by(format!("Make it executable: {mode:o}"), known.editable(&place).map(|file| Edit::Chmod { file, mode }))
        });
    }
    found
}
