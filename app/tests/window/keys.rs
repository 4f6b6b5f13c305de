//! Keys on their way to the guest: the desktop's own ones, lock keys, every key on every layout.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::desktop::Window;
use crate::screen::Screen;
use crate::support::Console;

#[test]
fn the_guest_gets_the_desktops_own_keys_and_nothing_while_it_is_only_looked_at() {
    let console = Console::new();
    let screen = Screen::start().expect("Xvfb and openbox are installed by packaging/setup");
    let window = Window::running(&console, &screen);
    std::thread::sleep(Duration::from_secs(3));
    let type_line = |line: &str| {
        assert!(screen.xdotool(&["type", "--delay", "120", line]));
        assert!(screen.xdotool(&["key", "Return"]));
    };
    let click = || {
        assert!(screen.xdotool(&["mousemove", "760", "300", "click", "1"]));
        window.wait("Keyboard captured");
    };

    // openbox has a menu for Alt-space and closes windows by Alt-F4, but not while the guest has the keyboard: a Linux
    // console makes an escape of Alt.
    click();
    let first = window.photograph("first.png");
    type_line("cat -v > /dev/ttyS0");
    assert!(screen.xdotool(&["key", "alt+space"]));
    type_line("arrives");
    window.wait_for_log("serial.log", "^[ arrives");
    assert!(screen.xdotool(&["key", "alt+F4"]));
    assert!(screen.xdotool(&["key", "ctrl+c"]));
    type_line("echo still $((40 + 2)) > /dev/ttyS0");
    window.wait_for_log("serial.log", "still 42");
    assert!(screen.xdotool(&["key", "ctrl+alt"]));
    window.wait("Click the screen to type into the guest");

    // The guest gets the keyboard with the lock keys that the desktop has by then.
    click();
    type_line("cat > /dev/ttyS0");
    for (typed, arrives) in [("caps", "CAPS"), ("small", "small")] {
        assert!(screen.xdotool(&["key", "ctrl+alt"]));
        window.wait("Click the screen to type into the guest");
        assert!(screen.xdotool(&["key", "Caps_Lock"]));
        // The window is told of it by itself.
        std::thread::sleep(Duration::from_millis(700));
        click();
        type_line(typed);
        window.wait_for_log("serial.log", arrives);
    }
    assert!(screen.xdotool(&["key", "ctrl+c"]));
    assert!(screen.xdotool(&["key", "ctrl+alt"]));
    window.wait("Click the screen to type into the guest");

    window.press("How the screen is shown");
    window.press("Screen: Stretch");
    std::thread::sleep(Duration::from_secs(1));
    let stretched = window.photograph("stretched.png");
    assert_ne!(first.as_raw(), stretched.as_raw());

    window.press("How the screen is shown");
    window.press("View only");
    window.wait("View only: keys and pointer are not sent");
    assert!(screen.xdotool(&["mousemove", "760", "300", "click", "1"]));
    type_line("echo nobody sees > /dev/ttyS0");
    // Not by the menu: what was typed may have opened it.
    assert!(screen.xdotool(&["key", "ctrl+shift+o"]));
    window.wait("Click the screen to type into the guest");

    window.press("Type text");
    window.wait("Text to type");
    std::thread::sleep(Duration::from_secs(1));
    assert!(screen.xdotool(&["type", "--delay", "60", "echo typed $((6 * 7)) > /dev/ttyS0"]));
    window.press("Type");
    std::thread::sleep(Duration::from_secs(3));
    click();
    assert!(screen.xdotool(&["key", "Return"]));
    window.wait_for_log("serial.log", "typed 42");
    assert!(!window.log("serial.log").contains("nobody sees"));
    assert!(screen.xdotool(&["key", "ctrl+alt"]));
    window.press("Eject");
    window.wait("State: Ejected");
    // What was given back is the desktop's again.
    assert!(screen.xdotool(&["key", "alt+F4"]));
    window.ends();
}

