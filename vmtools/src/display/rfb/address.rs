//! Where a VNC server listens, and the stream to it: a unix socket or TCP.

use std::fmt;
use std::io::{self, IoSliceMut, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream, ToSocketAddrs as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};

use super::RfbError;
use super::tls::{Tls, Trust};
use crate::display::pace::{CONNECTING, PATIENCE, UNANSWERED};

/// So many addresses of one name are tried.
const ADDRESSES: usize = 8;
/// An address that has not answered so soon is not waited for alone (RFC 8305, 5: 250 ms).
const NEXT_ADDRESS: Duration = Duration::from_millis(250);
/// A line on which nothing was heard for so long is asked whether it is there, by the system.
const STILL: Duration = Duration::from_secs(5);

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
    /// Whether others may be able to read along on the way there.
    pub(super) fn is_network(&self) -> bool {
        matches!(self, Self::Tcp(_))
    }

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
    /// A unix socket that is `ours` lies in a runtime directory: that is looked at, and who answers.
    pub(super) fn connect(to: &Address, ours: bool) -> Result<Self, RfbError> {
        let line = match to {
            Address::Unix(path) if ours => crate::machine::connect_blocking(path).map(Self::Unix),
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
            Self::Unix(stream) => stream.set_write_timeout(Some(PATIENCE))?,
            Self::Tcp(stream) => {
                stream.set_write_timeout(Some(PATIENCE))?;
                stream.set_nodelay(true)?;
                // A machine that vanishes does not hang up: what it does not acknowledge ends the connection.
                let asking = TcpKeepalive::new().with_time(STILL).with_interval(STILL);
                SockRef::from(stream).set_tcp_keepalive(&asking)?;
                SockRef::from(stream).set_tcp_user_timeout(Some(UNANSWERED))?;
            }
            // Its socket has them.
            Self::Tls(_) => {}
        }
        self.wait_at_most(PATIENCE)?;
        Ok(self)
    }

    /// What is read from now on is waited for so long.
    pub(super) fn wait_at_most(&self, patience: Duration) -> io::Result<()> {
        match self {
            Self::Unix(stream) => stream.set_read_timeout(Some(patience)),
            Self::Tcp(stream) => stream.set_read_timeout(Some(patience)),
            Self::Tls(tls) => tls.socket().wait_at_most(patience),
        }
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
    let all: Vec<SocketAddr> = address.to_socket_addrs()?.take(ADDRESSES).collect();
    first_of(&all)
}

/// A connection to the first of these addresses that answers. Each has a moment for itself before the next one is tried beside it:
/// one that is dead hides no other.
fn first_of(all: &[SocketAddr]) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    let (sender, answers) = mpsc::channel();
    let (mut rest, mut waiting) = (all.iter().copied(), 0);
    loop {
        if let Some(one) = rest.next() {
            let sender = sender.clone();
            let connect = move || {
                // Nobody listens any more where another address was faster.
                let _ = sender.send(TcpStream::connect_timeout(&one, CONNECTING));
            };
            std::thread::Builder::new().name("display address".into()).spawn(connect)?;
            waiting += 1;
        } else if waiting == 0 {
            return Err(last);
        }
        let limit = if rest.len() > 0 { NEXT_ADDRESS } else { CONNECTING + PATIENCE };
        match answers.recv_timeout(limit) {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => {
                last = error;
                waiting -= 1;
            }
            Err(_) if rest.len() > 0 => {}
            Err(_) => return Err(io::ErrorKind::TimedOut.into()),
        }
    }
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

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::path::Path;

    use super::*;

    /// An address that says nothing at all: its queue of connections is full.
    fn dead() -> (socket2::Socket, Vec<socket2::Socket>, SocketAddr) {
        let socket = || socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        let listener = socket();
        listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        listener.listen(0).unwrap();
        let at = listener.local_addr().unwrap().as_socket().unwrap();
        let visitors: Vec<_> = (0..4).map(|_| socket()).collect();
        for visitor in &visitors {
            visitor.set_nonblocking(true).unwrap();
            let _ = visitor.connect(&at.into());
        }
        (listener, visitors, at)
    }

    #[test]
    fn an_address_that_is_dead_hides_no_other() {
        let (_listener, _visitors, dead) = dead();
        assert!(TcpStream::connect_timeout(&dead, Duration::from_millis(500)).is_err(), "it answers after all");
        let alive = TcpListener::bind("127.0.0.1:0").unwrap();
        // A port that is taken, and nobody listens.
        let silent = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        silent.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        let refused = silent.local_addr().unwrap().as_socket().unwrap();
        let begun = std::time::Instant::now();
        let met = first_of(&[dead, refused, dead, alive.local_addr().unwrap()]).unwrap();
        assert_eq!(met.peer_addr().unwrap(), alive.local_addr().unwrap());
        assert!(begun.elapsed() < CONNECTING, "{:?}", begun.elapsed());
        assert_eq!(first_of(&[refused, refused]).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        assert_eq!(first_of(&[]).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn the_system_is_told_to_notice_a_machine_that_vanishes() {
        let alive = TcpListener::bind("127.0.0.1:0").unwrap();
        let line = Line::connect(&Address::Tcp(alive.local_addr().unwrap().to_string()), false).unwrap();
        let Line::Tcp(stream) = &line else { panic!("{line:?}") };
        let socket = SockRef::from(stream);
        assert!(socket.keepalive().unwrap());
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(UNANSWERED));
        assert_eq!(socket.tcp_keepalive_time().unwrap(), STILL);
    }

    #[test]
    fn a_socket_of_ours_is_looked_at_and_that_of_others_is_not() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("vnc.sock");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let at = Address::Unix(socket);
        let mode = |mode| std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(mode)).unwrap();
        mode(0o700);
        Line::connect(&at, true).unwrap();
        mode(0o711);
        Line::connect(&at, false).unwrap();
        let source = crate::display::RfbSource::ours(Path::new(&at.to_string()));
        for error in [Line::connect(&at, true).unwrap_err(), source.meet().unwrap_err()] {
            assert!(error.to_string().contains("mode 711"), "{error}");
        }
    }
}
