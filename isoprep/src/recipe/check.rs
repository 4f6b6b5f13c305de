//! Looks whether the disk agrees with the recipe, before a build finds out.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD};

use super::finding::Finding;
use super::model::Recipe;
use super::walker::{excluded, source_walker};
use crate::eject::MARKER;

/// How many paths a finding names before it only counts.
const NAMED: usize = 5;

/// Looks at the disk: the source (missing, not a folder, empty, partly unreadable, reached through a link that leaves
/// the cartridge, holding a work folder of ours), the single files and the kernel. No finding means that a build can
/// read all it needs.
#[must_use]
pub fn check(recipe: &Recipe) -> Vec<Finding> {
    let mut findings = source(recipe);
    for (guest, host) in &recipe.image.files {
        let key = format!("image.files.{:?}", guest.display().to_string());
        findings.extend(file(&key, host, Some(&recipe.root)));
    }
    if let Some(kernel) = &recipe.image.kernel {
        findings.extend(file("image.kernel", kernel, None));
    }
    findings
}

/// Looks whether our own folders (what they are called, and where they are) and the source are apart. A folder of ours
/// inside the source would be injected into itself; a source inside a folder of ours would be deleted by Eject.
#[must_use]
pub fn check_places(recipe: &Recipe, places: &[(&str, &Path)]) -> Vec<Finding> {
    let Ok(source) = recipe.source.path.canonicalize() else { return Vec::new() };
    let patterns = excluded(recipe);
    let mut findings = Vec::new();
    for (what, place) in places {
        let place = resolved(place);
        if source.starts_with(&place) {
            let message = format!("the source lies inside the {what} folder {}", place.display());
            findings.push(finding("source.path", message, format!("choose another {what} folder: ours are deleted")));
        } else if let Ok(inside) = place.strip_prefix(&source)
            && !patterns.matched_path_or_any_parents(recipe.source.path.join(inside), true).is_ignore()
        {
            let message = format!("the {what} folder {} lies inside the source", place.display());
            let advice =
                format!("add {:?} to source.exclude, or choose another place", format!("/{}", inside.display()));
            findings.push(finding("source.exclude", message, advice));
        }
    }
    findings
}

fn finding(key: &str, message: impl Into<String>, advice: impl Into<String>) -> Finding {
    Finding { line: None, column: None, key: key.to_owned(), message: message.into(), advice: advice.into() }
}

fn source(recipe: &Recipe) -> Vec<Finding> {
    let path = &recipe.source.path;
    let say = |message: String, advice: &str| vec![finding("source.path", message, advice)];
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return say(format!("{} does not exist", path.display()), "make the folder or correct the path");
        }
        Err(error) => return say(format!("{}: {error}", path.display()), "correct the path or its permissions"),
        Ok(found) if !found.is_dir() => {
            return say(format!("{} is not a folder", path.display()), "name the folder that holds it");
        }
        Ok(_) => {}
    }
    if let Some(outside) = leads_outside(path, &recipe.root) {
        let message = format!("{} is a link to {}, outside the cartridge's folder", path.display(), outside.display());
        return say(message, "name a folder inside it, or move cartridge.toml up");
    }
    if !readable(path, true) {
        return say(format!("{} cannot be read", path.display()), "change its permissions (it needs r and x)");
    }
    contents(recipe)
}

