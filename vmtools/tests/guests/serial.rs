//! The serial line under load, and both ways.

use std::time::Duration;

use tokio::time::Instant;
use vmtools::{Boot, GuestEvent, Machine, Medium};

use crate::boot_sector;
use crate::harness::{machine, plan};

/// Resident memory of this process, bytes (proc(5), statm).
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_is_held_back_and_costs_no_memory() {
    let mut plan = plan(Machine { medium: Medium::Usb, ..machine() }, Boot::Nothing);
    plan.plan.boot = Boot::Iso(boot_sector::medium(plan.dir.path(), boot_sector::FLOOD));
    let mut guest = plan.start().await.unwrap();
    guest.until("the flood", |e| matches!(e, GuestEvent::Serial(b) if b.contains(&b'A')).then_some(())).await;
    // Nobody reads for a while: everything must come to a stop, not pile up.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before = resident();
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(resident() < before + (16 << 20), "{before} -> {}", resident());
    // And then it must flow again.
    let mut flowed = 0;
    let end = Instant::now() + Duration::from_secs(2);
    while Instant::now() < end {
        if let Ok(Some(GuestEvent::Serial(bytes))) = tokio::time::timeout_at(end, guest.events.recv()).await {
            assert!(bytes.len() <= 64 * 1024);
            flowed += bytes.len();
        }
    }
    assert!(flowed > 10_000, "only {flowed} bytes");
    assert!(resident() < before + (16 << 20), "{before} -> {}", resident());
    // The control line still answers, though the events are full again.
    let mut steps = Vec::new();
    guest.handle.end(|step, took| steps.push((step, took))).await;
    assert!(steps.len() == 1 && steps[0].1 < Duration::from_secs(3), "{steps:?}");
}
