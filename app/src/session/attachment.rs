//! A VNC server of somebody else's in place of a guest, as it is asked for and as front ends show it. Pure; `jobs/attach` does
//! it.

use serde::{Deserialize, Serialize};
use vmtools::attach::{Password, Place, Want};
use vmtools::display::rfb::Fingerprint;

/// What a front end asks to attach to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttachWish {
    /// Where it is.
    pub place: Place,
    /// What it is told if it asks for a password.
    pub password: Option<Password>,
    /// A certificate that the user has compared: it is remembered, in place of one that was known.
    pub trust: Option<Fingerprint>,
}

impl AttachWish {
    /// The server alone.
    #[must_use]
    pub fn of(place: Place) -> Self {
        Self { place, password: None, trust: None }
    }
}

/// A server that is attached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttachedView {
    /// Where it is, as it can be attached to again.
    pub address: String,
    /// The host that ssh reaches it from, if it does.
    pub ssh: Option<String>,
    /// What it calls itself.
    pub name: String,
    /// Whether it has proven who it is by its certificate, inside TLS.
    pub tls: bool,
    /// Whether it is on this machine, or on the one that ssh reaches, where nobody is in between.
    pub local: bool,
}

impl AttachedView {
    /// Who could read along, for people.
    #[must_use]
    pub fn secrecy(&self) -> &'static str {
        match (self.ssh.is_some(), self.tls, self.local) {
            (true, _, true) => "Inside ssh: nobody in between reads along.",
            (_, true, _) => "Inside TLS, with the certificate that you trust: nobody in between reads along.",
            (.., true) => "On this machine.",
            (true, ..) => {
                "Inside ssh, but not encrypted from the host that ssh reaches to the server: whoever is in between there sees the \
                 screen and what is typed."
            }
            _ => "Not encrypted: whoever is in between sees the screen and what is typed. ssh or TLS would hide it.",
        }
    }

    /// Whether nobody in between can read along.
    #[must_use]
    pub fn is_secret(&self) -> bool {
        self.tls || self.local
    }
}

/// What the server wants that the user could give: with it the next attempt may succeed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum AttachWant {
    /// A password.
    Password {
        /// There was one, and it was the wrong one.
        wrong: bool,
    },
    /// The name of a user of the server.
    User,
    /// Whether this certificate is the server's.
    Trust {
        /// Its SHA-256 fingerprint, as openssl shows it.
        fingerprint: String,
        /// The server had another one before.
        changed: bool,
    },
}

impl From<Want> for AttachWant {
    fn from(want: Want) -> Self {
        match want {
            Want::Password { wrong } => Self::Password { wrong },
            Want::User => Self::User,
            Want::Trust { fingerprint, changed } => Self::Trust { fingerprint: fingerprint.to_string(), changed },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_shows_no_password_and_who_reads_along_is_said() {
        let place = Place::parse("box:1").unwrap();
        let wish = AttachWish { password: Some(Password::new("hunter2".into())), ..AttachWish::of(place) };
        assert!(!format!("{wish:?}").contains("hunter2"));
        let view = |ssh: Option<&str>, tls, local| AttachedView {
            address: "box:5901".into(),
            ssh: ssh.map(str::to_owned),
            name: String::new(),
            tls,
            local,
        };
        assert!(
            !view(None, false, false).is_secret() && view(None, false, false).secrecy().starts_with("Not encrypted")
        );
        let beyond = view(Some("box"), false, false);
        assert!(!beyond.is_secret() && beyond.secrecy().starts_with("Inside ssh, but not encrypted"));
        for secret in [view(Some("box"), false, true), view(None, true, false), view(None, false, true)] {
            assert!(secret.is_secret() && !secret.secrecy().starts_with("Not"));
        }
    }
}
