//! VeNCrypt (rfbproto, 7.2.8): which way to log in is used inside TLS. Only ways with a certificate are: without one nobody
//! knows who answers.

use std::io::{Read, Write};

use super::RfbError;
use super::handshake::{Login, send};
use super::wire::Wire;

/// Ways by their numbers: certificates, and what is asked for inside.
const X509_NONE: u32 = 260;
const X509_PASSWORD: u32 = 261;
const X509_USER: u32 = 262;
/// TLS without a certificate.
const ANONYMOUS: [u32; 4] = [257, 258, 259, 263];

/// Agrees on version 0.2 and on a way, after which TLS begins.
pub(super) fn agree<R: Read, W: Write>(wire: &mut Wire<R>, out: &mut W) -> Result<Login, RfbError> {
    let version = (wire.u8()?, wire.u8()?);
    if version < (0, 2) {
        return Err(RfbError::garbage(format!("VeNCrypt of version {}.{}", version.0, version.1)));
    }
    send(out, &[0, 2])?;
    if wire.u8()? != 0 {
        return Err(RfbError::Refused { reason: "it does not take VeNCrypt 0.2".into() });
    }
    let count = usize::from(wire.u8()?);
    let mut offered = Vec::with_capacity(count);
    for _ in 0..count {
        offered.push(wire.u32()?);
    }
    let known = [(X509_NONE, Login::None), (X509_PASSWORD, Login::Password), (X509_USER, Login::User)];
    let Some((way, login)) = known.into_iter().find(|(way, _)| offered.contains(way)) else {
        let anonymous = offered.iter().any(|way| ANONYMOUS.contains(way));
        return Err(if anonymous { RfbError::Anonymous { offered } } else { RfbError::Ways { offered } });
    };
    send(out, &way.to_be_bytes())?;
    if wire.u8()? != 1 {
        return Err(RfbError::Refused { reason: format!("it offers the way {way} of VeNCrypt and does not go it") });
    }
    Ok(login)
}
