//! The guest's screen in a window of its own: typed into, closed, brought back, remembered, and still where nothing happens.

use std::time::{Duration, Instant};

use crate::desktop::Window;
use crate::screen::Screen;
use crate::support::Console;

/// Part of what is written over the window of the guest's screen.
const TITLE: &str = "guest screen";

/// Gives the window of the guest's screen a size and a place, and waits until it is there and has the focus.
fn settle(screen: &Screen) {
    let found = ["search", "--sync", "--onlyvisible", "--name", TITLE, "windowsize", "--sync", "700", "500"];
    assert!(screen.xdotool(&found), "the window of the guest's screen is not there");
    assert!(screen.xdotool(&["search", "--onlyvisible", "--name", TITLE, "windowmove", "500", "200"]));
    assert!(screen.xdotool(&["search", "--onlyvisible", "--name", TITLE, "windowfocus", "--sync"]));
    std::thread::sleep(Duration::from_millis(700));
}

fn gone(screen: &Screen) {
    let end = Instant::now() + Duration::from_secs(20);
    while screen.xdotool(&["search", "--onlyvisible", "--name", TITLE]) {
        assert!(Instant::now() < end, "the window of the guest's screen stays");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn type_line(screen: &Screen, line: &str) {
    assert!(screen.xdotool(&["type", "--delay", "120", line]));
    assert!(screen.xdotool(&["key", "Return"]));
}

#[test]
fn a_window_that_nobody_sees_asks_the_guest_for_nothing_and_a_still_one_rests() {
    let console = Console::new();
    let screen = Screen::start().expect("Xvfb and openbox are installed by packaging/setup");
    let window = Window::running(&console, &screen);
    window.press("Detach the screen");
    window.wait("Bring back");
    settle(&screen);
    // A cursor that blinks would be painted, which is right.
    assert!(screen.xdotool(&["mousemove", "850", "480", "click", "1"]));
    std::thread::sleep(Duration::from_millis(700));
    type_line(&screen, "echo 0 > /sys/class/graphics/fbcon/cursor_blink; printf '\\033[?25l'");
    assert!(screen.xdotool(&["key", "ctrl+alt"]));
    std::thread::sleep(Duration::from_secs(3));

    // Seen: QEMU is told every few hundredths of a second that somebody looks. Hidden: nothing is said to it at all, but for a
    // question every five seconds whether its screen is blank. QMP asks once a second whether it is there.
    let (seen, used) = window.work();
    assert!(screen.xdotool(&["search", "--onlyvisible", "--name", TITLE, "windowminimize"]));
    std::thread::sleep(Duration::from_secs(2));
    let (hidden, used_hidden) = window.work();
    window.press("Show it");
    std::thread::sleep(Duration::from_secs(2));
    let (again, used_again) = window.work();
    assert!(seen > 20 && again > 20 && hidden < 16, "{seen} {hidden} {again}");
    assert!(used < 30 && used_hidden < 20 && used_again < 30, "{used} {used_hidden} {used_again}");
    // The main window put away does not matter: the guest is seen in its own.
    assert!(screen.xdotool(&["search", "--onlyvisible", "--name", "Cartridge", "windowminimize"]));
    std::thread::sleep(Duration::from_secs(2));
    let (seen, used) = window.work();
    assert!(seen > 20 && used < 30, "{seen} {used}");
    settle(&screen);
    assert!(screen.xdotool(&["mousemove", "850", "480", "click", "1"]));
    std::thread::sleep(Duration::from_millis(700));
    type_line(&screen, "echo seen $((40 + 4)) > /dev/ttyS0");
    window.wait_for_log("serial.log", "seen 44");
    assert!(screen.xdotool(&["key", "ctrl+alt"]));
    assert!(screen.xdotool(&["search", "--name", "Cartridge", "windowmap"]));
    window.press("Eject");
    window.wait("State: Ejected");
    window.close();
}

#[test]
fn the_guest_is_typed_into_in_a_window_of_its_own_and_in_the_main_one_again() {
    let console = Console::new();
    let screen = Screen::start().expect("Xvfb and openbox are installed by packaging/setup");
    let window = Window::running(&console, &screen);
    std::thread::sleep(Duration::from_secs(3));

    window.press("Detach the screen");
    window.wait("Bring back");
    settle(&screen);
    window.photograph("detached.png");
    // It is accessible as the main one is: what is only in it is found and pressed by name.
    window.wait("Guest screen");
    window.press("Type text");
    window.press("Layout: Another one…");
    window.wait("Find a layout");
    std::thread::sleep(Duration::from_millis(700));
    window.photograph("layouts.png");
    window.press("Type text");
    let end = Instant::now() + Duration::from_secs(20);
    while window.shows("Find a layout") {
        assert!(Instant::now() < end, "the list stays");
        std::thread::sleep(Duration::from_millis(200));
    }
    // The middle of its picture. openbox would take Alt-space and Alt-F4 for itself.
    assert!(screen.xdotool(&["mousemove", "850", "480", "click", "1"]));
    std::thread::sleep(Duration::from_millis(700));
    window.photograph("captured.png");
    type_line(&screen, "cat -v > /dev/ttyS0");
    assert!(screen.xdotool(&["key", "alt+space"]));
    type_line(&screen, "arrives");
    window.wait_for_log("serial.log", "^[ arrives");
    assert!(screen.xdotool(&["key", "alt+F4"]));
    assert!(screen.xdotool(&["key", "ctrl+c"]));
    type_line(&screen, "echo apart $((40 + 2)) > /dev/ttyS0");
    window.wait_for_log("serial.log", "apart 42");
    assert!(screen.xdotool(&["key", "ctrl+alt"]));
    std::thread::sleep(Duration::from_millis(700));

    // Full screen and back; then keys are the desktop's, which closes the window.
    assert!(screen.xdotool(&["key", "F11"]));
    std::thread::sleep(Duration::from_secs(2));
    let full = window.photograph("full.png");
    assert_eq!(full.get_pixel(1, 400).0, full.get_pixel(1278, 400).0, "all of the display is the guest's");
    assert!(screen.xdotool(&["key", "F11"]));
    std::thread::sleep(Duration::from_secs(1));
    assert!(screen.xdotool(&["key", "alt+F4"]));
    gone(&screen);
    window.wait("Guest screen");
    window.wait("Click the screen to type into the guest");
    window.focus();
    assert!(screen.xdotool(&["mousemove", "760", "300", "click", "1"]));
    window.wait("Keyboard captured");
    type_line(&screen, "echo back $((40 + 3)) > /dev/ttyS0");
    window.wait_for_log("serial.log", "back 43");
    assert!(screen.xdotool(&["key", "ctrl+alt"]));
    window.wait("Click the screen to type into the guest");

    // By its shortcut, and where it was; and back by the main window's button.
    assert!(screen.xdotool(&["key", "ctrl+shift+w"]));
    window.wait("Bring back");
    let at = screen.place(TITLE);
    assert!((at[0] - 500).abs() < 40 && (at[1] - 200).abs() < 60, "{at:?}");
    assert_eq!((at[2], at[3]), (700, 500));
    window.press("Bring back");
    gone(&screen);
    window.press("Eject");
    window.wait("State: Ejected");
    window.close();
    let kept = std::fs::read_to_string(console.home.path().join("config/cartridge/window.toml")).unwrap();
    assert!(kept.contains("[screen_window]\ndetached = false\nwidth = 700.0\nheight = 500.0"), "{kept}");
    console.assert_clean();
}
