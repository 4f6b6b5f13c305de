//! Where a VNC server is, as people write it: `HOST`, `HOST:DISPLAY`, `HOST::PORT`, `vnc://` (RFC 7869), a unix socket, and each
//! of them as seen from a host that ssh reaches. Pure.

use std::fmt;
use std::net::Ipv6Addr;
use std::path::PathBuf;

use crate::display::rfb::Address;

/// The port of display 0 (RFC 6143, 1).
const FIRST: u16 = 5900;
/// Numbers below this one are displays, as in other viewers.
const DISPLAYS: u16 = 100;
/// The port of ssh, which need not be named.
const SSH: u16 = 22;
/// The longest name of a host (RFC 1035, 2.3.4).
const LONGEST: usize = 255;

/// A VNC server, and the way to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The host from which it is reached, if it is not reached from here.
    pub ssh: Option<SshHost>,
    /// A user of the server, for those that ask for one.
    pub user: Option<String>,
    /// Where it listens, as seen from there.
    pub at: Address,
}

/// A host that ssh reaches; what is not said of it is in the user's own configuration of ssh.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SshHost {
    /// Who logs in.
    pub user: Option<String>,
    /// Its name, its address, or a name in `~/.ssh/config`.
    pub host: String,
    /// Its port.
    pub port: Option<u16>,
}

/// What is wrong with an address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlaceError {
    /// There is none.
    #[error(
        "the address is missing: HOST, HOST:DISPLAY, HOST::PORT, vnc://HOST:PORT, ssh://HOST/ADDRESS, or the path of a socket"
    )]
    Empty,
    /// A port that is none.
    #[error("{0:?} is no port: write the number of a display from 0 to 99, or a port up to 65535")]
    Port(String),
    /// A host that is none.
    #[error("{0:?} is no name of a host: letters, digits, dots and hyphens, or an address")]
    Host(String),
    /// A user that is none.
    #[error("{0:?} is no name of a user")]
    User(String),
    /// Too many colons.
    #[error("{0:?} has too many colons: an IPv6 address stands in brackets, as in [2001:db8::1]:5901")]
    Brackets(String),
    /// A password in it.
    #[error("a password does not belong into an address, where others can read it: leave it out, and it is asked for")]
    Password,
    /// Another kind of address.
    #[error("{0}:// is not known here: write vnc://, ssh://, or the host alone")]
    Scheme(String),
    /// More than an address.
    #[error("what follows the address, {0:?}, is not used here: leave it out")]
    Rest(String),
    /// A path that begins nowhere.
    #[error("write the whole path of the socket, from / on, in place of {0:?}")]
    Path(String),
    /// Two hosts that ssh is to reach.
    #[error("two ssh hosts are named: name one here, and how it is reached in ~/.ssh/config (ProxyJump)")]
    Twice,
}

impl Place {
    /// Reads an address.
    ///
    /// # Errors
    /// [`PlaceError`] says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, PlaceError> {
        let text = text.trim();
        let at = |at| Ok(Self { ssh: None, user: None, at });
        if let Some(path) = text.strip_prefix("unix:") {
            // As a URL it has two slashes more.
            let whole = path.strip_prefix("//").filter(|rest| rest.starts_with('/'));
            return at(socket(whole.unwrap_or(path))?);
        }
        if ["/", "./", "../", "~/"].iter().any(|begin| text.starts_with(begin)) {
            return at(socket(text)?);
        }
        match text.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("vnc") => Self::direct(rest),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("ssh") => {
                let (host, there) = rest.split_once('/').unwrap_or((rest, ""));
                let ssh = SshHost::parse(host)?;
                Self::parse(if there.trim().is_empty() { "localhost" } else { there })?.through(ssh)
            }
            Some((scheme, _)) => Err(PlaceError::Scheme(scheme.to_owned())),
            None => Self::direct(text),
        }
    }

    /// The same server, as it is seen from `ssh`.
    ///
    /// # Errors
    /// [`PlaceError::Twice`] if it is seen from another host already.
    pub fn through(self, ssh: SshHost) -> Result<Self, PlaceError> {
        if self.ssh.is_some() { Err(PlaceError::Twice) } else { Ok(Self { ssh: Some(ssh), ..self }) }
    }

    /// The server alone, whoever logs in, in one spelling of many: what its certificate is remembered by.
    #[must_use]
    pub fn server(&self) -> String {
        let mut plain = Self { user: None, ..self.clone() };
        if let Address::Tcp(at) = &mut plain.at {
            *at = one_spelling(at);
        }
        if let Some(ssh) = &mut plain.ssh {
            ssh.port = ssh.port.filter(|port| *port != SSH);
        }
        plain.to_string()
    }

    fn direct(text: &str) -> Result<Self, PlaceError> {
        let text = text.strip_suffix('/').unwrap_or(text);
        if text.is_empty() {
            return Err(PlaceError::Empty);
        }
        if let Some(at) = text.find(['?', '#', '/']) {
            return Err(PlaceError::Rest(text[at..].to_owned()));
        }
        let (user, server) = user(text)?;
        let (host, port) = host_and_port(server)?;
        let host = if host.is_empty() { "localhost".to_owned() } else { host };
        let port = match port {
            Port::Not => FIRST,
            Port::Single(number) if number < DISPLAYS => FIRST + number,
            Port::Single(number) | Port::Double(number) => number,
        };
        Ok(Self { ssh: None, user, at: Address::Tcp(format!("{host}:{port}")) })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(ssh) = &self.ssh {
            write!(f, "ssh://{ssh}/")?;
        }
        if let Some(user) = &self.user {
            write!(f, "vnc://{user}@")?;
        }
        match &self.at {
            // After one colon so small a number is a display.
            Address::Tcp(at) => match at.rsplit_once(':') {
                Some((host, port)) if port.len() < 3 => write!(f, "{host}::{port}"),
                _ => f.write_str(at),
            },
            at => write!(f, "{at}"),
        }
    }
}

