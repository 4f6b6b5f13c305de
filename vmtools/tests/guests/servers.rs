//! Our own VNC client against other real servers: TigerVNC's Xvnc, and x11vnc, which is made with libvncserver. An X screen, what
//! was drawn on it by others, and a window that says which keys and buttons it got.

use std::time::{Duration, Instant};

use cartridge_supervise::spawn;
use vmtools::display::rfb::{Encoding, RfbSource};
use vmtools::display::{SizeAnswer, keysym_of, keysyms_for_text};
use vmtools::{InputEvent, Screen};

use crate::harness::SOON;
use crate::libvnc::LibVnc;
use crate::recorded::{Recorded, record_with};
use crate::viewer::{Viewer, view};
pub use crate::xvnc::{Said, Xvnc, free_port};

pub async fn until(what: &str, xvnc: &Xvnc, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + SOON;
    while !done() {
        assert!(Instant::now() < end, "waiting for {what}; the server says {}", xvnc.said.text());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn size(screen: &Screen) -> Option<(u32, u32)> {
    screen.snapshot().filter(|_| screen.live()).map(|frame| (frame.width, frame.height))
}

pub async fn end(viewer: Viewer) {
    viewer.gone.send_replace(true);
    viewer.running.await.unwrap();
    assert!(!viewer.screen.live());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_opens_a_server_on_tcp_and_a_wrong_one_is_told() {
    let port = free_port().to_string();
    let xvnc = Xvnc::start(&["-SecurityTypes", "VncAuth", "-localhost", "-rfbport", &port]);
    let address = format!("127.0.0.1:{port}");
    let right = view(RfbSource::tcp(&address).with_password("secret"));
    until("a picture", &xvnc, || size(&right.screen) == Some((320, 200))).await;
    let wrong = view(RfbSource::tcp(&address).with_password("Secret"));
    until("a refusal", &xvnc, || wrong.screen.trouble().is_some_and(|why| why.contains("did not take the password")))
        .await;
    let none = view(RfbSource::tcp(&address));
    until("a refusal", &xvnc, || none.screen.trouble().is_some_and(|why| why.contains("none was given"))).await;
    assert!(wrong.screen.snapshot().is_none() && none.screen.snapshot().is_none() && right.screen.live());
    for viewer in [right, wrong, none] {
        end(viewer).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_encoding_of_xvnc_shows_what_another_program_sees() {
    let (_dir, path) = Xvnc::socket();
    let xvnc = Xvnc::on_socket(&path);
    let first = view(RfbSource::new(&path));
    until("a picture", &xvnc, || first.screen.live()).await;
    xvnc.draw();
    let (width, height, rgba) = xvnc.picture();
    assert_eq!((width, height), (320, 200));
    end(first).await;
    for encoding in [Encoding::Raw, Encoding::Hextile, Encoding::Zrle, Encoding::Tight] {
        let viewer = view(RfbSource::new(&path).with_encoding(encoding));
        until("the pattern", &xvnc, || viewer.screen.snapshot().is_some_and(|frame| frame.rgba == rgba)).await;
        end(viewer).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn x11vnc_shows_what_another_program_sees() {
    let (_dir, path) = Xvnc::socket();
    let xvnc = Xvnc::on_socket(&path);
    let own = view(RfbSource::new(&path));
    until("a picture", &xvnc, || own.screen.live()).await;
    xvnc.draw();
    let rgba = xvnc.picture().2;
    let port = free_port().to_string();
    let line = xvnc.program("x11vnc").args([
        "-localhost",
        "-forever",
        "-shared",
        "-nocursor",
        "-noxdamage",
        "-rfbport",
        &port,
    ]);
    let password = xvnc.dir.path().join("password");
    let said = Said::default();
    let _server = spawn(&line.arg("-rfbauth").arg(password), said.clone()).unwrap();
    for encoding in [Encoding::Raw, Encoding::Hextile, Encoding::Zrle, Encoding::Tight] {
        let source = RfbSource::tcp(&format!("127.0.0.1:{port}")).with_password("secret").with_encoding(encoding);
        let viewer = view(source);
        until("the pattern by x11vnc", &xvnc, || viewer.screen.snapshot().is_some_and(|frame| frame.rgba == rgba))
            .await;
        end(viewer).await;
    }
    end(own).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_x11vnc_does_not_lift_go_up_when_the_line_is_cut() {
    let (_dir, path) = Xvnc::socket();
    let xvnc = Xvnc::on_socket(&path);
    until("the X screen", &xvnc, || std::os::unix::net::UnixStream::connect(&path).is_ok()).await;
    let (_server, _, address) = x11vnc(&xvnc, &[]).await;
    let proxy = crate::own_client::proxy_to(move || tokio::net::TcpStream::connect(address.clone()));
    let viewer = view(RfbSource::new(&proxy.path));
    until("a picture", &xvnc, || viewer.screen.live()).await;
    let said = Said::default();
    let line = xvnc.program("xev").args(["-geometry", "320x200+0+0", "-event", "keyboard", "-event", "button"]);
    let _window = spawn(&line, said.clone()).unwrap();
    until("the window", &xvnc, || {
        for buttons in [0, 1, 0] {
            let _ = viewer.inputs.try_send(InputEvent::Pointer { x: 50, y: 60, buttons });
        }
        said.has("ButtonPress")
    })
    .await;
    let key = InputEvent::Key { scancode: 0x1e, keysym: Some(keysym_of('A')), down: true };
    for event in [InputEvent::key(0x1d, true), key] {
        viewer.inputs.send(event).await.unwrap();
    }
    let released = |name: &str| {
        let text = said.text();
        text.split("\n\n").any(|event| event.contains("KeyRelease event") && event.contains(name))
    };
    until("the presses", &xvnc, || said.has(", a)") || said.has(", A)")).await;
    assert!(!released("Control_L"), "{}", said.text());
    proxy.cut.send_replace(1);
    until("the key to go up", &xvnc, || (released(", a)") || released(", A)")) && released("Control_L")).await;
    end(viewer).await;
}

/// How many rectangles of a recorded stream in Raw and CopyRect were copied (RFC 6143, 7.6.1 and 7.7.2).
fn copied(mut bytes: &[u8]) -> usize {
    let mut take = |count: usize| {
        let (taken, rest) = bytes.split_at(count.min(bytes.len()));
        bytes = rest;
        taken.to_vec()
    };
    let mut copied = 0;
    while let [0, _, high, low] = take(4)[..] {
        for _ in 0..u16::from_be_bytes([high, low]) {
            let head = take(12);
            let side = |at: usize| usize::from(u16::from_be_bytes([head[at], head[at + 1]]));
            match i32::from_be_bytes(head[8..].try_into().unwrap()) {
                0 => drop(take(side(4) * side(6) * 4)),
                1 => {
                    take(4);
                    copied += 1;
                }
                -223 => {}
                other => panic!("encoding {other}"),
            }
        }
    }
    copied
}

/// Moves a window about, which is at its last place afterwards.
fn move_about(xvnc: &Xvnc, window: &str) {
    for (x, y) in [(20, 10), (35, 22), (60, 30), (50, 20), (90, 41)] {
        xvnc.run(xvnc.program("xdotool").args(["windowmove", "--sync", window, &x.to_string(), &y.to_string()]));
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Records some dozens of updates while that window is moved about.
async fn recorded_moves(xvnc: &Xvnc, window: &str, path: &std::path::Path, encodings: &'static [i32]) -> Recorded {
    let path = path.to_owned();
    let mut updates = 0;
    let enough = move |_: &_| {
        updates += 1;
        updates > 40
    };
    let recording = tokio::task::spawn_blocking(move || record_with(&path, encodings, enough));
    while !recording.is_finished() {
        move_about(xvnc, window);
    }
    recording.await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_copied_on_the_screen_and_what_comes_as_jpeg_is_what_other_clients_see() {
    let libvnc = LibVnc::compile().unwrap();
    let (_dir, path) = Xvnc::socket();
    let xvnc = Xvnc::on_socket(&path);
    until("the X screen", &xvnc, || std::os::unix::net::UnixStream::connect(&path).is_ok()).await;
    let shown = |name: &str| {
        let search = xvnc.program("xdotool").args(["search", "--sync", "--onlyvisible", "--name", name]);
        String::from_utf8(xvnc.run(search)).unwrap().trim().to_owned()
    };
    let words = ["-title", "moved", "-xrm", "*geometry: 200x100+5+5", "The quick brown fox jumps over the lazy dog"];
    let text = spawn(&xvnc.program("xmessage").args(words), Said::default()).unwrap();
    let copies = recorded_moves(&xvnc, &shown("moved"), &path, &[1, 0, -223]).await;
    drop(text);
    assert!(copied(&copies.bytes) > 0, "nothing was copied");
    let ours = copies.ours(copies.bytes.len());
    let theirs = libvnc.picture(&copies, copies.bytes.len(), "copyrect raw");
    assert!(ours == (theirs.size, theirs.rgba), "libvncclient sees another picture");
    assert!(
        ours == copies.by_vnc_rs(copies.bytes.len(), vnc::VncEncoding::CopyRect).await,
        "vnc-rs sees another picture"
    );

    // Quality 8 of 9, as we ask for.
    // A photograph is many colours next to each other.
    let words = ["-size", "200x120", "-title", "colours", "plasma:red-blue"];
    let _photograph = spawn(&xvnc.program("display").args(words), Said::default()).unwrap();
    let jpeg = recorded_moves(&xvnc, &shown("colours"), &path, &[7, -24, -223]).await;
    assert!(jpeg.bytes.windows(4).any(|word| word == b"JFIF"), "no JPEG came");
    let ours = jpeg.ours(jpeg.bytes.len());
    let theirs = libvnc.picture(&jpeg, jpeg.bytes.len(), "tight");
    assert_eq!(ours.0, theirs.size);
    // Decoders round as they like, and what is smooth is smoothed differently.
    let off = ours.1.iter().zip(&theirs.rgba).map(|(one, other)| one.abs_diff(*other));
    let most = off.clone().max().unwrap();
    let sum: u64 = off.map(u64::from).sum();
    assert!(most < 48 && sum < ours.1.len() as u64, "{most} at most, {sum} of {} bytes", ours.1.len());
}

/// x11vnc on the screen of `xvnc`: its port.
async fn x11vnc(xvnc: &Xvnc, words: &[&str]) -> (cartridge_supervise::ProcessHandle, Said, String) {
    let port = free_port().to_string();
    let common = ["-localhost", "-forever", "-shared", "-nocursor", "-noxdamage", "-rfbport", &port];
    let said = Said::default();
    let server = spawn(&xvnc.program("x11vnc").args(common).args(words), said.clone()).unwrap();
    until("x11vnc", xvnc, || said.text().contains("PORT=")).await;
    (server, said, format!("127.0.0.1:{port}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_know_keys_gets_what_they_yield() {
    let (_dir, path) = Xvnc::socket();
    let xvnc = Xvnc::on_socket(&path);
    until("the X screen", &xvnc, || std::os::unix::net::UnixStream::connect(&path).is_ok()).await;
    let (_server, _, address) = x11vnc(&xvnc, &[]).await;
    let viewer = view(RfbSource::tcp(&address));
    until("a picture", &xvnc, || viewer.screen.live()).await;
    assert!(viewer.screen.takes_keysyms());
    let said = Said::default();
    let line = xvnc.program("xev").args(["-geometry", "320x200+0+0", "-event", "keyboard", "-event", "button"]);
    let _window = spawn(&line, said.clone()).unwrap();
    until("the window", &xvnc, || {
        for buttons in [0, 1, 0] {
            let _ = viewer.inputs.try_send(InputEvent::Pointer { x: 50, y: 60, buttons });
        }
        said.has("ButtonPress")
    })
    .await;
    let typed = |c: char, scancode, down| InputEvent::Key { scancode, keysym: Some(keysym_of(c)), down };
    let shift = |down| InputEvent::Key { scancode: 0x2a, keysym: Some(0xffe1), down };
    // As a German keyboard has them: A, a, !, ß, and y where others have z. The last is let go of after Shift.
    let a = [shift(true), typed('A', 0x1e, true), typed('A', 0x1e, false), shift(false)];
    let others = [('a', 0x1e), ('ß', 0x0c), ('y', 0x2c)].map(|(c, code)| [typed(c, code, true), typed(c, code, false)]);
    let bang = [shift(true), typed('!', 0x02, true), shift(false), typed('1', 0x02, false)];
    for event in a.into_iter().chain(others.into_iter().flatten()).chain(bang) {
        viewer.inputs.send(event).await.unwrap();
    }
    // Text needs no layout: neither side has keys for all of this.
    for event in keysyms_for_text("É~€\n") {
        viewer.inputs.send(event).await.unwrap();
    }
    // Keys that nobody has said more of are those of a US keyboard.
    for event in [shift(true), InputEvent::key(0x2b, true), InputEvent::key(0x2b, false), shift(false)] {
        viewer.inputs.send(event).await.unwrap();
    }
    let heard = || {
        let text = said.text();
        let mut presses = text.split("\n\n").filter(|event| event.contains("KeyPress event"));
        let names =
            presses.by_ref().filter_map(|event| event.split_once("keysym 0x")?.1.split_once(", ")?.1.split_once(')'));
        names
            .map(|(name, _)| name.to_owned())
            .filter(|name| !name.starts_with("Shift") && !name.starts_with("ISO_"))
            .collect::<Vec<_>>()
    };
    let expected = ["A", "a", "ssharp", "y", "exclam", "Eacute", "asciitilde", "EuroSign", "Return", "bar"];
    until("the keys", &xvnc, || heard().len() >= expected.len()).await;
    assert_eq!(heard(), expected, "{}", said.text());
    until("every key to go up", &xvnc, || {
        said.text().matches("KeyRelease event").count() >= said.text().matches("KeyPress event").count()
    })
    .await;
    end(viewer).await;
    // QEMU and Xvnc know keys.
    let known = view(RfbSource::new(&path));
    until("a picture", &xvnc, || known.screen.live()).await;
    assert!(!known.screen.takes_keysyms());
    end(known).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wished_size_is_got_and_one_that_another_viewer_wished_is_followed() {
    let (_dir, path) = Xvnc::socket();
    let xvnc = Xvnc::on_socket(&path);
    let (one, other) = (view(RfbSource::new(&path)), view(RfbSource::new(&path)));
    until("both", &xvnc, || size(&one.screen).is_some() && size(&other.screen).is_some()).await;
    for wished in [(640, 480), (100, 75), (801, 601)] {
        one.screen.wish_size(wished.0, wished.1);
        let wished = (u32::from(wished.0), u32::from(wished.1));
        until("the size", &xvnc, || [&one, &other].iter().all(|viewer| size(&viewer.screen) == Some(wished))).await;
        until("the answer", &xvnc, || one.screen.size_answer() == Some(SizeAnswer::Done)).await;
        assert_eq!(other.screen.size_answer(), None);
    }
    xvnc.draw();
    let (width, height, rgba) = xvnc.picture();
    assert_eq!((width, height), (801, 601));
    for viewer in [one, other] {
        until("the picture", &xvnc, || viewer.screen.snapshot().is_some_and(|frame| frame.rgba == rgba)).await;
        end(viewer).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_buttons_and_the_wheel_reach_a_window_and_its_pointer_is_shown() {
    let (_dir, path) = Xvnc::socket();
    let xvnc = Xvnc::on_socket(&path);
    let viewer = view(RfbSource::new(&path));
    until("a picture", &xvnc, || viewer.screen.live()).await;
    let said = Said::default();
    let line = xvnc.program("xev").args(["-geometry", "320x200+0+0", "-event", "keyboard", "-event", "button"]);
    let _window = spawn(&line, said.clone()).unwrap();
    // The window gets keys while the pointer is in it; what comes before it is there is lost.
    let pointer = |x, y, buttons| InputEvent::Pointer { x, y, buttons };
    until("the window", &xvnc, || {
        for buttons in [0, 1, 0] {
            let _ = viewer.inputs.try_send(pointer(50, 60, buttons));
        }
        said.has("ButtonPress")
    })
    .await;
    for buttons in [4, 0, 8, 0, 16, 0] {
        viewer.inputs.send(pointer(70, 80, buttons)).await.unwrap();
    }
    for number in [3, 4, 5] {
        until("a button", &xvnc, || said.has(&format!("button {number},"))).await;
    }
    assert!(said.has("(70,80)"), "{}", said.text());
    // a, the right Control, keypad 7, F11, arrow up.
    for (scancode, keysym) in [(0x1e, "a)"), (0xe01d, "Control_R)"), (0x47, "KP_"), (0x57, "F11)"), (0xe048, "Up)")] {
        for down in [true, false] {
            viewer.inputs.send(InputEvent::key(scancode, down)).await.unwrap();
        }
        until(keysym, &xvnc, || said.has(&format!(", {keysym}"))).await;
    }
    // A pointer with a picture: of several shades where it has alpha.
    xvnc.run(xvnc.program("xsetroot").args(["-cursor_name", "watch"]));
    until("the pointer", &xvnc, || {
        viewer.screen.cursor().is_some_and(|cursor| {
            let opaque = cursor.rgba.chunks_exact(4).filter(|pixel| pixel[3] > 0).count();
            opaque > 10 && opaque < (cursor.width * cursor.height) as usize
        })
    })
    .await;
    end(viewer).await;
}
