//! What our own VNC client says to a server, and what it does not: how often it asks for pictures, whom it tells that somebody looks,
//! what it prefers. A server that counts; and real ones where a picture of now is wished for while nobody looks.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio::time::timeout;
use vmtools::display::rfb::RfbSource;
use vmtools::{Boot, InputEvent, Machine, Medium};

use crate::boot_sector;
use crate::harness::{SOON, machine, plan};
use crate::servers::{Xvnc, end, until};
use crate::viewer::{Viewer, view};

/// What a client says (RFC 6143, 7.5).
#[derive(Clone, Debug, PartialEq, Eq)]
enum Says {
    Encodings(Vec<i32>),
    /// Incremental, width and height.
    Request(bool, u16, u16),
    /// Keysym, and whether it goes down.
    Key(u32, bool),
    /// Scan code, and whether it goes down.
    Scancode(u32, bool),
    Pointer(u8, u16, u16),
    Other,
}

async fn heard(line: &mut (impl AsyncReadExt + Unpin)) -> Option<Says> {
    let kind = line.read_u8().await.ok()?;
    Some(match kind {
        0 => {
            line.read_exact(&mut [0; 19]).await.ok()?;
            Says::Other
        }
        2 => {
            line.read_u8().await.ok()?;
            let mut list = Vec::new();
            for _ in 0..line.read_u16().await.ok()? {
                list.push(line.read_i32().await.ok()?);
            }
            Says::Encodings(list)
        }
        3 => {
            let incremental = line.read_u8().await.ok()? != 0;
            line.read_u32().await.ok()?;
            Says::Request(incremental, line.read_u16().await.ok()?, line.read_u16().await.ok()?)
        }
        4 => {
            let down = line.read_u8().await.ok()? != 0;
            line.read_u16().await.ok()?;
            Says::Key(line.read_u32().await.ok()?, down)
        }
        5 => {
            let buttons = line.read_u8().await.ok()?;
            Says::Pointer(buttons, line.read_u16().await.ok()?, line.read_u16().await.ok()?)
        }
        255 => {
            assert_eq!(line.read_u8().await.ok()?, 0, "a key");
            let down = line.read_u16().await.ok()? != 0;
            line.read_u32().await.ok()?;
            Says::Scancode(line.read_u32().await.ok()?, down)
        }
        other => panic!("message {other}"),
    })
}

/// Shakes hands as RFC 6143, 7.1 to 7.3 says, as a server with that name and a screen of 20×10 pixels.
async fn greet(line: &mut (impl AsyncReadExt + AsyncWriteExt + Unpin), name: &str) {
    line.write_all(b"RFB 003.008\n\x01\x01\0\0\0\0").await.unwrap();
    line.read_exact(&mut [0; 14]).await.unwrap();
    let mut init = vec![0, 20, 0, 10, 32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0, 0, 0, 0];
    init.extend((name.len() as u32).to_be_bytes());
    init.extend(name.as_bytes());
    line.write_all(&init).await.unwrap();
}

fn rect(width: u16, height: u16, encoding: i32) -> Vec<u8> {
    let mut bytes = vec![0; 4];
    bytes.extend([width, height].iter().flat_map(|side| side.to_be_bytes()));
    bytes.extend(encoding.to_be_bytes());
    bytes
}

/// An update of all of the screen, in one colour.
fn picture(colour: u8) -> Vec<u8> {
    [&[0, 0, 0, 1][..], &rect(20, 10, 0), &[colour; 800]].concat()
}

/// An update without pixels: the server knows keys by their scan codes; or a light of the keyboard.
fn knows_keys() -> Vec<u8> {
    [&[0, 0, 0, 1][..], &rect(0, 0, -258)].concat()
}

fn light(bits: u8) -> Vec<u8> {
    [&[0, 0, 0, 1][..], &rect(0, 0, -261), &[bits]].concat()
}

struct Server {
    listener: UnixListener,
    path: PathBuf,
    _dir: tempfile::TempDir,
}

/// A connection to it.
struct Line {
    out: tokio::net::unix::OwnedWriteHalf,
    says: mpsc::UnboundedReceiver<Says>,
}

