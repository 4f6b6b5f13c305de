//! How quickly a stage of a build goes on, and how long it still takes. Pure: the clock is handed in.

use serde::Serialize;

/// A stage's pace at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Pace {
    /// How much is done in a second, in the unit of its progress, where that is known.
    pub per_second: Option<f64>,
    /// How long the stage still takes, milliseconds, where that can be said.
    pub left_ms: Option<u64>,
}
