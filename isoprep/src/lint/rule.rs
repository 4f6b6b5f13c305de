//! What a rule is, and the run of all of them.

use std::collections::BTreeSet;

use super::finding::{LintFinding, RuleId};
use super::gather::{Gathered, Surroundings};
use super::known::Known;
use super::subject::{Modes, OnDisk, Subject};
use super::sync_db::SyncDatabases;
use super::{
    boot, boot_files, boot_modes, boot_options, definition, executable, initcpio, packages, pacman_conf, permissions,
    private_files, repositories, scripts, secrets, size, systemd, users, variables,
};
use crate::Cancel;
use crate::profile::Profile;
use crate::recipe::Recipe;

/// A rule: its name, what it is about, and the pure function that looks.
#[derive(Clone, Copy)]
pub struct Rule {
    /// Its name.
    pub id: RuleId,
    /// What it finds: half a sentence.
    pub says: &'static str,
    pub(super) check: for<'a> fn(&Known<'a>) -> Vec<LintFinding>,
}

impl Rule {
    pub(super) const fn new(
        id: &'static str,
        says: &'static str,
        check: for<'a> fn(&Known<'a>) -> Vec<LintFinding>,
    ) -> Self {
        Self { id: RuleId(id), says, check }
    }
}

/// The rule that passes on what the profile's reader says.
const NOT_UNDERSTOOD: RuleId = RuleId("profile-not-understood");
/// The most findings of one rule: a broken repository must not drown the others.
const MOST: usize = 50;

/// All rules, by family.
pub fn rules() -> impl Iterator<Item = &'static Rule> {
    [
        definition::RULES,
        variables::RULES,
        boot_modes::RULES,
        packages::RULES,
        repositories::RULES,
        pacman_conf::RULES,
        initcpio::RULES,
        boot::RULES,
        boot_options::RULES,
        boot_files::RULES,
        permissions::RULES,
        executable::RULES,
        private_files::RULES,
        users::RULES,
        scripts::RULES,
        systemd::RULES,
        secrets::RULES,
        size::RULES,
    ]
    .into_iter()
    .flatten()
}

/// Everything that is wrong with a subject, the worst first, then by file and line. A look that is cancelled ends early
/// with what it has.
#[must_use]
pub fn lint(subject: &Subject<'_>, cancel: &Cancel) -> Vec<LintFinding> {
    run(rules(), subject, cancel)
}

/// What would be a secret on the image of a recipe whose engine takes no profile.
pub(crate) fn secrets_of(recipe: &Recipe, cartridge: &str, gathered: &Gathered, cancel: &Cancel) -> Vec<LintFinding> {
    let (profile, databases) = (Profile::default(), SyncDatabases::default());
    let surroundings =
        Surroundings { modes: Modes::KEPT, supplied: &[], image_bytes: None, databases: &databases, host: &OnDisk };
    run(secrets::RULES.iter(), &gathered.subject(recipe, cartridge, &profile, &surroundings), cancel)
}

fn run<'r>(rules: impl Iterator<Item = &'r Rule>, subject: &Subject<'_>, cancel: &Cancel) -> Vec<LintFinding> {
    let repositories: BTreeSet<&str> =
        subject.profile.pacman_conf.repositories.iter().map(|repository| repository.name.as_str()).collect();
    let known = Known::new(subject, &repositories, cancel);
    let mut findings = Vec::new();
    for rule in rules.take_while(|_| !cancel.is_cancelled()) {
        let mut found = (rule.check)(&known);
        found.sort_by(|a, b| (a.severity, &a.file, a.line).cmp(&(b.severity, &b.file, b.line)));
        found.dedup();
        if found.len() > MOST {
            let rest = found.split_off(MOST - 1);
            if let [first, others @ ..] = rest.as_slice() {
                let mut last = first.clone();
                last.what.push_str(&format!(" There are {} more of these.", others.len()));
                last.also.extend(others.iter().map(LintFinding::place));
                found.push(last);
            }
        }
        findings.extend(found.into_iter().map(|finding| LintFinding { rule: rule.id, ..finding }));
    }
    // What the reader only wondered about is dropped where a rule has said what comes of it.
    let said: BTreeSet<_> = findings.iter().filter(|it| it.rule != NOT_UNDERSTOOD).map(LintFinding::place).collect();
    findings.retain(|finding| finding.rule != NOT_UNDERSTOOD || !said.contains(&finding.place()));
    findings.sort_by(|a, b| {
        (a.severity, &a.file, a.line, a.rule, &a.what).cmp(&(b.severity, &b.file, b.line, b.rule, &b.what))
    });
    findings
}
