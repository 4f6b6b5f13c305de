//! What the guest's screen costs in the real window, and how late it is there: the window is attached to a real QEMU, and its OpenGL
//! is that of the X server, in software. Prints rows of the README's tables.
//!
//! `cargo bench -p cartridge --bench frames [-- cost|latency] [ROUNDS]`; both and 5 rounds by default. Wants QEMU, Xvfb, openbox and
//! xdotool, as the tests do.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a bench that cannot measure stops")]

#[path = "../../vmtools/tests/support/boot_sector.rs"]
mod boot_sector;
#[path = "frames/cost.rs"]
mod cost;
#[allow(dead_code)]
#[path = "../../vmtools/tests/guests/harness.rs"]
mod harness;
#[path = "frames/latency.rs"]
mod latency;
#[path = "../tests/support/screen.rs"]
mod screen;
#[allow(dead_code)]
#[path = "../../vmtools/benches/display/sectors.rs"]
mod sectors;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cartridge::gui::{self, Insert, Options, Uploads};
use cartridge::paths::Paths;
use cartridge::session::attachment::AttachWish;
use cartridge::session::{self, SessionConfig};
use harness::Guest;
use tokio::sync::mpsc::Sender;
use vmtools::attach::Place;
use vmtools::{Boot, Machine, Medium, RuntimeDir};

/// No window takes longer to show what it is waited for.
const LONGEST: Duration = Duration::from_secs(120);

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    if let [kind, way, socket] = &words[..]
        && kind == "window"
    {
        return match way.as_str() {
            "whole" => window(Uploads::whole(), false, socket, cost::tell),
            "parts" => window(Uploads::default(), false, socket, cost::tell),
            "looks" => window(Uploads::default(), true, socket, latency::tell),
            _ => window(Uploads::default(), false, socket, latency::tell),
        };
    }
    let rounds = words.iter().find_map(|word| word.parse().ok()).unwrap_or(5);
    let parts = ["cost", "latency"];
    let all = !words.iter().any(|word| parts.contains(&word.as_str()));
    let Some(display) = screen::Screen::sized("1920x1200x24") else {
        return println!("| window | Xvfb or openbox is not installed | – |");
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    for part in parts.into_iter().filter(|&part| all || words.iter().any(|word| word == part)) {
        match part {
            "cost" => cost::measure(&runtime, &display, rounds),
            _ => runtime.block_on(latency::measure(&display)),
        }
    }
}

/// The value that `part` of all are not above.
fn quantile(values: &[f64], part: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = sorted.len().saturating_sub(1) as f64 * part;
    sorted.get(at.round() as usize).copied().unwrap_or(f64::NAN)
}

/// A guest that runs `code`, from when its screen has that size, and where its screen is. It is watched by the window alone.
async fn guest(code: &[u8], size: (u32, u32)) -> (Guest, PathBuf) {
    let machine = Machine { medium: Medium::Usb, ..harness::machine() };
    let mut plan = harness::plan(machine, Boot::Nothing);
    plan.plan.boot = Boot::Iso(boot_sector::medium(plan.dir.path(), code));
    let guest = plan.start().await.unwrap();
    guest.wait("the picture", |g| g.screen.snapshot().is_some_and(|f| (f.width, f.height) == size)).await;
    guest.screen.set_visible(false);
    let socket = RuntimeDir::open(&guest.runtime).unwrap().paths().vnc;
    (guest, socket)
}

/// A window of its own that is attached to `socket`, as a program that was not started, and its home.
fn program(display: &screen::Screen, way: &str, socket: &Path) -> (Command, tempfile::TempDir) {
    let home = tempfile::Builder::new().prefix("cb").tempdir_in("/tmp").unwrap();
    let at = |name: &str| home.path().join(name);
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .arg("window")
        .arg(way)
        .arg(socket)
        .env("DISPLAY", &display.display)
        .env_remove("WAYLAND_DISPLAY")
        .env("HOME", home.path());
    for name in ["CACHE_HOME", "STATE_HOME", "DATA_HOME", "CONFIG_HOME", "RUNTIME_DIR"] {
        std::fs::create_dir_all(at(name)).unwrap();
        command.env(format!("XDG_{name}"), at(name));
    }
    // As the session wants it.
    std::fs::set_permissions(at("RUNTIME_DIR"), std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    (command, home)
}

/// Is that window, beside somebody who tells of its uploads.
fn window(uploads: Uploads, only_looks: bool, socket: &str, tell: fn(&Uploads, &Sender<session::Command>)) {
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
    let uploads = Arc::new(uploads);
    std::thread::spawn({
        let uploads = Arc::clone(&uploads);
        move || tell(&uploads, &commands)
    });
    let attach = Some((AttachWish::of(Place::parse(socket).unwrap()), only_looks));
    let options = Options { insert: Insert::Builtin, preferences: Some(preferences), attach, uploads };
    gui::run_with(session, options).unwrap();
}

/// Waits until so many pictures were taken.
fn until_taken(uploads: &Uploads, pictures: u64) {
    let until = Instant::now() + LONGEST;
    while uploads.taken() < pictures {
        assert!(Instant::now() < until, "the window shows nothing");
        std::thread::sleep(Duration::from_millis(20));
    }
}
