//! A guest's screen recorded, and played by ffmpeg: the pictures that were shown, for as long as they were.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use vmtools::record::{self, Recorded, Recording};
use vmtools::{Boot, Gpu, InputEvent, Machine, Medium};

use crate::boot_sector;
use crate::harness::{Guest, SOON, machine, plan};
use crate::linux::linux_with;

async fn sector(code: &[u8]) -> Guest {
    let mut plan = plan(Machine { medium: Medium::Usb, ..machine() }, Boot::Nothing);
    plan.plan.boot = Boot::Iso(boot_sector::medium(plan.dir.path(), code));
    plan.start().await.unwrap()
}

fn run(program: &str, words: &[&str], file: &Path) -> Vec<u8> {
    let out = Command::new(program).args(words).arg(file).output().unwrap();
    assert!(out.status.success() && out.stderr.is_empty(), "{program}: {}", String::from_utf8_lossy(&out.stderr));
    out.stdout
}

/// When each picture begins, seconds, and how long the whole is.
fn times(file: &Path) -> (Vec<f64>, f64) {
    let words = ["-v", "error", "-show_entries", "packet=pts_time:format=duration", "-of", "csv=p=0"];
    let text = String::from_utf8(run("ffprobe", &words, file)).unwrap();
    let mut numbers: Vec<f64> = text.lines().map(|line| line.trim_end_matches(',').parse().unwrap()).collect();
    let whole = numbers.pop().unwrap();
    (numbers, whole)
}

/// The last picture, red first, three bytes a pixel, and its size.
fn last_picture(file: &Path) -> (Vec<u8>, usize, usize) {
    let words = ["-v", "error", "-show_entries", "stream=width,height", "-of", "csv=p=0"];
    let text = String::from_utf8(run("ffprobe", &words, file)).unwrap();
    let (width, height) = text.trim().split_once(',').unwrap();
    let (width, height): (usize, usize) = (width.parse().unwrap(), height.parse().unwrap());
    let name = file.to_str().unwrap();
    let words = ["-v", "error", "-i", name, "-f", "rawvideo", "-pix_fmt", "rgb24", "-y"];
    let raw = file.with_extension("raw");
    run("ffmpeg", &words, &raw);
    let mut bytes = std::fs::read(raw).unwrap();
    assert!(!bytes.is_empty() && bytes.len().is_multiple_of(width * height * 3));
    (bytes.split_off(bytes.len() - width * height * 3), width, height)
}

/// By how much coloured pixels differ on average; what is around the guest's picture is black.
fn difference(file: &Path, guest: &Guest) -> f64 {
    let (shown, width, height) = last_picture(file);
    let frame = guest.screen.snapshot().unwrap();
    let (columns, rows) = (frame.width as usize, frame.height as usize);
    let (left, top) = (((width - columns) / 2) & !1, ((height - rows) / 2) & !1);
    let (mut sum, mut count) = (0, 0);
    for (at, pixel) in shown.chunks_exact(3).enumerate() {
        let (x, y) = (at % width, at / width);
        if (left..left + columns).contains(&x) && (top..top + rows).contains(&y) {
            let own = &frame.rgba[((y - top) * columns + x - left) * 4..][..3];
            // Most of it is black, and says little.
            if own == [0; 3] {
                continue;
            }
            count += 1;
            sum += own.iter().zip(pixel).map(|(a, b)| u64::from(a.abs_diff(*b))).sum::<u64>();
        } else if x + 8 < left || x > left + columns + 8 || y + 8 < top || y > top + rows + 8 {
            assert!(pixel.iter().all(|colour| *colour < 12), "{x},{y}: {pixel:?}");
        }
    }
    sum as f64 / f64::from(count * 3)
}

