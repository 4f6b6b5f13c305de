//! How late a picture is: from what the guest says that it has drawn to the published frame, and from a key to that.

use std::io::Write as _;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};
use vmtools::display::rfb::{Decoder, Told};
use vmtools::{GuestEvent, InputEvent, Screen};

use crate::harness::Guest;
use crate::{boot_sector, guest, quantile, sectors, socket};

/// How often it is tried, and how long the guest stands still before each.
const TRIES: usize = 20;
const STILL: Duration = Duration::from_secs(3);
const KEYS: usize = 30;
/// Mode 13h as QEMU shows it: each of its 320×200 pixels is four.
const MODE_13H: (u32, u32) = (640, 400);

/// Prints rows of milliseconds: median, nine of ten, worst.
pub async fn measure() {
    println!("| from → to the published frame, ms | p50 | p90 | max |");
    println!("|---|---|---|---|");
    let mut idle = guest(boot_sector::PIXELS, MODE_13H).await;
    let screen = Arc::clone(&idle.screen);
    row("an idle guest has drawn, with the heartbeat", &drawn(&mut idle, &screen).await);
    // Who hides a screen does not tell QEMU that somebody looks.
    idle.screen.set_visible(false);
    let bare = Arc::new(Screen::new());
    let over = Arc::new(AtomicBool::new(false));
    let client = std::thread::spawn({
        let (socket, bare, over) = (socket(&idle), Arc::clone(&bare), Arc::clone(&over));
        move || without_heartbeat(UnixStream::connect(socket).unwrap(), &bare, &over)
    });
    idle.wait("the bare client", |_| bare.live()).await;
    row("an idle guest has drawn, without", &drawn(&mut idle, &bare).await);
    over.store(true, Ordering::SeqCst);
    idle.handle.end(|_, _| {}).await;
    client.join().unwrap();
    let mut typed = guest(sectors::KEY_PIXELS, MODE_13H).await;
    row("a key is pressed, and the guest draws it", &keys(&mut typed).await);
    typed.handle.end(|_, _| {}).await;
}

fn row(name: &str, values: &[f64]) {
    let at = |part| quantile(values, part);
    println!("| {name} ({} times) | {:.0} | {:.0} | {:.0} |", values.len(), at(0.5), at(0.9), at(1.0));
}

/// Tells of each change of `screen`, with its moment.
fn watched(screen: &Screen) -> mpsc::UnboundedReceiver<Instant> {
    let (sender, receiver) = mpsc::unbounded_channel();
    screen.set_waker(Box::new(move || {
        let _ = sender.send(Instant::now());
    }));
    receiver
}

async fn echo(guest: &mut Guest) -> Instant {
    guest.until("an echo", |event| matches!(event, GuestEvent::Serial(_)).then(Instant::now)).await
}

async fn drawn(guest: &mut Guest, screen: &Screen) -> Vec<f64> {
    let mut changes = watched(screen);
    let mut values = Vec::new();
    for _ in 0..TRIES {
        sleep(STILL).await;
        while changes.try_recv().is_ok() {}
        // White in mode 13h, on a pixel of its own each time.
        guest.handle.send_serial(vec![15]);
        let told = echo(guest).await;
        let seen = timeout(Duration::from_secs(10), changes.recv()).await.unwrap().unwrap();
        values.push(seen.saturating_duration_since(told).as_secs_f64() * 1e3);
    }
    values
}

async fn keys(guest: &mut Guest) -> Vec<f64> {
    let mut changes = watched(&guest.screen);
    let mut values = Vec::new();
    // D to L, whose numbers are colours other than black.
    for scancode in (0x20..0x27).cycle().take(KEYS) {
        sleep(Duration::from_millis(700)).await;
        while changes.try_recv().is_ok() {}
        let pressed = Instant::now();
        guest.handle.input(InputEvent::key(scancode, true));
        guest.handle.input(InputEvent::key(scancode, false));
        let seen = timeout(Duration::from_secs(10), changes.recv()).await.unwrap().unwrap();
        values.push((seen - pressed).as_secs_f64() * 1e3);
    }
    values
}

/// Our decoder with one request in flight, and nothing else said.
fn without_heartbeat(mut line: UnixStream, screen: &Screen, over: &AtomicBool) {
    let mut answers = line.try_clone().unwrap();
    let mut decoder = Decoder::meet(line.try_clone().unwrap(), &mut answers, None).unwrap();
    let request = |incremental: u8, (width, height): (usize, usize)| {
        let mut bytes = vec![3, incremental, 0, 0, 0, 0];
        bytes.extend([width, height].iter().flat_map(|&side| (side as u16).to_be_bytes()));
        bytes
    };
    // QEMU's own pixels, raw, and no more asked for.
    line.write_all(&[0, 0, 0, 0, 32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0, 0, 0, 0]).unwrap();
    line.write_all(&[2, 0, 0, 1, 0, 0, 0, 0]).unwrap();
    line.write_all(&request(0, decoder.size())).unwrap();
    while !over.load(Ordering::SeqCst) {
        match decoder.next() {
            Ok(Told::Updated(_)) => {
                decoder.publish(screen);
                line.write_all(&request(1, decoder.size())).unwrap();
            }
            Ok(_) => {}
            Err(_) => break,
        }
    }
}
