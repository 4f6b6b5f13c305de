//! What can go wrong with a VNC server, in words: what happened and what to do.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::tls::Fingerprint;

/// The connection to a VNC server came to nothing, or ended.
#[derive(Debug, thiserror::Error)]
pub enum RfbError {
    /// Nobody listens there.
    #[error("no display answers at {to}: {source}. Is the guest running, and is the address right?")]
    Connect {
        /// The socket or address.
        to: String,
        /// What the system said.
        source: io::Error,
    },
    /// It speaks another protocol.
    #[error("what answers is no VNC server: it began with {greeting:?}. Check the address and the port")]
    NotRfb {
        /// Its first bytes.
        greeting: String,
    },
    /// The server does not want us.
    #[error("the VNC server refused the connection: {reason}")]
    Refused {
        /// Its reason.
        reason: String,
    },
    /// No way to log in that we know.
    #[error(
        "the VNC server wants a way to log in that is not known here (it offers {offered:?}; known are 1, none, 2, \
         password, and 19, TLS with a certificate). Turn on one of these in the server, or reach it through an ssh tunnel"
    )]
    Security {
        /// The security types that it offers (RFC 6143, 7.1.2).
        offered: Vec<u8>,
    },
    /// It has no TLS, and a certificate was to be believed.
    #[error(
        "the VNC server does not prove who it is: a certificate of its was to be checked, and it offers no TLS (VeNCrypt, 19; it \
         offers {offered:?}). Turn TLS on in the server, or connect without a certificate if nobody can be in between"
    )]
    NoTls {
        /// The security types that it offers.
        offered: Vec<u8>,
    },
    /// TLS without a certificate.
    #[error(
        "the VNC server has TLS without a certificate alone (VeNCrypt {offered:?}), where nobody knows who answers. Give it a \
         certificate (X509None, X509Vnc or X509Plain), or reach it through an ssh tunnel without TLS"
    )]
    Anonymous {
        /// The ways of VeNCrypt that it offers.
        offered: Vec<u32>,
    },
    /// No way of VeNCrypt that we know.
    #[error(
        "the VNC server has no way to log in with a certificate that is known here (VeNCrypt offers {offered:?}; known are 260, \
         261 and 262, X509None, X509Vnc and X509Plain). Turn on one of these in the server, or reach it through an ssh tunnel"
    )]
    Ways {
        /// The ways of VeNCrypt that it offers.
        offered: Vec<u32>,
    },
    /// Nobody has said which certificate to believe.
    #[error(
        "the VNC server shows a certificate that is not trusted yet, with the SHA-256 fingerprint\n  {fingerprint}\nCompare it \
         with the server's own (openssl x509 -noout -fingerprint -sha256 -in CERTIFICATE), and trust it if both are the same"
    )]
    CertificateUnknown {
        /// The certificate's.
        fingerprint: Fingerprint,
    },
    /// Another certificate than the one to be believed.
    #[error(
        "the VNC server's certificate, with the SHA-256 fingerprint\n  {fingerprint}\nis not to be trusted: {why}\nIf the server \
         has a new certificate, compare this one with it; else somebody is in between, and the password was not sent"
    )]
    CertificateWrong {
        /// The certificate's.
        fingerprint: Fingerprint,
        /// What is wrong with it.
        why: String,
    },
    /// The file of certificates that are to be believed is of no use.
    #[error("the certificates in {} cannot be used: {why}. Name a PEM file with the authority's certificate", file.display())]
    Authority {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// TLS came to nothing.
    #[error("TLS with the VNC server came to nothing: {what}. Look at the server's own messages")]
    Tls {
        /// What is wrong.
        what: String,
    },
    /// It wants a user and there is none.
    #[error("the VNC server wants the name of a user, and none was given: give one")]
    UserWanted,
    /// It wants a password and there is none.
    #[error("the VNC server wants a password, and none was given: give one")]
    PasswordWanted,
    /// The password is wrong.
    #[error("the VNC server did not take the password ({reason}): check it; only its first 8 bytes count")]
    PasswordWrong {
        /// Its reason.
        reason: String,
    },
    /// It does not go on.
    #[error("the VNC server said nothing more for {} s while {doing}: it may hang; try again", limit.as_secs())]
    Stalled {
        /// What was being done.
        doing: &'static str,
        /// How long we waited.
        limit: Duration,
    },
    /// It goes on, but leads nowhere.
    #[error(
        "the VNC server says less than {} bytes a second while {doing}: a picture would take for ever. Look at its machine and at the \
         network on the way to it, and connect again",
        super::wire::SLOWEST
    )]
    TooSlow {
        /// What was being done.
        doing: &'static str,
    },
    /// Nobody is there any more.
    #[error(
        "the VNC server has not answered for {} s: it hangs, or it or the network on the way to it is gone. Look at its machine, and \
         connect again", limit.as_secs()
    )]
    Unanswered {
        /// How long it was waited for.
        limit: Duration,
    },
    /// It does not let us in, and does not say no.
    #[error(
        "the VNC server has not let us in within {} s: its user may be asked whether it may, or it hangs. Look at its screen, and try \
         again", limit.as_secs()
    )]
    NotLetIn {
        /// How long it was waited for.
        limit: Duration,
    },
    /// It hung up.
    #[error("the VNC server closed the connection while {doing}: look at its own messages, and connect again")]
    Closed {
        /// What was being done.
        doing: &'static str,
    },
    /// The connection broke.
    #[error("the connection to the VNC server broke while {doing}: {source}. Connect again")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The screen is larger than what is accepted.
    #[error(
        "a screen of {width}x{height} pixels cannot be shown: from 1 to 16384 in each direction can, and 33,177,600 in all \
         (7680x4320). Choose another size in the guest"
    )]
    TooLarge {
        /// Width that the server claims, pixels.
        width: usize,
        /// Height that the server claims, pixels.
        height: usize,
    },
    /// It sends what no server may send.
    #[error(
        "the VNC server sends garbage ({what}): the picture would be wrong. Connect again; if it comes back, report it"
    )]
    Garbage {
        /// What is wrong.
        what: String,
    },
}

