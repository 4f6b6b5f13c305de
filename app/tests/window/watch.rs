//! Two programs on one cartridge: the window shows the other one's guest, sends it nothing, and takes the cartridge afterwards.

use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use vmtools::display::{DisplayLink, DisplaySource as _, RfbSource, Screen as GuestScreen, keys_for_text};

use crate::desktop::Window;
use crate::screen::Screen;
use crate::support::Console;

/// How many colours the middle of the picture has.
fn colours(picture: &image::RgbImage) -> usize {
    let (width, height) = (picture.width() / 3, picture.height() / 4);
    let places = (80..80 + height).flat_map(|y| (0..width).map(move |x| (x, y)));
    let seen: std::collections::HashSet<_> =
        places.map(|(x, y)| picture.get_pixel(width + 60 + x, height / 2 + y).0).collect();
    seen.len()
}

/// Types a line as the one who holds the cartridge would: at the guest's own keyboard, by one more viewer of its screen.
fn type_at_the_guest(console: &Console, line: &str) {
    let run = fs::read_dir(console.home.path().join("run/cartridge")).unwrap().flatten();
    let socket = run.map(|it| it.path().join("vnc.sock")).find(|it| it.exists()).expect("the guest runs");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _inside = runtime.enter();
    let screen = Arc::new(GuestScreen::new());
    let (gone, is_gone) = tokio::sync::watch::channel(false);
    let (keys, inputs) = tokio::sync::mpsc::channel(1);
    let link = DisplayLink { screen: Arc::clone(&screen), inputs, gone: is_gone };
    let viewer = runtime.spawn(Box::new(RfbSource::ours(&socket)).run(link));
    while !screen.live() {
        std::thread::sleep(Duration::from_millis(50));
    }
    for event in keys_for_text(line).0.into_iter().flat_map(|stroke| stroke.events()) {
        keys.blocking_send(event).unwrap();
        // A guest without speed reads one key after the other.
        std::thread::sleep(Duration::from_millis(60));
    }
    // What waits to be sent goes first.
    std::thread::sleep(Duration::from_secs(1));
    gone.send_replace(true);
    runtime.block_on(viewer).unwrap();
}

#[test]
fn a_window_watches_a_guest_sends_it_nothing_and_takes_the_cartridge_then() {
    let console = Console::new();
    let screen = Screen::start().expect("Xvfb and openbox are installed by packaging/setup");
    let repo = console.repository("distro");
    let at = repo.to_str().unwrap();
    let mut first = console.start(&["up", "--stay", "--json", at]);
    first.wait_for_phase("booting");

    let window = Window::open(&console, &screen, &[at]);
    window.press("Build & Boot");
    window.wait("This cartridge is in use");
    window.press("Watch");
    window.wait("State: Running");
    window.wait("Guest screen");
    let end = Instant::now() + Duration::from_secs(600);
    while colours(&window.photograph("watching.png")) <= 4 {
        assert!(Instant::now() < end, "the guest's screen is not there");
        std::thread::sleep(Duration::from_millis(300));
    }
    assert!(screen.xdotool(&["mousemove", "760", "330", "click", "1"]));
    assert!(screen.xdotool(&["type", "--delay", "40", "echo typed $((40 + 2)) > /dev/ttyS0"]));
    assert!(screen.xdotool(&["key", "Return"]));
    assert!(screen.xdotool(&["key", "ctrl+e"]));
    // A key that is answered: those before it were taken, and passed on if they ever are.
    assert!(screen.xdotool(&["key", "ctrl+o"]));
    window.wait("this is changed there");
    // The guest's keys keep their order, and it tells how its last command ended: there was none.
    type_at_the_guest(&console, "echo owner $((20 + 3)) $? > /dev/ttyS0\n");
    window.wait_for_log("serial.log", "owner 23 ");
    let serial = window.log("serial.log");
    assert!(serial.contains("owner 23 0") && !serial.contains("typed"), "{serial}");
    assert!(first.child.try_wait().unwrap().is_none(), "and it was not ejected");

    first.signal(Signal::INT);
    window.wait("Use it here");
    assert_eq!(first.wait(), 130);
    window.press("Use it here");
    window.press("Build");
    window.wait("State: Built");
    window.press("Eject");
    window.wait("State: Ejected");
    window.close();
    console.assert_clean();
}
