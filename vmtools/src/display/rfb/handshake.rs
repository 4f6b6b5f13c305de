//! The beginning of a connection (RFC 6143, 7.1 to 7.3): versions 3.3, 3.7 and 3.8, no password or VNC's own, or what VeNCrypt
//! has inside TLS.

use std::io::{Read, Write};

use des::Des;
use des::cipher::{BlockCipherEncrypt as _, KeyInit as _};

use super::wire::Wire;
use super::{RfbError, vencrypt};

/// What is kept of a reason or a name, bytes.
const TEXT: usize = 512;
const NONE: u8 = 1;
const PASSWORD: u8 = 2;
const VENCRYPT: u8 = 19;

/// Who logs in.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Credentials {
    /// A user of the server, where it asks for one.
    pub(super) user: Option<String>,
    pub(super) password: Option<String>,
    /// Nothing is said to a server that does not prove who it is.
    pub(super) only_tls: bool,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("user", &self.user).finish_non_exhaustive()
    }
}

/// How somebody logs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Login {
    None,
    /// By VNC's own challenge.
    Password,
    /// By name and password as they are, which is done inside TLS alone.
    User,
}

/// Which ways to log in are preferred, where a server offers several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// What asks for least first: nobody is between us and the server.
    Plain,
    /// TLS first: over a network others may read along.
    Tls,
    /// Without TLS, where the server has none with a certificate.
    WithoutTls,
    /// TLS alone.
    OnlyTls,
}

impl Order {
    fn kinds(self) -> &'static [u8] {
        match self {
            Self::Plain => &[NONE, PASSWORD, VENCRYPT],
            Self::Tls => &[VENCRYPT, NONE, PASSWORD],
            Self::WithoutTls => &[NONE, PASSWORD],
            Self::OnlyTls => &[VENCRYPT],
        }
    }
}

/// What was agreed on before anybody logs in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Agreed {
    version: Version,
    login: Login,
    /// TLS begins now, and the rest is inside of it.
    pub(super) tls: bool,
}

/// What a server said of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Server {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) name: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Version {
    V3,
    V7,
    V8,
}

/// Shakes hands without TLS.
pub(super) fn shake<R: Read, W: Write>(
    wire: &mut Wire<R>,
    out: &mut W,
    password: Option<&str>,
) -> Result<Server, RfbError> {
    let credentials = Credentials { password: password.map(str::to_owned), ..Credentials::default() };
    let agreed = agree(wire, out, Order::Plain)?;
    if agreed.tls {
        return Err(RfbError::Tls { what: "it is asked for where it cannot be had".into() });
    }
    log_in(wire, out, agreed, &credentials)
}

/// Agrees on a version and on how to log in.
pub(super) fn agree<R: Read, W: Write>(wire: &mut Wire<R>, out: &mut W, order: Order) -> Result<Agreed, RfbError> {
    wire.doing = "shaking hands";
    let version = version(wire)?;
    let ours: &[u8] = match version {
        Version::V3 => b"RFB 003.003\n",
        Version::V7 => b"RFB 003.007\n",
        Version::V8 => b"RFB 003.008\n",
    };
    send(out, ours)?;
    let (login, tls) = match security(wire, out, version, order)? {
        VENCRYPT => (vencrypt::agree(wire, out)?, true),
        PASSWORD => (Login::Password, false),
        _ => (Login::None, false),
    };
    Ok(Agreed { version, login, tls })
}

/// Logs in as was agreed, and asks for the screen; the connection is shared with whoever else looks.
pub(super) fn log_in<R: Read, W: Write>(
    wire: &mut Wire<R>,
    out: &mut W,
    agreed: Agreed,
    credentials: &Credentials,
) -> Result<Server, RfbError> {
    let Agreed { version, login, tls } = agreed;
    wire.doing = "logging in";
    let password = || credentials.password.as_deref().ok_or(RfbError::PasswordWanted);
    match login {
        Login::None => {}
        Login::Password => {
            let password = password()?;
            let mut challenge = [0; 16];
            wire.fill(&mut challenge)?;
            send(out, &answer(challenge, password))?;
        }
        Login::User => {
            let user = credentials.user.as_deref().ok_or(RfbError::UserWanted)?;
            let password = password()?;
            let length = |text: &str| (text.len() as u32).to_be_bytes();
            send(out, &[&length(user)[..], &length(password), user.as_bytes(), password.as_bytes()].concat())?;
        }
    }
    if login != Login::None || tls || version == Version::V8 {
        match wire.u32()? {
            0 => {}
            failed => {
                let told = if version == Version::V8 { reason(wire)? } else { format!("result {failed}") };
                return Err(if login != Login::None {
                    RfbError::PasswordWrong { reason: told }
                } else {
                    RfbError::Refused { reason: told }
                });
            }
        }
    }
    wire.doing = "asking for the screen";
    send(out, &[1])?;
    let (width, height) = (usize::from(wire.u16()?), usize::from(wire.u16()?));
    // Its pixel format does not matter: we choose ours.
    wire.skip(16)?;
    // It is shown in one line, also in a terminal.
    let name = latin(&wire.text(TEXT)?).replace(['\n', '\t'], " ");
    Ok(Server { width, height, name })
}

