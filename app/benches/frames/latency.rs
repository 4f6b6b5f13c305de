//! How late the window is: from what an idle guest says that it has drawn to the frame that hands it to its texture, with the heartbeat that keeps
//! QEMU looking and without (a server that is only looked at gets none); and from a key that the X server has to that.

use std::io::{BufRead as _, BufReader, IoSlice, Write as _};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use cartridge::gui::Uploads;
use cartridge::session;
use rustix::time::{ClockId, clock_gettime};
use tokio::sync::mpsc::Sender;
use tokio::time::sleep;
use vmtools::GuestEvent;
use x11rb::connection::{Connection as _, RequestConnection as _};
use x11rb::protocol::xproto::{KEY_PRESS_EVENT, KEY_RELEASE_EVENT};
use x11rb::rust_connection::RustConnection;

use crate::harness::Guest;
use crate::screen::Screen;
use crate::{LONGEST, boot_sector, guest, program, quantile, sectors, until_taken};

/// How often it is tried, and how long the guest stands still before each.
const TRIES: usize = 20;
const STILL: Duration = Duration::from_secs(3);
const KEYS: usize = 30;
const PAUSE: Duration = Duration::from_millis(700);
/// Mode 13h as QEMU shows it: each of its 320×200 pixels is four.
const MODE_13H: (u32, u32) = (640, 400);
/// D to L in X key codes, eight above the scan codes: colours other than black.
const LETTERS: std::ops::Range<u8> = 0x28..0x2f;
/// Where the guest's screen is in a maximized window.
const ON_THE_SCREEN: [&str; 2] = ["960", "600"];
/// `FakeInput` of the extension XTEST, and its length in words (XTEST protocol, "Requests").
const FAKE_INPUT: u8 = 2;
const WORDS: u8 = 9;

/// Prints rows of milliseconds: median, nine of ten, worst.
pub async fn measure(display: &Screen) {
    println!("| from → to the frame that uploads it, ms | p50 | p90 | max |\n|---|---|---|---|");
    for (name, way) in
        [("an idle guest has drawn, with the heartbeat", "acts"), ("an idle guest has drawn, without", "looks")]
    {
        let (mut idle, socket) = guest(boot_sector::PIXELS, MODE_13H).await;
        let window = Shown::by(display, way, &socket);
        row(name, &drawn(&mut idle, &window).await);
        drop(window);
        idle.handle.end(|_, _| {}).await;
    }
    let (typed, socket) = guest(sectors::KEY_PIXELS, MODE_13H).await;
    let window = Shown::by(display, "acts", &socket);
    row("the X server has a key, and the guest draws it", &keys(display, &window).await);
    drop(window);
    typed.handle.end(|_, _| {}).await;
}

fn row(name: &str, values: &[f64]) {
    let at = |part| quantile(values, part);
    println!("| {name} ({} times) | {:.0} | {:.0} | {:.0} |", values.len(), at(0.5), at(0.9), at(1.0));
}

/// Nanoseconds of a clock that all programs share.
fn now() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// A window, and the moments of its uploads.
struct Shown {
    child: Child,
    moments: mpsc::Receiver<u64>,
    _home: tempfile::TempDir,
}

impl Shown {
    /// One whose first pictures have come.
    fn by(display: &Screen, way: &str, socket: &Path) -> Self {
        let (mut command, home) = program(display, way, socket);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (sender, moments) = mpsc::channel();
        std::thread::spawn(move || {
            for moment in lines.map_while(Result::ok).filter_map(|line| line.parse().ok()) {
                if sender.send(moment).is_err() {
                    break;
                }
            }
        });
        moments.recv_timeout(LONGEST).unwrap();
        Self { child, moments, _home: home }
    }

    /// Forgets what was uploaded so far.
    fn drain(&self) {
        while self.moments.try_recv().is_ok() {}
    }

    /// Milliseconds from then to the next upload; below zero where that came before the guest was heard to say so.
    fn since(&self, then: u64) -> f64 {
        let seen = self.moments.recv_timeout(Duration::from_secs(10)).unwrap();
        (i128::from(seen) - i128::from(then)) as f64 / 1e6
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// In that window: prints the moment of each upload.
pub fn tell(uploads: &Uploads, _: &Sender<session::Command>) {
    until_taken(uploads, 1);
    let mut taken = 0;
    loop {
        if uploads.taken() != taken {
            taken = uploads.taken();
            println!("{}", now());
            let _ = std::io::stdout().flush();
        }
        std::thread::sleep(Duration::from_micros(250));
    }
}

async fn drawn(guest: &mut Guest, window: &Shown) -> Vec<f64> {
    let mut values = Vec::new();
    for _ in 0..TRIES {
        sleep(STILL).await;
        window.drain();
        // White in mode 13h, on a pixel of its own each time.
        guest.handle.send_serial(vec![15]);
        let told = guest.until("an echo", |event| matches!(event, GuestEvent::Serial(_)).then(now)).await;
        values.push(window.since(told));
    }
    values
}

async fn keys(display: &Screen, window: &Shown) -> Vec<f64> {
    let [x, y] = ON_THE_SCREEN;
    assert!(display.xdotool(&["mousemove", x, y, "click", "1"]));
    let (line, _) = RustConnection::connect(Some(&display.display)).unwrap();
    let extension = line.extension_information("XTEST").unwrap().expect("the X server has XTEST").major_opcode;
    let press = |kind: u8, key: u8| {
        let mut bytes = vec![extension, FAKE_INPUT, WORDS, 0, kind, key];
        bytes.resize(usize::from(WORDS) * 4, 0);
        line.send_request_without_reply(&[IoSlice::new(&bytes)], Vec::new()).unwrap();
        line.flush().unwrap();
    };
    let mut values = Vec::new();
    for key in LETTERS.cycle().take(KEYS) {
        sleep(PAUSE).await;
        window.drain();
        let pressed = now();
        press(KEY_PRESS_EVENT, key);
        press(KEY_RELEASE_EVENT, key);
        values.push(window.since(pressed));
    }
    values
}
