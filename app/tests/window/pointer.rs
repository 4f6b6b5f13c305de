//! The pointer of a guest without a tablet, and what another window's focus does: on a real X server nothing is kept from
//! whoever works on it.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use x11rb::protocol::xfixes::ConnectionExt as _;

use crate::desktop::Window;
use crate::screen::Screen;
use crate::support::Console;

/// Linux's numbers of what moves (input-event-codes.h).
const REL_X: i32 = 0;
const REL_Y: i32 = 1;
const REL_HWHEEL: i32 = 6;
const REL_WHEEL: i32 = 8;

/// Another program's window, which prints the keys that it gets.
struct Other {
    child: Child,
    file: tempfile::NamedTempFile,
}

impl Other {
    fn open(screen: &Screen) -> Self {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut command = Command::new("stdbuf");
        command.args(["-oL", "xev", "-geometry", "200x100+1040+640", "-name", "other one", "-event", "keyboard"]);
        let child = command
            .env("DISPLAY", &screen.display)
            .stdout(file.reopen().unwrap())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { child, file }
    }

    fn focus(&self, screen: &Screen) {
        assert!(screen.xdotool(&["search", "--sync", "--onlyvisible", "--name", "other one", "windowfocus"]));
        std::thread::sleep(Duration::from_millis(700));
    }

