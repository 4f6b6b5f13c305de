//! Looks whether the disk agrees with the recipe, before a build finds out.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD};

use super::finding::Finding;
use super::model::Recipe;
use super::walker::{excluded, leaves_out, source_walker};

/// Looks at the disk: the source (missing, not a folder, unreadable, empty, reached through a link that leaves the
/// cartridge), the single files and the kernel. Quick whatever the size of the source: it is not walked.
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
            && !leaves_out(&patterns, &recipe.source.path, inside, true)
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

/// Whether anything is injected at all: the first entry settles it. What cannot be read further down is for the build to
/// find, which walks everything anyway, can be cancelled, and names it all.
fn contents(recipe: &Recipe) -> Vec<Finding> {
    let path = &recipe.source.path;
    let anything = |entry: &Result<ignore::DirEntry, ignore::Error>| entry.as_ref().map_or(true, |it| it.depth() > 0);
    if source_walker(recipe, &[]).build().any(|entry| anything(&entry)) {
        return Vec::new();
    }
    let (message, advice) = match fs::read_dir(path).map(|mut entries| entries.next().is_none()) {
        Ok(true) => ("is empty", "put something into it, or name another folder"),
        _ => ("holds nothing but what is left out", "see .gitignore and source.exclude"),
    };
    vec![finding("source.path", format!("{} {message}", path.display()), advice)]
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
