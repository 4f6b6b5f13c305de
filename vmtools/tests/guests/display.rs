//! The screen, keyboard and pointer of a real QEMU.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::Instant;
use vmtools::display::{Client, DisplayLink, DisplaySource as _, VncSource, keysym};
use vmtools::{Boot, CTRL_ALT_DEL, GuestEvent, GuestStatus, InputEvent, Machine, Medium};

use crate::boot_sector;
use crate::harness::{Guest, machine, plan};

async fn sector(code: &[u8]) -> Guest {
    let mut plan = plan(Machine { medium: Medium::Usb, ..machine() }, Boot::Nothing);
    plan.plan.boot = Boot::Iso(boot_sector::medium(plan.dir.path(), code));
    plan.start().await.unwrap()
}

fn shows_something(guest: &Guest) -> bool {
    guest.screen.live() && guest.screen.snapshot().is_some_and(|frame| !frame.is_uniform())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_firmware_is_seen_and_can_be_kept() {
    let guest = plan(machine(), Boot::Nothing).start().await.unwrap();
    let woken = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&woken);
    guest.screen.set_waker(Box::new(move || {
        count.fetch_add(1, Ordering::Relaxed);
    }));
    guest.wait("SeaBIOS", shows_something).await;
    assert!(woken.load(Ordering::Relaxed) > 0);
    let mut taken = None;
    guest
        .wait("a frame", |g| g.screen.try_take(&mut |view| taken = Some((view.width, view.height, view.damage.len()))))
        .await;
    let (width, height, rects) = taken.unwrap();
    assert!(width >= 320 && height >= 200 && (1..=8).contains(&rects));
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("firmware.png");
    let frame = guest.screen.snapshot().unwrap();
    frame.save_png(&path).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    assert_eq!(&bytes[..8], b"\x89PNG\r\n\x1a\n");
    assert_eq!(u32::from_be_bytes(bytes[16..20].try_into().unwrap()), frame.width);
    guest.handle.end(|_, _| {}).await;
    assert!(!guest.screen.live() && guest.screen.snapshot().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn colours_are_right_after_the_size_has_changed() {
    let guest = sector(boot_sector::RED).await;
    let is_red = |g: &Guest| {
        // VGA's colour 4 is dark red: 42 of 63 parts, which QEMU shows as 168 of 255.
        g.screen.live() && g.screen.snapshot().is_some_and(|f| f.is_uniform() && f.rgba.starts_with(&[168, 0, 0, 255]))
    };
    guest.wait("a red screen", is_red).await;
    let frame = guest.screen.snapshot().unwrap();
    assert!(matches!((frame.width, frame.height), (320, 200) | (640, 400)), "{}x{}", frame.width, frame.height);
    // Reset: text mode, and then red again, through changes of size in both directions.
    guest.handle.reset();
    guest.wait("the firmware", shows_something).await;
    guest.wait("a red screen again", is_red).await;
    guest.handle.end(|_, _| {}).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_arrive_as_pressed_and_too_many_harm_nobody() {
    let mut guest = sector(boot_sector::KEYS).await;
    // Until the boot sector listens, the firmware swallows keys: press Escape until it is told.
    let heard = loop {
        for down in [true, false] {
            guest.handle.input(InputEvent::key(0x01, down));
        }
        match tokio::time::timeout(Duration::from_millis(300), guest.events.recv()).await {
            Ok(Some(GuestEvent::Serial(bytes))) if bytes.contains(&0x01) => break bytes,
            Ok(None) => panic!("it ended"),
            _ => {}
        }
    };
    assert!(!heard.is_empty());
    tokio::time::sleep(Duration::from_millis(500)).await;
    while guest.events.try_recv().is_ok() {}
    assert_eq!(guest.handle.type_text("aB/é\n").await, ['é']);
    guest.handle.input(InputEvent::key(0xe048, true));
    guest.handle.input(InputEvent::ReleaseAll);
    // Shift itself is no key for the BIOS: a, B, slash, Enter, Up.
    let mut codes = Vec::new();
    while codes.len() < 5 {
        let more =
            guest.until("the keys", |e| if let GuestEvent::Serial(b) = e { Some(b.clone()) } else { None }).await;
        codes.extend(more);
    }
    assert_eq!(codes, [0x1e, 0x30, 0x35, 0x1c, 0x48]);
    // Far more than any queue holds must neither block nor panic.
    for i in 0..20_000_u32 {
        guest.handle.input(InputEvent::Pointer { x: (i % 600) as u16, y: 10, buttons: 0 });
        guest.handle.input(InputEvent::key((i % 0x60) as u16, i % 2 == 0));
    }
    guest.handle.input(InputEvent::ReleaseAll);
    // And is over some time: what is typed then arrives.
    loop {
        for down in [true, false] {
            guest.handle.input(InputEvent::key(0x26, down));
        }
        match tokio::time::timeout(Duration::from_millis(300), guest.events.recv()).await {
            Ok(Some(GuestEvent::Serial(bytes))) if bytes.ends_with(&[0x26]) => break,
            Ok(None) => panic!("it ended"),
            _ => {}
        }
    }
    guest.handle.end(|_, _| {}).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_other_client_shows_a_guest_and_takes_its_keys_too() {
    let mut plan = plan(Machine { medium: Medium::Usb, ..machine() }, Boot::Nothing);
    plan.plan.boot = Boot::Iso(boot_sector::medium(plan.dir.path(), boot_sector::KEYS));
    let (sender, events) = tokio::sync::mpsc::channel(64);
    let screen = Arc::new(vmtools::Screen::new());
    screen.set_client(Client::VncRs);
    let runtime = plan.plan.runtime.clone();
    let handle = vmtools::start(plan.plan, sender, Arc::clone(&screen)).await.unwrap();
    let mut guest = Guest::new(handle, events, screen, runtime, plan.dir);
    guest.wait("the firmware's words", shows_something).await;
    // Ours knows these by then.
    assert_eq!(guest.screen.locks(), None);
    for round in 0..2 {
        // The firmware drops keys that come before it asks for them.
        let pressed = async {
            loop {
                for down in [true, false] {
                    guest.handle.input(InputEvent::key(0x1e, down));
                }
                tokio::time::sleep(Duration::from_millis(500)).await;
                while let Ok(event) = guest.events.try_recv() {
                    if matches!(&event, GuestEvent::Serial(bytes) if bytes.contains(&0x1e)) {
                        return;
                    }
                }
            }
        };
        tokio::time::timeout(crate::harness::SOON, pressed).await.expect("the guest gets the key");
        guest.screen.set_visible(false);
        assert!(guest.screen.fresh(crate::harness::SOON).await, "a picture of now");
        guest.screen.set_visible(true);
        if round == 0 {
            guest.handle.reset();
        }
    }
    guest.handle.end(|_, _| {}).await;
    assert!(!guest.screen.live());
}

#[tokio::test(flavor = "multi_thread")]
async fn qemu_knows_every_key_that_we_send() {
    let guest = plan(machine(), Boot::Nothing).start().await.unwrap();
    guest.wait("a picture", |g| g.screen.live()).await;
    // By a client that does not know of scan codes: QEMU looks each keysym up, and complains about those that it does not have.
    let (inputs, receiver) = tokio::sync::mpsc::channel(16);
    let (gone, is_gone) = tokio::sync::watch::channel(false);
    let screen = Arc::new(vmtools::Screen::new());
    let link = DisplayLink { screen: Arc::clone(&screen), inputs: receiver, gone: is_gone };
    let socket = vmtools::RuntimeDir::open(&guest.runtime).unwrap().paths().vnc;
    let viewing = tokio::spawn(Box::new(VncSource::new(&socket)).run(link));
    guest.wait("the same by vnc-rs", |_| screen.live()).await;
    let mut keys = 0;
    for scancode in (0..0x80).chain(0xe000..0xe080).chain([0xe11d]).filter(|&code| keysym(code).is_some()) {
        for down in [true, false] {
            inputs.send(InputEvent::key(scancode, down)).await.unwrap();
        }
        keys += 1;
    }
    assert!(keys > 100, "{keys} keys");
    // At their pace, they take 12 ms each.
    tokio::time::sleep(Duration::from_secs(4)).await;
    gone.send_replace(true);
    viewing.await.unwrap();
    let end = guest.handle.end(|_, _| {}).await;
    let lacking: std::collections::BTreeSet<u32> = end
        .qemu_words
        .lines()
        .filter_map(|line| line.rsplit_once("no scancode found for keysym ")?.1.parse().ok())
        .collect();
    // F13 to F15, two keys of Japanese keyboards, and those for volume and players, of which QEMU takes 16 bits: the guest gets
    // these by their scan codes, by our own client.
    let expected = [0xffca, 0xffcb, 0xffcc, 0xff27, 0xa5, 0xff11, 0xff12, 0xff16, 0xff17];
    assert_eq!(lacking, std::collections::BTreeSet::from(expected), "{}", end.qemu_words);
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_alt_del_reboots_a_bios_guest() {
    let mut guest = sector(boot_sector::KEYS).await;
    guest.until_status(&GuestStatus::Running).await;
    let end = Instant::now() + crate::harness::SOON;
    while guest.handle.status() != GuestStatus::Rebooting {
        for &scancode in CTRL_ALT_DEL {
            guest.handle.input(InputEvent::key(scancode, true));
        }
        guest.handle.input(InputEvent::ReleaseAll);
        tokio::time::sleep(Duration::from_millis(250)).await;
        assert!(Instant::now() < end, "no reboot");
    }
    guest.until_status(&GuestStatus::Rebooting).await;
    guest.handle.end(|_, _| {}).await;
}
