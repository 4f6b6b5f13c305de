//! The window on a Wayland compositor: whose keys are whose, on every layout, and what is seen of it.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::desktop::Window;
use crate::fingers::{A, ALT, CAPS_LOCK, CTRL, F11, Fingers, SUPER, TAB, X};
use crate::keys::{arrived, every_key, hex};
use crate::support::Console;
use crate::sway::Sway;
use crate::xvnc::{Said, Xvnc, free_port};

/// Part of what is written over the window of the guest's screen.
const TITLE: &str = "guest screen";

/// Builds a program of the tests' own for the guest.
fn build(source: &str, into: &Path) {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support").join(source);
    assert!(Command::new("cc").args(["-static", "-O1", "-o"]).arg(into).arg(source).status().unwrap().success());
}

/// Clicks the guest's screen in the main window until it has the keyboard.
fn capture(window: &Window<'_>, fingers: &mut Fingers) {
    fingers.click(760, 300);
    window.wait("Keyboard captured");
}

fn let_go(window: &Window<'_>, fingers: &mut Fingers) {
    fingers.press(&[CTRL, ALT]);
    window.wait("Click the screen to type into the guest");
}

/// Waits until the guest has got these bytes since `before` of them.
fn gets(window: &Window<'_>, sway: &Sway, before: usize, bytes: &[u8]) {
    sway.until(&format!("{}in the guest", hex(bytes)), || {
        let all = arrived(window);
        all.len() >= before + bytes.len() && all[before..].windows(bytes.len()).any(|some| some == bytes)
    });
}

#[test]
fn a_guest_with_the_keyboard_gets_the_compositors_own_keys_and_gives_them_back() {
    let console = Console::new();
    let sway = Sway::start();
    let mut fingers = sway.fingers("us");
    let repo = console.repository("distro");
    build("raw_keys.c", &repo.join("raw-keys"));
    let window = Window::open(&console, &sway, &[repo.to_str().unwrap()]);
    window.press("Build & Boot");
    window.wait("State: Running");
    fingers.press(&[SUPER, X]);
    fingers.press(&[ALT, TAB]);
    sway.until("sway's own keys", || sway.acted() == 2);

    capture(&window, &mut fingers);
    fingers.type_line("./raw-keys");
    window.wait_for_log("serial.log", "keys are read");
    let before = arrived(&window).len();
    fingers.press(&[SUPER, X]);
    gets(&window, &sway, before, &[0xe0, 0x5b, 0x2d, 0xad, 0xe0, 0xdb]);
    let before = arrived(&window).len();
    fingers.press(&[ALT, TAB]);
    gets(&window, &sway, before, &[0x38, 0x0f, 0x8f, 0xb8]);
    window.photograph("captured.png");

    let_go(&window, &mut fingers);
    fingers.press(&[SUPER, X]);
    // Those of before would be there by now.
    sway.until("sway's own keys again", || sway.acted() >= 3);
    assert_eq!(sway.acted(), 3, "the guest had the keyboard");
    let got = arrived(&window);
    assert!(!got.ends_with(&[0x2d, 0xad]), "{}", hex(&got));

    // A window that goes out of sight is painted no more; its keys go up all the same, and are sway's.
    capture(&window, &mut fingers);
    let before = arrived(&window).len();
    fingers.down(A);
    gets(&window, &sway, before, &[0x1e]);
    sway.does("workspace 2");
    gets(&window, &sway, before, &[0x9e]);
    fingers.up(A);
    fingers.press(&[SUPER, X]);
    sway.until("sway's own keys out of sight", || sway.acted() == 4);
    // Its cursor blinks, and nobody is there to see it: QEMU is told no more that somebody looks, nor asked for anything.
    sway.until("rest out of sight", || window.work().0 < 16);
    sway.does("workspace 1");
    window.wait("Click the screen to type into the guest");
    sway.until("work in sight", || window.work().0 > 20);

    // Who does not let its keys go says so, and the menu of keys sends them.
    sway.does("seat seat0 shortcuts_inhibitor disable");
    window.wait("Send Ctrl-Alt-Del");
    capture(&window, &mut fingers);
    let before = arrived(&window).len();
    fingers.press(&[SUPER, X]);
    sway.until("keys that sway keeps", || sway.acted() == 5);
    fingers.press(&[A]);
    gets(&window, &sway, before, &[0x1e, 0x9e]);
    let_go(&window, &mut fingers);
    window.press("Send other keys");
    window.wait("This desktop keeps its own keys");
    window.photograph("kept.png");
    window.press("Send other keys");
    window.press("Eject");
    window.wait("State: Ejected");
    window.close();
    console.assert_clean();
}

