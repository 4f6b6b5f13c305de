//! Whatever engine builds: what of an image looks like a secret is told before it is on the image.

use std::path::PathBuf;

use super::{BuildError, Stages};
use crate::Cancel;
use crate::lint::{self, Gathered, LintFinding};
use crate::progress::Reporter;
use crate::recipe::Recipe;

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

impl Stages<'_> {
    /// As [`secrets`], told to whoever builds.
    pub(super) fn look_for_secrets(&self, reporter: &Reporter<'_>) -> Result<(), BuildError> {
        let ours = crate::stage::assemble::ours(self.request);
        let findings = secrets(&self.request.recipe, &self.cartridge(), &ours, self.cancel)?;
        if !findings.is_empty() {
            lint::render_text(&findings, false).lines().for_each(|line| reporter.line(line));
        }
        warn(&findings, reporter);
        Ok(())
    }
}

/// Tells in one sentence what of the findings is a secret.
pub(super) fn warn(findings: &[LintFinding], reporter: &Reporter<'_>) {
    let mut files: Vec<String> = findings
        .iter()
        .filter(|it| it.rule.is_a_secret() && it.severity != lint::Severity::Note)
        .map(|it| it.place().to_string())
        .collect();
    files.dedup();
    let Some(more) = files.len().checked_sub(1) else { return };
    let rest = (more + 1).saturating_sub(NAMED);
    files.truncate(NAMED);
    let rest = if rest > 0 { format!(" and {rest} more") } else { String::new() };
    reporter.warned(format!(
        "What looks like a secret goes onto the image, where whoever gets it can read it: {}{rest}. source.exclude leaves files out",
        files.join(", ")
    ));
}
