//! The findings of a lint as rows: by severity, then by file. Pure.

use egui::Color32;
use isoprep::lint::Severity;
use lucide_icons::Icon;

use super::theme::Palette;
use crate::session::examination::Examination;

/// A row of the lint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Row {
    /// A title: so many findings of a severity follow.
    Group(Severity, usize),
    /// The file of the findings that follow: that of this finding.
    File(usize),
    /// A finding, by its place in [`Examination::lint`].
    Finding(usize),
    /// Something strange about the assembled profile, by its place in [`Examination::warnings`].
    Strange(usize),
}

/// How many there are of each severity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Errors.
    pub errors: u64,
    /// Warnings, those about the assembled profile too.
    pub warnings: u64,
    /// Notes.
    pub notes: u64,
}

impl Counts {
    /// Counts.
    #[must_use]
    pub fn of(examination: &Examination) -> Self {
        let count = |severity| examination.lint.iter().filter(|it| it.finding.severity == severity).count() as u64;
        Self {
            errors: count(Severity::Error),
            warnings: count(Severity::Warning) + examination.warnings.len() as u64,
            notes: count(Severity::Note),
        }
    }

    /// The number that a tab shows, in its colour: of what is worst.
    #[must_use]
    pub fn badge(self, palette: &Palette) -> (u64, Color32) {
        match self {
            Self { errors: 1.., .. } => (self.errors, palette.error),
            Self { warnings: 1.., .. } => (self.warnings, palette.warning),
            _ => (self.notes, palette.dim),
        }
    }

    /// In words: "2 errors, 1 note"; "all is well".
    #[must_use]
    pub fn words(self) -> String {
        let parts = [(self.errors, "error"), (self.warnings, "warning"), (self.notes, "note")];
        let parts: Vec<String> = parts
            .into_iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, word)| format!("{count} {word}{}", if count == 1 { "" } else { "s" }))
            .collect();
        if parts.is_empty() { "all is well".to_owned() } else { parts.join(", ") }
    }
}

/// The word, the icon and the colour of a severity.
#[must_use]
pub fn look(severity: Severity, palette: &Palette) -> (&'static str, Icon, Color32) {
    match severity {
        Severity::Error => ("Errors", Icon::CircleX, palette.error),
        Severity::Warning => ("Warnings", Icon::TriangleAlert, palette.warning),
        Severity::Note => ("Notes", Icon::Info, palette.dim),
    }
}

/// The rows of what was seen.
#[must_use]
pub fn rows(examination: &Examination) -> Vec<Row> {
    let mut rows = Vec::new();
    for severity in [Severity::Error, Severity::Warning, Severity::Note] {
        let group: Vec<usize> =
            (0..examination.lint.len()).filter(|at| examination.lint[*at].finding.severity == severity).collect();
        let strange = if severity == Severity::Warning { examination.warnings.len() } else { 0 };
        if group.len() + strange == 0 {
            continue;
        }
        rows.push(Row::Group(severity, group.len() + strange));
        rows.extend((0..strange).map(Row::Strange));
        let file = |at: usize| &examination.lint[at].finding.file;
        // Files in the order in which they are first named, so that what was worst there stays first.
        let mut files: Vec<usize> = Vec::new();
        for at in &group {
            if !files.iter().any(|first| file(*first) == file(*at)) {
                files.push(*at);
            }
        }
        for first in files {
            rows.push(Row::File(first));
            rows.extend(group.iter().filter(|at| file(**at) == file(first)).map(|at| Row::Finding(*at)));
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use isoprep::lint::{LintFinding, RuleId};

    use super::*;
    use crate::session::examination::LintView;

    fn finding(severity: Severity, file: &str, line: usize) -> LintView {
        LintView::new(LintFinding {
            rule: RuleId("rule"),
            severity,
            file: file.into(),
            line: Some(line),
            what: "x".to_owned(),
            consequence: String::new(),
            fix: None,
            also: Vec::new(),
        })
    }

    #[test]
    fn findings_are_grouped_by_severity_and_file() {
        let lint = vec![
            finding(Severity::Error, "a", 1),
            finding(Severity::Error, "b", 1),
            finding(Severity::Error, "a", 9),
            finding(Severity::Note, "a", 2),
        ];
        let examination = Examination { lint, warnings: vec!["odd".to_owned()], ..Examination::default() };
        assert_eq!(
            rows(&examination),
            [
                Row::Group(Severity::Error, 3),
                Row::File(0),
                Row::Finding(0),
                Row::Finding(2),
                Row::File(1),
                Row::Finding(1),
                Row::Group(Severity::Warning, 1),
                Row::Strange(0),
                Row::Group(Severity::Note, 1),
                Row::File(3),
                Row::Finding(3),
            ]
        );
        let counts = Counts::of(&examination);
        assert_eq!(counts, Counts { errors: 3, warnings: 1, notes: 1 });
        assert_eq!(counts.words(), "3 errors, 1 warning, 1 note");
        assert_eq!(Counts::default().words(), "all is well");
    }
}
