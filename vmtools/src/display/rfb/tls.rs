//! TLS around a connection: who the server is, is proven by a certificate that an authority has signed, or whose fingerprint
//! the user knows. One thread reads while another writes, as without TLS: neither waits for the network with the keys in hand.

use std::fmt;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore, SignatureScheme};
use sha2::{Digest as _, Sha256};

use super::RfbError;
use super::address::Line;
use super::connection::lock;
use crate::display::pace::{PATIENCE, UNANSWERED};

/// Bytes that are read from the network at once.
const PIECE: usize = 16 * 1024;

/// The SHA-256 of a server's certificate, by which a user can tell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint(pub [u8; 32]);

impl Fingerprint {
    fn of(certificate: &CertificateDer<'_>) -> Self {
        Self(Sha256::digest(certificate).into())
    }

    /// Reads what [`Fingerprint`] is shown as, or as `openssl x509 -fingerprint -sha256` prints it: 64 hexadecimal digits with
    /// colons between bytes or without. `None` where it is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits: String = text.trim().chars().filter(|&c| c != ':').collect();
        if digits.len() != 64 || !digits.is_ascii() {
            return None;
        }
        let mut bytes = [0; 32];
        for (byte, at) in bytes.iter_mut().zip((0..64).step_by(2)) {
            *byte = u8::from_str_radix(&digits[at..at + 2], 16).ok()?;
        }
        Some(Self(bytes))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, byte) in self.0.iter().enumerate() {
            let colon = if number == 0 { "" } else { ":" };
            write!(f, "{colon}{byte:02X}")?;
        }
        Ok(())
    }
}

/// Which certificate of a server is believed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    /// None yet: the connection fails with the fingerprint of the one that the server has.
    #[default]
    Nobody,
    /// The one with this fingerprint, whatever it says.
    Certificate(Fingerprint),
    /// Those that an authority in this PEM file has signed for the server's name.
    Authority(PathBuf),
}

/// A connection inside TLS.
pub(super) struct Tls {
    socket: Line,
    session: Mutex<ClientConnection>,
    /// Held from when bytes leave the session until they are on their way, so that they go in order.
    writing: Mutex<()>,
    incoming: Mutex<Incoming>,
}

/// Bytes of the network that the session has not taken yet.
struct Incoming {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("socket", &self.socket).finish_non_exhaustive()
    }
}

impl Tls {
    /// Shakes hands on `socket` with the server `name`, a host name or an address.
    pub(super) fn begin(mut socket: Line, name: &str, trust: &Trust) -> Result<Self, RfbError> {
        let provider = Arc::new(ring::default_provider());
        let verifier = Arc::new(Verifier::new(trust, &provider)?);
        let unusable = |error: rustls::Error| RfbError::Tls { what: error.to_string() };
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(unusable)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::clone(&verifier) as Arc<dyn ServerCertVerifier>)
            .with_no_client_auth();
        let name = ServerName::try_from(name.to_owned())
            .map_err(|_| RfbError::Tls { what: format!("{name:?} is no name of a server") })?;
        let mut session = ClientConnection::new(Arc::new(config), name).map_err(unusable)?;
        while session.is_handshaking() {
            session.complete_io(&mut socket).map_err(|error| failed(error, &verifier))?;
        }
        let incoming = Incoming { bytes: vec![0; PIECE], start: 0, end: 0 };
        Ok(Self { socket, session: Mutex::new(session), writing: Mutex::new(()), incoming: Mutex::new(incoming) })
    }

    pub(super) fn socket(&self) -> &Line {
        &self.socket
    }

    /// Reads what the server says; waits for it on the socket, while others may write. `Interrupted` where that was not all of what
    /// has to be there before there is something to read.
    pub(super) fn read(&self, target: &mut [u8]) -> io::Result<usize> {
        let mut incoming = lock(&self.incoming);
        let mut waited = false;
        loop {
            match lock(&self.session).reader().read(target) {
                // A part of a record: whoever reads decides whether it comes fast enough.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && waited && incoming.start == incoming.end => {
                    return Err(io::ErrorKind::Interrupted.into());
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // Who hangs up without a word is told by what was being done.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(0),
                other => return other,
            }
            if incoming.start == incoming.end {
                let Incoming { bytes, start, end } = &mut *incoming;
                (*start, *end) = (0, self.socket.read_shared(bytes)?);
                waited = true;
            }
            let mut session = lock(&self.session);
            // Nothing at all tells the session that the server has hung up.
            let taken = session.read_tls(&mut &incoming.bytes[incoming.start..incoming.end])?;
            session.process_new_packets().map_err(io::Error::other)?;
            let answers = session.wants_write();
            drop(session);
            incoming.start += taken;
            if answers {
                self.flush()?;
            }
        }
    }

    /// Says `bytes`, all of them.
    pub(super) fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        for part in bytes.chunks(PIECE) {
            lock(&self.session).writer().write_all(part)?;
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&self) -> io::Result<()> {
        let _order = lock(&self.writing);
        let mut packed = Vec::new();
        let mut session = lock(&self.session);
        while session.wants_write() {
            session.write_tls(&mut packed)?;
        }
        drop(session);
        self.socket.write_shared(&packed)
    }
}