/// Keys of a keyboard of 105 keys, and of players, by Linux's numbers (input-event-codes.h; an X server's are 8 more), and what Linux sends for
/// them in raw mode (emulate_raw in drivers/tty/vt/keyboard.c): those up to 88 are the number itself.
const WITH_PREFIX: [(u8, u8); 24] = [
    // Louder, quieter, mute; the keys of players.
    (113, 0x20),
    (114, 0x2e),
    (115, 0x30),
    (163, 0x19),
    (164, 0x22),
    (165, 0x10),
    (166, 0x24),
    (97, 0x1d),
    (98, 0x35),
    (100, 0x38),
    (102, 0x47),
    (103, 0x48),
    (104, 0x49),
    (105, 0x4b),
    (106, 0x4d),
    (107, 0x4f),
    (108, 0x50),
    (109, 0x51),
    (110, 0x52),
    (111, 0x53),
    (125, 0x5b),
    (126, 0x5c),
    (127, 0x5d),
    (96, 0x1c),
];

/// Every key in the order that it is pressed in, with the bytes that it sends; Enter of the key pad is the last.
pub fn every_key() -> Vec<(u8, Vec<u8>)> {
    // 84 and 85 are no keys; 99 is Print, 119 Pause.
    let plain = (1..=83).chain(86..=88).map(|it| (it, vec![it, it | 0x80]));
    let special =
        [(99, vec![0xe0, 0x2a, 0xe0, 0x37, 0xe0, 0xaa, 0xe0, 0xb7]), (119, vec![0xe1, 0x1d, 0x45, 0xe1, 0x9d, 0xc5])];
    let prefixed = WITH_PREFIX.map(|(key, code)| (key, vec![0xe0, code, 0xe0, code | 0x80]));
    plain.chain(special).chain(prefixed).collect()
}

#[test]
fn every_key_arrives_as_it_is_on_every_layout() {
    let console = Console::new();
    let screen = Screen::start().expect("Xvfb and openbox are installed by packaging/setup");
    let repo = console.repository("distro");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/raw_keys.c");
    let built = Command::new("cc").args(["-static", "-O1", "-o"]).arg(repo.join("raw-keys")).arg(source).status();
    assert!(built.unwrap().success());
    let window = Window::open(&console, &screen, &[repo.to_str().unwrap()]);
    window.press("Build & Boot");
    window.wait("State: Running");
    std::thread::sleep(Duration::from_secs(3));
    assert!(screen.xdotool(&["mousemove", "760", "300", "click", "1"]));
    window.wait("Keyboard captured");
    let keys = every_key();
    let wanted: Vec<u8> = keys.iter().flat_map(|(_, bytes)| bytes.clone()).collect();
    for (round, layout) in ["us", "de", "fr"].into_iter().enumerate() {
        screen.layout("us");
        assert!(screen.xdotool(&["type", "--delay", "120", "./raw-keys"]));
        assert!(screen.xdotool(&["key", "Return"]));
        window.wait_for_log_times("serial.log", "keys are read", round + 1);
        screen.layout(layout);
        let before = arrived(&window).len();
        // A single digit is a key's name for xdotool.
        let number = |key: u8| if key == 1 { "Escape".to_owned() } else { (u16::from(key) + 8).to_string() };
        let numbers: Vec<String> = keys.iter().map(|(key, _)| number(*key)).collect();
        let words: Vec<&str> = ["key", "--delay", "60"].into_iter().chain(numbers.iter().map(String::as_str)).collect();
        assert!(screen.xdotool(&words));
        let end = Instant::now() + Duration::from_secs(60);
        while arrived(&window).len() < before + wanted.len() && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(200));
        }
        let came = arrived(&window).split_off(before);
        assert_eq!(hex(&came), hex(&wanted), "{layout}");
    }
    assert!(screen.xdotool(&["key", "ctrl+alt"]));
    window.press("Eject");
    window.wait("State: Ejected");
    window.close();
}

/// The bytes that the guest's program has printed.
pub fn arrived(window: &Window<'_>) -> Vec<u8> {
    let log = window.log("serial.log");
    let lines = log.lines().filter_map(|line| line.trim().strip_prefix("keys: "));
    lines.flat_map(|line| line.split(' ')).filter_map(|byte| u8::from_str_radix(byte, 16).ok()).collect()
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|it| format!("{it:02x} ")).collect()
}
