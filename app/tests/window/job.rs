//! From the repository to a closed window: build, boot, type, save, test, restore, eject.

use std::fs;
use std::time::{Duration, Instant};

use crate::desktop::Window;
use crate::screen::Screen;
use crate::support::{Console, stray};

/// How many colours a part of the picture has.
fn colours(picture: &image::RgbImage, x: u32, y: u32, width: u32, height: u32) -> usize {
    let mut seen = std::collections::HashSet::new();
    for (px, py) in (y..y + height).flat_map(|py| (x..x + width).map(move |px| (px, py))) {
        seen.insert(picture.get_pixel(px, py).0);
    }
    seen.len()
}

#[test]
fn build_and_boot_type_photograph_eject_and_close() {
    let console = Console::new();
    let screen = Screen::start().expect("Xvfb and openbox are installed by packaging/setup");
    let repo = console.repository("distro");
    let window = Window::open(&console, &screen, &[repo.to_str().unwrap()]);
    let empty = window.photograph("empty.png");

    window.press("Build & Boot");
    window.wait("State: Running");
    std::thread::sleep(Duration::from_secs(3));
    let running = window.photograph("running.png");
    assert_ne!(empty.as_raw(), running.as_raw());
    // The guest's screen is in the middle: black, with the banner's letters in it.
    let (width, height) = (running.width() / 3, running.height() / 4);
    let guest = colours(&running, width + 60, height / 2 + 40, width, height);
    assert!(guest > 4, "the guest's screen shows {guest} colours");

    // Type into the guest's screen with the keyboard; it answers on the serial line.
    assert!(screen.xdotool(&["mousemove", "760", "300", "click", "1"]));
    std::thread::sleep(Duration::from_millis(500));
    assert!(screen.xdotool(&["type", "--delay", "120", "echo at $PWD with $(ls -A | wc -l) > /dev/ttyS0"]));
    assert!(screen.xdotool(&["key", "Return"]));
    window.wait_for_log("serial.log", "at /root/distro with 2");
    assert!(screen.xdotool(&["key", "ctrl+alt"]));

    window.press("Eject");
    window.wait("State: Ejected");
    let processes: Vec<_> = console.leftovers().into_iter().filter(|l| l.contains("qemu")).collect();
    assert_eq!(processes, Vec::<String>::new());

    window.close();
    console.assert_clean();
}

#[test]
fn a_window_that_is_killed_takes_everything_with_it() {
    let console = Console::new();
    let screen = Screen::start().expect("Xvfb and openbox are installed by packaging/setup");
    let window = Window::running(&console, &screen);
    let ours = || console.processes().into_iter().filter(|it| it.contains("qemu-system") || it.contains("__warden"));
    assert_eq!(ours().count(), 2, "{:?}", console.processes());
    let mut stray = stray(&console, "left");
    drop(window);
    let end = Instant::now() + Duration::from_secs(240);
    while ours().next().is_some() || stray.0.try_wait().unwrap().is_none() {
        assert!(Instant::now() < end, "{:?}", ours().collect::<Vec<_>>());
        std::thread::sleep(Duration::from_millis(20));
    }
    let next = console.run(&["eject", "--json"]);
    assert!(next.code == 0 && next.event("recovered")["what"].to_string().contains("killed"), "{:?}", next.events);
    console.assert_clean();
}

#[test]
fn a_guest_is_saved_tested_warm_restored_and_booted_directly() {
    let console = Console::new();
    let screen = Screen::start().expect("Xvfb and openbox are installed by packaging/setup");
    let repo = console.repository("distro");
    let text = "[guest]\nmemory = \"512M\"\ncpus = 1\naccelerator = \"tcg\"\n[test]\nslot = \"ready\"\n\
                steps = [\"serial cat /root/distro/hello.txt\", \"expect changed since\"]\n";
    fs::write(repo.join("cartridge.toml"), text).unwrap();
    let window = Window::open(&console, &screen, &[repo.to_str().unwrap()]);
    window.press("Build & Boot");
    window.wait("State: Running");

    assert!(screen.xdotool(&["key", "ctrl+8"]));
    window.wait("Name of the slot");
    // On a busy machine keys may come before the field has the keyboard.
    let mut saved = false;
    for _ in 0..5 {
        assert!(screen.xdotool(&["key", "ctrl+f"]));
        std::thread::sleep(Duration::from_secs(1));
        assert!(screen.xdotool(&["key", "ctrl+a", "type", "--delay", "60", "ready"]));
        assert!(screen.xdotool(&["key", "Return"]));
        saved = window.shows("Restore ready");
        if saved {
            break;
        }
    }
    assert!(saved, "the guest was not saved:\n{}", window.log("session.log"));

    // The file as it is now, in the guest as it was then.
    fs::write(repo.join("hello.txt"), "changed since\n").unwrap();
    assert!(screen.xdotool(&["key", "ctrl+r"]));
    window.wait("Test passed, warm");
    window.wait_for_log("serial.log", "changed since");

    // Restored by itself it has the files of then, which is asked about.
    window.press("Restore ready");
    window.press("Restore anyway");
    window.wait_for_log_times("session.log", "Restored \"ready\"", 2);
    window.wait("State: Running");

    window.press("More ways to boot");
    window.press("Boot directly");
    window.wait_for_log("session.log", "Direct boot of the image's own kernel");
    window.wait("State: Running");
    window.press("Eject");
    window.wait("State: Ejected");
    window.close();
    console.assert_clean();
}
