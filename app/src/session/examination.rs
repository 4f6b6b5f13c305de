//! A look at a cartridge before it is built, as front ends show it: what would fail late, and the profile that will be
//! built with where each file came from.

use isoprep::EngineKind;
use isoprep::assembly::Node;
use isoprep::lint::{LintFinding, Severity};
use serde::{Deserialize, Serialize};

use super::event::Failure;

/// What was seen of a cartridge.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Examination {
    /// What would fail late or silently, the worst first.
    pub lint: Vec<LintView>,
    /// The assembled profile, in the order of a tree that is all open.
    pub tree: Vec<Node>,
    /// What is strange about it, a sentence each.
    pub warnings: Vec<String>,
    /// Why it could not be looked at to the end.
    pub failure: Option<Failure>,
}

impl Examination {
    /// Whether something was found that a build stops at.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.lint.iter().any(|it| it.finding.severity == Severity::Error)
    }
}

/// Why nothing is known of a cartridge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Unexamined {
    /// Its engine takes no archiso profile: there is nothing to look at but what would be a secret on the image, and none was
    /// found.
    NoProfile {
        /// The engine.
        engine: EngineKind,
    },
    /// It has errors, and cannot be looked at before they are corrected.
    Invalid,
    /// It is another one now, and was not looked at yet.
    Changed,
}

impl std::fmt::Display for Unexamined {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoProfile { engine } => {
                write!(f, "no secrets were found, and the engine {} takes no archiso profile", engine.word())
            }
            Self::Invalid => f.write_str("the cartridge has to be corrected first"),
            Self::Changed => f.write_str("the cartridge has changed"),
        }
    }
}

/// One finding of the lint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LintView {
    /// What [`Command::ApplyFix`](super::command::Command::ApplyFix) names it by: the same for as long as the finding says
    /// the same of the same line.
    pub id: String,
    /// Whether its fix changes the repository itself, so that the user has to be asked first.
    pub asks: bool,
    /// The finding.
    #[serde(flatten)]
    pub finding: LintFinding,
}

impl LintView {
    /// How front ends see `finding`.
    #[must_use]
    pub fn new(finding: LintFinding) -> Self {
        let place = finding.place().to_string();
        let mut hasher = blake3::Hasher::new();
        for part in [finding.rule.0, &place, &finding.what] {
            hasher.update(&(part.len() as u64).to_le_bytes()).update(part.as_bytes());
        }
        let asks = finding.fix.as_ref().is_some_and(|fix| fix.edit.asks());
        Self { id: hasher.finalize().to_hex()[..16].to_owned(), asks, finding }
    }
}
