//! Lock keys of real guests: told by their lights, and brought in step with the host's when the guest gets the keyboard.

use std::time::Duration;

use vmtools::display::rfb::RfbSource;
use vmtools::display::{HostLocks, Locks};
use vmtools::{Boot, GuestEvent, InputEvent, Machine, Medium};

use crate::boot_sector;
use crate::harness::{Guest, machine, plan};
use crate::servers::{Xvnc, end, until};
use crate::viewer::view;

const NONE: Locks = Locks { scroll: false, num: false, caps: false };
const CAPS: Locks = Locks { caps: true, ..NONE };
const BOTH: Locks = Locks { num: true, ..CAPS };

fn host(num: bool, caps: bool) -> InputEvent {
    InputEvent::Locks(HostLocks { num: Some(num), caps: Some(caps), scroll: Some(false) })
}

async fn lights(guest: &Guest, wanted: Locks) {
    guest.wait(&format!("{wanted:?}"), |guest| guest.screen.locks() == Some(wanted)).await;
}

/// The next thing that the guest says of its lock keys.
async fn told(guest: &mut Guest) -> Vec<u8> {
    guest.until("its lock keys", |event| if let GuestEvent::Serial(b) = event { Some(b.clone()) } else { None }).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_gets_the_keyboard_has_the_hosts_lock_keys_and_keeps_its_own_then() {
    let mut plan = plan(Machine { medium: Medium::Usb, ..machine() }, Boot::Nothing);
    plan.plan.boot = Boot::Iso(boot_sector::medium(plan.dir.path(), boot_sector::LIGHTS));
    let mut guest = plan.start().await.unwrap();
    assert_eq!(told(&mut guest).await, [0]);
    lights(&guest, NONE).await;
    guest.handle.input(host(true, true));
    lights(&guest, BOTH).await;
    assert_eq!(told(&mut guest).await, [6], "each key once");
    // What is in step stays as it is, and so does what the user does then, in the guest alone.
    guest.handle.input(host(true, true));
    guest.handle.input(InputEvent::ReleaseAll);
    guest.handle.input(host(true, true));
    for down in [true, false] {
        guest.handle.input(InputEvent::key(0x45, down));
    }
    lights(&guest, CAPS).await;
    assert_eq!(told(&mut guest).await, [4]);
    // Scroll Lock too, which the BIOS tells as the lowest bit.
    let scroll = |scroll| HostLocks { scroll: Some(scroll), ..HostLocks::default() };
    for (on, locks, byte) in [(true, Locks { scroll: true, ..CAPS }, 5), (false, CAPS, 4)] {
        guest.handle.input(InputEvent::ReleaseAll);
        guest.handle.input(InputEvent::Locks(scroll(on)));
        lights(&guest, locks).await;
        assert_eq!(told(&mut guest).await, [byte]);
    }
    guest.handle.input(InputEvent::ReleaseAll);
    guest.handle.input(host(false, false));
    lights(&guest, NONE).await;
    assert_eq!(told(&mut guest).await, [0]);
    guest.handle.end(|_, _| {}).await;
    assert_eq!(guest.screen.locks(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_x_screen_has_the_hosts_lock_keys_and_tells_its_own() {
    let (_dir, path) = Xvnc::socket();
    let xvnc = Xvnc::on_socket(&path);
    let viewer = view(RfbSource::new(&path));
    until("its lights", &xvnc, || viewer.screen.locks() == Some(NONE)).await;
    let other = view(RfbSource::new(&path));
    xvnc.run(xvnc.program("xdotool").args(["key", "Caps_Lock"]));
    until("caps", &xvnc, || [&viewer, &other].iter().all(|one| one.screen.locks() == Some(CAPS))).await;
    viewer.inputs.send(host(true, true)).await.unwrap();
    until("both", &xvnc, || [&viewer, &other].iter().all(|one| one.screen.locks() == Some(BOTH))).await;
    // Where a light is not known nothing is pressed: only Num Lock goes out.
    let only_num = InputEvent::Locks(HostLocks { num: Some(false), ..HostLocks::default() });
    viewer.inputs.send(only_num).await.unwrap();
    until("caps alone", &xvnc, || viewer.screen.locks() == Some(CAPS)).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(viewer.screen.locks(), Some(CAPS));
    end(viewer).await;
    end(other).await;
}
