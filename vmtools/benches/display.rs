//! What it costs to decode a guest's screen: processor milliseconds per megapixel of the same recorded bytes, by our client, by
//! vnc-rs and by libvncclient, against copying as many pixels. Then how late a picture is, and what memory the client has.
//! Prints rows of the README's table: medians of rounds that take turns, and the medians of each round's ratios.
//!
//! `cargo bench -p vmtools --bench display [-- streams|latency|memory] [ROUNDS]`; all three and 7 rounds by default. Wants QEMU, as
//! the tests do; libvncclient is compared where `cc` and libvncserver-dev are installed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../tests/support/boot_sector.rs"]
mod boot_sector;
#[allow(dead_code)]
#[path = "../tests/guests/harness.rs"]
mod harness;
#[path = "display/latency.rs"]
mod latency;
#[path = "../tests/guests/libvnc.rs"]
mod libvnc;
#[path = "display/memory.rs"]
mod memory;
#[allow(dead_code)]
#[path = "../tests/guests/recorded.rs"]
mod recorded;
#[path = "display/sectors.rs"]
mod sectors;
#[path = "display/streams.rs"]
mod streams;

use std::path::PathBuf;

use harness::Guest;
use vmtools::{Boot, Machine, Medium, RuntimeDir};

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    if let [kind, socket] = &words[..]
        && kind == "client"
    {
        return memory::client(socket.as_ref());
    }
    let rounds = words.iter().find_map(|word| word.parse().ok()).unwrap_or(7);
    let parts = ["streams", "latency", "memory"];
    let all = !words.iter().any(|word| parts.contains(&word.as_str()));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    for part in parts.into_iter().filter(|&part| all || words.iter().any(|word| word == part)) {
        match part {
            "streams" => streams::measure(&runtime, rounds),
            "latency" => runtime.block_on(latency::measure()),
            _ => runtime.block_on(memory::measure()),
        }
    }
}

/// A guest that runs `code`, from when its screen has that size.
async fn guest(code: &[u8], size: (u32, u32)) -> Guest {
    let machine = Machine { medium: Medium::Usb, ..harness::machine() };
    let mut plan = harness::plan(machine, Boot::Nothing);
    plan.plan.boot = Boot::Iso(boot_sector::medium(plan.dir.path(), code));
    let guest = plan.start().await.unwrap();
    guest.wait("the picture", |g| g.screen.snapshot().is_some_and(|f| (f.width, f.height) == size)).await;
    guest
}

fn socket(guest: &Guest) -> PathBuf {
    RuntimeDir::open(&guest.runtime).unwrap().paths().vnc
}

/// The value that `part` of all are not above.
fn quantile(values: &[f64], part: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = (sorted.len().saturating_sub(1)) as f64 * part;
    sorted.get(at.round() as usize).copied().unwrap_or(f64::NAN)
}
