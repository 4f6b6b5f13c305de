//! Text is read off a real guest's screen, where tesseract is installed as the tests' set-up does.

use std::path::Path;

use vmtools::display::Rect;
use vmtools::ocr::{OcrError, read_text};
use vmtools::{Boot, Cancel};

use crate::harness::{machine, plan};

#[tokio::test(flavor = "multi_thread")]
async fn what_the_firmware_says_is_read() {
    let guest = plan(machine(), Boot::Nothing).start().await.unwrap();
    let read = |area| {
        let frame = guest.screen.snapshot().unwrap();
        read_text(Path::new("tesseract"), &frame, area, &Cancel::new()).unwrap()
    };
    let mut text = String::new();
    for _ in 0..30 {
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        text = if guest.screen.live() { read(None) } else { continue };
        if text.contains("No bootable device") {
            break;
        }
    }
    assert!(text.contains("SeaBIOS (version") && text.contains("No bootable device"), "{text}");
    // Of the first line alone: letters of text mode are 16 pixels high.
    let first = read(Some(Rect { x: 0, y: 0, width: usize::MAX, height: 20 }));
    assert!(first.contains("SeaBIOS") && !first.contains("No bootable device"), "{first}");
}

#[test]
fn without_tesseract_it_is_said_what_to_install() {
    let frame = vmtools::Frame { width: 2, height: 2, rgba: vec![0; 16] };
    let error = read_text(Path::new("/nowhere/tesseract"), &frame, None, &Cancel::new()).unwrap_err();
    assert!(matches!(error, OcrError::Absent) && error.to_string().contains("install tesseract"), "{error}");
    let nowhere = Rect { x: 5, y: 5, width: 1, height: 1 };
    let error = read_text(Path::new("tesseract"), &frame, Some(nowhere), &Cancel::new()).unwrap_err();
    assert!(matches!(error, OcrError::Nowhere), "{error}");
}
