//! The look at what in the repository is not as in the image: blocking.

use std::path::PathBuf;

use isoprep::{BuildError, Cancel, Recipe, SourceTree};

use crate::paths::Paths;

/// What the repository is compared with.
#[derive(Clone, Debug)]
pub(in crate::session) enum Base {
    /// What an image was made of: its file, and the hash of its tree.
    Image(PathBuf, String),
    /// Nothing: there is no image.
    Nothing,
}

/// What was seen.
pub(in crate::session) struct SourceLook {
    /// The repository as it is.
    pub(in crate::session) now: SourceTree,
    /// What it is compared with; `None` where that is not known.
    pub(in crate::session) base: Option<SourceTree>,
}

/// Reads the repository, as far as it has changed.
///
/// # Errors
/// As of [`SourceTree::look`].
pub(in crate::session) fn look_at_source(
    recipe: &Recipe,
    base: Base,
    paths: &Paths,
    cancel: &Cancel,
) -> Result<SourceLook, BuildError> {
    let ours: Vec<PathBuf> =
        paths.ours().into_iter().chain([paths.images_of(&recipe.name, &recipe.root), paths.stages()]).collect();
    let now = SourceTree::look(recipe, &paths.stages(), &ours, cancel)?;
    let base = match base {
        // A list that a killed build left beside an older image is of another tree.
        Base::Image(iso, hash) => SourceTree::of_image(&iso).ok().filter(|tree| tree.hash() == hash),
        Base::Nothing => None,
    };
    Ok(SourceLook { now, base })
}
