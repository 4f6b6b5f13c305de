//! Rules about modes and owners. mkarchiso copies `airootfs` with `cp --no-preserve=ownership,mode`, then applies
//! `file_permissions`, and only then installs packages: it can change nothing of theirs, and a path whose folder is not
//! there yet ends the build (`realpath` prints nothing, which is "outside of valid path").

use std::path::{Component, Path, PathBuf};

use super::edit::Edit;
use super::finding::{LintFinding, Place};
use super::known::{DEFINITION, Item, Known, Origin, Presence, plain};
use super::packages::makes_an_image;
use super::rule::Rule;
use crate::profile::FilePermission;

pub(super) const RULES: &[Rule] = &[
    Rule::new("file-permissions-path", "an entry of file_permissions for a path that will not exist", path_absent),
    Rule::new("file-permissions-broken", "an entry of file_permissions that is not owner:group:mode", broken),
    Rule::new("file-permissions-overlap", "entries of file_permissions that contradict each other", overlap),
];

/// What our own engine does with an entry for what is not there.
const WARNS: &str = "Cartridge's own engine says so in passing and goes on; nothing has these permissions.";

/// What `file_permissions` says about a path: its own entry, or one that ends with `/` above it.
pub(super) fn permission_of<'a>(known: &Known<'a>, path: &Path) -> Option<&'a FilePermission> {
    let all = &known.profile().definition.file_permissions;
    let own = all.get(path.to_string_lossy().as_ref());
    own.or_else(|| {
        path.ancestors().find_map(|above| all.get(format!("{}/", above.display()).replace("//", "/").as_str()))
    })
}

/// The permission bits that a file will have.
pub(super) fn mode_of(known: &Known<'_>, path: &Path, item: Item<'_>) -> u32 {
    let modes = known.subject.modes;
    let airootfs = item.origin == Origin::Airootfs;
    let kept = if airootfs { modes.airootfs_kept } else { modes.injected_kept };
    match permission_of(known, path) {
        // Ours are put there after file_permissions has been applied, unless mkarchiso does all.
        Some(permission) if airootfs || !kept => permission.mode,
        // Of airootfs we keep what may be executed, as git does, and nothing else.
        _ if kept && (!airootfs || item.entry.is_executable()) => item.entry.mode & 0o7777,
        _ => 0o644,
    }
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
    known.replace(&place, |old| {
        old.contains("file_permissions=(")
            .then(|| old.replacen("file_permissions=(", &format!("file_permissions=({entry} "), 1))
    })
}

/// Where an entry of `file_permissions` is written.
pub(super) fn at_entry(known: &Known<'_>, key: &str) -> Place {
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
            let edit = known.replace(&place, |old| {
                (!key.starts_with('/')).then(|| old.replacen(key.as_str(), &format!("/{key}"), 1))
            });
            let stops = "mkarchiso ends with \"Failed to set permissions … Outside of valid path\".";
            let finding = LintFinding::error(place, what, stops).fixed_by(format!("Write /{key}"), edit);
            // What leads out of the image ends our own engine as well.
            found.push(if path.is_absolute() {
                finding
            } else {
                finding.by_mkarchiso_alone(known.subject.engine, WARNS)
            });
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
                "Its folder is not there either, and mkarchiso ends with \"Failed to set permissions … Outside of \
                    valid path\". {packages}"
            );
            LintFinding::error(place, what, consequence).by_mkarchiso_alone(known.subject.engine, WARNS)
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
            && own
                .file_name()
                .and_then(|own| own.to_str())
                .is_some_and(|own| strsim::normalized_damerau_levenshtein(own, name) >= 0.7)
    };
    let taken = |own: &&Path| known.profile().definition.file_permissions.contains_key(own.to_string_lossy().as_ref());
    let same: Vec<&Path> = airootfs().filter(|own| own.file_name() == path.file_name() && !taken(own)).collect();
    let near = airootfs().filter(|own| !taken(own)).find(close);
    near.or(if let [only] = same.as_slice() { Some(*only) } else { None }).map(Path::to_path_buf)
}

fn broken(known: &Known<'_>) -> Vec<LintFinding> {
    let mut found = Vec::new();
    for (name, value) in &known.profile().definition.unknown {
        let Some(key) = name.strip_prefix("file_permissions[").and_then(|rest| rest.strip_suffix(']')) else {
            continue;
        };
        let what = format!("file_permissions gives {key} {value:?}, which is not owner:group:mode in numbers.");
        let consequence = "mkarchiso hands it to chown and chmod, and ends without a word when one of them fails.";
        let finding = LintFinding::error(at_entry(known, key), what, consequence);
        found.push(finding.by_mkarchiso_alone(known.subject.engine, "Cartridge's own engine passes it over."));
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
        let consequence =
            "mkarchiso applies the entries in the order of bash's hash table: which of them wins is chance.";
        found.push(LintFinding::warning(at_entry(known, below), what, consequence).seen_at([at_entry(known, above)]));
    }
    found
}

pub(super) fn written(permission: &FilePermission) -> String {
    format!("{}:{}:{:o}", permission.uid, permission.gid, permission.mode)
}
