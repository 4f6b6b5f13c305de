//! What the session tells and keeps, without the secrets in it: passwords in addresses and commands, values of what is named a
//! secret, tokens. The serial line is the guest's own, and stays as it is.

use isoprep::{HIDDEN, names_a_secret, redacted};
use serde::Serialize;
use serde_json::Value;

use super::event::{Event, Failure};

/// Hides the secrets in what an event says to people, and in the command that it gives them to be copied.
pub(super) fn event(event: &mut Event) {
    match event {
        Event::Failed { failure: it } | Event::SideFailed { failure: it, .. } => failure(it),
        Event::Examined { failure: Some(it), warnings, .. } => {
            failure(it);
            warnings.iter_mut().for_each(text);
        }
        Event::Examined { warnings, .. } => warnings.iter_mut().for_each(text),
        Event::Noticed { text: it, .. }
        | Event::GuestStarted { command: it, .. }
        | Event::AttachLost { why: it, .. }
        | Event::NotCompared { error: Some(it) } => text(it),
        Event::LayerPlugged { trouble: Some(it), .. } | Event::TestEnded { why: Some(it), .. } => text(it),
        Event::Recovered { what, .. } => what.iter_mut().for_each(text),
        _ => {}
    }
}

fn failure(failure: &mut Failure) {
    text(&mut failure.title);
    text(&mut failure.detail);
    failure.advice.iter_mut().chain(&mut failure.command).for_each(text);
}

fn text(text: &mut String) {
    if let std::borrow::Cow::Owned(hidden) = redacted(text) {
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
            std::borrow::Cow::Owned(hidden) => {
                *it = hidden;
                true
            }
            std::borrow::Cow::Borrowed(_) => false,
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
    use super::*;
    use crate::session::event::Level;

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
        for mut told in [
            Event::Failed { failure: failed.clone() },
            Event::Noticed { level: Level::Info, text: said },
            Event::GuestStarted { pid: 1, command, mute: None },
            Event::Examined { lint: vec![], tree: vec![], warnings: vec![], failure: Some(failed) },
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
