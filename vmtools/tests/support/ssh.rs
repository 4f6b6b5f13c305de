//! A real sshd on this machine's loopback, and a client that knows nothing but it: keys, known hosts and configuration of their
//! own, whatever the user has.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use cartridge_supervise::{Cancel, Channel, CommandLine, Exit, Observer, ProcessHandle, run, spawn};

/// sshd, until it is dropped.
pub struct SshServer {
    pub port: u16,
    pub user: String,
    dir: tempfile::TempDir,
    server: Option<ProcessHandle>,
}

struct Silent;

impl Observer for Silent {
    fn output(&mut self, _: Channel, _: &[u8]) {}

    fn exited(&mut self, _: &Exit) {}
}

fn tool(line: CommandLine) -> String {
    String::from_utf8(run(&line, &Cancel::new(), |_, _| ()).unwrap().stdout).unwrap()
}

fn sshd() -> PathBuf {
    let places = ["/usr/sbin/sshd", "/usr/bin/sshd", "/sbin/sshd"];
    places
        .map(PathBuf::from)
        .into_iter()
        .find(|path| path.exists())
        .expect("this test needs sshd (see packaging/needs.tsv)")
}

impl SshServer {
    /// One that lets the user who runs the test in, by a key.
    pub fn start() -> Self {
        let dir = tempfile::Builder::new().prefix("ssh").tempdir_in("/tmp").unwrap();
        let file = |name: &str| dir.path().join(name).display().to_string();
        for key in ["host_key", "user_key", "other_key"] {
            tool(CommandLine::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f", &file(key)]));
        }
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        std::fs::copy(file("user_key.pub"), file("authorized_keys")).unwrap();
        let config = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {}\nAuthorizedKeysFile {}\nPasswordAuthentication no\n\
             KbdInteractiveAuthentication no\nPermitRootLogin yes\nStrictModes no\nUsePAM no\nPidFile none\n",
            file("host_key"),
            file("authorized_keys"),
        );
        std::fs::write(file("sshd_config"), config).unwrap();
        let user = tool(CommandLine::new("id").arg("-un")).trim().to_owned();
        let config = format!(
            "IdentityFile {}\nIdentitiesOnly yes\nIdentityAgent none\nUserKnownHostsFile {}\nGlobalKnownHostsFile /dev/null\n",
            file("user_key"),
            file("known_hosts"),
        );
        std::fs::write(file("ssh_config"), config).unwrap();
        let script = format!("#!/bin/sh\nexec /usr/bin/ssh -F {} \"$@\"\n", file("ssh_config"));
        std::fs::write(file("ssh"), script).unwrap();
        std::fs::set_permissions(file("ssh"), std::fs::Permissions::from_mode(0o755)).unwrap();
        // Where root runs it, it wants its service's empty folder.
        let _ = std::fs::create_dir_all("/run/sshd");
        let mut server = Self { port, user, dir, server: None };
        server.know("host_key");
        server.again();
        server
    }

    /// Starts it, in place of one that runs.
    pub fn again(&mut self) {
        self.stop();
        let line = CommandLine::new(sshd()).args(["-D", "-e", "-f"]).arg(self.file("sshd_config"));
        self.server = Some(spawn(&line, Silent).unwrap());
        let end = Instant::now() + Duration::from_secs(20);
        while std::net::TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(Instant::now() < end, "sshd does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Ends it, and the connections that it has.
    pub fn stop(&mut self) {
        if let Some(server) = self.server.take() {
            // Each connection has processes in a session of their own.
            let connections = descendants(server.pid());
            server.kill();
            connections.into_iter().for_each(kill);
            let _ = server.wait(Duration::from_secs(5));
        }
    }

    /// Cuts the connections that it has, and goes on listening.
    pub fn cut(&self) {
        if let Some(server) = &self.server {
            descendants(server.pid()).into_iter().for_each(kill);
        }
    }

    /// The client believes that the host has this key, and no other.
    pub fn know(&self, key: &str) {
        let key = std::fs::read_to_string(self.file(&format!("{key}.pub"))).unwrap();
        std::fs::write(self.file("known_hosts"), format!("[127.0.0.1]:{} {key}", self.port)).unwrap();
    }

    /// The client knows no host.
    pub fn know_nobody(&self) {
        std::fs::write(self.file("known_hosts"), "").unwrap();
    }

    /// The host takes this key, and no other.
    pub fn take(&self, key: &str) {
        std::fs::copy(self.file(&format!("{key}.pub")), self.file("authorized_keys")).unwrap();
    }

    /// A file of the server and its client.
    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The client.
    pub fn client(&self) -> PathBuf {
        self.file("ssh")
    }

    /// A folder in which the client is called ssh.
    pub fn bin(&self) -> &Path {
        self.dir.path()
    }

    /// How the host is named: `me@127.0.0.1:40022`.
    pub fn host(&self) -> String {
        format!("{}@127.0.0.1:{}", self.user, self.port)
    }
}

impl Drop for SshServer {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Processes that this one has started, and those that they have.
fn descendants(pid: u32) -> Vec<u32> {
    // proc(5): the parent is the second field after the name in parentheses.
    let parent = |stat: &str| stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse::<u32>().ok();
    let processes = std::fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| {
        let id = entry.file_name().to_str()?.parse::<u32>().ok()?;
        Some((id, parent(&std::fs::read_to_string(entry.path().join("stat")).ok()?)?))
    });
    let processes: Vec<_> = processes.collect();
    let mut found = vec![pid];
    for at in 0.. {
        let Some(&of) = found.get(at) else { break };
        found.extend(processes.iter().filter(|(_, parent)| *parent == of).map(|(id, _)| *id));
    }
    found.split_off(1)
}

fn kill(pid: u32) {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    // It may have ended just now.
    let _ = rustix::process::kill_process(pid.unwrap(), rustix::process::Signal::KILL);
}
