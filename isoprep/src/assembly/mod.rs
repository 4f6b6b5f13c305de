//! Assembly: a base profile, overlays and what the cartridge adds become one complete archiso profile folder.
//!
//! In this order, each step over the result of those before it:
//!
//! 1. the base;
//! 2. `remove` takes away from the base, so that an overlay can put its own in place;
//! 3. the overlays, file by file: a later file replaces an earlier one;
//! 4. `pacman_conf` becomes `pacman.conf`; `packages` are added to the list that the profile uses;
//! 5. single `files` and `env` land in `airootfs`.
//!
//! [`prepare`] looks at the folders and decides ([`plan()`] is pure), [`Assembly::hash`] tells what the result will be,
//! [`Assembly::write`] does it, and [`text`] or [`nodes`] shows it. The user's folders are only read. The repository is
//! not copied: it is a layer of its own that later lies at [`Assembly::into`].

mod copy;
mod environment;
mod hash;
mod listing;
mod model;
mod package_list;
mod permissions;
mod plan;
#[cfg(test)]
mod plan_tests;
mod problem;
mod removal;
mod show;
mod values;
mod write;

use std::path::Path;

use cartridge_treehash::TreeHash;

pub use listing::{Found, Listed, Listing, Single};
pub use model::{Assembly, Ingredients, Kind, Origin, Piece};
pub use permissions::{Modes, permissions_block};
pub use plan::plan;
pub use problem::{AssemblyError, Problem, Warning};
pub use show::{Node, lines, nodes, text};
pub(crate) use values::{has_values, values_block};

use crate::Cancel;
use crate::build::BuildError;
use crate::cache::Cache;
use crate::engine;
use crate::progress::{Progress, Reporter};

/// Looks at the folders and files that `ingredients` names, and decides. Reads no content but that of package lists.
/// What is wrong with the ingredients is in [`Assembly::problems`], all of it at once.
///
/// # Errors
/// Folders that cannot be read, or are too big to be a profile; [`BuildError::Cancelled`].
pub fn prepare(
    ingredients: &Ingredients,
    cancel: &Cancel,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<Assembly, BuildError> {
    let reporter = Reporter::new(engine::ASSEMBLE, cancel, progress);
    let found = listing::gather(ingredients, &reporter)?;
    Ok(plan(ingredients, &found))
}

impl Assembly {
    /// The hash of the folder that [`write`](Self::write) makes, as `cartridge_treehash::hash_tree` computes it there:
    /// paths, kinds, permission bits, contents and link targets. Where anything came from, and when it changed, does
    /// not count. A file that looks as it did the last time is not read again; `cache` remembers that.
    ///
    /// A stage that also uses [`modes`](Self::modes), [`pacman_conf`](Self::pacman_conf) or [`into`](Self::into) has to
    /// name them in its key.
    ///
    /// # Errors
    /// Files that cannot be read; [`BuildError::Cancelled`].
    pub fn hash(
        &self,
        cache: &Path,
        cancel: &Cancel,
        progress: &(dyn Fn(Progress) + Sync),
    ) -> Result<TreeHash, BuildError> {
        let reporter = Reporter::new(engine::ASSEMBLE, cancel, progress);
        let opened = Cache::open(cache).map_err(BuildError::write(reporter.stage, cache, 0))?;
        hash::hash(self, (&opened, cache), &reporter)
    }

    /// Writes the profile into `target`, an empty directory: modes, links and modification times are kept, owners,
    /// extended attributes and hard links are not. Nothing outside of `target` is written, whatever links there are.
    ///
    /// # Errors What is in [`problems`](Self::problems); a target with something in it; [`BuildError::Changed`] for a
    /// file that is not the one that was listed; [`BuildError::DiskFull`]; [`BuildError::Cancelled`]. What was written
    /// so far stays: the directory is the caller's to remove.
    pub fn write(
        &self,
        target: &Path,
        cancel: &Cancel,
        progress: &(dyn Fn(Progress) + Sync),
    ) -> Result<(), BuildError> {
        write::write(self, target, &Reporter::new(engine::ASSEMBLE, cancel, progress))
    }
}

/// Appends a block to the `profiledef.sh` of a profile that [`Assembly::write`] made, so that mkarchiso, which copies
/// `airootfs` without its modes, sets `modes`. What such a block cannot undo: a `profiledef.sh` that ends early with
/// `return`. Whoever evaluates the copy again and finds [`Assembly::modes`] empty knows that all is well.
///
/// # Errors
/// A `profiledef.sh` that is missing, no regular file, or larger than 1 MiB; [`BuildError::DiskFull`].
pub fn append_permissions(profile: &Path, modes: &Modes) -> Result<(), BuildError> {
    write::extend(profile, &permissions_block(modes), true, engine::ASSEMBLE)
}

/// As [`append_permissions`], with any `block`; without `keep` in place of the text that is there.
///
/// # Errors
/// As [`append_permissions`].
pub(crate) fn extend_definition(profile: &Path, block: &[u8], keep: bool) -> Result<(), BuildError> {
    write::extend(profile, block, keep, engine::ASSEMBLE)
}
