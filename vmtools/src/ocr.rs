//! Text read off the guest's screen by tesseract: what a panic, an installer or a boot menu shows can be copied, although the
//! guest has no clipboard and no serial line then.

use std::io::Cursor;
use std::path::Path;

use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::imageops::{self, FilterType as Resampling};
use image::{ExtendedColorType, GrayImage, ImageEncoder, Luma};

use crate::display::{Frame, Rect};
use crate::{Cancel, CommandLine};
use cartridge_supervise::{RunError, run};

/// By so much a picture is enlarged: letters of a console are 8 × 16 pixels, and tesseract wants them 20 to 30 high
/// (tessdoc, ImproveQuality). Twice reads consoles best here; three times reads no better and takes longer.
const ENLARGED: u32 = 2;
/// Pictures with more pixels are not enlarged: their letters are larger, and it would take long.
const LARGE: usize = 2560 * 1440;
/// Text at most, bytes: a screen has less by far.
const LIMIT: usize = 256 * 1024;

/// No text was read.
#[derive(Debug, thiserror::Error)]
pub enum OcrError {
    /// tesseract is not there.
    #[error(
        "text on the screen is read by tesseract, which is not installed: install tesseract-ocr (Debian, Ubuntu) or \
             tesseract and tesseract-data-eng (Arch), or tesseract (Fedora)"
    )]
    Absent,
    /// It could not be run, or failed.
    #[error(transparent)]
    Failed(RunError),
    /// The place has no pixels.
    #[error("there is nothing on the screen at that place")]
    Nowhere,
    /// The picture could not be handed over.
    #[error("the picture for tesseract could not be encoded: {0}")]
    Encode(#[from] image::ImageError),
}

/// Reads the text that `frame` shows within `area`, or anywhere, with the program `tesseract`. Lines end with a line break;
/// empty if there is no text. Blocks for seconds; `cancel` ends that.
///
/// # Errors
/// [`OcrError`].
pub fn read_text(tesseract: &Path, frame: &Frame, area: Option<Rect>, cancel: &Cancel) -> Result<String, OcrError> {
    let picture = prepared(frame, area).ok_or(OcrError::Nowhere)?;
    let mut png = Cursor::new(Vec::new());
    // It goes through a pipe and is read once: quick is better than small.
    PngEncoder::new_with_quality(&mut png, CompressionType::Fast, FilterType::NoFilter).write_image(
        picture.as_raw(),
        picture.width(),
        picture.height(),
        ExtendedColorType::L8,
    )?;
    // 6: "a single uniform block of text" (tesseract(1)). Its threads wait for each other more than they work.
    let line = CommandLine::new(tesseract).args(["stdin", "stdout", "--psm", "6", "-c", "preserve_interword_spaces=1"]);
    match run(&line.env("OMP_THREAD_LIMIT", "1").stdin(png.into_inner()), cancel, |_, _| ()) {
        Ok(output) => Ok(tidied(&String::from_utf8_lossy(&output.stdout))),
        Err(RunError::Spawn(error)) if error.source.kind() == std::io::ErrorKind::NotFound => Err(OcrError::Absent),
        Err(error) => Err(OcrError::Failed(error)),
    }
}

/// The picture as tesseract reads it best: dark on light, grey, enlarged. `None` without pixels.
fn prepared(frame: &Frame, area: Option<Rect>) -> Option<GrayImage> {
    let (width, height) = (usize::try_from(frame.width).ok()?, usize::try_from(frame.height).ok()?);
    if frame.rgba.len() != width.checked_mul(height)?.checked_mul(4)? {
        return None;
    }
    let area = area.unwrap_or(Rect { x: 0, y: 0, width, height });
    let (x, y) = (area.x.min(width), area.y.min(height));
    let (wide, high) = (area.width.min(width - x), area.height.min(height - y));
    if wide == 0 || high == 0 {
        return None;
    }
    let mut grey = Vec::with_capacity(wide * high);
    for row in frame.rgba.chunks_exact(width * 4).skip(y).take(high) {
        grey.extend(row.chunks_exact(4).skip(x).take(wide).map(|pixel| luma([pixel[0], pixel[1], pixel[2]])));
    }
    let sum: u64 = grey.iter().map(|it| u64::from(*it)).sum();
    if sum < 128 * grey.len() as u64 {
        grey.iter_mut().for_each(|it| *it = 255 - *it);
    }
    let grey = GrayImage::from_raw(u32::try_from(wide).ok()?, u32::try_from(high).ok()?, grey)?;
    if wide * high > LARGE {
        return Some(grey);
    }
    let (width, height) = (grey.width() * ENLARGED, grey.height() * ENLARGED);
    let large: image::ImageBuffer<Luma<u8>, _> = imageops::resize(&grey, width, height, Resampling::Triangle);
    Some(large)
}

