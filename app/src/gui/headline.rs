//! The session's state in one word and one tone: the pill in the top bar, the dot everywhere.

use egui::Color32;
use vmtools::GuestStatus;

use super::theme::Palette;
use super::words;
use crate::session::Model;
use crate::session::onlooker::WatchEnd;
use crate::session::state::{Outcome, Phase};

/// How a state feels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// Nothing happens.
    Calm,
    /// Work is under way.
    Busy,
    /// The guest is up, or something went well.
    Good,
    /// The user should look.
    Warning,
    /// Something failed.
    Bad,
}

impl Tone {
    /// The colour of the dot.
    #[must_use]
    pub fn colour(self, palette: &Palette) -> Color32 {
        match self {
            Self::Calm => palette.dim,
            Self::Busy => palette.accent,
            Self::Good => palette.success,
            Self::Warning => palette.warning,
            Self::Bad => palette.error,
        }
    }
}

/// What an eject is doing.
pub(super) fn ejecting(model: &Model) -> String {
    match (&model.removing, &model.eject_step) {
        (Some(removing), _) => format!("{} {}", removing.words(), words::path(&removing.path)),
        (None, Some(step)) => step.clone(),
        (None, None) => "Ending the guest and removing this session's work".to_owned(),
    }
}

/// The word and the tone of the state.
#[must_use]
pub fn headline(model: &Model) -> (&'static str, Tone) {
    // What it was is not what it is.
    if model.watched.as_ref().is_some_and(|watched| matches!(watched.ended, Some(WatchEnd::Gone { .. }))) {
        return ("Not seen", Tone::Warning);
    }
    if model.attaches() {
        return attaching(model);
    }
    match model.state.phase {
        Phase::Preparing => ("Preparing", Tone::Busy),
        Phase::Building => ("Building", Tone::Busy),
        Phase::Booting => match guest(model) {
            Some(GuestStatus::Rebooting) => ("Rebooting", Tone::Busy),
            Some(GuestStatus::Unresponsive) => ("QEMU does not answer", Tone::Bad),
            _ => ("Booting", Tone::Busy),
        },
        Phase::Running => match guest(model) {
            Some(GuestStatus::Paused) => ("Paused", Tone::Warning),
            Some(GuestStatus::Rebooting) => ("Rebooting", Tone::Busy),
            Some(GuestStatus::Unresponsive) => ("QEMU does not answer", Tone::Bad),
            Some(GuestStatus::PoweredOff) => ("Powered off", Tone::Calm),
            Some(GuestStatus::Panicked) => ("Panicked", Tone::Bad),
            Some(GuestStatus::Crashed { .. }) => ("Crashed", Tone::Bad),
            _ if model.guest.as_ref().is_some_and(|guest| guest.reset) => ("Booting again", Tone::Busy),
            _ => ("Running", Tone::Good),
        },
        Phase::Ejecting => ("Ejecting", Tone::Busy),
        Phase::Idle => idle(model),
    }
}

/// The same of a VNC server of somebody else's.
fn attaching(model: &Model) -> (&'static str, Tone) {
    let lost = model.attach.as_ref().is_some_and(|attach| attach.lost.is_some());
    match model.state.phase {
        Phase::Running if lost => ("Connection lost", Tone::Warning),
        Phase::Running => ("Attached", Tone::Good),
        Phase::Ejecting => ("Disconnecting", Tone::Busy),
        _ => ("Connecting", Tone::Busy),
    }
}

fn idle(model: &Model) -> (&'static str, Tone) {
    if model.unfinished.is_some() {
        return ("Not all ejected", Tone::Warning);
    }
    match model.state.outcome {
        Some(Outcome::Built) => ("Built", Tone::Good),
        Some(Outcome::Ejected) if model.attach.is_some() => ("Disconnected", Tone::Calm),
        Some(Outcome::Ejected) => ("Ejected", Tone::Calm),
        Some(Outcome::Cancelled) => ("Cancelled", Tone::Calm),
        Some(Outcome::Failed) if model.mended() => ("Ready", Tone::Calm),
        Some(Outcome::Failed) => ("Failed", Tone::Bad),
        Some(Outcome::GuestEnded) => match guest(model) {
            Some(GuestStatus::Panicked) => ("Panicked", Tone::Bad),
            Some(GuestStatus::Crashed { .. }) => ("Crashed", Tone::Bad),
            _ => ("Powered off", Tone::Calm),
        },
        None if model.cartridge.is_none() => ("Empty", Tone::Calm),
        None if !model.state.inserted => ("Has errors", Tone::Warning),
        None => ("Ready", Tone::Calm),
    }
}

fn guest(model: &Model) -> Option<&GuestStatus> {
    model.guest.as_ref().map(|guest| &guest.status)
}

/// Whether something runs whose elapsed time is worth watching.
#[must_use]
pub fn ticking(model: &Model) -> bool {
    let works = matches!(model.state.phase, Phase::Preparing | Phase::Building | Phase::Booting | Phase::Ejecting);
    let seen = model.watched.as_ref().is_none_or(|watched| watched.ended.is_none());
    seen && (works || model.checking_since_ms.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::state::State;

    #[test]
    fn every_state_has_its_word() {
        let at = |phase, outcome, inserted| {
            headline(&Model { state: State { phase, outcome, inserted, ..State::default() }, ..Model::default() }).0
        };
        assert_eq!(at(Phase::Idle, None, false), "Empty");
        assert_eq!(at(Phase::Building, None, true), "Building");
        assert_eq!(at(Phase::Idle, Some(Outcome::Failed), true), "Failed");
        assert_eq!(at(Phase::Idle, Some(Outcome::GuestEnded), true), "Powered off");
        assert_eq!(at(Phase::Running, None, true), "Running");
    }
}