fn begin(guest: &Guest, to: &Path) -> (Recording, std::sync::mpsc::Receiver<Recorded>) {
    let (sender, ended) = channel();
    let on_end = move |end: Result<Recorded, record::RecordError>| sender.send(end.unwrap()).unwrap();
    (record::start(Arc::clone(&guest.screen), to.to_owned(), on_end).unwrap(), ended)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pointer_that_a_guest_leaves_to_its_display_is_in_the_video() {
    let modules = ["virtio-gpu", "xhci-pci", "usbhid", "hid-generic"];
    let mut plan = linux_with(false, &modules, &["follow_display"]);
    plan.plan.machine = Machine { gpu: Gpu::Virtio, ..plan.plan.machine };
    let mut guest = plan.start().await.unwrap();
    guest.until_report().await;
    guest.until_shell().await;
    guest.run("follow_display > /tmp/said 2>&1 &").await;
    guest.wait("the guest's pointer", |g| g.screen.cursor().is_some_and(|it| it.width >= 16)).await;
    guest.wait("the wish for places", |g| !g.screen.relative()).await;
    guest.handle.input(InputEvent::Pointer { x: 40, y: 30, buttons: 0 });
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("guest.mp4");
    let (recording, ended) = begin(&guest, &path);
    tokio::time::sleep(Duration::from_secs(1)).await;
    guest.handle.input(InputEvent::Pointer { x: 320, y: 200, buttons: 0 });
    tokio::time::sleep(Duration::from_secs(2)).await;
    tokio::task::spawn_blocking(|| recording.finish()).await.unwrap();
    assert!(ended.recv_timeout(SOON).unwrap().frames >= 2, "a pointer that moves is another picture");
    let frame = guest.screen.snapshot().unwrap();
    let (shown, width, height) = last_picture(&path);
    let (left, top) = (((width - frame.width as usize) / 2) & !1, ((height - frame.height as usize) / 2) & !1);
    let red = |x: usize, y: usize| {
        let pixel = &shown[((top + y) * width + left + x) * 3..][..3];
        pixel[0] > 200 && pixel[1] < 60 && pixel[2] < 60
    };
    assert!(red(328, 208) && red(323, 203) && red(333, 213), "it is not where it points");
    assert!(!red(340, 208) && !red(328, 220) && !red(48, 38), "it is where it does not point");
    guest.handle.end(|_, _| {}).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_guest_shows_is_played_as_it_was_and_a_cut_file_too() {
    let guest = sector(boot_sector::PIXELS).await;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("guest.mp4");
    let (recording, ended) = begin(&guest, &path);
    // Mode 13h, then colours in spurts: each byte is a pixel, and the firmware's mode shows each as four.
    let coloured = |g: &Guest| {
        g.screen.snapshot().map_or(0, |f| {
            let each = if f.width == 640 { 4 } else { 1 };
            f.rgba.chunks_exact(4).filter(|pixel| pixel[..3] != [0; 3]).count() / each
        })
    };
    guest.wait("the guest's picture", |g| g.screen.live() && coloured(g) == 0).await;
    for spurt in 1..=4_usize {
        let bytes: Vec<u8> = (0..640).map(|at| 32 + (at / 20 + spurt * 11) as u8).collect();
        for some in bytes.chunks(64) {
            guest.handle.send_serial(some.to_vec());
        }
        guest.wait("the colours", |g| coloured(g) >= spurt * 640).await;
        tokio::time::sleep(Duration::from_millis(1500)).await;
    }
    // Still, for longer than a killed program's file may lack.
    let size = || std::fs::metadata(&path).unwrap().len();
    let mut before = 0;
    while before != size() {
        before = size();
        tokio::time::sleep(Duration::from_millis(2500)).await;
    }
    let cut = dir.path().join("cut.mp4");
    std::fs::copy(&path, &cut).unwrap();
    tokio::task::spawn_blocking(|| recording.finish()).await.unwrap();
    let recorded = ended.recv_timeout(SOON).unwrap();
    assert_eq!(recorded.files, std::slice::from_ref(&path));

    let (starts, whole) = times(&path);
    assert_eq!(starts.len() as u64, recorded.frames);
    assert!(starts.is_sorted_by(|a, b| a < b) && starts[0] == 0.0, "{starts:?}");
    assert!((whole - recorded.length.as_secs_f64()).abs() < 0.2, "{whole} of {recorded:?}");
    // Pauses are pauses: far fewer pictures than 15 a second, and none twice. Who is quick shows a spurt in one picture.
    assert!(starts.len() >= 5 && (starts.len() as f64) < whole * 12.0, "{} in {whole} s", starts.len());
    assert!(starts.windows(2).any(|two| two[1] - two[0] > 0.5), "no pause: {starts:?}");
    let off = difference(&path, &guest);
    assert!(off < 24.0, "the last picture differs by {off} of 255 on average");

    // What a killed program leaves is what had been written.
    let (cut_starts, cut_whole) = times(&cut);
    assert_eq!(cut_starts, starts, "of {recorded:?}");
    assert!(cut_whole > whole - 4.0, "{cut_whole} of {whole}");
    assert!(difference(&cut, &guest) < 24.0);
    // And in the middle of a picture: to the one before it.
    let bytes = std::fs::read(&path).unwrap();
    let last = bytes.windows(4).rposition(|name| name == b"mdat").unwrap();
    std::fs::write(&cut, &bytes[..last + 6]).unwrap();
    let words = ["-v", "quiet", "-count_frames", "-show_entries", "stream=nb_read_frames", "-of", "csv=p=0"];
    let played: usize = String::from_utf8(run("ffprobe", &words, &cut)).unwrap().trim().parse().unwrap();
    assert!(played >= starts.len() - 1, "{played} of {}", starts.len());
    guest.handle.end(|_, _| {}).await;
}
