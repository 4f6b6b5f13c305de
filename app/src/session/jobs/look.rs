//! The look at a cartridge before it is built: blocking, in a work directory of its own that is gone afterwards.

use std::path::PathBuf;

use isoprep::assembly::Node;
use isoprep::lint::LintFinding;
use isoprep::{BuildError, BuildRequest, Cancel, Recipe};

use crate::paths::Paths;
use crate::session::event::Failure;
use crate::session::examination::LintView;
use crate::session::failure;

/// What was seen of a cartridge.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::session) struct Look {
    pub(in crate::session) lint: Vec<LintView>,
    pub(in crate::session) tree: Vec<Node>,
    pub(in crate::session) warnings: Vec<String>,
    /// Why it did not come to its end.
    pub(in crate::session) failure: Option<Failure>,
}

impl Look {
    /// It did not come to its end.
    pub(in crate::session) fn failed(failure: Failure) -> Self {
        Self { failure: Some(failure), ..Self::default() }
    }
}

/// Looks at `recipe` in `work`, a new work directory, and removes that.
pub(in crate::session) fn look(recipe: Recipe, work: PathBuf, paths: &Paths, cancel: &Cancel) -> Look {
    let look = match request(recipe, work.clone(), paths) {
        Ok(request) => seen(&request, cancel),
        Err(failure) => Look::failed(failure),
    };
    let (_, problems) = super::remove(&[work], None, &Cancel::new(), &|_| ());
    if problems.is_empty() || look.failure.is_some() {
        return look;
    }
    Look {
        failure: Some(failure::internal("What a look at the cartridge made is still there", &problems.join("\n"))),
        ..look
    }
}

fn request(recipe: Recipe, work: PathBuf, paths: &Paths) -> Result<BuildRequest, Failure> {
    let mut findings = isoprep::check_places(&recipe, &paths.apart());
    if findings.is_empty() {
        findings = isoprep::check(&recipe);
    }
    if !findings.is_empty() {
        return Err(failure::of_findings(&findings));
    }
    let host = isoprep::host(&super::host_search(paths, &recipe), recipe.image.engine);
    Ok(BuildRequest {
        images: paths.images_of(&recipe.name, &recipe.root),
        host: host.map_err(|e| failure::of_missing_parts(&e))?,
        epoch: super::epoch(),
        init: vmtools::INIT,
        apart: paths.ours(),
        guest_memory_mib: Some(super::guest_memory_mib(&recipe)),
        cache: paths.stages(),
        recipe,
        work,
    })
}

fn seen(request: &BuildRequest, cancel: &Cancel) -> Look {
    match examine(request, cancel) {
        Ok((lint, tree, warnings)) => {
            Look { lint: lint.into_iter().map(LintView::new).collect(), tree, warnings, failure: None }
        }
        Err(error) => Look::failed(failure::of_build(&error)),
    }
}

fn examine(request: &BuildRequest, cancel: &Cancel) -> Result<(Vec<LintFinding>, Vec<Node>, Vec<String>), BuildError> {
    let image = &request.recipe.image;
    let base = match &image.base {
        isoprep::Base::Folder(dir) => dir.clone(),
        isoprep::Base::Installed(which) => which.folder(),
        _ => {
            let dir = request.work.join("minimal");
            let _ = isoprep::profile::write_minimal(&dir);
            dir
        }
    };
    let ingredients = isoprep::assembly::Ingredients {
        base,
        overlays: image.overlays.clone(),
        remove: image.remove.clone(),
        pacman_conf: image.pacman_conf.clone(),
        packages: image.packages.clone(),
        into: request.recipe.source.into.clone(),
        ..isoprep::assembly::Ingredients::default()
    };
    let assembly = isoprep::assembly::prepare(&ingredients, cancel, &|_| ())?;
    let warnings = assembly.warnings.iter().map(ToString::to_string).collect();
    Ok((Vec::new(), isoprep::assembly::nodes(&assembly), warnings))
}