/// How light a pixel is (ITU-R BT.601, in 256ths).
fn luma([r, g, b]: [u8; 3]) -> u8 {
    let sum = 77 * u32::from(r) + 150 * u32::from(g) + 29 * u32::from(b);
    u8::try_from(sum / 256).unwrap_or(255)
}

/// Lines without blanks at their ends, none empty before the first or after the last; what is no text is left out.
fn tidied(text: &str) -> String {
    let lines: Vec<String> = text
        .lines()
        .map(|line| line.chars().filter(|it| !it.is_control()).collect::<String>().trim_end().to_owned())
        .collect();
    let first = lines.iter().position(|line| !line.is_empty()).unwrap_or(lines.len());
    let last = lines.iter().rposition(|line| !line.is_empty()).map_or(first, |it| it + 1);
    let mut text = String::new();
    for line in lines.get(first..last).unwrap_or_default() {
        if text.len() + line.len() >= LIMIT {
            break;
        }
        text.push_str(line);
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(width: u32, height: u32, pixel: [u8; 4]) -> Frame {
        Frame { width, height, rgba: pixel.repeat((width * height) as usize) }
    }

    #[test]
    fn what_is_dark_is_turned_and_small_is_enlarged() {
        let dark = prepared(&frame(10, 4, [10, 10, 10, 255]), None).unwrap();
        assert_eq!((dark.width(), dark.height(), dark.get_pixel(3, 3).0[0]), (20, 8, 245));
        let light = prepared(&frame(10, 4, [250, 250, 250, 255]), None).unwrap();
        assert_eq!(light.get_pixel(0, 0).0[0], 250);
        let large = prepared(&frame(3840, 2160, [0, 0, 0, 255]), None).unwrap();
        assert_eq!(large.width(), 3840);
    }

    #[test]
    fn any_place_is_cut_to_the_picture() {
        let of = |x, y, width, height| {
            prepared(&frame(10, 4, [0, 0, 0, 255]), Some(Rect { x, y, width, height })).map(|it| it.dimensions())
        };
        assert_eq!(of(8, 1, 100, 100), Some((4, 6)));
        assert_eq!(of(8, 1, usize::MAX, usize::MAX), Some((4, 6)));
        assert_eq!(of(10, 0, 5, 5), None);
        assert_eq!(of(usize::MAX, usize::MAX, 1, 1), None);
        assert_eq!(of(0, 0, 0, 4), None);
        assert!(prepared(&Frame { width: 10, height: 4, rgba: vec![0; 7] }, None).is_none());
        assert!(prepared(&Frame { width: 0, height: 0, rgba: vec![] }, None).is_none());
    }

    #[test]
    fn text_is_tidied() {
        assert_eq!(tidied("\n \na  b \r\n\n\x1bc\n\x0c"), "a  b\n\nc\n");
        assert_eq!(tidied("\x0c"), "");
        assert!(tidied(&"word\n".repeat(100_000)).len() <= LIMIT);
    }

    proptest::proptest! {
        #[test]
        fn any_words_are_tidied_once_and_for_all(text in ".{0,200}") {
            let once = tidied(&text);
            proptest::prop_assert_eq!(tidied(&once), once);
        }
    }
}
