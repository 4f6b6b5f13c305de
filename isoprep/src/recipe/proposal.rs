//! What is proposed for a repository without a `cartridge.toml`: the text, and a list of what was found with the reasons, to
//! be shown before anything is written.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// A `cartridge.toml` that is not written yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Proposal {
    /// The text: complete, every field explained.
    pub text: String,
    /// What of it was found in the repository, in the order of the text, and what should be known about it. Empty where
    /// nothing but defaults is proposed.
    pub settings: Vec<Proposed>,
}

/// One setting of a proposal, or a warning about it. A list or table has one of these for each of its items.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proposed {
    /// The field, as in [`FIELDS`](super::FIELDS); a warning that belongs to none has an empty one.
    pub key: String,
    /// The item's name, for fields that are tables.
    pub item: Option<String>,
    /// The value without quotes; empty for a warning.
    pub value: String,
    /// Why, or what to know: a sentence without a full stop.
    pub why: String,
    /// The files and folders that say so, relative to the repository.
    pub from: Vec<PathBuf>,
    /// A command that helps, to be run in the repository; [`why`](Self::why) names it too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// How sure it is.
    pub kind: ProposedKind,
}

/// How sure a proposed setting is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProposedKind {
    /// The repository says so.
    Found,
    /// It is likely, or the best that there is.
    Assumed,
    /// Nothing is set; somebody should know this.
    Warning,
    /// Somebody has set it since, to this or to another value.
    Edited,
    /// Somebody has taken it out since: it is not written.
    Dropped,
}

impl Proposed {
    fn label(&self) -> String {
        match &self.item {
            Some(item) => format!("{}.{}", self.key, shown(Path::new(item))),
            None => self.key.clone(),
        }
    }
}

impl fmt::Display for Proposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        proposal_lines(&self.settings).iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

/// A proposal as lines for a terminal: `+` before what is proposed, with the reason below it, `~` before what was edited
/// since, `-` before what was dropped, `!` before warnings. Items
/// with the same reason share it. Control characters are escaped.
#[must_use]
pub fn proposal_lines(settings: &[Proposed]) -> Vec<String> {
    let same = |a: &Proposed, b: &Proposed| {
        a.kind != ProposedKind::Warning && (a.label(), &a.why, a.kind) == (b.label(), &b.why, b.kind)
    };
    let mut lines = Vec::new();
    for group in settings.chunk_by(same) {
        let Some(first) = group.first() else { continue };
        if first.kind == ProposedKind::Warning {
            lines.push(format!("! {}", first.why));
            continue;
        }
        let values: Vec<_> = group.iter().map(|it| format!("{:?}", it.value)).collect();
        let (sign, mark) = match first.kind {
            ProposedKind::Found | ProposedKind::Warning => ("+", ""),
            ProposedKind::Assumed => ("+", " (assumed)"),
            ProposedKind::Edited => ("~", " (edited)"),
            ProposedKind::Dropped => ("-", " (dropped)"),
        };
        lines.push(format!("{sign} {} = {}{mark}", first.label(), values.join(", ")));
        lines.push(format!("    {}", first.why));
    }
    lines
}

/// A path for a terminal: control characters are escaped, the empty path is the repository.
pub(super) fn shown(path: &Path) -> String {
    let text = path.display().to_string();
    match text.as_str() {
        "" => ".".to_owned(),
        text if text.contains(char::is_control) => text.escape_debug().collect(),
        _ => text,
    }
}
