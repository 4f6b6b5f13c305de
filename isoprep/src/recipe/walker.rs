//! Which files of the source count: not `.git`, not what git ignores, not what the recipe excludes.

use std::path::{Path, PathBuf};

use ignore::WalkBuilder;
use ignore::gitignore::{Gitignore, GitignoreBuilder};

use super::model::Recipe;

/// Walks what is injected of the recipe's source. Links are not followed; the root itself is the first entry.
///
/// Left out are `.git` at any depth, the recipe's own patterns, and what git ignores (gitignore(5)): in a checkout that is
/// `.git/info/exclude` and the `.gitignore` files from the checkout's top down, the last match winning; a checkout within
/// the checkout has its own. Outside of any checkout the `.gitignore` files from the cartridge's folder down count. The
/// user's global ignore file never does: the same cartridge is the same everywhere. The directories of `passed_over` are
/// left out too. The source itself was named, so it counts although git may ignore it.
#[must_use]
pub fn source_walker(recipe: &Recipe, passed_over: &[PathBuf]) -> WalkBuilder {
    let passed_over = passed_over.to_vec();
    let source = &recipe.source.path;
    let excluded = excluded(recipe);
    let mut walk = WalkBuilder::new(source);
    walk.standard_filters(false).git_ignore(true).git_exclude(true).follow_links(false);
    if git_top(source).is_some() {
        walk.parents(true).require_git(true);
    } else {
        walk.parents(false).require_git(false);
        let above: Vec<&Path> = source.ancestors().skip(1).take_while(|dir| dir.starts_with(&recipe.root)).collect();
        for dir in above.into_iter().rev() {
            // Sets what the patterns are relative to. A missing file has none.
            let _ = walk.current_dir(dir).add_ignore(dir.join(".gitignore"));
        }
    }
    walk.filter_entry(move |entry| {
        if entry.depth() == 0 {
            return true;
        }
        let is_dir = entry.file_type().is_some_and(|kind| kind.is_dir());
        entry.file_name() != ".git"
            && !(is_dir && passed_over.iter().any(|dir| dir == entry.path()))
            && !excluded.matched(entry.path(), is_dir).is_ignore()
    });
    walk
}

/// The top of the checkout that `dir` lies in: the nearest folder with a `.git`.
pub(crate) fn git_top(dir: &Path) -> Option<PathBuf> {
    let dir = dir.canonicalize().ok()?;
    dir.ancestors().find(|dir| dir.join(".git").exists()).map(Path::to_path_buf)
}

/// Whether the recipe's patterns leave out `path`, relative to the source, as the walk would: what lies in a folder that is
/// left out stays out, whatever a later pattern says of it.
pub(crate) fn leaves_out(excluded: &Gitignore, source: &Path, path: &Path, is_dir: bool) -> bool {
    let mut at = source.to_path_buf();
    let mut parts = path.components().peekable();
    while let Some(part) = parts.next() {
        at.push(part);
        if excluded.matched(&at, is_dir || parts.peek().is_some()).is_ignore() {
            return true;
        }
    }
    false
}

/// The recipe's own patterns.
pub(crate) fn excluded(recipe: &Recipe) -> Gitignore {
    let mut builder = GitignoreBuilder::new(&recipe.source.path);
    for pattern in &recipe.source.exclude {
        // `parse` has refused bad patterns with a finding.
        let _ = builder.add_line(None, pattern);
    }
    builder.build().unwrap_or_else(|_| Gitignore::empty())
}
