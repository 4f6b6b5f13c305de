//! A guest whose screen follows the window: it is asked for sizes, and each picture that is seen is one that it has painted.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use vmtools::display::SizeAnswer;
use vmtools::{Gpu, Machine, Screen};

use crate::linux::linux_with;

/// What follow_display.c paints at a place of a screen of that width.
fn painted(x: usize, y: usize, width: usize) -> [u8; 3] {
    [(x & 255) as u8, (y & 255) as u8, ((width / 8) & 255) as u8]
}

/// Where a picture is not what the guest paints; `None` when all of it is.
fn wrong(frame: &vmtools::Frame) -> Option<String> {
    let width = frame.width as usize;
    let rows = frame.rgba.chunks_exact(width * 4).enumerate();
    let mut pixels = rows.flat_map(|(y, row)| row.chunks_exact(4).enumerate().map(move |(x, pixel)| (x, y, pixel)));
    pixels.find(|(x, y, pixel)| pixel[..3] != painted(*x, *y, width)).map(|(x, y, pixel)| {
        format!("{}x{}: {pixel:?} at {x},{y}, not {:?}", frame.width, frame.height, painted(x, y, width))
    })
}

/// Whether it is what QEMU itself shows while the guest has no mode set, between two (QEMU, ui/console.c, "Display output is not
/// active."): black, with grey letters in the middle. A picture that is black alone is none.
fn says_inactive(frame: &vmtools::Frame) -> bool {
    let (width, middle) = (frame.width as usize, frame.height as usize / 2);
    let lit = frame.rgba.chunks_exact(4).enumerate().filter(|(_, pixel)| pixel[..3] != [0, 0, 0]);
    let mut letters = 0;
    for (at, pixel) in lit {
        let grey = pixel[0] == pixel[1] && pixel[1] == pixel[2];
        if !grey || (at / width).abs_diff(middle) > 16 {
            return false;
        }
        letters += 1;
    }
    letters > 100
}

/// The sizes that were seen, and what was wrong.
type Watched = (Vec<(u32, u32)>, Vec<String>);

/// Looks at every picture that it can from the first one that the guest has painted, until it is told to stop.
fn watch(screen: Arc<Screen>, stop: Arc<AtomicBool>) -> JoinHandle<Watched> {
    std::thread::spawn(move || {
        let (mut sizes, mut bad, mut seen) = (Vec::new(), Vec::new(), 0);
        while !stop.load(Ordering::Acquire) {
            let generation = screen.generation();
            if generation == seen {
                std::thread::sleep(Duration::from_micros(200));
                continue;
            }
            seen = generation;
            let Some(frame) = screen.snapshot() else { continue };
            match wrong(&frame) {
                None if sizes.last() == Some(&(frame.width, frame.height)) => {}
                None => sizes.push((frame.width, frame.height)),
                // The console was there before.
                Some(_) if sizes.is_empty() => {}
                Some(_) if says_inactive(&frame) => {}
                Some(why) => bad.push(why),
            }
        }
        (sizes, bad)
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_is_asked_for_a_size_has_it_and_no_picture_is_torn_or_stale() {
    let mut plan = linux_with(false, &["virtio-gpu"], &["follow_display"]);
    plan.plan.machine = Machine { gpu: Gpu::Virtio, ..plan.plan.machine };
    let mut guest = plan.start().await.unwrap();
    guest.until_report().await;
    guest.until_shell().await;
    let said = guest.run("follow_display > /tmp/said 2>&1 & sleep 1; cat /tmp/said").await;
    assert!(said.contains("is set"), "{said}");
    let has = |size: (u32, u32)| {
        move |guest: &crate::harness::Guest| {
            guest.screen.snapshot().is_some_and(|frame| (frame.width, frame.height) == size && wrong(&frame).is_none())
        }
    };
    let first = guest.screen.snapshot().map(|frame| (frame.width, frame.height)).unwrap();
    guest.wait("what the guest paints", has(first)).await;
    let stop = Arc::new(AtomicBool::new(false));
    let watching = watch(Arc::clone(&guest.screen), Arc::clone(&stop));
    // Wider, narrower, higher; and one that no window has asked for in between.
    let sizes = [(1024_u16, 600_u16), (640, 480), (1600, 900), (808, 1000), (1280, 800)];
    for (width, height) in sizes {
        guest.screen.wish_size(width, height);
        guest.wait("an answer", |guest| guest.screen.size_answer().is_some()).await;
        // QEMU cannot know whether the guest will follow: it says that it was told.
        assert_eq!(guest.screen.size_answer(), Some(SizeAnswer::PassedOn), "{width}x{height}");
        guest.wait(&format!("{width}x{height}"), has((width.into(), height.into()))).await;
    }
    // Asked again for what it has: nothing changes, and it is answered.
    guest.screen.wish_size(1280, 800);
    guest.wait("an answer", |guest| guest.screen.size_answer().is_some()).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    stop.store(true, Ordering::Release);
    let (seen, bad) = watching.join().unwrap();
    let expected: Vec<_> = sizes.iter().map(|(width, height)| (u32::from(*width), u32::from(*height))).collect();
    assert_eq!(bad, Vec::<String>::new());
    assert!(seen.ends_with(&expected), "{seen:?}");
    guest.handle.end(|_, _| {}).await;
}
