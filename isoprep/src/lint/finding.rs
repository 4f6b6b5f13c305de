//! What a rule says: where, what it is, what it will do to the build or the live system, and the edit that mends it.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::edit::Edit;
use crate::known_name;
use crate::recipe::EngineKind;

/// The name of a rule: lower-case words joined by `-`. It is part of the JSON and does not change once released.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct RuleId(pub &'static str);

impl RuleId {
    /// Whether it finds what nobody else must get.
    #[must_use]
    pub fn is_a_secret(self) -> bool {
        self.0.starts_with("secret-")
    }
}

impl<'de> Deserialize<'de> for RuleId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        known_name::read(deserializer).map(Self)
    }
}

impl fmt::Display for RuleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// How bad a finding is. The worst comes first in every order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The build fails, or the image does not do what it is for.
    Error,
    /// Something will not work as it is written, or more is given away than was meant.
    Warning,
    /// It works, or cannot be known; worth a look.
    Note,
}

/// A line of a file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Place {
    /// Relative to the folder of `cartridge.toml` where it lies in there, else absolute.
    #[serde(serialize_with = "lossy")]
    pub file: PathBuf,
    /// From 1; `None` when it is about the whole file.
    pub line: Option<usize>,
}

/// A path as text: JSON knows no other names, and one odd name must not lose a report.
pub(super) fn lossy<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&path.to_string_lossy())
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        self.line.map_or(Ok(()), |line| write!(f, ":{line}"))
    }
}

/// One thing that would fail late or silently.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LintFinding {
    /// The rule that found it.
    pub rule: RuleId,
    /// How bad it is.
    pub severity: Severity,
    /// Relative to the folder of `cartridge.toml` where it lies in there, else absolute.
    #[serde(serialize_with = "lossy")]
    pub file: PathBuf,
    /// From 1; `None` when it is about the whole file.
    pub line: Option<usize>,
    /// What is there: a sentence.
    pub what: String,
    /// What will happen: a sentence or two.
    pub consequence: String,
    /// What mends it, where one edit does.
    pub fix: Option<Fix>,
    /// Other places that have to do with it.
    pub also: Vec<Place>,
}

/// An edit with what it does in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fix {
    /// What the edit does, as an order: `Add plymouth to image.packages`.
    pub says: String,
    /// The edit.
    pub edit: Edit,
}

impl LintFinding {
    fn new(severity: Severity, place: Place, what: String, consequence: &str) -> Self {
        Self {
            rule: RuleId::default(),
            severity,
            file: place.file,
            line: place.line,
            what,
            consequence: consequence.to_owned(),
            fix: None,
            also: Vec::new(),
        }
    }

    pub(super) fn error(place: Place, what: impl Into<String>, consequence: impl AsRef<str>) -> Self {
        Self::new(Severity::Error, place, what.into(), consequence.as_ref())
    }

    pub(super) fn warning(place: Place, what: impl Into<String>, consequence: impl AsRef<str>) -> Self {
        Self::new(Severity::Warning, place, what.into(), consequence.as_ref())
    }

    pub(super) fn note(place: Place, what: impl Into<String>, consequence: impl AsRef<str>) -> Self {
        Self::new(Severity::Note, place, what.into(), consequence.as_ref())
    }

    pub(super) fn graded(self, severity: Severity) -> Self {
        Self { severity, ..self }
    }

    /// For what mkarchiso alone rejects: with our own engine it is no more than a warning. `natively` says what that does.
    pub(super) fn by_mkarchiso_alone(self, engine: EngineKind, natively: &str) -> Self {
        if engine == EngineKind::Mkarchiso {
            return self;
        }
        let told = if self.consequence.contains("mkarchiso") { "" } else { "With mkarchiso: " };
        let consequence = format!("{natively} {told}{}", self.consequence);
        Self { severity: self.severity.max(Severity::Warning), consequence, ..self }
    }

    pub(super) fn fixed_by(mut self, says: impl Into<String>, edit: Option<Edit>) -> Self {
        self.fix = edit.map(|edit| Fix { says: says.into(), edit });
        self
    }

    pub(super) fn seen_at(mut self, places: impl IntoIterator<Item = Place>) -> Self {
        self.also.extend(places);
        self
    }

    /// Where it is.
    #[must_use]
    pub fn place(&self) -> Place {
        Place { file: self.file.clone(), line: self.line }
    }
}
