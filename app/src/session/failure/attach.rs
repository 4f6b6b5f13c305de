//! Failures of attaching to a VNC server.

use std::path::Path;

use vmtools::attach::{AttachError, TunnelError};
use vmtools::display::rfb::RfbError;

use super::{exit_code, split_command};
use crate::session::event::Failure;

/// A server was not attached to, or is gone; `known` is the file of certificates.
pub(in crate::session) fn of_attach(error: &AttachError, known: &Path) -> Failure {
    let (detail, command) = split_command(&error.to_string());
    let title = match error {
        AttachError::Tunnel(TunnelError::Spawn(_)) => "ssh could not be started",
        AttachError::Tunnel(_) => "ssh does not get there",
        AttachError::NoWay { .. } => "ssh takes no connection to the VNC server",
        AttachError::Far { .. } | AttachError::Silent { .. } => "No VNC server answers there",
        AttachError::Gone { .. } => "The VNC server has gone",
        AttachError::Known(_) => "The certificates that are trusted cannot be read",
        AttachError::Server(error) => match error {
            RfbError::PasswordWanted => "The VNC server wants a password",
            RfbError::PasswordWrong { .. } => "The VNC server did not take the password",
            RfbError::UserWanted => "The VNC server wants the name of a user",
            RfbError::CertificateUnknown { .. } => "The VNC server's certificate is not trusted yet",
            RfbError::CertificateWrong { .. } => "The VNC server has another certificate than the one that is trusted",
            RfbError::NoTls { .. } => "The VNC server does not prove any more who it is",
            RfbError::NotLetIn { .. } => "The VNC server does not let us in",
            _ => "The VNC server cannot be shown",
        },
    };
    let forget = || format!("if you know why, remove its line from {}: it is then asked for anew", known.display());
    let advice = match error {
        AttachError::Server(RfbError::CertificateWrong { .. } | RfbError::NoTls { .. }) => Some(forget()),
        _ => None,
    };
    let exit_code = match error {
        AttachError::Tunnel(TunnelError::Spawn(_)) => exit_code::HOST,
        AttachError::Known(_) => exit_code::INTERNAL,
        _ => exit_code::GUEST,
    };
    Failure { title: title.into(), detail, advice, command, pane: None, exit_code }
}
