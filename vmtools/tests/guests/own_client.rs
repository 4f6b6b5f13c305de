//! Our own VNC client against a real QEMU: the same pixels as vnc-rs from the same bytes, and a life with interruptions.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::io::copy_bidirectional;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use vmtools::display::rfb::{Decoder, Encoding, RfbSource};
use vmtools::{Boot, GuestEvent, InputEvent, Machine, Medium, RuntimeDir, Screen};

use crate::boot_sector;
use crate::harness::{Guest, SOON, machine, plan};
use crate::libvnc::LibVnc;
use crate::recorded::{Recorded, record};
use crate::viewer::view;

async fn sector(code: &[u8]) -> Guest {
    let mut plan = plan(Machine { medium: Medium::Usb, ..machine() }, Boot::Nothing);
    plan.plan.boot = Boot::Iso(boot_sector::medium(plan.dir.path(), code));
    plan.start().await.unwrap()
}

/// Waits for the firmware's text: a guest that is reset before may stand still for ever, under emulation.
async fn text(guest: &Guest) {
    let shown = |g: &Guest| g.screen.snapshot().is_some_and(|f| f.width == 720 && !f.is_uniform());
    guest.wait("the firmware", shown).await;
}

fn socket(guest: &Guest) -> PathBuf {
    RuntimeDir::open(&guest.runtime).unwrap().paths().vnc
}

/// The colours of a picture, at least as many as there are up to 300.
pub fn colours(rgba: &[u8]) -> usize {
    let mut seen = std::collections::HashSet::new();
    for pixel in rgba.chunks_exact(4) {
        seen.insert(pixel);
        if seen.len() > 300 {
            break;
        }
    }
    seen.len()
}

/// Records the way from the firmware's text to a picture of many colours; says when the text is there.
fn record_switch(socket: &Path, encoding: i32, text: &AtomicBool) -> Recorded {
    record(socket, encoding, |decoder: &Decoder<_>| {
        text.store(true, Ordering::SeqCst);
        let rgba = decoder.rgba();
        // Drawn to its end: the last pixel has colour 1, dark blue.
        colours(&rgba) > 100 && rgba.ends_with(&[0, 0, 168, 255])
    })
}