    fn got(&self, word: &str) -> bool {
        std::fs::read_to_string(self.file.path()).unwrap().contains(word)
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether anything of the pointer's picture is to be seen.
fn cursor_is_seen(screen: &Screen) -> bool {
    let (connection, _) = x11rb::connect(Some(&screen.display)).unwrap();
    connection.xfixes_query_version(1, 0).unwrap().reply().unwrap();
    let picture = connection.xfixes_get_cursor_image().unwrap().reply().unwrap();
    picture.cursor_image.iter().any(|pixel| pixel >> 24 != 0)
}

/// All values of one axis that the guest has told, added up.
fn moved(window: &Window<'_>, axis: i32) -> i32 {
    let log = window.log("serial.log");
    let numbers = log.lines().filter_map(|line| {
        let mut words = line.trim().strip_prefix("input: ")?.split(' ').map(|word| word.parse::<i32>().ok());
        Some([words.next()??, words.next()??, words.next()??])
    });
    numbers.filter(|[kind, code, _]| (*kind, *code) == (2, axis)).map(|[_, _, value]| value).sum()
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(30);
    while !done() {
        assert!(Instant::now() < end, "{what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn build(source: &str, into: &Path) {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support").join(source);
    assert!(Command::new("cc").args(["-static", "-O1", "-o"]).arg(into).arg(source).status().unwrap().success());
}

fn click(screen: &Screen) {
    assert!(screen.xdotool(&["mousemove", "760", "300", "click", "1"]));
}

fn type_line(screen: &Screen, line: &str) {
    assert!(screen.xdotool(&["type", "--delay", "120", line]));
    assert!(screen.xdotool(&["key", "Return"]));
}

#[test]
fn a_guest_without_a_tablet_has_the_pointer_until_it_is_given_back() {
    let console = Console::new();
    let screen = Screen::start().expect("Xvfb and openbox are installed by packaging/setup");
    let repo = console.repository("distro");
    build("raw_pointer.c", &repo.join("raw-pointer"));
    // Without a driver for the tablet QEMU wants movements, which the PS/2 mouse tells.
    let text = "[image]\ncmdline = \"module_blacklist=usbhid\"\n\
                [guest]\nmemory = \"512M\"\ncpus = 1\naccelerator = \"tcg\"\n";
    std::fs::write(repo.join("cartridge.toml"), text).unwrap();
    let window = Window::open(&console, &screen, &[repo.to_str().unwrap()]);
    window.press("Build & Boot");
    window.wait("State: Running");
    std::thread::sleep(Duration::from_secs(3));
    click(&screen);
    window.wait("Keyboard captured, click again for the pointer");
    type_line(&screen, "modprobe psmouse; sleep 3; ./raw-pointer");
    window.wait_for_log("serial.log", "pointers are read");
    assert!(cursor_is_seen(&screen));
    click(&screen);
    window.wait("Keyboard and pointer captured");
    until("the pointer is still seen", || !cursor_is_seen(&screen));

    // However far it goes in one direction, it is moved on, and stays near the middle of the picture.
    let middle = screen.pointer();
    let before = [moved(&window, REL_X), moved(&window, REL_Y)];
    for _ in 0..40 {
        assert!(screen.xdotool(&["mousemove_relative", "--", "-50", "20"]));
        std::thread::sleep(Duration::from_millis(60));
    }
    let way = || [moved(&window, REL_X) - before[0], moved(&window, REL_Y) - before[1]];
    let end = Instant::now() + Duration::from_secs(30);
    while way() != [-2000, 800] {
        assert!(Instant::now() < end, "another way: {:?}", way());
        std::thread::sleep(Duration::from_millis(100));
    }
    let at = screen.pointer();
    assert!((at[0] - middle[0]).abs() <= 130 && (at[1] - middle[1]).abs() <= 130, "{at:?}, not {middle:?}");
    // A jump out of the window is none.
    assert!(screen.xdotool(&["mousemove", "2", "2"]));
    std::thread::sleep(Duration::from_secs(1));
    assert_ne!(screen.pointer(), [2, 2]);

    // The wheel, down and to both sides. winit 0.30 counts a wheel that is buttons twice, as they go down and up again;
    // only a wheel that is an axis, as a real mouse's is, counts once.
    for (button, axis, way) in [("5", REL_WHEEL, -1), ("6", REL_HWHEEL, -1), ("7", REL_HWHEEL, 1)] {
        let before = moved(&window, axis);
        let came = || way * (moved(&window, axis) - before) > 0;
        // On a busy machine one turn was seen to get lost, and not where.
        let turned = (0..10).any(|_| {
            assert!(screen.xdotool(&["click", button]));
            let end = Instant::now() + Duration::from_secs(4);
            while !came() && Instant::now() < end {
                std::thread::sleep(Duration::from_millis(100));
            }
            came()
        });
        assert!(turned, "button {button}: {}", moved(&window, axis) - before);
    }

    assert!(screen.xdotool(&["key", "ctrl+alt"]));
    window.wait("Click the screen to type into the guest");
    until("the pointer is not seen again", || cursor_is_seen(&screen));
    let before = moved(&window, REL_X);
    assert!(screen.xdotool(&["mousemove", "12", "400"]));
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!((screen.pointer(), moved(&window, REL_X)), ([12, 400], before), "it is the desktop's");

    // Another window that takes the focus gets it as well.
    click(&screen);
    window.wait("Keyboard captured, click again for the pointer");
    click(&screen);
    window.wait("Keyboard and pointer captured");
    let other = Other::open(&screen);
    other.focus(&screen);
    window.wait("Click the screen to type into the guest");
    until("the pointer is not seen again", || cursor_is_seen(&screen));
    assert!(screen.xdotool(&["mousemove", "12", "400"]));
    std::thread::sleep(Duration::from_millis(700));
    assert_eq!(screen.pointer(), [12, 400]);
    drop(other);
    window.press("Eject");
    window.wait("State: Ejected");
    window.close();
}

#[test]
fn a_window_that_takes_the_focus_has_the_keyboard_and_no_key_stays_down_in_the_guest() {
    let console = Console::new();
    let screen = Screen::start().expect("Xvfb and openbox are installed by packaging/setup");
    let repo = console.repository("distro");
    build("raw_keys.c", &repo.join("raw-keys"));
    let window = Window::open(&console, &screen, &[repo.to_str().unwrap()]);
    window.press("Build & Boot");
    window.wait("State: Running");
    std::thread::sleep(Duration::from_secs(3));
    click(&screen);
    window.wait("Keyboard captured");
    type_line(&screen, "./raw-keys");
    window.wait_for_log("serial.log", "keys are read");
    assert!(screen.xdotool(&["keydown", "a", "keydown", "Shift_L"]));
    window.wait_for_log("serial.log", "2a");
    let other = Other::open(&screen);
    other.focus(&screen);
    window.wait("Click the screen to type into the guest");
    // Let go by us: on the keyboard both are still down.
    for released in ["9e", "aa"] {
        window.wait_for_log("serial.log", released);
    }
    assert!(screen.xdotool(&["keyup", "Shift_L", "keyup", "a"]));
    assert!(screen.xdotool(&["key", "--delay", "120", "b"]));
    until("the other window does not get its keys", || other.got("keysym 0x62, b"));
    assert!(!window.log("serial.log").lines().any(|line| line.starts_with("keys:") && line.contains("30")));

    // Whoever comes back goes on.
    drop(other);
    window.focus();
    click(&screen);
    window.wait("Keyboard captured");
    assert!(screen.xdotool(&["key", "--delay", "120", "c"]));
    window.wait_for_log("serial.log", "2e");
    assert!(screen.xdotool(&["key", "ctrl+alt"]));
    window.press("Eject");
    window.wait("State: Ejected");
    window.close();
}