impl SshHost {
    /// Reads `[USER@]HOST[:PORT]`, also as `ssh://` URL.
    ///
    /// # Errors
    /// [`PlaceError`] says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, PlaceError> {
        let text = text.trim();
        let text = text.strip_prefix("ssh://").unwrap_or(text);
        let text = text.strip_suffix('/').unwrap_or(text);
        let (user, server) = user(text)?;
        let (host, port) = host_and_port(server)?;
        if host.is_empty() {
            return Err(PlaceError::Host(text.to_owned()));
        }
        // ssh takes the brackets for a part of the name.
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = match port {
            Port::Not => None,
            Port::Single(0) | Port::Double(_) => return Err(PlaceError::Port(text.to_owned())),
            Port::Single(number) => Some(number),
        };
        Ok(Self { user, host, port })
    }
}

impl fmt::Display for SshHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(user) = &self.user {
            write!(f, "{user}@")?;
        }
        match self.host.contains(':') {
            true => write!(f, "[{}]", self.host)?,
            false => f.write_str(&self.host)?,
        }
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

/// `host:port` with the host in small letters, and an IPv6 address as it is written shortest.
fn one_spelling(at: &str) -> String {
    let small = at.to_ascii_lowercase();
    let six = small.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    let six = six.and_then(|(host, port)| Some((host.parse::<Ipv6Addr>().ok()?, port)));
    six.map_or(small.clone(), |(host, port)| format!("[{host}]{port}"))
}

/// What follows the host.
#[derive(Clone, Copy)]
enum Port {
    Not,
    /// After one colon.
    Single(u16),
    /// After two.
    Double(u16),
}

fn socket(path: &str) -> Result<Address, PlaceError> {
    let whole = path.starts_with('/') && path.len() > 1 && !path.contains(char::is_control);
    if whole { Ok(Address::Unix(PathBuf::from(path))) } else { Err(PlaceError::Path(path.to_owned())) }
}

/// A user before an `@`, and the rest.
fn user(text: &str) -> Result<(Option<String>, &str), PlaceError> {
    let Some((user, rest)) = text.rsplit_once('@') else { return Ok((None, text)) };
    if user.contains(':') {
        return Err(PlaceError::Password);
    }
    // What a shell takes for more than letters: ssh may hand it to one (ProxyCommand), and refuses it itself since 9.6.
    let odd = |c: char| c.is_control() || c.is_whitespace() || "'\"`$;&<>|(){}/".contains(c);
    if user.starts_with('-') || user.ends_with('\\') || user.contains(odd) {
        return Err(PlaceError::User(user.to_owned()));
    }
    Ok((Some(user.to_owned()).filter(|user| !user.is_empty()), rest))
}

