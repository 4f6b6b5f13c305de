//! What is wrong with a recipe: where, what, and what to do about it.

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

use super::open::FILE_NAME;

/// One thing that is wrong with a `cartridge.toml` or with the disk that it describes.
///
/// Displays as `cartridge.toml:3:1: guest.cpuz: unknown key; did you mean cpus?`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The line, from 1; `None` when it is about the disk or about the whole file.
    pub line: Option<usize>,
    /// The column in characters, from 1.
    pub column: Option<usize>,
    /// The field, as in [`FIELDS`](super::FIELDS), with the entry's name for lists and maps; empty for syntax errors.
    pub key: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it; may be empty.
    pub advice: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(FILE_NAME)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
            if let Some(column) = self.column {
                write!(f, ":{column}")?;
            }
        }
        if !self.key.is_empty() {
            write!(f, ": {}", self.key)?;
        }
        write!(f, ": {}", self.message)?;
        if !self.advice.is_empty() {
            write!(f, "; {}", self.advice)?;
        }
        Ok(())
    }
}

/// A recipe that cannot be used, with everything that is wrong with it in the order of the file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize)]
#[error("{} cannot be used:\n{}", file.display(), render(findings))]
pub struct RecipeError {
    /// The file that was read.
    pub file: PathBuf,
    /// Everything that is wrong; never empty.
    pub findings: Vec<Finding>,
}

fn render(findings: &[Finding]) -> String {
    findings.iter().map(|finding| format!("  {finding}")).collect::<Vec<_>>().join("\n")
}

/// The line and column, both from 1, of the byte `offset` in `text`. Columns count characters.
pub(super) fn position(text: &str, offset: usize) -> (usize, usize) {
    let mut end = offset.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let before = &text[..end];
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let line = before.bytes().filter(|&byte| byte == b'\n').count() + 1;
    (line, before[start..].trim_start_matches('\u{feff}').chars().count() + 1)
}

/// Gives findings about the disk (from [`check`](super::check())) the place in `text` where their field is set, so that
/// they can be shown beside it. Findings that have a line, and fields that `text` does not set, are left as they are.
#[must_use]
pub fn locate(text: &str, findings: Vec<Finding>) -> Vec<Finding> {
    let (entries, _) = super::reader::entries(text);
    let place = |mut finding: Finding| {
        if finding.line.is_none()
            && let Some(entry) = entries.iter().find(|entry| entry.key == finding.key)
        {
            let (line, column) = position(text, entry.value_at);
            (finding.line, finding.column) = (Some(line), Some(column));
        }
        finding
    };
    findings.into_iter().map(place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_characters_from_one_and_never_split_one() {
        let text = "\u{feff}a = 1\nüü = 2\n";
        assert_eq!(position(text, 0), (1, 1));
        assert_eq!(position(text, 3), (1, 1));
        assert_eq!(position(text, 7), (1, 5));
        assert_eq!(position(text, text.find("= 2").unwrap()), (2, 4));
        assert_eq!(position(text, text.find('ü').unwrap() + 1), (2, 1));
        assert_eq!(position(text, 999), (3, 1));
    }
}
