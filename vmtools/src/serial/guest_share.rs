//! What the guest says of a folder that it was lent: mounted, or why not.

use std::path::Path;

use serde::{Deserialize, Serialize};

/// A folder of the host as the guest sees it, or does not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuestShare {
    /// Its mount tag.
    pub tag: String,
    /// "9p" or "virtiofs".
    pub kind: String,
    /// Where it was to be mounted.
    pub at: String,
    /// "read-only", "overlaid" or "writable".
    pub access: String,
    /// Where an overlaid folder is seen without the guest's own changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub live: Option<String>,
    /// Why it is not mounted; `None` if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<ShareProblem>,
    /// More about the problem.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// Why a guest has not mounted a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ShareProblem {
    /// Its kernel has no driver for this kind, or its modules are not there.
    NoDriver,
    /// Its kernel has no overlay file system.
    NoOverlay,
    /// There is no such device.
    NoDevice,
    /// The place could not be made.
    NoPlace,
    /// The kernel refused for another reason.
    #[serde(other)]
    Refused,
}

impl GuestShare {
    /// Whether a file at `path` in the guest is the host's own.
    #[must_use]
    pub fn covers(&self, path: &str) -> bool {
        self.problem.is_none() && Path::new(path).starts_with(&self.at)
    }

    /// For people: "Live share: mounted by 9p at /root/demo, read-only", or why it is not.
    #[must_use]
    pub fn words(&self) -> String {
        let Self { kind, at, access, .. } = self;
        let why = match self.problem {
            None => {
                let live = self
                    .live
                    .as_ref()
                    .map_or(String::new(), |live| format!(" (without the guest's changes at {live})"));
                return format!("Live share: mounted by {kind} at {at}, {access}{live}");
            }
            Some(ShareProblem::NoDriver) => format!("the guest's kernel has no {kind}"),
            Some(ShareProblem::NoOverlay) => "the guest's kernel has no overlay".to_owned(),
            Some(ShareProblem::NoDevice) => format!("the guest has no {kind} device of the name {}", self.tag),
            Some(ShareProblem::NoPlace) => "its place could not be made".to_owned(),
            Some(ShareProblem::Refused) => "the guest's kernel refused".to_owned(),
        };
        let detail = self.detail.as_ref().map_or(String::new(), |detail| format!(" ({detail})"));
        format!("Live share: not mounted at {at}: {why}{detail}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_guest_says_is_said_again_for_people() {
        let of = |json: &str| serde_json::from_str::<GuestShare>(json).unwrap();
        let base = r#""tag":"repository","kind":"9p","at":"/root/demo","access":"overlaid""#;
        let mounted = of(&format!(r#"{{{base},"live":"/run/cartridge/live/repository"}}"#));
        assert!(mounted.covers("/root/demo") && mounted.covers("/root/demo/a") && !mounted.covers("/root/demo2"));
        assert_eq!(
            mounted.words(),
            "Live share: mounted by 9p at /root/demo, overlaid (without the guest's changes at /run/cartridge/live/repository)"
        );
        let missing = of(&format!(r#"{{{base},"problem":"no-driver","detail":"No such device"}}"#));
        assert!(!missing.covers("/root/demo"));
        assert_eq!(
            missing.words(),
            "Live share: not mounted at /root/demo: the guest's kernel has no 9p (No such device)"
        );
        assert_eq!(of(&format!(r#"{{{base},"problem":"new-in-99"}}"#)).problem, Some(ShareProblem::Refused));
    }
}