impl Server {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path: PathBuf = dir.path().join("vnc");
        Self { listener: UnixListener::bind(&path).unwrap(), path, _dir: dir }
    }

    async fn accept(&self, name: &str) -> Line {
        let (mut line, _) = timeout(SOON, self.listener.accept()).await.expect("it does not come").unwrap();
        greet(&mut line, name).await;
        let (mut from, out): (_, _) = UnixStream::into_split(line);
        let (sender, says) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Some(said) = heard(&mut from).await {
                let _ = sender.send(said);
            }
        });
        Line { out, says }
    }
}

impl Line {
    async fn next(&mut self, wanted: impl Fn(&Says) -> bool) -> Says {
        let waiting = async {
            loop {
                let said = self.says.recv().await.expect("it goes on");
                if wanted(&said) {
                    return said;
                }
            }
        };
        timeout(SOON, waiting).await.expect("it says it")
    }

    async fn request(&mut self) -> Says {
        self.next(|said| matches!(said, Says::Request(..))).await
    }

    async fn say(&mut self, bytes: &[u8]) {
        self.out.write_all(bytes).await.unwrap();
    }

    /// Waits until nothing more is said.
    async fn quiet(&mut self) {
        while !self.within(Duration::from_millis(700)).await.is_empty() {}
    }

    /// What is said within a time.
    async fn within(&mut self, time: Duration) -> Vec<Says> {
        let end = tokio::time::Instant::now() + time;
        let mut all = Vec::new();
        while let Ok(Some(said)) = tokio::time::timeout_at(end, self.says.recv()).await {
            all.push(said);
        }
        all
    }
}

fn requests(said: &[Says]) -> usize {
    said.iter().filter(|said| matches!(said, Says::Request(..))).count()
}

