//! The whole job through the real window: on an X server, pressed by accessible names, typed into, photographed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]
#![cfg(feature = "gui")]

#[path = "support/screen.rs"]
mod screen;
mod support;

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use screen::Screen;
use support::Console;

/// The app, a session bus of its own around it, and the driver that presses what a screen reader would see.
struct Window<'a> {
    console: &'a Console,
    screen: &'a Screen,
    bus: Bus,
    app: Child,
}

struct Bus {
    daemon: Child,
    address: String,
}

impl Bus {
    fn start(console: &Console, screen: &Screen) -> Self {
        let mut daemon = Command::new("dbus-daemon")
            .args(["--session", "--nofork", "--print-address=1"])
            .env("DISPLAY", &screen.display)
            .env("XDG_RUNTIME_DIR", console.home.path().join("run"))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut address = String::new();
        let out = daemon.stdout.take().unwrap();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(out), &mut address).unwrap();
        Self { daemon, address: address.trim().to_owned() }
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}

impl<'a> Window<'a> {
    fn open(console: &'a Console, screen: &'a Screen, args: &[&str]) -> Self {
        let bus = Bus::start(console, screen);
        drive(console, screen, &bus, &["--enable"]);
        let mut command = console.command(args);
        command.env("DISPLAY", &screen.display).env("DBUS_SESSION_BUS_ADDRESS", &bus.address);
        command.env("LIBGL_ALWAYS_SOFTWARE", "1").stdout(Stdio::null()).stderr(Stdio::null());
        let app = command.spawn().unwrap();
        let window = Self { console, screen, bus, app };
        window.wait("Build & Boot");
        window.focus();
        window
    }

    fn focus(&self) {
        let found = [
            "search",
            "--sync",
            "--onlyvisible",
            "--name",
            "Cartridge",
            "windowsize",
            "1280",
            "800",
            "windowmove",
            "0",
            "0",
            "windowfocus",
            "--sync",
        ];
        assert!(self.screen.xdotool(&found), "the window is not there");
    }

    fn press(&self, name: &str) {
        drive(self.console, self.screen, &self.bus, &["--app", "cartridge", "--timeout", "30", "press", "-", name]);
    }

    fn wait(&self, name: &str) {
        drive(self.console, self.screen, &self.bus, &["--app", "cartridge", "--timeout", "240", "wait", "-", name]);
    }

    /// Whether it comes within ten seconds.
    fn shows(&self, name: &str) -> bool {
        let args = ["--app", "cartridge", "--timeout", "10", "wait", "-", name];
        driven(self.console, self.screen, &self.bus, &args).status.success()
    }

    fn log(&self, name: &str) -> String {
        let sessions = fs::read_dir(self.console.home.path().join("state/cartridge/sessions")).unwrap();
        let read = |e: fs::DirEntry| fs::read(e.path().join(name)).unwrap_or_default();
        sessions.flatten().map(|e| String::from_utf8_lossy(&read(e)).into_owned()).collect()
    }

    fn wait_for_log(&self, name: &str, word: &str) {
        self.wait_for_log_times(name, word, 1);
    }

    fn wait_for_log_times(&self, name: &str, word: &str, times: usize) {
        let end = Instant::now() + Duration::from_secs(60);
        while self.log(name).matches(word).count() < times {
            assert!(Instant::now() < end, "{word:?} never came in {name}:\n{}", self.log(name));
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Closing ends the session, and the process.
    fn close(self) {
        self.focus();
        assert!(self.screen.xdotool(&["search", "--onlyvisible", "--name", "Cartridge", "windowclose"]));
        self.ends();
    }

    fn ends(mut self) {
        let end = Instant::now() + Duration::from_secs(20);
        while self.app.try_wait().unwrap().is_none() {
            assert!(Instant::now() < end, "the window does not close");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn photograph(&self, name: &str) -> image::RgbImage {
        let file = self.console.home.path().join(name);
        assert!(self.screen.photograph(&file));
        image::open(&file).unwrap().to_rgb8()
    }
}

impl Drop for Window<'_> {
    fn drop(&mut self) {
        let _ = self.app.kill();
        let _ = self.app.wait();
    }
}

fn driven(console: &Console, screen: &Screen, bus: &Bus, args: &[&str]) -> std::process::Output {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/drive.py");
    Command::new("/usr/bin/python3")
        .arg(script)
        .args(args)
        .env("DISPLAY", &screen.display)
        .env("DBUS_SESSION_BUS_ADDRESS", &bus.address)
        .env("XDG_RUNTIME_DIR", console.home.path().join("run"))
        .output()
        .unwrap()
}

fn drive(console: &Console, screen: &Screen, bus: &Bus, args: &[&str]) {
    let out = driven(console, screen, bus, args);
    assert!(
        out.status.success(),
        "{args:?}: {}{}",
        String::from_utf8_lossy(&out.stdout),
        String::from_utf8_lossy(&out.stderr)
    );
}

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

#[test]
fn the_guest_gets_the_desktops_own_keys_and_nothing_while_it_is_only_looked_at() {
    let console = Console::new();
    let screen = Screen::start().expect("Xvfb and openbox are installed by packaging/setup");
    let repo = console.repository("distro");
    let window = Window::open(&console, &screen, &[repo.to_str().unwrap()]);
    window.press("Build & Boot");
    window.wait("State: Running");
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

/// Keys of a keyboard of 105 keys by Linux's numbers (input-event-codes.h; an X server's are 8 more), and what Linux sends for
/// them in raw mode (emulate_raw in drivers/tty/vt/keyboard.c): those up to 88 are the number itself.
const WITH_PREFIX: [(u8, u8); 17] = [
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
fn every_key() -> Vec<(u8, Vec<u8>)> {
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
fn arrived(window: &Window<'_>) -> Vec<u8> {
    let log = window.log("serial.log");
    let lines = log.lines().filter_map(|line| line.trim().strip_prefix("keys: "));
    lines.flat_map(|line| line.split(' ')).filter_map(|byte| u8::from_str_radix(byte, 16).ok()).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|it| format!("{it:02x} ")).collect()
}
