//! A cartridge is looked at before it is built: assembled, read, linted. The build does the same as its own first steps.

use std::path::PathBuf;

use serde::Serialize;

use super::ready::Ready;
use super::{BuildError, BuildRequest, Stages};
use crate::Cancel;
use crate::assembly::{self, Node};
use crate::cache::{Cache, atomic};
use crate::contents::BuildRecord;
use crate::engine;
use crate::host::Host;
use crate::lint::{self, Counts, Gathered, LintFinding, Modes, OnDisk, Surroundings, SyncDatabases};
use crate::progress::{Progress, Reporter};
use crate::recipe::FILE_NAME;
use crate::stage::packages::{self, pacman};

/// A larger `cartridge.toml` is not read for the lines of its fields.
const LARGEST_CARTRIDGE: u64 = 1 << 20;

/// Everything that can be said of a cartridge before it is built.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Examination {
    /// What would fail late or silently, the worst first.
    pub lint: Vec<LintFinding>,
    /// The assembled profile, each file with where it came from.
    pub tree: Vec<Node>,
    /// What else was noticed while the profile was put together.
    pub warnings: Vec<String>,
}

/// Looks at a cartridge without building it: engines archiso and mkarchiso; of the others
/// [`secrets`](super::secrets()) says what there is to say. Nothing but
/// `request.work` is written; code of the profile runs in the sandbox alone. Blocks for a moment.
///
/// # Errors
/// [`BuildError`] where the profile can be neither assembled nor read, or the repository cannot.
pub fn examine(
    request: &BuildRequest,
    cancel: &Cancel,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<Examination, BuildError> {
    let Host::Distribution(tools) = &request.host else { return Ok(Examination::default()) };
    if !request.recipe.image.engine.takes_a_profile() {
        return Ok(Examination::default());
    }
    let first = engine::ASSEMBLE;
    let cache = Cache::open(&request.cache).map_err(BuildError::write(first, &request.cache, 0))?;
    let warnings = std::sync::Mutex::new(Vec::new());
    let listen = |told: Progress| {
        if let Progress::Line { text, .. } = &told
            && let Some(warning) = text.strip_prefix("warning: ")
        {
            warnings.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(warning.to_owned());
        }
        progress(told);
    };
    let stages = Stages { request, cancel, progress: &listen, cache };
    let reporter = Reporter::new(first, cancel, &listen);
    let ready = stages.profile(tools, stages.epoch()?, &reporter)?;
    let lint = stages.findings(&ready)?;
    if let Some(error) = ready.unusable.as_ref().filter(|_| Counts::of(&lint).errors == 0) {
        reporter.line(format!("warning: {error}"));
    }
    let tree = assembly::nodes(&ready.assembly);
    drop(stages);
    Ok(Examination { lint, tree, warnings: warnings.into_inner().unwrap_or_default() })
}

impl Stages<'_> {
    /// What lint says of a cartridge that is ready to be built.
    pub(super) fn findings(&self, ready: &Ready) -> Result<Vec<LintFinding>, BuildError> {
        let recipe = &self.request.recipe;
        let cartridge = self.cartridge();
        let ours = crate::stage::assemble::ours(self.request);
        let gathered = Gathered::new(recipe, &ready.assembly, &ours, self.cancel, self.progress)?;
        let databases = self.databases(ready);
        let supplied = [PathBuf::from(pacman::MIRRORLIST)];
        let surroundings = Surroundings {
            // Both engines keep them: the native one itself, the other through a block in the copy of profiledef.sh.
            modes: Modes::KEPT,
            supplied: &supplied,
            image_bytes: self.root_bytes(ready),
            databases: &databases,
            host: &OnDisk,
        };
        let findings = lint::lint(&gathered.subject(recipe, &cartridge, &ready.profile, &surroundings), self.cancel);
        if self.cancel.is_cancelled() {
            return Err(BuildError::Cancelled { stage: engine::LINT });
        }
        Ok(findings)
    }

    /// The text of `cartridge.toml`, for the lines of its fields.
    pub(super) fn cartridge(&self) -> String {
        self.request.cartridge.clone().unwrap_or_else(|| {
            let file = self.request.recipe.root.join(FILE_NAME);
            let small = atomic::size(&file).is_ok_and(|bytes| bytes <= LARGEST_CARTRIDGE);
            if small { std::fs::read_to_string(&file).unwrap_or_default() } else { String::new() }
        })
    }

    /// How large the root image of the last build was, its layers included, bytes: asked only where an entry copies it.
    fn root_bytes(&self, ready: &Ready) -> Option<u64> {
        let copies = ready.profile.boot_entries.iter().any(|entry| entry.options.contains("copytoram"));
        let iso = copies.then(|| self.target().ok()).flatten()?;
        let record = BuildRecord::read(&BuildRecord::beside(&iso)).ok().filter(|record| record.is_about(&iso))?;
        record.contents.root.map(|root| root.bytes)
    }

    /// The package databases that are at hand: those of repositories of this host, and those that the last installation with
    /// the same configuration fetched.
    pub(super) fn databases(&self, ready: &Ready) -> SyncDatabases {
        let remembered = packages::databases_room(&self.cache, &ready.expanded).ok();
        let mut databases = remembered.map(|room| SyncDatabases::load(&room).0).unwrap_or_default();
        for (name, dir) in pacman::local_repositories(&ready.expanded) {
            // One that is not there, or damaged, is a finding of its own.
            let _ = databases.add(&name, &dir.join(format!("{name}.db")));
        }
        databases
    }
}
