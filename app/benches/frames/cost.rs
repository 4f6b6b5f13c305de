//! What a frame of the window costs while a guest of 1920×1080 moves: processor milliseconds of the whole program for each of the
//! guest's pictures, uploaded as a whole and uploaded where it has changed, in turns.

use std::path::Path;
use std::time::{Duration, Instant};

use cartridge::gui::Uploads;
use cartridge::session;
use rustix::time::{ClockId, clock_gettime};
use tokio::runtime::Runtime;
use tokio::sync::mpsc::Sender;

use crate::screen::Screen;
use crate::{guest, program, quantile, sectors, until_taken};

/// The guest's screen, pixels.
const SIZE: (u32, u32) = (1920, 1080);
/// How long is measured at once.
const SPAN: Duration = Duration::from_secs(4);
/// Pictures that pass before: fonts, textures and the first layout are made then.
const FIRST: u64 = 10;
/// How much of [`sectors::MOTION`] is painted, in banks of 64 KiB, and how that is called.
const SCENES: [(&str, u8); 3] = [("all of it", 0x7f), ("a quarter of it", 0x20), ("a strip of 3 %", 0x04)];
/// Where the number of banks is in the sector: the value that bx is compared with.
const BANKS: [u8; 2] = [0x83, 0xfb];

/// Prints rows: pictures a second, milliseconds a picture each way, and their ratio.
pub fn measure(runtime: &Runtime, display: &Screen, rounds: usize) {
    println!(
        "| of 1920×1080 moves | pictures a second | whole, ms a picture | what changed, ms a picture | ratio |\n|---|---|---|---|---|"
    );
    for (name, banks) in SCENES {
        let mut code = sectors::MOTION.to_vec();
        let at = code.windows(2).position(|two| two == BANKS).unwrap() + BANKS.len();
        code[at] = banks;
        let (guest, socket) = runtime.block_on(guest(&code, SIZE));
        let (mut whole, mut parts, mut rates) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..rounds {
            whole.push(cost(display, "whole", &socket).0);
            let (ms, rate) = cost(display, "parts", &socket);
            parts.push(ms);
            rates.push(rate);
        }
        let ratios: Vec<f64> = parts.iter().zip(&whole).map(|(parts, whole)| parts / whole).collect();
        let [whole, parts, rate, ratio] = [&whole, &parts, &rates, &ratios].map(|values| quantile(values, 0.5));
        println!("| {name} | {rate:.0} | {whole:.1} | {parts:.1} | {ratio:.2} |");
        runtime.block_on(guest.handle.end(|_, _| {}));
    }
}

/// Processor milliseconds a picture of a window of its own, and pictures a second.
fn cost(display: &Screen, way: &str, socket: &Path) -> (f64, f64) {
    let (mut command, _home) = program(display, way, socket);
    let out = command.output().unwrap();
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let mut words = text.split_whitespace().map(|word| word.parse::<f64>());
    match (words.next(), words.next()) {
        (Some(Ok(ms)), Some(Ok(rate))) => (ms, rate),
        _ => panic!("{text}{}", String::from_utf8_lossy(&out.stderr)),
    }
}

/// In that window: prints what it costs and closes it.
pub fn tell(uploads: &Uploads, commands: &Sender<session::Command>) {
    until_taken(uploads, FIRST);
    let (cpu, taken, began) = (clock_gettime(ClockId::ProcessCPUTime), uploads.taken(), Instant::now());
    std::thread::sleep(SPAN);
    let (spent, pictures) = (clock_gettime(ClockId::ProcessCPUTime), uploads.taken() - taken);
    let ms = (spent.tv_sec - cpu.tv_sec) as f64 * 1e3 + (spent.tv_nsec - cpu.tv_nsec) as f64 / 1e6;
    println!("{} {}", ms / pictures as f64, pictures as f64 / began.elapsed().as_secs_f64());
    let _ = commands.blocking_send(session::Command::Quit);
}
