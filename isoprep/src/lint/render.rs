//! Findings as text for a terminal and as one JSON object for machines.

use std::fmt::Write as _;

use serde::Serialize;

use super::finding::{LintFinding, Severity};

/// The version of the JSON object. It grows when a field changes its meaning or goes.
pub const JSON_VERSION: u32 = 1;

/// How many findings there are of each severity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Errors.
    pub errors: usize,
    /// Warnings.
    pub warnings: usize,
    /// Notes.
    pub notes: usize,
}

impl Counts {
    /// Counts findings.
    #[must_use]
    pub fn of(findings: &[LintFinding]) -> Self {
        let count = |severity| findings.iter().filter(|finding| finding.severity == severity).count();
        Self { errors: count(Severity::Error), warnings: count(Severity::Warning), notes: count(Severity::Note) }
    }
}

/// The findings grouped by severity and by file, each with its line, what will happen and what mends it. Control
/// characters of the profile are shown, not sent to the terminal. `colour` adds ANSI colours.
#[must_use]
pub fn render_text(findings: &[LintFinding], colour: bool) -> String {
    let paint =
        |code: &str, text: &str| if colour { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() };
    if findings.is_empty() {
        return "Nothing to say.\n".to_owned();
    }
    let mut text = String::new();
    for (severity, code, one, many) in [
        (Severity::Error, "1;31", "error", "errors"),
        (Severity::Warning, "1;33", "warning", "warnings"),
        (Severity::Note, "1;34", "note", "notes"),
    ] {
        let group: Vec<&LintFinding> = findings.iter().filter(|finding| finding.severity == severity).collect();
        if group.is_empty() {
            continue;
        }
        let title = format!("{} {}", group.len(), if group.len() == 1 { one } else { many });
        let _ = writeln!(text, "{}", paint(code, &title));
        let mut file = None;
        for finding in group {
            if file != Some(&finding.file) {
                let _ = writeln!(text, "\n  {}", paint("1", &shown(&finding.file.display().to_string())));
                file = Some(&finding.file);
            }
            let line = finding.line.map_or(String::new(), |line| line.to_string());
            let rule = paint("2", &format!("[{}]", finding.rule));
            let _ = writeln!(text, "  {line:>5}  {} {rule}", shown(&finding.what));
            let _ = writeln!(text, "         {}", shown(&finding.consequence));
            if !finding.also.is_empty() {
                let also: Vec<String> = finding.also.iter().map(ToString::to_string).collect();
                let _ = writeln!(text, "         Also: {}", shown(&also.join(", ")));
            }
            if let Some(fix) = &finding.fix {
                let asks = if fix.edit.asks() { " (changes the repository)" } else { "" };
                let _ = writeln!(text, "         {} {}{asks}", paint("32", "Fix:"), shown(&fix.says));
            }
        }
        text.push('\n');
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

/// Text without control characters that a terminal would obey.
fn shown(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// The findings as one JSON object with a `version`, a count of each severity, and the findings.
#[must_use]
pub fn render_json(findings: &[LintFinding]) -> String {
    #[derive(Serialize)]
    struct Report<'a> {
        version: u32,
        #[serde(flatten)]
        counts: Counts,
        findings: &'a [LintFinding],
    }
    let report = Report { version: JSON_VERSION, counts: Counts::of(findings), findings };
    // Strings, numbers and lists of them: there is nothing in it that JSON could not say.
    serde_json::to_string(&report).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::super::edit::Edit;
    use super::super::finding::{Place, RuleId};
    use super::*;

    fn findings() -> Vec<LintFinding> {
        let place = |file: &str, line| Place { file: PathBuf::from(file), line };
        let error = LintFinding::error(place("a/conf", Some(12)), "HOOKS has plymouth\u{1b}[2J.", "It is gone.")
            .fixed_by(
                "Add plymouth to image.packages",
                Some(Edit::AddToCartridgeList { key: "image.packages".into(), value: "plymouth".into() }),
            )
            .seen_at([place("b", Some(3))]);
        let note = LintFinding::note(place("list", None), "linux is listed twice.", "Nothing happens.")
            .fixed_by("Remove the line", Some(Edit::RemoveLine { file: "list".into(), line: 2, old: "linux".into() }));
        vec![
            LintFinding { rule: RuleId("hook-without-package"), ..error },
            LintFinding { rule: RuleId("package-twice"), ..note },
        ]
    }

    #[test]
    fn text_is_grouped_and_control_characters_are_harmless() {
        assert_eq!(
            render_text(&findings(), false),
            [
                "1 error",
                "",
                "  a/conf",
                "     12  HOOKS has plymouth\u{fffd}[2J. [hook-without-package]",
                "         It is gone.",
                "         Also: b:3",
                "         Fix: Add plymouth to image.packages",
                "",
                "1 note",
                "",
                "  list",
                "         linux is listed twice. [package-twice]",
                "         Nothing happens.",
                "         Fix: Remove the line (changes the repository)",
                "",
            ]
            .join("\n")
        );
        assert!(render_text(&findings(), true).contains("\u{1b}[1;31m1 error\u{1b}[0m"));
        assert_eq!(render_text(&[], true), "Nothing to say.\n");
    }

    #[test]
    fn json_is_one_versioned_object() {
        let json: serde_json::Value = serde_json::from_str(&render_json(&findings())).unwrap();
        assert_eq!(json["version"], 1);
        assert_eq!((&json["errors"], &json["warnings"], &json["notes"]), (&1.into(), &0.into(), &1.into()));
        assert_eq!(json["findings"][0]["rule"], "hook-without-package");
        assert_eq!(json["findings"][0]["severity"], "error");
        assert_eq!(json["findings"][0]["fix"]["edit"]["kind"], "add-to-cartridge-list");
        assert_eq!(json["findings"][0]["also"][0]["line"], 3);
        assert_eq!(json["findings"][1]["line"], serde_json::Value::Null);
    }
}
