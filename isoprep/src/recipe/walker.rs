//! Which files of the source count: not `.git`, not what git ignores, not what the recipe excludes.

use std::path::{Path, PathBuf};

use ignore::WalkBuilder;
use ignore::gitignore::{Gitignore, GitignoreBuilder};

use super::model::Recipe;

/// Walks what is injected of the recipe's source. Links are not followed; the root itself is the first entry.
///
/// Left out are `.git` at any depth, what the `.gitignore` files between the cartridge's folder and the entry ignore
/// (with or without a `.git` beside them), `.git/info/exclude`, and the recipe's own patterns. The user's global ignore
/// file and `.gitignore` files above the cartridge's folder do not count: the same cartridge is the same everywhere.
/// The directories of `passed_over` are left out too.
#[must_use]
pub fn source_walker(recipe: &Recipe, passed_over: &[PathBuf]) -> WalkBuilder {
    let passed_over = passed_over.to_vec();
    let source = &recipe.source.path;
    let mut filters = vec![excluded(recipe)];
    filters.extend(ignores_above(source, &recipe.root));
    let mut walk = WalkBuilder::new(source);
    walk.standard_filters(false).git_ignore(true).git_exclude(true).require_git(false).follow_links(false);
    walk.filter_entry(move |entry| {
        if entry.depth() == 0 {
            return true;
        }
        let is_dir = entry.file_type().is_some_and(|kind| kind.is_dir());
        entry.file_name() != ".git"
            && !(is_dir && passed_over.iter().any(|dir| dir == entry.path()))
            && !filters.iter().any(|filter| filter.matched(entry.path(), is_dir).is_ignore())
    });
    walk
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

/// The `.gitignore` files from the cartridge's folder down to above the source: the walk itself starts at the source.
fn ignores_above(source: &Path, root: &Path) -> Vec<Gitignore> {
    let above = source.ancestors().skip(1).take_while(|dir| dir.starts_with(root));
    above.map(|dir| Gitignore::new(dir.join(".gitignore")).0).filter(|ignores| !ignores.is_empty()).collect()
}
