//! A way through the system's own ssh: a unix socket in our private directory that leads to an address as seen from another
//! host. ssh knows the user's keys, agent and configuration, and we do not have to.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cartridge_supervise::{Channel, CommandLine, Exit, Observer, ProcessHandle, spawn};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep};

use super::AttachEvent;
use super::place::SshHost;
use super::reason::{self, TunnelError};
use crate::display::rfb::Address;

/// How long ssh may take until the way is open: a name is looked up, keys are tried, an agent may ask.
const OPENING: Duration = Duration::from_secs(60);
/// How often it is looked whether it is.
const BEAT: Duration = Duration::from_millis(20);
/// How long ssh may take to end when it is asked to.
const GRACE: Duration = Duration::from_secs(1);
/// How much of what ssh says is kept, bytes.
const WORDS: usize = 8 * 1024;

/// A running ssh. Dropping it kills it.
#[derive(Debug)]
pub(super) struct Tunnel {
    process: ProcessHandle,
    words: Arc<Mutex<Vec<u8>>>,
    exit: watch::Receiver<Option<Exit>>,
}

/// ssh with a socket that leads to `far`.
///
/// Nothing is asked of anybody (`BatchMode`): what ssh needs a person for is told. It has a connection of its own
/// (`ControlPath`), so that the way ends with it, and notices within a minute that the other side is gone.
pub(super) fn command(ssh: &Path, host: &SshHost, socket: &Path, far: &Address) -> CommandLine {
    let far = match far {
        Address::Unix(path) => escaped(path),
        Address::Tcp(address) => address.clone(),
    };
    let options = [
        "BatchMode=yes",
        "ExitOnForwardFailure=yes",
        "ConnectTimeout=15",
        "ServerAliveInterval=15",
        "ServerAliveCountMax=3",
        "StreamLocalBindUnlink=yes",
        "StreamLocalBindMask=0177",
        "ControlMaster=no",
        "ControlPath=none",
        "PermitLocalCommand=no",
        "RemoteCommand=none",
        // The least that tells why nobody answers at the far side.
        "LogLevel=INFO",
    ];
    // A jump host's master, which the user's own connections share, may be begun by it.
    let mut line = CommandLine::new(ssh).unmarked().args(["-N", "-T", "-a", "-x"]);
    for option in options {
        line = line.args(["-o", option]);
    }
    line.arg("-L").arg(format!("{}:{far}", escaped(socket))).args(destination(host))
}

/// How the host is named on a command line of ssh.
pub(super) fn destination(host: &SshHost) -> Vec<String> {
    let mut words = Vec::new();
    if let Some(port) = host.port {
        words.extend(["-p".to_owned(), port.to_string()]);
    }
    if let Some(user) = &host.user {
        words.extend(["-l".to_owned(), user.clone()]);
    }
    words.extend(["--".to_owned(), host.host.clone()]);
    words
}

/// A path in ssh's forwards, where a colon is an end (`parse_fwd_field` of OpenSSH's readconf.c).
fn escaped(path: &Path) -> String {
    path.to_string_lossy().replace('\\', "\\\\").replace(':', "\\:")
}

impl Tunnel {
    /// Opens it. What ssh says goes to `events` too.
    pub(super) async fn open(
        ssh: &Path,
        (host, far): (&SshHost, &Address),
        socket: &Path,
        events: &mpsc::Sender<AttachEvent>,
    ) -> Result<Self, TunnelError> {
        // What an earlier ssh left would be taken for the way.
        let _ = std::fs::remove_file(socket);
        let line = command(ssh, host, socket, far);
        let shown = line.to_string();
        let words = Arc::default();
        let (sender, exit) = watch::channel(None);
        let relay = Relay { words: Arc::clone(&words), events: events.clone(), exit: sender };
        let spawning = tokio::task::spawn_blocking(move || spawn(&line, relay));
        let process = spawning.await.map_err(|error| TunnelError::Ended {
            host: host.to_string(),
            how: error.to_string(),
            words: String::new(),
            command: shown.clone(),
        })??;
        let tunnel = Self { process, words, exit };
        let begun = Instant::now();
        loop {
            if let Some(how) = tunnel.ended() {
                return Err(reason::of(host, &how, &tunnel.words(), shown));
            }
            // It listens once the forward is agreed on; who connected to see that would be a visitor on the far side.
            if is_socket(socket) {
                return Ok(tunnel);
            }
            if begun.elapsed() >= OPENING {
                let words = tunnel.words();
                tunnel.end().await;
                return Err(TunnelError::Silent { host: host.to_string(), limit: OPENING, words, command: shown });
            }
            sleep(BEAT).await;
        }
    }

