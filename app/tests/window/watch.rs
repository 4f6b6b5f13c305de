//! Two programs on one cartridge: the window shows the other one's guest, sends it nothing, and takes the cartridge afterwards.

use std::time::{Duration, Instant};

use rustix::process::Signal;

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
    let end = Instant::now() + Duration::from_secs(60);
    while colours(&window.photograph("watching.png")) <= 4 {
        assert!(Instant::now() < end, "the guest's screen is not there");
        std::thread::sleep(Duration::from_millis(300));
    }
    assert!(screen.xdotool(&["mousemove", "760", "330", "click", "1"]));
    assert!(screen.xdotool(&["type", "--delay", "40", "echo typed $((40 + 2)) > /dev/ttyS0"]));
    assert!(screen.xdotool(&["key", "Return"]));
    assert!(screen.xdotool(&["key", "ctrl+e"]));
    std::thread::sleep(Duration::from_secs(2));
    assert!(!window.log("serial.log").contains("typed 42"));
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
