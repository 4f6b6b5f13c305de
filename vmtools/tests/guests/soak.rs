//! Whether the client of a guest's screen grows over a long time in which guests are reset and screens change their size. Takes as
//! long as is asked for, half an hour if nothing is, and is run by hand:
//!
//! `SOAK_MINUTES=30 cargo test -p vmtools --test guests -- --ignored soak --nocapture`

use std::time::{Duration, Instant};

use vmtools::display::rfb::RfbSource;
use vmtools::{Boot, Gpu, GuestEvent, Machine, Medium};

use crate::boot_sector;
use crate::harness::{machine, plan};
use crate::servers::{Xvnc, end, until};
use crate::viewer::view;

/// How much memory may come and go, KiB.
const SLACK: u64 = 8 << 10;

/// Memory of this process, KiB, its threads and its open files (proc(5)).
fn size() -> (u64, usize, usize) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let count = |dir: &str| std::fs::read_dir(dir).unwrap().count();
    (resident.trim().trim_end_matches(" kB").parse().unwrap(), count("/proc/self/task"), count("/proc/self/fd"))
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes half an hour"]
async fn soak() {
    let minutes = std::env::var("SOAK_MINUTES").ok().and_then(|text| text.parse().ok()).unwrap_or(30);
    let over = Instant::now() + Duration::from_secs(60 * minutes);
    let mut plan = plan(Machine { medium: Medium::Usb, gpu: Gpu::Virtio, ..machine() }, Boot::Nothing);
    plan.plan.boot = Boot::Iso(boot_sector::medium(plan.dir.path(), boot_sector::PIXELS));
    let mut guest = plan.start().await.unwrap();
    let (_dir, path) = Xvnc::socket();
    let xvnc = Xvnc::on_socket(&path);
    let viewer = view(RfbSource::new(&path));
    let (mut sizes, mut rounds, mut told) = (Vec::new(), 0_u64, Instant::now());
    while Instant::now() < over {
        rounds += 1;
        // The firmware's text, the small picture, colours in it, and all of it anew.
        guest.wait("a picture", |g| g.screen.live()).await;
        guest.handle.send_serial(vec![(rounds % 200) as u8 + 32; 640]);
        tokio::time::sleep(Duration::from_millis(300)).await;
        guest.handle.reset();
        while let Ok(event) = guest.events.try_recv() {
            assert!(!matches!(event, GuestEvent::Ended(_)), "{event:?}");
        }
        let (width, height) = if rounds.is_multiple_of(2) { (1280, 1024) } else { (640, 480) };
        viewer.screen.wish_size(width, height);
        let has = |frame: vmtools::Frame| (frame.width, frame.height) == (width.into(), height.into());
        until("the size", &xvnc, || viewer.screen.live() && viewer.screen.snapshot().is_some_and(has)).await;
        xvnc.draw();
        if told.elapsed() >= Duration::from_secs(30) {
            told = Instant::now();
            sizes.push(size());
            println!("{rounds} rounds: {:?} (KiB, threads, files)", sizes.last());
        }
    }
    assert!(sizes.len() > 3, "{minutes} minutes are too few to compare anything");
    // The first minute fills what is kept.
    let settled = sizes[2];
    let last = size();
    println!("{rounds} rounds in {minutes} minutes: from {settled:?} to {last:?}");
    assert!(rounds > 20 * minutes, "{rounds} rounds");
    assert!(last.0 <= settled.0 + SLACK && last.1 <= settled.1 + 2 && last.2 <= settled.2 + 2, "{sizes:?}");
    guest.handle.end(|_, _| {}).await;
    end(viewer).await;
}