/// Lets the boot sector go on: it misses what comes while the firmware still works, so say it until `done`.
async fn go_on(guest: &Guest, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + SOON;
    while !done() {
        assert!(Instant::now() < end, "the guest does not go on");
        guest.handle.send_serial(b"a".to_vec());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_encodings_vnc_rs_and_libvncclient_see_the_same_picture() {
    let guest = sector(boot_sector::COLOURS).await;
    text(&guest).await;
    let libvnc = LibVnc::compile().unwrap();
    let mut last: Option<((usize, usize), Vec<u8>)> = None;
    for (encoding, words, by_vnc_rs) in [
        (0, "raw", Some(vnc::VncEncoding::Raw)),
        (16, "zrle", Some(vnc::VncEncoding::Zrle)),
        (7, "tight", Some(vnc::VncEncoding::Tight)),
        (5, "hextile", None),
    ] {
        guest.handle.reset();
        // The firmware's text first, so that the size changes in the recording.
        text(&guest).await;
        let path = socket(&guest);
        let seen = Arc::new(AtomicBool::new(false));
        let tell = Arc::clone(&seen);
        let recording = tokio::task::spawn_blocking(move || record_switch(&path, encoding, &tell));
        guest.wait("the recorder to see text", |_| seen.load(Ordering::SeqCst)).await;
        go_on(&guest, || recording.is_finished()).await;
        let recorded = recording.await.unwrap();
        let sizes: std::collections::BTreeSet<_> = recorded.ends.iter().map(|(_, size)| *size).collect();
        assert!(sizes.len() > 1, "encoding {encoding}: only {sizes:?}");
        // The last picture of the text, and the last one.
        let first_size = recorded.ends[0].1;
        let text_end = recorded.ends.iter().rev().find(|(_, size)| *size == first_size).unwrap().0;
        for end in [text_end, recorded.bytes.len()] {
            let ours = recorded.ours(end);
            let theirs = libvnc.picture(&recorded, end, words);
            assert!(ours == (theirs.size, theirs.rgba), "{words}: libvncclient sees another picture after {end} bytes");
            if let Some(kind) = by_vnc_rs {
                let theirs = recorded.by_vnc_rs(end, kind).await;
                assert!(ours == theirs, "encoding {encoding}: different pictures of {:?} after {end} bytes", ours.0);
            }
        }
        // The picture stands still: every encoding has to show the same.
        let picture = recorded.ours(recorded.bytes.len());
        if let Some(last) = &last {
            assert!(*last == picture, "encoding {encoding} shows another picture");
        }
        last = Some(picture);
    }
    guest.handle.end(|_, _| {}).await;
}

/// A line to QEMU that can be cut.
pub struct Proxy {
    pub path: PathBuf,
    pub cut: watch::Sender<u32>,
    _dir: tempfile::TempDir,
}

fn proxy(to: PathBuf) -> Proxy {
    proxy_to(move || UnixStream::connect(to.clone()))
}

/// The same to whatever `connect` connects to.
pub fn proxy_to<L, F>(connect: impl Fn() -> F + Send + 'static) -> Proxy
where
    L: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    F: Future<Output = std::io::Result<L>> + Send,
{
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("vnc");
    let listener = UnixListener::bind(&path).unwrap();
    let (cut, watch) = watch::channel(0);
    tokio::spawn(async move {
        while let Ok((mut near, _)) = listener.accept().await {
            let mut watch = watch.clone();
            watch.borrow_and_update();
            let mut far = connect().await.unwrap();
            tokio::spawn(async move {
                tokio::select! {
                    _ = copy_bidirectional(&mut near, &mut far) => {}
                    _ = watch.changed() => {}
                }
            });
        }
    });
    Proxy { path, cut, _dir: dir }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_comes_back_when_the_line_is_cut_and_keys_arrive_again() {
    let mut guest = sector(boot_sector::KEYS).await;
    let proxy = proxy(socket(&guest));
    let viewer = view(RfbSource::new(&proxy.path));
    for round in 0..3 {
        guest.wait("a picture", |_| viewer.screen.live()).await;
        // Until the boot sector listens, the firmware swallows keys.
        loop {
            for down in [true, false] {
                viewer.inputs.send(InputEvent::key(0x20, down)).await.unwrap();
            }
            match tokio::time::timeout(Duration::from_millis(300), guest.events.recv()).await {
                Ok(Some(GuestEvent::Serial(bytes))) if bytes.contains(&0x20) => break,
                Ok(None) => panic!("it ended"),
                _ => {}
            }
        }
        let before = viewer.screen.generation();
        proxy.cut.send_replace(round + 1);
        guest.wait("the cut", |_| viewer.screen.generation() > before).await;
    }
    guest.wait("a picture", |_| viewer.screen.live()).await;
    viewer.gone.send_replace(true);
    viewer.running.await.unwrap();
    assert!(!viewer.screen.live() && viewer.screen.snapshot().is_some());
    guest.handle.end(|_, _| {}).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_encoding_shows_a_guest_through_resets() {
    let guest = sector(boot_sector::COLOURS).await;
    text(&guest).await;
    for encoding in [Encoding::Raw, Encoding::Hextile, Encoding::Zrle, Encoding::Tight] {
        guest.handle.reset();
        let viewer = view(RfbSource::new(&socket(&guest)).with_encoding(encoding));
        let many = |screen: &Screen| screen.snapshot().is_some_and(|frame| colours(&frame.rgba) > 100);
        guest.wait("the firmware", |_| viewer.screen.live() && !many(&viewer.screen)).await;
        go_on(&guest, || viewer.screen.live() && many(&viewer.screen)).await;
        guest
            .wait("both the same", |g| g.screen.snapshot().map(|f| f.rgba) == viewer.screen.snapshot().map(|f| f.rgba))
            .await;
        viewer.gone.send_replace(true);
        viewer.running.await.unwrap();
    }
    guest.handle.end(|_, _| {}).await;
}
