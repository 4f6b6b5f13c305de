//! Looks whether the disk agrees with the recipe, before a build finds out.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD};

use super::base::{PROFILE_FILE, nearest_word};
use super::finding::Finding;
use super::model::{Base, Recipe};
use super::model_guest::DiskWish;
use super::walker::{excluded, leaves_out, source_walker};
use crate::discover::{Submodule, around};

/// Looks at the disk: the source (missing, not a folder, unreadable, empty, reached through a link that leaves the
/// cartridge), what the image is made from, the single files and the kernel. Quick whatever the size of the source: it is
/// not walked.
#[must_use]
pub fn check(recipe: &Recipe) -> Vec<Finding> {
    let mut findings = source(recipe);
    findings.extend(base(recipe));
    for overlay in &recipe.image.overlays {
        let found = folder("image.overlays", overlay, Some(&recipe.root)).or_else(|| empty(recipe, overlay));
        findings.extend(found.map(|found| unfetched(recipe, overlay).unwrap_or(found)));
    }
    if let Some(conf) = &recipe.image.pacman_conf {
        let found = file("image.pacman_conf", conf, Some(&recipe.root));
        findings.extend(found.map(|found| unfetched(recipe, conf).unwrap_or(found)));
    }
    for (guest, host) in &recipe.image.files {
        let key = format!("image.files.{:?}", guest.display().to_string());
        findings.extend(file(&key, host, Some(&recipe.root)));
    }
    if let Some(kernel) = &recipe.image.kernel {
        findings.extend(file("image.kernel", kernel, None));
    }
    findings
}

/// Looks at the files that the guest is to get: images of disks, and the extra ISO. They may lie anywhere.
#[must_use]
pub fn check_guest(recipe: &Recipe) -> Vec<Finding> {
    let mut findings = Vec::new();
    for disk in &recipe.guest.disks {
        let DiskWish::Image { path, write } = &disk.wish else { continue };
        let key = format!("guest.disks.{}", disk.name);
        let unwritable = || {
            let refused = *write && rustix::fs::accessat(CWD, path, Access::WRITE_OK, AtFlags::EACCESS).is_err();
            let advice = "change its permissions, or leave out write: then the guest's writes are thrown away";
            refused.then(|| finding(&key, format!("{} cannot be written", path.display()), advice))
        };
        findings.extend(file(&key, path, None).or_else(unwritable));
    }
    if let Some(iso) = &recipe.guest.extra_iso {
        findings.extend(file("guest.extra_iso", iso, None));
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
    match folder("source.path", &recipe.source.path, Some(&recipe.root)) {
        Some(finding) => vec![finding],
        None => contents(recipe),
    }
}

pub(super) fn folder(key: &str, path: &Path, inside: Option<&Path>) -> Option<Finding> {
    let shown = path.display();
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Some(finding(key, format!("{shown} does not exist"), "make the folder or correct the path"));
        }
        Err(error) => return Some(finding(key, format!("{shown}: {error}"), "correct the path or its permissions")),
        Ok(found) if !found.is_dir() => {
            return Some(finding(key, format!("{shown} is not a folder"), "name the folder that holds it"));
        }
        Ok(_) => {}
    }
    if let Some(outside) = inside.and_then(|root| leads_outside(path, root)) {
        let message = format!("{shown} is a link to {}, outside the cartridge's folder", outside.display());
        return Some(finding(key, message, "name a folder inside it, or move cartridge.toml up"));
    }
    let advice = "change its permissions (it needs r and x)";
    (!readable(path, true)).then(|| finding(key, format!("{shown} cannot be read"), advice))
}

/// What the image is made from, as far as it is on the disk.
fn base(recipe: &Recipe) -> Option<Finding> {
    const KEY: &str = "image.base";
    let profiled = recipe.image.engine.takes_a_profile();
    match &recipe.image.base {
        Base::Host | Base::Minimal | Base::Suite(_) => None,
        Base::Installed(profile) => {
            let definition = profile.folder().join(PROFILE_FILE);
            let message = || format!("{} is not there", definition.display());
            let advice = "install the package archiso, or use base = \"minimal\"";
            (!definition.is_file()).then(|| finding(KEY, message(), advice))
        }
        Base::Folder(path) if profiled => {
            let mut found = folder(KEY, path, Some(&recipe.root)).or_else(|| empty(recipe, path));
            if let Some(word) = nearest_word(path).filter(|_| !path.exists())
                && let Some(found) = &mut found
            {
                found.advice = format!("{}; or did you mean {word:?}?", found.advice);
            }
            found.map(|found| unfetched(recipe, path).unwrap_or(found)).or_else(|| {
                let message = format!("{} has no {PROFILE_FILE}: it is not a whole profile", path.display());
                let advice = "name it in image.overlays, and a profile here, like \"releng\" or \"minimal\"";
                (!path.join(PROFILE_FILE).is_file()).then(|| finding(KEY, message, advice))
            })
        }
        Base::Folder(path) if path.is_file() => {
            let message = format!("{} is a file that is not called like a tarball", path.display());
            Some(finding(KEY, message, "name a folder, or a tarball: .tar, .tar.gz, .tar.xz, .tar.zst …"))
        }
        Base::Folder(path) => folder(KEY, path, None).or_else(|| empty(recipe, path)),
        Base::Tarball(path) => file(KEY, path, None),
    }
}

/// Says of a path that is not there that it lies in a submodule that was not fetched, if it does.
fn unfetched(recipe: &Recipe, path: &Path) -> Option<Finding> {
    let key = match path {
        _ if recipe.image.overlays.iter().any(|overlay| overlay == path) => "image.overlays",
        _ if recipe.image.pacman_conf.as_deref() == Some(path) => "image.pacman_conf",
        _ => "image.base",
    };
    let all = around(&recipe.root);
    let inside = |it: &&Submodule| !it.fetched && path.starts_with(recipe.root.join(&it.path));
    let submodule = all.iter().find(inside)?;
    let message = format!("{} is in the submodule {}, which was not fetched", path.display(), submodule.path.display());
    let command = submodule.command(recipe.root.join(".git").exists());
    Some(finding(key, message, format!("in {} run: {command}", recipe.root.display())))
}

/// A folder with nothing in it is seldom meant; one that a submodule belongs to even less.
fn empty(recipe: &Recipe, path: &Path) -> Option<Finding> {
    if fs::read_dir(path).ok()?.next().is_some() {
        return None;
    }
    let key = if recipe.image.overlays.iter().any(|overlay| overlay == path) { "image.overlays" } else { "image.base" };
    let advice =
        "put something into it, or name another folder; if it is a submodule of git: git submodule update --init";
    Some(finding(key, format!("{} is empty", path.display()), advice))
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

pub(super) fn file(key: &str, path: &Path, inside: Option<&Path>) -> Option<Finding> {
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