fn version<R: Read>(wire: &mut Wire<R>) -> Result<Version, RfbError> {
    let first = wire.take(4)?.to_vec();
    if first != *b"RFB " {
        return Err(RfbError::NotRfb { greeting: latin(&first) });
    }
    let rest = wire.take(8)?.to_vec();
    let number = |digits: &[u8]| std::str::from_utf8(digits).ok()?.parse::<u16>().ok();
    match (number(&rest[..3]), rest[3], number(&rest[4..7]), rest[7]) {
        (Some(major), b'.', Some(minor), b'\n') if major >= 3 => Ok(match (major, minor) {
            (3, ..7) => Version::V3,
            (3, 7) => Version::V7,
            _ => Version::V8,
        }),
        _ => Err(RfbError::NotRfb { greeting: latin(&[first, rest].concat()) }),
    }
}

/// Agrees on how to log in.
fn security<R: Read, W: Write>(
    wire: &mut Wire<R>,
    out: &mut W,
    version: Version,
    order: Order,
) -> Result<u8, RfbError> {
    let offered = if version == Version::V3 {
        match wire.u32()? {
            0 => vec![],
            kind => vec![u8::try_from(kind).unwrap_or(u8::MAX)],
        }
    } else {
        let count = usize::from(wire.u8()?);
        wire.take(count)?.to_vec()
    };
    if offered.is_empty() {
        return Err(RfbError::Refused { reason: reason(wire)? });
    }
    let Some(kind) = order.kinds().iter().copied().find(|kind| offered.contains(kind)) else {
        let only_tls = order == Order::OnlyTls;
        return Err(if only_tls { RfbError::NoTls { offered } } else { RfbError::Security { offered } });
    };
    if version != Version::V3 {
        send(out, &[kind])?;
    }
    Ok(kind)
}

fn reason<R: Read>(wire: &mut Wire<R>) -> Result<String, RfbError> {
    let text = latin(&wire.text(TEXT)?);
    Ok(if text.is_empty() { "it gave no reason".into() } else { text })
}

/// VNC's answer to a challenge: DES with the password's first 8 bytes, the bits of each the other way round.
fn answer(challenge: [u8; 16], password: &str) -> [u8; 16] {
    let mut key = [0; 8];
    for (to, from) in key.iter_mut().zip(password.bytes()) {
        *to = from.reverse_bits();
    }
    let cipher = Des::new(&key.into());
    let mut answer = challenge;
    for block in answer.as_chunks_mut::<8>().0 {
        let mut bytes = (*block).into();
        cipher.encrypt_block(&mut bytes);
        *block = bytes.into();
    }
    answer
}

/// Latin-1 as text, without control characters.
pub(super) fn latin(bytes: &[u8]) -> String {
    bytes.iter().map(|&byte| char::from(byte)).filter(|&c| !c.is_control() || c == '\n' || c == '\t').collect()
}