#[test]
fn every_key_arrives_as_it_is_on_every_layout_of_a_compositor() {
    let console = Console::new();
    let sway = Sway::start();
    let mut fingers = sway.fingers("us");
    let repo = console.repository("distro");
    build("raw_keys.c", &repo.join("raw-keys"));
    let window = Window::open(&console, &sway, &[repo.to_str().unwrap()]);
    window.press("Build & Boot");
    window.wait("State: Running");
    capture(&window, &mut fingers);
    let keys = every_key();
    let wanted: Vec<u8> = keys.iter().flat_map(|(_, bytes)| bytes.clone()).collect();
    for (round, layout) in ["us", "de", "fr"].into_iter().enumerate() {
        fingers.layout("us");
        fingers.type_line("./raw-keys");
        window.wait_for_log_times("serial.log", "keys are read", round + 1);
        fingers.layout(layout);
        let before = arrived(&window).len();
        for (key, _) in &keys {
            fingers.press(&[u32::from(*key)]);
        }
        let came = || {
            let mut all = arrived(&window).split_off(before);
            // Enter, which began the program, may go up only after that.
            if all.first() == Some(&0x9c) {
                all.remove(0);
            }
            all
        };
        sway.until(layout, || came().len() >= wanted.len());
        assert_eq!(hex(&came()), hex(&wanted), "{layout}");
    }
    let_go(&window, &mut fingers);
    window.press("Eject");
    window.wait("State: Ejected");
    window.close();
}

/// Types a line into the guest, in whatever window it is, until what it says is heard. No name tells when a second window has
/// the keyboard.
fn says(window: &Window<'_>, sway: &Sway, fingers: &mut Fingers, at: [u32; 2], word: &str) {
    for _ in 0..5 {
        fingers.click(at[0], at[1]);
        fingers.type_line(&format!("echo {word} $((40 + 2)) > /dev/ttyS0"));
        let heard = || window.log("serial.log").contains(&format!("{word} 42"));
        if sway.within(10, heard) {
            return;
        }
    }
    panic!("{word} never came: {}", window.log("serial.log"));
}

#[test]
fn a_second_window_has_the_keyboard_all_of_the_screen_and_an_end() {
    let console = Console::new();
    let sway = Sway::start();
    let mut fingers = sway.fingers("us");
    let repo = console.repository("distro");
    build("raw_keys.c", &repo.join("raw-keys"));
    let window = Window::open(&console, &sway, &[repo.to_str().unwrap()]);
    window.press("Build & Boot");
    window.wait("State: Running");

    // The guest gets the keyboard with the lock keys that the desktop has by then.
    capture(&window, &mut fingers);
    fingers.type_line("cat > /dev/ttyS0");
    for (typed, arrives) in [("caps", "CAPS"), ("small", "small")] {
        let_go(&window, &mut fingers);
        fingers.press(&[CAPS_LOCK]);
        capture(&window, &mut fingers);
        fingers.type_line(typed);
        window.wait_for_log("serial.log", arrives);
    }
    fingers.press(&[CTRL, 46]);
    let_go(&window, &mut fingers);

    window.press("Detach the screen");
    window.wait("Bring back");
    sway.until("the second window", || sway.has(TITLE));
    says(&window, &sway, &mut fingers, [850, 480], "apart");
    window.photograph("detached.png");
    fingers.type_line("./raw-keys");
    window.wait_for_log("serial.log", "keys are read");
    let before = arrived(&window).len();
    fingers.press(&[SUPER, X]);
    gets(&window, &sway, before, &[0xe0, 0x5b, 0x2d, 0xad, 0xe0, 0xdb]);
    fingers.press(&[CTRL, ALT]);
    sway.until("sway's own keys", || {
        fingers.press(&[SUPER, X]);
        sway.within(3, || sway.acted() > 0)
    });

    // Out of sight, while the main window is seen: the guest is asked for nothing.
    sway.does("[title=\"guest screen\"] move container to workspace 2");
    sway.until("rest out of sight", || window.work().0 < 16);
    sway.does("[title=\"guest screen\"] move container to workspace 1");
    sway.does("[title=\"guest screen\"] focus");
    sway.until("work in sight", || window.work().0 > 20);

    // Full screen and back.
    fingers.press(&[F11]);
    sway.until("full screen", || sway.shows(TITLE).is_some_and(|it| it["fullscreen_mode"] == 1));
    sway.until("a picture all over it", || {
        let full = window.photograph("full.png");
        full.get_pixel(1, 400) == full.get_pixel(1278, 400) && full.get_pixel(640, 1) == full.get_pixel(1, 1)
    });
    fingers.press(&[F11]);
    sway.until("no full screen", || sway.shows(TITLE).is_some_and(|it| it["fullscreen_mode"] == 0));
    let rect = sway.shows(TITLE).unwrap()["rect"].clone();
    assert_eq!((rect["width"].as_i64(), rect["height"].as_i64()), (Some(700), Some(500)));

    // The compositor closes it; keys are the main window's then.
    sway.does("[title=\"guest screen\"] kill");
    sway.until("the second window's end", || !sway.has(TITLE));
    window.wait("Guest screen");
    capture(&window, &mut fingers);
    let before = arrived(&window).len();
    fingers.press(&[SUPER, X]);
    gets(&window, &sway, before, &[0xe0, 0x5b, 0x2d, 0xad, 0xe0, 0xdb]);
    let_go(&window, &mut fingers);

    window.press("Detach the screen");
    sway.until("the second window", || sway.has(TITLE));
    window.press("Bring back");
    sway.until("the second window's end", || !sway.has(TITLE));
    window.press("Eject");
    window.wait("State: Ejected");
    window.close();
    console.assert_clean();
}

