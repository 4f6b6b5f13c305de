//! The same recorded bytes through each client, in turns.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tokio::runtime::Runtime;
use vmtools::Screen;
use vmtools::display::rfb::{Decoder, Told};

use crate::libvnc::LibVnc;
use crate::recorded::{Recorded, record_with};
use crate::{guest, quantile, sectors, socket};

const SIZES: i32 = -223;
const QUALITY: i32 = -24;

struct Stream {
    name: &'static str,
    /// As told to QEMU.
    numbers: &'static [i32],
    /// As libvncclient calls it.
    words: &'static str,
    vnc_rs: Option<vnc::VncEncoding>,
}

const STREAMS: [Stream; 5] = [
    Stream { name: "Raw", numbers: &[0, SIZES], words: "raw", vnc_rs: Some(vnc::VncEncoding::Raw) },
    Stream { name: "ZRLE", numbers: &[16, SIZES], words: "zrle", vnc_rs: Some(vnc::VncEncoding::Zrle) },
    Stream { name: "Tight", numbers: &[7, SIZES], words: "tight", vnc_rs: Some(vnc::VncEncoding::Tight) },
    Stream { name: "Tight with JPEG", numbers: &[7, QUALITY, SIZES], words: "tight", vnc_rs: None },
    Stream { name: "Hextile", numbers: &[5, SIZES], words: "hextile", vnc_rs: None },
];

/// Milliseconds per megapixel, a value a round.
#[derive(Default)]
struct Costs {
    /// Decoded only, as libvncclient leaves it: blue first.
    decoded: Vec<f64>,
    /// Decoded, and published with the window's order of colours, as vnc-rs's pixels are here.
    shown: Vec<f64>,
    vnc_rs: Vec<f64>,
    libvnc: Vec<f64>,
    copied: Vec<f64>,
    /// Read from the socket and not looked at: what no client can do without.
    read: Vec<f64>,
}

/// Prints a row a stream.
pub fn measure(runtime: &Runtime, rounds: usize) {
    let peer = LibVnc::compile();
    println!("processor ms per megapixel, median of {rounds} rounds in turns; ratios of a round's own");
    println!(
        "| stream | MP | memcpy | reading alone | ours, decoded | ours, shown | libvncclient | decoded / libvncclient | vnc-rs | shown / vnc-rs |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    for (name, code, size, updates) in
        [("text 720x400", sectors::TEXT, (720, 400), 60), ("motion 1920x1080", sectors::MOTION, (1920, 1080), 24)]
    {
        let screen = runtime.block_on(guest(code, size));
        // The guest is watched by the recorder alone.
        screen.screen.set_visible(false);
        let socket = socket(&screen);
        for stream in &STREAMS {
            let mut count = 0;
            let recorded = record_with(&socket, stream.numbers, |_| {
                count += 1;
                count >= updates
            });
            row(&format!("{}, {name}", stream.name), &recorded, stream, peer.as_ref().ok(), rounds);
        }
        runtime.block_on(screen.handle.end(|_, _| {}));
    }
    if let Err(why) = peer {
        println!("libvncclient was not measured: {why}");
    }
}

fn spent(work: impl FnOnce()) -> f64 {
    let cpu = || {
        let now = clock_gettime(ClockId::ThreadCPUTime);
        Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
    };
    let before = cpu();
    work();
    (cpu() - before).as_secs_f64() * 1e3
}

/// Our client's milliseconds for a whole stream, and megapixels.
fn ours(recorded: &Recorded, screen: Option<&Screen>) -> (f64, f64) {
    let length = recorded.bytes.len() as u64;
    let (near, mut far) = UnixStream::pair().unwrap();
    let bytes = std::sync::Arc::clone(&recorded.bytes);
    let server = std::thread::spawn(move || far.write_all(&bytes));
    let mut decoder = Decoder::new(near, recorded.width.into(), recorded.height.into(), "").unwrap();
    let ms = spent(|| {
        while decoder.consumed() < length {
            if matches!(decoder.next().unwrap(), Told::Updated(_))
                && let Some(screen) = screen
            {
                decoder.publish(screen);
            }
        }
    });
    server.join().unwrap().unwrap();
    (ms, decoder.painted() as f64 / 1e6)
}

/// Milliseconds to read a whole stream into memory as large as a picture, over and over, as much at once as there is.
fn reading(recorded: &Recorded, picture: &mut [u8]) -> f64 {
    let (mut near, mut far) = UnixStream::pair().unwrap();
    let bytes = std::sync::Arc::clone(&recorded.bytes);
    let server = std::thread::spawn(move || far.write_all(&bytes));
    let (mut left, mut at) = (recorded.bytes.len(), 0);
    let ms = spent(|| {
        while left > 0 {
            let until = picture.len().min(at + left);
            let count = near.read(&mut picture[at..until]).unwrap();
            (left, at) = (left - count, (at + count) % picture.len());
        }
    });
    server.join().unwrap().unwrap();
    ms
}

fn row(name: &str, recorded: &Recorded, stream: &Stream, peer: Option<&LibVnc>, rounds: usize) {
    let length = recorded.bytes.len();
    let mut costs = Costs::default();
    let mut megapixels = 0.0;
    let (size, picture) = recorded.ours(length);
    let mut copy = picture.clone();
    for _ in 0..rounds {
        let (decoded, painted) = ours(recorded, None);
        megapixels = painted;
        costs.decoded.push(decoded / megapixels);
        if let Some(peer) = peer {
            let theirs = peer.picture(recorded, length, stream.words);
            // JPEG decoders differ in the last bits.
            assert!(
                theirs.size == size && (stream.numbers.contains(&QUALITY) || theirs.rgba == picture),
                "{name}: libvncclient sees another picture"
            );
            costs.libvnc.push(theirs.ms / megapixels);
        }
        costs.shown.push(ours(recorded, Some(&Screen::new())).0 / megapixels);
        if let Some(kind) = stream.vnc_rs {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let ms = spent(|| {
                runtime.block_on(recorded.by_vnc_rs(length, kind));
            });
            costs.vnc_rs.push(ms / megapixels);
        }
        costs.read.push(reading(recorded, &mut copy) / megapixels);
        let frames = (megapixels * 4e6 / picture.len() as f64).ceil() as usize;
        let ms = spent(|| {
            for _ in 0..frames {
                copy.copy_from_slice(std::hint::black_box(&picture));
                std::hint::black_box(&mut copy);
            }
        });
        costs.copied.push(ms / (frames * picture.len()) as f64 * 4e6);
    }
    let value = |values: &[f64]| if values.is_empty() { "–".into() } else { format!("{:.2}", quantile(values, 0.5)) };
    let ratio = |ours: &[f64], theirs: &[f64]| {
        value(&ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs).collect::<Vec<_>>())
    };
    println!(
        "| {name} | {megapixels:.1} | {} | {} | {} | {} | {} | {} | {} | {} |",
        value(&costs.copied),
        value(&costs.read),
        value(&costs.decoded),
        value(&costs.shown),
        value(&costs.libvnc),
        ratio(&costs.decoded, &costs.libvnc),
        value(&costs.vnc_rs),
        ratio(&costs.shown, &costs.vnc_rs),
    );
}
