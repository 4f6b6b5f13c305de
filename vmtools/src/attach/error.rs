//! Why a server is not attached, or not any more; and what of it somebody could mend by an answer.

use std::time::Duration;

use super::{KnownError, TunnelError};
use crate::display::rfb::{Fingerprint, RfbError};

/// A server was not attached to, or is gone.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    /// There is no way to it.
    #[error(transparent)]
    Tunnel(#[from] TunnelError),
    /// ssh got there, and the server was not there.
    #[error(
        "ssh reaches {ssh}, but from there nobody answers at {at}: {why}. Is the VNC server running, and is its address right as \
         seen from there?"
    )]
    Far {
        /// The host that ssh reaches.
        ssh: String,
        /// The address, as seen from there.
        at: String,
        /// What ssh says: "connect failed: Connection refused".
        why: String,
    },
    /// ssh is there, and takes no connection.
    #[error(
        "ssh to {ssh} takes no connection to {at}: {why}. It may just have ended, or be stopped. Attach again, and look at what ssh says"
    )]
    NoWay {
        /// The host that ssh reaches.
        ssh: String,
        /// The address, as seen from there.
        at: String,
        /// What the system said.
        why: String,
    },
    /// Nobody answers.
    #[error("nobody answers at {at}: {why}. Is the VNC server running, and are its address and its port right?")]
    Silent {
        /// The address.
        at: String,
        /// What the system said.
        why: String,
    },
    /// The server lets nobody in, or is none.
    #[error(transparent)]
    Server(RfbError),
    /// It went and did not come back.
    #[error("the VNC server at {at} was lost, and did not come back for good within {} s: {why}", limit.as_secs())]
    Gone {
        /// Where it was.
        at: String,
        /// How long it was tried again.
        limit: Duration,
        /// What was met last.
        why: String,
    },
    /// What is known of certificates cannot be read.
    #[error(transparent)]
    Known(#[from] KnownError),
}

/// What somebody could answer, so that the next attempt succeeds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Want {
    /// A password.
    Password {
        /// There was one, and it was the wrong one.
        wrong: bool,
    },
    /// The name of a user of the server.
    User,
    /// Whether this certificate is the server's.
    Trust {
        /// Its fingerprint.
        fingerprint: Fingerprint,
        /// The server had another one before.
        changed: bool,
    },
}

impl AttachError {
    /// What would mend it.
    #[must_use]
    pub fn want(&self) -> Option<Want> {
        let Self::Server(error) = self else { return None };
        Some(match error {
            RfbError::PasswordWanted => Want::Password { wrong: false },
            RfbError::PasswordWrong { .. } => Want::Password { wrong: true },
            RfbError::UserWanted => Want::User,
            RfbError::CertificateUnknown { fingerprint } => Want::Trust { fingerprint: *fingerprint, changed: false },
            RfbError::CertificateWrong { fingerprint, .. } => Want::Trust { fingerprint: *fingerprint, changed: true },
            _ => return None,
        })
    }
}

/// Whether connecting again meets the same.
pub(super) fn stays(error: &RfbError) -> bool {
    match error {
        RfbError::NotRfb { .. }
        | RfbError::Security { .. }
        | RfbError::NoTls { .. }
        | RfbError::Anonymous { .. }
        | RfbError::Ways { .. }
        | RfbError::CertificateUnknown { .. }
        | RfbError::CertificateWrong { .. }
        | RfbError::Authority { .. }
        | RfbError::UserWanted
        | RfbError::PasswordWanted
        | RfbError::PasswordWrong { .. }
        | RfbError::TooLarge { .. } => true,
        RfbError::Connect { .. }
        | RfbError::Refused { .. }
        | RfbError::Tls { .. }
        | RfbError::Stalled { .. }
        | RfbError::TooSlow { .. }
        | RfbError::Unanswered { .. }
        | RfbError::NotLetIn { .. }
        | RfbError::Closed { .. }
        | RfbError::Io { .. }
        | RfbError::Garbage { .. } => false,
    }
}
