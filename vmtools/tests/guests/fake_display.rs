//! A fake display that does what QEMU's does rarely: breaks a connection while a button is down, or shows a screen of a
//! size that QEMU 7 does not show yet.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use vmtools::display::{DisplayLink, VncSource};
use vmtools::{DisplaySource, InputEvent, Screen};

use crate::harness::SOON;

struct Display {
    listener: UnixListener,
    screen: Arc<Screen>,
    inputs: mpsc::Sender<InputEvent>,
    gone: watch::Sender<bool>,
    _dir: tempfile::TempDir,
}

impl Display {
    fn new() -> Self {
        // As a runtime directory is.
        let private = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        let dir = tempfile::Builder::new().permissions(private).tempdir().unwrap();
        let path = dir.path().join("vnc");
        let listener = UnixListener::bind(&path).unwrap();
        let screen = Arc::new(Screen::new());
        let (sender, inputs) = mpsc::channel(16);
        let (gone, is_gone) = watch::channel(false);
        let link = DisplayLink { screen: Arc::clone(&screen), inputs, gone: is_gone };
        tokio::spawn(Box::new(VncSource::new(&path)).run(link));
        Self { listener, screen, inputs: sender, gone, _dir: dir }
    }

    /// Shakes hands as RFC 6143, 7.1 to 7.3 says, with a screen of that size.
    async fn accept(&self, width: u16, height: u16) -> UnixStream {
        let (mut line, _) = timeout(SOON, self.listener.accept()).await.unwrap().unwrap();
        line.write_all(b"RFB 003.008\n").await.unwrap();
        line.read_exact(&mut [0; 12]).await.unwrap();
        line.write_all(&[1, 1]).await.unwrap();
        line.read_exact(&mut [0; 1]).await.unwrap();
        line.write_all(&[0; 4]).await.unwrap();
        line.read_exact(&mut [0; 1]).await.unwrap();
        let mut init = [width.to_be_bytes(), height.to_be_bytes()].concat();
        // 32 bits a pixel, depth 24, little endian, true colour, and no name.
        init.extend([32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0, 0, 0, 0, 0, 0, 0, 0]);
        line.write_all(&init).await.unwrap();
        line
    }
}

/// The next pointer's buttons in what the client sends (RFC 6143, 7.5).
async fn next_buttons(line: &mut UnixStream) -> u8 {
    let reading = async {
        loop {
            let mut kind = [0];
            line.read_exact(&mut kind).await.unwrap();
            let mut rest = match kind[0] {
                0 => vec![0; 19],
                2 => {
                    let mut head = [0; 3];
                    line.read_exact(&mut head).await.unwrap();
                    vec![0; 4 * usize::from(u16::from_be_bytes([head[1], head[2]]))]
                }
                3 => vec![0; 9],
                4 => vec![0; 7],
                5 => vec![0; 5],
                other => panic!("message {other}"),
            };
            line.read_exact(&mut rest).await.unwrap();
            if kind[0] == 5 {
                return rest[0];
            }
        }
    };
    timeout(SOON, reading).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_button_does_not_stick_when_the_connection_breaks() {
    let display = Display::new();
    let mut line = display.accept(640, 400).await;
    display.inputs.send(InputEvent::Pointer { x: 5, y: 6, buttons: 1 }).await.unwrap();
    assert_eq!(next_buttons(&mut line).await, 1);
    drop(line);
    let mut line = display.accept(640, 400).await;
    assert_eq!((next_buttons(&mut line).await, next_buttons(&mut line).await), (1, 0));
    display.gone.send_replace(true);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_screen_that_is_too_large_is_said() {
    let display = Display::new();
    let mut attempts = 0;
    while display.screen.trouble().is_none() {
        drop(display.accept(5120, 2160).await);
        tokio::time::sleep(Duration::from_millis(50)).await;
        attempts += 1;
        assert!(attempts < 10, "it is never said");
    }
    assert!(display.screen.trouble().unwrap().contains("8,294,400 pixels") && !display.screen.live());
    // One pixel is a picture: the trouble is over.
    let mut line = display.accept(1, 1).await;
    line.write_all(&[0, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 1, 2, 3, 0]).await.unwrap();
    let shown = async {
        while display.screen.trouble().is_some() || !display.screen.live() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(SOON, shown).await.unwrap();
    display.gone.send_replace(true);
}
