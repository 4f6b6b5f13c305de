//! A VNC server of somebody else's in the real window: its password is asked for there, its window is typed into, and what it
//! plays is heard.

use std::time::{Duration, Instant};

use cartridge_supervise::{CommandLine, spawn};

use crate::boot_sector;
use crate::desktop::Window;
use crate::pulse::Pulse;
use crate::screen::Screen;
use crate::support::Console;
use crate::xvnc::{Said, Xvnc, free_port};

#[test]
fn a_server_is_attached_by_a_password_that_the_window_asks_for_and_is_typed_into() {
    let console = Console::new();
    let screen = Screen::start().expect("Xvfb and openbox are installed by packaging/setup");
    let port = free_port().to_string();
    let server = Xvnc::start(&["-SecurityTypes", "VncAuth", "-localhost", "-rfbport", &port, "-desktop", "far away"]);
    let until = |what: &str, done: &mut dyn FnMut() -> bool| {
        let end = Instant::now() + Duration::from_secs(60);
        while !done() {
            assert!(Instant::now() < end, "waiting for {what}");
            std::thread::sleep(Duration::from_millis(50));
        }
    };
    until("Xvnc", &mut || std::net::TcpStream::connect(format!("127.0.0.1:{port}")).is_ok());
    let said = Said::default();
    let line = server.program("xev").args(["-geometry", "320x200+0+0", "-event", "keyboard", "-event", "button"]);
    let _there = spawn(&line, said.clone()).unwrap();
    let window = Window::open(&console, &screen, &["attach", &format!("127.0.0.1:{port}")]);
    window.wait("Password of the VNC server");
    // The field has the keyboard.
    std::thread::sleep(Duration::from_millis(700));
    assert!(screen.xdotool(&["type", "--delay", "60", "secret"]));
    assert!(screen.xdotool(&["key", "Return"]));
    window.wait("State: Attached");
    until("a press", &mut || {
        assert!(screen.xdotool(&["mousemove", "850", "350", "click", "1"]));
        std::thread::sleep(Duration::from_millis(300));
        said.has("ButtonPress")
    });
    assert!(screen.xdotool(&["key", "a"]) && screen.xdotool(&["key", "F5"]));
    until("keys", &mut || said.has(", a)") && said.has(", F5)"));
    assert!(screen.xdotool(&["key", "ctrl+alt"]));
    window.photograph("attached.png");
    window.press("Disconnect");
    window.wait("State: Disconnected");
    // Lint's own words are of secrets, not this one.
    let log = window.log("session.log").replace("secrets", "");
    assert!(!log.is_empty() && !log.contains("secret"), "{log}");
    window.close();
    assert_eq!(server.picture().0, 320, "the server goes on");
    console.assert_clean();
}

#[test]
fn what_a_server_plays_is_heard_until_it_is_turned_off() {
    let console = Console::new();
    let screen = Screen::start().expect("Xvfb and openbox are installed by packaging/setup");
    let pulse = Pulse::at(console.home.path().join("run/pulse/native"));
    let place = tempfile::tempdir().unwrap();
    let medium = boot_sector::medium(place.path(), boot_sector::BEEP).display().to_string().replace(',', ",,");
    let port = free_port();
    let line = CommandLine::new("qemu-system-x86_64").args(["-display", "none", "-accel", "tcg", "-nodefaults"]);
    let line = line.args(["-vga", "std", "-audiodev", "none,id=beep", "-machine", "q35,pcspk-audiodev=beep"]);
    let line = line.arg("-vnc").arg(format!("127.0.0.1:{},audiodev=beep", port - 5900));
    let said = Said::default();
    let _there = spawn(&line.arg("-drive").arg(format!("file={medium},format=raw")), said.clone()).unwrap();
    let end = Instant::now() + Duration::from_secs(60);
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(Instant::now() < end, "waiting for QEMU, which says {}", said.text());
        std::thread::sleep(Duration::from_millis(50));
    }
    let (hearing, heard) = pulse.hear();
    pulse.until("silence", || heard.is_silent());
    let window = Window::open(&console, &screen, &["attach", &format!("127.0.0.1:{port}")]);
    window.wait("State: Attached");
    window.wait("Sound");
    pulse.until("the tone", || heard.pitch().is_some_and(|pitch| (960..1040).contains(&pitch)));
    window.press("Sound");
    pulse.until("silence again", || heard.is_silent());
    window.press("Disconnect");
    window.wait("State: Disconnected");
    assert!(!window.shows("Sound"));
    window.close();
    drop((hearing, pulse));
    console.assert_clean();
}
