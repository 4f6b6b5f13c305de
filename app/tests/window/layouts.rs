//! A VNC server that does not know keys by their scan codes: it gets what they yield on the layout of the desktop.

use std::time::{Duration, Instant};

use crate::desktop::Window;
use crate::screen::Screen;
use crate::support::Console;
use crate::xvnc::{Said, Xvnc, free_port};

#[test]
fn keys_yield_what_they_do_on_the_desktops_layout_where_that_is_all_that_a_server_knows() {
    let console = Console::new();
    let screen = Screen::start().expect("Xvfb and openbox are installed by packaging/setup");
    let (_dir, path) = Xvnc::socket();
    let server = Xvnc::on_socket(&path);
    let until = |what: &str, done: &mut dyn FnMut() -> bool| {
        let end = Instant::now() + Duration::from_secs(60);
        while !done() {
            assert!(Instant::now() < end, "waiting for {what}");
            std::thread::sleep(Duration::from_millis(50));
        }
    };
    until("Xvnc", &mut || std::os::unix::net::UnixStream::connect(&path).is_ok());
    let port = free_port().to_string();
    let x11vnc =
        server.program("x11vnc").args(["-localhost", "-forever", "-nocursor", "-noxdamage", "-rfbport", &port]);
    let _x11vnc = cartridge_supervise::spawn(&x11vnc, Said::default()).unwrap();
    until("x11vnc", &mut || std::net::TcpStream::connect(format!("127.0.0.1:{port}")).is_ok());
    let said = Said::default();
    let line = server.program("xev").args(["-geometry", "320x200+0+0", "-event", "keyboard", "-event", "button"]);
    let _there = cartridge_supervise::spawn(&line, said.clone()).unwrap();
    let window = Window::open(&console, &screen, &["attach", &format!("127.0.0.1:{port}")]);
    window.wait("State: Attached");
    until("a press", &mut || {
        assert!(screen.xdotool(&["mousemove", "850", "350", "click", "1"]));
        std::thread::sleep(Duration::from_millis(300));
        said.has("ButtonPress")
    });
    let names = || {
        let text = said.text();
        let presses = text.split("\n\n").filter(|event| event.contains("KeyPress event"));
        let names = presses.filter_map(|event| event.split_once("keysym 0x")?.1.split_once(", ")?.1.split_once(')'));
        let names = names.map(|(name, _)| name.to_owned());
        names.filter(|name| !["Shift_L", "ISO_Level3_Shift"].contains(&name.as_str())).collect::<Vec<_>>()
    };
    // Keys by their numbers: y of a US keyboard, minus, 2 with Shift, q with AltGr. The layout may change while they are grabbed.
    let mut expected = Vec::new();
    for (layout, yields) in [("us", ["y", "minus", "at", "q"]), ("de", ["z", "ssharp", "quotedbl", "at"])] {
        screen.layout(layout);
        std::thread::sleep(Duration::from_millis(500));
        assert!(screen.xdotool(&["key", "--delay", "60", "29", "20"]));
        assert!(screen.xdotool(&["keydown", "50", "key", "--delay", "60", "11", "keyup", "50"]));
        assert!(screen.xdotool(&["keydown", "108", "key", "--delay", "60", "24", "keyup", "108"]));
        expected.extend(yields.map(str::to_owned));
        // AltGr of a US keyboard is Alt.
        let heard = || names().into_iter().filter(|name| name != "Alt_R").collect::<Vec<_>>();
        until("the keys", &mut || heard().len() >= expected.len());
        assert_eq!(heard(), expected, "{layout}");
    }
    assert!(screen.xdotool(&["key", "ctrl+alt"]));
    window.press("Disconnect");
    window.wait("State: Disconnected");
    window.close();
    console.assert_clean();
}