impl RfbError {
    pub(super) fn garbage(what: impl Into<String>) -> Self {
        Self::Garbage { what: what.into() }
    }

    /// Why there will be no picture, for people, where connecting again would not help.
    pub(super) fn trouble(&self) -> Option<&'static str> {
        match self {
            Self::TooLarge { .. } => Some(
                "The guest's screen cannot be shown: it has no pixels, more than 16384 in a direction, or more than 33,177,600 in all \
                 (7680x4320). Choose another size in the guest.",
            ),
            Self::NotRfb { .. } => {
                Some("What answers in place of the guest's screen is no VNC server. Check the address.")
            }
            Self::Security { .. } => Some(
                "The guest's screen cannot be shown: its VNC server wants a way to log in that is not known here. Turn on \
                 none or password in the server.",
            ),
            Self::NoTls { .. } | Self::Anonymous { .. } | Self::Ways { .. } => Some(
                "The guest's screen cannot be shown: its VNC server has no TLS with a certificate. Turn it on in the server, or \
                 use an ssh tunnel.",
            ),
            Self::CertificateUnknown { .. } => {
                Some("The guest's screen cannot be shown: its VNC server has a certificate that is not trusted yet.")
            }
            Self::CertificateWrong { .. } | Self::Authority { .. } => Some(
                "The guest's screen cannot be shown: its VNC server has another certificate than the one that is trusted.",
            ),
            Self::Tls { .. } => Some("The guest's screen cannot be shown: TLS with its VNC server comes to nothing."),
            Self::UserWanted => Some("The guest's screen wants the name of a user, and none was given: give one."),
            Self::PasswordWanted => Some("The guest's screen wants a password, and none was given: give one."),
            Self::PasswordWrong { .. } => Some("The guest's screen did not take the password: check it."),
            Self::Refused { .. } => Some("The guest's VNC server refuses the connection: look at its own messages."),
            Self::Garbage { .. } => Some(
                "The guest's screen cannot be shown: what its VNC server sends is refused. Restart the guest, and report \
                 it if it comes back.",
            ),
            _ => None,
        }
    }
}
