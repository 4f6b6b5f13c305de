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
const EV_KEY: i32 = 1;
const EV_REL: i32 = 2;
const EV_ABS: i32 = 3;
const BTN_LEFT: i32 = 0x110;
const BTN_SIDE: i32 = 0x113;
const BTN_EXTRA: i32 = 0x114;
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

/// All values of that type and code that the guest has told.
fn told(window: &Window<'_>, kind: i32, code: i32) -> Vec<i32> {
    let log = window.log("serial.log");
    let numbers = log.lines().filter_map(|line| {
        let mut words = line.trim().strip_prefix("input: ")?.split(' ').map(|word| word.parse::<i32>().ok());
        Some([words.next()??, words.next()??, words.next()??])
    });
    numbers.filter(|it| it[..2] == [kind, code]).map(|[_, _, value]| value).collect()
}

/// All values of one axis that the guest has told, added up.
fn moved(window: &Window<'_>, axis: i32) -> i32 {
    told(window, EV_REL, axis).iter().sum()
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
    window.wait("releases, click again for the pointer");
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

    // The wheel, down and to both sides: one step for one turn, also of a wheel that is buttons. And the two side buttons.
    for (button, axis, way) in [("5", REL_WHEEL, -1), ("6", REL_HWHEEL, -1), ("7", REL_HWHEEL, 1)] {
        // On a busy machine one turn was seen to get lost, and not where. A turn that counted twice would make sixteen.
        let before = moved(&window, axis);
        for _ in 0..8 {
            let last = moved(&window, axis);
            assert!(screen.xdotool(&["click", button]));
            let end = Instant::now() + Duration::from_secs(4);
            while moved(&window, axis) == last && Instant::now() < end {
                std::thread::sleep(Duration::from_millis(100));
            }
        }
        std::thread::sleep(Duration::from_secs(2));
        let turned = (moved(&window, axis) - before) * way;
        assert!((5..=8).contains(&turned), "button {button}: {turned} of 8");
    }

    for (button, code) in [("8", BTN_SIDE), ("9", BTN_EXTRA)] {
        let before = told(&window, EV_KEY, code).len();
        until("a side button does not arrive", || {
            assert!(screen.xdotool(&["mousedown", button]));
            std::thread::sleep(Duration::from_millis(300));
            assert!(screen.xdotool(&["mouseup", button]));
            std::thread::sleep(Duration::from_millis(700));
            told(&window, EV_KEY, code)[before..].ends_with(&[1, 0])
        });
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
    window.wait("releases, click again for the pointer");
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

/// Puts the pointer there and says where the guest then has it, in its own pixels.
fn placed(window: &Window<'_>, screen: &Screen, at: [i32; 2], size: [f64; 2]) -> [f64; 2] {
    let before = [0, 1].map(|axis| told(window, EV_ABS, axis).len());
    assert!(screen.xdotool(&["mousemove", &at[0].to_string(), &at[1].to_string()]));
    until("no place arrives", || [0, 1].iter().all(|axis| told(window, EV_ABS, *axis).len() > before[*axis as usize]));
    std::thread::sleep(Duration::from_millis(400));
    // QEMU's axes end at 0x7fff (INPUT_EVENT_ABS_MAX).
    let last = |axis: i32| f64::from(*told(window, EV_ABS, axis).last().unwrap()) / 32_767.0;
    [last(0) * (size[0] - 1.0), last(1) * (size[1] - 1.0)]
}

#[test]
fn a_tablet_is_where_the_pointer_is_at_every_scale_and_a_drag_goes_on_outside() {
    let console = Console::new();
    let screen = Screen::start().expect("Xvfb and openbox are installed by packaging/setup");
    let repo = console.repository("distro");
    build("raw_pointer.c", &repo.join("raw-pointer"));
    let window = Window::open(&console, &screen, &[repo.to_str().unwrap()]);
    window.press("Build & Boot");
    window.wait("State: Running");
    std::thread::sleep(Duration::from_secs(3));
    click(&screen);
    window.wait("Keyboard captured");
    type_line(&screen, "./raw-pointer");
    window.wait_for_log("serial.log", "pointers are read");
    window.press("Screenshot");
    window.wait_for_log("session.log", "Screenshot: ");
    let log = window.log("session.log");
    let saved = log.lines().find_map(|line| Some(line.split_once("Screenshot: ")?.1)).unwrap().trim().to_owned();
    let size = image::image_dimensions(&saved).map(|(width, height)| [f64::from(width), f64::from(height)]).unwrap();
    // This user's own folder.
    std::fs::remove_file(saved).unwrap();
    let mut zooms = Vec::new();
    for scaling in ["1:1", "Fit", "Stretch"] {
        window.press("How the screen is shown");
        window.press(&format!("Screen: {scaling}"));
        std::thread::sleep(Duration::from_millis(700));
        placed(&window, &screen, [640, 200], size);
        let (a, b) = (placed(&window, &screen, [700, 260], size), placed(&window, &screen, [820, 350], size));
        zooms.push([120.0 / (b[0] - a[0]), 90.0 / (b[1] - a[1])]);
    }
    window.photograph("tablet.png");
    // Within a pixel of the guest's and one of ours.
    let near = |a: f64, b: f64| (a / b - 1.0).abs() < 0.03;
    let [natural, fit, stretch] = zooms[..] else { unreachable!() };
    assert!(near(natural[0], 1.0) && near(natural[1], 1.0), "{zooms:?}");
    assert!(near(fit[0], fit[1]) && fit[0] < 0.9, "{zooms:?} of {size:?}");
    let least = stretch[0].min(stretch[1]);
    assert!(near(least, fit[0]) && !near(stretch[0], stretch[1]), "{zooms:?} of {size:?}");

    // A drag out of the window: the button is down until it is let go, wherever that is.
    assert!(screen.xdotool(&["mousemove", "760", "300"]));
    let before = told(&window, EV_KEY, BTN_LEFT).len();
    let buttons = || told(&window, EV_KEY, BTN_LEFT)[before..].to_vec();
    assert!(screen.xdotool(&["mousedown", "1"]));
    until("the press does not arrive", || buttons() == [1]);
    assert!(screen.xdotool(&["mousemove", "1276", "796"]));
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(buttons(), [1], "it is still down");
    assert!(screen.xdotool(&["mouseup", "1"]));
    until("the release does not arrive", || buttons() == [1, 0]);
    assert!(screen.xdotool(&["key", "ctrl+alt"]));
    window.press("Eject");
    window.wait("State: Ejected");
    window.close();
}