/// The host, empty if none is there, an IPv6 address in brackets; and its port.
fn host_and_port(text: &str) -> Result<(String, Port), PlaceError> {
    let many = || PlaceError::Brackets(text.to_owned());
    let six = |text: &str| text.parse::<Ipv6Addr>().is_ok();
    if let Some(rest) = text.strip_prefix('[') {
        let (address, port) = rest.split_once(']').ok_or_else(many)?;
        if !six(address) {
            return Err(PlaceError::Host(address.to_owned()));
        }
        let port = match (port.strip_prefix("::"), port.strip_prefix(':')) {
            (Some(port), _) => Port::Double(number(port, 1)?),
            (None, Some(port)) => Port::Single(number(port, 0)?),
            (None, None) if port.is_empty() => Port::Not,
            (None, None) => return Err(PlaceError::Rest(port.to_owned())),
        };
        return Ok((format!("[{address}]"), port));
    }
    let (host, port) = match text.split_once("::") {
        // "cafe::5901" is a host and its port, "::1" and "fe80::1:2" are addresses.
        Some((host, port))
            if six(text) && (host.is_empty() && port.len() < 4 || host.contains(':') || port.contains(':')) =>
        {
            return Ok((format!("[{text}]"), Port::Not));
        }
        Some((host, port)) if !host.contains(':') && !port.contains(':') => (host, Port::Double(number(port, 1)?)),
        Some(_) => return Err(many()),
        None if six(text) => return Ok((format!("[{text}]"), Port::Not)),
        None => match text.split_once(':') {
            Some((_, port)) if port.contains(':') => return Err(many()),
            Some((host, port)) => (host, Port::Single(number(port, 0)?)),
            None => (text, Port::Not),
        },
    };
    let odd = |c: char| !(c.is_alphanumeric() || ".-_".contains(c));
    if host.starts_with('-') || host.len() > LONGEST || host.contains(odd) {
        return Err(PlaceError::Host(host.to_owned()));
    }
    Ok((host.to_owned(), port))
}

