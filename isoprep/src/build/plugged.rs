//! The repository as a layer for a guest that runs already: the same pieces as in an image, and nothing of the base.

use std::path::PathBuf;

use super::{BuildError, BuildRequest, Stages};
use crate::Cancel;
use crate::cache::{Cache, Held};
use crate::engine;
use crate::plan::KeyHasher;
use crate::progress::Progress;
use crate::source::SourceTree;
use crate::stage::base::Folders;
use crate::stage::layer::{self, Additions};

/// A layer to be plugged into a guest.
#[derive(Clone, Debug)]
pub struct RepositoryLayer {
    /// A squashfs in the cache: the repository at its place in the guest, and what `image.files` names.
    pub file: PathBuf,
    /// How many files the repository has.
    pub files: u64,
    /// The hash of its tree, which the guest finds as well.
    pub tree_hash: String,
    /// What is in it of the repository.
    pub source: SourceTree,
    /// Whether it was in the cache already.
    pub reused: bool,
    /// Keeps the file, which a guest has open, until the last of these is gone.
    pub held: Held,
}

/// Packs the repository of `request` as it is now, for any engine. Blocks; `progress` is called from several threads.
///
/// # Errors
/// [`BuildError`]; the cache is intact after each of them.
pub fn repository_layer(
    request: &BuildRequest,
    cancel: &Cancel,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<RepositoryLayer, BuildError> {
    let first = engine::ASSEMBLE;
    let cache = Cache::open(&request.cache).map_err(BuildError::write(first, &request.cache, 0))?;
    let stages = Stages { request, cancel, progress, cache };
    let recipe = &request.recipe;
    let repository = stages.timed(first, |reporter| stages.repository(reporter).map(|it| (it.reused, it)))?;
    let epoch = request.epoch.unwrap_or_default();
    let mut key = KeyHasher::new(engine::INJECT).bytes(b"plugged").bytes(recipe.name.as_bytes());
    key = key.path(&recipe.source.into).hash(&repository.tree).number(epoch);
    for extra in &repository.extras {
        key = key.path(&extra.to).number(u64::from(extra.mode)).hash(&extra.content);
    }
    for (name, value) in &recipe.image.env {
        key = key.bytes(name.as_bytes()).bytes(value.as_bytes());
    }
    let key = key.finish();
    let reused = stages.cache.find(engine::INJECT, key).is_some();
    let made = stages.keyed(engine::INJECT, key, |reporter| {
        let what = Additions {
            extras: &repository.extras,
            reporter: None,
            settings: &[],
            folders: &Folders::default(),
            epoch,
        };
        layer::layer(recipe, &repository.manifest, &what, (&stages.cache, key), reporter)
    })?;
    let held = made.hold().map_err(BuildError::io(first, "keep", &request.cache))?;
    stages.cache.prune(&engine::ALL);
    let (files, tree_hash) = (repository.files, repository.tree.to_string());
    let source = SourceTree::of(&repository.manifest);
    Ok(RepositoryLayer { file: made.file(layer::LAYER), files, tree_hash, source, reused, held })
}
