//! What is known of an eject: how far it is, and what the last one left.

use std::path::PathBuf;

use isoprep::contents::show::size;
use isoprep::{Holder, Remaining, Removed};
use serde::{Deserialize, Serialize};

use super::Model;
use crate::session::event::Event;
use crate::session::sentence::number;
use crate::session::state::EjectScope;

/// How far the removal of an eject is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removing {
    /// The directory that is being removed.
    pub path: PathBuf,
    /// What is gone so far.
    pub removed: Removed,
    /// How many entries there are in all, where that is known.
    #[serde(default)]
    pub total: Option<u64>,
}

impl Removing {
    /// How far it is, in words that a path follows: "12000 of 90000 files, 3.1 GiB removed from".
    #[must_use]
    pub fn words(&self) -> String {
        let Removed { files, bytes } = self.removed;
        match self.total {
            _ if files == 0 => "Waiting for what uses".to_owned(),
            Some(total) => format!("{files} of {}, {} removed from", number(total, "file", "files"), size(bytes)),
            None => format!("{}, {} removed from", number(files, "file", "files"), size(bytes)),
        }
    }

    /// How much of it is done, from 0 to 1, where that is known.
    #[must_use]
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "a bar of some pixels")]
    pub fn share(&self) -> Option<f32> {
        let total = self.total.filter(|total| *total > 0)?;
        Some((self.removed.files as f64 / total as f64).clamp(0.0, 1.0) as f32)
    }
}

/// What an eject left, although it was to go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unfinished {
    /// How much it was to remove.
    pub scope: EjectScope,
    /// What is left because the removal was stopped.
    pub left: Vec<PathBuf>,
    /// What others use, and who they are.
    pub held: Vec<Remaining>,
}

impl Unfinished {
    /// Those that may be ended if the user agrees, each once.
    #[must_use]
    pub fn endable(&self) -> Vec<Holder> {
        endable(&self.held)
    }
}

/// Those of the holders that may be ended if the user agrees, each once.
pub(crate) fn endable(held: &[Remaining]) -> Vec<Holder> {
    let mut found: Vec<Holder> = Vec::new();
    for holder in held.iter().flat_map(|it| &it.holders).filter(|it| it.spared.is_none()) {
        if !found.iter().any(|it| (it.pid, it.started) == (holder.pid, holder.started)) {
            found.push(holder.clone());
        }
    }
    found
}

impl Model {
    pub(super) fn fold_eject(&mut self, event: &Event) {
        match event {
            Event::EjectProgressed { step } => self.eject_step = Some(step.clone()),
            Event::EjectAdvanced { path, removed, total } => {
                self.removing = Some(Removing { path: path.clone(), removed: *removed, total: *total });
            }
            Event::Ejected { report, scope, left, .. } => {
                (self.eject_step, self.removing, self.survey) = (None, None, None);
                self.ejected = Some(report.clone());
                let unfinished = Unfinished { scope: *scope, left: left.clone(), held: Vec::new() };
                self.unfinished = (!left.is_empty()).then_some(unfinished);
                if let Some(guest) = &mut self.guest {
                    guest.ended = true;
                }
            }
            Event::EjectHeld { scope, held } => {
                let left = self.unfinished.take().map(|it| it.left).unwrap_or_default();
                self.unfinished = Some(Unfinished { scope: *scope, left, held: held.clone() });
            }
            _ => {}
        }
    }
}
