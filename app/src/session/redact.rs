//! What the session tells and keeps, without the secrets in it: passwords in addresses and commands, values of what is named a
//! secret, tokens. The serial line is the guest's own, and stays as it is.

use std::borrow::Cow;

use isoprep::{HIDDEN, Progress, Remaining, names_a_secret, redacted};
use serde::Serialize;
use serde_json::Value;
use vmtools::GuestStatus;

use super::blank::BlankCure;
use super::deploy::DeployEvent;
use super::event::{Event, Failure};
use super::examination::LintView;
use super::onlooker::WatchEnd;

/// Hides the secrets in what an event says to people, and in the command that it gives them to be copied. What is edited or booted as it
/// is told stays: a cartridge's own text, the edit of a finding, the entries of an ISO, addresses of servers that were attached to. So
/// does what the guest itself says.
pub(super) fn event(event: &mut Event) {
    match event {
        Event::Failed { failure: it } | Event::SideFailed { failure: it, .. } => failure(it),
        Event::Examined { lint, warnings, failure: failed, tree: _ } => {
            findings(lint);
            warnings.iter_mut().for_each(text);
            failed.iter_mut().for_each(failure);
        }
        Event::StoppedByLint { lint } => findings(lint),
        Event::Noticed { text: it, .. }
        | Event::Refused { reason: it, .. }
        | Event::FixApplied { says: it, .. }
        | Event::AcceleratorChosen { reason: it, .. }
        | Event::BuildCompared { summary: it, .. }
        | Event::NotCompared { error: Some(it) }
        | Event::AttachBegan { address: it, .. }
        | Event::AttachLost { why: it, .. }
        | Event::GuestChanged { status: GuestStatus::Crashed { how: it } }
        | Event::ScreenBlank { cure: BlankCure::No3d(it), .. }
        | Event::LayerPlugged { trouble: Some(it), .. }
        | Event::TestStepped { step: it, .. }
        | Event::TestEnded { why: Some(it), .. }
        | Event::EjectProgressed { step: it } => text(it),
        Event::GuestStarted { command, mute, .. } => {
            text(command);
            mute.iter_mut().for_each(text);
        }
        Event::BuildProgressed { progress: it, .. } => progress(it),
        Event::MenuRead { view } => view.error.iter_mut().for_each(text),
        Event::DirectChosen { view } => {
            text(&mut view.way);
            text(&mut view.cmdline);
        }
        Event::Attached { view } => {
            text(&mut view.address);
            text(&mut view.name);
        }
        Event::SlotsChanged { slots } => {
            for slot in slots {
                text(&mut slot.depends);
                slot.problem.iter_mut().for_each(text);
                slot.differs.iter_mut().flatten().for_each(|it| text(&mut it.says));
            }
        }
        Event::Ejected { report, .. } => report.untouched.iter_mut().for_each(|it| text(&mut it.reason)),
        Event::EjectHeld { held: all, .. } => held(all),
        Event::Surveyed { surveys } => surveys.iter_mut().for_each(|it| held(&mut it.held)),
        Event::Recovered { what, .. } => what.iter_mut().for_each(text),
        Event::WatchEnded { end: WatchEnd::Gone { why } } => text(why),
        Event::Diagnosed { checks } => {
            for check in checks {
                text(&mut check.found);
                check.fix.iter_mut().for_each(text);
            }
        }
        Event::Deploy(DeployEvent::DisksUnseen { failure: it } | DeployEvent::DeployFailed { failure: it, .. }) => {
            failure(it);
        }
        // No words of others in them, or such as stay. Every event has its place here: one that is new is thought of.
        Event::Deploy(
            DeployEvent::DisksSeen { .. }
            | DeployEvent::DeployBegan { .. }
            | DeployEvent::DeployAdvanced { .. }
            | DeployEvent::DeployEnded { .. },
        )
        | Event::Opened { .. }
        | Event::StateChanged { .. }
        | Event::CartridgeChanged { .. }
        | Event::RecentChanged { .. }
        | Event::Examining
        | Event::NotExamined { .. }
        | Event::ImageBuilt { .. }
        | Event::Comparing
        | Event::NotCompared { error: None }
        | Event::CacheViewed { .. }
        | Event::BootChecking
        | Event::BootChecked { .. }
        | Event::AttachAsks { .. }
        | Event::AttachRecentChanged { .. }
        | Event::AttachBack
        | Event::GuestShowed { .. }
        | Event::GuestChanged { .. }
        | Event::ScreenBlank { .. }
        | Event::ScreenDrawn
        | Event::GuestReported { .. }
        | Event::SourceChanged { .. }
        | Event::SourceUnknown
        | Event::BroughtIn { .. }
        | Event::SlotSaving { .. }
        | Event::SlotAdvanced { .. }
        | Event::SlotSaved { .. }
        | Event::SlotRestored { .. }
        | Event::LayerPlugged { trouble: None, .. }
        | Event::TestBegan { .. }
        | Event::TestEnded { why: None, .. }
        | Event::LiveChanged { .. }
        | Event::PortForwarded { .. }
        | Event::ScreenshotTaken { .. }
        | Event::TextRead { .. }
        | Event::TypingChanged { .. }
        | Event::TypingAdvanced { .. }
        | Event::RecordingStarted { .. }
        | Event::RecordingEnded { .. }
        | Event::EjectAdvanced { .. }
        | Event::InUse { .. }
        // It was told without them where it comes from.
        | Event::Joined { .. }
        | Event::HolderStopped { .. }
        | Event::WatchEnded { end: WatchEnd::LetGo }
        | Event::Closed => {}
    }
}

