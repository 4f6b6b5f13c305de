//! Walks a repository with the recipe's own walker, in parallel, and tells unreadable entries from the rest.

use std::collections::HashSet;
use std::fs::Metadata;
use std::path::{Component, Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use ignore::gitignore::Gitignore;
use ignore::{DirEntry, WalkState};

use crate::build::BuildError;
use crate::progress::{Reporter, Unit};
use crate::recipe::{Recipe, excluded, leaves_out, source_walker};
use crate::stage::tracked::{Tracked, tracked};

/// What the walk found, unsorted.
#[derive(Default)]
pub(crate) struct Walked {
    /// Paths relative to the repository.
    pub(crate) entries: Vec<(PathBuf, Metadata)>,
    /// Entries that could not be read.
    pub(crate) unreadable: Vec<(PathBuf, String)>,
}

/// Walks the recipe's source, whose canonical path is `root`. `ours` are canonical directories to pass over.
pub(crate) fn walk(
    root: &Path,
    recipe: &Recipe,
    ours: &[PathBuf],
    reporter: &Reporter<'_>,
) -> Result<Walked, BuildError> {
    let mut recipe = recipe.clone();
    root.clone_into(&mut recipe.source.path);
    recipe.root = recipe.root.canonicalize().unwrap_or(recipe.root);
    let builder = source_walker(&recipe, ours);
    let found = Mutex::new(Walked::default());
    builder.build_parallel().run(|| {
        let found = &found;
        Box::new(move |entry| {
            if reporter.cancel.is_cancelled() {
                return WalkState::Quit;
            }
            let looked = entry.map_err(|e| blame(root, &e)).and_then(|entry| look(root, &entry));
            let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
            match looked {
                Ok(Some(entry)) => found.entries.push(entry),
                Ok(None) => {}
                Err(entry) => found.unreadable.push(entry),
            }
            let done = found.entries.len() as u64;
            drop(found);
            reporter.advanced(done, None, Unit::Files);
            WalkState::Continue
        })
    });
    reporter.go_on()?;
    let mut found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    let Tracked { paths, warning } = tracked(root);
    if let Some(warning) = warning {
        reporter.line(warning);
    }
    add_tracked((root, paths), &excluded(&recipe), ours, &mut found);
    Ok(found)
}

/// Adds what git tracks although a pattern of its own would ignore it, with the folders above.
fn add_tracked((root, tracked): (&Path, Vec<PathBuf>), excluded: &Gitignore, ours: &[PathBuf], found: &mut Walked) {
    if tracked.is_empty() {
        return;
    }
    let mut seen: HashSet<PathBuf> = found.entries.iter().map(|(path, _)| path.clone()).collect();
    for path in tracked {
        let full = root.join(&path);
        if seen.contains(&path) {
            continue;
        }
        let hidden = path.components().any(|part| part.as_os_str() == ".git" || !matches!(part, Component::Normal(_)))
            || ours.iter().any(|dir| full.starts_with(dir))
            || leaves_out(excluded, root, &path, false);
        // A tracked file may be gone, and so may the folder that it was in.
        let Ok(meta) = full.symlink_metadata() else { continue };
        let above: Vec<&Path> = path.ancestors().skip(1).filter(|dir| !dir.as_os_str().is_empty()).collect();
        let looks: Option<Vec<_>> = above.iter().map(|dir| root.join(dir).symlink_metadata().ok()).collect();
        let Some(looks) = looks.filter(|looks| looks.iter().all(Metadata::is_dir)) else { continue };
        if hidden || meta.is_dir() {
            continue;
        }
        for (dir, look) in above.into_iter().zip(looks) {
            if seen.insert(dir.to_path_buf()) {
                found.entries.push((dir.to_path_buf(), look));
            }
        }
        seen.insert(path.clone());
        found.entries.push((path, meta));
    }
}

fn look(root: &Path, entry: &DirEntry) -> Result<Option<(PathBuf, Metadata)>, (PathBuf, String)> {
    if entry.depth() == 0 {
        return Ok(None);
    }
    let path = entry.path().strip_prefix(root).unwrap_or(entry.path()).to_path_buf();
    match entry.path().symlink_metadata() {
        Ok(meta) => Ok(Some((path, meta))),
        Err(e) => Err((path, e.to_string())),
    }
}

/// The path that a walking error is about, and what the system said.
fn blame(root: &Path, error: &ignore::Error) -> (PathBuf, String) {
    match error {
        ignore::Error::WithPath { path, err } => {
            (path.strip_prefix(root).unwrap_or(path).to_path_buf(), blame(root, err).1)
        }
        ignore::Error::WithDepth { err, .. } | ignore::Error::WithLineNumber { err, .. } => blame(root, err),
        ignore::Error::Io(e) => (PathBuf::from("."), e.to_string()),
        other => (PathBuf::from("."), other.to_string()),
    }
}
