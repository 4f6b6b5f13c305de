//! Where a VNC server listens, and the stream to it: a unix socket or TCP.

use std::fmt;
use std::io::{self, IoSliceMut, Read, Write};
use std::net::{Shutdown, TcpStream, ToSocketAddrs as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;

use super::RfbError;
use super::tls::{Tls, Trust};
use crate::display::pace::PATIENCE;

/// Where a VNC server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A unix socket.
    Unix(PathBuf),
    /// A host and a port, as `host:5900`.
    Tcp(String),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "{}", path.display()),
            Self::Tcp(address) => f.write_str(address),
        }
    }
}

/// A handle of a connection; another one may read while this one writes.
#[derive(Debug)]
pub(super) enum Line {
    Unix(UnixStream),
    Tcp(TcpStream),
    Tls(Arc<Tls>),
}

impl Address {
    /// The name that a certificate of the server is for.
    fn name(&self) -> &str {
        match self {
            Self::Unix(_) => "localhost",
            Self::Tcp(address) => {
                let host = address.rsplit_once(':').map_or(address.as_str(), |(host, _)| host);
                host.trim_start_matches('[').trim_end_matches(']')
            }
        }
    }
}

impl Line {
    pub(super) fn connect(to: &Address) -> Result<Self, RfbError> {
        let line = match to {
            Address::Unix(path) => UnixStream::connect(path).map(Self::Unix),
            Address::Tcp(address) => connect_tcp(address).map(Self::Tcp),
        };
        line.and_then(|line| line.with_limits()).map_err(|source| RfbError::Connect { to: to.to_string(), source })
    }

    /// The same inside TLS, which begins now.
    pub(super) fn secured(self, to: &Address, trust: &Trust) -> Result<Self, RfbError> {
        Tls::begin(self, to.name(), trust).map(|tls| Self::Tls(Arc::new(tls)))
    }

    /// Reads, while another thread may write.
    pub(super) fn read_shared(&self, target: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Unix(stream) => (&*stream).read(target),
            Self::Tcp(stream) => (&*stream).read(target),
            Self::Tls(tls) => tls.read(target),
        }
    }

    /// Writes all of `bytes`, while another thread may read.
    pub(super) fn write_shared(&self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Unix(stream) => (&*stream).write_all(bytes),
            Self::Tcp(stream) => (&*stream).write_all(bytes),
            Self::Tls(tls) => tls.write(bytes).map(drop),
        }
    }

    /// Nothing waits for ever: what does not get rid of a few bytes hangs, and so does who says nothing in the middle of something.
    fn with_limits(self) -> io::Result<Self> {
        match &self {
            Self::Unix(stream) => {
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_write_timeout(Some(PATIENCE))?;
            }
            Self::Tcp(stream) => {
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_write_timeout(Some(PATIENCE))?;
                stream.set_nodelay(true)?;
            }
            // Its socket has them.
            Self::Tls(_) => {}
        }
        Ok(self)
    }

    pub(super) fn another(&self) -> io::Result<Self> {
        match self {
            Self::Unix(stream) => stream.try_clone().map(Self::Unix),
            Self::Tcp(stream) => stream.try_clone().map(Self::Tcp),
            Self::Tls(tls) => Ok(Self::Tls(Arc::clone(tls))),
        }
    }

    /// Ends the connection for all handles, and whoever waits on one.
    pub(super) fn shut(&self) {
        let _ = match self {
            Self::Unix(stream) => stream.shutdown(Shutdown::Both),
            Self::Tcp(stream) => stream.shutdown(Shutdown::Both),
            Self::Tls(tls) => return tls.socket().shut(),
        };
    }
}

fn connect_tcp(address: &str) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for one in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&one, PATIENCE) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

impl Read for Line {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        self.read_shared(target)
    }

    fn read_vectored(&mut self, targets: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        match self {
            Self::Unix(stream) => stream.read_vectored(targets),
            Self::Tcp(stream) => stream.read_vectored(targets),
            Self::Tls(tls) => targets.iter_mut().find(|it| !it.is_empty()).map_or(Ok(0), |first| tls.read(first)),
        }
    }
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Unix(stream) => stream.write(bytes),
            Self::Tcp(stream) => stream.write(bytes),
            Self::Tls(tls) => tls.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