fn contents(recipe: &Recipe) -> Vec<Finding> {
    let path = &recipe.source.path;
    let (mut unreadable, mut ours, mut anything) = (Named::default(), Named::default(), false);
    for entry in source_walker(recipe, &[]).build() {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                unreadable.extend(path_of(&error).map(|bad| bad.strip_prefix(path).unwrap_or(bad)));
                continue;
            }
        };
        let (shown, kind) = (entry.path().strip_prefix(path).unwrap_or(entry.path()), entry.file_type());
        if entry.depth() == 0 {
            continue;
        }
        anything = true;
        if entry.file_name() == MARKER {
            ours.push(shown.parent().unwrap_or(shown));
        }
        let (is_dir, is_file) = kind.map_or((false, false), |kind| (kind.is_dir(), kind.is_file()));
        if (is_dir || is_file) && !readable(entry.path(), is_dir) {
            unreadable.push(shown);
        }
    }
    let mut findings = Vec::new();
    if !anything && unreadable.0.is_empty() {
        let (message, advice) = match fs::read_dir(path).map(|mut entries| entries.next().is_none()) {
            Ok(true) => ("is empty", "put something into it, or name another folder"),
            _ => ("holds nothing but what is left out", "see .gitignore and source.exclude"),
        };
        findings.push(finding("source.path", format!("{} {message}", path.display()), advice));
    }
    if !unreadable.0.is_empty() {
        let advice = "change their permissions or add them to source.exclude";
        findings.push(finding("source.path", format!("cannot be read in part: {unreadable}"), advice));
    }
    if !ours.0.is_empty() {
        let message = format!("work folders of ours lie inside the source: {ours}");
        findings.push(finding("source.exclude", message, "eject them, or add them to source.exclude"));
    }
    findings
}

/// Different paths: a folder that cannot be listed is met as an entry and as an error.
#[derive(Default)]
struct Named(BTreeSet<PathBuf>);

impl Named {
    fn push(&mut self, path: &Path) {
        self.0.insert(path.to_owned());
    }

    fn extend(&mut self, path: Option<&Path>) {
        self.0.extend(path.map(Path::to_owned));
    }
}

impl std::fmt::Display for Named {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<_> = self.0.iter().take(NAMED).map(|path| path.display().to_string()).collect();
        f.write_str(&names.join(", "))?;
        if self.0.len() > names.len() { write!(f, " and {} more", self.0.len() - names.len()) } else { Ok(()) }
    }
}

fn path_of(error: &ignore::Error) -> Option<&Path> {
    match error {
        ignore::Error::WithPath { path, .. } => Some(path),
        ignore::Error::WithDepth { err, .. } | ignore::Error::WithLineNumber { err, .. } => path_of(err),
        _ => None,
    }
}

fn file(key: &str, path: &Path, inside: Option<&Path>) -> Option<Finding> {
    let shown = path.display();
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Some(finding(key, format!("{shown} does not exist"), "make the file or correct the path"))
        }
        Err(error) => Some(finding(key, format!("{shown}: {error}"), "correct the path or its permissions")),
        Ok(found) if !found.is_file() => Some(finding(key, format!("{shown} is not a file"), "name a single file")),
        Ok(_) if !readable(path, false) => {
            Some(finding(key, format!("{shown} cannot be read"), "change its permissions"))
        }
        Ok(_) => {
            let outside = leads_outside(path, inside?)?;
            let message = format!("{shown} is a link to {}, outside the cartridge's folder", outside.display());
            Some(finding(key, message, "copy the file into the folder"))
        }
    }
}

/// Where `path` really is, if links take it out of `root`.
fn leads_outside(path: &Path, root: &Path) -> Option<PathBuf> {
    let (path, root) = (path.canonicalize().ok()?, root.canonicalize().ok()?);
    (!path.starts_with(root)).then_some(path)
}

fn readable(path: &Path, dir: bool) -> bool {
    let wanted = if dir { Access::READ_OK | Access::EXEC_OK } else { Access::READ_OK };
    rustix::fs::accessat(CWD, path, wanted, AtFlags::EACCESS).is_ok()
}

/// `path` with the links in its existing part resolved; a place of ours need not exist yet.
fn resolved(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    for ancestor in path.ancestors() {
        if let Ok(real) = ancestor.canonicalize() {
            return path.strip_prefix(ancestor).map_or_else(|_| real.clone(), |rest| real.join(rest));
        }
    }
    path
}