    /// How ssh has ended, if it has: "exit code 255".
    pub(super) fn ended(&self) -> Option<String> {
        self.exit.borrow().as_ref().map(Exit::describe)
    }

    /// Waits until ssh has ended.
    pub(super) async fn gone(&mut self) {
        let _ = self.exit.wait_for(Option::is_some).await;
    }

    /// The last of what ssh said.
    pub(super) fn words(&self) -> String {
        String::from_utf8_lossy(&lock(&self.words)).into_owned()
    }

    /// Why nobody answered at the far side, if ssh has said so.
    pub(super) fn refusal(&self) -> Option<String> {
        reason::far_refusal(&self.words())
    }

    /// Ends ssh, and with it the way.
    pub(super) async fn end(self) {
        let ending = tokio::task::spawn_blocking(move || drop(self.process.end(GRACE)));
        // It has ended or is killed by then.
        let _ = ending.await;
    }
}

fn is_socket(path: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt as _;
    std::fs::symlink_metadata(path).is_ok_and(|meta| meta.file_type().is_socket())
}

/// Hears ssh on the threads that drain it.
struct Relay {
    words: Arc<Mutex<Vec<u8>>>,
    events: mpsc::Sender<AttachEvent>,
    exit: watch::Sender<Option<Exit>>,
}

impl Observer for Relay {
    fn output(&mut self, _: Channel, bytes: &[u8]) {
        let mut words = lock(&self.words);
        words.extend_from_slice(bytes);
        let over = words.len().saturating_sub(WORDS);
        words.drain(..over);
        drop(words);
        // Nobody waits for a log.
        let _ = self.events.try_send(AttachEvent::Said(bytes.to_vec()));
    }

    fn exited(&mut self, exit: &Exit) {
        self.exit.send_replace(Some(exit.clone()));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Where the socket of a tunnel is: the place of a guest's display.
pub(super) fn socket_in(runtime: &Path) -> PathBuf {
    crate::machine::RuntimePaths::new(runtime).vnc
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attach::Place;

    fn words(text: &str) -> Vec<String> {
        let place = Place::parse(text).unwrap();
        let line = command(Path::new("ssh"), &place.ssh.unwrap(), Path::new("/run/u:1/vnc.sock"), &place.at);
        line.arguments().iter().map(|word| word.to_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn the_command_asks_nobody_and_listens_on_nothing_but_a_socket() {
        let told = words("ssh://me@box:2222/:1");
        let ends = ["-L", "/run/u\\:1/vnc.sock:localhost:5901", "-p", "2222", "-l", "me", "--", "box"];
        assert!(told.ends_with(&ends.map(str::to_owned)), "{told:?}");
        for needed in ["-N", "BatchMode=yes", "ExitOnForwardFailure=yes", "ControlPath=none"] {
            assert!(told.iter().any(|word| word == needed), "{needed}: {told:?}");
        }
        assert!(!told.iter().any(|word| word == "-D" || word == "-R"));
        let told = words("ssh://box//run/a:b");
        assert!(told.ends_with(&["/run/u\\:1/vnc.sock:/run/a\\:b", "--", "box"].map(str::to_owned)), "{told:?}");
        let told = words("ssh://box/[::1]:1");
        assert!(told.iter().any(|word| word.ends_with("vnc.sock:[::1]:5901")), "{told:?}");
    }
}