fn number(text: &str, least: u16) -> Result<u16, PlaceError> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|number| digits && *number >= least);
    number.ok_or_else(|| PlaceError::Port(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tcp(text: &str) -> String {
        let place = Place::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!((&place.ssh, &place.user), (&None, &None), "{text}");
        match place.at {
            Address::Tcp(at) => at,
            Address::Unix(path) => panic!("{text}: {}", path.display()),
        }
    }

    #[test]
    fn hosts_displays_and_ports_are_read_as_in_other_viewers() {
        for (text, at) in [
            ("box", "box:5900"),
            (" box:1 ", "box:5901"),
            ("box:0", "box:5900"),
            ("box:99", "box:5999"),
            ("box:100", "box:100"),
            ("box:5901", "box:5901"),
            ("box::5", "box:5"),
            ("cafe::5901", "cafe:5901"),
            (":1", "localhost:5901"),
            ("::5901", "localhost:5901"),
            ("192.0.2.7:2", "192.0.2.7:5902"),
            ("[::1]", "[::1]:5900"),
            ("[::1]:1", "[::1]:5901"),
            ("[2001:db8::1]:5901", "[2001:db8::1]:5901"),
            ("[::1]::7", "[::1]:7"),
            ("::1", "[::1]:5900"),
            ("fe80::1:2", "[fe80::1:2]:5900"),
            ("1:2:3:4:5:6:7:8", "[1:2:3:4:5:6:7:8]:5900"),
            ("vnc://box", "box:5900"),
            ("VNC://box:5901/", "box:5901"),
        ] {
            assert_eq!(tcp(text), at, "{text}");
        }
        let place = Place::parse("vnc://ann@box:5901").unwrap();
        assert_eq!((place.user.as_deref(), place.at), (Some("ann"), Address::Tcp("box:5901".into())));
    }

    #[test]
    fn sockets_are_paths() {
        for text in ["/run/vnc.sock", "unix:/run/vnc.sock", "unix:///run/vnc.sock"] {
            assert_eq!(Place::parse(text).unwrap().at, Address::Unix("/run/vnc.sock".into()), "{text}");
        }
        for text in ["./vnc", "~/vnc", "unix:vnc", "unix:", "/", "/a\0b"] {
            assert!(matches!(Place::parse(text), Err(PlaceError::Path(_))), "{text}");
        }
    }

    #[test]
    fn what_is_behind_ssh_is_an_address_as_seen_from_there() {
        let ssh =
            |user: Option<&str>, host: &str, port| SshHost { user: user.map(str::to_owned), host: host.into(), port };
        for (text, host, at) in [
            ("ssh://me@box", ssh(Some("me"), "box", None), "localhost:5900"),
            ("ssh://box/", ssh(None, "box", None), "localhost:5900"),
            ("ssh://me@box:2222/:1", ssh(Some("me"), "box", Some(2222)), "localhost:5901"),
            ("ssh://box:22/inner:5902", ssh(None, "box", Some(22)), "inner:5902"),
            ("ssh://box//run/vnc.sock", ssh(None, "box", None), "/run/vnc.sock"),
            ("ssh://box/unix:/run/vnc.sock", ssh(None, "box", None), "/run/vnc.sock"),
            ("ssh://[::1]:22/[::1]:1", ssh(None, "::1", Some(22)), "[::1]:5901"),
        ] {
            let place = Place::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!((place.ssh.unwrap(), place.at.to_string()), (host, at.to_owned()), "{text}");
        }
        let place = Place::parse("ssh://me@box/vnc://ann@localhost:5901").unwrap();
        assert_eq!(place.user.as_deref(), Some("ann"));
        assert_eq!(place.server(), "ssh://me@box/localhost:5901");
        for (one, other) in [
            ("Box:1", "box::5901"),
            ("[0:0:0:0:0:0:0:1]:1", "[::1]:5901"),
            ("ssh://box:22/:1", "ssh://box/localhost:5901"),
            ("vnc://ann@box", "box"),
        ] {
            assert_eq!(Place::parse(one).unwrap().server(), Place::parse(other).unwrap().server(), "{one}");
        }
        for (one, other) in [("/run/A", "/run/a"), ("ssh://Alias/", "ssh://alias/"), ("box:1", "box:2")] {
            assert_ne!(Place::parse(one).unwrap().server(), Place::parse(other).unwrap().server(), "{one}");
        }
        let through = Place::parse(":1").unwrap().through(SshHost::parse("me@box").unwrap()).unwrap();
        assert_eq!(through, Place::parse("ssh://me@box/:1").unwrap());
        assert_eq!(through.through(SshHost::parse("other").unwrap()), Err(PlaceError::Twice));
        assert_eq!(Place::parse("ssh://a/ssh://b/c"), Err(PlaceError::Twice));
    }

    #[test]
    fn what_is_wrong_is_said() {
        let wrong = |text: &str| Place::parse(text).unwrap_err();
        for (text, error) in [
            ("", PlaceError::Empty),
            ("vnc://", PlaceError::Empty),
            ("box:", PlaceError::Port("".into())),
            ("box:x", PlaceError::Port("x".into())),
            ("box:+1", PlaceError::Port("+1".into())),
            ("box:70000", PlaceError::Port("70000".into())),
            ("box::0", PlaceError::Port("0".into())),
            ("a b", PlaceError::Host("a b".into())),
            ("-oProxyCommand=x", PlaceError::Host("-oProxyCommand=x".into())),
            ("ssh://-oProxyCommand=x/y", PlaceError::Host("-oProxyCommand=x".into())),
            ("ssh://a;b@box/", PlaceError::User("a;b".into())),
            ("ssh://-l@box/", PlaceError::User("-l".into())),
            ("vnc://ann:secret@box", PlaceError::Password),
            ("rdp://box", PlaceError::Scheme("rdp".into())),
            ("vnc://box?VncPassword=x", PlaceError::Rest("?VncPassword=x".into())),
            ("box:1/2", PlaceError::Rest("/2".into())),
            ("[::1", PlaceError::Brackets("[::1".into())),
            ("a:b:c", PlaceError::Brackets("a:b:c".into())),
            ("2001:db8::1:5901:x", PlaceError::Brackets("2001:db8::1:5901:x".into())),
        ] {
            assert_eq!(wrong(text), error, "{text}");
        }
        assert!(!wrong("vnc://ann:secret@box").to_string().contains("secret"));
        assert!(matches!(SshHost::parse("me@"), Err(PlaceError::Host(_))));
        assert!(matches!(SshHost::parse("box:0"), Err(PlaceError::Port(_))));
    }

    proptest! {
        #[test]
        fn any_text_is_an_address_or_not_and_what_is_shown_is_read_again(text in "[a-z0-9:/@.\\[\\]?-]{0,24}|ssh://[a-z@:0-9]{1,8}/[a-z:0-9/]{0,9}") {
            if let Ok(place) = Place::parse(&text) {
                prop_assert_eq!(Place::parse(&place.to_string()), Ok(place));
            }
        }
    }
}
