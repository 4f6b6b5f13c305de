//! Walks a repository with the recipe's own walker, in parallel, and tells unreadable entries from the rest.

use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use ignore::{DirEntry, WalkState};

use crate::build::BuildError;
use crate::progress::{Reporter, Unit};
use crate::recipe::{Recipe, source_walker};

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
    Ok(found.into_inner().unwrap_or_else(PoisonError::into_inner))
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
