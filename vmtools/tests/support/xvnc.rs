//! TigerVNC's Xvnc: an X screen that is a VNC server, and what other programs see on it; and certificates for one with TLS.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::net::TcpListener;
use std::path::Path;
use std::sync::{Arc, Mutex};

use cartridge_supervise::{Cancel, Channel, CommandLine, Exit, Observer, ProcessHandle, run, spawn};
use vmtools::display::rfb::Fingerprint;

/// "secret" as vncpasswd(1) writes it.
const PASSWORD_FILE: [u8; 8] = [0x2e, 0x2d, 0xbf, 0x57, 0x6e, 0xb0, 0x6c, 0x9e];

#[derive(Clone, Default)]
pub struct Said(Arc<Mutex<Vec<u8>>>);

impl Observer for Said {
    fn output(&mut self, _: Channel, bytes: &[u8]) {
        self.0.lock().unwrap().extend_from_slice(bytes);
    }

    fn exited(&mut self, _: &Exit) {}
}

impl Said {
    pub fn has(&self, words: &str) -> bool {
        String::from_utf8_lossy(&self.0.lock().unwrap()).contains(words)
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

/// An X screen of 320×200 pixels that is a VNC server.
pub struct Xvnc {
    display: String,
    pub dir: tempfile::TempDir,
    pub said: Said,
    server: ProcessHandle,
}

pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Xvnc {
    pub fn start(words: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("password"), PASSWORD_FILE).unwrap();
        // A number that no other X screen has: a port that is free just now.
        let display = format!(":{}", free_port());
        let line =
            CommandLine::new("Xvnc").arg(&display).args(["-geometry", "320x200", "-depth", "24", "-nolisten", "tcp"]);
        let line = line.args(["-UseBlacklist=0", "-AlwaysShared", "-PasswordFile"]).arg(dir.path().join("password"));
        let said = Said::default();
        let server = spawn(&line.args(words), said.clone()).unwrap();
        Self { display, dir, said, server }
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.server.pid()
    }

    pub fn socket() -> (tempfile::TempDir, std::path::PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("vnc");
        (dir, path)
    }

    pub fn on_socket(path: &Path) -> Self {
        Self::start(&["-SecurityTypes", "None", "-rfbport", "-1", "-rfbunixpath", path.to_str().unwrap()])
    }

    pub fn program(&self, name: &str) -> CommandLine {
        CommandLine::new(name).env("DISPLAY", &self.display)
    }

    pub fn run(&self, line: CommandLine) -> Vec<u8> {
        run(&line, &Cancel::new(), |_, _| ()).unwrap().stdout
    }

    /// Draws a pattern of two colours all over the screen.
    pub fn draw(&self) {
        self.run(self.program("xsetroot").args(["-mod", "7", "5", "-fg", "orange", "-bg", "navy"]));
    }

    /// The screen as another program sees it: width, height, RGBA.
    pub fn picture(&self) -> (u32, u32, Vec<u8>) {
        let file = self.dir.path().join("screen.png");
        self.run(self.program("import").args(["-window", "root"]).arg(&file));
        let image = image::open(&file).unwrap().into_rgba8();
        (image.width(), image.height(), image.into_raw())
    }
}

/// An authority, and a server's key and certificate by it for "localhost" and 127.0.0.1, named as QEMU wants them.
pub fn certificates(dir: &Path) -> Fingerprint {
    let openssl = |words: &[&str]| {
        let line = CommandLine::new("openssl").args(words).cwd(dir);
        run(&line, &Cancel::new(), |_, _| ()).unwrap().stdout
    };
    std::fs::write(dir.join("names"), "subjectAltName=DNS:localhost,IP:127.0.0.1\n").unwrap();
    let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30"];
    let authority = ["req", "-x509", "-subj", "/CN=authority", "-keyout", "ca-key.pem", "-out", "ca-cert.pem"];
    openssl(&[&authority[..], &key].concat());
    let request = ["req", "-new", "-subj", "/CN=localhost", "-keyout", "server-key.pem", "-out", "request.pem"];
    openssl(&[&request[..], &key[..5]].concat());
    let sign = "x509 -req -in request.pem -CA ca-cert.pem -CAkey ca-key.pem -CAcreateserial -days 30 -extfile names -out \
                server-cert.pem";
    openssl(&sign.split_whitespace().collect::<Vec<_>>());
    let told = openssl(&["x509", "-noout", "-fingerprint", "-sha256", "-in", "server-cert.pem"]);
    let told = String::from_utf8(told).unwrap();
    Fingerprint::parse(told.split_once('=').unwrap().1).unwrap()
}

/// An X screen whose server wants TLS: its address.
pub fn xvnc(dir: &Path, kind: &str) -> (Xvnc, String) {
    let port = free_port().to_string();
    let file = |name: &str| dir.join(name).to_str().unwrap().to_owned();
    let (certificate, key) = (file("server-cert.pem"), file("server-key.pem"));
    let words = ["-SecurityTypes", kind, "-X509Cert", &certificate, "-X509Key", &key, "-localhost", "-rfbport", &port];
    (Xvnc::start(&words), format!("127.0.0.1:{port}"))
}
