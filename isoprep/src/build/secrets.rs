//! Whatever engine builds: what of an image looks like a secret is told before it is on the image.

use std::collections::BTreeSet;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use cartridge_treehash::TreeHash;
use serde::{Deserialize, Serialize};

use super::{BuildError, Stages};
use crate::Cancel;
use crate::cache::atomic;
use crate::engine;
use crate::lint::{self, Gathered, LintFinding};
use crate::plan::KeyHasher;
use crate::progress::Reporter;
use crate::recipe::{Base, EngineKind, Recipe};
use crate::stage::inject::Extra;

/// How many files a warning names.
const NAMED: usize = 5;

/// What would be a secret on the image of a recipe whose engine takes no archiso profile. `cartridge` is the text of
/// `cartridge.toml`, for lines; `ours` are folders of our own, which are never injected. Only reads. Blocks for a moment.
///
/// # Errors
/// [`BuildError`] where the repository cannot be read.
pub fn secrets(
    recipe: &Recipe,
    cartridge: &str,
    ours: &[PathBuf],
    cancel: &Cancel,
) -> Result<Vec<LintFinding>, BuildError> {
    let ours: Vec<_> = ours.iter().filter_map(|dir| dir.canonicalize().ok()).collect();
    let gathered = Gathered::without_profile(recipe, &ours, cancel, &|_| ())?;
    let findings = lint::secrets_of(recipe, cartridge, &gathered, cancel);
    if cancel.is_cancelled() {
        return Err(BuildError::Cancelled { stage: crate::engine::ASSEMBLE });
    }
    Ok(findings)
}

/// What was found the last time, and in what.
#[derive(Serialize, Deserialize)]
struct Kept {
    key: String,
    /// All findings, as the log has them.
    text: String,
    /// What a warning names.
    places: Vec<String>,
}

impl Stages<'_> {
    /// As [`secrets`], told to whoever builds. What is known of the same `tree`, with the same `extras`, is told again without reading
    /// a file: most builds follow one in which something else has changed, or nothing.
    pub(super) fn look_for_secrets(
        &self,
        (tree, extras): (&TreeHash, &[Extra]),
        reporter: &Reporter<'_>,
    ) -> Result<(), BuildError> {
        let (recipe, cartridge) = (&self.request.recipe, self.cartridge());
        let key = self.secrets_key(tree, extras, &cartridge);
        let place = self.cache.room("index").ok().zip(key.as_ref());
        let place = place.map(|(room, _)| {
            room.join(format!("secrets-{}", blake3::hash(recipe.root.as_os_str().as_bytes()).to_hex()))
        });
        let read = |place: &PathBuf| serde_json::from_slice::<Kept>(&std::fs::read(place).ok()?).ok();
        let known = place.as_ref().and_then(read).filter(|it| Some(&it.key) == key.as_ref());
        let found = if let Some(known) = known {
            known
        } else {
            let ours = crate::stage::assemble::ours(self.request);
            let findings = secrets(recipe, &cartridge, &ours, self.cancel)?;
            let text = if findings.is_empty() { String::new() } else { lint::render_text(&findings, false) };
            let kept = Kept { key: key.unwrap_or_default(), text, places: places(&findings) };
            // It was hashed before it was looked at: what has changed in between would be kept of files that were never seen.
            let place = place.filter(|_| self.secrets_key_now(reporter).is_some_and(|now| now == kept.key));
            if let (Some(place), Ok(bytes)) = (place, serde_json::to_vec(&kept)) {
                // Losing it costs a moment next time, no more.
                let _ = atomic::write(&place, &bytes);
            }
            kept
        };
        found.text.lines().for_each(|line| reporter.line(line));
        warn(&found.places, reporter);
        Ok(())
    }

    /// The key of what is there now, as far as that can be read.
    fn secrets_key_now(&self, reporter: &Reporter<'_>) -> Option<String> {
        let silent = Reporter::new(reporter.stage, self.cancel, &|_| ());
        let now = self.repository(&silent).ok()?;
        self.secrets_key(&now.tree, &now.extras, &self.cartridge())
    }

    /// What decides what is found; `None` where that would have to be read first: of a root that is a folder.
    fn secrets_key(&self, tree: &TreeHash, extras: &[Extra], cartridge: &str) -> Option<String> {
        let recipe = &self.request.recipe;
        if recipe.image.engine == EngineKind::Tree && matches!(recipe.image.base, Base::Folder(_)) {
            return None;
        }
        // The cartridge's text has the lines that findings name, and what is set for one run is in the recipe alone.
        let mut key = KeyHasher::new(engine::ASSEMBLE).number(lint::SECRET_RULES).hash(tree).path(&recipe.root);
        key = key.path(&recipe.source.path).path(&recipe.source.into).bytes(cartridge.as_bytes());
        key = key.bytes(recipe.image.engine.word().as_bytes());
        for extra in extras {
            key = key.path(&extra.to).path(&extra.from).hash(&extra.content);
        }
        for (name, value) in &recipe.image.env {
            key = key.bytes(name.as_bytes()).bytes(value.as_bytes());
        }
        Some(key.finish().0.to_string())
    }
}

/// The files of the findings that are secrets, each with the first place in it.
pub(super) fn places(findings: &[LintFinding]) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let secrets = findings.iter().filter(|it| it.rule.is_a_secret() && it.severity != lint::Severity::Note);
    secrets.filter(|it| seen.insert(&it.file)).map(|it| it.place().to_string()).collect()
}

/// Tells in one sentence where secrets are.
pub(super) fn warn(files: &[String], reporter: &Reporter<'_>) {
    if files.is_empty() {
        return;
    }
    let rest = files.len().saturating_sub(NAMED);
    let rest = if rest > 0 { format!(" and {rest} more") } else { String::new() };
    reporter.warned(format!(
        "What looks like a secret goes onto the image, where whoever gets it can read it: {}{rest}. source.exclude leaves files out",
        files[..files.len().min(NAMED)].join(", ")
    ));
}