pub(super) fn send<W: Write>(out: &mut W, bytes: &[u8]) -> Result<(), RfbError> {
    out.write_all(bytes).and_then(|()| out.flush()).map_err(|source| RfbError::Io { doing: "shaking hands", source })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meet(server: &[&[u8]], password: Option<&str>) -> (Result<Server, RfbError>, Vec<u8>) {
        let bytes = server.concat();
        let mut said = Vec::new();
        (shake(&mut Wire::new(&bytes[..]), &mut said, password), said)
    }

    const INIT: &[u8] =
        &[2, 128, 1, 224, 32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0, 0, 0, 0, 0, 0, 0, 2, b'h', 0xe9];
    const V8: &[u8] = b"RFB 003.008\n";

    #[test]
    fn all_versions_shake_hands() {
        let expected = Server { width: 640, height: 480, name: "hé".into() };
        let ok: &[u8] = &[0; 4];
        let challenge: &[u8] = &[7; 16];
        let none: &[u8] = &[2, 2, 1];
        let (met, said) = meet(&[V8, none, ok, INIT], None);
        assert_eq!((met.unwrap(), said), (expected.clone(), b"RFB 003.008\n\x01\x01".to_vec()));
        assert_eq!(meet(&[b"RFB 003.889\n", none, ok, INIT], None).0.unwrap(), expected);
        let (met, said) = meet(&[b"RFB 003.007\n", none, INIT], None);
        assert_eq!((met.unwrap(), said), (expected.clone(), b"RFB 003.007\n\x01\x01".to_vec()));
        let (met, said) = meet(&[b"RFB 003.005\n", &[0, 0, 0, 1], INIT], None);
        assert_eq!((met.unwrap(), said), (expected.clone(), b"RFB 003.003\n\x01".to_vec()));
        let (met, said) = meet(&[b"RFB 003.003\n", &[0, 0, 0, 2], challenge, ok, INIT], Some("secret"));
        assert_eq!((met.unwrap(), said.len()), (expected, 12 + 16 + 1));
    }

    #[test]
    fn the_password_is_scrambled_as_vnc_does() {
        // DES of eight zero bytes under a key of zero bytes, and under VNC's reversal of a key of 0x80 bytes.
        let zero = [0x8c, 0xa6, 0x4d, 0xe9, 0xc1, 0xb1, 0x23, 0xa7];
        assert_eq!(answer([0; 16], ""), [zero, zero].concat()[..]);
        assert_eq!(answer([9; 16], "password"), answer([9; 16], "password and more"));
        assert_ne!(answer([9; 16], "password"), answer([9; 16], "passwore"));
    }

    #[test]
    fn each_refusal_is_told_as_what_it_is() {
        let error = |server: &[&[u8]], password| meet(server, password).0.unwrap_err();
        let why: &[u8] = &[0, 0, 0, 3, b'n', b'o', b'!'];
        let refused = error(&[V8, &[0], why], None);
        assert!(matches!(&refused, RfbError::Refused { reason } if reason == "no!"), "{refused}");
        assert!(matches!(error(&[b"RFB 003.003\n", &[0; 4], why], None), RfbError::Refused { .. }));
        let unknown = error(&[V8, &[2, 16, 30]], None);
        assert!(matches!(&unknown, RfbError::Security { offered } if offered == &[16, 30]), "{unknown}");
        assert!(unknown.to_string().contains("[16, 30]") && unknown.to_string().contains("ssh tunnel"));
        assert!(matches!(error(&[V8, &[1, 2]], None), RfbError::PasswordWanted));
        let ways = |ways: &[u32]| {
            let list: Vec<u8> = ways.iter().flat_map(|way| way.to_be_bytes()).collect();
            error(&[V8, &[1, 19], &[0, 2], &[0], &[ways.len() as u8], &list, &[1]], None)
        };
        let anonymous = ways(&[257, 258]);
        assert!(matches!(&anonymous, RfbError::Anonymous { offered } if offered == &[257, 258]), "{anonymous}");
        assert!(anonymous.to_string().contains("certificate") && anonymous.to_string().contains("ssh tunnel"));
        assert!(matches!(ways(&[256]), RfbError::Ways { offered } if offered == [256]));
        assert!(matches!(ways(&[]), RfbError::Ways { .. }));
        assert!(matches!(ways(&[260]), RfbError::Tls { .. }), "this is no socket");
        assert!(matches!(error(&[V8, &[1, 19], &[0, 1]], None), RfbError::Garbage { .. }));
        assert!(matches!(error(&[V8, &[1, 19], &[0, 2], &[255]], None), RfbError::Refused { .. }));
        let refused = error(&[V8, &[1, 19], &[0, 2], &[0, 1, 0, 0, 1, 4, 0]], None);
        assert!(matches!(refused, RfbError::Refused { .. }), "{refused}");
        let wrong = error(&[V8, &[1, 2], &[7; 16], &[0, 0, 0, 1], why], Some("x"));
        assert!(matches!(&wrong, RfbError::PasswordWrong { reason } if reason == "no!"), "{wrong}");
        assert!(matches!(error(&[b"HTTP/1.1 400\r\n"], None), RfbError::NotRfb { greeting } if greeting == "HTTP"));
        assert!(matches!(error(&[b"RFB 003,008\n"], None), RfbError::NotRfb { .. }));
        assert!(matches!(error(&[b"RFB 00"], None), RfbError::Closed { .. }));
        assert!(matches!(error(&[V8, &[1, 1], &[0, 0, 0, 1], &[255; 4]], None), RfbError::Garbage { .. }));
    }
}