/// What the compositor's clipboard holds.
fn pasted(sway: &Sway, kind: &str) -> Vec<u8> {
    let mut command = Command::new("timeout");
    sway.show(&mut command);
    command.args(["10", "wl-paste", "--no-newline", "--type", kind]).stderr(Stdio::null()).output().unwrap().stdout
}

#[test]
fn texts_and_pictures_go_through_the_compositors_clipboard() {
    let console = Console::new();
    let sway = Sway::start();
    let port = free_port().to_string();
    let server = Xvnc::start(&["-SecurityTypes", "None", "-localhost", "-rfbport", &port, "-desktop", "far away"]);
    sway.until("Xvnc", || std::net::TcpStream::connect(format!("127.0.0.1:{port}")).is_ok());
    // A pointer, without which there is no click, and a keyboard, without which no window is in front.
    let mut fingers = sway.fingers("us");
    let window = Window::open(&console, &sway, &["attach", &format!("127.0.0.1:{port}")]);
    window.wait("State: Attached");
    fingers.point(850, 350);

    // To the guest, at a press.
    let mut copy = sway.program("wl-copy").args(["--foreground", "grüße 日本"]).spawn().unwrap();
    sway.until("wl-copy", || pasted(&sway, "text/plain;charset=utf-8") == "grüße 日本".as_bytes());
    let there = || {
        let line = server.program("timeout").args(["5", "xclip", "-selection", "clipboard", "-out"]);
        cartridge_supervise::run(&line, &cartridge_supervise::Cancel::new(), |_, _| ()).map(|done| done.stdout)
    };
    window.press("Type text");
    window.press("Paste into guest");
    sway.until("the text in the guest", || there().is_ok_and(|text| text == "grüße 日本".as_bytes()));
    let _ = copy.kill();
    let _ = copy.wait();

    // From the guest.
    std::fs::write(server.dir.path().join("copied"), "von dort: Größe").unwrap();
    let line = server.program("xclip").args(["-selection", "clipboard", "-quiet", "-in"]);
    let _owner = cartridge_supervise::spawn(&line.arg(server.dir.path().join("copied")), Said::default()).unwrap();
    sway.until("the guest's text", || {
        if !window.shows("Copy from guest") {
            window.press("Type text");
        }
        window.press("Copy from guest");
        pasted(&sway, "text/plain;charset=utf-8") == "von dort: Größe".as_bytes()
    });

    // Its picture.
    window.press("Copy the picture");
    sway.until("the guest's picture", || {
        image::load_from_memory(&pasted(&sway, "image/png")).is_ok_and(|picture| picture.width() == 320)
    });
    window.photograph("copied.png");
    window.press("Disconnect");
    window.wait("State: Disconnected");
    window.close();
    console.assert_clean();
}
