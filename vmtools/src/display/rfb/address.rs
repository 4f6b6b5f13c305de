//! Where a VNC server listens, and the stream to it: a unix socket or TCP.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream, ToSocketAddrs as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use super::RfbError;
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
}

impl Line {
    pub(super) fn connect(to: &Address) -> Result<Self, RfbError> {
        let line = match to {
            Address::Unix(path) => UnixStream::connect(path).map(Self::Unix),
            Address::Tcp(address) => connect_tcp(address).map(Self::Tcp),
        };
        line.and_then(|line| line.with_limits()).map_err(|source| RfbError::Connect { to: to.to_string(), source })
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
        }
        Ok(self)
    }

    pub(super) fn another(&self) -> io::Result<Self> {
        match self {
            Self::Unix(stream) => stream.try_clone().map(Self::Unix),
            Self::Tcp(stream) => stream.try_clone().map(Self::Tcp),
        }
    }

    /// Ends the connection for all handles, and whoever waits on one.
    pub(super) fn shut(&self) {
        let _ = match self {
            Self::Unix(stream) => stream.shutdown(Shutdown::Both),
            Self::Tcp(stream) => stream.shutdown(Shutdown::Both),
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
        match self {
            Self::Unix(stream) => stream.read(target),
            Self::Tcp(stream) => stream.read(target),
        }
    }
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Unix(stream) => stream.write(bytes),
            Self::Tcp(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
