//! Our own VNC client against a small server made with libvncserver, which knows neither QEMU's keys nor its sizes: it changes its
//! size by the cursor keys, draws what is typed, and what it shows can be computed.

use std::time::{Duration, Instant};

use cartridge_supervise::{Cancel, Channel, CommandLine, Exit, Observer, run, spawn};
use vmtools::InputEvent;
use vmtools::display::rfb::{Encoding, RfbSource};

use crate::harness::SOON;
use crate::viewer::{Viewer, view};

const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/guests/example_server.c");
/// Scan codes of Page Up, the cursor keys, `h` and `i`.
const PAGE_UP: u16 = 0xe049;
const UP: u16 = 0xe048;
const DOWN: u16 = 0xe050;
const HI: [u16; 2] = [0x23, 0x17];

/// Nobody hears what a program says.
pub struct Silent;

impl Observer for Silent {
    fn output(&mut self, _: Channel, _: &[u8]) {}

    fn exited(&mut self, _: &Exit) {}
}

/// Its background: shades from the left and from the top, and a white edge.
fn background(width: usize, height: usize) -> Vec<u8> {
    let shade = |value: usize| u8::try_from(value).unwrap();
    let pixel = |x: usize, y: usize| match x {
        0 => [255; 4],
        _ => [shade((x + y) * 128 / (width + height)), shade(x * 128 / width), shade(y * 256 / height), 255],
    };
    (0..height).flat_map(|y| (0..width).flat_map(move |x| pixel(x, y))).collect()
}

/// Whether it is that picture; packed by JPEG, which Tight may, nearly that.
fn alike(rgba: &[u8], expected: &[u8], encoding: Encoding) -> bool {
    if encoding != Encoding::Tight || rgba.len() != expected.len() {
        return rgba == expected;
    }
    let off = rgba.iter().zip(expected).map(|(one, other)| u64::from(one.abs_diff(*other)));
    off.clone().all(|off| off < 80) && off.sum::<u64>() < 2 * rgba.len() as u64
}

async fn shows(viewer: &Viewer, what: &str, wanted: impl Fn(&[u8]) -> bool) -> Vec<u8> {
    let end = Instant::now() + SOON;
    loop {
        if let Some(frame) = viewer.screen.snapshot().filter(|_| viewer.screen.live())
            && wanted(&frame.rgba)
        {
            return frame.rgba.to_vec();
        }
        let size = viewer.screen.snapshot().map(|frame| (frame.width, frame.height));
        assert!(Instant::now() < end, "waiting for {what}: {size:?} {:?}", viewer.screen.trouble());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn press(viewer: &Viewer, scancode: u16) {
    for down in [true, false] {
        viewer.inputs.send(InputEvent::key(scancode, down)).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn its_picture_is_the_computed_one_at_every_size_and_in_every_encoding() {
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("example");
    let line = CommandLine::new("cc").args(["-O1", SOURCE, "-lvncserver", "-o"]).arg(&program);
    run(&line, &Cancel::new(), |_, _| ()).unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let line = CommandLine::new(&program).args(["-listen", "127.0.0.1", "-rfbport"]).arg(port.to_string());
    let _server = spawn(&line, Silent).unwrap();
    let source = |encoding| RfbSource::tcp(&format!("127.0.0.1:{port}")).with_encoding(encoding);
    for encoding in [Encoding::Raw, Encoding::Hextile, Encoding::Zrle, Encoding::Tight] {
        // The server may still be on its way.
        let viewer = view(source(encoding));
        shows(&viewer, "a picture", |_| true).await;
        press(&viewer, PAGE_UP).await;
        shows(&viewer, "the background", |rgba| alike(rgba, &background(800, 600), encoding)).await;
        for (key, width, height) in [(UP, 1024, 768), (DOWN, 800, 600), (DOWN, 640, 480), (UP, 800, 600)] {
            press(&viewer, key).await;
            shows(&viewer, "the next size", |rgba| alike(rgba, &background(width, height), encoding)).await;
        }
        // Words where the pointer is, and a dot.
        let plain = background(800, 600);
        for (x, buttons) in [(100, 0), (300, 2), (300, 0), (100, 0)] {
            viewer.inputs.send(InputEvent::Pointer { x, y: 200, buttons }).await.unwrap();
        }
        for letter in HI {
            press(&viewer, letter).await;
        }
        let changed = |rgba: &[u8], x: std::ops::Range<usize>| {
            let white = |x: usize, y: usize| rgba[(y * 800 + x) * 4..][..3].iter().all(|it| *it > 220);
            (180..220).any(|y| x.clone().any(|x| white(x, y)))
        };
        let drawn = |rgba: &[u8]| {
            rgba.len() == plain.len() && changed(rgba, 100..107) && changed(rgba, 107..120) && changed(rgba, 298..302)
        };
        shows(&viewer, "what was drawn", drawn).await;
        // A viewer that comes later sees the same.
        let later = view(source(Encoding::Raw));
        let exact = shows(&later, "what was drawn", drawn).await;
        shows(&viewer, "the same", |rgba| alike(rgba, &exact, encoding)).await;
        for viewer in [viewer, later] {
            viewer.gone.send_replace(true);
            viewer.running.await.unwrap();
        }
    }
}