fn failure(failure: &mut Failure) {
    text(&mut failure.title);
    text(&mut failure.detail);
    failure.advice.iter_mut().chain(&mut failure.command).for_each(text);
}

/// Their edits are written into files as they are.
fn findings(findings: &mut [LintView]) {
    for it in findings {
        text(&mut it.finding.what);
        text(&mut it.finding.consequence);
        it.finding.fix.iter_mut().for_each(|it| text(&mut it.says));
    }
}

fn progress(progress: &mut Progress) {
    match progress {
        Progress::Advanced { what: Some(it), .. }
        | Progress::Warned { text: it, .. }
        | Progress::Line { text: it, .. } => {
            text(it);
        }
        Progress::Way { chosen, .. } => {
            chosen.why_not.iter_mut().for_each(|(_, why)| text(why));
            chosen.with.iter_mut().chain(&mut chosen.but).for_each(text);
        }
        Progress::Planned { .. }
        | Progress::Started { .. }
        | Progress::Advanced { what: None, .. }
        | Progress::Finished { .. } => {}
    }
}

/// Commands of others are shown, with whatever was given to them.
fn held(held: &mut [Remaining]) {
    for it in held {
        text(&mut it.what);
        text(&mut it.why);
        it.advice.iter_mut().for_each(text);
        it.holders.iter_mut().for_each(|holder| text(&mut holder.command));
    }
}

fn text(text: &mut String) {
    if let Cow::Owned(hidden) = redacted(text) {
        *text = hidden;
    }
}

/// A line of JSON without the secrets in it; `None` for what JSON cannot say.
#[must_use]
pub fn json(told: &impl Serialize) -> Option<String> {
    let mut value = serde_json::to_value(told).ok()?;
    if hide(&mut value) { serde_json::to_string(&value).ok() } else { serde_json::to_string(told).ok() }
}

/// Whether something was hidden.
fn hide(value: &mut Value) -> bool {
    match value {
        Value::String(it) => match redacted(it) {
            Cow::Owned(hidden) => {
                *it = hidden;
                true
            }
            Cow::Borrowed(_) => false,
        },
        Value::Array(all) => all.iter_mut().fold(false, |hidden, it| hide(it) | hidden),
        Value::Object(all) => all.iter_mut().fold(false, |hidden, (name, it)| {
            // What is written into a file as it is told.
            if name == "edit" {
                return hidden;
            }
            let named = names_a_secret(name) && it.as_str().is_some_and(|text| !text.is_empty() && text != HIDDEN);
            if named {
                *it = Value::from(HIDDEN);
            }
            named | hide(it) | hidden
        }),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use isoprep::Holder;

    use super::*;
    use crate::session::event::Level;
    use crate::session::state::{Denied, EjectScope};

    #[test]
    fn what_is_told_has_no_password_in_it() {
        let planted = "hunter2planted";
        let said = format!("mmdebstrap failed: https://ann:{planted}@m.net/debian");
        let failed = Failure {
            title: "x".into(),
            detail: said.clone(),
            advice: Some(format!("API_TOKEN={planted} again")),
            command: Some(format!("tool --password {planted} 'deb https://ann:{planted}@m.net x'")),
            pane: None,
            exit_code: 1,
        };
        let command = format!("qemu -object secret,id=a,data={planted}");
        let holder = Holder {
            pid: 7,
            command: format!("tool --password {planted}"),
            how: "open file".into(),
            started: 1,
            ours: false,
            user: None,
            spared: None,
        };
        let held = Remaining {
            path: "/x".into(),
            what: "a mount".into(),
            why: "busy".into(),
            advice: None,
            holders: vec![holder],
        };
        for mut told in [
            Event::Failed { failure: failed.clone() },
            Event::Noticed { level: Level::Info, text: said },
            Event::GuestStarted { pid: 1, command, mute: None },
            Event::Examined { lint: vec![], tree: vec![], warnings: vec![], failure: Some(failed.clone()) },
            Event::Refused { denied: Denied::Busy, reason: format!("API_TOKEN={planted}") },
            Event::AcceleratorChosen { accelerator: "tcg".into(), reason: format!("API_TOKEN={planted}") },
            Event::FixApplied { id: "x".into(), says: format!("Add API_TOKEN={planted}"), file: None },
            Event::EjectHeld { scope: EjectScope::Session, held: vec![held] },
            Event::Deploy(DeployEvent::DeployFailed { failure: failed, touched: true, cancelled: false }),
        ] {
            event(&mut told);
            let shown = format!("{told:?}");
            assert!(!shown.contains(planted) && shown.contains("***"), "{shown}");
        }
    }

    #[test]
    fn json_has_no_password_in_it_and_else_stays_as_it_is() {
        let text = |value: Value| json(&value).unwrap();
        let plain = serde_json::json!({"name": "demo", "at": [1, "http://m.net/x", null], "secret": 3});
        assert_eq!(text(plain.clone()), plain.to_string());
        let told = serde_json::json!({
            "fields": [{"key": "image.mirror", "value": "https://ann:hunter2planted@m.net"}],
            "fix": {"edit": {"value": "{ \"/etc/api_token\" = \"files/api_token\" }"}},
            "env": {"API_TOKEN": "hunter2planted", "OTHER": "API_TOKEN = \"hunter2planted\""},
        });
        let shown = text(told.clone());
        assert!(!shown.contains("hunter2planted"), "{shown}");
        let shown: Value = serde_json::from_str(&shown).unwrap();
        assert_eq!(shown["env"]["API_TOKEN"], "***");
        assert_eq!(shown["fix"], told["fix"], "it is written into a file as it is");
    }
}
