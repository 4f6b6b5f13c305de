//! Servers that do what none should, to the whole of our own VNC client: nothing is lost, and what stays so is said.

use std::path::PathBuf;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::timeout;
use vmtools::display::rfb::RfbSource;

use crate::harness::SOON;
use crate::viewer::{Viewer, view};

struct Server {
    listener: UnixListener,
    viewer: Viewer,
    _dir: tempfile::TempDir,
}

impl Server {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path: PathBuf = dir.path().join("vnc");
        let listener = UnixListener::bind(&path).unwrap();
        Self { listener, viewer: view(RfbSource::new(&path)), _dir: dir }
    }

    async fn accept(&self) -> UnixStream {
        timeout(SOON, self.listener.accept()).await.expect("it does not come back").unwrap().0
    }

    /// Shakes hands as RFC 6143, 7.1 to 7.3 says, with a screen of that size.
    async fn greet(&self, width: u16, height: u16) -> UnixStream {
        let mut line = self.accept().await;
        line.write_all(b"RFB 003.008\n\x01\x01\0\0\0\0").await.unwrap();
        line.read_exact(&mut [0; 14]).await.unwrap();
        let mut init = [width.to_be_bytes(), height.to_be_bytes()].concat();
        init.extend([32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0, 0, 0, 0, 0, 0, 0, 0]);
        line.write_all(&init).await.unwrap();
        line
    }

    async fn until(&self, what: &str, mut done: impl FnMut(&Viewer) -> bool) {
        let waiting = async {
            while !done(&self.viewer) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(SOON, waiting).await.unwrap_or_else(|_| panic!("waiting for {what}"));
    }

    fn width(&self) -> Option<u32> {
        self.viewer.screen.snapshot().map(|frame| frame.width)
    }

    async fn end(self) {
        self.viewer.gone.send_replace(true);
        timeout(SOON, self.viewer.running).await.expect("it does not end").unwrap();
    }
}

fn rect(width: u16, height: u16, encoding: i32) -> Vec<u8> {
    let mut bytes = vec![0; 4];
    bytes.extend([width, height].iter().flat_map(|side| side.to_be_bytes()));
    bytes.extend(encoding.to_be_bytes());
    bytes
}

/// A whole picture of that size in one colour, the size before it.
fn picture(width: u16, height: u16, colour: u8) -> Vec<u8> {
    let pixels = vec![colour; usize::from(width) * usize::from(height) * 4];
    [&[0, 0, 0, 2][..], &rect(width, height, -223), &rect(width, height, 0), &pixels].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_stalls_or_closes_in_the_middle_is_left_and_tried_again() {
    let server = Server::new();
    let half = [&[0, 0, 0, 1][..], &rect(20, 10, 0), &[7; 100]].concat();
    for stalls in [true, false] {
        let mut line = server.greet(20, 10).await;
        line.write_all(&picture(20, 10, 9)).await.unwrap();
        server.until("a picture", |viewer| viewer.screen.live()).await;
        line.write_all(&half).await.unwrap();
        if !stalls {
            drop(line);
            server.until("the loss", |viewer| !viewer.screen.live()).await;
            break;
        }
        server.until("the loss", |viewer| !viewer.screen.live()).await;
        // Of half a rectangle nothing is seen.
        let frame = server.viewer.screen.snapshot().unwrap();
        assert!(frame.rgba.chunks_exact(4).all(|pixel| pixel == [9, 9, 9, 255]));
    }
    // Who says nothing at all is not waited for either.
    let silent = server.accept().await;
    let mut line = server.greet(20, 10).await;
    line.write_all(&picture(20, 10, 8)).await.unwrap();
    server.until("a picture", |viewer| viewer.screen.live()).await;
    drop(silent);
    server.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_will_not_mend_is_said_and_forgotten_when_it_does() {
    let server = Server::new();
    let security = b"RFB 003.008\n\x02\x05\x1e".to_vec();
    let garbage = [&b"RFB 003.008\n\x01\x01\0\0\0\0"[..], &[0, 8, 0, 8], &[0; 20], b"\x99\x99"].concat();
    let huge = [&b"RFB 003.008\n\x01\x01\0\0\0\0"[..], &[255; 4], &[0; 20]].concat();
    for (bytes, words) in [
        (&security[..], "a way to log in"),
        (&garbage, "is refused"),
        (&huge, "more than 16384"),
        (b"SSH-2.0-OpenSSH\r\n", "no VNC server"),
    ] {
        while server.viewer.screen.trouble().is_none() {
            let mut line = server.accept().await;
            // It may hang up before it has heard all.
            let _ = line.write_all(bytes).await;
            let _ = timeout(SOON, line.read_to_end(&mut Vec::new())).await.expect("it does not hang up");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let why = server.viewer.screen.trouble().unwrap();
        assert!(why.contains(words), "{why}");
        let mut line = server.greet(2, 2).await;
        line.write_all(&picture(2, 2, 3)).await.unwrap();
        server.until("a picture", |viewer| viewer.screen.live() && viewer.screen.trouble().is_none()).await;
    }
    server.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_size_that_changes_with_every_picture_is_followed() {
    let server = Server::new();
    let mut line = server.greet(10, 10).await;
    // What it says is read away, or it would wait for us.
    let (mut from, mut to) = line.split();
    let saying = async {
        for number in 0..300_u16 {
            to.write_all(&picture(1 + number * 7 % 500, 1 + number % 90, number as u8)).await.unwrap();
        }
        to.write_all(&picture(123, 45, 67)).await.unwrap();
        server.until("the last picture", |viewer| viewer.screen.live() && server.width() == Some(123)).await;
    };
    tokio::select! {
        () = saying => {}
        _ = async { while from.read(&mut [0; 4096]).await.unwrap() > 0 {} } => panic!("it hung up"),
    }
    let frame = server.viewer.screen.snapshot().unwrap();
    assert!(frame.height == 45 && frame.rgba.chunks_exact(4).all(|pixel| pixel == [67, 67, 67, 255]));
    server.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_does_not_wait_for_a_server_that_says_nothing_more() {
    let server = Server::new();
    let mut line = server.greet(20, 10).await;
    line.write_all(&[&[0, 0, 0, 1][..], &rect(20, 10, 0)].concat()).await.unwrap();
    server.end().await;
}
