//! A VNC server of somebody else's, shown as a guest is: by its address, or through ssh, with a password or a certificate.
//!
//! [`attach`] opens the way, logs in once and keeps that connection; from then on a task tells what happens as
//! [`AttachEvent`]s, and [`Attached`] takes input. A server that goes is tried again for a while; one that does not come back,
//! or does not let us in any more, is told by [`AttachEvent::Ended`]. What is on its screen lives on without us.

mod attached;
mod error;
mod known;
mod place;
mod reason;
mod tunnel;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

pub use attached::{Attached, attach};
pub use error::{AttachError, Want};
pub use known::{KnownError, KnownServers};
pub use place::{Place, PlaceError, SshHost};
pub use reason::TunnelError;

use crate::display::rfb::Fingerprint;

/// For how long a server that has gone is tried again.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// For how long a server may let us wait until we are in: its user may be asked, who has to see that first.
pub const LOGIN: Duration = Duration::from_secs(60);

/// Everything that is needed to attach to a server.
#[derive(Clone, Debug)]
pub struct AttachPlan {
    /// Where it is.
    pub place: Place,
    /// What it is told if it asks for a password.
    pub password: Option<Password>,
    /// The certificate that it must have; without one none is asked for, and one that it shows is not believed.
    pub fingerprint: Option<Fingerprint>,
    /// A private directory for the way through ssh, as [`RuntimeDir`](crate::machine::RuntimeDir) makes it.
    pub runtime: PathBuf,
    /// The program: `ssh`, looked up in `PATH` unless it has a slash.
    pub ssh: PathBuf,
    /// For how long a server that has gone is tried again: [`PATIENCE`].
    pub patience: Duration,
    /// For how long the server may let us wait until we are in: [`LOGIN`].
    pub login: Duration,
}

impl AttachPlan {
    /// A plan with nothing known but the place.
    #[must_use]
    pub fn new(place: Place, runtime: PathBuf) -> Self {
        let (password, fingerprint) = (None, None);
        Self { place, password, fingerprint, runtime, ssh: "ssh".into(), patience: PATIENCE, login: LOGIN }
    }
}

/// A password, which is shown to nobody.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(String);

impl Password {
    /// This one.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The first line of a file's text, without its end; `None` where that is empty.
    #[must_use]
    pub fn first_line(text: &str) -> Option<Self> {
        text.lines().next().filter(|line| !line.is_empty()).map(|line| Self(line.to_owned()))
    }

    pub(crate) fn text(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password")
    }
}

/// What happens to a server that is attached; [`AttachEvent::Ended`] is the last.
#[derive(Debug)]
pub enum AttachEvent {
    /// What ssh says, raw.
    Said(Vec<u8>),
    /// The server is reached, and has not let us in yet: its user may be asked.
    Waiting,
    /// The connection is lost, and tried again.
    Lost {
        /// Why, in words.
        why: String,
    },
    /// It is there again.
    Back,
    /// It is over, and was not asked to be.
    Ended(AttachError),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_the_first_line_of_its_file_and_shown_to_nobody() {
        let password = Password::first_line("se cret\r\nmore\n").unwrap();
        assert_eq!((password.text(), format!("{password:?}").as_str()), ("se cret", "Password"));
        assert_eq!((Password::first_line(""), Password::first_line("\nx")), (None, None));
    }
}
