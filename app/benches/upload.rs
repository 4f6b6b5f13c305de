//! What a frame of the window costs while a guest of 1920×1080 moves: processor milliseconds of the whole program for each of the
//! guest's pictures, uploaded as a whole and uploaded where it has changed, in turns. The window is the real one, attached to a real
//! QEMU; its OpenGL is that of the X server, in software. Prints rows of the README's table.
//!
//! `cargo bench -p cartridge --bench upload [-- ROUNDS]`; 5 rounds by default. Wants QEMU, Xvfb and openbox, as the tests do.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a bench that cannot measure stops")]

#[path = "../../vmtools/tests/support/boot_sector.rs"]
mod boot_sector;
#[allow(dead_code)]
#[path = "../../vmtools/tests/guests/harness.rs"]
mod harness;
#[path = "../tests/support/screen.rs"]
mod screen;
#[allow(dead_code)]
#[path = "../../vmtools/benches/display/sectors.rs"]
mod sectors;

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cartridge::gui::{self, Insert, Options, Uploads};
use cartridge::paths::Paths;
use cartridge::session::attachment::AttachWish;
use cartridge::session::{self, SessionConfig};
use harness::Guest;
use rustix::time::{ClockId, clock_gettime};
use vmtools::attach::Place;
use vmtools::{Boot, Machine, Medium, RuntimeDir};

/// The guest's screen, pixels.
const SIZE: (u32, u32) = (1920, 1080);
/// How long is measured at once.
const SPAN: Duration = Duration::from_secs(4);
/// Pictures that pass before: fonts, textures and the first layout are made then.
const FIRST: u64 = 10;
/// No window takes longer to show them.
const LONGEST: Duration = Duration::from_secs(120);
/// How much of [`sectors::MOTION`] is painted, in banks of 64 KiB, and how that is called.
const SCENES: [(&str, u8); 3] = [("all of it", 0x7f), ("a quarter of it", 0x20), ("a strip of 3 %", 0x04)];
/// Where the number of banks is in the sector: the value that bx is compared with.
const BANKS: [u8; 2] = [0x83, 0xfb];

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    if let [kind, way, socket] = &words[..]
        && kind == "window"
    {
        return window(way == "whole", socket);
    }
    let rounds = words.iter().find_map(|word| word.parse().ok()).unwrap_or(5);
    let Some(display) = screen::Screen::sized("1920x1200x24") else {
        return println!("| window with a guest in motion | Xvfb or openbox is not installed | – |");
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    println!(
        "| of 1920×1080 moves | pictures a second | whole, ms a picture | what changed, ms a picture | ratio |\n|---|---|---|---|---|"
    );
    for (name, banks) in SCENES {
        let guest = runtime.block_on(guest(banks));
        // The guest is watched by the window alone.
        guest.screen.set_visible(false);
        let socket = RuntimeDir::open(&guest.runtime).unwrap().paths().vnc;
        let (mut whole, mut parts, mut rates) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..rounds {
            whole.push(cost(&display.display, "whole", &socket).0);
            let (ms, rate) = cost(&display.display, "parts", &socket);
            parts.push(ms);
            rates.push(rate);
        }
        let ratio = median(parts.iter().zip(&whole).map(|(parts, whole)| parts / whole).collect());
        let (whole, parts, rate) = (median(whole), median(parts), median(rates));
        println!("| {name} | {rate:.0} | {whole:.1} | {parts:.1} | {ratio:.2} |");
        runtime.block_on(guest.handle.end(|_, _| {}));
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// A guest that moves so many banks of its screen, from when the screen has its size.
async fn guest(banks: u8) -> Guest {
    let mut code = sectors::MOTION.to_vec();
    let at = code.windows(2).position(|two| two == BANKS).unwrap() + BANKS.len();
    code[at] = banks;
    let machine = Machine { medium: Medium::Usb, ..harness::machine() };
    let mut plan = harness::plan(machine, Boot::Nothing);
    plan.plan.boot = Boot::Iso(boot_sector::medium(plan.dir.path(), &code));
    let guest = plan.start().await.unwrap();
    guest.wait("the picture", |g| g.screen.snapshot().is_some_and(|f| (f.width, f.height) == SIZE)).await;
    guest
}

/// Processor milliseconds a picture of a window of its own, and pictures a second.
fn cost(display: &str, way: &str, socket: &Path) -> (f64, f64) {
    let home = tempfile::Builder::new().prefix("cb").tempdir_in("/tmp").unwrap();
    let at = |name: &str| home.path().join(name);
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .arg("window")
        .arg(way)
        .arg(socket)
        .env("DISPLAY", display)
        .env_remove("WAYLAND_DISPLAY")
        .env("HOME", home.path());
    for name in ["CACHE_HOME", "STATE_HOME", "DATA_HOME", "CONFIG_HOME", "RUNTIME_DIR"] {
        std::fs::create_dir_all(at(name)).unwrap();
        command.env(format!("XDG_{name}"), at(name));
    }
    // As the session wants it.
    std::fs::set_permissions(at("RUNTIME_DIR"), std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let out = command.output().unwrap();
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let mut words = text.split_whitespace().map(|word| word.parse::<f64>());
    match (words.next(), words.next()) {
        (Some(Ok(ms)), Some(Ok(rate))) => (ms, rate),
        _ => panic!("{text}{}", String::from_utf8_lossy(&out.stderr)),
    }
}

/// Is that window: prints what it costs and closes.
fn window(whole: bool, socket: &str) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let _guard = runtime.enter();
    let config = SessionConfig {
        paths: Paths::from_env().unwrap(),
        who: "a bench".into(),
        fresh: false,
        lint: false,
        examines: false,
        watches: false,
        patience: None,
        blank_after: None,
    };
    let preferences = config.paths.config.join("window.toml");
    std::fs::create_dir_all(&config.paths.config).unwrap();
    std::fs::write(&preferences, "maximized = true\n").unwrap();
    let session = session::begin(config).unwrap();
    let commands = session.commands.clone();
    let uploads = Arc::new(if whole { Uploads::whole() } else { Uploads::default() });
    let counted = Arc::clone(&uploads);
    std::thread::spawn(move || {
        let until = Instant::now() + LONGEST;
        while counted.taken() < FIRST {
            assert!(Instant::now() < until, "the window shows nothing");
            std::thread::sleep(Duration::from_millis(20));
        }
        let (cpu, taken, began) = (clock_gettime(ClockId::ProcessCPUTime), counted.taken(), Instant::now());
        std::thread::sleep(SPAN);
        let (spent, pictures) = (clock_gettime(ClockId::ProcessCPUTime), counted.taken() - taken);
        let ms = (spent.tv_sec - cpu.tv_sec) as f64 * 1e3 + (spent.tv_nsec - cpu.tv_nsec) as f64 / 1e6;
        println!("{} {}", ms / pictures as f64, pictures as f64 / began.elapsed().as_secs_f64());
        let _ = commands.blocking_send(session::Command::Quit);
    });
    let attach = Some((AttachWish::of(Place::parse(socket).unwrap()), true));
    let options = Options { insert: Insert::Builtin, preferences: Some(preferences), attach, uploads };
    gui::run_with(session, options).unwrap();
}
