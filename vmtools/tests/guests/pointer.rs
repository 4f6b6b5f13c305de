//! A guest without a tablet: what its PS/2 mouse tells of movements, five buttons and the wheel.

use std::time::Duration;

use tokio::time::Instant;
use vmtools::{Boot, GuestEvent, InputEvent, Machine, Medium};

use crate::boot_sector;
use crate::harness::{Guest, SOON, machine, plan};

/// What a mouse with five buttons said, added up: one packet of four bytes after the other.
#[derive(Debug, Default, PartialEq)]
struct Told {
    dx: i32,
    dy: i32,
    wheel: i32,
    /// What was down after each change: left 1, right 2, middle 4, back 8, forward 16.
    buttons: Vec<u8>,
}

fn told(bytes: &[u8]) -> Told {
    let mut told = Told::default();
    let mut last = 0;
    let (packets, rest) = bytes.as_chunks::<4>();
    assert!(rest.is_empty(), "{bytes:x?}");
    for &[first, x, y, fourth] in packets {
        // A bit that is always set tells the first byte of a packet.
        assert_eq!(first & 8, 8, "{bytes:x?}");
        told.dx += i32::from(x) - if first & 0x10 == 0 { 0 } else { 256 };
        told.dy += i32::from(y) - if first & 0x20 == 0 { 0 } else { 256 };
        told.wheel += i32::from(((fourth << 4) as i8) >> 4);
        let buttons = first & 7 | fourth >> 1 & 0x18;
        if buttons != last {
            last = buttons;
            told.buttons.push(buttons);
        }
    }
    told
}

/// What the guest says until it is still.
async fn hear(guest: &mut Guest) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Ok(event) = tokio::time::timeout(Duration::from_millis(500), guest.events.recv()).await {
        match event {
            Some(GuestEvent::Serial(more)) => bytes.extend(more),
            Some(_) => {}
            None => panic!("it ended"),
        }
    }
    bytes
}

/// Sends `events`, slower than packets come, and waits for what the guest says of them.
async fn after(guest: &mut Guest, events: &[InputEvent]) -> Told {
    for event in events {
        guest.handle.input(*event);
        tokio::time::sleep(Duration::from_millis(60)).await;
    }
    let end = Instant::now() + SOON;
    loop {
        let bytes = hear(guest).await;
        if !bytes.is_empty() {
            return told(&bytes);
        }
        assert!(Instant::now() < end, "the guest heard nothing of {events:?}");
    }
}

fn moved(dx: i16, dy: i16, buttons: u16) -> InputEvent {
    InputEvent::Motion { dx, dy, buttons }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_without_a_tablet_gets_movements_five_buttons_and_the_wheel() {
    let mut plan = plan(Machine { medium: Medium::Usb, ..machine() }, Boot::Nothing);
    plan.plan.boot = Boot::Iso(boot_sector::medium(plan.dir.path(), boot_sector::MOUSE));
    let mut guest = plan.start().await.unwrap();
    guest.wait("a picture", |g| g.screen.live()).await;
    // Nobody has a driver for the tablet: QEMU wants movements.
    guest.wait("the wish for movements", |g| g.screen.relative()).await;
    let mut heard = Vec::new();
    while !heard.ends_with(&[0xfa, 4, 0xfa, 0xfa]) && !heard.ends_with(&[0xfa, 4, 0xfa]) {
        heard.extend(hear(&mut guest).await);
    }

    let all = after(&mut guest, &[moved(5, 3, 0), moved(-20, 7, 0), moved(300, -40, 0)]).await;
    // PS/2 counts upwards.
    assert_eq!((all.dx, all.dy, all.wheel, all.buttons), (285, 30, 0, vec![]));
    for (bit, name, told) in [(0, "left", 1), (2, "right", 2), (1, "middle", 4), (7, "back", 8), (8, "forward", 16)] {
        let all = after(&mut guest, &[moved(0, 0, 1 << bit), moved(0, 0, 0)]).await;
        assert_eq!(all, Told { buttons: vec![told, 0], ..Told::default() }, "{name}");
    }
    for (bit, steps) in [(3, -1), (4, 1)] {
        let all = after(&mut guest, &[moved(0, 0, 1 << bit), moved(0, 0, 0)]).await;
        assert_eq!((all.dx, all.dy, all.wheel), (0, 0, steps));
    }
    // What is still down goes up without a place, and the window may have sent places before.
    let all = after(&mut guest, &[moved(1, 0, 1 | 1 << 7), InputEvent::ReleaseAll]).await;
    // The two go different ways to QEMU, and either may be first.
    assert!(all.dx == 1 && all.buttons.contains(&9) && all.buttons.last() == Some(&0), "{all:?}");
    guest.handle.end(|_, _| {}).await;
}
