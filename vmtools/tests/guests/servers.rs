//! Our own VNC client against other real servers: TigerVNC's Xvnc, and x11vnc, which is made with libvncserver. An X screen, what
//! was drawn on it by others, and a window that says which keys and buttons it got.

use std::time::{Duration, Instant};

use cartridge_supervise::spawn;
use vmtools::display::SizeAnswer;
use vmtools::display::rfb::{Encoding, RfbSource};
use vmtools::{InputEvent, Screen};

use crate::harness::SOON;
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
            viewer.inputs.send(InputEvent::Key { scancode, down }).await.unwrap();
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