async fn live(viewer: &Viewer) {
    let waiting = async {
        while !viewer.screen.live() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(SOON, waiting).await.expect("a picture");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_request_is_on_its_way_whatever_qemu_tells_meanwhile() {
    let server = Server::new();
    let viewer = view(RfbSource::new(&server.path));
    let mut line = server.accept("QEMU (test)").await;
    assert_eq!(line.request().await, Says::Request(false, 20, 10));
    // It says these when it likes, and owes the picture still.
    line.say(&knows_keys()).await;
    for number in 0..20 {
        line.say(&light(number % 8)).await;
    }
    let said = line.within(Duration::from_millis(700)).await;
    assert_eq!(requests(&said), 0, "{said:?}");
    line.say(&picture(1)).await;
    live(&viewer).await;
    let said = line.within(Duration::from_millis(1500)).await;
    assert_eq!(requests(&said), 1, "the next one alone: {said:?}");
    line.say(&light(1)).await;
    assert_eq!(requests(&line.within(Duration::from_millis(500)).await), 0);
    line.say(&picture(2)).await;
    assert_eq!(line.request().await, Says::Request(true, 20, 10));
    end(viewer).await;

    // Elsewhere any update is the answer, or a picture would be waited for in vain.
    let viewer = view(RfbSource::new(&server.path));
    let mut line = server.accept("somebody's").await;
    line.request().await;
    line.say(&picture(1)).await;
    line.request().await;
    line.say(&light(1)).await;
    assert_eq!(line.request().await, Says::Request(true, 20, 10));
    assert_eq!(requests(&line.within(Duration::from_millis(700)).await), 0);
    end(viewer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hidden_screen_asks_for_nothing_until_a_picture_of_now_is_wished() {
    let server = Server::new();
    let viewer = view(RfbSource::new(&server.path));
    let mut line = server.accept("QEMU").await;
    line.request().await;
    line.say(&[knows_keys(), picture(1)].concat()).await;
    live(&viewer).await;
    line.request().await;
    viewer.screen.set_visible(false);
    line.quiet().await;
    // What was asked for before comes; and then nothing is said at all.
    line.say(&picture(2)).await;
    let said = line.within(Duration::from_secs(3)).await;
    assert_eq!(said, [], "while it is hidden");
    let colour = || viewer.screen.snapshot().unwrap().rgba[0];
    assert_eq!(colour(), 2);

    let wished = async {
        assert!(viewer.screen.fresh(SOON).await);
        colour()
    };
    let answered = async {
        // QEMU is woken, and asked for what has changed and for a pixel at once.
        assert_eq!(line.next(|_| true).await, Says::Scancode(0x76, false));
        assert_eq!(line.request().await, Says::Request(true, 20, 10));
        assert_eq!(line.request().await, Says::Request(false, 1, 1));
        line.say(&picture(3)).await;
    };
    assert_eq!(tokio::join!(wished, answered).0, 3);
    assert_eq!(line.within(Duration::from_millis(1500)).await, [], "once");
    // Who looks beside it is somebody.
    let look = viewer.screen.look();
    line.request().await;
    drop(look);
    line.quiet().await;
    line.say(&picture(4)).await;
    assert_eq!(line.within(Duration::from_millis(1500)).await, []);
    // A server that does not answer is waited for as long as was said.
    let begun = Instant::now();
    assert!(!viewer.screen.fresh(Duration::from_millis(200)).await && begun.elapsed() < SOON);
    line.quiet().await;
    // Another size is black until it is asked for.
    line.say(&[&[0, 0, 0, 1][..], &rect(4, 2, -223)].concat()).await;
    assert_eq!(line.within(Duration::from_millis(700)).await, [Says::Request(false, 4, 2)], "it was wished for");
    assert!(viewer.screen.behind().is_some() && viewer.screen.live(), "what is shown is of the size before");
    viewer.screen.set_visible(true);
    line.say(&[&[0, 0, 0, 1][..], &rect(4, 2, 0), &[9; 32]].concat()).await;
    let end_at = Instant::now() + SOON;
    while (colour(), viewer.screen.behind()) != (9, None) {
        assert!(Instant::now() < end_at, "{} {:?}", colour(), viewer.screen.behind());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    end(viewer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn qemu_alone_is_told_that_somebody_looks_and_not_where_that_is_all() {
    for (name, others, only, beaten) in [
        ("QEMU (a)", false, false, true),
        ("QEMU (a)", false, true, true),
        ("QEMU (a)", true, false, true),
        ("QEMU (a)", true, true, false),
        ("x11", true, false, false),
        ("x11", false, false, false),
    ] {
        let server = Server::new();
        let source = RfbSource::new(&server.path);
        let viewer = view(if others { source.of_others(SOON) } else { source });
        viewer.screen.set_view_only(only);
        let mut line = server.accept(name).await;
        line.request().await;
        line.say(&picture(1)).await;
        live(&viewer).await;
        let is_beat = |said: &Says| matches!(said, Says::Key(_, false) | Says::Scancode(_, false));
        if beaten {
            for _ in 0..4 {
                line.next(is_beat).await;
            }
        } else {
            let said = line.within(Duration::from_millis(1000)).await;
            assert!(!said.iter().any(is_beat), "{name} {others} {only}: {said:?}");
        }
        end(viewer).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pixels_come_as_they_are_from_here_and_packed_from_elsewhere() {
    let server = Server::new();
    let viewer = view(RfbSource::new(&server.path));
    let mut line = server.accept("here").await;
    let Says::Encodings(here) = line.next(|said| matches!(said, Says::Encodings(_))).await else { unreachable!() };
    assert!(here[0] == 0 && !here.contains(&7) && !here.contains(&16), "{here:?}");
    end(viewer).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let viewer = view(RfbSource::tcp(&listener.local_addr().unwrap().to_string()));
    let (mut line, _) = timeout(SOON, listener.accept()).await.unwrap().unwrap();
    greet(&mut line, "there").await;
    let list = loop {
        if let Says::Encodings(list) = timeout(SOON, heard(&mut line)).await.unwrap().unwrap() {
            break list;
        }
    };
    let at = |encoding: i32| list.iter().position(|it| *it == encoding).unwrap();
    assert!(at(7) < at(16) && at(16) < at(0), "{list:?}");
    end(viewer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn input_goes_out_on_a_still_screen_where_the_pointer_was_last_and_keys_go_up_on_another_connection() {
    let server = Server::new();
    let viewer = view(RfbSource::new(&server.path));
    let mut line = server.accept("x11").await;
    line.request().await;
    line.say(&picture(1)).await;
    live(&viewer).await;
    let moved = |buttons| InputEvent::Motion { dx: 5, dy: 5, buttons };
    let pointer = |said: &Says| matches!(said, Says::Pointer(..));
    // The server says nothing more: who waited for a picture before it sends would wait for ever.
    // Nobody has said where it is: a movement means nothing here, and a button is pressed in the middle.
    for event in [moved(0), moved(1), moved(0), moved(0)] {
        viewer.inputs.send(event).await.unwrap();
    }
    assert_eq!(line.next(pointer).await, Says::Pointer(1, 10, 5));
    assert_eq!(line.next(pointer).await, Says::Pointer(0, 10, 5));
    for event in [InputEvent::Pointer { x: 3, y: 4, buttons: 0 }, moved(0), moved(1), InputEvent::ReleaseAll] {
        viewer.inputs.send(event).await.unwrap();
    }
    for said in [Says::Pointer(0, 3, 4), Says::Pointer(1, 3, 4), Says::Pointer(0, 3, 4)] {
        assert_eq!(line.next(pointer).await, said);
    }
    // A key is down when the connection breaks, as what it yields.
    let key = InputEvent::Key { scancode: 0x1e, keysym: Some(0x41), down: true };
    viewer.inputs.send(key).await.unwrap();
    assert_eq!(line.next(|said| matches!(said, Says::Key(..))).await, Says::Key(0x41, true));
    drop(line);
    let mut line = server.accept("x11").await;
    assert_eq!(line.next(|said| matches!(said, Says::Key(..))).await, Says::Key(0x41, false));
    end(viewer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hidden_guest_shows_what_it_drew_when_it_is_wished_for() {
    let mut plan = plan(Machine { medium: Medium::Usb, ..machine() }, Boot::Nothing);
    plan.plan.boot = Boot::Iso(boot_sector::medium(plan.dir.path(), boot_sector::PIXELS));
    let guest = plan.start().await.unwrap();
    // The firmware writes in grey.
    let coloured = || {
        let frame = guest.screen.snapshot().unwrap();
        frame.rgba.chunks_exact(4).filter(|pixel| pixel[..3] != [0; 3] && pixel[..3] != [0xaa; 3]).count()
    };
    guest.wait("a picture", |guest| guest.screen.live()).await;
    // It draws what it is sent once it runs: what the firmware shows has gone then.
    guest
        .wait("its own picture", |guest| {
            guest.handle.send_serial(b"a".to_vec());
            coloured() > 0
        })
        .await;
    guest.screen.set_visible(false);
    assert!(guest.screen.fresh(SOON).await);
    // What was on its way comes.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let (generation, before) = (guest.screen.generation(), coloured());
    guest.handle.send_serial(b"abcdefgh".to_vec());
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!((guest.screen.generation(), coloured()), (generation, before), "nobody has asked");
    let begun = Instant::now();
    while coloured() == before {
        assert!(guest.screen.fresh(SOON).await);
        assert!(begun.elapsed() < SOON, "it is never seen");
    }
    // Still, and answered all the same.
    for _ in 0..3 {
        assert!(guest.screen.fresh(SOON).await);
    }
    guest.handle.end(|_, _| {}).await;
    assert!(!guest.screen.fresh(SOON).await, "nobody is there");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hidden_x_screen_shows_what_was_drawn_when_it_is_wished_for() {
    let (_dir, path) = Xvnc::socket();
    let xvnc = Xvnc::on_socket(&path);
    let viewer = view(RfbSource::new(&path));
    until("a picture", &xvnc, || viewer.screen.live()).await;
    viewer.screen.set_visible(false);
    assert!(viewer.screen.fresh(SOON).await);
    for _ in 0..3 {
        assert!(viewer.screen.fresh(SOON).await, "a still one answers too");
    }
    xvnc.draw();
    let rgba = xvnc.picture().2;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(viewer.screen.snapshot().unwrap().rgba != rgba, "nobody has asked");
    assert!(viewer.screen.fresh(SOON).await);
    assert!(viewer.screen.snapshot().unwrap().rgba == rgba);
    end(viewer).await;
}
