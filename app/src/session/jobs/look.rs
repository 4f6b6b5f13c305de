//! The look at a cartridge before it is built: blocking, in a work directory of its own that is gone afterwards.

use std::path::PathBuf;

use isoprep::assembly::Node;
use isoprep::{BuildRequest, Cancel, Recipe};

use crate::paths::Paths;
use crate::session::event::Failure;
use crate::session::examination::LintView;
use crate::session::failure;
use crate::session::removal::{Removal, Terms};
use crate::session::run_field::RunField;

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

/// Looks at a cartridge, its recipe and its text, in `work`, a new work directory, and removes that.
pub(in crate::session) fn look(
    (cartridge, fields): ((Recipe, String), &[RunField]),
    work: PathBuf,
    paths: &Paths,
    cancel: &Cancel,
) -> Look {
    let look = if cartridge.0.image.engine.takes_a_profile() {
        match request((cartridge, fields), work.clone(), paths) {
            Ok(request) => seen(&request, cancel),
            Err(failure) => Look::failed(failure),
        }
    } else {
        secrets(&cartridge, paths, cancel)
    };
    let mut removal = Removal::default();
    // A look that failed may not have made it.
    if work.symlink_metadata().is_ok() {
        removal.remove(&work, &Terms { agreed: &[], cancel: &Cancel::new(), progress: &|_, _| {} });
    }
    let problems = removal.problems;
    if problems.is_empty() || look.failure.is_some() {
        return look;
    }
    Look {
        failure: Some(failure::internal("What a look at the cartridge made is still there", &problems.join("\n"))),
        ..look
    }
}

/// What is built from a cartridge, in which these fields were set for this run.
pub(super) fn request(
    ((recipe, text), fields): ((Recipe, String), &[RunField]),
    work: PathBuf,
    paths: &Paths,
) -> Result<BuildRequest, Failure> {
    let mut findings = isoprep::check_places(&recipe, &paths.apart());
    if findings.is_empty() {
        findings = isoprep::check(&recipe);
    }
    if !findings.is_empty() {
        return Err(failure::of_run_findings(&findings, fields));
    }
    let host = isoprep::host(&super::host_search(paths, &recipe), recipe.image.engine);
    Ok(BuildRequest {
        images: paths.images_of(&recipe.name, &recipe.root),
        host: host.map_err(|e| failure::of_missing_parts(&e))?,
        epoch: super::epoch(),
        init: vmtools::INIT,
        apart: paths.ours(),
        guest_memory_mib: Some(super::guest_memory_mib(&recipe)),
        build_anyway: false,
        cartridge: Some(text),
        cache: paths.stages(),
        recipe,
        work,
    })
}

/// What would be a secret on an image without a profile. Nothing of the host is needed for that, and nothing is written.
fn secrets((recipe, text): &(Recipe, String), paths: &Paths, cancel: &Cancel) -> Look {
    match isoprep::secrets(recipe, text, &paths.ours(), cancel) {
        Ok(lint) => Look { lint: lint.into_iter().map(LintView::new).collect(), ..Look::default() },
        Err(error) => Look::failed(failure::of_build(&error)),
    }
}

fn seen(request: &BuildRequest, cancel: &Cancel) -> Look {
    match isoprep::examine(request, cancel, &|_| ()) {
        Ok(isoprep::Examination { lint, tree, warnings }) => {
            Look { lint: lint.into_iter().map(LintView::new).collect(), tree, warnings, failure: None }
        }
        Err(error) => Look::failed(failure::of_build(&error)),
    }
}
