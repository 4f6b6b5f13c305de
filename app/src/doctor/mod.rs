//! Checks of the host.

/// One check.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Check {
    /// What is needed.
    pub name: String,
    /// Whether it is there.
    pub status: Status,
    /// What was found.
    pub found: String,
    /// What it is needed for.
    pub why: String,
    /// A command to copy that mends it.
    pub fix: Option<String>,
}

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It is there.
    Good,
    /// It works, but not as well as it could.
    Warning,
    /// It is missing, and something will not work.
    Missing,
}