/// What a handshake failed with.
fn failed(error: io::Error, verifier: &Verifier) -> RfbError {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match (inner, *lock(&verifier.seen)) {
        (Some(rustls::Error::InvalidCertificate(why)), Some(fingerprint)) => match verifier.trust {
            Trust::Nobody => RfbError::CertificateUnknown { fingerprint },
            _ => RfbError::CertificateWrong { fingerprint, why: words(why, &verifier.trust) },
        },
        (Some(error), _) => RfbError::Tls { what: error.to_string() },
        (None, _) => match error.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
                RfbError::Closed { doing: "beginning TLS" }
            }
            // The socket gives up a read after that time.
            io::ErrorKind::WouldBlock => RfbError::Stalled { doing: "beginning TLS", limit: PATIENCE },
            io::ErrorKind::TimedOut => RfbError::Unanswered { limit: UNANSWERED },
            _ => RfbError::Io { doing: "beginning TLS", source: error },
        },
    }
}

fn words(why: &CertificateError, trust: &Trust) -> String {
    match trust {
        Trust::Certificate(known) => format!("the one that is trusted has {known}"),
        Trust::Authority(file) => format!("by the authorities in {} it is refused: {why}", file.display()),
        Trust::Nobody => why.to_string(),
    }
}

#[derive(Debug)]
struct Verifier {
    trust: Trust,
    authority: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
    /// The server's certificate.
    seen: Mutex<Option<Fingerprint>>,
}

impl Verifier {
    fn new(trust: &Trust, provider: &Arc<CryptoProvider>) -> Result<Self, RfbError> {
        let authority = match trust {
            Trust::Authority(file) => Some(authority(file, provider)?),
            _ => None,
        };
        Ok(Self { trust: trust.clone(), authority, provider: Arc::clone(provider), seen: Mutex::default() })
    }
}

fn authority(file: &Path, provider: &Arc<CryptoProvider>) -> Result<Arc<WebPkiServerVerifier>, RfbError> {
    let unusable = |why: String| RfbError::Authority { file: file.to_owned(), why };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(file).map_err(|error| unusable(error.to_string()))? {
        let certificate = certificate.map_err(|error| unusable(error.to_string()))?;
        roots.add(certificate).map_err(|error| unusable(error.to_string()))?;
    }
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
        .build()
        .map_err(|error| unusable(error.to_string()))
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let fingerprint = Fingerprint::of(certificate);
        *lock(&self.seen) = Some(fingerprint);
        match (&self.trust, &self.authority) {
            (Trust::Certificate(known), _) if *known == fingerprint => Ok(ServerCertVerified::assertion()),
            (Trust::Authority(_), Some(authority)) => {
                authority.verify_server_cert(certificate, between, name, ocsp, now)
            }
            _ => Err(CertificateError::UnknownIssuer.into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_read_as_it_is_shown() {
        let fingerprint = Fingerprint(std::array::from_fn(|n| (n * 7) as u8));
        assert_eq!(Fingerprint::parse(&fingerprint.to_string()), Some(fingerprint));
        assert!(fingerprint.to_string().starts_with("00:07:0E:"));
        let plain = fingerprint.to_string().replace(':', "").to_lowercase();
        assert_eq!(Fingerprint::parse(&format!(" {plain}\n")), Some(fingerprint));
        for wrong in ["", "00:07", &plain[2..], &format!("{}zz", &plain[2..]), &"é".repeat(32)] {
            assert_eq!(Fingerprint::parse(wrong), None, "{wrong}");
        }
    }
}
